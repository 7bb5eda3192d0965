"""Paging by key on the real database: each document once, in the order of one sorted find."""

import datetime
import itertools
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import bson
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.errors import BulkWriteError, OperationFailure

from app.query.ordering import EXACT
from tests.support.drawing import some_and_many
from tests.support.filling import fill, insert_raw
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = needs_mongod
DATABASE = "paging"
NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, datetime.UTC)
SORTS = ("", "a", "-a", "b,-a", "-b,a", "inner.value", "-inner.value,a", "a,-_id", "-_id")
VALUES: list[Any] = [
    None, 0, 1, 1, 1.0, 1.5, -3, 2**53 + 1, float("nan"), float("inf"), -0.0,
    bson.Decimal128("1.10"), "", "a", "a",
    "B", "王", True, False, NOW, bson.DatetimeMS(2**53), bson.ObjectId("0" * 24), uuid.UUID(int=5),
    b"", b"\xff",
    [], [], [1], [3, None], [[]], [[1], 2], ["z", "a"], {}, {"x": 1}, {"x": []}, {"$date": "no"},
    bson.Regex("a", "i"),
    bson.Timestamp(5, 1), bson.MinKey(), bson.MaxKey(), bson.Code("1"),
    bson.Binary(b"1", 128),
]  # fmt: skip
KEYS: list[Any] = [
    None, 0, 1, 1.5, -3, 2**53 + 1, float("nan"), float("inf"), bson.Decimal128("1.10"), "", "a",
    "B", "王",
    True, False, NOW, bson.DatetimeMS(2**53), bson.ObjectId("0" * 24), uuid.UUID(int=5), b"",
    b"\xff", {}, {"x": 1},
    {"x": []}, bson.Timestamp(5, 1), bson.MinKey(), bson.MaxKey(), bson.Code("1"),
    bson.Binary(b"1", 128),
]  # fmt: skip
INNERS: list[Any] = [
    None, {}, [], {"value": None}, {"value": 2}, {"value": []}, {"value": [5, 1]},
    [{"value": 2}, {}],
    [1, {"value": 3}], [[{"value": 1}]], {"value": "text"}, [{"value": []}, {"value": 3}],
    "no object", {"value": {"x": 1}},
]  # fmt: skip


@pytest.fixture(scope="module")
def live(mongo_uri: str) -> Iterator[LiveServer]:
    with LiveServer(MONGO_URI=mongo_uri, DB_NAME=DATABASE, MODELS="tests.query.samples") as server:
        yield server


@pytest.fixture(scope="module")
def paging(mongo_uri: str) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](
        mongo_uri, tz_aware=True, uuidRepresentation="standard"
    ) as client:
        yield client[DATABASE]


@pytest.fixture
def client(live: LiveServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live.address, timeout=60) as client:
        yield client


def documents() -> Iterator[dict[str, Any]]:
    """Documents of many kinds, with `_id`s of many kinds."""
    for number, (value, inner) in enumerate(zip(VALUES * 2, itertools.cycle(INNERS), strict=False)):
        key = KEYS[number] if number < len(KEYS) else f"again {number}"
        if isinstance(value, list):
            inner = {"value": 1}  # an index can't hold parallel arrays, and a find can't sort them
        document = {
            "_id": key,
            "n": number,
            "a": value,
            "b": VALUES[number // 4],
            "inner": inner,
            "code": number,
        }
        for name in ("a", "b", "inner"):
            if number % 7 == len(name):
                del document[name]
        yield document


def order(collection: Any, sort: str, condition: dict[str, Any] | None = None) -> list[int]:
    """The numbers of the documents as one sorted find gives them."""
    keys = [(key.lstrip("-"), -1 if key.startswith("-") else 1) for key in sort.split(",") if key]
    paths = [path for path, _ in keys]
    if "_id" not in paths:
        keys.append(("_id", 1))
    found = collection.find_raw_batches(condition or {}, {"n": 1}, sort=keys)
    return [one["n"] for batch in found for one in bson.decode_all(batch, EXACT)]


def walk(client: httpx.Client, address: str, pages: int = 1000) -> Iterator[list[int]]:
    """The numbers page by page."""
    following: str | None = address
    while following is not None and pages > 0:
        answer = client.get(following)
        assert answer.status_code == 200, answer.text
        yield [document["n"] for document in answer.json()]
        following = answer.links.get("next", {}).get("url")
        pages -= 1


def paged(client: httpx.Client, address: str) -> list[int]:
    return list(itertools.chain.from_iterable(walk(client, address)))


def there_and_back(client: httpx.Client, address: str) -> list[int]:
    """The same, of pages that are the same on the way back, and of a last page that ends them."""
    pages = []
    following: str | None = address
    while following is not None:
        answer = client.get(following)
        assert answer.status_code == 200, answer.text
        pages.append(answer)
        following = answer.links.get("next", {}).get("url")
    for page, behind in itertools.pairwise(pages):
        back = client.get(behind.links["prev"]["url"])
        assert back.json() == page.json()
        assert back.headers["Link"] == page.headers["Link"]
        assert client.get(behind.links["first"]["url"]).json() == pages[0].json()
    assert "prev" not in pages[0].links
    assert pages[-1].links.keys() <= {"prev", "first"}
    found = [document["n"] for page in pages for document in page.json()]
    if len(pages) > 1:
        last = client.get(pages[0].links["last"]["url"])
        limit = len(pages[0].json())
        assert [document["n"] for document in last.json()] == found[-limit:]
    return found


@pytest.mark.parametrize("collection", ["loose", "entries"])
@pytest.mark.parametrize("sort", SORTS)
def test_pages_hold_each_document_once_in_the_order_of_one_find(
    client: httpx.Client, paging: Any, collection: str, sort: str
) -> None:
    fill(paging[collection], documents())
    expected = order(paging[collection], sort)
    address = f"/{collection}/?sort={sort}&count=none"
    assert paged(client, f"{address}&limit=1") == expected
    assert there_and_back(client, f"{address}&limit=4") == expected
    assert there_and_back(client, f"{address}&limit=3&fields=n") == expected


@pytest.mark.parametrize("sort", ["a", "-a,b", "inner.value"])
def test_pages_of_a_filtered_list(client: httpx.Client, paging: Any, sort: str) -> None:
    fill(paging["entries"], documents())
    expected = order(paging["entries"], sort, {"n": {"$gte": 10}})
    assert there_and_back(client, f"/entries/?limit=4&sort={sort}&n__gte=10") == expected


@pytest.mark.parametrize("sort", ["code", "-code", "a,code"])
def test_a_unique_index_decides_alone(client: httpx.Client, paging: Any, sort: str) -> None:
    codes = [
        None,
        "a",
        1,
        [2, 9],
        [3, 4],
        [],
        {"x": 1},
        NOW,
        "王",
        True,
        b"1",
        bson.ObjectId(),
        2.5,
    ]
    fill(paging["entries"], ({"_id": -n, "n": n, "code": code} for n, code in enumerate(codes)))
    expected = order(paging["entries"], sort)
    for limit in (1, 2, 5, 13):
        assert there_and_back(client, f"/entries/?limit={limit}&sort={sort}") == expected
        assert paged(client, f"/entries/?limit={limit}&sort={sort}&fields=n") == expected


@pytest.mark.parametrize("sort", ["code", "-code"])
@pytest.mark.parametrize("before", [True, False])
def test_pages_stay_right_when_a_unique_index_is_dropped_meanwhile(
    client: httpx.Client, live: LiveServer, paging: Any, sort: str, before: bool
) -> None:
    entries = paging["entries"]
    fill(entries, ({"_id": n, "n": n, "code": n // 3 if before and n < 0 else n} for n in range(6)))
    assert paged(client, f"/entries/?limit=2&sort={sort}") == order(entries, sort)
    first = client.get(f"/entries/?limit=2&sort={sort}")
    token_url = first.links["next"]["url"]
    (name,) = [name for name, index in entries.index_information().items() if index.get("unique")]
    entries.drop_index(name)
    try:
        entries.insert_many([{"_id": 10 + n, "n": 10 + n, "code": n // 2} for n in range(12)])
        expected = order(entries, sort)
        if before:
            rest = paged(client, token_url)
            assert [n for n in rest if n < 6] == [n for n in order(entries, sort) if n < 6][2:]
            assert len(set(rest)) == len(rest)
        for limit in (1, 2, 3, 4, 5):
            assert sorted(paged(client, f"/entries/?limit={limit}&sort={sort}")) == sorted(expected)
        assert paged(client, f"/entries/?limit=2&sort={sort}") == expected
    finally:
        entries.delete_many({})
        entries.create_index([("code", 1)], name=name, unique=True)


def test_pages_stay_right_when_an_index_is_dropped_meanwhile(
    client: httpx.Client, paging: Any
) -> None:
    entries = paging["entries"]
    fill(entries, documents())
    pages = walk(client, "/entries/?limit=3&sort=a")
    found = next(pages)
    entries.drop_index("a_1__id_1")
    try:
        found += itertools.chain.from_iterable(pages)
        assert found == order(entries, "a")
    finally:
        entries.create_index([("a", 1), ("_id", 1)])


@pytest.mark.parametrize("sort", ["a", "-a", "inner.value,-a", ""])
def test_text_that_is_no_utf8_and_undefined_do_not_stop_pages(
    client: httpx.Client, paging: Any, sort: str
) -> None:
    loose = paging["loose"]
    loose.delete_many({})
    for n, raw in enumerate(
        (b"\xff\xfe", b"a\xc3", b"\xef\xbf\xbd", b"\xf0\x28", b"zz", b"\xff\xff\xff\xff", b"\xff")
    ):
        plain = bson.encode(
            {"_id": "#" * len(raw), "n": n, "a": "#" * len(raw), "inner": {"value": n // 3}}
        )
        broken = plain.replace(b"#" * len(raw), raw)
        if n == 6:
            broken = broken.replace(b"\x02a\0\x02\0\0\0\xff\0", b"\x02a\0\x02\0\0\0\xfe\0")
        insert_raw(loose, broken)
    for n in range(10, 14):
        undefined = bson.encode({"_id": 30 - n, "n": n, "a": None}).replace(
            b"\x0aa\0", b"\x06a\0" if n % 2 else b"\x0aa\0"
        )
        insert_raw(loose, undefined)
    expected = order(loose, sort)
    assert len(expected) == 11
    for limit in (1, 2, 3):
        assert paged(client, f"/loose/?limit={limit}&sort={sort}") == expected
        assert paged(client, f"/loose/?limit={limit}&sort={sort}&fields=n") == expected


@pytest.mark.parametrize("collection", ["loose", "entries"])
@pytest.mark.parametrize("sort", ["a", "-a", ""])
def test_pages_while_others_insert(
    client: httpx.Client, paging: Any, collection: str, sort: str
) -> None:
    fill(paging[collection], ({"_id": n * 10, "n": n, "a": n % 5, "code": n} for n in range(60)))
    expected = order(paging[collection], sort)
    stop = threading.Event()

    def insert() -> None:
        for n in itertools.count(1000):
            if stop.is_set():
                return
            paging[collection].insert_one(
                {"_id": (n * 7919) % 600 + n / 1e6, "n": n, "a": n % 7, "code": n}
            )

    thread = threading.Thread(target=insert)
    thread.start()
    try:
        pages = itertools.islice(walk(client, f"/{collection}/?limit=7&sort={sort}"), 400)
        found = list(
            itertools.chain.from_iterable(
                itertools.takewhile(lambda page: page, _until(pages, expected))
            )
        )
    finally:
        stop.set()
        thread.join()
    assert [n for n in found if n < 1000] == expected
    assert len(found) == len(set(found))


def _until(pages: Iterator[list[int]], expected: list[int]) -> Iterator[list[int]]:
    """The pages up to that with the last of the original documents; the inserting may never end."""
    for page in pages:
        yield page
        if expected[-1] in page:
            return


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("a,b", [7, 2, 3, 4, 1, 5, 0, 6]),
        ("-a,b", [6, 4, 0, 1, 5, 3, 2, 7]),
        ("a,-b", [7, 2, 3, 4, 0, 1, 5, 6]),
    ],
)
def test_documents_that_a_find_can_not_sort(
    client: httpx.Client, paging: Any, sort: str, expected: list[int]
) -> None:
    """MongoDB refuses a sort by two keys that are arrays in one document."""
    rows: list[tuple[Any, Any]] = [
        ([2, 5], [1]),
        (2, 0),
        ([], [3]),
        (None, [1, 2]),
        ([9, 1], []),
        ([2], [0]),
        ([[]], [4]),
        ([bson.MinKey()], [4]),
    ]
    fill(paging["loose"], ({"_id": n, "n": n, "a": a, "b": b} for n, (a, b) in enumerate(rows)))
    assert paged(client, f"/loose/?sort={sort}&limit=100") == expected
    assert there_and_back(client, f"/loose/?sort={sort}&limit=1") == expected
    assert paged(client, f"/loose/?sort={sort}&limit=2&fields=n&n__gte=0") == expected
    assert client.get(f"/loose/?sort={sort}&limit=1").json()[0].keys() == {"_id", "n", "a", "b"}


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(width=16),
    st.text("aB王\0�", max_size=2),
    st.binary(max_size=1),
    st.sampled_from([NOW, bson.ObjectId("1" * 24), bson.Decimal128("1"), bson.Timestamp(1, 1)]),
)  # fmt: skip
ANY = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=2), st.lists(st.lists(SCALARS, max_size=1), max_size=2)
)
INNER = st.one_of(
    st.fixed_dictionaries({}, optional={"value": ANY}),
    st.lists(st.one_of(st.fixed_dictionaries({}, optional={"value": ANY}), SCALARS), max_size=3),
)
DOCUMENT = st.fixed_dictionaries({}, optional={"a": ANY, "b": ANY, "inner": INNER})
KEY = st.sampled_from(["a", "b", "inner.value", "n"])


parallel = example(
    found=[{}, {"a": [[]], "inner": {"value": []}}],
    keys=[("a", ""), ("inner.value", "")],
    limit=1,
    only="",
    collection="loose",
)
drawn = given(
    found=st.lists(DOCUMENT, max_size=12),
    keys=st.lists(
        st.tuples(KEY, st.sampled_from(["", "-"])), max_size=3, unique_by=lambda key: key[0]
    ),
    limit=st.integers(1, 5),
    only=st.sampled_from(["", "n", "n,a", "inner,n"]),
    collection=st.sampled_from(["loose", "entries"]),
)


def check_pages(
    client: httpx.Client,
    paging: Any,
    found: list[dict[str, Any]],
    keys: list[tuple[str, str]],
    limit: int,
    only: str,
    collection: str,
) -> None:
    paging[collection].delete_many({})
    with suppress(BulkWriteError):  # arrays at two keys of an index
        if found:
            paging[collection].insert_many(
                [{**one, "n": n, "code": n} for n, one in enumerate(found)]
            )
    sort = ",".join(sign + path for path, sign in keys)
    try:
        expected = order(paging[collection], sort)
    except OperationFailure:  # parallel arrays: a find can't do it, we can
        expected = paged(client, f"/{collection}/?limit=1000&sort={sort}")
        assert len(expected) == len(set(expected)) == paging[collection].count_documents({})
    address = f"/{collection}/?limit={limit}&sort={sort}&fields={only}"
    assert there_and_back(client, address) == expected


test_pages_of_any_documents, test_pages_of_very_many_documents = some_and_many(
    lambda check: parallel(drawn(check)), check_pages, 25, 500
)


# --- the page before ------------------------------------------------------------------------------


def numbered(client: httpx.Client, address: str) -> list[int]:
    return [document["n"] for document in client.get(address).json()]


def test_a_page_back_that_reaches_the_beginning_is_the_first_one(
    client: httpx.Client, paging: Any
) -> None:
    fill(paging["loose"], ({"_id": n, "n": n} for n in range(20)))
    second = client.get(client.get("/loose/?limit=7").links["next"]["url"])
    before = httpx.URL(second.links["prev"]["url"])
    first = client.get(before.copy_set_param("limit", "10"))
    assert [document["n"] for document in first.json()] == list(range(10))
    assert first.links.keys() == {"next", "last"}
    nearest = client.get(before.copy_set_param("limit", "2"))
    assert [document["n"] for document in nearest.json()] == [5, 6]
    assert numbered(client, nearest.links["next"]["url"]) == [7, 8]
    assert numbered(client, nearest.links["prev"]["url"]) == [3, 4]


def test_after_skip_the_page_before_skips_less(client: httpx.Client, paging: Any) -> None:
    fill(paging["loose"], ({"_id": n, "n": n} for n in range(20)))
    page = client.get("/loose/?limit=4&skip=6")
    before = page.links["prev"]["url"]
    assert before.endswith("/loose/?limit=4&skip=2")
    assert client.get(before).links["prev"]["url"].endswith("/loose/?limit=4")
    following = client.get(page.links["next"]["url"])
    assert numbered(client, following.links["prev"]["url"]) == [6, 7, 8, 9]
    assert numbered(client, "/loose/?skip=40") == []
    assert client.get("/loose/?skip=40").links["prev"]["url"].endswith("/loose/?skip=30")


def test_what_was_inserted_or_deleted_meanwhile_is_on_the_way_back(
    client: httpx.Client, paging: Any
) -> None:
    fill(paging["loose"], ({"_id": n, "n": n} for n in range(0, 60, 10)))
    second = client.get(client.get("/loose/?limit=2").links["next"]["url"])
    paging["loose"].insert_many([{"_id": n, "n": n} for n in (5, 15, 25)])
    paging["loose"].delete_one({"_id": 20})
    assert numbered(client, second.links["prev"]["url"]) == [10, 15]
    paging["loose"].delete_many({"_id": {"$gt": 10}})
    empty = client.get(second.links["next"]["url"])
    assert empty.json() == []
    assert numbered(client, empty.links["prev"]["url"]) == [5, 10]


def test_back_from_the_last_page_of_a_filtered_list(http: httpx.Client, users: Any) -> None:
    users.insert_many({"_id": n, "name": f"{n % 3}", "email": f"{n}@x.org"} for n in range(9))
    address = "/users/?sort=-name&limit=2&name__in=0,1"
    pages = [page.json() for page in walk_any(http, address)]
    last = http.get(http.get(address).links["last"]["url"])
    assert last.json() == pages[-1]
    back = [last.json()]
    while "prev" in last.links:
        last = http.get(last.links["prev"]["url"])
        back.append(last.json())
    assert back[::-1] == pages


# --- the Link header and the token ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "relations"),
    [(1_000, "next prev first last"), (3_000, "next prev"), (40_000, "next")],
)
def test_a_long_query_is_repeated_in_fewer_links(
    client: httpx.Client, paging: Any, length: int, relations: str
) -> None:
    fill(paging["loose"], ({"_id": n, "n": n} for n in range(20)))
    answer = client.get(f"/loose/?{'n__gte=0&' * (length // 9)}skip=4&limit=2")
    assert list(answer.links) == relations.split()
    assert len(answer.headers["Link"]) < 65_536  # which Python's own client takes
    assert numbered(client, answer.links["next"]["url"]) == [6, 7]


def test_link_is_absolute_and_repeats_what_was_asked(
    http: httpx.Client, users: Any, server: LiveServer
) -> None:
    users.insert_many({"name": f"王{n}", "email": f"{n}@x.org", "age": n} for n in range(5))
    answer = http.get("/users?name__contains=王&age__gte=0&age__gte=1&limit=2&fields=name&skip=1")
    assert [user["name"] for user in answer.json()] == ["王2", "王3"]
    (link, *_others), relations = zip(
        *re.findall(r'<([^<>]+)>; rel="(\w+)"(?:, |$)', answer.headers["Link"]), strict=True
    )
    assert relations == ("next", "prev", "first", "last")
    assert link.isascii()
    assert link.startswith(f"{server.address}/users?name__contains=%E7%8E%8B&")
    pairs = parse_qsl(urlsplit(link).query)
    assert pairs[:-1] == [
        ("name__contains", "王"),
        ("age__gte", "0"),
        ("age__gte", "1"),
        ("limit", "2"),
        ("fields", "name"),
    ]
    assert pairs[-1][0] == "after"
    last = http.get(link)
    assert [user["name"] for user in last.json()] == ["王4"]
    assert last.links.keys() == {"prev", "first"}
    assert last.links["first"]["url"] == link.partition("&after=")[0]


@pytest.mark.parametrize("documents", [0, 1, 2, 4])
def test_nothing_comes_next_on_the_last_page_also_where_it_is_full(
    http: httpx.Client, users: Any, documents: int
) -> None:
    if documents:
        users.insert_many({"name": "x", "email": f"{n}@x.org"} for n in range(documents))
    assert len(list(walk_any(http, "/users/?limit=2"))) == max(1, -(-documents // 2))


def walk_any(client: httpx.Client, address: str | None) -> Iterator[httpx.Response]:
    while address is not None:
        answer = client.get(address)
        yield answer
        address = answer.links.get("next", {}).get("url")


def _token(
    http: httpx.Client, users: Any, query: str = "sort=name&limit=1", relation: str = "next"
) -> str:
    users.insert_many({"name": f"{n}", "email": f"{n}@x.org", "age": 7} for n in range(3))
    address = f"/users/?{query}"
    if relation == "prev":
        address = http.get(address).links["last"]["url"]
    return httpx.URL(http.get(address).links[relation]["url"]).params["after"]


@pytest.mark.parametrize("relation", ["next", "prev"])
def test_every_changed_token_is_refused(http: httpx.Client, users: Any, relation: str) -> None:
    token = _token(http, users, relation=relation)
    assert http.get("/users/", params={"sort": "name", "after": token}).status_code == 200
    changed = [
        token[:n] + other + token[n + 1 :]
        for n in range(len(token))
        for other in ("A", "b", "-", "+", "é", " ")
    ]
    changed += [
        token[:-1],
        token + "A",
        token + "=",
        token + "==",
        " " + token,
        token * 2,
        "x",
        "....",
        "\0",
        "A" * 4000,
    ]
    changed += [token[:-1] + chr(ord(token[-1]) + 1), token[:-1] + chr(ord(token[-1]) - 1)]
    for other in dict.fromkeys(changed):
        if other == token:
            continue
        answer = http.get("/users/", params={"sort": "name", "after": other})
        assert answer.status_code == 422, other
        assert answer.json()["errors"][0]["parameter"] == "after"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "sort=-name",
        "sort=name,age",
        "sort=email",
        "sort=name&age=7",
        "sort=name&keyword=1",
        "sort=name&skip=0",
    ],
)
def test_a_token_belongs_to_its_sort_and_filter(http: httpx.Client, users: Any, query: str) -> None:
    token = _token(http, users)
    answer = http.get(f"/users/?{query}&after={token}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "after"


def test_a_token_goes_with_another_page_size_and_fields(http: httpx.Client, users: Any) -> None:
    token = _token(http, users, "sort=name&limit=1&age__gte=1&name__ne=x")
    answer = http.get(
        f"/users/?name__ne=x&age__gte=1&sort=name&limit=5&fields=name&count=none&after={token}&skip="
    )
    assert [user["name"] for user in answer.json()] == ["1", "2"]


def test_a_token_of_another_collection_is_refused(client: httpx.Client, paging: Any) -> None:
    for name in ("loose", "entries"):
        fill(paging[name], ({"n": n, "code": n} for n in range(3)))
    link = client.get("/loose/?limit=1").links["next"]["url"]
    assert client.get(link).status_code == 200
    assert client.get(link.replace("/loose/", "/entries/")).status_code == 422


def test_a_token_works_on_every_server_of_one_database(
    http: httpx.Client, users: Any, mongo_uri: str
) -> None:
    token = _token(http, users)
    with LiveServer(MONGO_URI=mongo_uri, DB_NAME="test") as other:
        answer = httpx.get(f"{other.address}/users/?sort=name&after={token}")
    assert [user["name"] for user in answer.json()] == ["1", "2"]
