"""A server with accounts, in this process: on a mock, or on a real mongod."""

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import bson
import httpx
import pytest
from mongomock_motor import AsyncMongoMockClient
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pymongo import MongoClient

from app.api import parts
from app.application import Application, create_app
from app.auth.keys import digest, make_id, make_secret
from app.resources.moments import now
from app.settings import Settings
from tests.support.databases import lend
from tests.support.waiting import LONGEST

PASSWORD = "correct horse"
ADDRESS = "http://localhost"
ACCOUNTS, KEYS = "docsheet.accounts", "docsheet.keys"


# As quick as argon2 can be: the hashes of the program itself take 64 MiB and a tenth of a second.
HASHER = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=64, parallelism=1),))


@cache
def hash_of(password: str) -> str:
    return HASHER.hash(password)


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

    def key(self, account: Any, *scopes: str, expires: Any = None) -> dict[str, str]:
        """The header with a new key of an account; without scopes it has all."""
        identifier, secret = make_id(), make_secret()
        self.database[KEYS].insert_one(
            {
                "_id": identifier,
                "name": "a key",
                "account": bson.DBRef(ACCOUNTS, account),
                "scopes": list(scopes),
                "digest": digest(secret),
                "created": now(),
                "expires": expires,
                "last_used": None,
            }
        )
        return {"Authorization": f"Bearer {identifier}.{secret}"}

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


async def answers(client: httpx.AsyncClient, path: str, status: int) -> httpx.Response:
    """The answer with this status, which comes once a change counts."""
    deadline = time.monotonic() + LONGEST
    while (answer := await client.get(path)).status_code != status:
        assert time.monotonic() < deadline, (answer.status_code, answer.text)
        await asyncio.sleep(0.1)
    return answer


def basic(name: str, password: str = PASSWORD) -> dict[str, str]:
    """The header of HTTP Basic."""
    credentials = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {credentials}"}


def settings_of(**chosen: Any) -> Settings:
    return Settings(AUTH="on", _env_file=None, **chosen)  # type: ignore[call-arg]


@asynccontextmanager
async def serve(uri: str = "", **chosen: Any) -> AsyncIterator[Served]:
    """A server with the administrator `root`: on the mongod of this URI, else on a mock."""
    if not uri:
        mock = AsyncMongoMockClient()
        name = f"test_{secrets.token_hex(4)}"
        app = create_app(settings_of(DB_NAME=name, **chosen), mock)
        async with _run(app, mock[name].delegate) as served:
            yield served
        return
    client: MongoClient[Any]
    with MongoClient(uri, tz_aware=True) as client, lend(client, uri, str(chosen)) as lent:
        app = create_app(settings_of(DB_NAME=lent.name, MONGO_URI=uri, **chosen))
        async with _run(app, client[lent.name]) as served:
            lent.keep(client)
            yield served


@asynccontextmanager
async def serve_again(other: Served, uri: str, **chosen: Any) -> AsyncIterator[Served]:
    """Another server on the same database of this mongod."""
    app = create_app(settings_of(DB_NAME=other.database.name, MONGO_URI=uri, **chosen))
    async with app.router.lifespan_context(app):
        yield Served(app, other.database)


@asynccontextmanager
async def _run(app: Application, database: Any) -> AsyncIterator[Served]:
    served = Served(app, database)
    served.add("root", "admin")
    async with AsyncExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parts, "FIRST_SECONDS", 60.0)  # all indexes are made before it begins
            await stack.enter_async_context(app.router.lifespan_context(app))
        yield served
