"""All documents of a query, page by page, as raw BSON: what exports read.

Where an index has the order, a page begins after the last key of the one before (`min` or `max` on that index), so
there is no cursor that could die with its server: a page is asked for again where the primary died (`reading.find`),
and in a snapshot session all pages show one picture. Else it is one cursor.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import bson
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import ExecutionTimeout, OperationFailure, PyMongoError

from app.errors import Unavailable
from app.query import ordering
from app.query.ordering import SORT_KEY, BrokenText, Sort
from app.query.plan import Plan
from app.resources.codec import offsets
from app.store.codes import Code
from app.store.commands import find
from app.store.errors import LOST, is_parallel

PAGE = 1_000  # documents; as fast as twice or four times as many, in less memory
PAGE_BYTES = (
    4 * 1024 * 1024
)  # that a page has, unless its documents are larger than those of the page before
FIRST_PAGE = 500  # documents, so that the first byte leaves soon
CURSOR_PATIENCE = (
    10  # times the limit of a query, for a cursor that sorts everything without an index
)
FLATTEN_TRIES = 3  # pages in a row that can't be flattened, after which it isn't tried any more


@dataclass(frozen=True)
class Page:
    """The BSON of some documents, one after the other; `flat` says that they are flattened."""

    raw: bytes
    documents: int
    last: int  # where the last document begins
    flat: bool = False


def pages(collection: Collection[Any], plan: Plan, session: ClientSession | None) -> Iterator[Page]:
    """The pages of a plan, none of them empty; the next is asked for when the caller comes back."""
    if plan.order is None:
        yield from _by_cursor(collection, plan, session)
        return
    found = _by_key(collection, plan, session)
    try:
        first = next(found, None)
    except OperationFailure as error:
        if error.code != Code.BadValue:  # the hint is at an index that isn't there
            raise
        plan = replace(
            plan, sort=ordering.total(plan.sort, ()), order=None
        )  # somebody dropped the index
        yield from _by_cursor(collection, plan, session)
        return
    if first is not None:
        yield first
        yield from found


def _by_cursor(
    collection: Collection[Any], plan: Plan, session: ClientSession | None
) -> Iterator[Page]:
    begun = False
    try:
        for page in _replies(_find(collection, plan, session)):
            begun = True
            yield page
    except OperationFailure as error:
        if begun or not is_parallel(error):
            raise
        yield from _replies(_aggregate(collection, plan, session))


def _replies(cursor: Any) -> Iterator[Page]:
    with cursor:
        for raw in cursor:
            begins = offsets(raw)
            if begins:
                yield Page(raw, len(begins), begins[-1])


def _find(collection: Collection[Any], plan: Plan, session: ClientSession | None) -> Any:
    return collection.find_raw_batches(
        plan.filter,
        plan.projection,
        sort=list(plan.sort),
        skip=plan.skip,
        limit=plan.limit or 0,
        batch_size=PAGE,
        max_time_ms=plan.time_limit * CURSOR_PATIENCE,
        allow_disk_use=True,
        session=session,
    )


def _aggregate(collection: Collection[Any], plan: Plan, session: ClientSession | None) -> Any:
    """The same by a pipeline, for documents that a find can't sort: they have arrays at two of the keys."""
    pipeline: list[dict[str, Any]] = [{"$match": plan.filter}, *ordering.stages(plan.sort)]
    if plan.skip:
        pipeline.append({"$skip": plan.skip})
    if plan.limit is not None:
        pipeline.append({"$limit": plan.limit})
    pipeline.append({"$project": plan.projection or {SORT_KEY: 0}})
    limit = plan.time_limit * CURSOR_PATIENCE
    return collection.aggregate_raw_batches(
        pipeline, session=session, batchSize=PAGE, maxTimeMS=limit, allowDiskUse=True
    )


def _by_key(
    collection: Collection[Any], plan: Plan, session: ClientSession | None
) -> Iterator[Page]:
    position: list[Any] | None = None
    left = plan.limit
    size = FIRST_PAGE
    tries = FLATTEN_TRIES
    while left is None or left > 0:
        wanted = size if left is None else min(size, left)
        page, is_last = _page(
            collection, plan if tries else replace(plan, flat=None), session, position, wanted
        )
        tries = FLATTEN_TRIES if page.flat else max(0, tries - 1)
        left = None if left is None else left - page.documents
        begun = position is not None
        if page.documents:
            position = None if is_last else _position(collection, plan, session, page)
            size = max(1, min(PAGE, PAGE_BYTES * page.documents // len(page.raw)))
            yield page
        if is_last and begun and left != 0 and len(plan.sort) == 1:
            yield from _greatest(collection, plan, session, left)
        if is_last or (position is not None and _is_end(plan.sort, position)):
            return


def _end(direction: int) -> Any:
    """The key behind which there is nothing."""
    return bson.MaxKey() if direction > 0 else bson.MinKey()


def _is_end(sort: Sort, position: list[Any]) -> bool:
    return len(sort) == 1 and position[0] == _end(sort[0][1])


def _greatest(
    collection: Collection[Any], plan: Plan, session: ClientSession | None, left: int | None
) -> Iterator[Page]:
    """The documents whose only key is the greatest there is, just before which a scan from `min` on ends."""
    assert plan.order is not None
    path, direction = plan.sort[0]
    if plan.order[1]:
        return  # a scan from `max` on begins with the least
    key = _end(direction)
    at_end = {"$expr": {"$eq": [ordering.sort_value(path, direction), {"$literal": key}]}}
    condition = {"$and": [plan.filter, {path: key}, at_end]}
    yield from _by_cursor(collection, replace(plan, filter=condition, skip=0, limit=left), session)


def _page(
    collection: Collection[Any],
    plan: Plan,
    session: ClientSession | None,
    position: list[Any] | None,
    size: int,
) -> tuple[Page, bool]:
    """The page behind a position, and whether it is the last; flattened where that is right for all of it."""
    if plan.flat is not None:
        try:
            page, is_last = _read(collection, plan, session, position, size, plan.flat.projection)
        except ExecutionTimeout:
            raise
        except (
            OperationFailure
        ) as error:  # each version of the server has numbers of its own for a wrong type
            if error.code in LOST:
                raise
        else:
            if plan.flat.is_true_of(page.raw, page.documents):
                return replace(page, flat=True), is_last
    return _read(collection, plan, session, position, size, plan.projection)


def _read(
    collection: Collection[Any],
    plan: Plan,
    session: ClientSession | None,
    position: list[Any] | None,
    size: int,
    projection: dict[str, Any] | None,
) -> tuple[Page, bool]:
    assert plan.order is not None
    index, backwards = plan.order
    by_id = plan.sort[0][0] == "_id"
    condition, repeated = plan.filter, 0
    bounded = position is not None and ordering.is_plain(position)
    if bounded and by_id and not backwards:
        repeated = 1  # `min` begins with the last document itself
    elif position is not None and not (bounded and by_id):
        beyond = ordering.after(plan.sort, position)
        condition = {"$and": [condition, beyond]} if condition else beyond
    if projection is not None and not by_id:
        projection = projection | ordering.computed(plan.sort)
    command: dict[str, Any] = {
        "find": collection.name,
        "filter": condition,
        "projection": projection or {},
        "sort": dict(plan.sort),
        "skip": plan.skip if position is None else 0,
        "limit": size + repeated,
        "batchSize": size + repeated,
        "singleBatch": False,
        "maxTimeMS": plan.time_limit,
        "allowDiskUse": True,
    }
    if position is not None or not condition:
        command["hint"] = index.name
    if position is not None and bounded:
        bound = {path: value for (path, _), value in zip(plan.sort, position, strict=True)}
        command["max" if backwards else "min"] = bound
    reply = find(collection.database, command, plan.patience, session, collection.read_preference)
    raw = reply.raw
    cut = reply.cursor != 0  # the reply was full (16 MiB) before the page was
    if cut:
        _forget(collection, reply.cursor, session)
    begins = offsets(raw)
    is_last = not cut and len(begins) < size + repeated
    if len(begins) > size and not _same(
        _document(raw, 0)["_id"], position
    ):  # the last document itself is gone
        raw, begins = raw[: begins[size]], begins[:size]
    elif repeated and begins and _same(_document(raw, 0)["_id"], position):
        second = begins[1] if len(begins) > 1 else len(raw)
        raw, begins = raw[second:], [begin - second for begin in begins[1:]]
        if (
            cut and not begins
        ):  # two documents don't fit into one reply: the next is read without the one before
            others = (
                {"$and": [plan.filter, {"_id": {"$ne": position[0]}}]} if position else plan.filter
            )
            return _read(
                collection, replace(plan, filter=others), session, position, size, projection
            )
    return Page(raw, len(begins), begins[-1] if begins else 0), is_last


def _forget(collection: Collection[Any], cursor: int, session: ClientSession | None) -> None:
    """Closes a cursor on the server; one that can't be reached any more forgets it by itself."""
    with suppress(PyMongoError):
        command = {"killCursors": collection.name, "cursors": [bson.Int64(cursor)]}
        collection.database.command(
            command, session=session, read_preference=collection.read_preference
        )


def _position(
    collection: Collection[Any], plan: Plan, session: ClientSession | None, page: Page
) -> list[Any]:
    """Where the last document of a page stands."""
    last = _document(page.raw, page.last)
    if SORT_KEY in last:
        return ordering.read_computed(plan.sort, last)
    position = ordering.position(plan.sort, last)
    if position is not None:
        return [ordering.exact(value) for value in position]
    exact = collection.with_options(codec_options=ordering.EXACT)
    found = exact.find_one({"_id": last["_id"]}, ordering.computed(plan.sort), session=session)
    if found is None:
        raise Unavailable("The document at which a page ended was deleted meanwhile; try again.")
    return ordering.read_computed(plan.sort, found)


def _same(key: Any, position: list[Any] | None) -> bool:
    if position is None or isinstance(ordering.exact(key), BrokenText):
        return False
    return _encoded(key) == _encoded(position[0])


def _encoded(key: Any) -> bytes:
    return bson.encode({"": key}, codec_options=ordering.EXACT)


def _document(raw: bytes, offset: int) -> dict[str, Any]:
    length = int.from_bytes(raw[offset : offset + 4], "little")
    found: dict[str, Any] = bson.decode(memoryview(raw)[offset : offset + length], ordering.EXACT)
    return found
