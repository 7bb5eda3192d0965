"""Declarations that can't be true stop the start, naming class and word; all others are served."""

import datetime
import re
import sys
from collections.abc import Callable
from typing import Annotated, Any, ForwardRef

import bson
import pytest
from beanie import Document, Insert, Link, before_event
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NaiveDatetime,
    PlainValidator,
)

from app.application import create_app
from app.errors import DeclarationError
from app.resources.registry import discover, make_resource
from app.settings import Settings
from tests.support.compilers import compiler_of

READ_LATER = sys.version_info >= (3, 14)  # types of fields, when all classes are there (PEP 649)
NO_NOPE = "line 2: A.x: no file of these models declares the name 'Nope'."
NOWHERE: Any = Link[ForwardRef("Nowhere")]  # type: ignore[type-var]


def document(
    fields: dict[str, Any] | None = None, settings: Any = None, resource: Any = None, **body: Any
) -> Any:
    """A document class named Thing."""
    namespace: dict[str, Any] = {
        "__module__": __name__,
        "__qualname__": "Thing",
        "__annotations__": {"name": str, **(fields or {})},
        **body,
    }
    for word, value in (("Settings", settings), ("Resource", resource)):
        if value is not None:
            inner = {
                "__module__": __name__,
                "__qualname__": f"Thing.{word}",
                **value,
            }  # by which pydantic knows it
            namespace[word] = type(word, (), inner)
    return type("Thing", (Document,), namespace)


class Linked(Document):
    name: str


class Other(Document):
    name: str


class Nested(BaseModel):
    at: datetime.time


class Pixel:
    """A class that pydantic knows nothing of."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Framed(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    pixel: Pixel


READ = Annotated[Pixel, BeforeValidator(Pixel)]


def arbitrary(annotation: Any, resource: dict[str, Any] | None = None, **settings: Any) -> Any:
    fields = {"field": annotation}
    config = ConfigDict(arbitrary_types_allowed=True)
    return document(fields, settings=settings, resource=resource, model_config=config)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: document(resource={"serach": ["name"]}),
         "Thing.Resource: 'serach' is no option.*'search'"),
        (lambda: document(resource={"search": ["nmae"]}), "Thing.Resource.search: 'nmae'"),
        (lambda: document({"age": int}, resource={"search": ["age"]}),
         "Thing.Resource.search: 'age' is no text"),
        (lambda: document(resource={"search": "name"}),
         "Thing.Resource.search: 'name' must be a list"),
        (lambda: document(resource={"columns": ["nmae:Name"]}),
         "Thing.Resource.columns: 'nmae'.*'name'"),
        (lambda: document(resource={"columns": ["name", "name"]}),
         "Thing.Resource.columns: two columns.*'name'"),
        (lambda: document({"s": Annotated[str, Field(exclude=True)]}, resource={"columns": ["s"]}),
         "columns: 's'"),
        (lambda: document(resource={"sort": "-nmae"}),
         "Thing.Resource.sort: there is no field 'nmae'"),
        (lambda: document({"l": list[str]}, resource={"sort": "l"}),
         "Thing.Resource.sort: 'l' goes through a list"),
        (lambda: document(resource={"sort": ["name"]}), "Thing.Resource.sort"),
        (lambda: document(resource={"limit": 0}), "Thing.Resource.limit: 0"),
        (lambda: document(resource={"limit": 1001}), "Thing.Resource.limit: 1001"),
        (lambda: document(resource={"read_only": "yes"}), "Thing.Resource.read_only: 'yes'"),
        (lambda: document(resource={"on_delete": "cascade"}),
         "Thing.Resource.on_delete: 'cascade'"),
        (lambda: document(resource={"sample": 5}), "Thing.Resource.sample: 5"),
        (lambda: document(settings={"name": "docsheet.exports"}), "Thing.Settings.name: .*taken"),
        (lambda: document(settings={"name": "a/b"}), "Thing: 'a/b' can't be a path"),
        (lambda: document(settings={"use_revision": True}), "Thing.Settings.use_revision"),
        (lambda: document(settings={"is_root": True}), "Thing.Settings.is_root: inheritance"),
        (lambda: document(settings={"timeseries": object()}), "Thing.Settings.timeseries"),
        (lambda: document(settings={"indexes": [5]}), "Thing.Settings.indexes: 5"),
        (lambda: document(settings={"indexes": [["name", 1]]}),
         r"Thing.Settings.indexes: \['name', 1\] is no index; one is a field's name"),
        (lambda: document(settings={"indexes": [{"name": 1}]}), "Settings.indexes: {'name': 1}"),
        (lambda: document(settings={"indexes": "name"}), "Settings.indexes: 'name' is no list"),
        (lambda: document(save=lambda self: None), "Thing.save: our writes do not call it"),
        (lambda: document(tidy=before_event(Insert)(lambda self: None)),
         "Thing.tidy: Beanie's event actions"),
        (lambda: document({"other": NOWHERE}),
         "Thing.other: it links to 'Nowhere', which is no document"),
        (lambda: document({"others": list[NOWHERE]}), "Thing.others: it links to 'Nowhere'"),
        (lambda: document({"one": Link[Linked] | str}), "Thing.one: a link stands for itself"),
        (lambda: document({"one": Link[Linked] | Link[Other]}), "Thing.one: a link stands"),
        (lambda: document({"many": list[list[Link[Linked]]]}), "Thing.many: a link stands"),
        (lambda: document({"at": datetime.time}), "Thing.at: MongoDB can't store a time"),
        (lambda: document({"nested": Nested}), "Nested.at: MongoDB can't store a time"),
        (lambda: document({"at": list[NaiveDatetime | None]}), "Thing.at: .*as datetime"),
        (lambda: arbitrary(Pixel), "Thing.field: no JSON is a Pixel.*BeforeValidator"),
        (lambda: arbitrary(Pixel | None, bson_encoders={Pixel: str}), "no JSON is a Pixel"),
        (lambda: arbitrary(list[Pixel]), "Thing.field: no JSON is a Pixel"),
        (lambda: arbitrary(dict[str, Pixel]), "Thing.field: no JSON is a Pixel"),
        (lambda: arbitrary(Annotated[Pixel, AfterValidator(Pixel)]), "no JSON is a Pixel"),
        (lambda: arbitrary(bson.Decimal128), "no JSON is a Decimal128.*DecimalAnnotation"),
        (lambda: arbitrary(Callable[[int], int]), "Thing.field: no JSON is a function"),
        (lambda: arbitrary(type[int]), "Thing.field: no JSON is a class"),
        (lambda: arbitrary(READ), "Thing.field: MongoDB can't store a Pixel.*bson_encoders"),
        (lambda: arbitrary(READ, bson_encoders={int: str}), "MongoDB can't store a Pixel"),
        (lambda: document({"nested": Framed}), "Framed.pixel: no JSON is a Pixel"),
        (lambda: document({"dot": Annotated[str, Field(alias="a.b")]}), "Thing.dot: 'a.b'"),
        (lambda: document({"dollar": Annotated[str, Field(alias="$a")]}), "Thing.dollar: '\\$a'"),
        (lambda: document({"v": Annotated[str, Field(validation_alias="w")]}),
         "Thing.v: validation_alias 'w'"),
        (lambda: document({"v": Annotated[str, Field(validation_alias=AliasChoices("v", "w"))]}),
         "Thing.v: valid"),
        (lambda: document({"a": Annotated[str, Field(alias="name")]}),
         "Thing.a: two fields are stored as 'name'"),
    ],
)  # fmt: skip
def test_what_cannot_be_true_is_named(model: Any, words: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        compiler_of(make_resource(model()))
    assert re.search(words, str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    "options",
    [{}, {"search": []}, {"search": ("name",)},
     {"columns": ["_id", "name:The: name"], "limit": 1000, "sort": "-name"},
     {"columns": ["tags.0", "deep.x"], "sort": "deep.x,-_id"},
     {"on_delete": "keep", "read_only": True}],
)  # fmt: skip
def test_what_can_be_true_is_served(options: dict[str, Any]) -> None:
    fields = {"tags": list[str], "deep": dict[str, int]}
    compiler_of(make_resource(document(fields, resource=options)))


def test_class_that_pydantic_knows_nothing_of_is_served_where_it_can_be_sent_and_stored() -> None:
    for model in (
        arbitrary(READ, bson_encoders={Pixel: lambda pixel: pixel.value}),
        arbitrary(list[READ], bson_encoders={object: str}),
        arbitrary(Annotated[Pixel, PlainValidator(str)]),
        arbitrary(Pixel, resource={"read_only": True}),
    ):
        make_resource(model)


def write(folder: Any, **files: str) -> str:
    package = folder / "given"
    package.mkdir()
    for name, text in {"__init__": "", **files}.items():
        (package / f"{name}.py").write_text("from beanie import Document\n" + text)
    return "given"


@pytest.fixture
def folder(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "given"]:
        del sys.modules[name]


def test_two_resources_cannot_have_one_path(folder: Any) -> None:
    text = "class {}(Document):\n    a: str\n    class Settings:\n        name = 'same'\n"
    with pytest.raises(
        DeclarationError,
        match=r"two.py, line 2: Two and One \(.*one.py, line 2\): both are the collection 'same'",
    ):
        discover(write(folder, one=text.format("One"), two=text.format("Two")))


def test_package_that_is_not_there_is_named() -> None:
    for name in ("nowhere", "models.nowhere", "nowhere.at.all", "./models"):
        with pytest.raises(DeclarationError, match=f"MODELS: there is no package '{name}'"):
            discover(name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = = 1", "line 2: invalid syntax."),
        ("import nonsense", "line 2: ModuleNotFoundError: No module named 'nonsense'."),
        ("from given.nope import X", "line 2: ModuleNotFoundError: No module named 'given.nope'."),
        ("from beanie import Documnt",
         "line 2: ImportError: cannot import name 'Documnt' from 'beanie'."),
        ("class A(Document):\n    x: Nope", NO_NOPE if READ_LATER else
         "line 3: NameError: name 'Nope' is not defined."),
        ("class A(Document):\n    x: 'Nope'", NO_NOPE),
        ("from functools import partial\nclass A(Document):\n    x: partial",
         "line 3: PydanticSchemaGenerationError: Unable to generate pydantic-core schema"),
        ("raise ValueError", "line 2: ValueError."),
    ],
)  # fmt: skip
def test_a_mistake_in_the_package_is_one_line(
    folder: Any, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    monkeypatch.chdir(folder)
    package = write(folder, one=text)
    for _ in range(2):
        with pytest.raises(DeclarationError) as caught:
            discover(package)
        assert str(caught.value).startswith(f"given/one.py, {words}")
        assert "\n" not in str(caught.value)


def test_a_base_that_is_abstract_is_not_served_and_those_that_inherit_it_are(folder: Any) -> None:
    text = """
class Base(Document):
    made: int = 0
    class Resource:
        abstract = True
        limit = 5
class One(Base):
    pass
class Two(Base):
    class Resource(Base.Resource):
        sort = "made"
"""
    found = discover(write(folder, one=text))
    assert {name: resource.options.limit for name, resource in found.items()} == {
        "One": 5,
        "Two": 5,
    }


def test_abstract_must_be_true_or_false(folder: Any) -> None:
    text = "class A(Document):\n    class Resource:\n        abstract = 'yes'\n"
    with pytest.raises(DeclarationError, match=r"A\.Resource\.abstract: 'yes' must be True or"):
        discover(write(folder, one=text))


def test_document_is_found_wherever_it_is_in_the_package_and_imported_ones_are_not(
    folder: Any,
) -> None:
    package = write(
        folder,
        a="class A(Document):\n    x: int\n",
        b="from given.a import A\nfrom models.user import User\n",
    )
    for inner in ("deep/er", ".copies"):  # without __init__.py
        (folder / package / inner).mkdir(parents=True)
        text = "from beanie import Document\nclass C(Document):\n    x: int\n"
        (folder / package / inner / "c.py").write_text(text)
    assert list(discover(package)) == ["A", "C"]


def test_a_generic_base_is_not_served_with_its_types_and_what_inherits_it_is(folder: Any) -> None:
    text = """
from typing import Generic, TypeVar
T = TypeVar("T")
class Base(Document, Generic[T]):
    value: T
    class Resource:
        abstract = True
class Number(Base[int]):
    pass
"""
    assert list(discover(write(folder, one=text))) == ["Number"]


@pytest.mark.parametrize("name", ["exports", "docs", "livez", "openapi.json", "auth", "jobs"])
def test_paths_of_our_own_are_taken(folder: Any, name: str) -> None:
    settings = f'class Settings:\n        name = "{name}"'
    package = write(folder, thing=f"class Thing(Document):\n    {settings}")
    with pytest.raises(DeclarationError, match=f"thing.py, line 2: Thing.*path '{name}' is taken"):
        create_app(Settings(MODELS=package, _env_file=None))  # type: ignore[call-arg]


def test_wrong_declaration_stops_the_application(folder: Any) -> None:
    package = write(
        folder, a="class A(Document):\n    x: int\n    class Resource:\n        sort = 'y'\n"
    )
    with pytest.raises(DeclarationError, match=r"A\.Resource\.sort"):
        create_app(Settings(MODELS=package, _env_file=None))  # type: ignore[call-arg]
