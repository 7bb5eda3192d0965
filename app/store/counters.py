"""Counts that all servers share, kept by the library `limits` in the database.

https://limits.readthedocs.io/en/stable/custom-storage.html; a mock has them in this process.
"""

import time
from typing import Any

from limits.storage import MemoryStorage, MongoDBStorage
from pymongo import MongoClient, ReturnDocument

from app.store.client import Database


class MongoStorage(MongoDBStorage):
    """The library's storage, on the connections that are there.

    Windows are in the named collection, fixed counters in `….counters`.
    """

    def __init__(self, database: Database, collection: str) -> None:
        super().__init__(
            database.uri,
            database_name=database.settings.DB_NAME,
            counter_collection_name=f"{collection}.counters",
            window_collection_name=collection,
        )
        self._client: MongoClient[Any] = database.sync.client

    def _init_mongo_client(self, uri: str | None, **options: Any) -> MongoClient[Any]:
        return self._client

    def add(self, name: str, seconds: int, amount: int) -> tuple[int, float]:
        """Adds to a count of so many seconds; what it is, and in how many seconds it ends.

        By the database's clock alone: servers' clocks differ. One that ends later than it could was
        begun before the clock was set back; it begins anew.
        """
        latest = {"$add": ["$$NOW", seconds * 1000]}
        goes_on = {"$and": [{"$gt": ["$expireAt", "$$NOW"]}, {"$lte": ["$expireAt", latest]}]}
        values = {
            "count": {"$cond": [goes_on, {"$add": ["$count", amount]}, amount]},
            "expireAt": {"$cond": [goes_on, "$expireAt", latest]},
        }
        found = self.counters.find_one_and_update(
            {"_id": name},
            [{"$set": values}],
            {"count": 1, "left": {"$subtract": ["$expireAt", "$$NOW"]}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        assert found is not None  # it is made where there is none
        return int(found["count"]), found["left"] / 1000

    def __del__(self) -> None:
        """The connections are not its own to close."""


class LocalStorage(MemoryStorage):
    """The library's storage of one process."""

    def add(self, name: str, seconds: int, amount: int) -> tuple[int, float]:
        """Adds to a count of so many seconds; what it is, and in how many seconds it ends."""
        return self.incr(name, seconds, amount), self.get_expiry(name) - time.time()
