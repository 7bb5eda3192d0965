"""pydantic's core schemas: the fields of a model, and fields that JSON or MongoDB can't have.

A class that pydantic knows nothing of (`arbitrary_types_allowed`) needs a validator that makes an
instance of what JSON has, and an encoder that makes a value of BSON of it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pydantic
from beanie import Document
from beanie.odm.utils.encoder import BSON_SCALAR_TYPES, DEFAULT_CUSTOM_ENCODERS

from app.errors import DeclarationError
from app.resources.annotations import is_stored
from app.resources.fields import find_nested_models, once

Schema = dict[str, Any]
_ENCODED = (*BSON_SCALAR_TYPES, *DEFAULT_CUSTOM_ENCODERS, Mapping, Iterable, pydantic.BaseModel)
_LIBRARIES = ("app", "beanie", "bson", "pydantic")  # whose validators tell of their value alone
_READERS = ("function-before", "function-wrap")
_INNER = ("schema", "items_schema", "values_schema")
_NO_SCHEMAS = frozenset(
    {"metadata", "serialization", "config", "cls", "function", "default", "default_factory",
     "expected"}
)  # fmt: skip


def schemas_within(schema: Any) -> Iterator[Any]:
    """What is right within a part of a schema, and may be or hold schemas itself."""
    if isinstance(schema, list | tuple):
        yield from schema
    elif isinstance(schema, dict):
        yield from (inner for word, inner in schema.items() if _has_schemas(schema, word))


def rewrite_within(schema: Any, rewrite: Callable[[Any], Any]) -> Any:
    """The part with `rewrite` of what is right within it."""
    if isinstance(schema, list | tuple):
        return type(schema)(map(rewrite, schema))
    if not isinstance(schema, dict):
        return schema
    return {
        word: rewrite(inner) if _has_schemas(schema, word) else inner
        for word, inner in schema.items()
    }


def _has_schemas(schema: Schema, word: str) -> bool:
    """Whether there may be schemas under a word; a dict without `type` has the names of fields."""
    return word not in _NO_SCHEMAS or not isinstance(schema.get("type"), str)


@once
def list_looking(model: type[pydantic.BaseModel]) -> frozenset[str]:
    """The fields, by stored name, that a validator judges which is told of others as well.

    pydantic hands it the values of the fields before its own, and the stored document.
    """
    schemas, _ = field_schemas(model)
    return frozenset(
        info.alias or name
        for name, info in model.model_fields.items()
        if name in schemas and _looks_around(schemas[name])
    )


def _looks_around(schema: Any) -> bool:
    if isinstance(schema, dict):
        if schema.get("type") == "model":  # whose fields are judged for themselves
            return False
        function = schema.get("function")
        if isinstance(function, dict) and function.get("type") == "with-info":
            return not _is_of_library(function["function"])
    return any(map(_looks_around, schemas_within(schema)))


def _is_of_library(function: Any) -> bool:
    module = str(getattr(function, "__module__", ""))
    return module.partition(".")[0] in _LIBRARIES


def field_schemas(model: type[pydantic.BaseModel]) -> tuple[dict[str, Schema], list[Schema]]:
    """The schema of each field by its attribute, and the definitions that they refer to."""
    schema: Any = model.__pydantic_core_schema__
    definitions: list[Schema] = []
    while schema["type"] != "model-fields":
        definitions += schema.get("definitions", ())
        if schema["type"] == "definition-ref":
            schema = next(known for known in definitions if known["ref"] == schema["schema_ref"])
        else:
            schema = schema["schema"]
    return {name: field["schema"] for name, field in schema["fields"].items()}, definitions


def refuse_unsendable(model: type[Document]) -> None:
    """Raises `DeclarationError` for a field of which no value can be sent, or stored."""
    custom = tuple(getattr(getattr(model, "Settings", None), "bson_encoders", {}))
    for nested in find_nested_models(model):
        schemas, _ = field_schemas(nested)
        for attribute, schema in schemas.items():
            if is_stored(attribute, nested.model_fields[attribute]):
                _refuse_unsendable(schema, custom, f"{nested.__name__}.{attribute}")


def _refuse_unsendable(schema: Schema, custom: tuple[type, ...], where: str) -> None:
    name, wanted, is_read = _read_foreign(schema)
    if name and not is_read:
        raise DeclarationError(
            f"{where}: no JSON is a {name}; declare a type of pydantic or Beanie "
            "(PydanticObjectId, DecimalAnnotation), or give it a validator that reads JSON "
            "(BeforeValidator)."
        )
    if wanted is not None and not issubclass(wanted, (*custom, *_ENCODED)):
        raise DeclarationError(
            f"{where}: MongoDB can't store a {name}; say what it is stored as in "
            "Settings.bson_encoders."
        )


def _read_foreign(schema: Schema) -> tuple[str, type | None, bool]:
    """The class that pydantic knows nothing of, and whether a validator reads JSON for it."""
    is_read = False
    while True:
        kind = schema["type"]
        is_read = is_read or kind in _READERS
        if kind == "is-instance":
            return schema["cls"].__name__, schema["cls"], is_read
        if kind in ("callable", "is-subclass"):
            return "function" if kind == "callable" else "class", None, is_read
        inner = next((schema[word] for word in _INNER if word in schema), None)
        if not isinstance(inner, dict):
            return "", None, is_read
        schema = inner
