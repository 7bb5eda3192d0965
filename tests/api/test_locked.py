"""A database that takes no writes: locked, or told to.

Reads and exports go on, and /readyz says so.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from app.servers.embedded import EmbeddedDatabase
from tests.support.mongod import needs_mongod, require_mongod
from tests.support.server import LiveServer

pytestmark = needs_mongod

KEY = "5f43a1b2c3d4e5f60718293a"
USER = {"name": "Ada", "email": "ada@example.com"}
WAIT = 0.5  # seconds, PRIMARY_WAIT_SECONDS


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    require_mongod()
    folder: Path = tmp_path_factory.mktemp("locked")
    with EmbeddedDatabase.open(folder, 256, 1800) as embedded:
        yield embedded.uri


@pytest.fixture(scope="module")
def http(uri: str) -> Iterator[httpx.Client]:
    with (
        LiveServer(MONGO_URI=uri, DB_NAME="locked", PRIMARY_WAIT_SECONDS=WAIT) as live,
        httpx.Client(base_url=live.address, timeout=60) as http,
    ):
        assert http.post("/users/", json={**USER, "_id": KEY}).status_code == 201
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
def test_writes_are_503_in_time_and_reads_go_on(
    http: httpx.Client, uri: str, block: Callable[[Any], Any]
) -> None:
    assert http.get("/readyz").json() == {"status": "ok"}
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
            assert answer.elapsed.total_seconds() < WAIT + 1.5, method
        begin = time.monotonic()
        ready = http.get("/readyz")
        assert (ready.status_code, time.monotonic() - begin < 2) == (503, True)
        assert http.get("/livez").status_code == 200
        listed = http.get("/users/")
        assert (listed.status_code, len(listed.json())) == (200, 1)
        assert listed.elapsed.total_seconds() < 1.5
    assert http.get("/readyz").status_code == 200
    assert http.patch(f"/users/{KEY}", json={"age": 3}).status_code == 200
