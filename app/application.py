"""Joins everything: resources found, routes built, the database opened and closed with the server."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app import VERSION
from app.api.docs import TITLE, Pages
from app.api.downloads import Downloads
from app.api.health import Health
from app.api.middleware import Cors, Gate
from app.api.openapi import describe
from app.api.problems import on_exception, on_http_exception, on_request_error
from app.api.router import ResourceRouter
from app.api.routing import Paths
from app.errors import RequestError
from app.query.compile import Compiler
from app.resources.registry import discover
from app.servers.embedded import EmbeddedDatabase
from app.settings import Settings, read_settings
from app.store.client import Database, connect
from app.store.repository import Repository
from app.transfers.forking import start_fork_server
from app.transfers.records import Records

RETRY_SECONDS = 5.0  # after which what could not be prepared is tried again
_log = logging.getLogger("docsheet.database")


class Application(FastAPI):
    """FastAPI with `Gate` outside of everything, also of the answer to what nobody expected."""

    def __init__(self, settings: Settings, **words: Any) -> None:
        self.settings = settings
        super().__init__(**words)

    def build_middleware_stack(self) -> ASGIApp:
        """The whole stack, `Gate` outermost.

        Starlette's own below it: FastAPI's further layers serve dependencies, which no handler here has.
        """
        return Gate(Starlette.build_middleware_stack(self), self.settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Starlette's own call, for the same reason."""
        await Starlette.__call__(self, scope, receive, send)


def create_app(settings: Settings | None = None, client: Any = None) -> Application:
    """The ASGI application; `client` is a mongomock-motor client in tests, else MONGO_URI or the embedded database.

    Raises `StartError` for settings and declarations that can't be; the database is opened by the lifespan.
    """
    settings = settings or read_settings()
    resources = discover(settings.MODELS)
    compilers = [Compiler(resource) for resource in resources.values()]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with _running(app, settings, compilers, client):
            yield

    app = Application(
        settings,
        title=TITLE,
        version=VERSION,
        lifespan=lifespan,
        openapi_url=None,
        redirect_slashes=False,
        middleware=[Middleware(Cors, settings=settings)] if settings.CORS_ORIGINS else [],
        exception_handlers={
            RequestError: on_request_error,
            HTTPException: on_http_exception,
            Exception: on_exception,
        },
    )
    app.openapi = lambda: describe(compilers, VERSION)  # type: ignore[method-assign]
    app.router.routes[:] = Pages(resources, app.openapi).routes()
    return app


@asynccontextmanager
async def _running(
    app: FastAPI, settings: Settings, compilers: Sequence[Compiler], client: Any
) -> AsyncIterator[None]:
    """Everything that is open while the server runs."""
    embedded = None
    uri = settings.MONGO_URI
    if client is None and not uri:
        embedded = EmbeddedDatabase.of(settings)
        uri = embedded.uri
    try:
        database = Database(client if client is not None else connect(settings, uri), settings)
        await database.open()
        repositories = [Repository(database, compiler.resource) for compiler in compilers]
        records = Records(database)
        if not database.is_mock:
            start_fork_server(settings.MODELS)
        downloads = Downloads(database, records, uri, settings)
        standing = list(app.router.routes)
        app.router.routes += Health(database, repositories, records).routes()
        for compiler, repository in zip(compilers, repositories, strict=True):
            app.router.routes += ResourceRouter(compiler, repository, settings, downloads).routes()
        app.router.middleware_stack = Paths(app.router)
        preparing = asyncio.create_task(_prepare(database, repositories, records))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(preparing), 5)
        try:
            yield
        finally:
            preparing.cancel()
            app.router.routes[:] = standing
            await downloads.close()
            await database.close()
    finally:
        if embedded is not None:
            embedded.close()


async def _prepare(database: Database, repositories: list[Repository], records: Records) -> None:
    """Makes the indexes, and tries again what can't be made yet."""
    recorded = database.is_mock
    while True:
        try:
            for repository in repositories:
                if repository.indexes.problem or not repository.indexes.made:
                    await repository.make_indexes()
            if not recorded:
                await records.prepare()
                recorded = True
        except RequestError as error:
            _log.warning("the indexes can't be made yet: %s", error)
        if recorded and all(
            known.indexes.made and not known.indexes.problem for known in repositories
        ):
            return
        await asyncio.sleep(RETRY_SECONDS)
