"""One change of accounts and roles at a time, by all servers and commands together.

So two administrators can't each demote the other, and no role goes while an account gets it. The
lock is a document: who stores it holds the lock, and one that was left by a killed server expires
after a while. What is checked and written under the lock takes less than that.
"""

import asyncio
import datetime
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from app.concurrency import run_to_end
from app.errors import Unavailable
from app.resources.moments import now
from app.store.client import Connection, Database

COLLECTION = "docsheet.turns"
ACCOUNTS = "accounts"  # the one lock that there is
AGAIN_SECONDS = 0.05  # between two tries to get it
SPARE_SECONDS = 30.0  # that a lock lasts beyond what a database may take for its writes


class ChangeLock:
    """The lock on changes of accounts and roles, for one server process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._collection = database.collection(COLLECTION)
        self._wait = database.settings.PRIMARY_WAIT_SECONDS

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Holds the lock for the block; raises `Unavailable` where that takes too long."""
        token = secrets.token_hex(8)
        try:
            await self._wait_for_lock(token)
            yield
        finally:
            await run_to_end(self._release(token))

    async def _wait_for_lock(self, token: str) -> None:
        deadline = time.monotonic() + self._wait
        run = self._database.run
        while not await run(_take, self._collection, token, self._lease, writing=True):
            if time.monotonic() > deadline:
                raise _make_busy()
            await asyncio.sleep(AGAIN_SECONDS)

    async def _release(self, token: str) -> None:
        await self._database.run(_release, self._collection, token, writing=True)

    @property
    def _lease(self) -> float:
        return _lease_seconds(self._database)


@contextmanager
def hold_lock(connection: Connection) -> Iterator[None]:
    """The same for a command."""
    collection = connection.collection(COLLECTION)
    token, lease = secrets.token_hex(8), _lease_seconds(connection)
    deadline = time.monotonic() + connection.settings.PRIMARY_WAIT_SECONDS
    while not _take(collection, token, lease):
        if time.monotonic() > deadline:
            raise _make_busy()
        time.sleep(AGAIN_SECONDS)
    try:
        yield
    finally:
        _release(collection, token)


def _lease_seconds(connection: Connection) -> float:
    settings = connection.settings
    wait = settings.PRIMARY_WAIT_SECONDS + settings.QUERY_TIME_LIMIT_SECONDS
    return 2 * wait + SPARE_SECONDS


def _take(collection: Collection[Any], token: str, lease: float) -> bool:
    """Whether the lock is ours now."""
    moment = now()
    collection.delete_one({"_id": ACCOUNTS, "until": {"$lt": moment}})
    until = moment + datetime.timedelta(seconds=lease)
    try:
        collection.insert_one({"_id": ACCOUNTS, "token": token, "until": until})
    except DuplicateKeyError:
        return False
    return True


def _release(collection: Collection[Any], token: str) -> None:
    collection.delete_one({"_id": ACCOUNTS, "token": token})


def _make_busy() -> Unavailable:
    return Unavailable("Others are changing accounts or roles; try again.")
