"""Filters on the real database: every operator for every kind of field, and what can't be one."""

import datetime
import re
import uuid
from collections.abc import Iterator
from typing import Any

import bson
import httpx
import pytest
from pymongo import MongoClient

from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = needs_mongod
DATABASE = "filters"
DAY = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
KEY = "0123456789abcdef01234567"
CODE = "12345678-1234-5678-1234-567812345678"


@pytest.fixture(scope="module")
def things(mongo_uri: str) -> Iterator[tuple[httpx.Client, Any]]:
    """A client of a server whose documents have fields of every type, and the collection."""
    with (
        LiveServer(
            MONGO_URI=mongo_uri, DB_NAME=DATABASE, MODELS="tests.support.every_type"
        ) as live,
        httpx.Client(base_url=live.address, timeout=60) as client,
        MongoClient[dict[str, Any]](
            mongo_uri, tz_aware=True, uuidRepresentation="standard"
        ) as mongo,
    ):
        yield client, mongo[DATABASE]["things"]


@pytest.fixture(scope="module")
def counted(mongo_uri: str) -> Iterator[tuple[httpx.Client, Any]]:
    """The same for fields with the names of parameters, and for dicts."""
    with (
        LiveServer(MONGO_URI=mongo_uri, DB_NAME=DATABASE, MODELS="tests.query.samples") as live,
        httpx.Client(base_url=live.address, timeout=60) as client,
        MongoClient[dict[str, Any]](mongo_uri, tz_aware=True) as mongo,
    ):
        yield client, mongo[DATABASE]["counted"]


def numbers(client: httpx.Client, path: str, query: str) -> list[Any]:
    """The `_id`s of what a list shows."""
    answer = client.get(f"/{path}/?{query}&limit=1000&count=none")
    assert answer.status_code == 200, answer.text
    return [document["_id"] for document in answer.json()]


FIELDS: dict[
    str, tuple[Any, Any, str, str]
] = {  # stored low and high values, and how a query says them
    "text": ("a b", "b,c", "a b", "b%2Cc"),
    "whole": (1, bson.Int64(2**62), "1", "4611686018427387904"),
    "real": (1.5, 1e300, "1.5", "1e300"),
    "moment": (DAY, DAY.replace(hour=5), "2026-01-02T08:00:00%2B08:00", "2026-01-02T05:00:00.000Z"),
    "day": (DAY, DAY.replace(day=3), "2026-01-02", "2026-01-03"),
    "amount": (bson.Decimal128("1.10"), bson.Decimal128("1.2"), "1.1", "1.20"),
    "code": (uuid.UUID(CODE), uuid.UUID(int=2**127), CODE, str(uuid.UUID(int=2**127))),
    "color": ("green", "red", "green", "red"),
    "level": (1, 2, "1", "2"),
    "word": ("no", "yes", "no", "yes"),
    "digit": (1, 3, "1", "3"),
    "ref": (bson.ObjectId(KEY), bson.ObjectId("f" * 24), KEY, "F" * 24),
    "data": (b"a", b"\xff", "YQ==", "/w=="),
    "span": (1.5, 90.0, "1.5", "90"),
    "texts": (["a", "m"], ["z"], "a", "z"),
    "wholes": ([1, 5], [9], "1", "9"),
    "point.x": ({"x": 1.0}, {"x": 2.0}, "1", "2.0"),
    "points.x": ([{"x": 1.0}, {"x": 1.5}], [{"x": 2.0}], "1", "2.0"),
    "line.start.label": ({"start": {"label": "a"}}, {"start": {"label": "b"}}, "a", "b"),
    "counts.k": ({"k": 1}, {"k": 2}, "1", "2"),
    "otherName": ("a", "b", "a", "b"),
}


@pytest.mark.parametrize("path", FIELDS)
def test_every_operator_for_every_kind_of_field(
    things: tuple[httpx.Client, Any], path: str
) -> None:
    client, collection = things
    low, high, low_text, high_text = FIELDS[path]
    name = path.partition(".")[0]
    collection.delete_many({})
    ids = [bson.ObjectId(f"{n:024x}") for n in range(4)]
    collection.insert_many(
        [{"_id": ids[0], name: low}, {"_id": ids[1], name: high}, {"_id": ids[2]}]
    )
    collection.insert_one({"_id": ids[3], name: None})
    expected = {
        f"{path}={low_text}": [0],
        f"{path}__eq={high_text}": [1],
        f"{path}__ne={low_text}": [1, 2, 3],
        f"{path}__gt={low_text}": [1] if path not in ("texts", "wholes", "points.x") else [0, 1],
        f"{path}__gte={low_text}": [0, 1],
        f"{path}__lt={high_text}": [0],
        f"{path}__lte={high_text}": [0, 1],
        f"{path}__in={low_text}&{path}__in={high_text}": [0, 1],
        f"{path}__nin={low_text}&{path}__nin={high_text}": [2, 3],
        f"{path}__in={low_text}": [0],
        f"{path}__exists=true": [0, 1],
        f"{path}__exists=false": [2, 3],
        f"{path}__exists=": [0, 1, 2, 3],
        f"{path}__gte={low_text}&{path}__lt={high_text}": [0],
    }
    if path == "text":
        expected |= {f"{path}__in=b,c": [], f"{path}__in={high_text}&{path}__in=x": [1]}
    else:
        expected |= {
            f"{path}__in={low_text},{high_text}": [0, 1],
            f"{path}__nin={low_text},{high_text}": [2, 3],
        }
    for query, found in expected.items():
        assert numbers(client, "things", query) == [str(ids[n]) for n in found], query


@pytest.mark.parametrize(
    "path",
    sorted(set(FIELDS) - {"text", "texts", "color", "word", "otherName", "line.start.label"}),
)
@pytest.mark.parametrize(
    "text", ["x", "1.2.3", "{}", '{"$gt":0}', "$gt", "[1]", "null", " ", "\0", "١", "1_0", "0x1"]
)
def test_a_value_of_another_type_is_refused(
    things: tuple[httpx.Client, Any], path: str, text: str
) -> None:
    client, _ = things
    for word in ("", "__ne", "__gt", "__in", "__nin"):
        if (path, text) == ("data", "null"):
            continue  # that is base64
        answer = client.get("/things/", params={path + word: text})
        assert answer.status_code == 422, (path + word, text)
        assert answer.json()["errors"][0]["parameter"] == path + word
    assert client.get("/things/", params={f"{path}__exists": text}).status_code == 422


@pytest.mark.parametrize(
    "path",
    sorted(set(FIELDS) - {"text", "texts", "color", "word", "otherName", "line.start.label"}),
)
def test_an_empty_value_is_an_absent_parameter(things: tuple[httpx.Client, Any], path: str) -> None:
    client, collection = things
    collection.delete_many({})
    collection.insert_one({})
    for word in ("", "__eq", "__ne", "__gt", "__gte", "__lt", "__lte", "__in", "__nin", "__exists"):
        assert len(numbers(client, "things", f"{path}{word}=")) == 1


def test_an_export_takes_the_same_conditions(things: tuple[httpx.Client, Any]) -> None:
    client, collection = things
    collection.delete_many({})
    collection.insert_many([{"whole": n, "text": f"t{n}", "points": [{"x": n}]} for n in range(20)])
    for query in (
        "whole__gte=3&text__contains=1",
        "points.x__in=1,2,3&sort=-whole&skip=1",
        "keyword=t1&limit=3",
    ):
        assert (
            client.get(f"/things/export/json?{query}").json()
            == client.get(f"/things/?{query}").json()
        )


def test_an_empty_text_is_a_text(things: tuple[httpx.Client, Any]) -> None:
    client, collection = things
    collection.delete_many({})
    collection.insert_many([{"text": "", "whole": 0}, {"text": "x", "whole": 1}, {"whole": 2}])
    expected = {
        "": [0],
        "__eq": [0],
        "__ne": [1, 2],
        "__gt": [1],
        "__gte": [0, 1],
        "__lt": [],
        "__lte": [0],
        "__in": [0],
        "__nin": [1, 2],
        "__contains": [0, 1],
        "__startswith": [0, 1],
        "__regex": [0, 1, 2],
        "__exists": [0, 1, 2],
    }
    for word, found in expected.items():
        answer = client.get(f"/things/?text{word}=&fields=whole&sort=whole")
        assert [document["whole"] for document in answer.json()] == found, word
    assert [d["whole"] for d in client.get("/things/?text__in=&text__in=x&sort=whole").json()] == [
        0,
        1,
    ]


def test_texts_are_found_literally_or_by_pattern(things: tuple[httpx.Client, Any]) -> None:
    client, collection = things
    collection.delete_many({})
    texts = ["a.b", "A.B*", "axb", "xa.b", "王小明", "$where", "a\0b", "line\nbreak", "50%", "ÄÖ"]
    collection.insert_many([{"text": text, "whole": n} for n, text in enumerate(texts)])
    expected = {
        ("contains", "a.b"): [0, 1, 3],
        ("contains", "小"): [4],
        ("contains", "*"): [1],
        ("contains", "$"): [5],
        ("contains", "\0"): [6],
        ("contains", "e\nb"): [7],
        ("contains", "äö"): [9],
        ("startswith", "a.b"): [0, 1],
        ("startswith", "^a"): [],
        ("startswith", "王"): [4],
        ("regex", "^a.b$"): [0, 2, 6],
        ("regex", "(?-i)^A"): [1],
        ("regex", r"\."): [0, 1, 3],
    }
    for (word, text), found in expected.items():
        answer = client.get("/things/", params={f"text__{word}": text, "sort": "whole"})
        assert [document["whole"] for document in answer.json()] == found, (word, text)


@pytest.mark.parametrize("word", ["contains", "startswith"])
def test_long_literal_texts(things: tuple[httpx.Client, Any], word: str) -> None:
    client, collection = things
    collection.delete_many({})
    collection.insert_many(
        [{"text": "k" * 10_000}, {"text": "王" * 7_000}, {"text": "😀." * 4_000}]
    )
    for text in ("k" * 10_000, "王" * 7_000, "😀." * 4_000):
        answer = client.get("/things/", params={f"text__{word}": text})
        assert answer.status_code == 200, answer.text
        assert len(answer.json()) == 1
    answer = client.get("/things/", params={f"text__{word}": "k" * 10_001})
    assert answer.status_code == 422
    assert "10,000" in answer.json()["detail"]


@pytest.mark.parametrize(
    "text", ["t", "12", "1.5", "true", "2026-01-02T00:00:00Z", CODE, KEY, "-3", "王"]
)
def test_a_field_without_a_type_is_found_by_what_the_text_may_stand_for(
    things: tuple[httpx.Client, Any], text: str
) -> None:
    client, collection = things
    stored = {
        "t": "t",
        "12": 12,
        "1.5": 1.5,
        "true": True,
        "2026-01-02T00:00:00Z": DAY,
        CODE: uuid.UUID(CODE),
        KEY: bson.ObjectId(KEY),
        "-3": "-3",
        "王": ["王", "x"],
    }
    collection.delete_many({})
    collection.insert_many([{"anything": value, "text": name} for name, value in stored.items()])
    found = client.get("/things/", params={"anything": text}).json()
    assert [document["text"] for document in found] == [text]
    assert len(client.get("/things/", params={"anything__ne": text}).json()) == len(stored) - 1
    assert len(client.get("/things/", params={"anything__in": f"{text},nothing"}).json()) == 1


def test_exists_through_a_list_asks_for_some_element(things: tuple[httpx.Client, Any]) -> None:
    client, collection = things
    collection.delete_many({})
    points: list[Any] = [
        [{"x": 1, "label": "a"}, {"x": 2, "label": None}], [{"x": 1}], [], None, [{"label": "b"}],
        "none", [[1]],
    ]  # fmt: skip
    collection.insert_many([{"points": point, "whole": n} for n, point in enumerate(points)])
    for query, found in {"true": [0, 4], "false": [1, 2, 3, 5, 6]}.items():
        answer = client.get(f"/things/?points.label__exists={query}&sort=whole")
        assert [document["whole"] for document in answer.json()] == found
    for query, found in {"true": [0, 1, 2, 4, 5, 6], "false": [3]}.items():
        answer = client.get(f"/things/?points__exists={query}&sort=whole")
        assert [document["whole"] for document in answer.json()] == found


def test_a_list_with_a_null_in_it_exists(things: tuple[httpx.Client, Any]) -> None:
    client, collection = things
    collection.delete_many({})
    values: list[Any] = [[None], ["a", None], [], ["a"], None, "a"]
    for name in ("texts", "anything"):
        collection.insert_many([{name: value, "whole": n} for n, value in enumerate(values)])
        collection.insert_one({"whole": 6})
        for query, found in {"true": [0, 1, 2, 3, 5], "false": [4, 6]}.items():
            answer = client.get(f"/things/?{name}__exists={query}&sort=whole")
            assert [document["whole"] for document in answer.json()] == found, (name, query)
        collection.delete_many({})


def test_conditions_are_anded_each_on_its_own(things: tuple[httpx.Client, Any]) -> None:
    client, collection = things
    collection.delete_many({})
    collection.insert_many([
        {"points": [{"x": 1.0, "label": "a"}, {"x": 2.0, "label": "b"}], "whole": 0},
        {"points": [{"x": 1.0, "label": "c"}], "whole": 1},
    ])  # fmt: skip
    answer = client.get("/things/?points.x=1&points.label=b")
    assert [document["whole"] for document in answer.json()] == [0]
    answer = client.get("/things/?points.x=1&points.x=2")
    assert [document["whole"] for document in answer.json()] == [0]
    assert client.get("/things/?whole=0&whole=1").json() == []


# --- what can't be asked --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("nmae", "name"), ("Name", "name"), ("agee__gte", "age__gte"), ("age__gtee", "age__gte"),
        ("age_gte", "age"),
        ("profile.agee", "profile.age"),
        ("profile.addresses.citty__in", "profile.addresses.city__in"),
        ("limt", "limit"),
        ("Limit", "limit"), ("page", "age"), ("keywords", "keyword"),
        ("email__Contains", "email__contains"),
        ("name[$ne]", "name"), ("name__$ne", "name__ne"), ("age__startswith", "eq, ne"),
        ("_idd", "_id"), ("__gte", ""),
        ("name.", "name"), (".name", "name"),
        ("profile.addresses.0.city", "profile.addresses.city"), ("", ""),
        ("$where", ""), ("name\0", "name"), ("profile", "profile__exists"),
        ("profile.addresses", "profile.addresses__exists"),
        ("profile__eq", "it has exists"),
    ],
)  # fmt: skip
def test_an_unknown_parameter_is_refused_with_the_nearest_name(
    http: httpx.Client, name: str, nearest: str
) -> None:
    for path in ("/users/", "/users", "/users/export/csv"):
        answer = http.get(path, params={name: "1"})
        assert answer.status_code == 422
        (fault,) = answer.json()["errors"]
        assert fault["parameter"] == name
        assert nearest in fault["detail"].removeprefix(f"{name}: ")
        assert fault["detail"] in answer.json()["detail"]


@pytest.mark.parametrize(
    "name", ["profil__gt", "profile.addres__gte", "addresses__contains", "nam__gtt", "prof"]
)
def test_what_is_suggested_works(http: httpx.Client, name: str) -> None:
    (fault,) = http.get("/users/", params={name: "1"}).json()["errors"]
    suggested = re.findall(r"(?:mean|is) '([^']+)'", fault["detail"])
    assert len(suggested) == 1, fault
    value = "true" if suggested[0].endswith("__exists") else "1"
    assert http.get("/users/", params={suggested[0]: value}).status_code == 200, fault


@pytest.mark.parametrize("sort", ["profil", "profile.addresses", "profile.addresses.citi", "agee"])
def test_a_suggested_sort_works(http: httpx.Client, sort: str) -> None:
    (fault,) = http.get("/users/", params={"sort": sort}).json()["errors"]
    for suggested in re.findall(r"mean '([^']+)'", fault["detail"]):
        assert http.get("/users/", params={"sort": suggested}).status_code == 200, fault


def test_an_export_without_a_format(http: httpx.Client) -> None:
    answer = http.get("/users/export")
    assert answer.status_code == 404
    assert "/users/export/csv" in answer.json()["detail"]
    assert "/users/export/xlsx" in answer.json()["detail"]


def test_many_unknown_parameters_do_not_hold_the_server(http: httpx.Client) -> None:
    query = "&".join(f"{'x' * 8}{n}__gte=1" for n in range(2500))
    answer = http.get(f"/users/?{query}")
    assert answer.status_code == 422
    assert http.get(f"/users/?{'y' * 30_000}=1").status_code == 422


@pytest.mark.parametrize(
    "name", ["keyword", "sort", "skip", "limit", "fields", "after", "count", "expand"]
)
@pytest.mark.parametrize("value", ["", "1"])
def test_a_doubled_parameter_is_refused(http: httpx.Client, name: str, value: str) -> None:
    answer = http.get(f"/users/?{name}={value}&{name}={value}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == name
    assert "twice" in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize(
    "query",
    [
        "name[$ne]=x",
        "name[]=x",
        "name__where=1",
        "$where=1",
        "name.$ne=x",
        "$or=1",
        "profile.$gt=1",
        "__proto__=1",
    ],
)
def test_no_operator_comes_from_a_name(http: httpx.Client, users: Any, query: str) -> None:
    users.insert_one({"name": "a", "email": "a@x.org"})
    assert http.get(f"/users/?{query}").status_code == 422


@pytest.mark.parametrize(
    "value", ["$ne", '{"$ne":null}', '{"$gt":""}', "[$ne]", "$$ROOT", "$name", "/a/"]
)
@pytest.mark.parametrize("word", ["", "__eq", "__in", "__contains", "__startswith"])
def test_no_operator_comes_from_a_value(
    http: httpx.Client, users: Any, value: str, word: str
) -> None:
    users.insert_many([{"name": "a", "email": "a@x.org"}, {"name": value, "email": "b@x.org"}])
    answer = http.get("/users/", params={f"name{word}": value})
    assert [user["name"] for user in answer.json()] == [value]


def test_excluded_fields_can_not_be_asked_for(things: tuple[httpx.Client, Any]) -> None:
    client, collection = things
    collection.delete_many({})
    collection.insert_one({"secret": "s", "text": "t"})
    for query in (
        "secret=s",
        "secret__exists=true",
        "secret__regex=s",
        "sort=secret",
        "fields=secret",
        "fields=text,secret",
    ):
        answer = client.get(f"/things/?{query}")
        assert answer.status_code == 422, query
        assert "Did you mean 'secret" not in answer.text
    assert "secret" not in client.get("/things/?keyword=t&fields=text").text
    assert client.get("/things/?keyword=s").json() == []


# --- dicts, and fields with the names of parameters -----------------------------------------------


def test_keys_of_dicts(counted: tuple[httpx.Client, Any]) -> None:
    client, collection = counted
    collection.delete_many({})
    collection.insert_many([
        {"_id": 0, "tags": {"color": "Red", "a__b": "x"}, "numbers": {"k": 1, "ne": 5},
         "anything": {"k": 1.5}},
        {"_id": 1, "tags": {"color": "blue", "color__ne": "odd"}, "numbers": {"k": 9},
         "anything": {"k": ["x"]}},
        {"_id": 2, "tags": {}, "numbers": None},
    ])  # fmt: skip
    expected = {
        "tags.color=Red": [0], "tags.color__ne=Red": [1, 2], "tags.color__contains=e": [0, 1],
        "tags.a__b__eq=x": [0],
        "tags.color__ne__eq=odd": [1], "tags.color__in=Red,blue": [0, 1],
        "tags.color__exists=true": [0, 1],
        "numbers.k__gt=1": [1], "numbers.k__gte=1": [0, 1], "numbers.ne=5": [0],
        "anything.k=1.5": [0],
        "anything.k=x": [1], "tags__exists=true": [0, 1, 2], "numbers__exists=false": [2],
        "tags.王=x": [],
    }  # fmt: skip
    for query, found in expected.items():
        answer = client.get(f"/counted/?{query}&sort=_id")
        assert [document["_id"] for document in answer.json()] == found, query
    assert [d["_id"] for d in client.get("/counted/?sort=-numbers.k").json()] == [1, 0, 2]
    assert client.get("/counted/?sort=_id&fields=tags.color&limit=1").json() == [
        {"_id": 0, "tags": {"color": "Red"}}
    ]
    for name in (
        "tags.$ne",
        "tags.",
        "tags..a",
        "tags.a\0b",
        "tags.a.b",
        "tags.a__gt\0",
        "numbers.k__contains",
    ):
        if name != "numbers.k__contains":
            assert client.get("/counted/", params={name: "1"}).status_code == 422, name
        assert client.get("/counted/", params={"sort": f"n,{name}"}).status_code == 422
    for name in ("tags.$ne", "tags.a\0b", "tags.", "tags.a.b"):
        assert client.get("/counted/", params={"fields": name}).status_code == 422


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tags.color__contians", "Did you mean 'tags.color__contains'?"),
        ("tags.color__contians", "filtered by tags.color__contians__eq"),
        ("tags.a__b", "filtered by tags.a__b__eq"),
        ("tags.a__b__c", "filtered by tags.a__b__c__eq"),
        ("numbers.k__contains", "'numbers.k' has no operator 'contains'; it has eq, ne"),
        ("anything.k__gtt", "Did you mean 'anything.k__gt'?"),
        ("anything.k.deep__GT", "Did you mean 'anything.k.deep__gt'?"),
    ],
)
def test_below_a_dict_the_last_word_is_an_operator(
    counted: tuple[httpx.Client, Any], name: str, said: str
) -> None:
    client, _ = counted
    for path in ("/counted/", "/counted/export/csv", "/counted/export/ndjson"):
        answer = client.get(path, params={name: "1"})
        assert answer.status_code == 422, answer.text
        (fault,) = answer.json()["errors"]
        assert fault["parameter"] == name
        assert said in fault["detail"]


def test_a_key_with_two_underscores(counted: tuple[httpx.Client, Any]) -> None:
    client, collection = counted
    collection.delete_many({})
    collection.insert_many([
        {"_id": 0, "tags": {"a__b": "x"}, "anything": {"__k__": {"c__d": 1}}},
        {"_id": 1, "tags": {"a": "x"}, "anything": {"__k__": 2}},
    ])  # fmt: skip
    for query, found in {
        "tags.a__b__eq=x": [0],
        "tags.a__b__in=x,y": [0],
        "tags.a__b__exists=false": [1],
        "anything.__k____eq=2": [1],
        "anything.__k__.c__d__eq=1": [0],
        "anything.__k__.c__d__gte=1": [0],
    }.items():
        assert numbers(client, "counted", query) == found, query


def test_every_operator_on_what_has_no_type(counted: tuple[httpx.Client, Any]) -> None:
    client, collection = counted
    collection.delete_many({})
    values: list[Any] = [
        20, 20.5, bson.Int64(30), bson.Decimal128("20.5"), "20", "b", True, DAY, None, [5, 40],
        {"deep": {"er": 20}}, bson.ObjectId(KEY),
    ]  # fmt: skip
    collection.insert_many([{"_id": n, "anything": {"t": value}} for n, value in enumerate(values)])
    everything = set(range(len(values)))
    for query, found in {
        "t=20": {0, 4},
        "t__eq=20.5": {1, 3},
        "t__ne=20": everything - {0, 4},
        "t__gt=20": {1, 2, 3, 5, 9},  # 40 of the list; and the text that is greater than "20"
        "t__gte=20": {0, 1, 2, 3, 4, 5, 9},
        "t__lt=20": {9},
        "t__lte=20": {0, 4, 9},
        "t__in=b,true": {5, 6},
        "t__nin=b,true": everything - {5, 6},
        "t=true": {6},
        "t=2026-01-02": {7},
        "t__gte=2026-01-01": {5, 7},
        "t__lt=2026-01-03T00:00:00Z": {4, 7},
        f"t={KEY}": {11},
        "t__exists=false": {8},
        "t__contains=B": {5},
        "t__startswith=2": {4},
        "t__regex=^[a-c]$": {5},
        "t.deep.er=20": {10},
        "t.deep.er__gte=21": set(),
        "t__contains=": {4, 5},
        "t=": everything,
    }.items():
        assert set(numbers(client, "counted", f"anything.{query}")) == found, query
        export = client.get(f"/counted/export/json?anything.{query}").json()
        assert {document["_id"] for document in export} == found, query


def test_a_field_with_the_name_of_a_parameter(counted: tuple[httpx.Client, Any]) -> None:
    client, collection = counted
    collection.delete_many({})
    collection.insert_many([
        {"_id": 0, "count": 5, "columns": 7, "keyword": "k", "expand": "e"},
        {"_id": 1, "count": 6, "columns": 8, "keyword": "l", "expand": "f"},
    ])  # fmt: skip
    for query in (
        "count__eq=5",
        "count__lt=6",
        "columns=7",
        "columns__eq=7",
        "keyword__eq=k",
        "expand__eq=e",
    ):
        answer = client.get(f"/counted/?{query}")
        assert answer.status_code == 200, answer.text
        assert [document["_id"] for document in answer.json()] == [0], query
    assert client.get("/counted/?count=5").status_code == 422
    assert client.get("/counted/?expand=e").status_code == 422
    assert [
        d["_id"] for d in client.get("/counted/export/json?count__eq=6&columns__eq=8").json()
    ] == [1]
    assert client.get("/counted/export/json?count=5").status_code == 422
    assert client.get("/counted/export/csv?columns=count").text == "count\r\n5\r\n6\r\n"


# --- what is stored in another form than it is sent -----------------------------------------------


def test_finer_than_milliseconds_is_compared_exactly(things: tuple[httpx.Client, Any]) -> None:
    client, collection = things
    collection.delete_many({})
    moments = [DAY.replace(microsecond=ms * 1000) for ms in (677, 678, 679)]
    ids = [bson.ObjectId(f"{n:024x}") for n in range(3)]
    collection.insert_many(
        [{"_id": key, "moment": moment} for key, moment in zip(ids, moments, strict=True)]
    )
    for word, found in {
        "lt": [0, 1],
        "lte": [0, 1],
        "gt": [2],
        "gte": [2],
        "eq": [1],  # as which it would be stored
        "in": [1],
    }.items():
        for digits in ("678500", "6785", "678001", "678000001"):
            query = f"moment__{word}=2026-01-02T00:00:00.{digits}Z"
            assert numbers(client, "things", query) == [str(ids[n]) for n in found], query
    for word, found in {"lt": [0], "lte": [0, 1], "gt": [2], "gte": [1, 2]}.items():
        query = f"moment__{word}=2026-01-02T00:00:00.678000Z"
        assert numbers(client, "things", query) == [str(ids[n]) for n in found], query
    last = "9999-12-31T23:59:59.999500Z"
    assert len(numbers(client, "things", f"moment__lt={last}&moment__lte={last}")) == 3
    assert numbers(client, "things", f"moment__gte={last}") == []


def test_a_duration_is_asked_for_as_it_is_sent(things: tuple[httpx.Client, Any]) -> None:
    client, collection = things
    collection.delete_many({})
    key = client.post("/things/", json={"span": "PT1H30M"}).json()["_id"]
    for query in ("span=PT1H30M", "span=5400", "span__gte=PT90M", "span__in=PT1H30M,PT1S"):
        assert numbers(client, "things", query) == [key], query
    assert numbers(client, "things", "span__gt=PT1H30M") == []


def test_a_list_of_lists_has_only_exists(things: tuple[httpx.Client, Any]) -> None:
    client, collection = things
    collection.delete_many({})
    collection.insert_many([{"grid": [[1, 2], [3]]}, {}])
    assert len(numbers(client, "things", "grid__exists=true")) == 1
    answer = client.get("/things/?grid=3")
    assert answer.status_code == 422
    assert "grid__exists" in answer.json()["errors"][0]["detail"]


@pytest.fixture(scope="module")
def pages(mongo_uri: str) -> Iterator[tuple[httpx.Client, Any]]:
    """The same for texts that are stored in another form than they are sent."""
    with (
        LiveServer(MONGO_URI=mongo_uri, DB_NAME=DATABASE, MODELS="tests.support.spelled") as live,
        httpx.Client(base_url=live.address, timeout=60) as client,
        MongoClient[dict[str, Any]](mongo_uri, tz_aware=True) as mongo,
    ):
        yield client, mongo[DATABASE]["pages"]


def test_a_text_is_found_as_its_type_writes_it(pages: tuple[httpx.Client, Any]) -> None:
    client, collection = pages
    collection.delete_many({})
    sent = {
        "url": "http://x.com",
        "links": ["HTTP://Y.com"],
        "comments": [{"email": "X@EXAMPLE.com"}],
        "address": "2001:DB8:0:0:0:0:0:1",
        "tag": " New ",
        "code": "abc",
        "mails": {"home": "Y@EXAMPLE.com"},
    }
    key = client.post("/pages/", json=sent).raise_for_status().json()["_id"]
    collection.insert_one({"url": "http://x.com", "code": "ab"})  # by another program
    for query in (
        "links=HTTP://Y.com",
        "comments.email=X@EXAMPLE.com",
        "comments.email__in=X@EXAMPLE.com,y@x.org",
        "comments.email__gte=X@EXAMPLE.com",
        "address=2001:DB8:0:0:0:0:0:1",
        "tag= New ",
        "code=abc",
        "mails.home=Y@EXAMPLE.com",
        "url__gt=http://x.com&url__lte=http://x.com/",
        "comments.email__contains=X@EXAMPLE",
    ):
        found = numbers(client, "pages", query)
        assert found == ([] if "url__gt" in query else [key]), query
    assert len(numbers(client, "pages", "url=http://x.com")) == 2  # in both forms
    assert numbers(client, "pages", "url__ne=http://x.com") == []
    assert len(numbers(client, "pages", "code=ab")) == 1  # what the model would refuse
    rows = client.get("/pages/export/csv?url=http://x.com&columns=code").text.split()
    assert sorted(rows) == ["ABC", "ab", "code"]
