"""Counts that all servers share, kept by the library `limits` in the database.

https://limits.readthedocs.io/en/stable/custom-storage.html; a mock has them in this process.
"""

from typing import Any

from limits.storage import MongoDBStorage
from pymongo import MongoClient

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

    def __del__(self) -> None:
        """The connections are not its own to close."""
