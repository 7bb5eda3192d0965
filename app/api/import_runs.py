"""Imports under way: a slot taken, the work done in a child and watched, who is told of its end.

Whoever has a file on disk runs it here: the answer to a POST, or a screen's step.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, TypeVar, cast

from starlette.types import Scope

from app.api.access import Access
from app.api.journal import Journal
from app.api.observers import Observer
from app.api.parts import Part
from app.api.redaction import hide_secrets
from app.concurrency import Slots, run_to_end
from app.errors import RequestError, Unavailable
from app.resources.views import Ruled, make_forbidden
from app.settings import Settings
from app.spreadsheets.format import MIB, Limits, ReadOptions
from app.store.client import Database
from app.transfers.child import Child, ChildFailed
from app.transfers.import_options import Import
from app.transfers.import_work import ImportWork
from app.transfers.imports import Ended, run_import
from app.transfers.inherited import Inherited
from app.transfers.inspections import Found, Inspection, inspect_file
from app.transfers.report import Report
from app.transfers.traffic import Traffic

Outcome = TypeVar("Outcome")
CLOSING_SECONDS = 3.0  # that imports have to end when the server stops
WAIT_SECONDS = 5.0  # that an import waits for its turn
INSPECTIONS = 2  # files that are looked at side by side
INTERNAL = 500  # the first status of an error that is the server's
Watch = Callable[[Child[Ended]], Awaitable[Ended | None]]  # waits for an import that has a child
_log = logging.getLogger("docsheet.imports")


@dataclass(frozen=True)
class Origin:
    """The request that an import came of, and the parameters that say what it is to do."""

    scope: Scope
    query: str


@dataclass(frozen=True)
class Files:
    """A file that came, and the one that takes the sheet to correct; both are on disk."""

    came: IO[bytes]
    sheet: IO[bytes]


class ImportRuns(Part):
    """The imports of one server process: so many at once."""

    def __init__(
        self, settings: Settings, traffic: Traffic, observer: Observer, journal: Journal
    ) -> None:
        self._settings = settings
        self._traffic = traffic
        self._observer = observer
        self._journal = journal
        self._database: Database
        self._slots: Slots
        self._lookers: asyncio.Semaphore
        observer.watch("imports", lambda: self._slots.taken, lambda: self._slots.waiting)
        self.limit = settings.IMPORT_LIMIT_MIB * MIB
        self.limits = Limits.of(settings.IMPORT_ROWS, self.limit)

    async def open(self, database: Database) -> None:
        """Writes to this database."""
        self._database = database
        self._slots = Slots(self._settings.IMPORTS_AT_ONCE)
        self._lookers = asyncio.Semaphore(INSPECTIONS)

    async def close(self) -> None:
        """Waits for the imports that are being ended."""
        await self._slots.close(CLOSING_SECONDS)

    @asynccontextmanager
    async def slot(self, access: Access, mode: str) -> AsyncIterator[None]:
        """A slot for an import.

        Raises `Forbidden` for a mode that its caller may not use, what a single write would raise,
        and `Unavailable` where no slot becomes free.
        """
        _require_mode(access, mode)
        await access.repository.begin_import(inserting=mode != "update")
        await self._take_slot()
        try:
            yield
        finally:
            self._slots.release()
            access.repository.end_import()

    async def _take_slot(self) -> None:
        try:
            await self._slots.take(WAIT_SECONDS)
        except TimeoutError:
            raise Unavailable(
                f"{self._settings.IMPORTS_AT_ONCE} imports are under way already; try again when "
                "one has ended.",
                headers={"Connection": "close"},
            ) from None

    async def inspect(self, format: str, options: ReadOptions, file: IO[bytes]) -> Found:
        """What a file is; raises `RequestError` where no other options would help."""
        if not self._database.uri:
            return await asyncio.to_thread(inspect_file, format, options, cast(BinaryIO, file))
        async with self._lookers:
            work = Inspection(format, options, Inherited(file.fileno()))
            child = Child(work, self._traffic)
            try:
                return await finish(child)
            finally:
                await run_to_end(child.close())

    async def run(
        self, origin: Origin, access: Access, asked: Import, files: Files, watch: Watch
    ) -> Ended | None:
        """How an import ended; None where `watch` gave it up.

        Raises `RequestError` where nothing was written.
        """
        with self._observe(origin, access, asked, files.came) as outcome:
            outcome.ended = await self._run(access, asked, files, watch)
        return outcome.ended

    @contextmanager
    def _observe(
        self, origin: Origin, access: Access, asked: Import, came: IO[bytes]
    ) -> Iterator["_Outcome"]:
        """Tells the observer and the journal how the import in this block ended."""
        outcome = _Outcome()
        collection = access.view.whole.name
        details = _describe(origin.query, asked)
        note = self._journal.begin(origin.scope, "imported", collection, details)
        try:
            yield outcome
        except RequestError as error:
            outcome.error = error
            raise
        finally:
            size = os.fstat(came.fileno()).st_size
            end, report = outcome.name_end(asked), outcome.report
            self._observer.see_import(asked.format, end, report, size, outcome.seconds)
            note.add({"state": end, "bytes": size, **report.counts(), "seconds": outcome.seconds})

    async def _run(self, access: Access, asked: Import, files: Files, watch: Watch) -> Ended | None:
        """How it ended: in a process of its own, or in a thread where none can reach the data."""
        repository = access.repository
        if not self._database.uri:
            file, sheet = (cast(BinaryIO, one) for one in (files.came, files.sheet))
            return await asyncio.to_thread(
                run_import,
                asked,
                repository.reach,
                self._database,
                repository.indexes,
                file,
                sheet,
            )
        work = ImportWork(
            asked,
            repository.reach.compilers.views.grants,
            self._settings,
            self._database.uri,
            repository.indexes,
            Inherited(files.came.fileno()),
            Inherited(files.sheet.fileno()),
        )
        child = Child(work, self._traffic)
        try:
            return await watch(child)
        finally:
            await run_to_end(child.close())


async def finish(child: Child[Outcome]) -> Outcome:
    """What came of a child's work, once it is done; raises what it raised."""
    await child.start()
    try:
        async for _ in child.chunks():
            pass
    except ChildFailed as error:
        _log.error("an import failed: %s", error)
        raise Unavailable(
            "The import's process failed; what it had written by then stays. The same file again "
            "with mode=upsert does the rest."
        ) from error
    return child.outcome


def _describe(query: str, asked: Import) -> Mapping[str, Any]:
    """What a journal says when an import begins."""
    return {
        "query": hide_secrets(query),
        "format": asked.format,
        "dry_run": asked.dry_run,
        "state": "running",
    }


class _Outcome:
    """What came of an import: how it ended, None where its client left; or an error."""

    def __init__(self) -> None:
        self.ended: Ended | None = None
        self.error: RequestError | None = None
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def report(self) -> Report:
        return self.ended.report if self.ended else Report()

    def name_end(self, asked: Import) -> str:
        """As observers name it."""
        error = self.error or (self.ended.error if self.ended else None)
        if error is not None:
            return "refused" if error.status < INTERNAL else "failed"
        if self.ended is None:
            return "left"
        return "checked" if asked.dry_run else "written"


def _require_mode(access: Access, mode: str) -> None:
    """Raises `Forbidden` where what a mode does with rows isn't allowed on any document.

    The scope of an import is enough for what its caller may create and update.
    """
    if not may_use(access, mode):
        action: Ruled = "update" if mode == "update" else "create"
        raise make_forbidden(access.view.whole, action)


def may_use(access: Access, mode: str) -> bool:
    """Whether what a mode does with rows is allowed on some documents at least."""
    rights = access.view.rights
    if mode == "upsert" and rights.update is not None:
        return True
    return rights.rule_of("update" if mode == "update" else "create") is not None
