"""Imports over HTTP: a file that comes is written to disk and run; the answer is its report."""

import asyncio
import io
import logging
from functools import partial
from typing import IO

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.api import requests
from app.api.access import Access
from app.api.headers import NO_STORE, make_file_headers
from app.api.import_runs import Files, ImportRuns, Origin, finish
from app.api.media_types import JSON
from app.api.multipart import Upload, new_file, new_upload, receive
from app.api.negotiation import read_weights
from app.api.problems import problem
from app.api.relay import wait_for_disconnect
from app.concurrency import cancel
from app.errors import NotFound
from app.resources.registry import Resource
from app.resources.writable import make_fillable
from app.settings import Settings
from app.spelling import suggest_nearest
from app.spreadsheets.encodings import read_charset
from app.spreadsheets.formats import FORMATS
from app.spreadsheets.forms import entries, write_csv, write_xlsx
from app.spreadsheets.reading import find_format
from app.transfers.child import Child
from app.transfers.import_options import Import, SheetFormat, check_parameters, read_import
from app.transfers.imports import Ended

CHUNK = 256 * 1024  # bytes of a sheet that are sent at a time
_SHEETS: dict[str, SheetFormat] = {
    FORMATS["csv"].media_type.partition(";")[0]: "csv",
    FORMATS["xlsx"].media_type: "xlsx",
}
_FORMS = {"csv": FORMATS["csv"], "xlsx": FORMATS["xlsx"], "excel": FORMATS["xlsx"]}
_log = logging.getLogger("docsheet.imports")


class Uploads:
    """The answers to files that came."""

    def __init__(self, settings: Settings, runs: ImportRuns) -> None:
        self._settings = settings
        self._runs = runs

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
        return Response(body, 200, make_file_headers(name, found.media_type))

    async def answer(self, request: Request, access: Access) -> Response:
        """The answer to `POST /users/import`, whose writes are made."""
        pairs = requests.pairs(request)
        values = check_parameters(access.view.resource, pairs)
        async with self._runs.slot(access, values["mode"]):
            with new_upload() as upload:
                asked = await self._receive(request, access, pairs, upload)
                return await self._import(request, access, asked, upload)

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
            encoding = read_charset(media_type)
            limits = self._runs.limits
            return read_import(views, collection, format, pairs, limits, sheet, encoding)

        def check(name: str | None, media_type: str | None) -> None:
            read(name, media_type)

        limit = self._runs.limit
        await receive(request, upload, check, limit, self._settings.STALL_LIMIT_SECONDS)
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
            origin = Origin(request.scope, request.scope["query_string"].decode("latin-1"))
            files = Files(upload.file, sheet)
            watch = partial(_unless_client_leaves, request.receive)
            ended = await self._runs.run(origin, access, asked, files, watch)
            if ended is None:
                return Response(None, 499)  # nginx's number for this; nobody reads it
            if ended.has_sheet:
                is_sent = True
                return _sheet_answer(access.view.whole, asked, ended, sheet)
            return _report_answer(request, ended)
        finally:
            if not is_sent:
                sheet.close()


async def _unless_client_leaves(receive: Receive, child: Child[Ended]) -> Ended | None:
    """How the import ended; None where the client went before anything was written.

    What has begun to write goes on without a client: half of it would be worse. The log has its
    report then.
    """
    working = asyncio.ensure_future(finish(child))
    leaving = asyncio.ensure_future(wait_for_disconnect(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done() and not child.outcome.is_writing:
            _log.info("a client left before its import was written")
            return None
        ended = await working
        if leaving.done():
            _log.warning("a client left while its import was written: %s", _describe(ended))
        return ended
    finally:
        await cancel(leaving)
        await cancel(working)


def _describe(ended: Ended) -> str:
    """The report for a log: `5 rows, 3 inserted, …`, and what has stopped it."""
    counts = ", ".join(f"{count} {what}" for what, count in ended.report.counts().items())
    return f"{counts}. {ended.error.detail}" if ended.error is not None else counts


def _report_answer(request: Request, ended: Ended) -> Response:
    members = ended.report.members()
    if ended.error is not None:
        ended.error.members = members
        return problem(ended.error, request.scope)
    return Response(orjson.dumps(members), 200, NO_STORE, JSON)


def _sheet_answer(resource: Resource, asked: Import, ended: Ended, file: IO[bytes]) -> Response:
    found = FORMATS[asked.sheet or "csv"]
    name = f"{resource.name}-errors.{found.extension}"
    status = ended.error.status if ended.error is not None else 200
    return SheetResponse(file, status, make_file_headers(name, found.media_type))


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


def _choose_sheet(values: list[str]) -> SheetFormat | None:
    """The sheet that `Accept` names (RFC 9110, section 12.5.1), unless it likes JSON as much."""
    weights = read_weights(values)
    json = weights.get(JSON, 0.0)
    liked = [(weights.get(media_type, 0.0), name) for media_type, name in _SHEETS.items()]
    weight, name = max(liked, key=lambda one: one[0])
    return name if weight > json else None
