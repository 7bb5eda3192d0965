"""Exports as downloads: checked, awaited until the first bytes are there, relayed, recorded.

What fails before the first chunk is a proper error; what fails later breaks the connection, so that a file that is
not whole can't be taken for one that is (RFC 9112, section 8).
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.api import requests
from app.api.protocol import TRANSPORT, abort, waiting_bytes
from app.errors import Fault, Invalid, NotFound, ProtocolTooOld, RequestError, Unavailable
from app.query import keyset
from app.query.compile import Compiler, Query
from app.resources.registry import Resource, nearest
from app.resources.rendering import presenter
from app.settings import Settings
from app.spreadsheets.columns import Column, parse_columns
from app.spreadsheets.encoders import Format, Options
from app.spreadsheets.export import Tally
from app.spreadsheets.formats import FORMATS
from app.store.batches import Plan
from app.store.client import Database, client_options
from app.store.repository import Repository
from app.transfers.process import ExportProcess, ProcessFailed, Source
from app.transfers.production import Job, produce_from_mock, projected
from app.transfers.records import Record, Records, State

DELIMITERS = {",": ",", ";": ";", "|": "|", "tab": "\t"}
_OF_FORMATS = ("bom", "delimiter", "formulas", "unwind", "timezone")
_FOR_ALL = ("columns", "consistency")
_log = logging.getLogger("docsheet.exports")


class BrokenTransfer(Exception):
    """The file can't be finished: the connection is broken, so that the client knows."""


@dataclass(frozen=True)
class Asked:
    """An export as it was asked for."""

    format: Format
    query: Query
    job: Job


class Downloads:
    """The exports of one server process: so many at once, each with a record."""

    def __init__(self, database: Database, records: Records, uri: str, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._source = Source(uri, client_options(settings), settings.DB_NAME)
        self._places = asyncio.Semaphore(settings.EXPORTS_AT_ONCE)
        self.records = records

    async def answer(self, request: Request, compiler: Compiler, repository: Repository) -> Response:
        """The answer to `GET /users/export/{format}`, whose first chunk is there; for HEAD its headers alone."""
        asked = read_export(request, compiler, repository, self._settings)
        if request.scope["http_version"] == "1.0":
            raise ProtocolTooOld(
                "HTTP/1.0 can't show that a transfer broke, so a cut-off file would look whole; use HTTP/1.1 "
                "(for nginx as a proxy: proxy_http_version 1.1)."
            )
        headers = _headers(asked)
        if request.method == "HEAD":
            return Response(None, 200, headers)
        await self._take_place()
        export = Export(self, asked, headers)
        try:
            await export.begin()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await export.end()
            raise
        return export

    async def _take_place(self) -> None:
        try:
            await asyncio.wait_for(self._places.acquire(), self._settings.EXPORT_WAIT_SECONDS)
        except TimeoutError:
            raise Unavailable(
                f"{self._settings.EXPORTS_AT_ONCE} exports are under way already; try again when one has ended."
            ) from None

    def release_place(self) -> None:
        """Lets the next export in."""
        self._places.release()

    def process(self, asked: Asked) -> "ExportProcess | InProcess":
        """What makes the file: a process of its own, or, for a mock, a thread."""
        if self._database.is_mock:
            return InProcess(asked.job, self._database.collection(asked.job.collection))
        source = Source(self._source.uri, self._source.options, self._source.database, asked.query.patterns)
        return ExportProcess(asked.job, source)

    @property
    def stall_limit(self) -> float:
        """Seconds after which a client that takes no byte is cut off."""
        return self._settings.STALL_LIMIT_SECONDS


class Export(Response):
    """One export under way, as the response that relays it."""

    def __init__(self, downloads: Downloads, asked: Asked, headers: dict[str, str]) -> None:
        self.export_id = uuid.uuid4().hex
        super().__init__(None, 200, {**headers, "X-Export-Id": self.export_id})
        del self.headers["content-length"]
        self._downloads = downloads
        self._asked = asked
        self._process = downloads.process(asked)
        self._chunks = self._process.chunks()
        self._begin = time.monotonic()
        self._ended = False
        self._next: bytes | None = None

    async def begin(self) -> None:
        """Starts it, and waits for its first chunk; raises what went wrong before that as a proper error."""
        await self._process.start()
        recorded = asyncio.ensure_future(self._record("running"))
        try:
            self._next = await anext(self._chunks, None)
        except ProcessFailed as error:
            _log.error("an export failed before its first byte: %s", error)
            raise Unavailable("The export's process failed; try again.") from error
        finally:
            await recorded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        watch = asyncio.ensure_future(_until_disconnect(receive))
        relay = asyncio.ensure_future(self._relay(scope, send))
        try:
            await asyncio.wait((watch, relay), return_when=asyncio.FIRST_COMPLETED)
            if not relay.done():
                await self._left("the client left")
                return
            relay.result()
        except asyncio.CancelledError:
            await self._left("the server stopped", "failed")
            raise
        finally:
            with anyio.CancelScope(shield=True):
                for task in (watch, relay):
                    task.cancel()
                    with suppress(asyncio.CancelledError, Exception):
                        await task
                await self.end()

    async def _relay(self, scope: Scope, send: Send) -> None:
        """Sends chunk by chunk, one kept back until it is known whether it is the last."""
        guarded = _Guard(scope.get(TRANSPORT), send, self._downloads.stall_limit)
        await guarded({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            while self._next is not None:
                chunk = self._next
                self._next = await anext(self._chunks, None)
                if self._next is None:
                    await self._record("complete")
                await guarded({"type": "http.response.body", "body": chunk, "more_body": True})
        except _Stalled:
            await self._left(f"the client took no byte for {self._downloads.stall_limit:g} seconds")
            self._break(scope, "a stalled client was cut off")
            return
        except (RequestError, ProcessFailed) as error:
            await self._record("failed", str(error))
            self._break(scope, str(error))
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _break(self, scope: Scope, detail: str) -> None:
        """Ends the connection without the end of the body, so that the client knows that the file is not whole."""
        _log.error("export %s broke: %s", self.export_id, detail)
        if TRANSPORT not in scope:
            raise BrokenTransfer(detail)
        abort(scope[TRANSPORT])

    async def _left(self, detail: str, state: State = "left") -> None:
        if not self._ended:
            with anyio.CancelScope(shield=True):
                await self._record(state, detail)

    async def _record(self, state: State, detail: str | None = None) -> None:
        if state != "running":
            self._ended = True
        made = self._process.outcome
        seconds = round(time.monotonic() - self._begin, 3)
        sha256 = made.sha256 if state == "complete" else None
        record = Record(state, made.documents, made.rows, made.size, sha256, seconds, detail)
        try:
            await self._downloads.records.write(self.export_id, record)
        except RequestError as error:
            _log.error("export %s is %s, which could not be recorded: %s", self.export_id, state, error)

    async def end(self) -> None:
        """Ends the process and gives the place to the next."""
        await self._process.close()
        self._downloads.release_place()


class InProcess:
    """An export in a thread of this process: for the mock, which no other process could reach."""

    def __init__(self, job: Job, collection: Any) -> None:
        self.outcome = Tally()
        self._made: Iterator[bytes] = produce_from_mock(job, collection, self.outcome)

    async def start(self) -> None:
        """Nothing to do."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks, each made in a thread."""
        while (chunk := await asyncio.to_thread(next, self._made, None)) is not None:
            yield chunk

    async def close(self) -> None:
        """Nothing to do."""


class _Stalled(Exception):
    """The client took no byte for too long."""


class _Guard:
    """Sends a message, and gives up when the client takes no byte of what waits for too long."""

    def __init__(self, transport: Any, send: Send, limit: float) -> None:
        self._transport = transport
        self._send = send
        self._limit = limit

    async def __call__(self, message: Any) -> None:
        sending = asyncio.ensure_future(self._send(message))
        try:
            before = -1
            while not (await asyncio.wait((sending,), timeout=self._limit))[0]:
                waiting = waiting_bytes(self._transport) if self._transport is not None else 0
                if waiting == before or self._transport is None:
                    abort(self._transport)
                    raise _Stalled
                before = waiting
            sending.result()
        finally:
            sending.cancel()


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


# --- what was asked --------------------------------------------------------------------------------------------------


def read_export(request: Request, compiler: Compiler, repository: Repository, settings: Settings) -> Asked:
    """The export that a request asks for; raises `NotFound` for an unknown format, `Invalid` for the rest."""
    name = request.path_params["format"]
    found = FORMATS.get(name)
    if found is None:
        raise NotFound(f"There is no export format {name!r}; there are {', '.join(sorted(FORMATS))}.")
    words, query = _parameters(request, compiler, repository, found)
    job = make_job(compiler.resource, repository, name, query, words, settings)
    accepts = "gzip" in request.headers.get("accept-encoding", "")
    if found.compressible and accepts:
        job = Job(**{**vars(job), "gzip": True})
    return Asked(found, query, job)


def _parameters(
    request: Request, compiler: Compiler, repository: Repository, found: Format
) -> tuple[dict[str, str], Query]:
    pairs = requests.pairs(request)
    faults = []
    for name in dict.fromkeys(name for name, _ in pairs):
        if name in _OF_FORMATS and name not in found.takes:
            faults.append(Fault(f"{name}: the format {found.names[0]} has no such option.", parameter=name))
        elif name in ("fields", "after", "count", "expand") and compiler.asked(name) is None:
            faults.append(Fault(f"{name}: this is for lists; an export has columns, limit and skip.", parameter=name))
    if faults:
        raise Invalid(faults[0].detail, *faults)
    known = (*_FOR_ALL, *(name for name in _OF_FORMATS if name in found.takes))
    query, words = compiler.conditions(pairs, repository.indexes.standing, known)
    return words, query


def make_job(
    resource: Resource, repository: Repository, name: str, query: Query, words: dict[str, str], settings: Settings
) -> Job:
    """The job of an export; raises `Invalid` for options that can't be."""
    found = FORMATS[name]
    unwind = words.get("unwind")
    plan = Plan(
        query.filter,
        query.sort,
        query.skip,
        query.limit,
        order=keyset.served_by(query.sort, repository.indexes.standing),
        time_limit=int(settings.QUERY_TIME_LIMIT_SECONDS * 1000),
    )
    columns: tuple[Column, ...] | None = None
    if found.tabular or "columns" in words:
        declared = resource.options.columns or None
        columns = parse_columns(resource.shape, declared, words.get("columns"), unwind, "titles" in found.takes)
    snapshot = _choice(words, "consistency", ("snapshot", "none"), "snapshot") == "snapshot"
    job = Job(resource.name, plan, name, columns, unwind, _options(words), presenter(resource.shape), snapshot=snapshot)
    found.encoder(columns or (), job.options, resource.name)  # refuses what the format can't hold
    return projected(job)


def _options(words: dict[str, str]) -> Options:
    delimiter = DELIMITERS[_choice(words, "delimiter", tuple(DELIMITERS), ",")]
    timezone = words.get("timezone", "UTC")
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        detail = f"timezone: {timezone!r} is no time zone of the IANA database, such as Asia/Shanghai or UTC."
        raise Invalid(detail, Fault(detail, parameter="timezone")) from None
    return Options(
        bom=_choice(words, "bom", ("true", "false"), "false") == "true",
        delimiter=delimiter,
        formulas=_choice(words, "formulas", ("escape", "keep"), "escape"),
        timezone=timezone,
    )


def _choice(words: dict[str, str], name: str, choices: tuple[str, ...], default: str) -> str:
    value = words.get(name, default)
    if value not in choices:
        detail = f"{name}: one of {', '.join(choices)} is wanted, not {value!r}.{nearest(value, choices)}"
        raise Invalid(detail, Fault(detail, parameter=name))
    return value


def _headers(asked: Asked) -> dict[str, str]:
    name = f"{asked.job.collection}.{asked.format.extension}"
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")
    headers = {
        "Content-Type": asked.format.media_type,
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "Cache-Control": "no-store",
    }
    if asked.format.compressible:
        headers["Vary"] = "Accept-Encoding"
    if asked.job.gzip:
        headers["Content-Encoding"] = "gzip"
    return headers
