"""One collection as bytes: documents found, pages read, documents counted. `mock` has the same."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pymongo.collection import Collection

from app.query.plan import Plan
from app.settings import Settings
from app.store.commands import find
from app.store.pages import Reader


class Documents:
    """The documents of one collection of a real server."""

    def __init__(self, collection: Collection[Any], settings: Settings) -> None:
        self._collection = collection
        self._time_limit = int(settings.QUERY_TIME_LIMIT_SECONDS * 1000)
        self._count_limit = int(settings.COUNT_TIME_LIMIT_SECONDS * 1000)
        self._patience = settings.PRIMARY_WAIT_SECONDS

    def find_one(self, condition: Mapping[str, Any]) -> bytes:
        """The BSON of the first document that is found; nothing where there is none."""
        command = {
            "find": self._collection.name,
            "filter": condition,
            "limit": 1,
            "batchSize": 1,
            "maxTimeMS": self._time_limit,
        }
        return find(self._collection.database, command, self._patience).raw

    @contextmanager
    def reader(self, plan: Plan) -> Iterator[Reader]:
        """What reads pages of a list, in a session of its own: a reply may have to be continued."""
        with self._collection.database.client.start_session() as session:
            yield Reader(self._collection, plan, session)

    def estimate(self) -> int:
        """The collection's own count."""
        return self._collection.estimated_document_count(maxTimeMS=self._count_limit)

    def count(self, condition: Mapping[str, Any], **words: Any) -> int:
        """How many documents there are, `limit` at most."""
        return self._collection.count_documents(condition, maxTimeMS=self._count_limit, **words)
