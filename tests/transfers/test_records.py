"""Records of exports: how far one is, and how it ended, which is never written over."""

import asyncio
import datetime
from typing import Any

import httpx
import pytest
from mongomock_motor import AsyncMongoMockClient

from app.api import downloads
from app.application import create_app
from app.settings import Settings
from app.store.mock import make_database
from app.transfers.records import COLLECTION, GONE, Record, Records
from tests.support.waiting import until

SETTINGS = Settings(DB_NAME="test", _env_file=None)  # type: ignore[call-arg]


async def test_a_late_refresh_changes_nothing() -> None:
    records = Records(make_database(AsyncMongoMockClient(), SETTINGS))
    await records.refresh("one", Record(documents=1))
    assert await records.read("one") is None
    await records.write("one", Record())
    await records.refresh("one", Record(documents=2))
    assert await records.read("one") == Record(documents=2)
    await records.write("one", Record("complete", 3))
    await records.refresh("one", Record(documents=2))
    assert await records.read("one") == Record("complete", 3)


async def test_one_of_which_nothing_is_heard_any_more_has_failed() -> None:
    database = make_database(AsyncMongoMockClient(), SETTINGS)
    records = Records(database)
    await records.write("one", Record(documents=1))
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=6)
    database.collection(COLLECTION).update_one({"_id": "one"}, {"$set": {"at": long_ago}})
    found = await records.read("one")
    assert found is not None
    assert (found.state, found.documents, found.detail) == ("failed", 1, GONE)
    await records.write("one", Record("complete", 3))
    assert await records.read("one") == Record("complete", 3)


async def test_the_record_of_a_stalled_export_is_refreshed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "REFRESH_SECONDS", 0.02)
    app = create_app(SETTINGS, AsyncMongoMockClient())
    reads = asyncio.Event()
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            await reads.wait()

    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http,
    ):
        export = asyncio.create_task(_get(app, "/users/export/csv", send))
        await until(lambda: len(sent) == 2)
        path = f"/exports/{dict(sent[0]['headers'])[b'x-export-id'].decode()}"
        seen = set()
        while len(seen) < 3:
            record = (await http.get(path)).json()
            assert record["state"] == "running"
            seen.add(record["seconds"])
        reads.set()
        await export
        assert (await http.get(path)).json()["state"] == "complete"


async def _get(app: Any, path: str, send: Any) -> None:
    """What a server does for a GET whose client stays."""
    asked = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if asked.is_set():
            await asyncio.Event().wait()
        asked.set()
        return {"type": "http.request"}

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }
    await app(scope, receive, send)
