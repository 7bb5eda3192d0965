"""The application in this process, asked by callers with chosen rights."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from mongomock_motor import AsyncMongoMockClient
from pymongo import MongoClient
from starlette.types import Receive, Scope, Send

from app.api.callers import EVERYONE, Caller
from app.application import Application, create_app
from app.resources.views import NOTHING, Grants, Rights
from app.settings import Settings
from tests.support.databases import lend


def caller_with(rights: Mapping[str, Rights], name: str = "someone") -> Caller:
    """A caller with these rights by collection, who is no administrator."""
    grants = Grants.make({"*": NOTHING, **rights})
    return Caller(name, name, frozenset(("read",)), grants, "token")


class Asked:
    """The application, which is asked by one caller after the other."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.caller = EVERYONE
        app._is_open = False  # who calls is said here

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request of the caller."""
        await self.app({**scope, "caller": self.caller}, receive, send)


class Server:
    """The application with a client, and PyMongo's database below or the mock's."""

    def __init__(self, asked: Asked, client: httpx.AsyncClient) -> None:
        self._asked = asked
        self._client = client

    @property
    def app(self) -> Application:
        """The application."""
        return self._asked.app

    async def ask(
        self, caller: Caller, address: str, method: str = "GET", **words: Any
    ) -> httpx.Response:
        """The answer to a request of this caller."""
        self._asked.caller = caller
        return await self._client.request(method, address, **words)

    async def store(self, collection: str, *documents: dict[str, Any]) -> None:
        """Stores documents as another program would."""
        await self.app.state.mongo[collection].insert_many(documents)


@asynccontextmanager
async def serve(models: str, uri: str = "") -> AsyncIterator[Server]:
    """A server of this package of models; without a URI on a mock."""
    if not uri:
        async with _run(_settings(models, "test"), AsyncMongoMockClient()) as server:
            yield server
        return
    client: MongoClient[Any]
    with MongoClient(uri) as client, lend(client, uri, models) as lent:
        async with _run(_settings(models, lent.name, uri)) as server:
            lent.keep(client)
            yield server


def _settings(models: str, name: str, uri: str = "") -> Settings:
    words: dict[str, Any] = {"DB_NAME": name, "MODELS": models, "MONGO_URI": uri, "AUTH": "off"}
    return Settings(_env_file=None, **words)


@asynccontextmanager
async def _run(settings: Settings, mock: Any = None) -> AsyncIterator[Server]:
    app = create_app(settings, mock)
    asked = Asked(app)
    transport = httpx.ASGITransport(asked, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield Server(asked, client)
