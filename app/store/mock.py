"""The one seam for a mongomock: the fast tests of reading and writing documents run on it.

It has no raw batches, no sessions, no topology, and no order across types; what it can't do is
tested on a real mongod. Whether there is one is asked once, where a database is made.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, cast

import bson
from pymongo.collection import Collection

from app.query import ordering
from app.query.conditions import Filter, join_filters
from app.query.plan import Plan
from app.query.tokens import Place
from app.resources import elements
from app.resources.codec import CODEC, decode, offsets
from app.resources.storing import to_bson
from app.settings import Settings
from app.store.client import Database
from app.store.collections import Nature
from app.store.commands import Words
from app.store.documents import NUMBER, Documents
from app.store.exact import Expression
from app.store.keyset import Page
from app.store.linked import LinkedReader, make_keys


def make_database(client: Any, settings: Settings, uri: str = "") -> Database:
    """The database of a client: of Motor's a real one, of mongomock-motor's a mock.

    Mongomock-motor's own classes say they are Motor's, so PyMongo's below is looked at.
    """
    synchronous = client[settings.DB_NAME].delegate
    is_mock = type(synchronous).__module__.startswith("mongomock")
    return MockDatabase(client, settings) if is_mock else Database(client, settings, uri)


class MockDatabase(Database):
    """A mongomock: always there, without a topology, sessions and time limits."""

    def collection(self, name: str) -> Collection[dict[str, Any]]:
        """The synchronous collection: only that one names a violated index."""
        collection: Any = vars(self.motor[name])["_AsyncMongoMockCollection__collection"]
        return cast("Collection[dict[str, Any]]", collection)

    def documents(self, name: str) -> Documents:
        """The collection's documents as bytes."""
        return MockDocuments(self.collection(name), self.settings)

    def linked_reader(self, find_rule: Callable[[str], Filter]) -> LinkedReader:
        """What reads linked documents."""
        return MockLinkedReader(self.sync, find_rule)

    async def open(self) -> None:
        """There is nothing to watch."""

    def has_primary(self) -> bool:
        """There always is one."""
        return True

    def has_snapshots(self) -> bool:
        """There are none."""
        return False

    def has_transactions(self) -> bool:
        """There are none."""
        return False

    def has_collations(self) -> bool:
        """There are none."""
        return False

    def has_bulks(self) -> bool:
        """It knows too few conditions."""
        return False

    @property
    def time_limit(self) -> dict[str, int]:
        """There is none."""
        return {}

    async def beat(self, seconds: float) -> bool:
        """Writes are always taken."""
        return True


class MockDocuments(Documents):
    """The documents of a mock's collection, decoded and encoded where a server takes bytes."""

    def read_nature(self) -> Nature:
        """All are plain collections."""
        return Nature()

    def find_one(self, condition: Mapping[str, Any]) -> bytes:
        """The BSON of the first document that is found; nothing where there is none."""
        return _encode(self.collection.find(condition, limit=1))

    def find_all(self, condition: Mapping[str, Any]) -> Iterator[bytes]:
        """The BSON of each document that is found."""
        return map(_encode_one, self.collection.find(condition))

    @contextmanager
    def reader(self, plan: Plan) -> Iterator[Any]:
        """What reads pages of a list."""
        yield MockReader(self.collection, plan)

    def estimate(self) -> int:
        """The collection's own count."""
        return int(self.collection.estimated_document_count())

    def count(self, condition: Mapping[str, Any], **words: Any) -> int:
        """How many documents there are, `limit` at most."""
        return int(self.collection.count_documents(condition, **words))

    def find_matching(self, numbered: Sequence[bytes], condition: Mapping[str, Any]) -> set[int]:
        """The numbers of those documents that meet a condition, as another mock says it."""
        scratch = type(self.collection.database.client)()["scratch"]["scratch"]
        for raw in numbered:
            document = decode(raw)
            scratch.insert_one(document)
        return {one[NUMBER] for one in scratch.find(condition)}

    @cached_property
    def raw_collection(self) -> Collection[Any]:
        """The same collection, which has no bytes."""
        return self.collection

    def make_document(self, raw: bytes) -> Any:
        """A document as a dict, for a mock knows no bytes."""
        return decode(raw)

    def make_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values of an update as BSON would hold them."""
        return decode(to_bson(values))

    def is_same(self, raw: bytes, *, collated: bool, most: int | None) -> list[Expression]:
        """The condition that a document has equal values; a mock knows neither types nor sizes."""
        return [{"$eq": ["$$ROOT", {"$literal": decode(raw)}]}]

    def compare_bytes(self, *, collated: bool) -> Words:
        """A mock always does."""
        return {}


class MockReader:
    """What `ListPages` is, of a mock's collection."""

    def __init__(self, collection: Any, plan: Plan) -> None:
        self.plan = plan
        self._collection = collection

    def list_page(self, place: Place | None, size: int) -> Page:
        """The first documents behind a place."""
        plan = self.plan
        condition = plan.filter
        if place is not None:
            position = ordering.decode(plan.sort, place.position)
            behind = ordering.after_plain(plan.walk, position)
            condition = {"$and": [condition, behind]} if condition else behind
        skip = plan.skip if place is None else 0
        found = self._collection.find(
            condition, plan.projection, sort=list(plan.walk), skip=skip, limit=size
        )
        raw = _encode(found)
        begins = offsets(raw)
        return Page(raw, begins, len(begins) < size)

    read_sorted_page = list_page

    def is_mirrored(self, page: Page) -> bool:
        """Always, as far as a mock can tell."""
        return True

    def count_at(self, position: bytes) -> int:
        """No two documents stand at one position."""
        return 1

    def position(self, page: Page, number: int) -> bytes:
        """Where a document of a page stands."""
        if self.plan.projection is None:
            raw = page.raw[page.begins[number] :]
        else:
            (key,) = bson.decode(elements.make_document([("", page.key(number))]), CODEC).values()
            raw = self.find_one(key)
        return ordering.position(self.plan.whole_sort, raw) or b""

    def find_one(self, key: Any, within: dict[str, Any] | None = None) -> bytes:
        """The document with this `_id`, if it is `within` a filter."""
        condition = {"$and": [{"_id": key}, within]} if within else {"_id": key}
        return _encode(self._collection.find(condition, limit=1))

    def find_shown_position(self, page: Page, number: int) -> bytes | None:
        """Never known: so a mock's order is taken as it is."""
        return None

    def positions(
        self,
        key: bytes,
        limit: int,
        *,
        from_key: bool = False,
        within: dict[str, Any] | None = None,
    ) -> list[bytes]:
        """Where the document with that `_id` stands, if it is `within` a filter."""
        (value,) = bson.decode(elements.make_document([("", key)]), CODEC).values()
        raw = self.find_one(value, within)
        return [ordering.position(self.plan.whole_sort, raw) or b""] if raw else []


def read_pages(collection: Any, plan: Plan) -> Iterator[Page]:
    """What `pages.pages` gives for an export: all documents by one cursor, on one page."""
    words = {"sort": list(plan.sort), "skip": plan.skip, "limit": plan.limit or 0}
    raw = _encode(collection.find(plan.filter, plan.projection, **words))
    if raw:
        yield Page(raw, offsets(raw))


class MockLinkedReader(LinkedReader):
    """Reads parts of linked documents, decoded and encoded where a server takes bytes."""

    def __init__(self, database: Any, find_rule: Callable[[str], Filter]) -> None:
        super().__init__(database, find_rule, time_limit=0, patience=0)

    def read(self, name: str, keys: Sequence[Any], projection: Words) -> bytes:
        """The BSON of the documents with these `_id`s."""
        condition = join_filters([{"_id": {"$in": make_keys(keys)}}, self.find_rule(name)])
        return _encode(self.database[name].find(condition, projection))


def _encode(documents: Iterable[Any]) -> bytes:
    return b"".join(map(_encode_one, documents))


def _encode_one(document: Any) -> bytes:
    return bson.encode(document, codec_options=CODEC)
