"""Whether the process lives and whether it can do its work."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.parts import Part
from app.api.routing import Route
from app.errors import RequestError, Unavailable
from app.store.client import Database

JSON = "application/json"
ANSWER_SECONDS = 1.5  # that the database has to answer; the probe is answered within two


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
        return [Route("/livez", {"GET": self.live}), Route("/readyz", {"GET": self.ready})]

    async def live(self, request: Request) -> Response:
        """`GET /livez`: the process answers."""
        requests.no_parameters(request)
        return _json({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """`GET /readyz`: a primary accepts writes and the indexes stand; else 503 that names what fails."""
        requests.no_parameters(request)
        problems = await self._database_problem()
        for part in self._parts:
            problems += part.problems()
        if problems:
            raise Unavailable(" ".join(problems))
        return _json({"status": "ok"})

    async def _database_problem(self) -> list[str]:
        if not self._database.has_primary():
            return ["No primary of the database can be reached."]
        try:
            hello: Any = await asyncio.wait_for(self._database.hello(), ANSWER_SECONDS)
        except TimeoutError:
            return [f"The database did not answer within {ANSWER_SECONDS} seconds."]
        except RequestError as error:
            return [error.detail]
        return (
            []
            if hello.get("isWritablePrimary", True)
            else ["The database has no primary that accepts writes."]
        )


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), 200, {"Cache-Control": "no-store"}, JSON)
