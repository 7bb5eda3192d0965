"""Documents of any BSON, over HTTP: patches keep what wasn't sent, every key has an address."""

import datetime
import json
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import bson
import httpx
import pytest
from bson.code import Code
from bson.dbref import DBRef
from hypothesis import given
from hypothesis import strategies as st

from app.resources.elements import elements, join_elements
from tests.support.drawing import some_and_many
from tests.support.filling import insert_raw, read_raw
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = needs_mongod

DATABASE = "any_bson"
KEY = bson.ObjectId("5f43a1b2c3d4e5f60718293a")
HERE = f"/loose/{KEY}"
OBJECT = 0x03
SYMBOL, UNDEFINED = b"\x0e%b\0\x03\0\0\0ab\0", b"\x06%b\0"
BROKEN = b"\x02%b\0\x03\0\0\0\xff\xfe\0"
POINTER = b"\x0c%b\0\x03\0\0\0ab\0" + b"\1" * 12


@pytest.fixture(scope="module")
def server(mongo_uri: str) -> Iterator[LiveServer]:
    with LiveServer(MONGO_URI=mongo_uri, DB_NAME=DATABASE, MODELS="tests.support.any_bson") as live:
        yield live


@pytest.fixture(scope="module")
def stored(database: Any) -> Any:
    return database.client[DATABASE]


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, timeout=60) as client:
        yield client


# --- random documents, random patches ------------------------------------------------------------

RARE = [
    KEY, uuid.UUID(int=1), bson.Decimal128("1.10"), bson.Int64(5), 5, 1.0, -0.0, float("nan"), True,
    None, "text", "",
    datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), bson.Timestamp(1, 2), bson.Regex("a", "i"),
    Code("f", {"x": 1}),
    bson.MinKey(), bson.MaxKey(), b"bytes", bson.Binary(b"x", 3), DBRef("c", KEY), [], {},
    [KEY, {"a": 1.0}],
    bson.datetime_ms.DatetimeMS(2**60),
]  # fmt: skip
RAW = [SYMBOL, UNDEFINED, BROKEN, POINTER]
NAMES = st.sampled_from(["a", "b", "a.b", "$x", "", "名", "0", "long name", "x" * 30])
LEAVES = st.one_of(
    st.sampled_from(RARE).map(lambda value: lambda name: bson.encode({name: value},
    codec_options=STANDARD)[4:-1]),
    st.sampled_from(RAW).map(lambda raw: lambda name: raw % name.encode()),
)  # fmt: skip
STANDARD: Any = bson.CodecOptions(uuid_representation=4)


def element(raw: bytes) -> Any:
    return lambda name: bytes([OBJECT]) + name.encode() + b"\0" + raw


def objects(values: Any) -> Any:
    """Objects as BSON; names may come twice."""
    pairs = st.lists(st.tuples(NAMES, values), max_size=5)
    return pairs.map(lambda found: join_elements(make(name) for name, make in found))


OBJECTS = objects(st.recursive(LEAVES, lambda inner: objects(inner).map(element), max_leaves=6))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.just(1.5),
    st.sampled_from(["t", "", "王"])),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)  # fmt: skip
PATCHES = st.fixed_dictionaries(
    {},
    optional={
        "free": st.dictionaries(NAMES, JSON, max_size=3),
        "anything": JSON,
        "inner": st.fixed_dictionaries(
            {}, optional={"number": st.integers(0, 9), "labels": st.dictionaries(NAMES,
            st.none() | st.just("l"))}
        ),
        "inners": st.dictionaries(NAMES, st.fixed_dictionaries({}, optional={"number": st.just(7)}),
        max_size=2),
        "note": st.sampled_from(["n", None]),
    },
)  # fmt: skip


def unsent(before: bytes, after: bytes, patch: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """What each object has beside what was sent into it, before and after, as bytes."""
    sent = {name.encode() for name in patch}
    yield tuple(  # type: ignore[misc]
        [raw[one.begin : one.end] for one in elements(raw) if one.name not in sent]
        for raw in (before, after)
    )
    old = {one.name.decode(): one for one in elements(before)}
    new = {one.name.decode(): one for one in elements(after)}
    for name, value in patch.items():
        if isinstance(value, dict) and name in old and old[name].kind == OBJECT:
            one, other = old[name], new[name]
            yield from unsent(before[one.value : one.end], after[other.value : other.end], value)


def merged(raw: bytes | None, shown: Any, patch: Any) -> Any:
    """RFC 7396, where only what is an object in BSON is one."""
    if not isinstance(patch, dict):
        return patch
    kept = {one.name.decode(): one for one in elements(raw)} if raw is not None else {}
    result = dict(shown) if raw is not None else {}
    for name, value in patch.items():
        old = kept.get(name)
        inner = raw[old.value : old.end] if raw and old and old.kind == OBJECT else None
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(inner, result.get(name), value)
    return result


def check_patch(
    client: httpx.Client,
    stored: Any,
    free: bytes,
    anything: bytes,
    inner: bytes,
    inners: bytes,
    patch: Any,
) -> None:
    fields = {"free": free, "anything": anything, "inner": inner, "inners": inners}
    raw = join_elements(
        [bson.encode({"_id": KEY, "secret": 5})[4:-1],
         *(element(value)(name) for name, value in fields.items())]
    )  # fmt: skip
    stored["loose"].delete_many({})
    insert_raw(stored["loose"], raw)
    shown = client.get(HERE).json()
    answer = client.patch(HERE, json=patch)
    after = read_raw(stored["loose"], {})
    assert answer.status_code == 200, (answer.text, patch)
    for before, now in unsent(raw, after, patch):
        assert before == now
    expected = merged(raw, shown, patch)
    for name in ("free", "anything"):
        is_removed = patch.get(name, ...) is None  # then it gets the model's default
        if not is_removed and b"$ref" not in raw:  # inside a DBRef numbers are Extended JSON too
            assert answer.json()[name] == expected[name]
    assert client.get(HERE).content == answer.content
    assert client.patch(HERE, json=answer.json()).status_code == 200


test_patch_leaves_every_byte_alone_that_was_not_sent, test_patches_leave_every_byte_alone = (
    some_and_many(given(OBJECTS, OBJECTS, OBJECTS, OBJECTS, PATCHES), check_patch, 20, 500)
)


# --- the right values, one by one ----------------------------------------------------------------


def test_excluded_value_survives_a_replacement_in_its_bson(
    client: httpx.Client, stored: Any
) -> None:
    for raw in (SYMBOL, UNDEFINED, BROKEN, POINTER, b"\x10%b\0\x05\0\0\0"):
        secret = raw % b"secret"
        stored["loose"].delete_many({})
        insert_raw(stored["loose"], join_elements([bson.encode({"_id": KEY})[4:-1], secret]))
        answer = client.put(HERE, json={"note": "m"})
        assert (answer.status_code, "secret" in answer.text) == (200, False), raw
        found = read_raw(stored["loose"], {})
        assert [found[one.begin : one.end] for one in elements(found) if one.name == b"secret"] == [
            secret
        ]


def test_retired_types_are_canonical_extended_json(client: httpx.Client, stored: Any) -> None:
    stored["loose"].delete_many({})
    parts = [SYMBOL % b"s", UNDEFINED % b"u", POINTER % b"p"]
    nested = bytes([OBJECT]) + b"free\0" + join_elements(parts)
    insert_raw(stored["loose"], join_elements([bson.encode({"_id": KEY})[4:-1], *parts, nested]))
    shown = {
        "s": {"$symbol": "ab"},
        "u": {"$undefined": True},
        "p": {"$dbPointer": {"$ref": "ab", "$id": {"$oid": "01" * 12}}},
    }
    whole = {"_id": str(KEY), **shown, "free": shown}
    assert client.get(HERE).json() == whole
    assert client.get("/loose/").json() == [whole]
    assert client.get("/loose/export/json").json() == [whole]
    assert json.loads(client.get("/loose/export/ndjson").text) == whole


def test_what_only_looks_like_an_object_is_replaced(client: httpx.Client, stored: Any) -> None:
    for sent in ({}, {"$symbol": "cd"}, {"t": 1}, {"$symbol": "ab", "t": 1}):
        stored["loose"].delete_many({})
        nested = bytes([OBJECT]) + b"free\0" + join_elements([SYMBOL % b"s"])
        insert_raw(stored["loose"], join_elements([bson.encode({"_id": KEY})[4:-1], nested]))
        before = read_raw(stored["loose"], {})
        assert client.patch(HERE, json={"free": {"s": {"$symbol": "ab"}}}).status_code == 200
        assert read_raw(stored["loose"], {}) == before
        assert client.patch(HERE, json={"free": {"s": sent}}).json()["free"] == {"s": sent}


def test_field_that_is_there_twice_shows_the_last_and_patches_it(
    client: httpx.Client, stored: Any
) -> None:
    stored["loose"].delete_many({})
    twice = [bson.encode({"_id": KEY, "note": "a"})[4:-1], bson.encode({"note": "b"})[4:-1]]
    insert_raw(stored["loose"], join_elements(twice))
    assert client.get(HERE).json()["note"] == "b"
    assert client.patch(HERE, json={"note": "c"}).json() == {"_id": str(KEY), "note": "c"}
    assert client.get(HERE).json()["note"] == "c"


def test_duration_is_filtered_as_it_is_sent(client: httpx.Client, stored: Any) -> None:
    stored["loose"].delete_many({})
    created = client.post("/loose/", json={"span": "PT1H30M"}).json()
    assert created["span"] == 5400
    for text in ("PT1H30M", "5400", "5400.0", "P0DT5400S"):
        assert [one["_id"] for one in client.get(f"/loose/?span={text}").json()] == [created["_id"]]
    assert client.get("/loose/?span__lt=PT1H30M").json() == []
    assert client.get("/loose/?span=hour").status_code == 422


# --- keys ----------------------------------------------------------------------------------------

SENT: list[tuple[str, Any]] = [
    ("by_object", {"a": 1}), ("by_object", {"a": {"b.c": [1, "x"], "王": None}}), ("by_object", {}),
    ("by_date", "2026-01-02"), ("by_moment", "2026-01-02T03:04:05.678Z"),
    ("by_moment", "2026-01-02T00:00:00Z"),
    ("by_bytes", ""), ("by_bytes", "AP8="), ("by_float", 1.5), ("by_float", 1e300),
    ("by_float", -0.0),
    ("by_decimal", "1.10"), ("by_span", 5400.0), ("by_any", True), ("by_any", 1.5), ("by_any", 7),
    ("by_any", "7"),
    ("by_any", "true"), ("by_any", {"a": 1}), ("by_any", '{"a":1}'), ("by_any", "a/b %"),
    ("by_any", '"quoted"'),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "key"), SENT)
def test_location_leads_to_what_was_created(
    client: httpx.Client, stored: Any, resource: str, key: Any
) -> None:
    stored[resource].delete_many({})
    created = client.post(f"/{resource}/", json={"_id": key})
    assert created.status_code == 201, created.text
    address = created.headers["location"]
    assert client.get(address).json() == created.json()
    assert client.patch(address, json={"note": "n"}).json() == {**created.json(), "note": "n"}
    assert client.put(address, json={"_id": created.json()["_id"]}).status_code == 200
    assert client.delete(address).status_code == 204


def test_keys_that_look_alike_are_told_apart(client: httpx.Client, stored: Any) -> None:
    keys = [7, "7", True, "true", None, "null", 1.5, "1.5", {"a": 1}, '{"a":1}']
    stored["by_any"].delete_many({})
    addresses = []
    for key in keys:
        answer = client.post("/by_any/", json={"_id": key}) if key is not None else None
        if answer is not None:
            assert answer.status_code == 201, answer.text
            addresses.append((key, answer.headers["location"]))
    texts = [(key, address) for key, address in addresses if isinstance(key, str)]
    for key, address in texts:
        assert client.get(address).json()["_id"] == key


@pytest.mark.parametrize("key", [[1], {"$oid": "x"}, {"$gt": 1}, "", "..", []])
def test_key_that_can_have_no_address_is_refused(
    client: httpx.Client, stored: Any, key: Any
) -> None:
    answer = client.post("/by_any/", json={"_id": key})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/_id")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (True, "true"), (1.5, "1.5"), (None, "null"),
        (bson.Timestamp(1, 2), '{"$timestamp":{"t":1,"i":2}}'),
        (bson.Decimal128("1.1"), '{"$numberDecimal":"1.1"}'),
        ({"a": KEY}, f'{{"a":{{"$oid":"{KEY}"}}}}'),
        (bson.MinKey(), '{"$minKey":1}'), (b"\0", '{"$binary":{"base64":"AA==","subType":"00"}}'),
        ("", '""'),
        (datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), "2026-01-02T00:00:00Z"),
        ("..", '".."'),
    ],
)  # fmt: skip
def test_key_of_another_program_has_an_address(
    client: httpx.Client, stored: Any, key: Any, text: str
) -> None:
    stored["loose"].delete_many({})
    stored["loose"].insert_one({"_id": key, "note": "n"})
    answer = client.get(f"/loose/{quote(text, safe='')}")
    assert answer.status_code == 200, answer.text
    assert client.patch(f"/loose/{quote(text, safe='')}", json={"note": "m"}).status_code == 200


@pytest.mark.parametrize("key", ["", ".", ".."])
def test_text_that_is_no_step_of_a_path_has_an_address_where_keys_are_texts(
    client: httpx.Client, stored: Any, key: str
) -> None:
    stored["by_text"].delete_many({})
    stored["by_text"].insert_one({"_id": key})
    assert client.get(f"/by_text/%22{key}%22").json() == {"_id": key}
    assert client.delete(f"/by_text/%22{key}%22").status_code == 204


@pytest.mark.parametrize(
    "text", ['{"$gt":""}', '{"$regularExpression":{"pattern":".","options":""}}', '{"$ne":1}',
    '["a"]', "{", '{"a":']
)  # fmt: skip
def test_text_of_an_address_is_never_an_operator(
    client: httpx.Client, stored: Any, text: str
) -> None:
    stored["by_any"].delete_many({})
    stored["by_any"].insert_many([{"_id": "a"}, {"_id": {"a": 1}}])
    assert client.get(f"/by_any/{quote(text, safe='')}").status_code == 404
    assert client.delete(f"/by_any/{quote(text, safe='')}").status_code == 404
    assert stored["by_any"].count_documents({}) == 2
