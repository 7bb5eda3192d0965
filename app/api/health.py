"""Whether the process lives and whether it can do its work."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.descriptions import Answer, Description
from app.api.headers import NO_STORE
from app.api.media_types import JSON
from app.api.parts import Part
from app.api.routing import Route
from app.errors import RequestError, TimeLimitExceeded, Unavailable
from app.store.client import Database

PROBES = ("/livez", "/readyz")
BEAT_SECONDS = 1.2  # that the database has to take a write; the probe is answered within two
ANSWER_SECONDS = 1.6  # that a driver has to tell so
READ_ONLY = "The user of MONGO_URI may only read; what would be written is answered with 503."

_YES = {200: Answer("Yes.", {JSON: {"type": "object"}}, ("Cache-Control",))}
_LIVE = Description("get", "/livez", "live", "Whether the process lives", _YES, (400, 422))
_READY = Description(
    "get",
    "/readyz",
    "ready",
    "Whether a primary accepts writes and the indexes are there",
    _YES,
    (400, 422, 503),
)


class Health(Part):
    """The probes of one server process; what is not ready yet, each part says itself."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._database: Database

    async def open(self, database: Database) -> None:
        """Takes the database."""
        self._database = database

    def routes(self) -> list[Route]:
        """`/livez` and `/readyz`."""
        return [
            Route("/livez", {"GET": self.live}, (_LIVE,)),
            Route("/readyz", {"GET": self.ready}, (_READY,)),
        ]

    async def live(self, request: Request) -> Response:
        """`GET /livez`: the process answers."""
        requests.refuse_parameters(request)
        return _json({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """`GET /readyz`: a primary accepts writes and the indexes exist.

        Else 503 that names what fails.
        """
        requests.refuse_parameters(request)
        may_write, problems = True, []
        try:
            may_write = await self._beat()
        except RequestError as error:
            problems.append(error.detail)
        for part in self._parts:
            problems += part.problems()
        if problems:
            raise Unavailable(" ".join(problems))
        return _json({"status": "ok"} if may_write else {"status": "ok", "detail": READ_ONLY})

    async def _beat(self) -> bool:
        """Whether the user may write; raises `Unavailable` where the database takes no writes."""
        if not self._database.has_primary():
            self._database.look_for_primary()
            raise Unavailable("No primary of the database can be reached.")
        try:
            return await asyncio.wait_for(self._database.beat(BEAT_SECONDS), ANSWER_SECONDS)
        except (TimeoutError, TimeLimitExceeded):
            detail = f"The database did not take a write within {BEAT_SECONDS} seconds."
            raise Unavailable(detail) from None


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), 200, NO_STORE, JSON)
