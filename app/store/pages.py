"""Documents in their order, page by page, as raw BSON: the one reader of lists and exports.

Where an index has the order, a page begins after the last key of the one before: `min` or `max` on
that index (https://www.mongodb.com/docs/manual/reference/method/cursor.min/), or an `$expr`, which
compares as the sort does. So there is no cursor that could die with its server: a page is asked for
again where the primary died (`commands.find`), and in a snapshot session all pages show one
snapshot. Where no index has the order, an export is one cursor.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import ExecutionTimeout, OperationFailure, PyMongoError
from pymongo.server_type import SERVER_TYPE

from app.errors import Unavailable
from app.query import ordering
from app.query.conditions import join_filters
from app.query.ordering import SORT_KEY
from app.query.plan import Plan
from app.query.tokens import Place
from app.resources import elements
from app.resources.codec import offsets
from app.store.codes import Code
from app.store.collections import Nature, read_nature
from app.store.commands import Reply, find, read_on
from app.store.errors import LOST, is_parallel

PAGE = 1_000  # documents; as fast as twice or four times as many, in less memory
# Bytes that a page has, unless its documents are larger than those of the page before.
PAGE_BYTES = 4 * 1024 * 1024
FIRST_PAGE = 500  # documents, so that the first byte leaves soon
CURSOR_PATIENCE = 10  # times the limit of a query, for a cursor that sorts all without an index
FLATTEN_TRIES = 3  # pages in a row that can't be flattened, after which it isn't tried any more
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


def start_session(collection: Collection[Any], *, snapshot: bool) -> ClientSession:
    """A session of a snapshot, where it is asked for and MongoDB has one of this collection."""
    nature = read_nature(collection.database, collection.name)
    return collection.database.client.start_session(snapshot=snapshot and nature.has_snapshots)


def start_session_beside(session: ClientSession) -> ClientSession:
    """A session for another thread: it shows the snapshot that this one has read, where it has one.

    Else it shows nothing older than what this one has read.
    """
    snapshot = session._snapshot_time  # the driver has no public way to it
    other = session.client.start_session(snapshot=snapshot is not None)
    other._snapshot_time = snapshot
    if session.operation_time is not None:
        other.advance_operation_time(session.operation_time)
    return other


def pages(
    collection: Collection[Any],
    plan: Plan,
    session: ClientSession | None,
    choose_most: Callable[[], int] = lambda: PAGE,
) -> Iterator[Page]:
    """The pages of a plan, none of them empty; the next is asked for when the caller comes back.

    `choose_most` says before each how many documents it may have. Raises `Unavailable` where the
    collection is no longer the one that the first page was of.
    """
    reader = Reader(collection, plan, session, read_nature(collection.database, collection.name))
    if reader.can_go_by_key:
        yield from _by_key(reader, choose_most)
    else:
        yield from reader.by_cursor(None, plan.limit)


def _by_key(reader: "Reader", choose_most: Callable[[], int]) -> Iterator[Page]:
    """Page after page, and one cursor from where an index can't be entered."""
    position: bytes | None = None
    left = reader.plan.limit
    fitting = FIRST_PAGE
    while left is None or left > 0:
        size = min(fitting, choose_most())
        page = reader.read_next_page(position, size if left is None else min(size, left))
        if page is None:
            yield from reader.by_one_cursor(position, left)
            return
        following = None
        if not page.is_last:
            following = reader.position(page, page.documents - 1)
            if not reader.can_enter(following):
                yield from reader.by_one_cursor(position, left)
                return
        if page.documents:
            fitting = max(1, PAGE_BYTES * page.documents // len(page.raw))
            left = None if left is None else left - page.documents
            yield page
        if following is None:
            break
        position = following
    if not reader.is_guarded:
        reader.confirm()


class Reader:
    """Reads pages of a plan's documents from one collection."""

    def __init__(
        self,
        collection: Collection[Any],
        plan: Plan,
        session: ClientSession | None = None,
        nature: Nature | None = None,
    ) -> None:
        """`nature` is that of the collection, where later pages must be of the same one."""
        self.plan = plan
        self._collection = collection
        self._database = collection.database
        self._session = session
        self._nature = nature or Nature()
        self._tries = FLATTEN_TRIES if plan.flat else 0
        self._is_placed = True  # whether documents have with them what says where they stand

    # --- pages of an export ---

    @property
    def can_go_by_key(self) -> bool:
        """Whether an index has the order, of a collection that is told from others of its name."""
        known = self._nature.uuid is not None and not self._nature.is_view
        return known and self.plan.order is not None

    def can_enter(self, position: bytes) -> bool:
        """Whether the next page can begin there as the order has it.

        An object with two fields of one name is compared otherwise in an `$expr` than in a sort.
        """
        if self.plan.is_by_id:
            return True
        return len(position) <= LONG_POSITION and not elements.has_duplicates(position)

    def read_next_page(self, position: bytes | None, size: int) -> Page | None:
        """The page behind a position, flattened where that is right for all of it.

        None where it can't be read so: somebody dropped the index, or a document with its position
        is larger than MongoDB's limit.
        """
        try:
            page = self._read_flat_page(position, size) if self._tries else None
            return page or self._read(self._entry(position), size, self._projection, position)
        except OperationFailure as error:
            if is_hint(error) or error.code == Code.BSONObjectTooLarge:
                return None
            raise

    def _read_flat_page(self, position: bytes | None, size: int) -> Page | None:
        flat = self.plan.flat
        assert flat is not None
        self._tries -= 1
        try:
            page = self._read(
                self._entry(position), size, self._add_position(flat.projection), position
            )
        except ExecutionTimeout:
            raise
        except OperationFailure as error:  # a wrong type has other numbers in each version
            if error.code in LOST or error.code == Code.CollectionUUIDMismatch or is_hint(error):
                raise
            return None
        if not flat.is_true_of(page.raw, page.documents):
            return None
        self._tries = FLATTEN_TRIES
        return replace(page, flat=True)

    def by_one_cursor(self, position: bytes | None, left: int | None) -> Iterator[Page]:
        """The rest behind a position, where a page can't be read by the index of the order."""
        plan = replace(self.plan, sort=self.plan.whole_sort, order=None, flat=None)
        reader = Reader(self._collection, plan, self._session, self._nature)
        yield from reader.by_cursor(position, left)
        reader.confirm()

    def by_cursor(self, position: bytes | None, left: int | None) -> Iterator[Page]:
        """All documents behind a position by one cursor, which ends with its collection."""
        begun = False
        try:
            for page in self._replies(self._find(position, left)):
                begun = True
                yield page
        except OperationFailure as error:
            if begun or not is_parallel(error):
                raise
            yield from self._replies(self._aggregate(position, left))

    def _replies(self, cursor: Any) -> Iterator[Page]:
        with cursor:
            for raw in cursor:
                begins = offsets(raw)
                if begins:
                    yield Page(raw, begins)

    def _find(self, position: bytes | None, left: int | None) -> Any:
        plan = self.plan
        return self._collection.find_raw_batches(
            self._match_behind(position),
            plan.projection,
            sort=list(plan.sort),
            skip=plan.skip if position is None else 0,
            limit=left or 0,
            batch_size=PAGE,
            max_time_ms=plan.time_limit * CURSOR_PATIENCE,
            allow_disk_use=True,
            session=self._session,
        )

    def _aggregate(self, position: bytes | None, left: int | None) -> Any:
        """The same by a pipeline, for documents that a find can't sort ("parallel arrays")."""
        skip = self.plan.skip if position is None else 0
        pipeline = [
            {"$match": self._match_behind(position)},
            *ordering.stages(self.plan.whole_sort),
            *([{"$skip": skip}] if skip else []),
            *([{"$limit": left}] if left is not None else []),
            {"$project": _without_order(self.plan.projection)},
        ]
        return self._collection.aggregate_raw_batches(
            pipeline,
            session=self._session,
            batchSize=PAGE,
            maxTimeMS=self.plan.time_limit * CURSOR_PATIENCE,
            allowDiskUse=True,
        )

    def confirm(self) -> None:
        """Raises `Unavailable` where the collection was replaced while it was read."""
        if read_nature(self._database, self._collection.name).uuid != self._nature.uuid:
            raise make_replaced()

    @property
    def is_guarded(self) -> bool:
        """Whether MongoDB itself refuses a page of another collection, as it does from 6.0 on."""
        return bool(self._guard)

    # --- pages of a list ---

    def list_page(self, place: Place | None, size: int) -> Page:
        """The first documents behind a place, however many replies they take."""
        if place is not None and place.shown:
            return self.read_sorted_page(place, size)
        position = place.position if place else None
        entry = self._list_entry(position)
        try:
            return self._read(entry, size, self._projection, position, whole=True)
        except OperationFailure as error:
            if is_parallel(error):
                return self.read_sorted_page(place, size)
            if error.code != Code.BSONObjectTooLarge or not self._is_placed:
                raise
        self._is_placed = False
        return self._read(entry, size, self.plan.projection, position, whole=True)

    def read_sorted_page(self, place: Place | None, size: int) -> Page:
        """The same by a pipeline that gives documents at one position an order, too."""
        plan = self.plan
        if place is None:
            return self._read_sorted(plan.filter, size, plan.skip, backwards=plan.backwards)
        if not plan.backwards:
            return self._read_sorted(
                self._match_beyond(place, inclusive=place.shown > 0), size, place.shown
            )
        begun = self._read_begun(place, size) if place.shown else b""
        left = size - len(offsets(begun))
        if left == 0:
            return Page(begun, offsets(begun))
        rest = self._read_sorted(self._match_beyond(place), left, backwards=True)
        raw = begun + rest.raw
        return Page(raw, offsets(raw), rest.is_last)

    def _read_begun(self, place: Place, size: int) -> bytes:
        """Backwards, those of a place's own position that were shown before it."""
        at = ordering.at(self.plan.whole_sort, place.position)
        skip = max(0, place.shown - size)
        condition = join_filters([self.plan.filter, at])
        return self._read_sorted(condition, place.shown - skip, skip).turn().raw

    def _match_beyond(self, place: Place, *, inclusive: bool = False) -> dict[str, Any]:
        plan = self.plan
        beyond = ordering.after(
            plan.whole_sort, place.position, inclusive=inclusive, backwards=plan.backwards
        )
        return join_filters([plan.filter, beyond])

    def _read_sorted(
        self, condition: dict[str, Any], size: int, skip: int = 0, *, backwards: bool = False
    ) -> Page:
        plan = self.plan
        projection: dict[str, Any] = dict.fromkeys(ordering.HIDDEN, 0)
        if plan.projection is not None:
            projection = {**plan.projection, SORT_KEY: 1}
        pipeline = [
            {"$match": condition},
            *ordering.stages(plan.whole_sort, whole_documents=True, backwards=backwards),
            {"$skip": skip},
            {"$limit": size},
            {"$project": projection},
        ]
        found = self._collection.aggregate_raw_batches(
            pipeline, session=self._session, maxTimeMS=plan.time_limit, allowDiskUse=True
        )
        raw = b"".join(found)
        begins = offsets(raw)
        return Page(raw, begins, len(begins) < size)

    def count_at(self, position: bytes) -> int:
        """How many documents stand at a position."""
        at = ordering.at(self.plan.whole_sort, position)
        pipeline: list[dict[str, Any]] = [
            {"$match": join_filters([self.plan.filter, at])},
            {"$count": "documents"},
        ]
        found = self._collection.aggregate(
            pipeline, session=self._session, maxTimeMS=self.plan.time_limit
        )
        return sum(int(one["documents"]) for one in found)

    def is_mirrored(self, page: Page) -> bool:
        """Whether documents that were read backwards stand as they do when they are read forwards.

        An array stands at its least element ascending, and at its greatest descending: so it comes
        too early, but never too late, backwards. An object with two fields of one name is compared
        otherwise in an `$expr` than in a sort.
        """
        if self.plan.is_by_id or not self._is_placed:
            return True
        for number in range(page.documents):
            position = self.find_shown_position(page, number)
            if position is None or elements.has_duplicates(position):
                return False
        return True

    def _list_entry(self, position: bytes | None) -> Entry:
        """As for exports, but the planner chooses the index where a condition has a better one."""
        plan = self.plan
        if position is None:
            return Entry(plan.filter)
        if not plan.is_by_id:
            return self._entry(position)
        if elements.has_duplicates(position) or (self._is_clustered and not plan.filter):
            return self._entry(position)
        return Entry(self._match_behind(position))

    # --- one page ---

    def position(self, page: Page, number: int) -> bytes:
        """Where a document of a page stands.

        Raises `Unavailable` where only MongoDB can say, and the document was deleted meanwhile.
        """
        position = self.find_shown_position(page, number)
        if position is not None:
            return position
        found = self.positions(self.key(page, number), 1)
        if not found:
            raise Unavailable(
                "The document at which a page ended was deleted meanwhile; try again."
            )
        return found[0]

    def find_shown_position(self, page: Page, number: int) -> bytes | None:
        """The same as far as the page itself says it."""
        if self._is_placed or self.plan.projection is None:
            return ordering.position(self.plan.whole_sort, page.raw, page.begins[number])
        return None

    def key(self, page: Page, number: int) -> bytes:
        """The `_id` of a document of a page."""
        return elements.field(page.raw, "_id", page.begins[number]) or elements.NULL_VALUE

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

    @cached_property
    def _projection(self) -> dict[str, Any] | None:
        """The plan's projection, with what says where a document stands."""
        projection = self.plan.projection
        return None if projection is None else self._add_position(projection)

    def _add_position(self, projection: dict[str, Any]) -> dict[str, Any]:
        sort = self.plan.whole_sort
        if is_exclusion(projection) or all(_has(projection, path) for path, _ in sort):
            return projection
        return projection | ordering.compute(
            sort, is_view=self.plan.is_view, only_plain=self.plan.backwards
        )

    @property
    def _is_clustered(self) -> bool:
        return self.plan.order is not None and self.plan.order[0].clustered

    def _entry(self, position: bytes | None) -> Entry:
        """How the page behind a position begins, by the index of the order where there is one."""
        plan = self.plan
        if plan.order is None:
            return Entry(self._match_behind(position))
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
            condition = self._match_behind(position)
        if is_backwards:
            return Entry(condition, index.name, upper=bound)
        return Entry(condition, index.name, lower=bound)

    def _match_behind(self, position: bytes | None) -> dict[str, Any]:
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

    def _read(
        self,
        entry: Entry,
        size: int,
        projection: dict[str, Any] | None,
        position: bytes | None,
        *,
        whole: bool = False,
    ) -> Page:
        """A page; `whole` reads on where one reply can't hold it, else the page is shorter then."""
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
        if is_last and entry.lower is not None and not self._is_clustered:
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
            "find": self._collection.name,
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
        if self._nature.uuid is None:
            return {}
        servers = self._database.client.topology_description.server_descriptions().values()
        known = [server for server in servers if server.is_server_type_known]
        takes_uuid = bool(known) and all(
            server.max_wire_version >= COLLECTION_UUIDS and server.server_type != SERVER_TYPE.Mongos
            for server in known
        )
        return {"collectionUUID": self._nature.uuid} if takes_uuid else {}

    def _ask(self, command: dict[str, Any]) -> Reply:
        preference = self._collection.read_preference
        try:
            return find(self._database, command, self.plan.patience, self._session, preference)
        except OperationFailure as error:
            if error.code == Code.CollectionUUIDMismatch:
                raise make_replaced() from error
            raise

    def _rest(self, reply: Reply) -> bytes:
        """The whole of what was asked for: a reply holds 16 MiB."""
        how = self._session, self._collection.read_preference
        return read_on(self._database, self._collection.name, reply, *how)

    def _forget(self, cursor: int) -> None:
        """Closes a cursor on the server; one that can't be reached forgets it by itself."""
        with suppress(PyMongoError):
            self._database.command(
                {"killCursors": self._collection.name, "cursors": [bson.Int64(cursor)]},
                session=self._session,
                read_preference=self._collection.read_preference,
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


def _without_order(projection: dict[str, Any] | None) -> dict[str, Any]:
    """The projection, without what a pipeline has computed for its order."""
    if projection and not is_exclusion(projection):
        return projection
    return {**(projection or {}), **dict.fromkeys((SORT_KEY, *ordering.HIDDEN), 0)}


def _has(projection: dict[str, Any], path: str) -> bool:
    """Whether the projection keeps the path whole."""
    steps = path.split(".")
    kept = (".".join(steps[:number]) for number in range(1, len(steps) + 1))
    return path == "_id" or any(projection.get(one) == 1 for one in kept)
