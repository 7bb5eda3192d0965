"""Whether a document that isn't stored meets a condition: the same as for one that is."""

import datetime
from collections.abc import Iterator
from typing import Any

import bson
import mongomock
import pytest
from bson.dbref import DBRef
from pymongo import MongoClient

from app.resources.storing import to_bson
from app.settings import Settings
from app.store import matching
from app.store.documents import Documents
from app.store.matching import find_matching, find_names
from app.store.mock import MockDocuments

KEY = bson.ObjectId("5f43a1b2c3d4e5f60718293a")
WHEN = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
SETTINGS = Settings(_env_file=None)  # type: ignore[call-arg]

DOCUMENTS: list[dict[str, Any]] = [
    {},
    {"a": 1, "b": {"c": [1, 2]}},
    {"a": 1.0, "b": {"c": []}},
    {"a": None},
    {"a": "Text", "b": [{"c": 1}, {"c": 2}]},
    {"a": [1, 5], "other": "x" * 100},
    {"a": WHEN},
    {"a": DBRef("others", KEY)},
    {"a": KEY},
]
ODD: list[Any] = [
    bson.Regex("^a"), bson.Timestamp(1, 2), bson.MinKey(), bson.MaxKey(), bson.Decimal128("1.50"),
    bson.Binary(b"a", 5), bson.Int64(1), bson.Code("x"), bson.Code("x", {"y": 1}), b"a", True,
    {"$a.b": {"": 1}}, {"$literal": 1}, "$a", "$$ROOT", [["$a"]], DBRef("others", KEY, "base"),
]  # fmt: skip
CONDITIONS: list[dict[str, Any]] = [
    {},
    {"a": {"$eq": 1}},
    {"a": {"$ne": 1}},
    {"a": {"$eq": None}},
    {"a": {"$ne": None}},
    {"a": {"$gt": 2}},
    {"a": {"$in": [1, "Text"]}},
    {"a": {"$nin": [1, "Text"]}},
    {"a": {"$regex": "^te", "$options": "i"}},
    {"b.c": {"$eq": 2}},
    {"b.c": {"$gte": 1}},
    {"$and": [{"a": {"$eq": 1}}, {"b.c": {"$eq": 1}}]},
    {"$or": [{"a": {"$eq": None}}, {"b.c": {"$eq": 2}}]},
    {"a": {"$in": [DBRef("others", KEY), KEY]}},
    {"_id": {"$eq": 3}},
    {"_id": {"$in": []}},
]


@pytest.fixture(scope="module")
def real(mongo_uri: str) -> Iterator[Documents]:
    with MongoClient[dict[str, Any]](mongo_uri, tz_aware=True) as client:
        collection = client["matching"]["ones"]
        collection.drop()
        yield Documents(collection, SETTINGS)


@pytest.fixture
def mock() -> Documents:
    client: Any = mongomock.MongoClient(tz_aware=True)
    return MockDocuments(client["matching"]["ones"], SETTINGS)


def check(documents: Documents, condition: dict[str, Any]) -> None:
    """What matches before it is stored is what is found when it is."""
    numbered = [{"_id": number, **one} for number, one in enumerate(DOCUMENTS)]
    documents.collection.delete_many({})
    matching_now = find_matching(documents, list(map(to_bson, numbered)), condition)
    documents.collection.insert_many(numbered)
    assert matching_now == {one["_id"] for one in documents.collection.find(condition)}


@pytest.mark.mongod
@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_mongodb_says_the_same_before_and_after(real: Documents, condition: dict[str, Any]) -> None:
    check(real, condition)


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_a_mock_says_the_same_before_and_after(mock: Documents, condition: dict[str, Any]) -> None:
    check(mock, condition)
    assert mock.collection.database.list_collection_names() == ["ones"]


@pytest.mark.mongod
def test_the_collation_of_the_collection_counts(real: Documents) -> None:
    database = real.collection.database
    database.drop_collection("collated")
    collation = {"locale": "en", "strength": 1}
    collated = Documents(database.create_collection("collated", collation=collation), SETTINGS)
    raws = [to_bson({"_id": 1, "a": "é"}), to_bson({"_id": 2, "a": "f"})]
    assert find_matching(collated, raws, {"a": {"$eq": "E"}}) == {0}
    assert find_matching(real, raws, {"a": {"$eq": "E"}}) == set()


@pytest.mark.mongod
def test_any_bson_may_be_asked_for(real: Documents) -> None:
    raws = [to_bson({"_id": 1, "a": 1, "odd": value}) for value in ODD]
    assert find_matching(real, raws, {"odd": {"$exists": True}, "a": 1}) == set(range(len(raws)))


@pytest.mark.mongod
def test_a_collection_that_is_not_there_is_asked_too(real: Documents) -> None:
    nowhere = Documents(real.collection.database["nowhere"], SETTINGS)
    assert find_matching(nowhere, [to_bson({"a": 1}), to_bson({"a": 2})], {"a": 2}) == {1}


@pytest.mark.mongod
def test_large_documents_are_asked_for_in_parts(
    real: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = matching.BATCH // 3
    raws = [to_bson({"_id": number, "a": "x" * size, "n": number}) for number in range(10)]
    assert find_matching(real, raws, {"a": {"$ne": None}, "n": {"$gte": 4}}) == set(range(4, 10))


@pytest.mark.mongod
def test_only_the_fields_that_a_condition_is_about_are_sent(real: Documents) -> None:
    raw = to_bson({"_id": 1, "n": 1, "large": "x" * (15 * 1024 * 1024)})
    assert find_matching(real, [raw] * 4, {"n": 1}) == {0, 1, 2, 3}


NAMES: list[tuple[dict[str, Any], set[bytes] | None]] = [
    ({}, set()),
    ({"a": 1, "b.c": 2}, {b"a", b"b"}),
    ({"$and": [{"a": 1}, {"$or": [{"b": 1}, {"c.d": 2}]}]}, {b"a", b"b", b"c"}),
    ({"$nor": [{"é": 1}]}, {"é".encode()}),
    ({"a": 1, "$expr": {"$eq": ["$b", 1]}}, None),
    ({"$and": [{"a": 1}, {"$where": "1"}]}, None),
]


@pytest.mark.parametrize(
    ("condition", "names"), NAMES, ids=[str(condition) for condition, _ in NAMES]
)
def test_the_fields_that_a_condition_is_about(
    condition: dict[str, Any], names: set[bytes] | None
) -> None:
    assert find_names(condition) == names
