"""Exports as downloads: what was asked checked, a slot taken, the transfer relayed; its record."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.access import Access
from app.api.callers import caller_of
from app.api.descriptions import Answer, Description, Schema, describe_in_path
from app.api.headers import NO_STORE, make_file_headers
from app.api.journal import Journal
from app.api.media_types import JSON
from app.api.negotiation import accepts_gzip
from app.api.observers import Observer
from app.api.parts import Part
from app.api.redaction import hide_secrets
from app.api.relay import Relay
from app.api.routing import Route
from app.concurrency import Slots, cancel
from app.errors import NotFound, ProtocolTooOld, RequestError, Unavailable
from app.query.compile import Pairs
from app.query.conditions import Condition
from app.settings import Settings
from app.spreadsheets.formats import FORMATS
from app.store.client import Database
from app.transfers.child import Child
from app.transfers.exports import Export, read_export
from app.transfers.production import InProcess
from app.transfers.records import REFRESH_SECONDS, Record, Records
from app.transfers.samples import Sample, take_sample
from app.transfers.traffic import Traffic
from app.transfers.transfer import Source, Transfer
from app.transfers.work import ExportWork, export_options

CLOSING_SECONDS = 3.0  # that exports have to write how they ended when the server stops
AWAITED_SECONDS = 1.0  # between two records of an export for which somebody waits
LARGE = 10_000  # documents of an export whose speed says something of the next one
MAX_RATES = 1_000  # that are remembered
TOTAL_SECONDS = 1.0  # that the header with the number of documents may take

_RECORD_SCHEMA: Schema = {
    "title": "ExportRecord",
    "type": "object",
    "required": ["state", "documents", "rows", "bytes", "sha256", "seconds", "detail"],
    "additionalProperties": False,
    "properties": {
        "state": {
            "type": "string",
            "enum": ["running", "complete", "failed", "left"],
            "description": "`complete`: all was handed over; `left`: the client went.",
        },
        "documents": {"type": "integer", "description": "Documents so far."},
        "rows": {"type": "integer", "description": "Rows so far, the header not counted."},
        "bytes": {
            "type": "integer",
            "description": "Of the file, before any transfer compression.",
        },
        "sha256": {"type": ["string", "null"], "description": "Of the file, once it is whole."},
        "seconds": {"type": "number", "description": "Since the export began."},
        "detail": {"type": ["string", "null"], "description": "Why it failed."},
    },
}
_RECORD = Description(
    "get",
    "/exports/{id}",
    "read_export",
    "How an export ended",
    {
        200: Answer(
            "The record of the export.",
            {JSON: {"$ref": "#/components/schemas/ExportRecord"}},
            ("Cache-Control",),
        )
    },
    (400, 404, 422, 503),
    [describe_in_path("id", {"type": "string"}, "The X-Export-Id of the download.")],
    schemas={"ExportRecord": _RECORD_SCHEMA},
)


class Downloads(Part):
    """The exports of one server process: so many at once, each with a record."""

    def __init__(
        self, settings: Settings, traffic: Traffic, observer: Observer, journal: Journal
    ) -> None:
        self._traffic = traffic
        self.records: Records
        self._journal = journal
        self._observer = observer
        self._database: Database
        self._settings = settings
        self._slots: Slots
        self._rates: dict[tuple[str, str], float] = {}  # documents a second
        observer.watch("exports", lambda: self._slots.taken, lambda: self._slots.waiting)

    async def open(self, database: Database) -> None:
        """Takes the documents and the records from this database."""
        self.records = Records(database)
        self._database = database
        self._slots = Slots(self._settings.EXPORTS_AT_ONCE)

    async def prepare(self) -> bool:
        """Makes the index by which records are forgotten."""
        await self.records.prepare()
        return True

    async def close(self) -> None:
        """Waits for the exports that are being ended, so that the database is there for them."""
        await self._slots.close(CLOSING_SECONDS)

    def routes(self) -> list[Route]:
        """`/exports/{id}`."""
        return [Route("/exports/{export_id}", {"GET": self.record}, (_RECORD,))]

    async def record(self, request: Request) -> Response:
        """`GET /exports/{id}`: how an export ended."""
        requests.refuse_parameters(request)
        export_id = request.path_params["export_id"]
        record = await self.records.read(export_id)
        caller = caller_of(request.scope)
        if record is None or not (caller.is_admin or record.caller == caller.key):
            raise NotFound(
                f"Nothing is known of an export {export_id!r}; they are remembered for a while "
                "only."
            )
        return Response(orjson.dumps(record.show()), 200, NO_STORE, JSON)

    async def answer(
        self,
        request: Request,
        access: Access,
        below: Sequence[Condition] = (),
        export_id: str | None = None,
    ) -> Response:
        """The answer to `GET /users/export/{format}`, whose first chunk is there.

        For HEAD its headers alone. `export_id` is the one that it is to have, so that how far it is
        can be asked for before the answer has come; raises `Conflict` for one that was used.
        """
        if request.query_params.get("sort") and self._database.has_primary():
            with suppress(RequestError):  # what was known of them serves as well, mostly
                await access.repository.look_at_indexes()
        export = self._read(request, access, below)
        headers = _headers(export)
        total = asyncio.ensure_future(self._tell_total(export))
        try:
            if request.method == "HEAD":
                return _head(headers | await total)
            if export_id is not None:
                caller = caller_of(request.scope).key
                await self.records.claim(export_id, Record(caller=caller))
            await self._take_slot(export_id)
            limit = self._settings.STALL_LIMIT_SECONDS
            transfer = self._transfer(export, request, export_id)
            relay = Relay(transfer, headers, limit, self._slots.release)
            return await relay.begin(request.receive, total)
        finally:
            await cancel(total)

    def read(
        self, access: Access, name: str, pairs: Pairs, below: Sequence[Condition] = ()
    ) -> Export:
        """The export of that format's name; raises `NotFound` and `Invalid`."""
        snapshots = self._database.has_snapshots()
        return read_export(name, pairs, access.compiler, access.repository.plan, snapshots, below)

    async def sample(self, exports: Sequence[Export], keys: Sequence[Any]) -> list[Sample]:
        """What the files of exports will be like, by documents with these `_id`s."""
        return await self._database.run(self._take_samples, exports, keys)

    def _take_samples(self, exports: Sequence[Export], keys: Sequence[Any]) -> list[Sample]:
        is_mock = not self._database.uri
        return [
            take_sample(export, self._database.collection(export.collection), keys, is_mock=is_mock)
            for export in exports
        ]

    def estimate_seconds(self, export: Export, sample: Sample, documents: int) -> float:
        """About how long an export of so many documents takes.

        As quick as the last large one of its kind was here, where there was one.
        """
        rate = self._rates.get((export.collection, export.format))
        return documents / rate if rate else sample.estimate_seconds(documents)

    def _read(self, request: Request, access: Access, below: Sequence[Condition]) -> Export:
        name, pairs = request.path_params["format"], requests.pairs(request)
        export = self.read(access, name, pairs, below)
        if request.scope["http_version"] == "1.0":
            raise ProtocolTooOld(
                "HTTP/1.0 can't show that a transfer broke, so a cut-off file would look whole; "
                "use HTTP/1.1 (for nginx as a proxy: proxy_http_version 1.1)."
            )
        packs = FORMATS[export.format].compressible
        if packs and accepts_gzip(request.headers.getlist("accept-encoding")):
            return replace(export, gzip=True)
        return export

    async def _tell_total(self, export: Export) -> dict[str, str]:
        """The headers that say how many documents come, where the database just knows."""
        if not export.is_of_all or not self._database.has_primary():
            return {}
        collection = self._database.collection(export.collection)
        with suppress(RequestError, TimeoutError):
            async with asyncio.timeout(TOTAL_SECONDS):
                count = await self._database.run(collection.estimated_document_count)
            return {"X-Total-Count": str(count), "X-Count-Strategy": "estimated"}
        return {}

    async def _take_slot(self, export_id: str | None) -> None:
        try:
            await self._slots.take(self._settings.EXPORT_WAIT_SECONDS)
        except TimeoutError:
            detail = (
                f"{self._settings.EXPORTS_AT_ONCE} exports are under way already; try again "
                "when one has ended."
            )
            if export_id is not None:
                await self.records.write(export_id, Record("failed", detail=detail))
            raise Unavailable(detail) from None

    def _transfer(self, export: Export, request: Request, export_id: str | None) -> Transfer:
        note = self._journal.begin(request.scope, "exported", *_describe(request, export))

        def tell_end(record: Record) -> None:
            self._observer.see_export(export.format, record)
            self._measure(export, record)
            note.add(record.show())

        caller = caller_of(request.scope).key
        source = self._source(export)
        seconds = self.refresh_seconds if export_id is None else AWAITED_SECONDS
        return Transfer(source, self.records, seconds, caller, tell_end, export_id)

    def _measure(self, export: Export, record: Record) -> None:
        """Remembers how quick a large export was."""
        if record.state == "complete" and record.documents >= LARGE and record.seconds:
            if len(self._rates) >= MAX_RATES:
                self._rates.clear()
            rate = record.documents / record.seconds
            self._rates[export.collection, export.format] = rate

    def _source(self, export: Export) -> Source:
        """What makes the file: a process of its own, or a thread where none can reach the data."""
        if not self._database.uri:
            return InProcess(export, self._database.collection(export.collection))
        options = export_options(self._settings, export.plan)
        work = ExportWork(export, self._database.uri, options, self._settings.DB_NAME)
        return Child(work, self._traffic)

    @property
    def refresh_seconds(self) -> float:
        """Seconds between two records of an export under way.

        The first must not be forgotten before the second.
        """
        return min(REFRESH_SECONDS, self._settings.EXPORT_RECORD_SECONDS / 2)


def _describe(request: Request, export: Export) -> tuple[str, dict[str, Any]]:
    """The collection of an export, and what a journal says when it begins."""
    columns = [column.path for column in export.columns or ()]
    return export.collection, {
        "path": request.scope["path"],
        "query": hide_secrets(request.scope["query_string"].decode("latin-1")),
        "format": export.format,
        "columns": columns or "all",
        "state": "running",
    }


def _head(headers: dict[str, str]) -> Response:
    response = Response(None, 200, headers)
    del response.headers["content-length"]  # that of GET isn't known
    return response


def _headers(export: Export) -> dict[str, str]:
    found = FORMATS[export.format]
    headers = make_file_headers(f"{export.collection}.{found.extension}", found.media_type)
    if found.compressible:
        headers["Vary"] = "Accept-Encoding"
    if export.gzip:
        headers["Content-Encoding"] = "gzip"
    return headers
