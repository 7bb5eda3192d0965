"""Exports as downloads: checked, awaited until the first bytes are there, relayed, recorded.

What fails before the first chunk is a proper error; what fails later breaks the connection, so that a file that is
not whole can't be taken for one that is (RFC 9112, section 8).
"""

import asyncio
import logging
import re
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, replace
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.api import requests
from app.api.parts import Part
from app.api.relay import (
    TRANSPORT,
    BrokenTransfer,
    Guard,
    Stalled,
    end_connection,
    wait_for_disconnect,
)
from app.api.routing import Route
from app.concurrency import cancel, run_to_end
from app.errors import NotFound, ProtocolTooOld, RequestError, Unavailable
from app.query.compile import Compiler
from app.settings import Settings
from app.store.client import Database
from app.store.repository import Repository
from app.transfers.child import ExportProcess, ProcessFailed, Source, export_options
from app.transfers.exports import Order, read_order
from app.transfers.production import InProcess
from app.transfers.records import REFRESH_SECONDS, Record, Records, State

CLOSING_SECONDS = 3.0  # that exports have to write how they ended when the server stops

_log = logging.getLogger("docsheet.exports")


class ClientLeft(Exception):
    """The client went before the first chunk was there; nobody waits for an answer."""


class Downloads(Part):
    """The exports of one server process: so many at once, each with a record."""

    def __init__(self, settings: Settings) -> None:
        self.records: Records
        self._database: Database
        self._settings = settings
        self._places: asyncio.Semaphore

    async def open(self, database: Database) -> None:
        """Takes the documents and the records from this database."""
        self.records = Records(database)
        self._database = database
        self._places = asyncio.Semaphore(self._settings.EXPORTS_AT_ONCE)

    async def prepare(self) -> bool:
        """Makes the index by which records are forgotten."""
        if not self._database.is_mock:
            await self.records.prepare()
        return True

    async def close(self) -> None:
        """Waits for the exports that are being ended, so that the database is there for them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS):
                for _ in range(self._settings.EXPORTS_AT_ONCE):
                    await self._places.acquire()

    def routes(self) -> list[Route]:
        """`/exports/{id}`."""
        return [Route("/exports/{export_id}", {"GET": self.record})]

    async def record(self, request: Request) -> Response:
        """`GET /exports/{id}`: how an export ended."""
        requests.no_parameters(request)
        export_id = request.path_params["export_id"]
        record = await self.records.read(export_id)
        if record is None:
            raise NotFound(
                f"Nothing is known of an export {export_id!r}; "
                "they are remembered for a while only."
            )
        headers = {"Cache-Control": "no-store"}
        return Response(orjson.dumps(asdict(record)), 200, headers, "application/json")

    async def answer(
        self, request: Request, compiler: Compiler, repository: Repository
    ) -> Response:
        """The answer to `GET /users/export/{format}`, whose first chunk is there; for HEAD its headers alone."""
        if request.query_params.get("sort") and self._database.has_primary():
            with suppress(RequestError):  # what was known of them serves as well, mostly
                await repository.look_at_indexes()
        order = self._order(request, compiler, repository)
        headers = _headers(order)
        if request.method == "HEAD":
            response = Response(None, 200, headers | await self.total(order))
            del response.headers["content-length"]  # that of GET isn't known
            return response
        await self._take_place()
        export = Export(self, order, headers)
        try:
            await export.begin(request.receive)
        except ClientLeft:
            await run_to_end(export.end())
            return Response(None, 499)  # nginx's number for this; nobody reads it
        except BaseException:
            await run_to_end(export.end())
            raise
        return export

    def _order(self, request: Request, compiler: Compiler, repository: Repository) -> Order:
        snapshots = self._database.has_snapshots()
        name, pairs = request.path_params["format"], requests.pairs(request)
        order = read_order(name, pairs, compiler, repository.plan, snapshots)
        if request.scope["http_version"] == "1.0":
            raise ProtocolTooOld(
                "HTTP/1.0 can't show that a transfer broke, so a cut-off file would look whole; use HTTP/1.1 "
                "(for nginx as a proxy: proxy_http_version 1.1)."
            )
        if order.format.compressible and _accepts_gzip(request.headers.getlist("accept-encoding")):
            return replace(order, job=replace(order.job, gzip=True))
        return order

    async def total(self, order: Order) -> dict[str, str]:
        """The header that says how many documents come, where the database just knows."""
        if not order.is_of_all or not self._database.has_primary():
            return {}
        collection = self._database.collection(order.job.collection)
        with suppress(RequestError):
            count = await self._database.run(collection.estimated_document_count)
            return {"X-Total-Count": str(count), "X-Count-Strategy": "estimated"}
        return {}

    async def _take_place(self) -> None:
        if not self._places.locked():
            await self._places.acquire()
            return
        try:
            await asyncio.wait_for(self._places.acquire(), self._settings.EXPORT_WAIT_SECONDS)
        except TimeoutError:
            raise Unavailable(
                f"{self._settings.EXPORTS_AT_ONCE} exports are under way already; try again when one has ended."
            ) from None

    def release_place(self) -> None:
        """Lets the next export in."""
        self._places.release()

    def process(self, order: Order) -> "ExportProcess | InProcess":
        """What makes the file: a process of its own, or, for a mock, a thread."""
        if self._database.is_mock:
            return InProcess(order.job, self._database.collection(order.job.collection))
        options = export_options(self._settings, order.job.plan)
        return ExportProcess(
            order.job,
            Source(self._database.uri, options, self._settings.DB_NAME, order.query.patterns),
        )

    @property
    def refresh_seconds(self) -> float:
        """Seconds between two records of an export under way: the first must not be forgotten before the second."""
        return min(REFRESH_SECONDS, self._settings.EXPORT_RECORD_SECONDS / 2)

    @property
    def stall_limit(self) -> float:
        """Seconds after which a client that takes no byte is cut off."""
        return self._settings.STALL_LIMIT_SECONDS


class Export(Response):
    """One export under way, as the response that relays it."""

    def __init__(self, downloads: Downloads, order: Order, headers: dict[str, str]) -> None:
        self.export_id = uuid.uuid4().hex
        super().__init__(None, 200, {**headers, "X-Export-Id": self.export_id})
        del self.headers["content-length"]
        self._downloads = downloads
        self._order = order
        self._process = downloads.process(order)
        self._chunks = self._process.chunks()
        self._begin = time.monotonic()
        self._watch: asyncio.Future[None] | None = None
        self._first: bytes | None = None
        self._settled = False  # the client has the file, or it is known that it never will

    async def begin(self, receive: Receive) -> None:
        """Starts it, and waits for its first chunk; raises what went wrong before that as a proper error.

        Raises `ClientLeft` as soon as nobody waits for it any more.
        """
        self._watch = asyncio.ensure_future(wait_for_disconnect(receive))
        beginning = asyncio.ensure_future(self._start())
        try:
            await asyncio.wait((beginning, self._watch), return_when=asyncio.FIRST_COMPLETED)
            if not beginning.done():
                raise ClientLeft
            beginning.result()
        finally:
            await cancel(beginning)

    async def _start(self) -> None:
        await self._process.start()
        others = asyncio.gather(self._record("running"), self._downloads.total(self._order))
        try:
            self._first = await anext(self._chunks, None)
        except (RequestError, ProcessFailed) as error:
            others.cancel()  # nobody got its id
            if isinstance(error, RequestError):
                raise
            _log.error("an export failed before its first byte: %s", error)
            raise Unavailable("The export's process failed; try again.") from error
        self.headers.update((await others)[1])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._watch is not None
        relay = asyncio.ensure_future(self._relay(scope, send))
        refreshing = asyncio.ensure_future(self._refresh())
        try:
            await asyncio.wait((self._watch, relay), return_when=asyncio.FIRST_COMPLETED)
            if self._settled or relay.done():
                await relay
            else:
                await run_to_end(self._leave(relay))
        except asyncio.CancelledError:
            if self._settled:
                raise
            with suppress(asyncio.CancelledError):  # a second one, when the loop ends
                await self._record("failed", "the server stopped")
                await self._break(scope, "the server stopped", flush=False)
        finally:
            await run_to_end(self._finish(relay, refreshing))

    async def _finish(self, *tasks: "asyncio.Future[None]") -> None:
        for task in tasks:
            await cancel(task)
        await self.end()

    async def _leave(self, relay: "asyncio.Future[None]") -> None:
        await cancel(relay)
        await self._process.close()
        await self._record("left", "the client left")

    async def _relay(self, scope: Scope, send: Send) -> None:
        """Sends what comes, but its last byte only when the record says that the file is whole."""
        guarded = Guard(scope.get(TRANSPORT), send, self._downloads.stall_limit)
        try:
            await guarded(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            chunk, kept = self._first, b""
            while chunk:
                await guarded(
                    {"type": "http.response.body", "body": kept + chunk[:-1], "more_body": True}
                )
                kept = chunk[-1:]
                chunk = await anext(self._chunks, None)
            await self._record("complete")
            await guarded({"type": "http.response.body", "body": kept, "more_body": True})
            await guarded(
                {"type": "http.response.body", "body": b"", "more_body": False}, self._settle
            )
        except Stalled:
            await self._process.close()
            await self._record(
                "left", f"the client took no byte for {self._downloads.stall_limit:g} seconds"
            )
            await self._break(scope, "a stalled client was cut off", flush=False)
        except (RequestError, ProcessFailed) as error:
            await self._record("failed", str(error))
            await self._break(scope, str(error))

    def _settle(self) -> None:
        self._settled = True

    async def _break(self, scope: Scope, detail: str, *, flush: bool = True) -> None:
        """Ends the connection without the end of the body, so that the client knows that the file is not whole."""
        _log.error("export %s broke: %s", self.export_id, detail)
        if TRANSPORT not in scope:
            raise BrokenTransfer(detail)
        end_connection(scope[TRANSPORT], self._downloads.stall_limit if flush else 0)
        assert self._watch is not None
        self._settled = True
        await self._watch

    async def _refresh(self) -> None:
        """Records now and then how far it is, beside the relay, which need not wait for the database."""
        while True:
            await asyncio.sleep(self._downloads.refresh_seconds)
            with suppress(RequestError):  # the next one may do better
                await self._downloads.records.refresh(self.export_id, self._made("running"))

    def _made(self, state: State, detail: str | None = None) -> Record:
        made = self._process.outcome
        seconds = round(time.monotonic() - self._begin, 3)
        sha256 = made.sha256 if state == "complete" else None
        return Record(state, made.documents, made.rows, made.size, sha256, seconds, detail)

    async def _record(self, state: State, detail: str | None = None) -> None:
        try:
            await self._downloads.records.write(self.export_id, self._made(state, detail))
        except RequestError as error:
            _log.error(
                "export %s is %s, which could not be recorded: %s", self.export_id, state, error
            )

    async def end(self) -> None:
        """Ends the process and gives the place to the next."""
        try:
            if self._watch is not None:
                await cancel(self._watch)
            await self._process.close()
        finally:
            self._downloads.release_place()


def _accepts_gzip(values: list[str]) -> bool:
    """Whether `Accept-Encoding` takes gzip (RFC 9110, section 12.5.3): `gzip;q=0` and `*;q=0` say no."""
    weights: dict[str, bool] = {}
    for part in ",".join(values).lower().split(","):
        coding, *parameters = (piece.strip() for piece in part.split(";"))
        weights[coding] = not any(_no_weight(parameter) for parameter in parameters)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", False)))


_no_weight = re.compile(r"q\s*=\s*0(\.0*)?").fullmatch


def _headers(order: Order) -> dict[str, str]:
    name = f"{order.job.collection}.{order.format.extension}"
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")
    headers = {
        "Content-Type": order.format.media_type,
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "Cache-Control": "no-store",
    }
    if order.format.compressible:
        headers["Vary"] = "Accept-Encoding"
    if order.job.gzip:
        headers["Content-Encoding"] = "gzip"
    return headers
