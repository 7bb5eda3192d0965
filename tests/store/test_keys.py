"""Lists and exports over keys of every kind, also such as no driver would write: each row once.

What one plain cursor of MongoDB gives is the measure. Positions are raw BSON, so nothing may depend
on what the driver makes of a value.
"""

import datetime
import itertools
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.errors import OperationFailure, WriteError

from app.errors import Invalid, Unavailable
from app.query import tokens
from app.query.compile import Query
from app.query.ordering import Sort
from app.query.plan import Plan, make_plan
from app.resources import elements
from app.resources.codec import CODEC
from app.settings import Settings
from app.store import keyset
from app.store import pages as paging
from app.store.documents import Documents
from app.store.indexes import Indexes, look_at
from app.store.lists import ListPage, Lists
from app.store.pages import pages
from app.store.sessions import start_session
from tests.support.drawing import some_and_many
from tests.support.filling import AS_BYTES, insert_raw
from tests.support.mongod import needs_mongod

pytestmark = needs_mongod
SETTINGS = Settings(_env_file=None)  # type: ignore[call-arg]
FINGERPRINT = b"the query of these tests"


def integer(number: int) -> bytes:
    return b"\x10" + struct.pack("<i", number)


def text(raw: bytes) -> bytes:
    return elements.make_text(elements.STRING, raw)


def inner(*fields: tuple[str, bytes]) -> bytes:
    return bytes([elements.OBJECT]) + elements.make_document(fields)


def code_with_scope(code: bytes) -> bytes:
    body = text(code)[1:] + elements.make_document([("x", integer(1))])
    return bytes([elements.CODE_WITH_SCOPE]) + struct.pack("<i", len(body) + 4) + body


STRANGE: list[bytes] = [
    inner(("$ref", text(b"users")), ("$id", integer(1))),
    inner(("$id", integer(1)), ("$ref", text(b"users"))),
    inner(("$id", integer(2)), ("$ref", text(b"users")), ("$db", text(b"x"))),
    inner(("a", integer(1)), ("a", integer(2))),
    inner(("a", integer(1)), ("a", integer(3))),
    inner(("a", integer(1)), ("a", integer(1))),
    inner(("a", integer(1))),
    inner(("a", inner(("b", integer(2)), ("b", integer(1))))),
    inner(),
    text(b"\xff\xfe"),
    text(b"a\xc3"),
    text(b"\xef\xbf\xbd"),
    text(b"plain"),
    text(b""),
    inner(("t", text(b"\xf0\x28"))),
    b"\x06",
    b"\x0c" + text(b"users")[1:] + b"0" * 12,
    b"\x0c" + text(b"users")[1:] + b"1" * 12,
    b"\x0ba\0xi\0",
    b"\x0ba\0ix\0",
    b"\x0b\xff\0i\0",
    elements.make_text(elements.CODE, b"\xff()"),
    elements.make_text(elements.CODE, b"f()"),
    elements.make_text(elements.SYMBOL, b"plain"),
    elements.make_text(elements.SYMBOL, b"\xfe"),
    code_with_scope(b"\xff"),
    code_with_scope(b"f"),
    b"\x05" + struct.pack("<i", 3) + b"\x04abc",  # a UUID of three bytes
    b"\x05" + struct.pack("<i", 0) + b"\x80",
    b"\x05" + struct.pack("<i", 2) + b"\x00ab",
    b"\x01" + struct.pack("<d", float("nan")),
    b"\x01" + struct.pack("<d", 1.0),
    b"\x01" + struct.pack("<d", -0.0),
    integer(1),
    integer(0),
    b"\x12" + struct.pack("<q", 2**53 + 1),
    b"\x13" + bson.Decimal128("1.10").bid,
    b"\x13" + bson.Decimal128("NaN").bid,
    b"\x09" + struct.pack("<q", 2**60),
    b"\x09" + struct.pack("<q", -1),
    b"\x11" + struct.pack("<Q", 2**63 + 1),
    b"\x07" + b"o" * 12,
    b"\x08\0",
    b"\x08\x01",
    b"\x0a",
    b"\x7f",
    b"\xff",
]


@pytest.fixture
def collection(mongo_uri: str) -> Iterator[Any]:
    """An empty collection; whatever had its name is dropped."""
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        client.drop_database("test_keys")
        yield client["test_keys"].get_collection("keys", CODEC)


def known(collection: Any) -> Indexes:
    found = Indexes()
    look_at(collection, found)
    return found


def query(sort: Sort, limit: int | None, fields: tuple[str, ...] | None = None) -> Query:
    return Query((), sort, 0, limit, fields, fingerprint=FINGERPRINT)


def lists(collection: Any, asked: Query) -> Iterator[list[dict[str, Any]]]:
    """The pages of a list, each by the token of the one before."""
    for page in forwards(reader(collection), asked):
        yield page.documents


def reader(collection: Any) -> Lists:
    state = known(collection)

    def plan(query: Query) -> Plan:
        return make_plan(query, state.existing, SETTINGS, is_view=state.nature.is_view)

    return Lists(Documents(collection, SETTINGS), plan, lambda: look_at(collection, state))


def forwards(found: Lists, asked: Query) -> Iterator[ListPage]:
    for _ in range(10_000):
        page = found.page(asked)
        yield page
        if page.token is None:
            return
        asked = behind(asked, page.token)
    raise AssertionError("the list has no end")


def behind(asked: Query, token: str) -> Query:
    assert len(token) <= 1_500
    return replace(asked, after=tokens.read_token(token, FINGERPRINT))


def check_backwards(collection: Any, asked: Query) -> list[int]:
    """The numbers of a list whose pages are the same on the way back, and from each of them."""
    found = reader(collection)
    pages = list(forwards(found, asked))
    assert pages[0].before is None
    assert pages[-1].last is None
    for page, following in itertools.pairwise(pages):
        assert following.before is not None
        back = found.page(behind(asked, following.before))
        assert back.raw == page.raw
        assert (back.before, back.token) == (page.before, page.token)
        assert all(set(one) <= {"_id", "n", "a", "t"} for one in back.documents)
    all_numbers = [one["n"] for page in pages for one in page.documents]
    if pages[0].last is not None:
        last = found.page(behind(asked, pages[0].last))
        assert len(last.documents) == asked.limit
        assert {one["n"] for one in pages[-1].documents} <= {one["n"] for one in last.documents}
        assert last.token is None
        assert last.before is not None
    return all_numbers


def exported(collection: Any, sort: Sort, *, snapshot: bool = True, **words: Any) -> list[Any]:
    """The numbers of the documents of an export."""
    state = known(collection)
    plan = make_plan(query(sort, None), state.existing, SETTINGS, is_view=state.nature.is_view)
    with start_session(collection, snapshot=snapshot) as session:
        found = []
        for page in itertools.islice(pages(collection, plan, session), 10_000):
            found += bson.decode_all(page.raw, AS_BYTES)
    return [one["n"] for one in found]


def numbers(collection: Any, sort: Sort) -> list[int]:
    """The same by one cursor."""
    paths = [path for path, _ in sort]
    whole = list(sort) if "_id" in paths else [*sort, ("_id", 1)]
    found = collection.with_options(AS_BYTES).find(sort=whole)
    return [one["n"] for one in found]


def document(number: int, key: bytes, value: bytes | None) -> bytes:
    fields = [("_id", key), ("n", integer(number))]
    return elements.make_document(fields if value is None else [*fields, ("a", value)])


def store(collection: Any, documents: list[bytes]) -> int:
    """How many of these MongoDB takes: not every value can be an `_id`, nor is each another one."""
    stored = 0
    for one in documents:
        try:
            insert_raw(collection, one)
        except WriteError:
            continue
        stored += 1
    return stored


SORTS: list[Sort] = [
    (("_id", 1),),
    (("_id", -1),),
    (("a", 1),),
    (("a", -1),),
    (("a", 1), ("_id", -1)),
    (("n", -1), ("a", 1)),
]


@pytest.mark.parametrize(
    "index",
    [
        None,
        pytest.param([("a", 1), ("_id", 1)], marks=pytest.mark.slow),
        pytest.param([("a", -1), ("_id", -1)], marks=pytest.mark.slow),
    ],
)
def test_each_document_once_whatever_its_key(
    collection: Any, monkeypatch: pytest.MonkeyPatch, index: Any
) -> None:
    monkeypatch.setattr(paging, "FIRST_PAGE", 3)
    monkeypatch.setattr(paging, "PAGE", 2)
    if index:
        collection.create_index(index)
    keyed = [document(number, key, STRANGE[-number]) for number, key in enumerate(STRANGE)]
    valued = [document(100 + n, integer(-1000 + n), one) for n, one in enumerate(STRANGE)]
    stored = store(collection, keyed + valued)
    assert stored > len(STRANGE) + 30
    for sort in SORTS:
        expected = numbers(collection, sort)
        assert sorted(exported(collection, sort)) == sorted(expected), sort
        for limit, fields in ((1, None), (4, ("n",))):
            found = check_backwards(collection, query(sort, limit, fields))
            assert sorted(found) == sorted(expected), (sort, limit, fields)


drawn = given(
    chosen=st.lists(
        st.tuples(st.sampled_from(STRANGE), st.none() | st.sampled_from(STRANGE)),
        max_size=12,
        unique_by=lambda one: one[0],
    ),
    sort=st.sampled_from(SORTS),
    limit=st.integers(1, 4),
    fields=st.sampled_from([None, ("n",)]),
    with_index=st.booleans(),
)


def check_each_once(
    collection: Any,
    chosen: list[tuple[bytes, bytes | None]],
    sort: Sort,
    limit: int,
    fields: tuple[str, ...] | None,
    with_index: bool,
) -> None:
    collection.drop()
    if with_index:
        collection.create_index([("a", 1), ("_id", 1)])
    store(collection, [document(n, *one) for n, one in enumerate(chosen)])
    expected = sorted(numbers(collection, sort))
    assert sorted(check_backwards(collection, query(sort, limit, fields))) == expected
    assert sorted(exported(collection, sort)) == expected


test_each_of_any_documents_once, test_each_of_very_many_documents_once = some_and_many(
    drawn, check_each_once, 25, 500
)


# --- what is no plain collection ------------------------------------------------------------------


def unwound(collection: Any) -> Any:
    database = collection.database
    database["base"].insert_many([{"_id": n, "n": [n, n, 100 + n], "a": n % 2} for n in range(10)])
    database.create_collection("keys", viewOn="base", pipeline=[{"$unwind": "$n"}])
    return collection


def time_series(collection: Any) -> Any:
    collection.database.create_collection("keys", timeseries={"timeField": "t"})
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    collection.insert_many(
        [{"_id": n // 3, "n": n, "t": begin + datetime.timedelta(hours=n % 5)} for n in range(30)]
    )
    return collection


def capped(collection: Any) -> Any:
    collection.database.create_collection("keys", capped=True, size=1_000_000)
    collection.insert_many([{"_id": -n, "n": n, "a": n % 3} for n in range(30)])
    return collection


def clustered(collection: Any) -> Any:
    key = {"key": {"_id": 1}, "unique": True}
    collection.database.create_collection("keys", clusteredIndex=key)
    collection.insert_many([{"_id": n, "n": n, "a": n % 3} for n in range(29)])
    collection.insert_one({"_id": bson.MaxKey(), "n": 29, "a": bson.MaxKey()})
    return collection


def without_id(collection: Any) -> Any:
    collection.database["base"].insert_many([{"n": n, "a": n % 3} for n in range(10)])
    pipeline: list[Any] = [{"$project": {"_id": 0}}]
    collection.database.create_collection("keys", viewOn="base", pipeline=pipeline)
    return collection


@pytest.mark.parametrize("make", [unwound, time_series, capped, clustered, without_id])
@pytest.mark.parametrize(
    "sort", [(("_id", 1),), (("_id", -1),), (("a", 1),), (("a", -1), ("n", 1))]
)
def test_lists_and_exports_of_what_is_no_plain_collection(
    collection: Any, monkeypatch: pytest.MonkeyPatch, make: Callable[[Any], Any], sort: Sort
) -> None:
    monkeypatch.setattr(paging, "FIRST_PAGE", 4)
    monkeypatch.setattr(paging, "PAGE", 4)
    make(collection)
    expected = sorted(one["n"] for one in collection.find())
    for snapshot in (True, False):
        assert sorted(exported(collection, sort, snapshot=snapshot)) == expected
    for limit, fields in ((1, ("n",)), (2, None), (7, ("n",)), (7, None), (30, None)):
        found = check_backwards(collection, query(sort, limit, fields))
        assert sorted(found) == expected, (limit, fields)


# --- long keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_id", ["id", "text", "object", "binary"])
def test_a_token_is_short_and_found_again_whatever_the_key(collection: Any, as_id: str) -> None:
    def key(number: int) -> Any:
        long = "x" * 50_000 + str(number)
        made = {"id": number, "text": long, "object": {"a": {"b": long}}, "binary": long.encode()}
        return made[as_id]

    collection.insert_many([{"_id": key(n), "n": n, "a": f"{'y' * 50_000}{n}"} for n in range(4)])
    for sort in ((("a", 1),), (("a", -1),), (("_id", 1),)):
        assert check_backwards(collection, query(sort, 1)) == numbers(collection, sort)


def test_a_long_key_that_changed_meanwhile_says_to_start_again(collection: Any) -> None:
    collection.insert_many([{"_id": n, "n": n, "a": f"{'y' * 50_000}{n}"} for n in range(4)])
    found = lists(collection, query((("a", 1),), 1))
    next(found)
    collection.update_one({"_id": 0}, {"$set": {"a": "another"}})
    with pytest.raises(Invalid, match="start again"):
        next(found)


def test_texts_of_nine_mebibytes(collection: Any) -> None:
    collection.insert_many([{"_id": n, "n": n, "a": f"{n}" * 9_000_000} for n in range(3)])
    for fields in (("a",), ("n",), None):
        found = list(itertools.chain(*lists(collection, query((("a", -1),), 1, fields))))
        assert [one["_id"] for one in found] == [2, 1, 0]
    assert exported(collection, (("a", -1),)) == [2, 1, 0]
    collection.create_index([("n", 1), ("_id", 1)])
    collection.create_index([("b", 1), ("_id", 1)])
    assert exported(collection, (("n", 1),)) == [0, 1, 2]


@pytest.mark.parametrize(
    "sort",
    [
        (("_id", 1),),
        (("_id", -1),),
        (("a", 1),),
        (("a", -1), ("_id", -1)),
        (("a", -1), ("n", 1)),
    ],
)
def test_a_page_back_reads_no_more_of_an_index_than_a_page_forward(
    collection: Any, sort: Sort
) -> None:
    collection.create_index([("a", 1), ("_id", 1)])
    collection.create_index([("a", -1), ("n", 1), ("_id", 1)])
    collection.insert_many([{"_id": n, "n": n, "a": n // 7} for n in range(600)])
    found = reader(collection)
    asked = query(sort, 5)
    last = found.page(behind(asked, found.page(asked).last or ""))
    collection.database.command("profile", 2)
    try:
        before = found.page(behind(asked, last.before or ""))
    finally:
        collection.database.command("profile", 0)
    assert [one["n"] for one in before.documents] == numbers(collection, sort)[-10:-5]
    (read,) = collection.database["system.profile"].find({"command.find": collection.name})
    assert read["docsExamined"] <= 7


# --- another collection of the same name ----------------------------------------------------------


def drop(collection: Any) -> None:
    collection.drop()


def rename(collection: Any) -> None:
    collection.rename("elsewhere")


def fill_anew(collection: Any) -> None:
    collection.drop()
    collection.insert_many([{"_id": n, "n": -n} for n in range(500, 1500)])


def convert(collection: Any) -> None:
    collection.database.command("convertToCapped", collection.name, size=10_000_000)


def make_a_view(collection: Any) -> None:
    collection.rename("elsewhere")
    collection.database.create_collection(collection.name, viewOn="elsewhere", pipeline=[])


@pytest.mark.parametrize("replace", [drop, rename, fill_anew, convert, make_a_view])
@pytest.mark.parametrize("snapshot", [True, False])
@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("sort", [(("_id", 1),), (("_id", -1),), (("a", 1),)])
def test_an_export_of_a_replaced_collection_is_whole_or_fails(
    collection: Any,
    monkeypatch: pytest.MonkeyPatch,
    replace: Callable[[Any], None],
    snapshot: bool,
    guarded: bool,
    sort: Sort,
) -> None:
    if not guarded:  # as before MongoDB 6.0
        monkeypatch.setattr(keyset, "COLLECTION_UUIDS", 1_000)
    monkeypatch.setattr(paging, "FIRST_PAGE", 100)
    monkeypatch.setattr(paging, "PAGE", 100)
    collection.insert_many([{"_id": n, "n": n, "a": n} for n in range(1000)])
    plan = make_plan(query(sort, None), known(collection).existing, SETTINGS)
    found: list[int] = []
    with start_session(collection, snapshot=snapshot) as session:
        read = pages(collection, plan, session)
        found += [one["n"] for one in bson.decode_all(next(read).raw)]
        replace(collection)
        try:
            for page in read:
                found += [one["n"] for one in bson.decode_all(page.raw)]
        except (OperationFailure, Unavailable):
            return
    assert sorted(found) == list(range(1000))
