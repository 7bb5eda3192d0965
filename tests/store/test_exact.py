"""A stored document is told from every other by one condition, byte for byte."""

import datetime
from collections.abc import Iterator
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from app.store.exact import CannotTell, is_same
from tests.support.mongod import needs_mongod

pytestmark = needs_mongod

VALUES: list[Any] = [
    1,
    1.0,
    Int64(1),
    *map(Decimal128, ("1", "1.0", "1.00", "1.000")),
    0.0,
    -0.0,
    *map(Decimal128, ("0E+3", "0E-7", "-0", "1E+2", "100", "1.0E+2", "Infinity", "-Infinity")),
    {"b": [1, 2.0, {"c": Decimal128("1.5")}]},
    {"b": [1, 2.0, {"c": Decimal128("1.50")}]},
    {"b": [1, 2, {"c": Decimal128("1.50")}]},
    {"$x": {"y.z": 1, "": 2.0, "ü": 1}},
    {"$x": {"y.z": 1.0, "": 2, "ü": 1}},
    [[1, 1.0], [Int64(1)]],
    [[1.0, 1], [Int64(1)]],
    {"x": 1, "y": Int64(2), "z": 3.0},
    {"x": Int64(1), "y": 2, "z": 3.0},
    {"x": 1.0, "y": Int64(2), "z": 3},
    {"x": 1, "y": 2, "z": Decimal128("3")},
    "name",
    "Name",
    ["é", "E"],
    ["É", "e"],
    [bson.Regex("a", "i"), bson.Code("a"), bson.MinKey(), bson.Binary(b"1", 5), None],
    [datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), bson.Timestamp(1, 2), bson.DBRef("a", 1)],
]
SYMBOL = bson.encode({"_id": 1, "a": "name"}).replace(b"\x02a\0", b"\x0ea\0")
UNDEFINED = bson.encode({"_id": 1, "a": None}).replace(b"\x0aa\0", b"\x06a\0")
BROKEN = [
    bson.encode({"_id": 1, "a": {"name": number}}).replace(b"name", name)
    for number in (1, Int64(1))
    for name in (b"na\xffe", b"na\xfee")
]
DOCUMENTS = [*(bson.encode({"_id": 1, "a": value}) for value in VALUES), UNDEFINED]


@pytest.fixture(params=[None, {"locale": "en", "strength": 1}], ids=["plain", "collated"])
def collection(request: pytest.FixtureRequest, mongo_uri: str) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        database = client["test_exact"]
        database.drop_collection("documents")
        yield database.create_collection("documents", collation=request.param)


def finds(collection: Any, document: bytes) -> bool:
    collated = "collation" in collection.options()
    condition = {"_id": 1, "$expr": {"$and": is_same(document, collated=collated)}}
    words = {} if collated else {"collation": {"locale": "simple"}}
    return collection.find_one(condition, {"_id": 1}, **words) is not None


def test_condition_finds_the_document_and_none_that_is_only_equal(collection: Any) -> None:
    for stored in DOCUMENTS:
        collection.delete_many({})
        collection.insert_one(RawBSONDocument(stored))
        for asked in DOCUMENTS:
            assert finds(collection, asked) == (asked == stored), (bson.decode(asked), stored)


def test_names_that_are_no_text_are_told_where_no_type_is_asked(collection: Any) -> None:
    for stored in BROKEN:
        collection.delete_many({})
        collection.insert_one(RawBSONDocument(stored))
        for asked in BROKEN[:2]:
            assert finds(collection, asked) == (asked == stored)


def test_symbol_that_became_a_text_is_noticed(collection: Any) -> None:
    collection.insert_one({"_id": 1, "a": "name"})
    if "collation" in collection.options():
        with pytest.raises(CannotTell):
            finds(collection, SYMBOL)
    else:
        assert not finds(collection, SYMBOL)


@pytest.mark.parametrize(
    "document",
    [
        bson.encode({"a": float("nan")}),
        bson.encode({"a": Decimal128("NaN")}),
        bson.encode({"a": [bson.Code("a", {"b": 1})]}),
        bson.encode({"ab": 1, "ac": 2}).replace(b"ac", b"ab"),
        bson.encode({"ab": 1.0}).replace(b"ab", b"a\xff"),
    ],
    ids=["NaN", "decimal NaN", "scope", "a name twice", "broken UTF-8"],
)
def test_what_no_condition_tells_is_said(document: bytes) -> None:
    with pytest.raises(CannotTell):
        is_same(document)


def test_many_values_are_too_many_for_a_condition() -> None:
    document = bson.encode({"a": [{"b": Int64(number)} for number in range(100)]})
    assert len(is_same(document, most=100)[2]["$eq"][0]) == 100
    with pytest.raises(CannotTell):
        is_same(document, most=99)
