"""Accounts as a part of the server, which is there where `AUTH` is on."""

from collections.abc import Iterable

from starlette.types import Scope

from app.api.callers import Caller
from app.api.parts import Part
from app.api.routing import Route
from app.auth.authenticator import Authenticator
from app.auth.checks import Checks
from app.auth.routes import Callers
from app.resources.registry import Resource
from app.store.client import Database


class Auth(Part):
    """Who calls: the accounts of one server process."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._resources = tuple(resources)
        self._checks: Checks
        self._authenticator: Authenticator
        self._is_prepared = False

    async def open(self, database: Database) -> None:
        """Takes the accounts from this database."""
        self._checks = Checks.make(database, self._resources)
        self._authenticator = Authenticator(self._checks)

    async def prepare(self) -> bool:
        """Makes the indexes by which old sessions and tokens go."""
        if not self._is_prepared:
            await self._checks.prepare()
            self._is_prepared = True
        return True

    def routes(self) -> list[Route]:
        """What signs in, and out."""
        return Callers(lambda: self._checks).routes()

    async def find_caller(self, scope: Scope) -> Caller:
        """Who makes a request."""
        return await self._authenticator.find(scope)
