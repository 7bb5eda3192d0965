"""A body ↔ a stored document, without a database: RFC 7396, pointers, what MongoDB can't hold."""

import enum
import uuid
import zoneinfo
from typing import Any

import bson
import pytest
from beanie import BackLink, DecimalAnnotation, Document, Link
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    MongoDsn,
    NameEmail,
    NatsDsn,
    PostgresDsn,
    TypeAdapter,
)

from app.errors import Invalid
from app.resources.codec import CODEC
from app.resources.documents import read_document, read_replacement
from app.resources.faults import pointer
from app.resources.kinds import kind_of
from app.resources.patches import Change, _merge, read_patch
from app.resources.registry import make_resource
from app.resources.storing import encoder_of, to_bson
from tests.support.every_type import Coded, Level, Named, Numbered, Open, Thing


class Color(enum.Enum):
    RED = "red"


class Author(Document):
    """A document that is stored in others as well."""

    name: str
    boss: Link["Author"] | None = None
    shelves: list[BackLink["Shelf"]] = Field(json_schema_extra={"original_field": "first"})


class Shelf(Document):
    color: Color = Color.RED
    price: DecimalAnnotation | None = None
    by_color: dict[Color, int] = Field({})
    by_level: dict[Level, int] = Field({})
    by_key: dict[uuid.UUID, list[Color]] = Field({})
    first: Author | None = None
    authors: list[Author] = Field([])


Author.model_rebuild()
SHELF = make_resource(Shelf)
THING, OPEN = make_resource(Thing), make_resource(Open)
KEY = bson.ObjectId("5f43a1b2c3d4e5f60718293a")

APPENDIX = [  # RFC 7396, appendix A: original, patch, result
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("original", "patch", "result"), APPENDIX)
def test_merge_is_that_of_the_rfc(original: Any, patch: Any, result: Any) -> None:
    assert _merge(original, patch) == result


@pytest.mark.parametrize(
    ("original", "patch", "result"), [case for case in APPENDIX if isinstance(case[0], dict)]
)
def test_patch_writes_what_the_rfc_says(original: Any, patch: Any, result: Any) -> None:
    """The same through `$set` and `$unset`, in a field that holds anything."""
    if patch is None:
        return  # as a member's value null removes the member
    stored = {"_id": KEY, "anything": original}
    change = read_patch(THING, {"anything": patch}, to_bson(stored))
    assert applied(stored, change)["anything"] == result


def applied(stored: dict[str, Any], change: Change) -> dict[str, Any]:
    """What MongoDB makes of a change whose paths lead through objects only."""
    document = bson.decode(bson.encode(stored))
    for path, value in change.set.items():
        *above, last = path.split(".")
        inner = document
        for step in above:
            inner = inner[step]
        inner[last] = value
    for path in change.unset:
        *above, last = path.split(".")
        inner = document
        for step in above:
            inner = inner[step]
        del inner[last]
    return document


def test_patch_of_names_with_dots_replaces_the_object_that_has_them() -> None:
    stored = to_bson({"_id": KEY, "free": {"a.b": 1, "$c": 2, "d": 3}})
    change = read_patch(THING, {"free": {"a.b": None, "$c": 5, "e.f": {"g": 1}}}, stored)
    assert bson.decode(to_bson(change.set)) == {"free": {"$c": 5, "d": 3, "e.f": {"g": 1}}}
    assert (change.unset, change.whole) == ((), None)


@pytest.mark.parametrize("name", ["a.b", "$set", ""])
def test_open_model_takes_no_name_that_no_path_can_have(name: str) -> None:
    for read in (
        lambda body: read_document(OPEN, {"name": "x", **body}),
        lambda body: read_patch(OPEN, body, to_bson({"_id": KEY, "name": "x"})),
    ):
        with pytest.raises(Invalid) as caught:
            read({name: 1})
        assert [fault.pointer for fault in caught.value.faults] == [f"#/{name}"]


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ((), "#"),
        (("a", 0, "b"), "#/a/0/b"),
        (("a/b", "~"), "#/a~1b/~0"),
        (("王 %",), "#/%E7%8E%8B%20%25"),
    ],
)
def test_pointer_is_a_fragment(steps: tuple[Any, ...], text: str) -> None:
    assert pointer(steps) == text


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"anything": [1, {"a": 2**63}]}, "#/anything/1/a"),
        ({"anything": 2**70}, "#/anything"),
        ({"text": "a\ud800"}, "#/text"),
        ({"free": {"a\0b": 1}}, "#/free"),
        ({"amount": "1e7000"}, "#/amount"),
        ({"amounts_by": {"k": "1e-7000"}}, "#/amounts_by/k"),
        ({"moment": "0001-01-01T00:00:00+05:00"}, "#/moment"),
        ({"data": "!!"}, "#/data"),
        ({"datas": ["AA==", "?"]}, "#/datas/1"),
        ({"_id": "short"}, "#/_id"),
    ],
)
def test_what_mongodb_cannot_hold_is_named(body: dict[str, Any], place: str) -> None:
    with pytest.raises(Invalid) as caught:
        to_bson(read_document(THING, body))
    assert [fault.pointer for fault in caught.value.faults] == [place]


def test_document_over_16_mib_is_refused() -> None:
    with pytest.raises(Invalid, match="16,777,216"):
        to_bson({"_id": KEY, "text": "x" * 16 * 1024 * 1024})


def replaced(resource: Any, body: dict[str, Any], stored: dict[str, Any]) -> dict[str, Any]:
    return bson.decode(read_replacement(resource, body, to_bson(stored)), CODEC)


def test_excluded_field_stays_on_put_unless_it_is_sent() -> None:
    stored = {"_id": KEY, "text": "a", "secret": "s", "foreign": 1}
    assert replaced(THING, {"text": "b"}, stored)["secret"] == "s"
    assert replaced(THING, {"secret": "t"}, stored)["secret"] == "t"
    assert "foreign" not in replaced(THING, {}, stored)


def test_field_that_the_model_lost_or_gained_does_no_harm() -> None:
    stored = {"_id": KEY, "lost": {"a": 1}}
    assert read_patch(THING, {"whole": 3}, to_bson(stored)) == Change({"whole": 3}, ())
    assert replaced(THING, {"whole": 3}, stored)["whole"] == 3


@pytest.mark.parametrize("model", [Numbered, Named, Coded, Thing])
@pytest.mark.parametrize("key", ["text", 5, KEY, 1.5, b"bytes"])
def test_put_keeps_a_key_of_any_type(model: Any, key: Any) -> None:
    assert replaced(make_resource(model), {}, {"_id": key})["_id"] == key


@pytest.mark.parametrize("key", ["", ".", "..", "x" * 8001, "王" * 889])
def test_key_that_no_path_leads_to_is_refused(key: str) -> None:
    with pytest.raises(Invalid, match="no path leads"):
        read_document(make_resource(Named), {"_id": key})


@pytest.mark.parametrize("key", ["x" * 8000, "王" * 888])
def test_key_of_a_long_address_is_taken(key: str) -> None:
    assert read_document(make_resource(Named), {"_id": key})["_id"] == key


def test_set_is_stored_in_one_order() -> None:
    names = [str(number) for number in range(50)]
    assert (
        read_document(THING, {"unique": names})["unique"]
        == read_document(THING, {"unique": names[::-1]})["unique"]
    )


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        ({"by_color": {"red": 1}}, {"by_color": {"red": 1}}),
        ({"by_level": {"2": 1}}, {"by_level": {"2": 1}}),
        ({"by_key": {f"{1:032x}": ["red"]}}, {"by_key": {str(uuid.UUID(int=1)): ["red"]}}),
        ({"first": {"name": "Ada"}}, {"first": {"_id": None, "name": "Ada", "boss": None}}),
        ({"authors": [{"_id": str(KEY), "name": "Ada", "boss": str(KEY)}]},
         {"authors": [{"_id": KEY, "name": "Ada", "boss": bson.DBRef("Author", KEY)}]}),
    ],
)  # fmt: skip
def test_maps_by_other_types_and_documents_in_documents_are_stored(body: Any, stored: Any) -> None:
    made = bson.decode(to_bson(read_document(SHELF, body)))
    assert made["color"] == "red"
    assert {name: made[name] for name in stored} == stored
    before = to_bson({"_id": KEY, "color": "red"})
    assert bson.decode(to_bson(read_patch(SHELF, body, before).set)) == stored


def test_decimal_number_of_too_many_digits_is_named() -> None:
    with pytest.raises(Invalid) as caught:
        read_document(SHELF, {"price": "1" * 40})
    assert [fault.pointer for fault in caught.value.faults] == ["#/price"]
    assert "34 digits" in caught.value.faults[0].detail


class Closed(BaseModel):
    x: int = 1


class OpenAround(Document):
    """An open model, in which nested ones are closed: they know their fields."""

    model_config = ConfigDict(extra="allow")

    one: Closed | None = None
    listed: list[Closed] = Field([])
    mapped: dict[str, Closed] = Field({})
    maps: dict[str, dict[str, Closed]] = Field({})
    lists: list[list[Closed]] = Field([])
    map_of_lists: dict[str, list[Closed]] = Field({})


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"one": {"y": 1}}, "#/one/y"),
        ({"listed": [{}, {"y": 1}]}, "#/listed/1/y"),
        ({"mapped": {"a": {"y": 1}}}, "#/mapped/a/y"),
        ({"maps": {"a": {"b": {"y": 1}}}}, "#/maps/a/b/y"),
        ({"lists": [[], [{"x": 2}, {"y": 1}]]}, "#/lists/1/1/y"),
        ({"map_of_lists": {"a": [{"y": 1}]}}, "#/map_of_lists/a/0/y"),
    ],
)
def test_an_unknown_field_of_a_closed_model_is_refused_also_in_an_open_one(
    body: dict[str, Any], place: str
) -> None:
    with pytest.raises(Invalid) as refused:
        read_document(make_resource(OpenAround), {"free": {"y": 1}, **body})
    assert [fault.pointer for fault in refused.value.faults] == [place]


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        (PostgresDsn, "postgresql://ada@a.example:1,b.example:2/db"),
        (MongoDsn, "mongodb://a.example:1,b.example:2/db"),
        (NatsDsn, "nats://a.example:1"),
        (NameEmail, "Ada <ada@example.com>"),
        (zoneinfo.ZoneInfo, "Europe/Berlin"),
    ],
)
def test_what_is_read_of_a_text_is_stored_as_that(declared: Any, text: str) -> None:
    value = TypeAdapter(declared).validate_python(text)
    assert encoder_of(BaseModel).encode(value) == text
    assert kind_of(declared) == "text"
