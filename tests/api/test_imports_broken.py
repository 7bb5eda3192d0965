"""Imports with limits, and those that are ended in the middle."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from app.api.uploads import _unless_client_leaves
from app.transfers.imports import Ended
from app.transfers.report import Report
from tests.api.test_imports import CSV, GOOD, PATH, counts, people
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer
from tests.support.waiting import LONGEST, wait_for

pytestmark = needs_mongod
NAME = "imports_broken"


@pytest.fixture(scope="module")
def live(mongo_uri: str) -> Iterator[LiveServer]:
    """A server with small limits."""
    limits = {"IMPORT_LIMIT_MIB": 1, "IMPORT_ROWS": 20_000, "IMPORTS_AT_ONCE": 1}
    with LiveServer(MONGO_URI=mongo_uri, DB_NAME=NAME, **limits) as started:
        yield started


@pytest.fixture
def stored(mongo_uri: str, live: LiveServer) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        client[NAME]["users"].delete_many({})
        yield client[NAME]["users"]


def post(live: LiveServer, content: bytes, query: str = "", **headers: str) -> httpx.Response:
    sent = {"content-type": CSV, **headers}
    return httpx.post(f"{live.address}{PATH}?{query}", content=content, headers=sent, timeout=60)


def test_more_rows_than_may_be(live: LiveServer, stored: Any) -> None:
    answer = post(live, people(20_001).encode(), "on_error=skip")
    assert answer.status_code == 413
    assert "20,000 rows" in answer.json()["detail"]
    assert stored.count_documents({}) == 0


def test_a_larger_file_than_may_be(live: LiveServer, stored: Any) -> None:
    large = GOOD.encode() + b"x" * 1024 * 1024
    assert post(live, large).status_code == 413
    packed = httpx.post(f"{live.address}{PATH}", files={"file": ("x.csv", large)})
    assert packed.status_code == 413
    assert stored.count_documents({}) == 0


def begin(live: LiveServer, body: bytes, sent: int, query: str = "") -> socket.socket:
    """A connection on which a part of a file was sent."""
    connection = socket.create_connection(("127.0.0.1", live.port))
    head = (
        f"POST {PATH}?{query} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body[:sent])
    return connection


def test_a_client_that_sends_nothing_gives_its_place_back(mongo_uri: str, stored: Any) -> None:
    limits = {"IMPORTS_AT_ONCE": 1, "STALL_LIMIT_SECONDS": 2}
    with LiveServer(MONGO_URI=mongo_uri, DB_NAME=NAME, **limits) as hasty:
        with begin(hasty, GOOD.encode(), 10) as connection:
            connection.settimeout(LONGEST)
            assert b" 400 " in connection.recv(1000)
        wait_for(lambda: post(hasty, GOOD.encode()).status_code == 200)
    assert stored.count_documents({}) == 2


@pytest.mark.slow
def test_where_all_places_are_taken_the_next_waits_then_is_told(
    live: LiveServer, stored: Any
) -> None:
    body = GOOD.encode() + b"A,a@x.com,,\n" * 5000
    with begin(live, body, 10) as connection, ThreadPoolExecutor(1) as threads:
        asked = threads.submit(post, live, GOOD.encode())
        for byte in range(10, 10_000):
            connection.sendall(body[byte : byte + 1])  # slow, but never still
            time.sleep(0.2)
            if asked.done():
                break
    answer = asked.result()
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert stored.count_documents({}) == 0


async def test_what_a_client_leaves_while_it_is_written_is_told_by_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of a child that ends when its client has left; whatever a real one does in between."""

    class Writing:
        outcome = Ended(Report(5, inserted=3, failed=2), due=3)

        async def start(self) -> None:
            await left.wait()

        async def chunks(self) -> AsyncIterator[bytes]:
            yield b""

    async def receive() -> dict[str, str]:
        left.set()
        return {"type": "http.disconnect"}

    left = asyncio.Event()
    child: Any = Writing()
    with caplog.at_level(logging.WARNING):
        assert await _unless_client_leaves(receive, child) is Writing.outcome
    counts = "5 rows, 3 inserted, 0 updated, 0 unchanged, 2 failed"
    assert caplog.messages == [f"a client left while its import was written: {counts}"]


def test_killed_in_the_middle_and_sent_again_it_ends_the_same(mongo_uri: str, stored: Any) -> None:
    body = people(8_000).encode()
    server = LiveServer(MONGO_URI=mongo_uri, DB_NAME=NAME)
    with server as other, begin(other, body, len(body), "mode=upsert"):
        # The estimated count has documents that are not committed, which end with the server.
        wait_for(lambda: stored.find_one() is not None)
        other.process.kill()
        other.process.wait()
    written = stored.count_documents({})
    assert written > 0
    with LiveServer(MONGO_URI=mongo_uri, DB_NAME=NAME) as other:
        answer = post(other, body, "mode=upsert")
        rows, inserted, updated, unchanged, failed = counts(answer)
        assert (rows, updated, failed) == (8_000, 0, 0)
        assert inserted + unchanged == 8_000
    assert stored.count_documents({}) == 8_000
