"""Joins everything: resources found, routes built, the database opened and closed with the server."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.downloads import Downloads
from app.api.health import Health
from app.api.middleware import Cors, Gate
from app.api.openapi import describe
from app.api.pages import TITLE, Pages
from app.api.problems import on_exception, on_http_exception, on_request_error
from app.api.router import ResourceRouter
from app.api.routing import Paths
from app.errors import RequestError
from app.query.compile import Compiler
from app.resources.registry import Resource, discover
from app.settings import Settings, read_settings
from app.store.client import Database, connect
from app.store.embedded import EmbeddedDatabase
from app.store.repository import Repository
from app.transfers.forking import start_fork_server
from app.transfers.records import Records

VERSION = "0.1.0"
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
    compilers = {name: Compiler(resource) for name, resource in resources.items()}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with _running(app, settings, resources, client):
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
    app.openapi = lambda: describe(compilers.values(), VERSION)  # type: ignore[method-assign]
    app.router.routes[:] = Pages(resources, app.openapi).routes()
    return app


@asynccontextmanager
async def _running(
    app: FastAPI, settings: Settings, resources: dict[str, Resource], client: Any
) -> AsyncIterator[None]:
    """Everything that is open while the server runs."""
    embedded = None
    uri = settings.MONGO_URI
    if client is None and not uri:
        embedded = EmbeddedDatabase.open(
            settings.DATA_DIR, settings.EMBEDDED_CACHE_MIB, settings.EMBEDDED_SNAPSHOT_SECONDS
        )
        uri = embedded.uri
    try:
        database = Database(client if client is not None else connect(settings, uri), settings)
        await database.open()
        repositories = [Repository(database, resource) for resource in resources.values()]
        records = Records(database)
        if not database.is_mock:
            start_fork_server(settings.MODELS)
        downloads = Downloads(database, records, uri, settings)
        standing = list(app.router.routes)
        app.router.routes += Health(database, repositories, records).routes()
        for repository in repositories:
            app.router.routes += ResourceRouter(repository, settings, downloads).routes()
        app.router.middleware_stack = Paths(app.router)
        preparing = asyncio.create_task(_prepare(database, repositories, records))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(preparing), 5)
        try:
            yield
        finally:
            preparing.cancel()
            app.router.routes[:] = standing
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
        if recorded and all(known.indexes.made and not known.indexes.problem for known in repositories):
            return
        await asyncio.sleep(RETRY_SECONDS)


class Lines(logging.Formatter):
    """A line for each record; the date and time, which are costly, are made once a second."""

    def __init__(self) -> None:
        super().__init__()
        self._second, self._time = 0, ""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, with its trace where there is one."""
        second = int(record.created)
        if second != self._second:
            self._second, self._time = second, self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        line = f"{self._time},{int(record.msecs):03d} {record.levelname} {record.name}: {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure_logging() -> None:
    """Sends our log and the server's to standard error, a line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("docsheet").setLevel(logging.INFO)
    # What no line shows needn't be found out (https://docs.python.org/3/howto/logging.html#optimization).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
