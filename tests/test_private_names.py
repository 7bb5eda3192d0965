"""Each private name of a dependency that we use is in this list, and is still there.

What a library keeps to itself may go with any release of it: an upgrade that takes one away fails
here, by its name.
"""

import ast
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bson
import pydantic
import pytest
from beanie import Indexed, Link
from beanie.odm.fields import IndexedAnnotation
from bson.raw_bson import RawBSONDocument
from mongomock_motor import AsyncMongoMockClient
from pydantic_core import SchemaValidator
from pymongo import MongoClient, read_preferences
from pymongo.read_preferences import Secondary

ROOT = Path(__file__).parents[1]
STANDARD = frozenset(dir(type) + dir(object) + dir(lambda: None) + dir(logging) + dir(Exception))
LANGUAGE = {  # that Python's own reference documents
    *("__file__", "__path__", "__dict__", "__func__", "__signature__", "_exit"),
    *("__bound__", "__forward_arg__", "__supertype__", "__value__"),
}


class Model(pydantic.BaseModel):
    x: int


def mock_has_collection() -> bool:
    collection = AsyncMongoMockClient()["database"]["collection"]
    return "_AsyncMongoMockCollection__collection" in vars(collection)


def indexed_is_of_the_annotation() -> bool:
    order, options = Indexed(int, unique=True)._indexed  # type: ignore[attr-defined]
    return (order, options) == (1, {"unique": True}) and IndexedAnnotation((1, {}))._indexed == (
        1,
        {},
    )


def session_has_snapshot_time() -> bool:
    with MongoClient[Any](connect=False) as client, client.start_session(snapshot=True) as session:
        return vars(session)["_snapshot_time"] is None


THERE: dict[str, Callable[[], object]] = {
    # mongomock-motor, beanie
    "_AsyncMongoMockCollection__collection": mock_has_collection,
    "_indexed": indexed_is_of_the_annotation,
    "__get_pydantic_core_schema__": lambda: vars(Link)["__get_pydantic_core_schema__"].__func__,
    # pymongo, bson
    "_RawBSONDocument__inflated": lambda: hasattr(RawBSONDocument, "_RawBSONDocument__inflated"),
    "_ServerMode": lambda: issubclass(Secondary, read_preferences._ServerMode),
    "_snapshot_time": session_has_snapshot_time,
    "_array_of_documents_to_buffer": lambda: (
        bson._array_of_documents_to_buffer(bson.encode({"0": {}})[0:]) == bson.encode({})
    ),
    # pydantic
    "__pydantic_complete__": lambda: Model.__pydantic_complete__ is True,
    "__pydantic_core_schema__": lambda: Model.__pydantic_core_schema__["type"] == "model",
    "__pydantic_custom_init__": lambda: Model.__pydantic_custom_init__ is False,
    "__pydantic_decorators__": lambda: Model.__pydantic_decorators__.model_validators == {},
    "__pydantic_generic_metadata__": lambda: (
        set(Model.__pydantic_generic_metadata__) == {"origin", "args", "parameters"}
    ),
    "_types_namespace": lambda: Model.model_rebuild(force=True, _types_namespace={}),
    "_use_prebuilt": lambda: SchemaValidator({"type": "int"}, _use_prebuilt=False),
    "__pydantic_validator__": lambda: Model.__pydantic_validator__.validate_python({"x": 1}).x,
    # the standard library
    "_srcfile": lambda: hasattr(logging, "_srcfile"),
}


def test_the_list_is_whole() -> None:
    assert private_names() == set(THERE)


@pytest.mark.parametrize("name", THERE)
def test_each_is_there(name: str) -> None:
    assert THERE[name]()


def private_names() -> set[str]:
    """Every name with an underscore that `app` and `models` use and don't define."""
    trees = [
        ast.parse(path.read_text())
        for folder in ("app", "models")
        for path in (ROOT / folder).rglob("*.py")
    ]
    used = {name for tree in trees for name in names_used(tree)}
    defined = {name for tree in trees for name in names_defined(tree)}
    return {name for name in used - defined - LANGUAGE if name.startswith("_")} - standard_dunders()


def standard_dunders() -> set[str]:
    return {name for name in STANDARD if name.startswith("__") and name.endswith("__")}


def names_used(tree: ast.AST) -> Iterator[str]:
    """Attributes, imports, arguments, and what `getattr`, `vars` and `__dict__` are asked for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
            yield from str(node.module).split(".")
        elif isinstance(node, ast.Call) and len(node.args) > 1 and is_getattr(node.func):
            yield from texts(node.args[1])
        elif isinstance(node, ast.keyword) and node.arg is not None:
            yield node.arg
        elif isinstance(node, ast.Subscript) and is_of_object(node.value):
            yield from texts(node.slice)


def is_getattr(function: ast.expr) -> bool:
    name = getattr(function, "id", getattr(function, "attr", ""))
    return name in ("getattr", "setattr", "hasattr", "getattr_static")


def is_of_object(value: ast.expr) -> bool:
    """Whether it is `vars(…)` or `….__dict__`."""
    called = isinstance(value, ast.Call) and getattr(value.func, "id", "") == "vars"
    return called or (isinstance(value, ast.Attribute) and value.attr == "__dict__")


def texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def names_defined(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
