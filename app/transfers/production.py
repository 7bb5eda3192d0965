"""An export → the chunks of a file: pages from the store through columns and an encoder.

An export is plain data, so that it can be handed to another process; the same function serves the
tests' mock and the command line in their own process.
"""

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice, pairwise
from typing import Any, Generic, TypeVar

from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from app.query.conditions import Filter, Selection
from app.query.flatten import Flattening, Steps, Wanted, flatten, inclusion
from app.query.ordering import SORT_KEY
from app.query.plan import Plan
from app.resources.codec import decode_all, offsets
from app.resources.rendering import Presenter
from app.spreadsheets.chunks import Batch, Tally, chunks
from app.spreadsheets.columns import Column, Table, Values
from app.spreadsheets.format import Options
from app.spreadsheets.formats import FORMATS
from app.store.joins import resolve, resolve_all
from app.store.linked import LinkedReader
from app.store.mock import MockLinkedReader, read_pages
from app.store.pages import PAGE, Page, pages
from app.transfers.linked import (
    BATCH,
    Ask,
    Batching,
    LinkedCells,
    LinkedDocuments,
    Presenters,
)
from app.transfers.references import TAKEN, hide_keys, read_columns
from app.transfers.traffic import ALONE, Alone

T = TypeVar("T")
Links = tuple[tuple[Steps, str], ...]
Begun = Callable[[], Batch]  # a batch; what its links lead to is asked for already
CLOSING_SECONDS = 2.0  # that a read under way may take when nobody wants it any more
FOLLOWED = 1  # batches whose links are followed before one is finished
AHEAD = 1  # pages read before they are needed
# Documents decoded at a time: a whole page takes a third longer, for its memory is given back.
PART = 250
# Documents of a page while reads come: the database is done with it in some 3 ms, then they pass.
PAGE_BESIDE_READS = 600
# Bytes that a batch of unwound rows may come to, each as large as its document at most.
UNWOUND = 4 * 1024 * 1024


@dataclass(frozen=True)
class Export:
    """One file to be made, as plain data.

    `columns` is None where whole documents are exported (NDJSON and JSON). `links` are the steps
    to the fields that hold links, without those to the elements of lists, and where they lead.
    """

    collection: str
    plan: Plan
    format: str
    columns: tuple[Column, ...] | None
    unwind: str | None
    options: Options
    present: Presenter | None
    gzip: bool = False
    snapshot: bool = True
    linked: Presenters = field(default_factory=dict)  # where columns reach through links
    # What linked documents must meet to be shown, by collection, where there is something.
    below: Mapping[str, Selection] = field(default_factory=dict)
    links: Links = ()  # the resource's fields that hold links

    @property
    def reaches_through_links(self) -> bool:
        """Whether some column does."""
        return any(column.linked is not None for column in self.columns or ())

    @property
    def has_links(self) -> bool:
        """Whether columns have links, or reach through them."""
        return any(column.target is not None for column in self.columns or ())

    @property
    def is_of_all(self) -> bool:
        """Whether it holds every document of the collection."""
        plan = self.plan
        return not (plan.filter or plan.joins) and not plan.skip and plan.limit is None


def project(export: Export) -> Export:
    """The export with the projections of its columns, flattened by the database where possible."""
    if export.columns is None:
        return export
    found = FORMATS[export.format]
    steps = [column.steps for column in export.columns]
    if not found.tabular:  # where elements that have nothing at a path are skipped
        steps = [tuple(step for step in path if step is not None) for path in steps]
    plan = replace(export.plan, projection=inclusion([("_id",), *steps]))
    if found.tabular and export.unwind is None and plan.order is not None:
        flat = flatten(
            [
                Wanted(column.steps, True, False)
                if column.linked is not None
                else Wanted(column.steps, column.many, column.kind == "text")
                for column in export.columns
            ]
        )
        if flat.computed:
            plan = replace(plan, flat=flat)
    return replace(export, plan=plan)


def produce(
    export: Export,
    collection: Collection[Any],
    session: ClientSession | None,
    tally: Tally,
    turns: Alone = ALONE,
) -> Iterator[bytes]:
    """The file, chunk by chunk; `tally` counts along and is whole before the last chunk comes.

    Whatever is asked of the database is asked within a turn, and reads pass between two batches.
    """
    found = FORMATS[export.format]
    encoder = found.encoder(_present_links(export.columns), export.options, export.collection)
    words = {"session": session, "max_time_ms": export.plan.time_limit}
    plan = _resolve(export.plan, collection, words)
    find_rule = _resolve_rules(export, collection, words)
    reader = LinkedReader(collection.database, find_rule, plan.time_limit, plan.patience, session)

    def read(name: str, keys: list[Any], projection: dict[str, Any]) -> bytes:
        with turns.turn():
            return reader.read(name, keys, projection)

    def ask(name: str, keys: list[Any], projection: dict[str, Any]) -> Callable[[], bytes]:
        return thread.submit(read, name, keys, projection).result

    choose_most = partial(turns.choose_most, PAGE, PAGE_BESIDE_READS)
    with (
        closing(reader),
        ThreadPoolExecutor(1, "reading linked documents") as thread,
        closing(Ahead(_take_turns(pages(collection, plan, session, choose_most), turns))) as ahead,
    ):
        begun = _begin_batches(export, ahead, ask)
        batches = _let_pass(_finish(begun, FOLLOWED if export.reaches_through_links else 0), turns)
        yield from chunks(batches, encoder, tally, gzip=export.gzip)


def _let_pass(batches: Iterator[Batch], turns: Alone) -> Iterator[Batch]:
    """The batches; before each one reads pass, for to decode and encode it takes a processor."""
    turns.let_pass(time.thread_time)
    for batch in batches:
        yield batch
        turns.let_pass(time.thread_time)


def _finish(begun: Iterator[Begun], ahead: int) -> Iterator[Batch]:
    """The batches, each finished when so many more are begun, whose linked documents are read then.

    The first is finished before: it shows how large they are, and few of them are all known then.
    """
    waiting: deque[Begun] = deque()
    for number, one in enumerate(begun):
        waiting.append(one)
        if len(waiting) > min(number, ahead):
            yield waiting.popleft()()
    for one in waiting:
        yield one()


def _take_turns(read: Iterator[Page], turns: Alone) -> Iterator[Page]:
    """The pages, each read within a turn."""
    while True:
        with turns.turn():
            page = next(read, None)
        if page is None:
            return
        yield page


def _begin_batches(export: Export, pages: Iterable[Page], ask: Ask) -> Iterator[Begun]:
    if FORMATS[export.format].tabular:
        return _begin_tables(export, pages, ask)
    return _begin_documents(export, pages, ask)


def _present_links(columns: tuple[Column, ...] | None) -> tuple[Column, ...]:
    """The columns, those of links presentable as they come."""
    return tuple(
        replace(column, present=None) if column.kind == "link" else column
        for column in columns or ()
    )


def _resolve(plan: Plan, collection: Collection[Any], words: dict[str, Any]) -> Plan:
    """The plan with what is asked of linked documents as a filter, by the same snapshot."""
    if not plan.joins:
        return plan
    filters = [resolve(collection.database.get_collection, join, words) for join in plan.joins]
    return replace(plan, filter={"$and": [plan.filter, *filters]}, joins=())


def _resolve_rules(
    export: Export, collection: Collection[Any], words: dict[str, Any]
) -> Callable[[str], Filter]:
    """What linked documents must meet, by their collection, by the same snapshot."""
    collections = collection.database.get_collection
    rules = {
        name: resolve_all(collections, selection, words) for name, selection in export.below.items()
    }
    return lambda name: rules.get(name, {})


def produce_from_mock(export: Export, collection: Any, tally: Tally) -> Iterator[bytes]:
    """The same from a mongomock, by plain cursors."""
    found = FORMATS[export.format]
    projection = None if found.tabular else export.plan.projection
    plan = replace(_resolve(export.plan, collection, {}), projection=projection)
    find_rule = _resolve_rules(export, collection, {})
    encoder = found.encoder(_present_links(export.columns), export.options, export.collection)
    reader = MockLinkedReader(collection.database, find_rule)
    ask = partial(partial, reader.read)  # what is asked is read when waited for
    begun = _begin_batches(export, read_pages(collection, plan), ask)
    yield from chunks(_finish(begun, 0), encoder, tally, gzip=export.gzip)


def _begin_tables(export: Export, read: Iterable[Page], ask: Ask) -> Iterator[Begun]:
    if export.has_links:
        yield from _begin_linked_tables(export, read, ask)
        return
    whole = Table([column.steps for column in export.columns or ()], export.unwind)
    flattening = export.plan.flat
    flat = Table([place.steps for place in flattening.places]) if flattening else whole
    for page, raw in _parts(read):
        documents = decode_all(raw, modern=page.flat)
        if export.unwind:
            rows = max(1, UNWOUND // _measure_largest(raw))
            for ended, values in whole.slices_of(documents, rows):
                yield partial(Batch, ended, values)
        elif flattening and page.flat:
            columns = flattening.columns_of(flat.columns_of(documents))
            yield partial(Batch, len(documents), columns)
        else:
            yield partial(Batch, len(documents), whole.columns_of(documents))


def _begin_linked_tables(export: Export, read: Iterable[Page], ask: Ask) -> Iterator[Begun]:
    """The same with links, or with values of linked documents in their place."""
    columns = export.columns or ()
    steps = [column.steps for column in columns]
    cells = LinkedCells(columns, ask)
    whole = Table(steps, export.unwind)
    flattening = export.plan.flat
    places = [place.steps for place in flattening.places] if flattening else steps
    flat, targets = Table(places), _targets_of_places(flattening, cells.targets)
    if not any(path[0] == "_id" for path in steps):
        read = map(_hide_keys, read)
    for page, raw in _parts(read, cells.batch if export.reaches_through_links else None):
        if export.unwind:
            rows = max(1, min(BATCH, UNWOUND // _measure_largest(raw)))
            for ended, values in whole.slices_of(decode_all(raw), rows):
                yield partial(_make_table, ended, cells.follow(values))
            continue
        if flattening and page.flat:
            found = read_columns(raw, flat, places, targets, modern=True)
            values = flattening.columns_of(found)
        else:
            values = read_columns(raw, whole, steps, cells.targets)
        yield partial(_make_table, len(values[0]), cells.follow(values))


def _make_table(ended: int, place: Callable[[], list[Values]]) -> Batch:
    return Batch(ended, place())


def _hide_keys(page: Page) -> Page:
    """The page for those who don't want the documents' `_id`s, which cost to decode."""
    return replace(page, raw=hide_keys(page.raw, page.begins))


def _targets_of_places(
    flattening: Flattening | None, targets: Sequence[str | None]
) -> Sequence[str | None]:
    """Where links at the places of a flattening lead; texts that are joined are none."""
    if flattening is None:
        return targets
    rest = iter(targets)
    return [next(islice(rest, place.width - 1, None)) for place in flattening.places]


def _parts(read: Iterable[Page], batch: Batching | None = None) -> Iterator[tuple[Page, bytes]]:
    """The pages in parts, each the BSON of some documents; `batch` says how many."""
    for page in read:
        ends = [*page.begins, len(page.raw)]
        begin = 0
        while begin < page.documents:
            end = min(begin + (batch.size if batch else PART), page.documents)
            yield page, page.raw[ends[begin] : ends[end]]
            begin = end


def _measure_largest(raw: bytes) -> int:
    """The bytes of the largest document."""
    begins = [*offsets(raw), len(raw)]
    return max(end - begin for begin, end in pairwise(begins))


def _begin_documents(export: Export, read: Iterable[Page], ask: Ask) -> Iterator[Begun]:
    columns = export.columns
    with_id = columns is None or any(column.steps[0] == "_id" for column in columns)
    linked = LinkedDocuments(columns or (), export.links, export.linked, ask)
    if not with_id:
        read = map(_hide_keys, read)
    for _, raw in _parts(read, linked.batch if export.reaches_through_links else None):
        yield partial(_make_documents, raw, linked.follow(raw, export.present), with_id)


def _make_documents(raw: bytes, place: Callable[[], list[dict[str, Any]]], with_id: bool) -> Batch:
    documents = place()
    for document in documents:
        if not with_id:
            document.pop(TAKEN, None)  # unless the presenter took it out
            document.pop("_id", None)
        document.pop(SORT_KEY, None)
    return Batch(len(documents), documents, raw)


class InProcess:
    """An export in a thread of this process: for the mock, which no other process could reach."""

    def __init__(self, export: Export, collection: Any) -> None:
        self.outcome = Tally()
        self._made: Iterator[bytes] = produce_from_mock(export, collection, self.outcome)

    async def start(self) -> None:
        """Nothing to do."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks, each made in a thread."""
        while (chunk := await asyncio.to_thread(next, self._made, None)) is not None:
            yield chunk

    async def close(self) -> None:
        """Nothing to do."""


class Ahead(Generic[T]):
    """Iterates over something in a thread, a little ahead: reading and encoding overlap.

    An error of the iteration is raised where it is taken; `close` ends the thread.
    """

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, name="reading ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while True:
            item, error = self._ready.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item

    def close(self) -> None:
        """Ends the reading; what was read and not taken is lost.

        A read that the database works on ends by itself.
        """
        self._closed.set()
        deadline = time.monotonic() + CLOSING_SECONDS
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._drop()
            self._thread.join(0.05)

    def _drop(self) -> None:
        try:
            self._ready.get_nowait()
        except queue.Empty:
            return

    def _read(self) -> None:
        try:
            for item in self._items:
                self._ready.put((item, None))
                if self._closed.is_set():
                    return
            self._ready.put((None, None))
        except Exception as error:  # noqa: BLE001 - it is raised again where the item is taken
            self._ready.put((None, error))
