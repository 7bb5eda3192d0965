"""A database that takes no writes: locked, or told to.

Reads and exports go on, and /readyz says so.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bson
import httpx
import pytest
from pymongo import MongoClient

from app.servers.embedded import EmbeddedDatabase
from tests.support.mongod import needs_mongod, require_mongod
from tests.support.server import LiveServer
from tests.support.waiting import LONGEST, wait_for

pytestmark = needs_mongod

KEY = "5f43a1b2c3d4e5f60718293a"
USER = {"name": "Ada", "email": "ada@example.com"}


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    require_mongod()
    folder: Path = tmp_path_factory.mktemp("locked")
    with EmbeddedDatabase.open(folder, 256, 1800) as embedded:
        yield embedded.uri


@pytest.fixture(scope="module")
def http(uri: str) -> Iterator[httpx.Client]:
    """A client of a server that waits half a second; it would wait a minute as tests start it."""
    with MongoClient[dict[str, Any]](uri) as client:
        client["locked"]["users"].insert_one({**USER, "_id": bson.ObjectId(KEY)})
    with (
        LiveServer(spawn=True, MONGO_URI=uri, DB_NAME="locked", PRIMARY_WAIT_SECONDS=0.5) as live,
        httpx.Client(base_url=live.address, timeout=LONGEST) as http,
    ):
        yield http


@contextmanager
def fsync_lock(client: Any) -> Iterator[None]:
    client.admin.command("fsync", lock=True)
    try:
        yield
    finally:
        client.admin.command("fsyncUnlock")


@contextmanager
def write_block(client: Any) -> Iterator[None]:
    client.admin.command("setUserWriteBlockMode", **{"global": True})
    try:
        yield
    finally:
        client.admin.command("setUserWriteBlockMode", **{"global": False})


@pytest.mark.parametrize("block", [fsync_lock, write_block])
def test_writes_are_503_and_reads_go_on(
    http: httpx.Client, uri: str, block: Callable[[Any], Any]
) -> None:
    """Nothing waits until the database takes writes again: here it does so after all of it."""
    wait_for(lambda: http.get("/readyz").json() == {"status": "ok"})
    with MongoClient[dict[str, Any]](uri) as client, block(client):
        for method, path, body in (
            ("POST", "/users/", {**USER, "email": "b@example.com"}),
            ("PUT", f"/users/{KEY}", {**USER, "age": 1}),
            ("PATCH", f"/users/{KEY}", {"age": 2}),
            ("DELETE", f"/users/{KEY}", None),
        ):
            answer = http.request(method, path, json=body)
            assert (answer.status_code, method) == (503, method), answer.text
            assert answer.headers["Retry-After"]
        assert http.get("/readyz").status_code == 503
        assert http.get("/livez").status_code == 200
        listed = http.get("/users/")
        assert (listed.status_code, len(listed.json())) == (200, 1)
    wait_for(lambda: http.get("/readyz").status_code == 200)
    wait_for(lambda: http.patch(f"/users/{KEY}", json={"age": 3}).status_code == 200)
