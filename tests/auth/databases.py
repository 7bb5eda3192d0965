"""A database for each test: a mock, and a real mongod's."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mongomock_motor import AsyncMongoMockClient

from app.settings import Settings
from app.store.client import Database, connect
from app.store.mock import make_database


def settings_of(**chosen: Any) -> Settings:
    return Settings(DB_NAME=f"test_{secrets.token_hex(4)}", _env_file=None, **chosen)  # type: ignore[call-arg]


@asynccontextmanager
async def open_database(uri: str = "", settings: Settings | None = None) -> AsyncIterator[Database]:
    """The database of this mongod, dropped at the end; without a URI a mock."""
    settings = settings or settings_of()
    client = connect(settings, uri) if uri else AsyncMongoMockClient()
    database = make_database(client, settings, uri)
    await database.open()
    try:
        yield database
    finally:
        if uri:
            await database.run(database.sync.client.drop_database, settings.DB_NAME)
        await database.close()
