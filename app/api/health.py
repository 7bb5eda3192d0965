"""Whether the process lives and whether it can do its work, and how exports ended."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.api import requests
from app.api.routing import route
from app.errors import NotFound, RequestError, Unavailable
from app.store.client import Database
from app.store.repository import Repository
from app.transfers.records import Records

JSON = "application/json"
ANSWER_SECONDS = 1.5  # that the database has to answer; the probe is answered within two


class Health:
    """The probes of one server process."""

    def __init__(
        self, database: Database, repositories: Sequence[Repository], records: Records
    ) -> None:
        self._database = database
        self._repositories = repositories
        self._records = records

    def routes(self) -> list[Route]:
        """`/livez`, `/readyz` and `/exports/{id}`."""
        return [
            route("/livez", {"GET": self.live}),
            route("/readyz", {"GET": self.ready}),
            route("/exports/{export_id}", {"GET": self.export}),
        ]

    async def live(self, request: Request) -> Response:
        """`GET /livez`: the process answers."""
        requests.no_parameters(request)
        return _json({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """`GET /readyz`: a primary accepts writes and the indexes stand; else 503 that names what fails."""
        requests.no_parameters(request)
        problems = [*await self._database_problem(), *self._index_problems()]
        if problems:
            raise Unavailable(" ".join(problems))
        return _json({"status": "ok"})

    async def export(self, request: Request) -> Response:
        """`GET /exports/{id}`: how an export ended."""
        requests.no_parameters(request)
        export_id = request.path_params["export_id"]
        record = await self._records.read(export_id)
        if record is None:
            raise NotFound(
                f"Nothing is known of an export {export_id!r}; they are remembered for a while only."
            )
        return _json(asdict(record))

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

    def _index_problems(self) -> list[str]:
        problems = []
        for repository in self._repositories:
            if repository.indexes.problem:
                problems.append(
                    repository.indexes.problem[0].upper() + repository.indexes.problem[1:]
                )
            elif not repository.indexes.made:
                problems.append(f"The indexes of {repository.resource.name!r} are not made yet.")
        return problems


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), 200, {"Cache-Control": "no-store"}, JSON)
