"""The one seam for a mongomock: the fast tests of reading and writing documents run on it.

It has no raw batches, no sessions, no topology, and no order across types; what it can't do is
tested on a real mongod. `is_mock` is asked once, where a database is made.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import bson
from pymongo.collection import Collection

from app.query import ordering
from app.query.plan import Plan
from app.query.tokens import Place
from app.resources import elements
from app.resources.codec import CODEC, offsets
from app.store.pages import Page


def is_mock(database: Any) -> bool:
    """Whether a synchronous database is a mongomock's.

    Mongomock-motor's own say they are Motor's.
    """
    return type(database).__module__.startswith("mongomock")


def mock_collection(collection: Any) -> Collection[dict[str, Any]]:
    """The synchronous collection of mongomock-motor's: only that one names a violated index."""
    return cast(
        "Collection[dict[str, Any]]", vars(collection)["_AsyncMongoMockCollection__collection"]
    )


class MockDocuments:
    """What `documents.Documents` is, of a mock's collection."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    def find_one(self, condition: Mapping[str, Any]) -> bytes:
        """The BSON of the first document that is found; nothing where there is none."""
        return _encoded(self._collection.find(condition, limit=1))

    @contextmanager
    def reader(self, plan: Plan) -> Iterator["MockReader"]:
        """What reads pages of a list."""
        yield MockReader(self._collection, plan)

    def estimate(self) -> int:
        """The collection's own count."""
        return int(self._collection.estimated_document_count())

    def count(self, condition: Mapping[str, Any], **words: Any) -> int:
        """How many documents there are, `limit` at most."""
        return int(self._collection.count_documents(condition, **words))


class MockReader:
    """What `pages.Reader` is for lists, of a mock's collection."""

    def __init__(self, collection: Any, plan: Plan) -> None:
        self.plan = plan
        self._collection = collection

    def list_page(self, place: Place | None, size: int) -> Page:
        """The first documents behind a place."""
        plan = self.plan
        condition = plan.filter
        if place is not None:
            position = ordering.decoded(plan.sort, place.position)
            behind = ordering.after_plain(plan.sort, position)
            condition = {"$and": [condition, behind]} if condition else behind
        skip = plan.skip if place is None else 0
        found = self._collection.find(
            condition, plan.projection, sort=list(plan.sort), skip=skip, limit=size
        )
        raw = _encoded(found)
        begins = offsets(raw)
        return Page(raw, begins, len(begins) < size)

    sorted_page = list_page

    def position(self, page: Page, number: int) -> bytes:
        """Where a document of a page stands."""
        if self.plan.projection is None:
            raw = page.raw[page.begins[number] :]
        else:
            (key,) = bson.decode(
                elements.make_document([("", self.key(page, number))]), CODEC
            ).values()
            raw = self.find_one(key)
        return ordering.position(self.plan.whole_sort, raw) or b""

    def find_one(self, key: Any) -> bytes:
        """The document with this `_id`."""
        return _encoded(self._collection.find({"_id": key}, limit=1))

    def shown_position(self, page: Page, number: int) -> bytes | None:
        """Never known: so a mock's order is taken as it is."""
        return None

    def key(self, page: Page, number: int) -> bytes:
        """The `_id` of a document of a page."""
        return elements.field(page.raw, "_id", page.begins[number]) or elements.NULL_VALUE

    def positions(self, key: bytes, limit: int, *, from_key: bool = False) -> list[bytes]:
        """Where the document with that `_id` stands."""
        (value,) = bson.decode(elements.make_document([("", key)]), CODEC).values()
        raw = self.find_one(value)
        return [ordering.position(self.plan.whole_sort, raw) or b""] if raw else []


def _encoded(documents: Any) -> bytes:
    return b"".join(bson.encode(document, codec_options=CODEC) for document in documents)
