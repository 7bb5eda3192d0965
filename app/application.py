"""Joins everything: resources found, routes built, the database opened and closed."""

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app import VERSION
from app.api.access import Accesses
from app.api.callers import EVERYONE
from app.api.docs import TITLE, Docs
from app.api.downloads import Downloads
from app.api.extensions import include_routers, merge_description, refuse_collisions
from app.api.failures import Failures, Handler
from app.api.health import Health
from app.api.import_runs import ImportRuns
from app.api.journal import Journal, Silence
from app.api.middleware import Cors, Gate
from app.api.observers import Observer
from app.api.openapi import describe, describe_limit
from app.api.parts import Part
from app.api.problems import (
    SHOW,
    ShowProblem,
    on_exception,
    on_http_exception,
    on_request_error,
    on_validation_error,
)
from app.api.reverse import make_reverse_routes
from app.api.router import ResourceRouter
from app.api.routing import Paths, list_reserved_steps
from app.api.saved import SavedViews
from app.api.saved_lists import SavedLists
from app.api.saved_routes import SavedRoutes
from app.api.uploads import Uploads
from app.errors import RequestError
from app.pages.part import Pages
from app.query.compile import Compilers
from app.resources.registry import Resource, discover, refuse_reserved
from app.resources.views import ALL, Grants
from app.servers.embedded import EmbeddedDatabase
from app.settings import Settings, read_settings
from app.store.client import Database, connect
from app.store.mock import make_database
from app.transfers.forking import start_fork_server
from app.transfers.traffic import Traffic

if TYPE_CHECKING:
    from app.api.limits import Limits
    from app.api.metrics import Metrics
    from app.auth.part import Auth

RETRY_SECONDS = 5.0  # after which what could not be prepared is tried again
FIRST_SECONDS = 5.0  # that the start waits for everything to be prepared
_HANDLERS: dict[type[Exception], Handler] = {
    RequestError: on_request_error,
    RequestValidationError: on_validation_error,
    HTTPException: on_http_exception,
    Exception: on_exception,
}
_log = logging.getLogger("docsheet.database")


class Application(FastAPI):
    """FastAPI, with `Gate` outside of everything and a short way to the paths of our own.

    All other paths go through FastAPI's own stack: dependencies, WebSockets, security.
    """

    def __init__(
        self, settings: Settings, traffic: Traffic, metrics: "Metrics | None", **words: Any
    ) -> None:
        super().__init__(**words)
        self.settings = settings
        self.observer: Observer = metrics or Observer()
        self.paths = Paths(())
        self.show_problem: ShowProblem | None = None
        self._is_open = not settings.has_accounts
        self._gate = Gate(self._choose, settings, traffic, metrics)
        self._short: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Every request and every WebSocket passes `Gate` first."""
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
            return
        if self._is_open:  # else the layer of accounts says who calls
            scope["caller"] = EVERYONE
        scope[SHOW] = self.show_problem
        await self._gate(scope, receive, send)

    async def _choose(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(self.settings.ROOT_PATH)
        found = self.paths.find(path) if scope["type"] == "http" else None
        if found is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        scope["endpoint"], scope["path_params"] = found
        if self._short is None:
            self._short = self._build_short_stack()
        await self._short(scope, receive, send)

    def _build_short_stack(self) -> ASGIApp:
        """The layers around the routes of our own; what one of them raises is an answer too."""
        if not self.user_middleware:
            return Failures(_HANDLERS)
        handlers = dict(_HANDLERS)
        last = handlers.pop(Exception)
        stack: ASGIApp = Failures(handlers)
        for middleware, words, named in reversed(self.user_middleware):
            stack = middleware(stack, *words, **named)
        return ServerErrorMiddleware(stack, handler=last)


def create_app(
    settings: Settings | None = None, client: Any = None, traffic: Traffic | None = None
) -> Application:
    """The ASGI application; `client` is a mongomock-motor client in tests.

    Without one it is MONGO_URI's, or the embedded database's; the lifespan opens it. `traffic` is
    what several processes of one server share.
    Raises `StartError` for settings and declarations that can't be.
    """
    settings = settings or read_settings()
    traffic = traffic or Traffic()
    resources = discover(settings.MODELS)
    auth = _make_auth(settings, resources.values())
    limits = _make_limits(settings)
    metrics = _make_metrics(settings)
    accesses = Accesses([*resources.values(), *(auth.resources if auth is not None else ())])
    compilers = accesses.compilers_of(ALL)
    for name in compilers:
        compilers[name]  # what its model says of itself must be true
    parts: list[Part] = []
    reserved: set[str] = set()

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        refuse_collisions(app, app.paths, reserved)  # of what was added since it was made
        async with _open_database(settings, client) as database, _run_parts(parts, database):
            if auth is not None:
                await auth.require_administrator()
            app.state.mongo = database.motor
            yield

    app = Application(
        settings,
        traffic,
        metrics,
        title=TITLE,
        version=VERSION,
        lifespan=lifespan,
        openapi_url=None,
        redirect_slashes=False,
        middleware=_list_layers(settings, auth, limits),
        exception_handlers=_HANDLERS,
    )
    journal: Journal = auth.audit if auth is not None else Silence()
    downloads = Downloads(settings, traffic, app.observer, journal)
    runs = ImportRuns(settings, traffic, app.observer, journal)
    uploads = Uploads(settings, runs)
    routers = [
        ResourceRouter(resource, accesses, settings, downloads, uploads)
        for resource in resources.values()
    ]
    parts += [*routers, downloads, runs]
    health = Health(parts)
    find = lambda path: app.paths.find(path)  # noqa: E731 - which are known in the end
    views = SavedViews()
    by_address = {router.resource.address: router for router in routers}
    lists = SavedLists(views, by_address, compilers, find)
    parts += [views, health]
    own_routers: list[ResourceRouter] = []
    if auth is not None:
        own_routers = auth.make_routers(accesses, downloads, uploads, find)
    every = [*routers, *own_routers]
    pages = Pages(
        {router.resource.address: router for router in every}, settings, runs, lists, downloads
    )
    parts.append(pages.importing)
    app.show_problem = pages.problems.show
    describe_to = lambda grants: _describe_to(app, accesses, grants, auth)  # noqa: E731 - bound
    docs = Docs(resources, describe_to, settings, pages.home.show)
    own = [*docs.routes(), *health.routes(), *downloads.routes(), *pages.routes()]
    own += SavedRoutes(lists).routes()
    if limits is not None:
        parts.append(limits)
    if metrics is not None:
        parts.append(metrics)
        own += metrics.routes()
    if auth is not None:
        shared = auth.make_shared(find)
        parts += [auth, shared, *own_routers]
        parts.insert(0, auth.audit)  # it is closed last
        # Before the screens of any resource: these have their own forms for a new key or share.
        own = [*auth.routes(accesses, own_routers, pages.screens), *own, *shared.routes()]
        own += [route for router in own_routers for route in router.routes()]
    reserved |= list_reserved_steps(own)
    refuse_reserved(resources.values(), reserved | pages.reserved)
    served = [route for router in routers for route in router.routes()]
    app.paths = Paths([*own, *served, *make_reverse_routes(routers)])
    app.openapi = lambda: _describe(app, compilers, auth)  # type: ignore[method-assign]
    if settings.ROUTES:
        include_routers(app, settings.ROUTES)
    refuse_collisions(app, app.paths, reserved)
    return app


def _make_auth(settings: Settings, resources: Iterable[Resource]) -> "Auth | None":
    """The accounts; a server without them does not even import them."""
    if not settings.has_accounts:
        return None
    auth: Auth = importlib.import_module("app.auth.part").Auth(settings, resources)
    return auth


def _make_limits(settings: Settings) -> "Limits | None":
    """How often one may ask; a server without a limit does not even import the library."""
    if not settings.RATE_LIMIT:
        return None
    limits: Limits = importlib.import_module("app.api.limits").Limits(settings)
    return limits


def _make_metrics(settings: Settings) -> "Metrics | None":
    """The numbers for Prometheus; a server without them does not even import the library."""
    if settings.METRICS != "on":
        return None
    metrics: Metrics = importlib.import_module("app.api.metrics").Metrics()
    return metrics


def _list_layers(
    settings: Settings, auth: "Auth | None", limits: "Limits | None"
) -> list[Middleware]:
    """What is between `Gate` and the routes; a page of another origin sees refusals too."""
    layers = [Middleware(Cors, settings=settings)] if settings.CORS_ORIGINS else []
    if auth is not None:
        layers.append(auth.layer(limits))
    if limits is not None:
        layers.append(limits.layer())
    return layers


def _describe_to(
    app: Application, accesses: Accesses, grants: Grants, auth: "Auth | None"
) -> dict[str, Any]:
    """The description for callers with some rights; of everything it is FastAPI's own."""
    return app.openapi() if grants == ALL else _describe(app, accesses.compilers_of(grants), auth)


def _describe(app: Application, compilers: Compilers, auth: "Auth | None") -> dict[str, Any]:
    secure = auth.secure if auth is not None else None
    if secure is None and app.settings.RATE_LIMIT:
        secure = describe_limit
    ours = describe(app.paths.routes, compilers, TITLE, VERSION, secure)
    described = merge_description(ours, FastAPI.openapi(app))
    if auth is not None:
        auth.describe(described)
    if app.settings.ROOT_PATH:
        described["servers"] = [{"url": app.settings.ROOT_PATH}]
    return described


@asynccontextmanager
async def _open_database(settings: Settings, client: Any) -> AsyncIterator[Database]:
    """The database, an embedded one where there is no other."""
    async with AsyncExitStack() as stack:
        uri = settings.MONGO_URI
        if client is None and not uri:
            embedded = EmbeddedDatabase.of(settings)
            stack.callback(embedded.close)
            uri = embedded.uri
        connected = client if client is not None else connect(settings, uri)
        database = make_database(connected, settings, uri if client is None else "")
        stack.push_async_callback(database.close)
        await database.open()
        if database.uri:
            start_fork_server(settings.MODELS)
        yield database


@asynccontextmanager
async def _run_parts(parts: Sequence[Part], database: Database) -> AsyncIterator[None]:
    """The parts, open one after the other, closed in the other direction."""
    async with AsyncExitStack() as stack:
        for part in parts:
            await part.open(database)
            stack.push_async_callback(part.close)
        preparing = asyncio.create_task(_prepare(parts))
        stack.callback(preparing.cancel)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(preparing), FIRST_SECONDS)
        yield


async def _prepare(parts: Sequence[Part]) -> None:
    """Prepares each part, also where others fail, and tries again what can't be yet."""
    waiting = list(parts)
    while True:
        waiting = [part for part in waiting if not await _is_prepared(part)]
        if not waiting:
            return
        await asyncio.sleep(RETRY_SECONDS)


async def _is_prepared(part: Part) -> bool:
    try:
        return await part.prepare()
    except RequestError as error:
        _log.warning("the indexes can't be made yet: %s", error)
        return False
