"""An export → the chunks of a file: pages from the store through batches and an encoder.

The same function serves a child process and the command line; that for a mongomock stands beside
it, for no other process could reach one.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from app.query.conditions import Filter, join_filters
from app.query.plan import Plan
from app.spreadsheets.chunks import Batch, Tally, chunks
from app.spreadsheets.columns import Column
from app.spreadsheets.formats import FORMATS
from app.store.joins import resolve, resolve_all
from app.store.keyset import Page
from app.store.linked import LinkedReader
from app.store.mock import MockLinkedReader, read_pages
from app.store.pages import PAGE, pages
from app.transfers.batches import make_batches
from app.transfers.exports import Export
from app.transfers.linked_reads import ReadsAtOnce, ReadsBeside
from app.transfers.read_ahead import ReadAhead
from app.transfers.traffic import ALONE, Alone

# Documents of a page while reads come: the database is done with it in some 3 ms, then they pass.
PAGE_BESIDE_READS = 600


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
    words = {"session": session, "max_time_ms": export.plan.time_limit}
    plan = _resolve(export.plan, collection, words)
    find_rule = _resolve_rules(export, collection, words)
    reader = LinkedReader(collection.database, find_rule, plan.time_limit, plan.patience, session)
    choose_most = partial(turns.choose_most, PAGE, PAGE_BESIDE_READS)
    read = _take_turns(pages(collection, plan, session, choose_most), turns)
    with closing(ReadsBeside(reader, turns)) as reads, closing(ReadAhead(read)) as ahead:
        batches = make_batches(export, ahead, reads)
        yield from _encode(export, _let_pass(batches, turns), tally)


def produce_from_mock(export: Export, collection: Any, tally: Tally) -> Iterator[bytes]:
    """The same from a mongomock, by plain cursors."""
    is_tabular = FORMATS[export.format].tabular
    projection = None if is_tabular else export.plan.projection
    plan = replace(_resolve(export.plan, collection, {}), projection=projection)
    reader = MockLinkedReader(collection.database, _resolve_rules(export, collection, {}))
    batches = make_batches(export, read_pages(collection, plan), ReadsAtOnce(reader))
    yield from _encode(export, batches, tally)


def _resolve(plan: Plan, collection: Collection[Any], words: dict[str, Any]) -> Plan:
    """The plan with what is asked of linked documents as a filter, by the same snapshot."""
    if not plan.joins:
        return plan
    filters = [resolve(collection.database.get_collection, join, words) for join in plan.joins]
    return replace(plan, filter=join_filters([plan.filter, *filters]), joins=())


def _resolve_rules(
    export: Export, collection: Collection[Any], words: dict[str, Any]
) -> Callable[[str], Filter]:
    """What linked documents must meet, by their collection, by the same snapshot."""
    collections = collection.database.get_collection
    rules = {
        name: resolve_all(collections, selection, words) for name, selection in export.below.items()
    }
    return lambda name: rules.get(name, {})


def _take_turns(read: Iterator[Page], turns: Alone) -> Iterator[Page]:
    """The pages, each read within a turn."""
    while True:
        with turns.turn():
            page = next(read, None)
        if page is None:
            return
        yield page


def _let_pass(batches: Iterator[Batch], turns: Alone) -> Iterator[Batch]:
    """The batches; before each one reads pass, for to decode and encode it takes a processor."""
    turns.let_pass(time.thread_time)
    for batch in batches:
        yield batch
        turns.let_pass(time.thread_time)


def _encode(export: Export, batches: Iterable[Batch], tally: Tally) -> Iterator[bytes]:
    columns = _present_links(export.columns or ())
    encoder = FORMATS[export.format].encoder(columns, export.options, export.collection)
    return chunks(batches, encoder, tally, gzip=export.gzip)


def _present_links(columns: Iterable[Column]) -> tuple[Column, ...]:
    """The columns, those of links presentable as they come."""
    return tuple(
        replace(column, present=None) if column.kind == "link" else column for column in columns
    )


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
