"""`GET /metrics`: numbers for Prometheus, of all worker processes of a server together.

With several of them each writes its numbers into files of a folder that all share, by the library's
own way (https://prometheus.github.io/client_python/multiprocess/). The counts of a worker that died
stay in their sums, which must not fall; what it had under way is taken out by who watches it.
"""

import asyncio
import os
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.api import requests
from app.api.callers import caller_of
from app.api.descriptions import Answer, Description
from app.api.headers import NO_STORE
from app.api.observers import Count, Observer
from app.api.parts import Part
from app.api.routing import Route
from app.concurrency import cancel
from app.errors import Forbidden
from app.store.client import Database
from app.transfers.records import Record
from app.transfers.report import Report

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the library's variable: where processes share their numbers
SAMPLE_SECONDS = 1.0  # between two looks at what is under way, where processes share their numbers
SCOPE = "metrics"
OF_REQUESTS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
)  # seconds
OF_FILES = (0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)  # seconds
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"))
_DESCRIPTION = Description(
    "get",
    "/metrics",
    "metrics",
    "Numbers for Prometheus",
    {200: Answer("The numbers.", {"text/plain": {"type": "string"}}, ("Cache-Control",))},
    (400, 403, 422),
    scope=SCOPE,
)


class Metrics(Observer, Part):
    """The numbers of one server process, shown with those of the others."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Histogram(
            "docsheet_request_seconds",
            "Requests by the pattern of their path, with the seconds until the answer's end.",
            ("route", "method", "status"),
            buckets=OF_REQUESTS,
            registry=registry,
        )
        self._exports = _File("export", registry)
        self._imports = _File("import", registry)
        self._under_way = _gauge("under_way", "What is under way.", ("what",), registry)
        self._waiting = _gauge("waiting", "What waits for a place.", ("what",), registry)
        self._connections = _gauge("connections", "Open connections.", (), registry)
        self._known: dict[tuple[str, str, int], Histogram] = {}
        self._watched: list[tuple[Gauge, Count]] = []
        self._sampling: asyncio.Task[None] | None = None

    async def open(self, database: Database) -> None:
        """Begins to look at what is under way; alone it looks when it is asked."""
        self.watch("database calls", database.count_calls, database.count_waiting)
        if FOLDER in os.environ:
            self._sampling = asyncio.create_task(self._sample_for_ever())

    async def close(self) -> None:
        """Looks no more."""
        if self._sampling is not None:
            await cancel(self._sampling)

    def routes(self) -> list[Route]:
        """`/metrics`."""
        return [Route("/metrics", {"GET": self.show}, (_DESCRIPTION,))]

    async def show(self, request: Request) -> Response:
        """`GET /metrics`."""
        if not caller_of(request.scope).has(SCOPE):
            raise Forbidden(f"This needs the scope {SCOPE}, and this caller doesn't have it.")
        requests.refuse_parameters(request)
        self._sample()
        accept = request.headers.get("accept", "")
        body, media_type = await asyncio.to_thread(self._write, accept)
        return Response(body, 200, {"Content-Type": media_type, **NO_STORE})

    def _write(self, accept: str) -> tuple[bytes, str]:
        """All numbers, in the format that is accepted."""
        registry = self._registry
        if FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        encode, media_type = choose_encoder(accept)
        return encode(registry), media_type

    # --- what it is told of -----------------------------------------------------------------------

    def see_request(self, scope: Scope, status: int, seconds: float) -> None:
        """One more of its route, method and status."""
        key = _find_route(scope), _find_method(scope), status
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._requests.labels(*map(str, key))
        known.observe(seconds)

    def see_export(self, format: str, record: Record) -> None:
        """One more of its format and end."""
        amounts = record.documents, record.rows, record.bytes
        self._exports.add(format, record.state, amounts, record.seconds)

    def see_import(self, format: str, end: str, report: Report, size: int, seconds: float) -> None:
        """One more of its format and end; documents are those that were written."""
        written = report.inserted + report.updated if end == "written" else 0
        self._imports.add(format, end, (written, report.rows, size), seconds)

    def watch(self, what: str, under_way: Count, waiting: Count) -> None:
        """Looks there."""
        self._watched.append((self._under_way.labels(what), under_way))
        self._watched.append((self._waiting.labels(what), waiting))

    def watch_connections(self, count: Count) -> None:
        """Looks there."""
        self._watched.append((self._connections, count))

    def _sample(self) -> None:
        for gauge, count in self._watched:
            gauge.set(count())

    async def _sample_for_ever(self) -> None:
        with suppress(asyncio.CancelledError):
            while True:
                self._sample()
                await asyncio.sleep(SAMPLE_SECONDS)


class _File:
    """The numbers of exports, or of imports."""

    def __init__(self, kind: str, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            f"docsheet_{kind}_seconds",
            f"{kind.capitalize()}s by format and end, with their seconds.",
            ("format", "end"),
            buckets=OF_FILES,
            registry=registry,
        )
        self._amounts = [
            Counter(
                f"docsheet_{kind}_{what}", f"{what.capitalize()} of {kind}s.", ("format",),
                registry=registry,
            )
            for what in ("documents", "rows", "bytes")
        ]  # fmt: skip

    def add(self, format: str, end: str, amounts: tuple[int, int, int], seconds: float) -> None:
        self._seconds.labels(format, end).observe(seconds)
        for counter, amount in zip(self._amounts, amounts, strict=True):
            counter.labels(format).inc(amount)


def _gauge(name: str, help_: str, labels: tuple[str, ...], registry: CollectorRegistry) -> Gauge:
    """A number that may fall; of several processes the sum of those that live."""
    return Gauge(f"docsheet_{name}", help_, labels, multiprocess_mode="livesum", registry=registry)


def _find_route(scope: Scope) -> str:
    """The pattern of the path, such as `/users/{key}`: addresses would be a number each.

    `none` for what leads nowhere.
    """
    for key in ("endpoint", "route"):  # ours, FastAPI's
        path = getattr(scope.get(key), "path", None)
        if isinstance(path, str):
            return path
    return "none"


def _find_method(scope: Scope) -> str:
    method: str = scope.get("method", "WEBSOCKET")
    return method if method in _METHODS else "other"
