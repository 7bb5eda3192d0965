"""The life of an export: begun, its bytes handed on, how far it is and how it ended recorded.

HTTP only relays it, and says why where a client is no longer there to take the rest. An import is
answered when it has ended, so that it needs no record: `api/uploads.py` waits for its child itself.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Protocol

from pymongo.errors import PyMongoError

from app.concurrency import cancel
from app.errors import RequestError, Unavailable
from app.transfers.child import ChildFailed
from app.transfers.records import Record, Records, State

FIRST_RECORD_SECONDS = 0.2  # that the first byte waits for it: mostly it is there already
RECORD_SECONDS = 2.0  # that the end of a transfer waits for its record
_log = logging.getLogger("docsheet.exports")


class Tallied(Protocol):
    """What a file is so far."""

    @property
    def documents(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def sha256(self) -> str: ...


class Source(Protocol):
    """Where the bytes of a file come from: a child, or for a mock a thread."""

    @property
    def outcome(self) -> Tallied:
        """What the file is so far."""

    async def start(self) -> None:
        """Begins; cancelled in the middle, `close` still has to be called."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes; raises `RequestError` or `ChildFailed` where they can't be whole."""

    async def close(self) -> None:
        """Ends it, whatever it does."""


class Transfer:
    """One export under way. Exactly one of `chunks`' end, `leave` and `fail` says how it ended."""

    def __init__(
        self,
        source: Source,
        records: Records,
        refresh_seconds: float,
        caller: str = "",
        tell_end: Callable[[Record], None] = lambda record: None,
        export_id: str | None = None,
    ) -> None:
        """`caller` is whose export it is; `tell_end` is called once with how it ended.

        `export_id` is one that somebody knows already, whose first record is there.
        """
        self._caller = caller
        self.id = export_id or uuid.uuid4().hex
        self._is_awaited = export_id is not None
        self._source = source
        self._tell_end = tell_end
        self._is_told = False
        self._chunks = source.chunks()
        self._records = records
        self._refresh_seconds = refresh_seconds
        self._first: bytes | None = None
        self._begin = time.monotonic()
        self._writing: asyncio.Future[None] | None = None
        self._refreshing: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Begins, and waits for the first chunk; what fails before that is a `RequestError`."""
        await self._source.start()
        writing = self._write(self._record("running"))
        try:
            self._first = await anext(self._chunks, None)
        except (RequestError, ChildFailed) as error:
            if self._is_awaited:
                await self._settle("failed", str(error))
            else:
                self._tell(self._record("failed", str(error)))
                await self._forget()
            if isinstance(error, RequestError):
                raise
            _log.error("an export failed before its first byte: %s", error)
            raise Unavailable("The export's process failed; try again.") from error
        await asyncio.wait((writing,), timeout=FIRST_RECORD_SECONDS)
        self._refreshing = asyncio.ensure_future(self._refresh())

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes; the last one of them comes when the record says that the file is whole.

        Raises `RequestError` or `ChildFailed`, recorded already, where the file can't be whole.
        """
        kept = b""
        chunk = self._first
        try:
            while chunk:
                yield kept + chunk[:-1]
                kept = chunk[-1:]
                chunk = await anext(self._chunks, None)
        except (RequestError, ChildFailed) as error:
            await self.fail(str(error))
            raise
        await self._settle("complete")
        if kept:
            yield kept

    async def fail(self, detail: str) -> None:
        """Records that the file is not whole, by our fault."""
        await self._settle("failed", detail)

    async def leave(self, detail: str) -> None:
        """Stops the work, and records that the client went."""
        await self._source.close()
        await self._settle("left", detail)

    async def close(self) -> None:
        """Ends everything that is under way."""
        if self._refreshing is not None:
            await cancel(self._refreshing)
        await self._source.close()
        detail = "the client left before the first byte"
        if self._is_awaited and not self._is_told:
            await self._settle("left", detail)
        self._tell(self._record("left", detail))

    def _tell(self, record: Record) -> None:
        """Tells how it ended, once."""
        if not self._is_told:
            self._is_told = True
            self._tell_end(record)

    def _record(self, state: State, detail: str | None = None) -> Record:
        made = self._source.outcome
        seconds = round(time.monotonic() - self._begin, 3)
        sha256 = made.sha256 if state == "complete" else None
        return Record(
            state,
            made.documents,
            made.rows,
            made.size,
            sha256,
            seconds,
            detail,
            self._caller,
        )

    async def _settle(self, state: State, detail: str | None = None) -> None:
        """Records how it ended; not for long, for a database that can't write would hold the file.

        The record goes on to be written behind it.
        """
        record = self._record(state, detail)
        self._tell(record)
        writing = self._write(record)
        done, _ = await asyncio.wait((writing,), timeout=RECORD_SECONDS)
        if not done:
            _log.error("export %s is %s, which is not recorded yet", self.id, state)

    def _write(self, record: Record) -> "asyncio.Future[None]":
        """Begins to write a record, behind the one before."""
        self._writing = asyncio.ensure_future(self._write_behind(self._writing, record))
        return self._writing

    async def _write_behind(self, before: "asyncio.Future[None] | None", record: Record) -> None:
        if before is not None:
            await asyncio.wait((before,))
        try:
            await self._records.write(self.id, record)
        except (RequestError, PyMongoError) as error:
            _log.error(
                "export %s is %s, which could not be recorded: %s", self.id, record.state, error
            )

    async def _forget(self) -> None:
        """Nobody got its id, so nobody need know of it."""
        if self._writing is not None:
            await cancel(self._writing)

    async def _refresh(self) -> None:
        """Records now and then how far it is, beside the relay, which need not wait for it."""
        while True:
            await asyncio.sleep(self._refresh_seconds)
            with suppress(RequestError, PyMongoError):  # the next one may do better
                await self._records.refresh(self.id, self._record("running"))
