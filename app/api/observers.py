"""Who is told what the server does: nobody, unless it has metrics."""

from collections.abc import Callable

from starlette.types import Scope

from app.transfers.records import Record
from app.transfers.report import Report

Count = Callable[[], int]


class Observer:
    """Told of what ends, and where to look for what is under way; this one forgets it."""

    def see_request(self, scope: Scope, status: int, seconds: float) -> None:
        """A request is answered, or a WebSocket closed; status 0 where nothing was sent."""

    def see_export(self, format: str, record: Record) -> None:
        """An export has ended."""

    def see_import(self, format: str, end: str, report: Report, size: int, seconds: float) -> None:
        """An import of a file of `size` bytes has ended.

        `end` is `written`, `checked` (a dry run), `refused`, `failed`, or `left` by its client.
        """

    def watch(self, what: str, under_way: Count, waiting: Count) -> None:
        """How many of these are under way, and how many wait for that."""

    def watch_connections(self, count: Count) -> None:
        """How many connections are open."""
