"""A transfer's life: recorded beside the file, whose bytes never wait long for it."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from app.errors import Unavailable
from app.spreadsheets.chunks import Tally
from app.transfers import transfer as transfers
from app.transfers.records import Record
from app.transfers.transfer import Transfer
from tests.support.server import LiveServer
from tests.support.waiting import until, wait_for


class Bytes:
    """A source of these chunks, the last of which may be an error."""

    def __init__(self, *chunks: bytes | Exception) -> None:
        self._chunks = chunks
        self.outcome = Tally()
        self.closed = False

    async def start(self) -> None: ...

    async def chunks(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            if isinstance(chunk, Exception):
                raise chunk
            self.outcome.add(chunk, 1, None)
            yield chunk

    async def close(self) -> None:
        self.closed = True


class Kept:
    """Records in a list; writing waits for `gate`."""

    def __init__(self, error: Exception | None = None) -> None:
        self.states: list[str] = []
        self.last = Record()
        self.gate = asyncio.Event()
        self.gate.set()
        self._error = error

    async def write(self, export_id: str, record: Record) -> None:
        await self.gate.wait()
        if self._error is not None:
            raise self._error
        self.states.append(record.state)
        self.last = record

    async def refresh(self, export_id: str, record: Record) -> None: ...


def transfer(source: Bytes, records: Kept) -> Transfer:
    return Transfer(source, records, 60)  # type: ignore[arg-type]


async def test_the_last_byte_comes_when_the_record_says_that_it_is_whole() -> None:
    records = Kept()
    one = transfer(Bytes(b"abc", b"def"), records)
    await one.start()
    seen = [(chunk, records.states[-1]) async for chunk in one.chunks()]
    await one.close()
    assert seen == [(b"ab", "running"), (b"cde", "running"), (b"f", "complete")]
    assert (records.last.bytes, records.last.documents) == (6, 2)
    assert records.last.sha256 == hashlib.sha256(b"abcdef").hexdigest()


@pytest.mark.parametrize("error", [Unavailable("no primary"), None])
async def test_a_database_that_can_not_write_holds_no_file(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception | None
) -> None:
    monkeypatch.setattr(transfers, "RECORD_SECONDS", 0.05)
    monkeypatch.setattr(transfers, "FIRST_RECORD_SECONDS", 0.01)
    records = Kept(error)
    if error is None:
        records.gate.clear()
    one = transfer(Bytes(b"abc"), records)
    with caplog.at_level(logging.ERROR):
        await one.start()
        assert b"".join([chunk async for chunk in one.chunks()]) == b"abc"
    await one.close()
    assert f"export {one.id} is complete, which " in caplog.text
    assert records.states == []
    records.gate.set()
    if error is None:  # the database writes again: in order, the last one last
        await until(lambda: len(records.states) == 2)
        assert records.states == ["running", "complete"]


async def test_what_breaks_is_recorded_and_raised() -> None:
    records, source = Kept(), Bytes(b"abc", Unavailable("the primary died"))
    one = transfer(source, records)
    await one.start()
    chunks = one.chunks()
    assert await anext(chunks) == b"ab"
    with pytest.raises(Unavailable):
        await anext(chunks)
    await one.close()
    assert records.states == ["running", "failed"]
    assert (records.last.detail, records.last.sha256) == ("the primary died", None)
    assert source.closed


async def test_nothing_is_known_of_one_that_fails_before_its_first_byte() -> None:
    records = Kept()
    records.gate.clear()
    one = transfer(Bytes(Unavailable("no")), records)
    with pytest.raises(Unavailable):
        await one.start()
    records.gate.set()
    await asyncio.sleep(0)
    await one.close()
    assert records.states == []


@pytest.mark.mongod
def test_an_export_of_a_locked_database_comes_at_once(users: Any, mongo_uri: str) -> None:
    """It does not wait until the database takes writes again."""
    users.insert_many([{"name": f"n{n}", "email": f"{n}@x.com"} for n in range(20)])
    name = users.database.name
    with (
        LiveServer(spawn=True, MONGO_URI=mongo_uri, DB_NAME=name) as server,
        MongoClient[dict[str, Any]](mongo_uri) as client,
        httpx.Client(base_url=server.address, timeout=60) as http,
    ):
        client.admin.command("fsync", lock=True)
        try:
            answer = http.get("/users/export/csv")
        finally:
            client.admin.command("fsyncUnlock")
        assert (answer.status_code, len(answer.text.splitlines())) == (200, 21)
        export_id = answer.headers["x-export-id"]
        assert server.logged(f"export {export_id} is complete, which is not recorded yet")

        def is_recorded() -> bool:
            record = http.get(f"/exports/{export_id}")
            return record.status_code == 200 and record.json()["state"] == "complete"

        wait_for(is_recorded)
