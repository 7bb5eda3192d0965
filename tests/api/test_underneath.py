"""What lies under a resource: views, time series, capped collections, missing rights."""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from tests.support.faulty import running_mongod
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer
from tests.support.waiting import wait_for

pytestmark = needs_mongod

KINDS = ("view", "series", "capped", "clustered", "plain")
MODELS = "\n".join(
    [
        "import datetime",
        "from typing import Annotated",
        "from beanie import Document, Indexed",
        *(
            f"class {kind.title()}(Document):\n"
            "    code: Annotated[str, Indexed(unique=True)]\n"
            "    note: str = ''\n"
            "    at: datetime.datetime | None = None\n"
            f"    class Settings:\n        name = {kind!r}"
            for kind in KINDS
        ),
    ]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("underneath")
    (found / "kinds").mkdir()
    (found / "kinds" / "__init__.py").write_text(MODELS)
    return found


@pytest.fixture
def kinds(mongo_uri: str) -> Iterator[Any]:
    """A database with a collection of each kind, each with a document."""
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        client.drop_database("kinds")
        database = client["kinds"]
        database["plain"].insert_one({"code": "a"})
        database.command("create", "view", viewOn="plain", pipeline=[])
        database.create_collection("series", timeseries={"timeField": "at"})
        at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        database["series"].insert_one({"at": at, "code": "a"})
        database.create_collection("capped", capped=True, size=1_000_000)
        database["capped"].insert_one({"code": "a"})
        database.create_collection("clustered", clusteredIndex={"key": {"_id": 1}, "unique": True})
        database["clustered"].insert_one({"code": "a"})
        yield database


def serving(folder: Path, uri: str, name: str = "kinds", **settings: object) -> LiveServer:
    return LiveServer(folder, MONGO_URI=uri, DB_NAME=name, MODELS="kinds", **settings)


def until_ready(http: httpx.Client) -> None:
    """Waits until all indexes are there: at a slow start they are made behind it."""
    wait_for(lambda: http.get("/readyz").json() == {"status": "ok"})


def write_all(http: httpx.Client, kind: str) -> list[int]:
    """The statuses of a POST, PUT, PATCH and DELETE."""
    key = http.get(f"/{kind}/").json()[0]["_id"]
    body = {"code": "b", "at": "2026-01-02T00:00:00Z"}
    return [
        http.post(f"/{kind}/", json=body).status_code,
        http.put(f"/{kind}/{key}", json={"code": "c"}).status_code,
        http.patch(f"/{kind}/{key}", json={"note": "longer than before"}).status_code,
        http.delete(f"/{kind}/{key}").status_code,
    ]


def test_views_and_time_series_are_read_only_and_all_others_work_whole(
    folder: Path, mongo_uri: str, kinds: Any
) -> None:
    with (
        serving(folder, mongo_uri) as live,
        httpx.Client(base_url=live.address, timeout=60) as http,
    ):
        until_ready(http)
        for kind in ("view", "series"):
            assert write_all(http, kind) == [405] * 4, kind
            refused = http.post(f"/{kind}/", json={"code": "b"})
            assert refused.headers["Allow"] == "GET, HEAD"
            assert "can only be read" in refused.json()["detail"]
            for method in ("PATCH", "DELETE"):
                many = http.request(method, f"/{kind}/?code__exists=true&max_affected=1", json={})
                assert many.status_code == 405
        for kind in ("plain", "capped", "clustered"):
            assert write_all(http, kind) == [201, 200, 200, 204], kind


def test_collection_that_becomes_a_view_or_a_time_series_is_noticed(
    folder: Path, mongo_uri: str, kinds: Any
) -> None:
    with (
        serving(folder, mongo_uri) as live,
        httpx.Client(base_url=live.address, timeout=60) as http,
    ):
        kinds.drop_collection("capped")
        kinds.command("create", "capped", viewOn="clustered", pipeline=[])
        assert write_all(http, "capped") == [405] * 4
        kinds.drop_collection("plain")
        kinds.create_collection("plain", timeseries={"timeField": "at"})
        at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        kinds["plain"].insert_one({"at": at, "code": "a"})
        imported = http.post(
            "/plain/import", content="code\nb\n", headers={"content-type": "text/csv"}
        )
        assert imported.status_code == 405
        assert write_all(http, "plain") == [405] * 4
        kinds.drop_collection("view")
        kinds["view"].insert_one({"code": "a"})
        assert write_all(http, "view") == [201, 200, 200, 204]


def test_equal_values_stop_what_would_add_more_and_nothing_else(
    folder: Path, mongo_uri: str, kinds: Any
) -> None:
    kinds["plain"].insert_many([{"_id": "1", "code": "a"}, {"_id": "2", "code": "b"}])
    with (
        serving(folder, mongo_uri) as live,
        httpx.Client(base_url=live.address, timeout=60) as http,
    ):
        wait_for(lambda: "'code_1' of 'plain'" in http.get("/readyz").json().get("detail", ""))
        assert http.get("/readyz").status_code == 503
        assert http.post("/plain/", json={"code": "new"}).status_code == 503
        assert http.patch("/plain/1", json={"note": "as it is"}).status_code == 200
        assert http.put("/plain/1", json={"code": "a", "note": "kept"}).status_code == 200
        for method in ("PUT", "PATCH"):
            taken = http.request(method, "/plain/2", json={"code": "a"})
            assert taken.status_code == 409
            assert [fault["pointer"] for fault in taken.json()["errors"]] == ["#/code"]
        assert http.patch("/plain/2", json={"code": "c"}).status_code == 200
        assert http.post("/capped/", json={"code": "b"}).status_code == 201
        assert http.patch("/plain/1", json={"code": "d"}).status_code == 200
        wait_for(
            lambda: http.get("/readyz").status_code == 200, otherwise="the index isn't tried again"
        )
        assert http.post("/plain/", json={"code": "new"}).status_code == 201
        assert http.post("/plain/", json={"code": "new"}).status_code == 409


def test_index_that_only_has_to_be_unique_becomes_so(
    folder: Path, mongo_uri: str, kinds: Any
) -> None:
    kinds["plain"].create_index("code")
    kinds["capped"].create_index("code", unique=True, name="by_hand")
    with (
        serving(folder, mongo_uri) as live,
        httpx.Client(base_url=live.address, timeout=60) as http,
    ):
        until_ready(http)
        for kind in ("plain", "capped"):
            assert http.post(f"/{kind}/", json={"code": "a"}).status_code == 409
    assert kinds["plain"].index_information()["code_1"]["unique"] is True


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """The URI of a mongod with accounts, whose root is `root:root`."""
    with running_mongod(tmp_path / "guarded", "--auth") as uri:
        with MongoClient[dict[str, Any]](uri) as client:
            client.admin.command("createUser", "root", pwd="root", roles=["root"])
        yield uri


def with_user(uri: str, name: str) -> str:
    return uri.replace("mongodb://", f"mongodb://{name}:{name}@") + "&authSource=admin"


@pytest.mark.slow
def test_user_who_may_only_read_serves_reads(folder: Path, guarded: str) -> None:
    with MongoClient[dict[str, Any]](with_user(guarded, "root")) as client:
        for kind in KINDS:
            client["kinds"][kind].create_index("code", unique=True)
            client["kinds"][kind].insert_one({"code": "a"})
        roles = [{"role": "read", "db": "kinds"}]
        client.admin.command("createUser", "reader", pwd="reader", roles=roles)
    with (
        serving(folder, with_user(guarded, "reader")) as live,
        httpx.Client(base_url=live.address, timeout=60) as http,
    ):
        ready = http.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "ok"), ready.text
        assert "only read" in ready.json()["detail"]
        assert http.get("/plain/").json()[0]["code"] == "a"
        assert http.post("/plain/", json={"code": "b"}).status_code == 503


@pytest.mark.slow
def test_collection_whose_indexes_nobody_may_list_stops_no_other(
    folder: Path, guarded: str
) -> None:
    with MongoClient[dict[str, Any]](with_user(guarded, "root")) as client:
        actions = ["find", "insert", "update", "remove"]
        everything = [*actions, "listIndexes", "createIndex", "listCollections"]
        rights = [
            {"resource": {"db": "kinds", "collection": kind}, "actions": actions}
            for kind in ("capped",)
        ]
        rights += [
            {"resource": {"db": "kinds", "collection": kind}, "actions": everything}
            for kind in KINDS
            if kind != "capped"
        ]
        client.admin.command("createRole", "some", privileges=rights, roles=[])
        client.admin.command("createUser", "some", pwd="some", roles=["some"])
    with (
        serving(folder, with_user(guarded, "some")) as live,
        httpx.Client(base_url=live.address, timeout=60) as http,
    ):
        wait_for(lambda: "'code_1' of 'capped' can't be made" in http.get("/readyz").text)
        ready = http.get("/readyz")
        assert ready.status_code == 503
        assert "may not make indexes" in ready.json()["detail"]
        for kind in KINDS:
            status = http.post(f"/{kind}/", json={"code": "a"}).status_code
            assert status == (503 if kind == "capped" else 201), kind


@pytest.mark.parametrize("preference", ["secondary", "nearest", "secondaryPreferred"])
def test_read_preference_of_the_uri_leaks_into_nothing(
    folder: Path, mongo_uri: str, kinds: Any, preference: str
) -> None:
    uri = f"{mongo_uri}&readPreference={preference}"
    with serving(folder, uri) as live, httpx.Client(base_url=live.address, timeout=60) as http:
        until_ready(http)
        kinds["plain"].insert_one({"_id": "large", "code": "x", "blob": b"x" * 15 * 1024 * 1024})
        assert http.patch("/plain/large", json={"note": "n"}).status_code == 200
        assert write_all(http, "clustered") == [201, 200, 200, 204]
