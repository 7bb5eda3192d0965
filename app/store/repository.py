"""Reads and writes of one resource's documents; the writes themselves are in `writes`."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import bson
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from app.errors import MethodNotAllowed, NotFound
from app.query import ordering, tokens
from app.query.compile import Query
from app.query.ordering import SORT_KEY
from app.query.plan import Plan, make_plan
from app.resources.codec import CODEC, decode_all, offsets
from app.resources.patches import Change
from app.resources.registry import Resource
from app.resources.storing import Document, to_bson
from app.store.client import Database
from app.store.codes import Code
from app.store.commands import RAW, find
from app.store.errors import is_parallel
from app.store.indexes import Indexes, make_indexes, read_indexes
from app.store.stored import Stored
from app.store.writes import Matches, Writes

COUNT_UP_TO = 10_000  # documents that `count=auto` counts under a condition
COUNT_MATCHES_UP_TO = 1_000  # the same where a pattern has to be tried on each document
ESTIMATE_SECONDS = 0.002  # less than it takes a client to write something and to ask again

T = TypeVar("T")


@dataclass(frozen=True)
class Page:
    """One page of a list: documents, `raw` their BSON one after the other, and what the headers say.

    `token` leads to the next page and is None on the last; `total` is None where counting took too long.
    """

    documents: list[Document]
    raw: bytes
    token: str | None
    total: int | None
    strategy: str | None


class Repository:
    """The documents of one resource."""

    def __init__(self, database: Database, resource: Resource) -> None:
        self.resource = resource
        self.indexes = Indexes()
        self._database = database
        self._collection = database.collection(resource.name)
        settings = database.settings
        self._time_limit = int(settings.QUERY_TIME_LIMIT_SECONDS * 1000)
        self._count_limit = int(settings.COUNT_TIME_LIMIT_SECONDS * 1000)
        self._patience = settings.PRIMARY_WAIT_SECONDS
        self._estimate = 0, float("-inf")  # documents, and when they were counted
        self._raw_collection: Collection[Any] = (
            self._collection
            if database.is_mock
            else self._collection.with_options(codec_options=RAW)
        )
        self._writes = Writes(database, resource.name, self.indexes, self._read)

    async def make_indexes(self) -> None:
        """Makes the declared indexes; what can't be made is kept in `indexes.problem`."""
        await self._database.run(
            make_indexes,
            self.resource,
            self._collection,
            self.indexes,
            mock=self._database.is_mock,
        )

    # --- reading ---

    async def read(self, keys: Iterable[Any]) -> Stored:
        """The document with the first of these `_id`s that is stored; raises `NotFound`."""
        return await self._database.run(self._read, keys)

    async def look_at_indexes(self) -> None:
        """Looks at the indexes again, of which another program may have made or dropped some."""
        if not self._database.is_mock:
            self.indexes.standing = await self._database.run(read_indexes, self._collection)

    def plan(self, query: Query) -> Plan:
        """What MongoDB is asked for a query, by the indexes that are known at this moment."""
        return make_plan(query, self.indexes.standing, self._database.settings)

    async def page(self, query: Query) -> Page:
        """One page of a list."""
        query = replace(query, sort=self.plan(query).sort)
        return await self._database.run(self._page, query, patterns=query.patterns)

    def _read(self, keys: Iterable[Any]) -> Stored:
        for key in keys:
            found = self._find({"_id": key}, limit=1)
            if found:
                return Stored(found)
        raise self._not_found()

    def _not_found(self) -> NotFound:
        return NotFound(f"There is no document with this _id in {self.resource.name!r}.")

    def _find(
        self, condition: Mapping[str, Any], *, hint: Any = None, bounds: Any = None, **words: Any
    ) -> bytes:
        """The BSON of all documents that are found, one after the other."""
        if self._database.is_mock:
            return b"".join(
                bson.encode(found, codec_options=CODEC)
                for found in self._collection.find(condition, **words)
            )
        limit = words["limit"]
        command = {
            "find": self.resource.name,
            "filter": condition,
            "limit": limit,
            "batchSize": limit,
        }
        command |= {"maxTimeMS": self._time_limit, "allowDiskUse": True}
        command |= {"sort": dict(words.get("sort", ())), "skip": words.get("skip", 0)}
        command |= {"projection": words.get("projection") or {}}
        if hint is not None:
            lower, upper = bounds
            command |= {"hint": hint, **({"min": dict(lower)} if lower else {"max": dict(upper)})}
        with self._database.sync.client.start_session() as session:
            reply = find(self._raw_collection.database, command, self._patience, session)
            found = [reply.raw]
            while reply.cursor:  # the reply was full (16 MiB); a cursor goes on in its session only
                more = {"getMore": bson.Int64(reply.cursor), "collection": self.resource.name}
                reply = find(self._raw_collection.database, more, 0, session)
                found.append(reply.raw)
        return b"".join(found)

    def _page(self, query: Query) -> Page:
        limit = query.limit or 1
        query, raw = self._documents(query, limit + 1)
        documents: list[Document] = decode_all(raw)
        token = None
        if len(documents) > limit:
            documents.pop()
            last, end = offsets(raw)[limit - 1 :]
            position = self._position(query, documents[-1], raw[last:end])
            if position is None:
                return self._page(query)
            raw = raw[:end]
            token = tokens.write_token(position, query.fingerprint)
        if query.fields is not None:
            for document in documents:
                document.pop(SORT_KEY, None)
        total, strategy = self._count(query, len(documents), last=token is None)
        return Page(documents, raw, token, total, strategy)

    def _documents(self, query: Query, limit: int) -> tuple[Query, bytes]:
        """The documents, and the query as it was in the end: its sort relies on indexes that others may drop."""
        try:
            raw = self._by_key(query, limit)
            if not self._is_ambiguous(query, raw, limit):
                return query, raw
        except OperationFailure as error:
            if is_parallel(error):
                return query, self._by_stages(query, limit)
            if error.code != Code.BadValue or query.after is None:
                raise
        self.indexes.standing = read_indexes(self._collection)
        query = replace(query, sort=ordering.whole(query.sort))
        return query, self._by_key(query, limit)

    def _is_ambiguous(self, query: Query, raw: bytes, limit: int) -> bool:
        """Whether the page ends between two equals, as it can't while the unique index stands that decides alone."""
        if query.sort[-1][0] == "_id" or self._database.is_mock:
            return False
        documents = decode_all(raw)[limit - 2 :] if limit > 1 else []
        if len(documents) < 2:
            return False
        one, other = (
            found.get(SORT_KEY) or ordering.position(query.sort, found) for found in documents
        )
        if isinstance(one, dict) and isinstance(other, dict):
            keys = [str(number) for number in range(len(query.sort))]
            return [one.get(key) for key in keys] == [other.get(key) for key in keys]
        return one is not None and one == other

    def _by_key(self, query: Query, limit: int) -> bytes:
        words: dict[str, Any] = {"sort": list(query.sort), "skip": query.skip, "limit": limit}
        if not self._database.is_mock:
            words |= {"batch_size": limit, "allow_disk_use": True}
        if query.fields is not None:
            words["projection"] = self._projection(query)
        if query.after is None:
            return self._find(query.filter, **words)
        position = query.after[: len(query.sort)]
        after = ordering.after_plain if self._database.is_mock else ordering.after
        behind = after(query.sort, position)
        condition = {"$and": [query.filter, behind]} if query.filter else behind
        serving = ordering.served_by(query.sort, self.indexes.standing)
        if (
            serving is None
            or query.sort[0][0] == "_id"
            or not ordering.is_plain(position)
            or self._database.is_mock
        ):
            return self._find(condition, **words)
        index, backwards = serving
        bound = [(path, value) for (path, _), value in zip(query.sort, position, strict=True)]
        return self._find(
            condition,
            hint=index.name,
            bounds=(None, bound) if backwards else (bound, None),
            **words,
        )

    def _by_stages(self, query: Query, limit: int) -> bytes:
        """The same by a pipeline, for documents that a find can't sort."""
        order = ordering.whole(query.sort)
        behind = [ordering.after(order, query.after)] if query.after is not None else []
        projection = (
            {**self._projection(query), SORT_KEY: 1} if query.fields is not None else {SORT_KEY: 0}
        )
        pipeline = [
            {"$match": {"$and": [query.filter, *behind]}},
            *ordering.stages(order),
            {"$skip": query.skip},
            {"$limit": limit},
            {"$project": projection},
        ]
        found = self._collection.aggregate_raw_batches(
            pipeline, maxTimeMS=self._time_limit, allowDiskUse=True
        )
        return b"".join(cast("Iterator[bytes]", found))

    def _projection(self, query: Query) -> dict[str, Any]:
        projection: dict[str, Any] = dict.fromkeys(query.fields or (), 1) or {"_id": 1}
        if not self._database.is_mock and query.sort[0][0] != "_id":
            projection |= ordering.computed(ordering.whole(query.sort))
        return projection

    def _position(self, query: Query, last: Document, raw: bytes) -> list[Any] | None:
        """Where the last document of a page stands; None where it was deleted before the database could say."""
        order = ordering.whole(query.sort)
        if SORT_KEY in last:
            return ordering.read_computed(order, bson.decode(raw, ordering.EXACT))
        if self._database.is_mock and query.fields is not None:
            last = self._collection.find_one({"_id": last["_id"]}) or last
        position = ordering.position(order, last, raw)
        if position is not None:
            return position
        key = ordering.bound_value(ordering.exact(bson.decode(raw, ordering.EXACT)["_id"]))
        found = self._find(
            {"$expr": {"$eq": ["$_id", key]}}, projection=ordering.computed(order), limit=1
        )
        return ordering.read_computed(order, bson.decode(found, ordering.EXACT)) if found else None

    def _count(self, query: Query, shown: int, *, last: bool) -> tuple[int | None, str | None]:
        if query.count == "none":
            return None, None
        try:
            if query.count == "auto" and not query.filter:
                return self._estimated(), "estimated"
            if last and query.after is None and (shown or not query.skip):
                return query.skip + shown, "exact"
            if query.count == "exact":
                return self._counted(query.filter), "exact"
            most = COUNT_MATCHES_UP_TO if query.patterns else COUNT_UP_TO
            counted = self._counted(query.filter, limit=most + 1)
        except OperationFailure as error:
            if error.code != Code.MaxTimeMSExpired:
                raise
            return None, None
        return min(counted, most), "capped" if counted > most else "exact"

    def _estimated(self) -> int:
        """The collection's own count, asked again after `ESTIMATE_SECONDS` and after every write of this process."""
        now, (counted, since) = time.monotonic(), self._estimate
        if now - since > ESTIMATE_SECONDS:
            counted = self._collection.estimated_document_count(**self._count_words())
            self._estimate = counted, now
        return counted

    def _counted(self, condition: Mapping[str, Any], **words: Any) -> int:
        return self._collection.count_documents(condition, **words, **self._count_words())

    def _count_words(self) -> dict[str, Any]:
        return {} if self._database.is_mock else {"maxTimeMS": self._count_limit}

    # --- writing ---

    async def insert(self, document: Document) -> Stored:
        """Stores a new document, `_id` first; raises `Conflict` where a unique index has a value of it already."""
        self.indexes.refuse_inserts()
        return await self._write(self._writes.insert, to_bson(document))

    async def replace(
        self, keys: Iterable[Any], matches: Matches | None, build: Callable[[bytes], bytes]
    ) -> Stored:
        """Stores `build(stored document)` in place of the stored one, whole.

        Raises `NotFound`, `PreconditionFailed` where `matches` refuses the ETag, `Conflict`, and whatever `build` does.
        """
        return await self._write(self._writes.replace, keys, matches, build)

    async def patch(
        self, keys: Iterable[Any], matches: Matches | None, build: Callable[[bytes], Change]
    ) -> Stored:
        """Writes the change that `build(stored document)` wants, and nothing else; raises as `replace`."""
        return await self._write(self._writes.patch, keys, matches, build)

    async def delete(self, keys: Iterable[Any], matches: Matches | None) -> None:
        """Deletes the document; raises `NotFound`, or `PreconditionFailed` where `matches` refuses the ETag."""
        await self._write(self._writes.delete, keys, matches)

    async def _write(self, write: Callable[..., T], *args: Any) -> T:
        if self.indexes.nature.read_only:
            await self.make_indexes()
        self.indexes.refuse_writes()
        try:
            return await self._database.run(write, *args, writing=True)
        except (MethodNotAllowed, OperationFailure):
            await self.make_indexes()  # another collection may have this name by now
            self.indexes.refuse_writes()
            raise
        finally:
            self._estimate = 0, float("-inf")
