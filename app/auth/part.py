"""Accounts as a part of the server, which is there where `AUTH` is on."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starlette.middleware import Middleware
from starlette.types import Scope

from app.api.access import Accesses
from app.api.callers import Caller
from app.api.descriptions import Description, Schema
from app.api.journal import NoJournal
from app.api.pages import ScreenRenderer
from app.api.parts import Part
from app.api.router import ResourceRouter, RouterServices
from app.api.routing import Route
from app.api.subrequests import FindRoute
from app.auth.administrators import require_administrator
from app.auth.audit import Audit
from app.auth.authenticator import Authentication, Authenticator
from app.auth.patterns import judge_by
from app.auth.profile_pages import ProfilePages
from app.auth.profile_routes import ProfileRoutes
from app.auth.repositories import ChangeContext
from app.auth.resources import ACCOUNTS, KEYS, ROLES, SHARES, list_auth_resources
from app.auth.roles import Roles
from app.auth.routers import make_auth_routers
from app.auth.scopes import Scopes
from app.auth.security import describe_security, secure
from app.auth.services import AuthServices
from app.auth.shares import Shared
from app.auth.sign_in_page import SignInPage
from app.auth.token_routes import TokenRoutes
from app.resources.registry import Resource
from app.settings import Settings
from app.store.client import Database

if TYPE_CHECKING:
    from app.api.limits import Limits

_log = logging.getLogger("docsheet.auth")


class Auth(Part):
    """Who calls: the accounts of one server process."""

    def __init__(self, settings: Settings, resources: Iterable[Resource]) -> None:
        self._settings = settings
        self._resources = tuple(resources)
        self._audit = Audit()
        self._roles = Roles(self._resources)
        self._database: Database
        self._services: AuthServices
        self._authenticator: Authenticator

    async def open(self, database: Database) -> None:
        """Takes the accounts from this database."""
        self._database = database
        self._services = AuthServices.make(database, self._resources, self._audit)
        self._authenticator = Authenticator(self._services)

    async def prepare(self) -> bool:
        """Makes the indexes by which old sessions and tokens go."""
        await self._services.prepare()
        for problem in await self._database.run(self._find_closed):
            _log.warning("%s", problem)
        return True

    def _find_closed(self) -> list[str]:
        """What is closed in roles, for it is not true any more."""
        stored = self._database.collection(ROLES).find()
        return list(self._roles.problems(stored, judge_by(self._database)))

    async def require_administrator(self) -> None:
        """Raises `StartError` where nobody could sign in; a database that is away is not asked."""
        if self._database.has_primary():
            await self._database.run(require_administrator, self._database)

    def layer(self, limits: "Limits | None") -> Middleware:
        """The layer around the routes by which each request has a caller."""
        return Middleware(
            Authentication, find=self._find_caller, settings=self._settings, limits=limits
        )

    async def _find_caller(self, scope: Scope) -> Caller:
        return await self._authenticator.find(scope)

    @property
    def audit(self) -> Audit:
        """Where it is written down what happened."""
        return self._audit

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The resources of our own."""
        return list_auth_resources()

    def make_routers(self, services: RouterServices, find: FindRoute) -> list[ResourceRouter]:
        """The routers of our own resources; `find` gives the route of a path."""
        context = ChangeContext(self._audit, self._roles, self._forget)
        services = replace(services, journal=NoJournal())  # each change is in the audit itself
        return make_auth_routers(services, context, find)

    def _forget(self, collection: str, key: Any) -> None:
        """Makes a change count on this server at once; on the others it does within seconds."""
        if collection == ACCOUNTS:
            self._services.accounts.forget(key)
        elif collection == ROLES:
            self._services.accounts.forget_all()
        elif collection == KEYS:
            self._services.keys.forget(key)

    def make_shared(self, find: FindRoute) -> Shared:
        """The downloads of shares."""
        return Shared(find, self._call, self._audit)

    async def _call(self, account: Any, scopes: Scopes) -> Caller | None:
        """The caller that an account is through a share."""
        known = await self._services.accounts.get(account)
        return known.call("share", scopes or None) if known is not None else None

    def secure(self, description: Description) -> Description:
        """An operation with what it requires of the caller, for OpenAPI."""
        return secure(description)

    def describe(self, described: Schema) -> None:
        """Adds to the whole description how a caller says who it is."""
        describe_security(described, self._settings.ROOT_PATH)

    def routes(
        self, accesses: Accesses, routers: Iterable[ResourceRouter], screens: ScreenRenderer
    ) -> list[Route]:
        """What signs in, and out, and is one's own; `screens` shows them."""
        tokens = TokenRoutes(lambda: self._services)
        profile = ProfileRoutes(lambda: self._services, accesses)
        by_name: dict[str, Any] = {router.resource.name: router for router in routers}
        pages = SignInPage(lambda: self._services, screens)
        own = ProfilePages(lambda: self._services, profile, by_name[KEYS], by_name[SHARES], screens)
        return [*tokens.routes(), *profile.routes(), *pages.routes(), *own.routes()]
