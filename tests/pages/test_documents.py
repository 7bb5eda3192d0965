"""One document: read, edited, made, duplicated and deleted by forms."""

import base64
import datetime
import uuid
from collections.abc import Iterator
from typing import Any

import bson
import httpx
import pytest
from bson.codec_options import CodecOptions
from hypothesis import given
from hypothesis import strategies as st

from tests.support.drawing import some_and_many
from tests.support.filling import insert_raw, read_raw
from tests.support.forms import Form, faults, open_form
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = needs_mongod

DATABASE = "documents_of_pages"
UTC = datetime.UTC
KEY = bson.ObjectId("5f43a1b2c3d4e5f60718293a")
CODEC: CodecOptions[Any] = CodecOptions(
    tz_aware=True, uuid_representation=bson.binary.UuidRepresentation.STANDARD
)
ADA = {"name": "Ada", "email": "ada@example.com", "age": 36}


@pytest.fixture(scope="module")
def typed(mongo_uri: str) -> Iterator[httpx.Client]:
    """A client of a server whose documents have fields of every type."""
    words = {"MONGO_URI": mongo_uri, "DB_NAME": DATABASE, "MODELS": "tests.support.every_type"}
    with LiveServer(**words) as live, httpx.Client(base_url=live.address, timeout=30) as client:
        client.cookies.set("zone", "Asia/Shanghai")
        yield client


@pytest.fixture(scope="module")
def stores(database: Any) -> Any:
    """The database of that server."""
    return database.client.get_database(DATABASE, codec_options=CODEC)


@pytest.fixture
def things(stores: Any) -> Any:
    stores["things"].delete_many({})
    return stores["things"]


def edit(http: httpx.Client, resource: str, key: Any = KEY, **words: Any) -> Form:
    return open_form(http, f"/ui/{resource}/{key}/edit", **words)


# --- opened and saved, nothing changes ---

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.sampled_from(
    ["", " ", "\n", "\r\n a\r", "\ta", "\0", "<script>", "{{7*7}}", "a" * 100, "\u202eabc", "'"]
)
MOMENTS = st.datetimes(
    datetime.datetime(1, 1, 3),  # noqa: DTZ001 - hypothesis adds the zone
    datetime.datetime(9999, 12, 29),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda one: one.replace(microsecond=one.microsecond // 1000 * 1000))
NUMBERS = st.integers(-(2**63), 2**63 - 1).map(bson.Int64)
ANY = st.recursive(
    st.none() | st.booleans() | TEXTS | NUMBERS | st.floats() | MOMENTS | st.binary(max_size=9)
    | st.uuids() | st.just(KEY) | st.decimals(places=2, allow_nan=False, min_value=-9,
                                              max_value=9).map(bson.Decimal128)
    | st.just(bson.Timestamp(1, 2)) | st.just(bson.Regex("a", "i")) | st.just(bson.MinKey()),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["a", "b.c", "/~", "x y", "0", "名"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
POINTS = st.fixed_dictionaries(
    {"x": st.floats(allow_nan=False)},
    optional={"y": st.floats(), "label": TEXTS | st.none(), "extra": ANY},
)
TREES: Any = st.deferred(
    lambda: st.fixed_dictionaries(
        {"name": TEXTS}, optional={"children": st.lists(TREES, max_size=2), "left": st.none()}
    )
)
KEYS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=5)
DAYS = st.dates().map(lambda day: datetime.datetime(day.year, day.month, day.day, tzinfo=UTC))
OF_KIND = {
    "text": TEXTS, "whole": NUMBERS, "real": st.floats(), "flag": st.booleans(), "moment": MOMENTS,
    "day": DAYS, "amount": st.sampled_from(["1.10", "1E+3", "-0"]).map(bson.Decimal128),
    "code": st.uuids(), "color": st.sampled_from(["red", "blue"]), "level": st.sampled_from([1, 9]),
    "ref": st.just(KEY), "data": st.binary(), "span": st.floats(0, 9e9), "anything": ANY,
    "either": TEXTS | NUMBERS, "texts": st.lists(TEXTS, max_size=3),
    "moments": st.lists(MOMENTS, max_size=2), "pair": st.just([1, "x"]),
    "grid": st.lists(st.lists(NUMBERS, max_size=2), max_size=2),
    "counts": st.dictionaries(KEYS, NUMBERS, max_size=3),
    "labels": st.dictionaries(KEYS, TEXTS, max_size=3),
    "points_by": st.dictionaries(KEYS, POINTS, max_size=2),
    "lists_by": st.dictionaries(KEYS, st.lists(NUMBERS, max_size=2), max_size=2),
    "free": st.dictionaries(KEYS, ANY, max_size=2), "point": POINTS,
    "points": st.lists(POINTS, max_size=3), "tree": TREES, "secret": TEXTS,
    "link": st.integers(1, 9).map(lambda key: bson.DBRef("numbered", key)),
    "links": st.lists(st.uuids().map(lambda key: bson.DBRef("coded", key)), max_size=2),
}  # fmt: skip
DOCUMENTS = st.fixed_dictionaries(
    {}, optional={name: one | st.none() for name, one in OF_KIND.items()} | {"unknown/~ 1": ANY}
)
STRANGE = st.dictionaries(st.sampled_from([*OF_KIND, "unknown"]), ANY, max_size=5)


def check(typed: httpx.Client, things: Any, document: Any) -> None:
    things.delete_many({})
    raw = bson.encode({"_id": KEY, **document}, codec_options=CODEC)
    insert_raw(things, raw)
    answer = edit(typed, "things").send(typed)
    assert answer.status_code == 303, faults(answer)
    assert answer.cookies["done"] == "unchanged"
    assert read_raw(things, {"_id": KEY}) == raw


test_a_form_that_nobody_touched_changes_nothing, test_it_often = some_and_many(
    given(document=DOCUMENTS | STRANGE), check, 30, 500
)


def check_other(typed: httpx.Client, things: Any, document: Any) -> None:
    """One field is changed in the form; all other bytes stay."""
    things.delete_many({})
    document = {"_id": KEY, "text": "before", **document}
    raw = bson.encode(document, codec_options=CODEC)
    insert_raw(things, raw)
    answer = edit(typed, "things").set("/text", "after").send(typed)
    assert answer.status_code == 303, faults(answer)
    expected = bson.encode({**document, "text": "after"}, codec_options=CODEC)
    assert read_raw(things, {"_id": KEY}) == expected


OTHERS = DOCUMENTS.map(lambda one: {name: value for name, value in one.items() if name != "text"})
test_only_what_was_typed_is_written, test_that_often = some_and_many(
    given(document=OTHERS), check_other, 20, 300
)

# --- null, empty and missing ---


def test_null_empty_and_missing_are_told_apart(typed: httpx.Client, things: Any) -> None:
    things.insert_one({"_id": KEY, "text": "a", "aliased": None, "otherName": ""})
    form = edit(typed, "things")
    assert form.get("state:/otherName") == "value"
    assert form.get("state:/word") == "missing"
    form.set("/text", "").send(typed)
    assert things.find_one()["text"] == ""
    form = edit(typed, "things").press(typed, "clear /text")
    assert form.get("state:/text") == "missing"
    form.send(typed)
    assert "text" not in things.find_one()
    form = edit(typed, "things").press(typed, "fill /text")
    form.send(typed)
    assert things.find_one()["text"] == ""
    form = edit(typed, "things").set("/otherName", "b").press(typed, "clear /otherName")
    form = form.press(typed, "reset /otherName")
    assert form.get("/otherName") == ""
    assert form.get("state:/otherName") == "value"


def test_values_of_every_kind_can_be_typed(typed: httpx.Client, things: Any) -> None:
    things.insert_one({"_id": KEY})
    code = uuid.UUID(int=7)
    typed_texts = {
        "/text": " a\r\nb ", "/whole": " 9223372036854775807 ", "/real": "1.50", "/flag": "false",
        "/moment": "2026-01-02T03:04:05.678", "/day": "2026-01-02", "/amount": "1.10",
        "/code": str(code), "/color": '"red"', "/level": "2", "/word": '"yes"', "/digit": "3",
        "/ref": str(KEY), "/data": base64.b64encode(b"\xff").decode(), "/span": "PT1H",
        "/anything": '{"a": [1.0, null]}', "/either": '"5"', "/grid": "[[1], []]",
    }  # fmt: skip
    form = edit(typed, "things")
    for name, text in typed_texts.items():
        form.set(name, text)
    answer = form.send(typed)
    assert answer.status_code == 303, faults(answer)
    stored = things.find_one()
    assert stored == {
        "_id": KEY, "text": " a\nb ", "whole": 2**63 - 1, "real": 1.5, "flag": False,
        "moment": datetime.datetime(2026, 1, 1, 19, 4, 5, 678000, UTC),
        "day": datetime.datetime(2026, 1, 2, tzinfo=UTC), "amount": bson.Decimal128("1.10"),
        "code": code, "color": "red", "level": 2, "word": "yes", "digit": 3, "ref": KEY,
        "data": b"\xff", "span": 3600.0, "anything": {"a": [1.0, None]}, "either": "5",
        "grid": [[1], []],
    }  # fmt: skip
