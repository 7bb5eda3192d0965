"""The pages of an export: documents in their order, page by page, as raw BSON.

A page begins after the last key of the one before (`keyset`), so no cursor is left open, and in a
snapshot session all pages show one snapshot. Where no index has the order, an export is one cursor.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import ExecutionTimeout, OperationFailure

from app.query import ordering
from app.query.ordering import SORT_KEY
from app.query.plan import Plan
from app.resources.codec import offsets
from app.store.codes import Code
from app.store.collections import Nature, read_nature
from app.store.errors import LOST, is_parallel
from app.store.keyset import KeysetReader, Page, is_exclusion, is_hint, make_replaced

PAGE = 1_000  # documents; as fast as twice or four times as many, in less memory
# Bytes that a page has, unless its documents are larger than those of the page before.
PAGE_BYTES = 4 * 1024 * 1024
FIRST_PAGE = 500  # documents, so that the first byte leaves soon
CURSOR_PATIENCE = 10  # times the limit of a query, for a cursor that sorts all without an index
FLATTEN_TRIES = 3  # pages in a row that can't be flattened, after which it isn't tried any more


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
    reader = ExportReader(
        collection, plan, session, read_nature(collection.database, collection.name)
    )
    if reader.can_go_by_key:
        yield from _by_key(reader, choose_most)
    else:
        yield from reader.by_cursor(None, plan.limit)


def _by_key(reader: "ExportReader", choose_most: Callable[[], int]) -> Iterator[Page]:
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


class ExportReader(KeysetReader):
    """Reads the pages of an export."""

    def __init__(
        self,
        collection: Collection[Any],
        plan: Plan,
        session: ClientSession | None,
        nature: Nature,
    ) -> None:
        super().__init__(collection, plan, session, nature)
        self._tries = FLATTEN_TRIES if plan.flat else 0

    @property
    def can_go_by_key(self) -> bool:
        """Whether an index has the order, of a collection that is told from others of its name."""
        known = self.nature.uuid is not None and not self.nature.is_view
        return known and self.plan.order is not None

    def read_next_page(self, position: bytes | None, size: int) -> Page | None:
        """The page behind a position, flattened where that is right for all of it.

        None where it can't be read so: somebody dropped the index, or a document with its position
        is larger than MongoDB's limit.
        """
        try:
            page = self._read_flat_page(position, size) if self._tries else None
            return page or self.read(self.find_entry(position), size, self.projection, position)
        except OperationFailure as error:
            if is_hint(error) or error.code == Code.BSONObjectTooLarge:
                return None
            raise

    def _read_flat_page(self, position: bytes | None, size: int) -> Page | None:
        flat = self.plan.flat
        assert flat is not None
        self._tries -= 1
        try:
            page = self.read(
                self.find_entry(position), size, self.add_position(flat.projection), position
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
        reader = ExportReader(self.collection, plan, self.session, self.nature)
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
        return self.collection.find_raw_batches(
            self.match_behind(position),
            plan.projection,
            sort=list(plan.sort),
            skip=plan.skip if position is None else 0,
            limit=left or 0,
            batch_size=PAGE,
            max_time_ms=plan.time_limit * CURSOR_PATIENCE,
            allow_disk_use=True,
            session=self.session,
        )

    def _aggregate(self, position: bytes | None, left: int | None) -> Any:
        """The same by a pipeline, for documents that a find can't sort ("parallel arrays")."""
        skip = self.plan.skip if position is None else 0
        pipeline = [
            {"$match": self.match_behind(position)},
            *ordering.stages(self.plan.whole_sort),
            *([{"$skip": skip}] if skip else []),
            *([{"$limit": left}] if left is not None else []),
            {"$project": _without_order(self.plan.projection)},
        ]
        return self.collection.aggregate_raw_batches(
            pipeline,
            session=self.session,
            batchSize=PAGE,
            maxTimeMS=self.plan.time_limit * CURSOR_PATIENCE,
            allowDiskUse=True,
        )

    def confirm(self) -> None:
        """Raises `Unavailable` where the collection was replaced while it was read."""
        if read_nature(self.collection.database, self.collection.name).uuid != self.nature.uuid:
            raise make_replaced()


def _without_order(projection: dict[str, Any] | None) -> dict[str, Any]:
    """The projection, without what a pipeline has computed for its order."""
    if projection and not is_exclusion(projection):
        return projection
    return {**(projection or {}), **dict.fromkeys((SORT_KEY, *ordering.HIDDEN), 0)}
