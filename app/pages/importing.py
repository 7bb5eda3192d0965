"""Imports that go step by step, as far as they are no screens: files looked at, runs under way.

A run is a task of this server process; how far it is, is kept in the database, where every process
sees it. One whose process died is silent, and is told as interrupted.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import IO, Any
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.types import Scope

from app.api.access import Access
from app.api.import_runs import CLOSING_SECONDS, Files, ImportRuns, Origin, finish
from app.api.multipart import new_file
from app.api.parts import Part
from app.concurrency import cancel, run_to_end
from app.errors import RequestError
from app.pages.matching import name_columns
from app.pages.preferences import read_preferences
from app.pages.sentences import translate
from app.settings import Settings
from app.spreadsheets.format import ReadOptions
from app.spreadsheets.formats import FORMATS
from app.store.client import Database
from app.transfers.child import Child
from app.transfers.import_options import Import, SheetFormat, read_import
from app.transfers.imports import Ended
from app.transfers.inspections import Found
from app.transfers.kept_imports import (
    FILE,
    REFRESH_SECONDS,
    SHEET,
    Kept,
    KeptImports,
    Plan,
    Reading,
    Result,
    What,
)
from app.transfers.spool import make_disk_error

SHOWN = 1_000  # characters of a value that a report keeps
PATIENCE = 1.5  # seconds that a step waits for its run, so that most readers see no progress
_SHEETS: Mapping[str, SheetFormat] = {"csv": "csv", "xlsx": "xlsx"}
_log = logging.getLogger("docsheet.imports")


class Importing(Part):
    """The steps of imports that one server process has under way."""

    def __init__(self, settings: Settings, runs: ImportRuns) -> None:
        self._settings = settings
        self.runs = runs
        self.kept: KeptImports
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, database: Database) -> None:
        """Keeps files in this database."""
        self.kept = KeptImports(database, self._settings.UPLOAD_SECONDS)

    async def prepare(self) -> bool:
        """Makes the indexes by which files are forgotten."""
        await self.kept.prepare()
        return True

    async def close(self) -> None:
        """Ends the runs: those that don't end by themselves are interrupted."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSING_SECONDS)
        for task in list(self._tasks):
            await cancel(task)

    async def inspect(self, file: IO[bytes], reading: Reading) -> Found:
        """What a file is, read in this way; raises `RequestError` where no other would help."""
        options = self._read_options(reading)
        return await self.runs.inspect(reading.format, options, file)

    async def inspect_kept(self, kept: Kept, reading: Reading) -> Found:
        """What the file of an upload is, read in this way; raises as `inspect`."""
        with new_file() as file:
            await self.kept.files.load(kept.path(FILE), kept.size, file)
            return await self.inspect(file, reading)

    def _read_options(self, reading: Reading) -> ReadOptions:
        return ReadOptions(
            reading.encoding or None,
            reading.delimiter or None,
            reading.sheet or None,
            reading.formulas,
            reading.timezone,
            self.runs.limits,
        )

    def make_import(
        self, access: Access, reading: Reading, found: Found, plan: Plan, *, dry_run: bool
    ) -> tuple[Import, str]:
        """What a run is to do, and the same as parameters; raises `Invalid`."""
        format = FORMATS[reading.format]
        columns, skipped = name_columns(found, plan.paths)
        of_format = {
            "columns": columns,
            "sheet": reading.sheet,
            "formulas": reading.formulas,
            "timezone": reading.timezone,
        }
        words: dict[str, Any] = {
            "mode": plan.mode,
            "key": plan.key if plan.mode != "insert" else "",
            "on_error": plan.on_error,
            "dry_run": "true" if dry_run else "",
            **{name: text for name, text in of_format.items() if name in format.reads},
        }
        pairs = [(name, text) for name, text in words.items() if text]
        views = access.repository.reach.compilers.views
        collection, sheet = access.view.whole.name, _SHEETS.get(format.names[0])
        asked = read_import(views, collection, format, pairs, self.runs.limits, sheet)
        asked = replace(asked, options=self._read_options(reading), skipped=skipped)
        return asked, urlencode(pairs)

    async def start(self, scope: Scope, access: Access, kept: Kept, what: What) -> Kept | None:
        """Starts a run in the background, and waits a little whether it ends.

        None where something else was done with the upload meanwhile. Raises `RequestError` where
        no run can be started.
        """
        steps = kept.steps
        dry_run = what == "preview"
        asked, query = self.make_import(
            access, steps.reading, steps.found, steps.plan, dry_run=dry_run
        )
        language = read_preferences(Request(scope)).language
        asked = replace(asked, translate=partial(translate, language))
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.runs.slot(access, asked.mode))
            begun = await self.kept.begin(kept, what)
            if begun is None:
                return None
            work = self._work(stack.pop_all(), Origin(scope, query), access, asked, begun)
            task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        await asyncio.wait((task,), timeout=PATIENCE)
        return begun

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("an import failed", exc_info=error)

    async def _work(
        self,
        place: AsyncExitStack,
        origin: Origin,
        access: Access,
        asked: Import,
        kept: Kept,
    ) -> None:
        """A run, from the kept file to the kept result."""
        is_told = False
        try:
            async with place:
                result = await self._run(origin, access, asked, kept)
            is_done = not asked.dry_run and result.status < 400
            await self.kept.end(kept, result, is_done=is_done)
            is_told = True
            if is_done:
                await self.kept.files.delete(kept.path(FILE))
        finally:
            if not is_told:
                with suppress(RequestError):  # a silent run is known to be interrupted in the end
                    await run_to_end(self.kept.interrupt(kept))

    async def _run(self, origin: Origin, access: Access, asked: Import, kept: Kept) -> Result:
        try:
            with new_file() as came, new_file() as sheet:
                await self.kept.files.load(kept.path(FILE), kept.size, came)
                watch = _Watch(self.kept, kept)
                ended = await self.runs.run(origin, access, asked, Files(came, sheet), watch.wait)
                assert ended is not None  # nobody gives it up
                result = _make_result(ended, asked)
                if not ended.has_sheet:
                    return result
                size = await self.kept.files.write(kept.path(SHEET), sheet, kept.expires)
                return replace(result, sheet_size=size, sheet_format=asked.sheet or "")
        except OSError as error:
            return _make_refusal(make_disk_error(error))
        except RequestError as error:
            return _make_refusal(error)


class _Watch:
    """Keeps how far a run is, while it is under way."""

    def __init__(self, imports: KeptImports, kept: Kept) -> None:
        self._imports = imports
        self._kept = kept
        self._told: tuple[int, int, int] = (0, 0, 0)
        self._quiet = 0  # looks since something was kept

    async def wait(self, child: Child[Ended]) -> Ended:
        """How the run ended."""
        working = asyncio.ensure_future(finish(child))
        try:
            while not working.done():
                await asyncio.wait((working,), timeout=1)
                if not working.done():
                    await self._look(child.outcome)
            return working.result()
        finally:
            await cancel(working)

    async def _look(self, ended: Ended) -> None:
        numbers = ended.report.rows, ended.due, ended.written
        self._quiet += 1
        if numbers == self._told and self._quiet < REFRESH_SECONDS:
            return
        with suppress(RequestError):  # the run itself says so where the database is away
            await self._imports.tell(self._kept, *numbers)
            self._told, self._quiet = numbers, 0


def _make_result(ended: Ended, asked: Import) -> Result:
    report, error = ended.report, ended.error
    is_refused = error is not None and error.status == 422
    return Result(
        error.status if error is not None else 200,
        _clean(error.detail) if error is not None else None,
        (),
        report.rows,
        report.inserted,
        report.updated,
        report.unchanged,
        report.failed,
        tuple(map(_shorten, report.errors)),
        tuple(map(_shorten, report.changes or ())),
        has_begun=not asked.dry_run and not is_refused,
    )


def _make_refusal(error: RequestError) -> Result:
    """The result of a run that has written nothing, or, where the server is at fault, may have."""
    faults = tuple(_clean(fault.detail) for fault in error.faults)
    return Result(error.status, _clean(error.detail), faults, has_begun=error.status >= 500)


def _shorten(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line of a report, with the beginning of values that are long."""
    return {name: _cut(value) for name, value in line.items()}


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return _clean(value[:SHOWN])
    if isinstance(value, dict | list):
        text = orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        return value if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    return value


def _clean(text: str) -> str:
    """The text without lone surrogates, which nothing can show or keep."""
    return text.encode("utf-8", "replace").decode()
