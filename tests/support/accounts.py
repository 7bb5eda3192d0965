"""A server with accounts, in this process: on a mock, or on a real mongod."""

import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
from mongomock_motor import AsyncMongoMockClient
from pwdlib import PasswordHash
from pymongo import MongoClient

from app.application import Application, create_app
from app.auth.documents import now
from app.settings import Settings

PASSWORD = "correct horse"
ADDRESS = "http://localhost"
ACCOUNTS = "docsheet.accounts"


@cache
def hash_of(password: str) -> str:
    return PasswordHash.recommended().hash(password)


@dataclass
class Served:
    """A server in this process, its database, and what a client needs of it."""

    app: Application
    database: Any  # PyMongo's or mongomock's, synchronous
    address: str = "127.0.0.1"  # of the client
    headers: dict[str, str] = field(default_factory=dict)

    def client(self, address: str = "127.0.0.1", **headers: str) -> httpx.AsyncClient:
        """A client at this address."""
        transport = httpx.ASGITransport(self.app, client=(address, 1), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=ADDRESS, headers=headers, timeout=30)

    def add(self, name: str, role: str = "viewer", **more: Any) -> Any:
        """An account with the password `PASSWORD`; its `_id`."""
        document = {
            "name": name,
            "role": role,
            "attributes": {},
            "disabled": False,
            "password": hash_of(PASSWORD),
            "created": now(),
            **more,
        }
        return self.database[ACCOUNTS].insert_one(document).inserted_id

    async def sign_in(self, name: str, password: str = PASSWORD, **more: str) -> dict[str, Any]:
        """The tokens of an account."""
        form = {"grant_type": "password", "username": name, "password": password, **more}
        async with self.client() as client:
            answer = await client.post("/auth/token", data=form)
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    async def bearer(self, name: str, **more: str) -> dict[str, str]:
        """The header with a token of an account."""
        tokens = await self.sign_in(name, **more)
        return {"Authorization": f"Bearer {tokens['access_token']}"}


def basic(name: str, password: str = PASSWORD) -> dict[str, str]:
    """The header of HTTP Basic."""
    credentials = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {credentials}"}


def settings_of(**chosen: Any) -> Settings:
    return Settings(AUTH="on", _env_file=None, **chosen)  # type: ignore[call-arg]


@asynccontextmanager
async def serve(uri: str = "", **chosen: Any) -> AsyncIterator[Served]:
    """A server with the administrator `root`: on the mongod of this URI, else on a mock."""
    name = f"test_{secrets.token_hex(4)}"
    if not uri:
        mock = AsyncMongoMockClient()
        database = mock[name].delegate
        app = create_app(settings_of(DB_NAME=name, **chosen), mock)
        async with _run(app, database) as served:
            yield served
        return
    client: MongoClient[Any] = MongoClient(uri, tz_aware=True)
    app = create_app(settings_of(DB_NAME=name, MONGO_URI=uri, **chosen))
    try:
        async with _run(app, client[name]) as served:
            yield served
    finally:
        client.drop_database(name)
        client.close()


@asynccontextmanager
async def _run(app: Application, database: Any) -> AsyncIterator[Served]:
    served = Served(app, database)
    served.add("root", "admin")
    async with app.router.lifespan_context(app):
        yield served
