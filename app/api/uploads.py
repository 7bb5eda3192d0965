"""Imports: a file that comes written to disk, a place taken, the work watched; its report."""

import asyncio
import io
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, cast
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.api import requests
from app.api.access import Access
from app.api.journal import Journal
from app.api.lines import hide_secrets
from app.api.media_types import JSON
from app.api.multipart import Upload, new_file, new_upload, receive
from app.api.observers import Observer
from app.api.parts import Part
from app.api.problems import problem
from app.api.relay import wait_for_disconnect
from app.concurrency import Places, cancel, run_to_end
from app.errors import NotFound, RequestError, Unavailable
from app.resources.registry import Resource
from app.resources.views import Ruled, make_forbidden
from app.resources.writable import make_fillable
from app.settings import Settings
from app.spelling import suggest_nearest
from app.spreadsheets.format import MIB, Limits
from app.spreadsheets.formats import FORMATS
from app.spreadsheets.forms import entries, write_csv, write_xlsx
from app.spreadsheets.reading import find_format
from app.store.client import Database
from app.transfers.child import Child, ChildFailed
from app.transfers.import_options import Import, SheetFormat, check_parameters, read_import
from app.transfers.import_work import ImportWork
from app.transfers.imports import Ended, run_import
from app.transfers.inherited import Inherited
from app.transfers.report import Report
from app.transfers.traffic import Traffic

CLOSING_SECONDS = 3.0  # that imports have to end when the server stops
WAIT_SECONDS = 5.0  # that an import waits for its turn
INTERNAL = 500  # the first status of an error that is the server's
CHUNK = 256 * 1024  # bytes of a sheet that are sent at a time
_SHEETS: dict[str, SheetFormat] = {
    FORMATS["csv"].media_type.partition(";")[0]: "csv",
    FORMATS["xlsx"].media_type: "xlsx",
}
_FORMS = {"csv": FORMATS["csv"], "xlsx": FORMATS["xlsx"], "excel": FORMATS["xlsx"]}
_log = logging.getLogger("docsheet.imports")


class Uploads(Part):
    """The imports of one server process: so many at once."""

    def __init__(
        self, settings: Settings, traffic: Traffic, observer: Observer, journal: Journal
    ) -> None:
        self._traffic = traffic
        self._observer = observer
        self._journal = journal
        self._settings = settings
        self._database: Database
        self._places: Places
        observer.watch("imports", lambda: self._places.taken, lambda: self._places.waiting)
        self._limit = settings.IMPORT_LIMIT_MIB * MIB
        self._limits = Limits(rows=settings.IMPORT_ROWS, size=8 * self._limit)

    async def open(self, database: Database) -> None:
        """Writes to this database."""
        self._database = database
        self._places = Places(self._settings.IMPORTS_AT_ONCE)

    async def close(self) -> None:
        """Waits for the imports that are being ended."""
        await self._places.close(CLOSING_SECONDS)

    def form(self, request: Request, access: Access) -> Response:
        """`GET /users/import/{format}`: an empty sheet to fill in."""
        requests.refuse_parameters(request)
        word = request.path_params["format"]
        found = _FORMS.get(word)
        if found is None:
            known = " and ".join(_FORMS)
            raise NotFound(
                f"There is no sheet to fill in as {word!r}.{suggest_nearest(word, _FORMS)} "
                f"There are {known}."
            )
        views = access.repository.reach.compilers.views
        resource = make_fillable(views, access.view.whole.name)
        columns = entries(resource.shape, resource.options.columns or None)
        is_csv = found.names[0] == "csv"
        body = write_csv(columns) if is_csv else write_xlsx(columns, resource.name)
        name = f"{resource.name}.{found.extension}"
        return Response(body, 200, _file_headers(name, found.media_type))

    async def answer(self, request: Request, access: Access) -> Response:
        """The answer to `POST /users/import`, whose writes are made."""
        pairs = requests.pairs(request)
        repository = access.repository
        values = check_parameters(access.view.resource, pairs)
        _require_mode(access, values["mode"])
        await repository.begin_import(inserting=values["mode"] != "update")
        await self._take_place()
        try:
            with new_upload() as upload:
                asked = await self._receive(request, access, pairs, upload)
                return await self._import(request, access, asked, upload)
        finally:
            self._places.release()
            repository.end_import()

    async def _take_place(self) -> None:
        try:
            await self._places.take(WAIT_SECONDS)
        except TimeoutError:
            raise Unavailable(
                f"{self._settings.IMPORTS_AT_ONCE} imports are under way already; try again when "
                "one has ended.",
                headers={"Connection": "close"},
            ) from None

    async def _receive(
        self,
        request: Request,
        access: Access,
        pairs: list[tuple[str, str]],
        upload: Upload,
    ) -> Import:
        """What is asked for, and the file on disk."""
        sheet = _choose_sheet(request.headers.getlist("accept"))
        views = access.repository.reach.compilers.views

        def read(name: str | None, media_type: str | None) -> Import:
            format = find_format(name, media_type)
            collection = access.view.whole.name
            return read_import(views, collection, format, pairs, self._limits, sheet)

        def check(name: str | None, media_type: str | None) -> None:
            read(name, media_type)

        await receive(request, upload, check, self._limit, self._settings.STALL_LIMIT_SECONDS)
        upload.file.flush()
        return read(upload.name, upload.media_type)

    async def _import(
        self,
        request: Request,
        access: Access,
        asked: Import,
        upload: Upload,
    ) -> Response:
        sheet = new_file()
        is_sent = False
        try:
            files = upload.file, sheet
            with self._observe(request, access, asked, upload) as outcome:
                outcome.ended = await self._run(request, access, asked, files)
            ended = outcome.ended
            if ended is None:
                return Response(None, 499)  # nginx's number for this; nobody reads it
            if ended.has_sheet:
                is_sent = True
                return _sheet_answer(access.view.whole, asked, ended, sheet)
            return _report_answer(request, ended)
        finally:
            if not is_sent:
                sheet.close()

    @contextmanager
    def _observe(
        self, request: Request, access: Access, asked: Import, upload: Upload
    ) -> Iterator["_Outcome"]:
        """Tells the observer and the journal how the import in this block ended."""
        outcome = _Outcome()
        collection = access.view.whole.name
        note = self._journal.begin(request.scope, "imported", collection, _describe(request, asked))
        try:
            yield outcome
        except RequestError as error:
            outcome.error = error
            raise
        finally:
            size = os.fstat(upload.file.fileno()).st_size
            end, report = outcome.name_end(asked), outcome.report
            self._observer.see_import(asked.format, end, report, size, outcome.seconds)
            note.add({"state": end, "bytes": size, **report.counts(), "seconds": outcome.seconds})

    async def _run(
        self,
        request: Request,
        access: Access,
        asked: Import,
        files: tuple[IO[bytes], IO[bytes]],
    ) -> Ended | None:
        """How it ended: in a process of its own, or in a thread where none can reach the data."""
        repository = access.repository
        if not self._database.uri:
            file, sheet = (cast(BinaryIO, one) for one in files)
            return await asyncio.to_thread(
                run_import,
                asked,
                repository.reach,
                self._database,
                repository.indexes,
                file,
                sheet,
            )
        given, corrections = (Inherited(one.fileno()) for one in files)
        work = ImportWork(
            asked,
            repository.reach.compilers.views.grants,
            self._settings,
            self._database.uri,
            repository.indexes,
            given,
            corrections,
        )
        child = Child(work, self._traffic)
        try:
            return await _unless_client_leaves(child, request.receive)
        finally:
            await run_to_end(child.close())


def _describe(request: Request, asked: Import) -> dict[str, Any]:
    """What a journal says when an import begins."""
    return {
        "query": hide_secrets(request.scope["query_string"].decode("latin-1")),
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


async def _unless_client_leaves(child: Child[Ended], receive: Receive) -> Ended | None:
    """How the import ended; None where the client went before anything was written.

    What has begun to write goes on without a client: half of it would be worse.
    """
    working = asyncio.ensure_future(_outcome(child))
    leaving = asyncio.ensure_future(wait_for_disconnect(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done() and not child.outcome.is_writing:
            _log.info("a client left before its import was written")
            return None
        return await working
    finally:
        await cancel(leaving)
        await cancel(working)


async def _outcome(child: Child[Ended]) -> Ended:
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


def _require_mode(access: Access, mode: str) -> None:
    """Raises `Forbidden` where what a mode does with rows isn't allowed on any document.

    The scope of an import is enough for what its caller may create and update.
    """
    rights = access.view.rights
    action: Ruled = "update" if mode == "update" else "create"
    if mode == "upsert" and rights.update is not None:
        return
    if rights.rule_of(action) is None:
        raise make_forbidden(access.view.whole, action)


def _report_answer(request: Request, ended: Ended) -> Response:
    members = ended.report.members()
    if ended.error is not None:
        ended.error.members = members
        return problem(ended.error, request.scope)
    headers = {"Cache-Control": "no-store"}
    return Response(orjson.dumps(members), 200, headers, JSON)


def _sheet_answer(resource: Resource, asked: Import, ended: Ended, file: IO[bytes]) -> Response:
    found = FORMATS[asked.sheet or "csv"]
    name = f"{resource.name}-errors.{found.extension}"
    status = ended.error.status if ended.error is not None else 200
    return SheetResponse(file, status, _file_headers(name, found.media_type))


class SheetResponse(Response):
    """A file that is sent a little at a time, then closed."""

    def __init__(self, file: IO[bytes], status: int, headers: dict[str, str]) -> None:
        super().__init__(None, status, headers)
        self._file = file
        self.headers["content-length"] = str(file.seek(0, io.SEEK_END))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file as file:
            file.seek(0)
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            while chunk := file.read(CHUNK):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _file_headers(name: str, media_type: str) -> dict[str, str]:
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")
    quoted = quote(name, safe="")
    return {
        "Content-Type": media_type,
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quoted}",
        "Cache-Control": "no-store",
    }


def _choose_sheet(values: list[str]) -> SheetFormat | None:
    """The sheet that `Accept` names (RFC 9110, section 12.5.1), unless it likes JSON as much."""
    weights: dict[str, float] = {}
    for part in ",".join(values).lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        weights[media_type] = next(filter(None, map(_weight, parameters)), 1.0)
    json = weights.get(JSON, 0.0)
    liked = [(weights.get(media_type, 0.0), name) for media_type, name in _SHEETS.items()]
    weight, name = max(liked, key=lambda one: one[0])
    return name if weight > json else None


def _weight(parameter: str) -> float | None:
    name, _, value = parameter.partition("=")
    try:
        return float(value) if name.strip() == "q" else None
    except ValueError:
        return None
