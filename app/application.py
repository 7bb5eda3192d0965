"""Joins everything: resources found, routes built, the database opened and closed."""

import importlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
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
from app.api.journal import Journal, NoJournal
from app.api.middleware import Cors, Gate
from app.api.observers import Observer
from app.api.openapi import describe, describe_limit
from app.api.parts import Part, run_parts
from app.api.problems import (
    SHOW,
    ShowProblem,
    on_exception,
    on_http_exception,
    on_request_error,
    on_validation_error,
)
from app.api.reverse import make_reverse_routes
from app.api.router import ResourceRouter, RouterServices
from app.api.routing import Paths, Route, list_reserved_steps
from app.api.saved_lists import SavedLists
from app.api.saved_routes import SavedRoutes
from app.api.saved_views import SavedViews
from app.api.uploads import Uploads
from app.errors import RequestError
from app.pages.part import Pages
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

_HANDLERS: dict[Any, Handler] = {
    RequestError: on_request_error,
    RequestValidationError: on_validation_error,
    HTTPException: on_http_exception,
    Exception: on_exception,
}


class Application(FastAPI):
    """FastAPI, with `Gate` outside of everything and a short way to the paths of our own.

    All other paths go through FastAPI's own stack: dependencies, WebSockets, security. What it
    serves is filled in by `_Assembly`; `client` is a mongomock-motor client in tests.
    """

    def __init__(
        self, settings: Settings, traffic: Traffic, optional: "_Optional", client: Any
    ) -> None:
        super().__init__(
            title=TITLE,
            version=VERSION,
            lifespan=_lifespan,
            openapi_url=None,
            redirect_slashes=False,
            middleware=_list_layers(settings, optional),
            exception_handlers=_HANDLERS,
        )
        self.settings = settings
        self.client = client
        self.auth = optional.auth
        self.observer: Observer = optional.metrics or Observer()
        self.parts: list[Part] = []
        self.paths = Paths(())
        self.reserved: frozenset[str] = frozenset()  # first steps that only our routes have
        self.show_problem: ShowProblem | None = None
        self.describe: Callable[[Grants], dict[str, Any]]
        self._is_open = not settings.has_accounts
        self._gate = Gate(self._choose, settings, traffic, optional.metrics)
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

    def find_route(self, path: str) -> tuple[Route, dict[str, Any]] | None:
        """Our route of a path, and the parameters that the path has for it; None for no path."""
        return self.paths.find(path)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI description of everything; a user's function may take its place."""
        return self.describe(ALL)

    def describe_to(self, grants: Grants) -> dict[str, Any]:
        """The description of what callers with these rights may use."""
        return self.openapi() if grants == ALL else self.describe(grants)

    def refuse_collisions(self) -> None:
        """Raises `DeclarationError` for an endpoint of a user whose path is one of ours."""
        refuse_collisions(self, self.paths, self.reserved)


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
    optional = _Optional.make(settings, resources.values())
    app = Application(settings, traffic, optional, client)
    server = _Assembly(app, traffic, optional, resources)
    own = server.list_own_routes()
    app.reserved = list_reserved_steps(own)
    refuse_reserved(resources.values(), app.reserved | server.pages.reserved)
    app.paths = Paths([*own, *server.list_resource_routes()])
    app.parts += server.list_parts()
    app.describe = server.describe
    app.show_problem = server.pages.problems.show
    if settings.ROUTES:
        include_routers(app, settings.ROUTES)
    app.refuse_collisions()
    return app


@dataclass(frozen=True)
class _Optional:
    """What is there only where a setting asks for it; other servers don't even import it."""

    auth: "Auth | None"
    limits: "Limits | None"
    metrics: "Metrics | None"

    @classmethod
    def make(cls, settings: Settings, resources: Iterable[Resource]) -> "_Optional":
        """The accounts, how often one may ask, and the numbers for Prometheus."""
        auth = limits = metrics = None
        if settings.has_accounts:
            auth = importlib.import_module("app.auth.part").Auth(settings, resources)
        if settings.RATE_LIMIT:
            limits = importlib.import_module("app.api.limits").Limits(settings)
        if settings.METRICS == "on":
            metrics = importlib.import_module("app.api.metrics").Metrics()
        return cls(auth, limits, metrics)


class _Assembly:
    """What one server serves, each part made with what it needs of the others.

    `resources` are by their address. Raises `DeclarationError` for a model that says of itself what
    can't be true.
    """

    def __init__(
        self,
        app: Application,
        traffic: Traffic,
        optional: _Optional,
        resources: Mapping[str, Resource],
    ) -> None:
        settings, auth = app.settings, optional.auth
        self._app = app
        self._optional = optional
        self._accesses = Accesses([*resources.values(), *(auth.resources if auth else ())])
        compilers = self._accesses.compilers_of(ALL)
        for name in compilers:
            compilers[name]  # reads the sort that its model declares
        journal: Journal = auth.audit if auth else NoJournal()
        self._downloads = Downloads(settings, traffic, app.observer, journal)
        self._runs = ImportRuns(settings, traffic, app.observer, journal)
        uploads = Uploads(settings, self._runs)
        limit = settings.body_limit
        services = RouterServices(self._accesses, self._downloads, uploads, limit, journal)
        self._routers = [ResourceRouter(resource, services) for resource in resources.values()]
        self._auth_routers = auth.make_routers(services, app.find_route) if auth else []
        self._shared = auth.make_shared(app.find_route) if auth else None
        self._views = SavedViews()
        served = {router.resource.address: router for router in self._routers}
        self._lists = SavedLists(self._views, served, compilers, app.find_route)
        every = served | {router.resource.address: router for router in self._auth_routers}
        self.pages = Pages(every, settings, self._runs, self._lists, self._downloads)
        self._docs = Docs(resources, app.describe_to, settings, self.pages.home.show)
        self._health = Health(app.parts)

    def list_parts(self) -> Iterator[Part]:
        """The parts in the order in which they are opened."""
        auth, limits, metrics = self._optional.auth, self._optional.limits, self._optional.metrics
        if auth is not None:
            yield auth.audit  # it is closed last
        yield from (*self._routers, self._downloads, self._runs, self._views, self._health)
        yield self.pages.importing
        yield from filter(None, (limits, metrics, auth, self._shared))
        yield from self._auth_routers

    def list_own_routes(self) -> list[Route]:
        """The routes of what is no resource of the models."""
        auth, metrics = self._optional.auth, self._optional.metrics
        routes: list[Route] = []
        if auth is not None:
            # Before the screens of any resource: these have their own forms for a key or share.
            routes += auth.routes(self._accesses, self._auth_routers, self.pages.screens)
        routes += self._docs.routes() + self._health.routes() + self._downloads.routes()
        routes += self.pages.routes() + SavedRoutes(self._lists).routes()
        if metrics is not None:
            routes += metrics.routes()
        if self._shared is not None:
            routes += self._shared.routes()
        for router in self._auth_routers:
            routes += router.routes()
        return routes

    def list_resource_routes(self) -> Iterator[Route]:
        """The routes of the models' resources."""
        for router in self._routers:
            yield from router.routes()
        yield from make_reverse_routes(self._routers)

    def describe(self, grants: Grants) -> dict[str, Any]:
        """The OpenAPI description of what callers with these rights may use."""
        app, auth = self._app, self._optional.auth
        secure = auth.secure if auth else None
        if secure is None and app.settings.RATE_LIMIT:
            secure = describe_limit
        compilers = self._accesses.compilers_of(grants)
        ours = describe(app.paths.routes, compilers, TITLE, VERSION, secure)
        described = merge_description(ours, FastAPI.openapi(app))
        if auth is not None:
            auth.describe(described)
        if app.settings.ROOT_PATH:
            described["servers"] = [{"url": app.settings.ROOT_PATH}]
        return described


def _list_layers(settings: Settings, optional: _Optional) -> list[Middleware]:
    """What is between `Gate` and the routes; a page of another origin sees refusals too."""
    layers = [Middleware(Cors, settings=settings)] if settings.CORS_ORIGINS else []
    if optional.auth is not None:
        layers.append(optional.auth.layer(optional.limits))
    if optional.limits is not None:
        layers.append(optional.limits.layer())
    return layers


@asynccontextmanager
async def _lifespan(app: Application) -> AsyncIterator[None]:
    app.refuse_collisions()  # of what was added since it was made
    async with (
        _open_database(app.settings, app.client) as database,
        run_parts(app.parts, database),
    ):
        if app.auth is not None:
            await app.auth.require_administrator()
        app.state.mongo = database.motor
        yield


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
