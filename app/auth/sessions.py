"""Sessions of the page: a cookie with 256 random bits, of which the database has the digest.

A session ends when it is signed out of, when nothing was asked for twelve hours, and when the
account's password changes.
"""

import secrets
from dataclasses import dataclass
from typing import Any

from pymongo import IndexModel
from pymongo.collection import Collection

from app.auth.documents import is_past
from app.auth.keys import digest
from app.resources.moments import now
from app.store.client import Database

COLLECTION = "docsheet.sessions"
COOKIE = "docsheet_session"
IDLE_SECONDS = 12 * 3600
TOUCH_SECONDS = 60  # between two notes that a session is used


@dataclass(frozen=True)
class Session:
    """One session; `id` is the digest of its cookie, `mark` that of the password then."""

    id: str
    account: Any
    mark: str


class Sessions:
    """The sessions of all servers on one database; each request asks for its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._collection: Collection[Any] = database.collection(COLLECTION)

    async def prepare(self) -> None:
        """Makes the index by which idle sessions go."""
        forget = IndexModel([("used", 1)], name="forget", expireAfterSeconds=IDLE_SECONDS)
        of_account = IndexModel([("account", 1)], name="account")
        create = self._collection.create_indexes
        await self._database.run(create, [forget, of_account], writing=True)

    async def begin(self, account: Any, mark: str) -> str:
        """The cookie's value of a new session."""
        value = secrets.token_urlsafe(32)
        document = {
            "_id": digest(value),
            "account": account,
            "mark": mark,
            "created": now(),
            "used": now(),
        }
        await self._database.run(self._collection.insert_one, document, writing=True)
        return value

    async def find(self, value: str) -> Session | None:
        """The session of a cookie, unless it has ended."""
        found = await self._database.run(self._find, digest(value))
        if found is None:
            return None
        return Session(found["_id"], found["account"], found["mark"])

    def _find(self, identifier: str) -> dict[str, Any] | None:
        found = self._collection.find_one({"_id": identifier})
        if found is None:
            return None
        if is_past(found["used"], IDLE_SECONDS):  # the database looks once a minute
            return None
        if is_past(found["used"], TOUCH_SECONDS):
            self._collection.update_one({"_id": identifier}, {"$max": {"used": now()}})
        return dict(found)

    async def end(self, value: str) -> None:
        """Ends the session of a cookie."""
        condition = {"_id": digest(value)}
        await self._database.run(self._collection.delete_one, condition, writing=True)

    async def keep(self, identifier: str, mark: str) -> None:
        """Lets a session go on after its account's password was changed by it."""
        update = {"$set": {"mark": mark}}
        write = self._collection.update_one
        await self._database.run(write, {"_id": identifier}, update, writing=True)

    async def end_others(self, account: Any, identifier: str | None) -> None:
        """Ends every other session of an account."""
        condition = {"account": account, "_id": {"$ne": identifier}}
        await self._database.run(self._collection.delete_many, condition, writing=True)
