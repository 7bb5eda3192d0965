"""Keyset pagination: the documents behind a position in an order, as raw BSON, by one command.

Where an index has the order, a page begins after the last key of the one before: `min` or `max` on
that index (https://www.mongodb.com/docs/manual/reference/method/cursor.min/), or an `$expr`, which
compares as the sort does. So there is no cursor that could die with its server: a page is asked for
again where the primary died (`commands.find`).
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.server_type import SERVER_TYPE

from app.errors import Unavailable
from app.query import ordering
from app.query.conditions import join_filters
from app.query.plan import Plan
from app.resources import elements
from app.resources.codec import offsets
from app.store.codes import Code
from app.store.collections import Nature
from app.store.commands import Reply, find, read_on

LONG_POSITION = 1024 * 1024  # bytes; one that is longer fits into a command only once
COLLECTION_UUIDS = 17  # the wire version of MongoDB 6.0, whose `find` takes `collectionUUID`


@dataclass(frozen=True)
class Page:
    """The BSON of some documents, one after the other; `flat` says that they are flattened.

    `begins` says where each begins, `is_last` that nothing follows.
    """

    raw: bytes
    begins: list[int]
    is_last: bool = False
    flat: bool = False

    @property
    def documents(self) -> int:
        """How many documents it has."""
        return len(self.begins)

    def key(self, number: int) -> bytes:
        """The `_id` of a document of it, as a value of BSON."""
        return elements.field(self.raw, "_id", self.begins[number]) or elements.NULL_VALUE

    def cut(self, size: int) -> "Page":
        """The first documents of it, where it has more than that."""
        if size >= self.documents:
            return self
        return Page(self.raw[: self.begins[size]], self.begins[:size])

    def turn(self) -> "Page":
        """The same documents in the opposite order."""
        ends = [*self.begins[1:], len(self.raw)]
        spans = zip(reversed(self.begins), reversed(ends), strict=True)
        raw = b"".join([self.raw[begin:end] for begin, end in spans])
        return Page(raw, offsets(raw))


@dataclass(frozen=True)
class Entry:
    """How a page begins: a condition, and where the index of the order is entered."""

    condition: dict[str, Any]
    hint: str | None = None
    lower: RawBSONDocument | None = None
    upper: RawBSONDocument | None = None


class KeysetReader:
    """Reads a plan's documents from one collection, each time those behind a position."""

    def __init__(
        self,
        collection: Collection[Any],
        plan: Plan,
        session: ClientSession | None = None,
        nature: Nature | None = None,
    ) -> None:
        """`nature` is that of the collection, where later pages must be of the same one."""
        self.plan = plan
        self.collection = collection
        self._database = collection.database
        self.session = session
        self.nature = nature or Nature()
        self.is_placed = True  # whether documents have with them what says where they stand

    # --- where documents stand ---

    def position(self, page: Page, number: int) -> bytes:
        """Where a document of a page stands.

        Raises `Unavailable` where only MongoDB can say, and the document was deleted meanwhile.
        """
        position = self.find_shown_position(page, number)
        if position is not None:
            return position
        found = self.positions(page.key(number), 1)
        if not found:
            raise Unavailable(
                "The document at which a page ended was deleted meanwhile; try again."
            )
        return found[0]

    def find_shown_position(self, page: Page, number: int) -> bytes | None:
        """The same as far as the page itself says it."""
        if self.is_placed or self.plan.projection is None:
            return ordering.position(self.plan.whole_sort, page.raw, page.begins[number])
        return None

    def positions(
        self,
        key: bytes,
        limit: int,
        *,
        from_key: bool = False,
        within: dict[str, Any] | None = None,
    ) -> list[bytes]:
        """The positions of documents with that `_id`, or, `from_key`, from that `_id` on.

        Those that a filter `within` which they have to be doesn't meet are skipped.
        """
        if from_key:
            condition = ordering.after_id(1, key, inclusive=True)
        else:
            condition = {"_id": RawBSONDocument(elements.make_document([("$eq", key)]))}
        if within:
            condition = join_filters([within, condition])
        projection = {"_id": 0, **ordering.compute(self.plan.whole_sort, is_view=True)}
        command = self._command(Entry(condition), limit, projection)
        command["sort"] = {"_id": 1} if from_key else {}
        raw = self._rest(self._ask(command))
        return [ordering.position((), raw, begin) or b"" for begin in offsets(raw)]

    # --- where a page begins ---

    def can_enter(self, position: bytes) -> bool:
        """Whether the next page can begin there as the order has it.

        An object with two fields of one name is compared otherwise in an `$expr` than in a sort.
        """
        if self.plan.is_by_id:
            return True
        return len(position) <= LONG_POSITION and not elements.has_duplicates(position)

    @property
    def is_clustered(self) -> bool:
        """Whether the index of the order is the collection itself."""
        return self.plan.order is not None and self.plan.order[0].clustered

    def find_entry(self, position: bytes | None) -> Entry:
        """How the page behind a position begins, by the index of the order where there is one."""
        plan = self.plan
        if plan.order is None:
            return Entry(self.match_behind(position))
        index, is_backwards = plan.order
        if position is None:
            return Entry(plan.filter, None if plan.filter else index.name)
        bound = None
        if self.can_enter(position):
            bound = ordering.make_bound(plan.sort, position)
        if bound is not None and plan.is_by_id:
            (key,) = ordering.values(plan.sort, position)
            condition = join_filters([plan.filter, _skip_key(key)])
        else:
            condition = self.match_behind(position)
        if is_backwards:
            return Entry(condition, index.name, upper=bound)
        return Entry(condition, index.name, lower=bound)

    def match_behind(self, position: bytes | None) -> dict[str, Any]:
        """The condition of all documents behind a position."""
        plan = self.plan
        if position is None:
            return plan.filter
        if plan.is_by_id:
            (key,) = ordering.values(plan.sort, position)
            behind = ordering.after_id(plan.walk[0][1], key or elements.NULL_VALUE)
        else:
            behind = ordering.after(plan.sort, position, backwards=plan.backwards)
        return join_filters([plan.filter, behind])

    # --- what is read ---

    @cached_property
    def projection(self) -> dict[str, Any] | None:
        """The plan's projection, with what says where a document stands."""
        projection = self.plan.projection
        return None if projection is None else self.add_position(projection)

    def add_position(self, projection: dict[str, Any]) -> dict[str, Any]:
        """The projection, with what says where a document stands."""
        sort = self.plan.whole_sort
        if is_exclusion(projection) or all(_has(projection, path) for path, _ in sort):
            return projection
        return projection | ordering.compute(
            sort, is_view=self.plan.is_view, only_plain=self.plan.backwards
        )

    def read(
        self,
        entry: Entry,
        size: int,
        projection: dict[str, Any] | None,
        position: bytes | None,
        *,
        whole: bool = False,
    ) -> Page:
        """The first documents behind a position, at its entry.

        `whole` reads on where one reply can't hold them, else the page is shorter then.
        """
        walk = self.plan.walk
        if position is not None and ordering.is_end(walk, position) and not self.plan.is_view:
            return Page(b"", [], is_last=True)
        command = self._command(entry, size, projection)
        if position is None:
            command["skip"] = self.plan.skip
        reply = self._ask(command)
        raw = self._rest(reply) if whole else reply.raw
        is_full = reply.cursor != 0 and not whole
        if is_full:
            self._forget(reply.cursor)
        begins = offsets(raw)
        is_last = not is_full and len(begins) < size
        if is_last and entry.lower is not None and not self.is_clustered:
            raw += self._read_greatest(entry, size - len(begins), projection)
            begins = offsets(raw)
        return Page(raw, begins, is_last)

    def _read_greatest(self, entry: Entry, size: int, projection: dict[str, Any] | None) -> bytes:
        """The document whose keys are all the last there is: a scan from `min` ends before it."""
        ends = []
        for path, direction in self.plan.sort:
            end = bson.MaxKey() if (direction > 0) != self.plan.backwards else bson.MinKey()
            value = ordering.sort_value(path, direction)
            ends += [{path: end}, {"$expr": {"$eq": [value, {"$literal": end}]}}]
        condition = {"$and": [*([self.plan.filter] if self.plan.filter else []), *ends]}
        command = self._command(Entry(condition, entry.hint), size, projection)
        return self._rest(self._ask(command))

    def _command(
        self, entry: Entry, size: int, projection: dict[str, Any] | None
    ) -> dict[str, Any]:
        """The command `find` (https://www.mongodb.com/docs/manual/reference/command/find/)."""
        command: dict[str, Any] = {
            "find": self.collection.name,
            "filter": entry.condition,
            "projection": projection or {},
            "sort": dict(self.plan.walk),
            "limit": size,
            "batchSize": size,
            "maxTimeMS": self.plan.time_limit,
            "allowDiskUse": True,
        }
        if entry.hint is not None:
            command["hint"] = entry.hint
        if entry.lower is not None:
            command["min"] = entry.lower
        if entry.upper is not None:
            command["max"] = entry.upper
        return command | self._guard

    @cached_property
    def _guard(self) -> dict[str, Any]:
        """What makes MongoDB refuse another collection of this name, where its version can."""
        if self.nature.uuid is None:
            return {}
        servers = self._database.client.topology_description.server_descriptions().values()
        known = [server for server in servers if server.is_server_type_known]
        takes_uuid = bool(known) and all(
            server.max_wire_version >= COLLECTION_UUIDS and server.server_type != SERVER_TYPE.Mongos
            for server in known
        )
        return {"collectionUUID": self.nature.uuid} if takes_uuid else {}

    @property
    def is_guarded(self) -> bool:
        """Whether MongoDB itself refuses a page of another collection, as it does from 6.0 on."""
        return bool(self._guard)

    def _ask(self, command: dict[str, Any]) -> Reply:
        preference = self.collection.read_preference
        try:
            return find(self._database, command, self.plan.patience, self.session, preference)
        except OperationFailure as error:
            if error.code == Code.CollectionUUIDMismatch:
                raise make_replaced() from error
            raise

    def _rest(self, reply: Reply) -> bytes:
        """The whole of what was asked for: a reply holds 16 MiB."""
        how = self.session, self.collection.read_preference
        return read_on(self._database, self.collection.name, reply, *how)

    def _forget(self, cursor: int) -> None:
        """Closes a cursor on the server; one that can't be reached forgets it by itself."""
        with suppress(PyMongoError):
            self._database.command(
                {"killCursors": self.collection.name, "cursors": [bson.Int64(cursor)]},
                session=self.session,
                read_preference=self.collection.read_preference,
            )


def make_replaced() -> Unavailable:
    """503: not one collection any more."""
    return Unavailable(
        "The collection was dropped, renamed or made anew while it was read; start again."
    )


def is_hint(error: OperationFailure) -> bool:
    """Whether MongoDB refused a query because the index that it names is not there (any more)."""
    return error.code == Code.BadValue and "hint" in str(error)


def _skip_key(key: bytes | None) -> dict[str, Any]:
    """The condition that skips the document with this `_id`, with which a `min` begins."""
    return {"_id": RawBSONDocument(elements.make_document([("$ne", key or elements.NULL_VALUE)]))}


def is_exclusion(projection: dict[str, Any] | None) -> bool:
    """Whether the projection keeps all but some fields, by which nothing is sorted."""
    return bool(projection) and not any((projection or {}).values())


def _has(projection: dict[str, Any], path: str) -> bool:
    """Whether the projection keeps the path whole."""
    steps = path.split(".")
    kept = (".".join(steps[:number]) for number in range(1, len(steps) + 1))
    return path == "_id" or any(projection.get(one) == 1 for one in kept)
