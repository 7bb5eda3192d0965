"""Accounts as a part of the server, which is there where `AUTH` is on."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from starlette.middleware import Middleware
from starlette.types import Scope

from app.api.callers import Caller
from app.api.parts import Part
from app.api.routing import Route
from app.auth.administrators import there_is_one
from app.auth.authenticator import Authentication, Authenticator
from app.auth.checks import Checks
from app.auth.own import ACCOUNTS
from app.auth.pages import SignInPage
from app.auth.routes import Callers
from app.errors import StartError
from app.resources.registry import Resource
from app.settings import Settings
from app.store.client import Database

if TYPE_CHECKING:
    from app.api.limits import Limits

NO_ADMINISTRATOR = (
    "There is no account that could let anyone in. Make one: docsheet accounts add NAME --role "
    "admin; or let everyone in who can reach the server: AUTH=off."
)


class Auth(Part):
    """Who calls: the accounts of one server process."""

    def __init__(self, settings: Settings, resources: Iterable[Resource]) -> None:
        self._settings = settings
        self._resources = tuple(resources)
        self._database: Database
        self._checks: Checks
        self._authenticator: Authenticator

    async def open(self, database: Database) -> None:
        """Takes the accounts from this database."""
        self._database = database
        self._checks = Checks.make(database, self._resources)
        self._authenticator = Authenticator(self._checks)

    async def prepare(self) -> bool:
        """Makes the indexes by which old sessions and tokens go."""
        await self._checks.prepare()
        return True

    async def require_administrator(self) -> None:
        """Raises `StartError` where nobody could sign in; a database that is away is not asked."""
        database = self._database
        if not database.has_primary():
            return
        if not await database.run(there_is_one, database.collection(ACCOUNTS)):
            raise StartError(NO_ADMINISTRATOR)

    def layer(self, limits: "Limits | None") -> Middleware:
        """The layer around the routes by which each request has a caller."""
        return Middleware(
            Authentication, find=self._find_caller, settings=self._settings, limits=limits
        )

    async def _find_caller(self, scope: Scope) -> Caller:
        return await self._authenticator.find(scope)

    def routes(self) -> list[Route]:
        """What signs in, and out."""
        pages = SignInPage(lambda: self._checks)
        return [*Callers(lambda: self._checks).routes(), *pages.routes()]
