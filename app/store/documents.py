"""One collection as bytes: what it is, documents found, read in pages, counted; what writes need.

`mock` has the same for a mongomock.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection

from app.query.plan import Plan
from app.settings import Settings
from app.store.collections import Nature, find_nature
from app.store.commands import RAW, Words, find
from app.store.exact import Expression, is_same
from app.store.list_pages import ListPages

_SIMPLE = {"locale": "simple"}  # compares texts as bytes, whatever the collection's collation

NUMBER = "_docsheet"  # the field by which documents of a question are told apart
# The steps that give one document, whatever the collection has: `$documents` belongs to none.
_ONE_DOCUMENT: tuple[dict[str, Any], ...] = (
    {"$match": {"_id": {"$in": []}}},
    {"$facet": {"none": [{"$limit": 1}]}},
)


class Documents:
    """The documents of one collection of a real server."""

    def __init__(self, collection: Collection[Any], settings: Settings) -> None:
        self.collection = collection
        self._time_limit = int(settings.QUERY_TIME_LIMIT_SECONDS * 1000)
        self._count_limit = int(settings.COUNT_TIME_LIMIT_SECONDS * 1000)
        self._patience = settings.PRIMARY_WAIT_SECONDS

    def read_nature(self) -> Nature:
        """What the collection is: one that takes writes, a view, a time series."""
        return find_nature(self.collection)

    def find_one(self, condition: Mapping[str, Any]) -> bytes:
        """The BSON of the first document that is found; nothing where there is none."""
        command = {
            "find": self.collection.name,
            "filter": condition,
            "limit": 1,
            "batchSize": 1,
            "maxTimeMS": self._time_limit,
        }
        return find(self.collection.database, command, self._patience).raw

    def find_all(self, condition: Mapping[str, Any]) -> Iterator[bytes]:
        """The BSON of each document that is found."""
        for found in self.raw_collection.find(condition, max_time_ms=self._time_limit):
            yield bytes(found.raw)

    @contextmanager
    def reader(self, plan: Plan) -> Iterator[ListPages]:
        """What reads pages of a list, in a session of its own: a reply may have to be continued."""
        with self.collection.database.client.start_session() as session:
            yield ListPages(self.collection, plan, session)

    def estimate(self) -> int:
        """The collection's own count."""
        return self.collection.estimated_document_count(maxTimeMS=self._count_limit)

    def count(self, condition: Mapping[str, Any], **words: Any) -> int:
        """How many documents there are, `limit` at most."""
        return self.collection.count_documents(condition, maxTimeMS=self._count_limit, **words)

    # --- what writes need ---

    def find_matching(self, numbered: Sequence[bytes], condition: Mapping[str, Any]) -> set[int]:
        """The numbers of those documents, each with a `NUMBER`, that meet a condition.

        They need not be stored; the collection's collation counts.
        """
        listed = [self.make_document(raw) for raw in numbered]
        steps: list[dict[str, Any]] = [
            *_ONE_DOCUMENT,
            {"$project": {"one": {"$literal": listed}}},
            {"$unwind": "$one"},
            {"$replaceRoot": {"newRoot": "$one"}},
            {"$match": condition},
            {"$project": {"_id": 0, NUMBER: 1}},
        ]
        found = self.collection.aggregate(steps, maxTimeMS=self._time_limit)
        return {one[NUMBER] for one in found}

    @cached_property
    def raw_collection(self) -> Collection[Any]:
        """The collection whose replies are bytes."""
        return self.collection.with_options(codec_options=RAW)

    def make_document(self, raw: bytes) -> Any:
        """A document as the driver sends it, byte for byte."""
        return RawBSONDocument(raw, RAW)

    def make_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values of an update as the driver takes them."""
        return dict(values)

    def is_same(self, raw: bytes, *, collated: bool, most: int | None) -> list[Expression]:
        """The conditions that a document is still this one; raises `CannotTell`."""
        return is_same(raw, collated=collated, most=most)

    def compare_bytes(self, *, collated: bool) -> Words:
        """The words for the driver by which these conditions compare texts as bytes."""
        return {} if collated else {"collation": _SIMPLE}
