"""Pages against one plain cursor, for every kind of value in the sorted field."""

from collections.abc import Iterator
from typing import Any

import bson
import pytest
from pymongo import MongoClient

from app.errors import Unavailable
from app.query import ordering
from app.query.flatten import SEPARATOR
from app.query.ordering import Sort
from app.query.plan import Plan
from app.resources.codec import CODEC
from app.resources.registry import make_resource
from app.spreadsheets.columns import Table, parse_columns
from app.store import keyset
from app.store import pages as batches
from app.store.indexes import read_indexes
from app.store.pages import pages
from app.store.sessions import start_session_beside
from app.transfers.exports import Export, project
from models.user import User
from tests.support.mongod import needs_mongod

pytestmark = needs_mongod
BY_ID: Sort = (("_id", 1),)
VALUES: list[Any] = [
    1, 2.5, "a", "B", "", None, True, [], [3], [0, 9], ["z", 1], [[]], {"x": 1}, b"b", float("nan"),
    [None],
    bson.Decimal128("8"), bson.MinKey(), bson.MaxKey(), [bson.MaxKey()], [bson.MaxKey(), 4],
    {"x": [1]}, {"x": 2}, ...,
]  # fmt: skip


@pytest.fixture
def collection(mongo_uri: str) -> Iterator[Any]:
    """An empty collection."""
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        collection = client["test"].get_collection("batches", CODEC)
        collection.drop()
        yield collection


def read(collection: Any, plan: Plan) -> list[dict[str, Any]]:
    """The documents of all pages, read in a snapshot."""
    with collection.database.client.start_session(snapshot=True) as session:
        return [
            document
            for page in pages(collection, plan, session)
            for document in bson.decode_all(page.raw, CODEC)
        ]


def keys(collection: Any, plan: Plan) -> list[Any]:
    """The `_id`s of all pages."""
    return [document["_id"] for document in read(collection, plan)]


@pytest.mark.parametrize("page_size", [1, pytest.param(2, marks=pytest.mark.slow), 7, 2_000])
@pytest.mark.parametrize(
    "index",
    [None, [("a", 1), ("_id", 1)], [("a", -1), ("_id", -1)], [("a.x", 1), ("_id", 1)], [("a", 1)]],
)
def test_every_document_once_in_order(
    collection: Any, monkeypatch: pytest.MonkeyPatch, page_size: int, index: Any
) -> None:
    monkeypatch.setattr(batches, "FIRST_PAGE", page_size)
    monkeypatch.setattr(batches, "PAGE", page_size)
    stored = [
        {"_id": n, "b": n % 3} | ({} if value is ... else {"a": value})
        for n, value in enumerate(VALUES * 4)
    ]
    collection.insert_many(stored)
    if index:
        collection.create_index(index)
    for path in ("a", "a.x"):
        for direction in (1, -1):
            for second in (1, -1):
                sort: Sort = ((path, direction), ("_id", second))
                order = ordering.find_serving(sort, read_indexes(collection))
                for condition in ({}, {"b": {"$ne": 1}}):
                    expected = [one["_id"] for one in collection.find(condition, sort=list(sort))]
                    assert keys(collection, Plan(condition, sort, order=order)) == expected, (
                        sort,
                        order,
                    )
                    assert (
                        keys(collection, Plan(condition, sort, 5, 23, order=order))
                        == expected[5:28]
                    ), (sort, order)


@pytest.mark.parametrize("page_size", [1, 3, 2_000])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_unique_key_needs_no_id_behind_it(
    collection: Any, monkeypatch: pytest.MonkeyPatch, page_size: int, direction: int
) -> None:
    monkeypatch.setattr(batches, "FIRST_PAGE", page_size)
    monkeypatch.setattr(batches, "PAGE", page_size)
    unlike = [
        value
        for value in VALUES
        if value is not ... and value is not None and type(value) is not list
    ]
    collection.create_index([("a", direction)], unique=True)
    collection.insert_many(
        [
            {"_id": n, "a": value}
            for n, value in enumerate([*unlike, [3], [0, 9], ["z", "y"], [[], 4]])
        ]
    )
    for way in (1, -1):
        sort: Sort = (("a", way),)
        order = ordering.find_serving(sort, read_indexes(collection))
        assert order is not None
        expected = [one["_id"] for one in collection.find(sort=list(sort))]
        assert keys(collection, Plan({}, sort, order=order)) == expected


def test_an_index_that_was_dropped_meanwhile(collection: Any) -> None:
    collection.create_index([("a", 1)], name="a", unique=True)
    order = ordering.find_serving((("a", 1),), read_indexes(collection))
    collection.drop_index("a")
    collection.insert_many([{"_id": n, "a": 1} for n in range(30)])
    assert keys(collection, Plan({}, (("a", 1),), order=order)) == list(range(30))


def test_a_limit_holds_where_two_documents_do_not_fit_into_one_reply(collection: Any) -> None:
    collection.insert_many([{"_id": n, "a": "x" * (9_000_000 if n < 2 else 1)} for n in range(5)])
    order = ordering.find_serving(BY_ID, read_indexes(collection))
    for limit in range(1, 6):
        assert keys(collection, Plan({}, BY_ID, limit=limit, order=order)) == list(range(limit))


def test_a_limit_holds_where_the_last_document_of_a_page_is_deleted(
    collection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "FIRST_PAGE", 4)
    monkeypatch.setattr(batches, "PAGE", 4)
    collection.insert_many([{"_id": n} for n in range(20)])
    found = []
    plan = Plan({}, BY_ID, limit=10, order=ordering.find_serving(BY_ID, read_indexes(collection)))
    for page in pages(collection, plan, None):
        found += [document["_id"] for document in bson.decode_all(page.raw)]
        collection.delete_one({"_id": found[-1]})
    assert found == list(range(10))


def test_no_page_begins_where_nobody_knows(
    collection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the last document of a page stands only the database can say, and it is gone."""
    monkeypatch.setattr(batches, "FIRST_PAGE", 2)
    collection.create_index([("a", 1), ("_id", 1)])
    collection.insert_many([{"_id": n, "a": [n]} for n in range(5)])
    sort: Sort = (("a", 1), ("_id", 1))
    positions = keyset.KeysetReader.positions

    def gone(self: Any, *words: Any, **others: Any) -> Any:
        collection.delete_one({"_id": 1})
        return positions(self, *words, **others)

    monkeypatch.setattr(keyset.KeysetReader, "positions", gone)
    plan = Plan({}, sort, order=ordering.find_serving(sort, read_indexes(collection)))
    with pytest.raises(Unavailable, match="deleted meanwhile"):
        list(pages(collection, plan, None))


@pytest.mark.parametrize("snapshot", [True, False])
def test_a_session_beside_another_shows_its_snapshot(collection: Any, snapshot: bool) -> None:
    collection.insert_one({"_id": 1, "a": "before"})
    with collection.database.client.start_session(snapshot=snapshot) as session:
        collection.find_one(session=session)
        collection.update_one({}, {"$set": {"a": "after"}})
        with start_session_beside(session) as other:
            assert other.session_id != session.session_id
            shown = collection.find_one(session=other)["a"]
            assert other.operation_time >= session.operation_time
    assert shown == ("before" if snapshot else "after")


def test_pages_of_large_documents_have_fewer(collection: Any) -> None:
    collection.insert_many([{"_id": n, "a": "x" * 20_000} for n in range(1_000)])
    read_pages = list(
        pages(
            collection,
            Plan({}, BY_ID, order=ordering.find_serving(BY_ID, read_indexes(collection))),
            None,
        )
    )
    assert [page.documents for page in read_pages] == [500, 209, 209, 82]


FOREIGN: list[Any] = [
    None, 7, "text", [], [1], {}, {"bio": ["x"], "age": [[1]]}, [{"bio": "no", "age": 3}],
    [{"addresses": {"city": "no"}}], [{"addresses": [{"city": "no"}]}], [{"addresses": "no"}],
    [[{"bio": "no"}]],
    {"addresses": {"city": "no"}}, {"addresses": 7}, {"addresses": [7, {"city": "B"}]},
    {"addresses": [[{"city": 1}]]},
    {"addresses": [{"city": ["D"]}]}, {"addresses": [{"city": {"x": 1}}]}, {"addresses": None},
    {"addresses": []},
    {"bio": "b", "age": 5, "addresses": [{"city": "E"}, {"city": "F"}]},
    {"addresses": {"0": {"city": "no"}}}, ...,
]  # fmt: skip


@pytest.mark.parametrize(
    "asked",
    [
        "_id,name,profile.bio,profile.age,profile.addresses.0.city,profile.addresses.1.city,profile.addresses.0",
        "_id,profile.addresses.0.city",
        "profile.addresses.1",
        "profile.age",
        "profile.bio,profile.addresses,profile.addresses.0.city",
        "email,name,profile.bio,profile.age,profile.addresses.0.street,profile.addresses.0.city",
        "profile.addresses.0.city,profile.addresses.1.city,profile.bio",
    ],
)
def test_flattening_by_the_database_shows_what_the_documents_have(
    collection: Any, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    monkeypatch.setattr(batches, "FIRST_PAGE", 1)
    monkeypatch.setattr(
        batches, "PAGE", 1
    )  # one strange document must not spoil the others' flattening here
    monkeypatch.setattr(batches, "FLATTEN_TRIES", 100)
    shape = make_resource(User).shape
    columns = parse_columns(shape, None, asked, None, True)
    collection.insert_many(
        [
            {"_id": n, "name": [n] if n < len(FOREIGN) else f"{n}"}
            | ({} if value is ... else {"profile": value})
            for n, value in enumerate(FOREIGN * 2)
        ]
    )
    order = ordering.find_serving((("_id", 1),), read_indexes(collection))
    plan = Plan({}, (("_id", 1),), order=order)
    export = project(Export("batches", plan, "csv", columns, None, None, None))  # type: ignore[arg-type]
    whole = Table([column.steps for column in columns])
    assert export.plan.flat is not None
    flat = Table([place.steps for place in export.plan.flat.places])
    rows: list[list[Any]] = []
    flattened = 0
    for page in pages(collection, export.plan, None):
        documents = bson.decode_all(page.raw, CODEC)
        if not page.flat:
            rows += zip(*whole.columns_of(documents), strict=True)
            continue
        flattened += 1
        rows += zip(*export.plan.flat.columns_of(flat.columns_of(documents)), strict=True)
    expected = list(zip(*whole.columns_of(read(collection, plan)), strict=True))
    assert [[value or "" for value in row] for row in rows] == [
        [value or "" for value in row] for row in expected
    ]
    assert flattened > 0


@pytest.mark.parametrize("pages_of", [1, 3])
def test_texts_that_cannot_be_joined_are_read_as_they_are(
    collection: Any, monkeypatch: pytest.MonkeyPatch, pages_of: int
) -> None:
    """A separator in a text, a number where the model has a text: such pages are not flattened."""
    monkeypatch.setattr(batches, "FIRST_PAGE", pages_of)
    monkeypatch.setattr(batches, "PAGE", pages_of)
    monkeypatch.setattr(batches, "FLATTEN_TRIES", 100)
    texts = [
        "a",
        SEPARATOR,
        f"b{SEPARATOR}c",
        SEPARATOR[:2],
        SEPARATOR[1:],
        "\x1f\x1f",
        "",
        7,
        None,
        "\0",
        "王🙂",
    ]
    collection.insert_many(
        [{"_id": n, "name": texts[n % 11], "email": texts[n // 11]} for n in range(121)]
    )
    columns = parse_columns(make_resource(User).shape, None, "name,email,profile.bio", None, True)
    order = ordering.find_serving((("_id", 1),), read_indexes(collection))
    plan = Plan({}, (("_id", 1),), order=order)
    export = project(Export("batches", plan, "csv", columns, None, None, None))  # type: ignore[arg-type]
    assert export.plan.flat is not None
    table = Table([place.steps for place in export.plan.flat.places])
    rows: list[Any] = []
    flattened = 0
    for page in pages(collection, export.plan, None):
        documents = bson.decode_all(page.raw, CODEC)
        if page.flat:
            flattened += page.documents
            rows += zip(*export.plan.flat.columns_of(table.columns_of(documents)), strict=True)
        else:
            rows += [(one["name"], one["email"], None) for one in documents]
    assert [(name or "", email or "") for name, email, _ in rows] == [
        (texts[n % 11] or "", texts[n // 11] or "") for n in range(121)
    ]
    assert 0 < flattened < len(rows)


def test_flattening_is_given_up_where_it_never_succeeds(
    collection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PAGE", 10)
    monkeypatch.setattr(batches, "FIRST_PAGE", 10)
    collection.insert_many([{"_id": n, "name": n, "email": "e"} for n in range(100)])
    columns = parse_columns(make_resource(User).shape, None, "name,email", None, True)
    order = ordering.find_serving((("_id", 1),), read_indexes(collection))
    export = project(
        Export("batches", Plan({}, (("_id", 1),), order=order), "csv", columns, None, None, None)
    )  # type: ignore[arg-type]
    asked: list[Any] = []
    find = keyset.find

    def counted(database: Any, command: Any, *others: Any) -> Any:
        asked.append("~0" in command["projection"])
        return find(database, command, *others)

    monkeypatch.setattr(keyset, "find", counted)
    assert sum(page.documents for page in pages(collection, export.plan, None)) == 100
    assert sum(asked) == batches.FLATTEN_TRIES
