"""Each field type, over HTTP: sent, stored as BSON, shown, filtered, sorted and patched."""

import base64
import datetime
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
import httpx
import pytest
from bson.codec_options import CodecOptions

from tests.support import every_type
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = needs_mongod

DATABASE = "every_type"
UTC = datetime.UTC
REF = "5f43a1b2c3d4e5f60718293a"
CODE = "00000000-0000-0000-0000-00000000000a"
DATA = base64.b64encode(b"\xff\x00a").decode()
POINT = {"x": 1.5, "y": 0.5, "label": None}
LEAF = {"children": [], "left": None}

# field, sent, stored, shown (None: as it was sent), a filter that finds it, one that doesn't
TABLE: list[tuple[str, Any, Any, Any, str, str]] = [
    ("text", "王 😀", "王 😀", None, "text__contains=王", "text=other"),
    ("text", "007", "007", None, "text=007", "text=7"),
    ("whole", 30, 30, None, "whole__gte=30", "whole__gt=30"),
    ("whole", "30", 30, 30, "whole=30", "whole=31"),
    ("whole", 2**63 - 1, bson.Int64(2**63 - 1), None, f"whole={2**63 - 1}", f"whole={2**63 - 2}"),
    ("real", 1.5, 1.5, None, "real__lt=2", "real__lt=1.5"),
    ("real", 2, 2.0, None, "real=2", "real=3"),
    ("flag", True, True, None, "flag=true", "flag=false"),
    ("moment", "2026-01-02T03:04:05.678901+02:00",
     datetime.datetime(2026, 1, 2, 1, 4, 5, 678000, UTC),
     "2026-01-02T01:04:05.678Z", "moment__gte=2026-01-02T01:04:05Z", "moment__lt=2026-01-02"),
    ("moment", "2026-01-02T03:04:05", datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
     "2026-01-02T03:04:05Z", "moment=2026-01-02T03:04:05Z", "moment=2026-01-02T03:04:06Z"),
    ("day", "2026-01-02", datetime.datetime(2026, 1, 2, tzinfo=UTC), None, "day=2026-01-02",
     "day__gt=2026-01-02"),
    ("amount", "1.10", bson.Decimal128("1.10"), None, "amount=1.1", "amount__gt=1.1"),
    ("code", CODE, uuid.UUID(CODE), None, f"code={CODE}", f"code={uuid.UUID(int=11)}"),
    ("color", "red", "red", None, "color=red", "color=green"),
    ("level", 2, 2, None, "level=2", "level=1"),
    ("word", "yes", "yes", None, "word__in=yes,maybe", "word=no"),
    ("digit", 2, 2, None, "digit=2", "digit=3"),
    ("ref", REF, bson.ObjectId(REF), None, f"ref={REF}", f"ref={REF[::-1]}"),
    ("data", DATA, b"\xff\x00a", None, f"data={DATA}", "data=AAAA"),
    ("span", "PT1H", 3600.0, 3600.0, "span=3600", "span__gt=3600"),
    ("anything", {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}, None, "anything__exists=true",
     "anything__exists=false"),
    ("either", "5", "5", None, "either=5", "either=6"),
    ("either", 5, 5, None, "either=5", "either=6"),
    ("texts", ["a", "b"], ["a", "b"], None, "texts=b", "texts=c"),
    ("wholes", [1, 2], [1, 2], None, "wholes__gt=1", "wholes__gt=2"),
    ("moments", ["2026-01-02T03:04:05Z"], [datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)],
     None,
     "moments__gt=2026-01-01", "moments__gt=2027-01-01"),
    ("days", ["2026-01-02"], [datetime.datetime(2026, 1, 2, tzinfo=UTC)], None, "days=2026-01-02",
     "days=2026-01-03"),
    ("amounts", ["1.10"], [bson.Decimal128("1.10")], None, "amounts=1.1", "amounts=2"),
    ("colors", ["red"], ["red"], None, "colors=red", "colors=green"),
    ("refs", [REF], [bson.ObjectId(REF)], None, f"refs={REF}", f"refs={REF[::-1]}"),
    ("datas", ["AA=="], [b"\x00"], None, "datas=AA==", "datas=AAA="),
    ("unique", ["a", "b", "a"], ["a", "b"], ["a", "b"], "unique=a", "unique=c"),
    ("pair", [1, "x"], [1, "x"], None, "pair__exists=true", "pair__exists=false"),
    ("grid", [[1, 2], [3]], [[1, 2], [3]], None, "grid__exists=true", "grid__exists=false"),
    ("counts", {"a": 1}, {"a": 1}, None, "counts.a=1", "counts.a=2"),
    ("labels", {"a.b": "x", "$c": "y"}, {"a.b": "x", "$c": "y"}, None, "labels__exists=true",
     "labels__exists=false"),
    ("amounts_by", {"a": "1.10"}, {"a": bson.Decimal128("1.10")}, None, "amounts_by.a=1.1",
     "amounts_by.a=2"),
    ("days_by", {"a": "2026-01-02"}, {"a": datetime.datetime(2026, 1, 2, tzinfo=UTC)}, None,
     "days_by.a=2026-01-02", "days_by.b=2026-01-02"),
    ("points_by", {"p": {"x": 1.5}}, {"p": POINT}, {"p": POINT}, "points_by.p.x=1.5",
     "points_by.p.x=2"),
    ("lists_by", {"a": [1]}, {"a": [1]}, None, "lists_by.a=1", "lists_by.a=2"),
    ("free", {"x": {"y": 1}}, {"x": {"y": 1}}, None, "free.x__exists=true", "free.y__exists=true"),
    ("point", {"x": 1.5}, POINT, POINT, "point.y=0.5", "point.y=1"),
    ("points", [{"x": 1.5}], [POINT], [POINT], "points.x=1.5", "points.x=2"),
    ("line", {"start": {"x": 1.5}, "others": [{"x": 1.5}]}, {"start": POINT, "others": [POINT]},
     {"start": POINT, "others": [POINT]}, "line.others.x=1.5", "line.start.x=2"),
    ("tree", {"name": "r", "children": [{"name": "c"}], "left": {"name": "l"}},
     {"name": "r", "children": [{"name": "c", **LEAF}], "left": {"name": "l", **LEAF}},
     {"name": "r", "children": [{"name": "c", **LEAF}], "left": {"name": "l", **LEAF}},
     "tree.children.name=c", "tree.left.name=c"),
    ("link", 7, bson.DBRef("numbered", 7), None, "link=7", "link=8"),
    ("link", 7, bson.DBRef("numbered", 7), None, "link.name=seven", "link.name=eight"),
    ("links", [CODE], [bson.DBRef("coded", uuid.UUID(CODE))], None, f"links={CODE}",
     "links__exists=false"),
    ("signed", {"by": "a/b"}, {"by": bson.DBRef("named", "a/b"), "at": None},
     {"by": "a/b", "at": None}, "signed.by=a/b", "signed.by=b"),
    ("all_signed", [{"by": "a/b"}, {"at": "x"}],
     [{"by": bson.DBRef("named", "a/b"), "at": None}, {"by": None, "at": "x"}],
     [{"by": "a/b", "at": None}, {"by": None, "at": "x"}], "all_signed.by.name=n",
     "all_signed.by.name=m"),
    ("otherName", "o", "o", None, "otherName=o", "otherName=p"),
]  # fmt: skip
SORTED = (
    "text",
    "whole",
    "real",
    "flag",
    "moment",
    "day",
    "amount",
    "code",
    "color",
    "level",
    "word",
    "digit",
    "ref",
    "data",
    "span",
    "anything",
    "either",
    "point.x",
    "line.start.x",
    "tree.left.name",
    "counts.a",
    "otherName",
)


@pytest.fixture(scope="module")
def server(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("zoo")
    (folder / "zoo").mkdir()
    (folder / "zoo" / "__init__.py").write_text(Path(every_type.__file__).read_text())
    with LiveServer(folder, MONGO_URI=mongo_uri, DB_NAME=DATABASE, MODELS="zoo") as live:
        yield live


@pytest.fixture
def stored(database: Any) -> Any:
    """The database of the server, empty; datetimes are aware."""
    found = database.client.get_database(
        DATABASE, codec_options=CodecOptions(tz_aware=True, uuid_representation=4)
    )
    for name in found.list_collection_names():
        found[name].delete_many({})
    return found


@pytest.fixture
def targets(stored: Any) -> None:
    """What the links of the table lead to."""
    stored["numbered"].insert_one({"_id": 7, "name": "seven"})
    stored["named"].insert_one({"_id": "a/b", "name": "n"})
    stored["coded"].insert_one({"_id": uuid.UUID(CODE)})


@pytest.fixture
def http(server: LiveServer, stored: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, timeout=60) as client:
        yield client


def sent(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code in (200, 201), answer.text
    document: dict[str, Any] = answer.json()
    return document


@pytest.mark.usefixtures("targets")
@pytest.mark.parametrize(("name", "value", "in_bson", "shown", "finds", "misses"), TABLE)
def test_type(
    http: httpx.Client,
    stored: Any,
    name: str,
    value: Any,
    in_bson: Any,
    shown: Any,
    finds: str,
    misses: str,
) -> None:
    shown = value if shown is None else shown
    created = sent(http.post("/things/", json={name: value}))
    found = stored["things"].find_one()
    assert created[name] == shown
    assert (found[name], type(found[name])) == (in_bson, type(in_bson))
    assert sent(http.get(f"/things/{created['_id']}")) == created
    assert http.get(f"/things/?{finds}").json() == [created]
    assert http.get(f"/things/?{misses}").json() == []
    tag = http.get(f"/things/{created['_id']}").headers["etag"]
    for answer in (
        http.patch(f"/things/{created['_id']}", json={name: value}),
        http.put(f"/things/{created['_id']}", json=created),
    ):
        assert (sent(answer), answer.headers["etag"]) == (created, tag)
    removed = sent(http.patch(f"/things/{created['_id']}", json={name: None}))
    default = {"texts": [], "counts": {}, "points": []}.get(name)
    assert removed.get(name) == default
    assert (name in removed) is (default is not None)
    assert sent(http.patch(f"/things/{created['_id']}", json={name: value}))[name] == shown


def test_table_has_every_field() -> None:
    names = {info.alias or name for name, info in every_type.Thing.model_fields.items()}
    assert {row[0] for row in TABLE} == names - {"_id", "revision_id", "secret"}


def test_documents_link_to_their_own_class(http: httpx.Client, stored: Any) -> None:
    """One that links to itself can be made, and goes with its own link."""
    first = sent(http.post("/nodes/", json={"_id": 1, "parent": 1}))
    second = sent(http.post("/nodes/", json={"_id": 2, "parent": 1}))
    assert (first, second) == ({"_id": 1, "parent": 1}, {"_id": 2, "parent": 1})
    assert stored["nodes"].find_one({"_id": 2})["parent"] == bson.DBRef("nodes", 1)
    assert http.get("/nodes/1/nodes").json() == [first, second]
    assert http.get("/nodes/?parent.parent=1&_id__gt=1").json() == [second]
    deep = {"_id": 2, "parent": {"_id": 1, "parent": {"_id": 1, "parent": first}}}
    assert http.get("/nodes/2?expand=parent.parent.parent").json() == deep
    too_deep = http.get("/nodes/2?expand=parent.parent.parent.parent")
    assert "it goes through 3 links at most" in too_deep.json()["detail"]
    assert http.post("/nodes/", json={"_id": 3, "parent": 4}).status_code == 422
    refused = http.delete("/nodes/1")
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "1 document of 'nodes' (in parent) links to this document; change or delete it first.",
    )
    assert http.delete("/nodes/2").status_code == 204
    assert http.delete("/nodes/1").status_code == 204


def test_documents_of_one_body_may_link_to_each_other(http: httpx.Client) -> None:
    nodes = [{"_id": 1, "parent": 2}, {"_id": 2, "parent": 2}]
    assert http.post("/nodes/", json=nodes).status_code == 201
    assert http.get("/nodes/").json() == nodes
    wrong = http.post("/nodes/", json=[{"_id": 3, "parent": 4}, {"_id": 4, "parent": 5}])
    assert [fault["pointer"] for fault in wrong.json()["errors"]] == ["#/1/parent"]


@pytest.mark.parametrize("path", SORTED)
def test_sort_by(http: httpx.Client, path: str) -> None:
    row = next(row for row in TABLE if row[0] == path.partition(".")[0])
    full = sent(http.post("/things/", json={row[0]: row[1]}))
    empty = sent(http.post("/things/", json={}))
    assert http.get(f"/things/?sort={path}").json() == [empty, full]
    assert http.get(f"/things/?sort=-{path}").json() == [full, empty]


def test_excluded_field_is_never_seen_and_survives(http: httpx.Client, stored: Any) -> None:
    created = sent(http.post("/things/", json={"text": "a", "secret": "s"}))
    item = f"/things/{created['_id']}"
    answers = [
        http.get(item),
        http.patch(item, json={"text": "b"}),
        http.put(item, json={"text": "c"}),
    ]
    for answer in (
        *answers,
        *(http.get(f"/things/{rest}") for rest in ("", "export/ndjson", "export/csv")),
    ):
        assert (answer.status_code, "secret" in answer.text) == (200, False)
    assert stored["things"].find_one()["secret"] == "s"
    for parameter in ("secret=s", "secret__exists=true", "sort=secret", "fields=secret"):
        assert http.get(f"/things/?{parameter}").status_code == 422
    assert http.get("/things/export/csv?columns=secret").status_code == 422


def test_strict_model_takes_no_other_type(http: httpx.Client) -> None:
    body = {"name": "Ada", "age": 3, "when": "2026-01-02T03:04:05Z"}
    created = sent(http.post("/strict/", json=body))
    assert created == {"_id": created["_id"], **body, "size": 1.5, "tags": ["new"]}
    for name, value in {"name": 5, "age": "3", "when": 5, "size": "1", "tags": "a"}.items():
        answer = http.post("/strict/", json={**body, name: value})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"#/{name}")
    assert sent(http.patch(f"/strict/{created['_id']}", json={"age": 4}))["age"] == 4
    assert sent(http.patch(f"/strict/{created['_id']}", json={"size": None, "tags": None}))[
        "tags"
    ] == ["new"]


def test_generated_aliases_are_the_names_everywhere(http: httpx.Client, stored: Any) -> None:
    body = {"firstName": "Ada", "birthDay": "2020-02-03", "homePoint": {"x": 1.5}}
    created = sent(http.post("/camels/", json=body))
    assert created == {"_id": created["_id"], **body, "homePoint": POINT}
    assert set(stored["camels"].find_one()) == {"_id", "firstName", "birthDay", "homePoint"}
    assert http.get("/camels/?firstName=Ada&sort=birthDay&fields=homePoint.x").json()[0][
        "homePoint"
    ] == {"x": 1.5}
    assert http.get("/camels/export/csv").text.startswith("firstName,birthDay,homePoint.x,")
    wrong = http.post("/camels/", json={"first_name": "Ada"})
    assert {fault["pointer"] for fault in wrong.json()["errors"]} == {"#/firstName", "#/first_name"}


def test_open_model_keeps_what_it_does_not_declare(http: httpx.Client, stored: Any) -> None:
    created = sent(http.post("/open/", json={"name": "a", "more": {"x": [1], "q.r": 1}}))
    patched = sent(http.patch(f"/open/{created['_id']}", json={"more": {"y": 2}, "new": 5}))
    assert patched == {**created, "more": {"x": [1], "q.r": 1, "y": 2}, "new": 5}
    assert sent(http.put(f"/open/{created['_id']}", json={"name": "b"})) == {
        "_id": created["_id"],
        "name": "b",
    }


@pytest.mark.parametrize(
    ("resource", "key", "other", "bad"),
    [
        ("numbered", 7, 8, "seven"),
        ("named", "a/b %😀", "5", None),
        ("coded", CODE, str(uuid.UUID(int=11)), "none"),
        ("things", REF, REF[::-1], "none"),
    ],
)
def test_own_key(http: httpx.Client, resource: str, key: Any, other: Any, bad: str | None) -> None:
    created = http.post(f"/{resource}/", json={"_id": key})
    item = created.headers["location"]
    assert sent(created)["_id"] == key
    assert sent(http.get(item))["_id"] == key
    assert http.get(f"/{resource}/", params={"_id": key}).json()[0]["_id"] == key
    assert http.post(f"/{resource}/", json={"_id": key}).status_code == 409
    assert http.put(item, json={"_id": other}).status_code == 422
    assert sent(http.put(item, json={}))["_id"] == key
    assert http.get(f"/{resource}/{other}").status_code == 404
    if bad:
        assert http.get(f"/{resource}/{bad}").status_code == 422
    assert http.delete(item).status_code == 204


def test_key_is_made_where_the_model_makes_one_and_wanted_where_not(http: httpx.Client) -> None:
    assert uuid.UUID(sent(http.post("/coded/", json={}))["_id"]).version == 4
    assert bson.ObjectId.is_valid(sent(http.post("/things/", json={}))["_id"])
    missing = http.post("/numbered/", json={})
    assert (missing.status_code, missing.json()["errors"][0]["pointer"]) == (422, "#/_id")


def test_read_only_resource_answers_writes_with_405(http: httpx.Client, stored: Any) -> None:
    key = stored["fixed"].insert_one({"name": "a"}).inserted_id
    assert sent(http.get(f"/fixed/{key}"))["name"] == "a"
    for method, address in (
        ("POST", "/fixed/"),
        ("PUT", f"/fixed/{key}"),
        ("PATCH", f"/fixed/{key}"),
        ("DELETE", f"/fixed/{key}"),
    ):
        answer = http.request(method, address, json={"name": "b"})
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert http.get("/ui/fixed/import").status_code == 422  # no `_id`, as any other word
    assert 'href="/ui/fixed/import' not in http.get("/ui/fixed/").text


def test_broken_stored_values_neither_block_a_patch_nor_change(
    http: httpx.Client, stored: Any
) -> None:
    broken = {
        "text": 5,
        "whole": "x",
        "points": "no",
        "tree": [1],
        "moment": "y",
        "amount": 1.5,
        "day": 7,
        "flag": "z",
    }
    key = stored["things"].insert_one(dict(broken)).inserted_id
    assert sent(http.get(f"/things/{key}")) == {"_id": str(key), **broken}
    assert sent(http.patch(f"/things/{key}", json={"word": "yes"})) == {
        "_id": str(key),
        **broken,
        "word": "yes",
    }
    patched = sent(
        http.patch(f"/things/{key}", json={"point": {"x": 1.5}, "text": "t", "counts": {"a": 1}})
    )
    assert (patched["point"], patched["text"], patched["counts"]) == (POINT, "t", {"a": 1})
    assert http.patch(f"/things/{key}", json={"whole": "q"}).status_code == 422
