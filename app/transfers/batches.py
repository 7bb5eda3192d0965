"""Pages of documents → batches for an encoder: decoded, as columns or documents, links in place.

A batch is begun before it is finished: while its linked documents are read, the batch before is
finished and encoded.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Protocol

from app.query.flatten import Flattening
from app.query.ordering import SORT_KEY
from app.resources.codec import decode_all, offsets
from app.resources.rendering import Presenter
from app.spreadsheets.chunks import Batch
from app.spreadsheets.columns import Table
from app.spreadsheets.formats import FORMATS
from app.store.keyset import Page
from app.transfers.exports import Export
from app.transfers.link_levels import BATCH, BatchSize
from app.transfers.linked_cells import FollowedColumns, LinkedCells
from app.transfers.linked_documents import FollowedDocuments, LinkedDocuments
from app.transfers.linked_reads import LinkedReads
from app.transfers.references import TAKEN, hide_keys, read_columns

FOLLOWED = 1  # batches whose links are followed before one is finished
# Documents decoded at a time: a whole page takes a third longer, for its memory is given back.
PART = 250
# Bytes that a batch of unwound rows may come to, each as large as its document at most.
UNWOUND = 4 * 1024 * 1024


class BegunBatch(Protocol):
    """A batch; what its links lead to is asked for already."""

    def finish(self) -> Batch:
        """The batch, with linked documents in place."""


def make_batches(export: Export, pages: Iterable[Page], reads: LinkedReads) -> Iterator[Batch]:
    """The batches of an export's pages."""
    begin = _begin_tables if FORMATS[export.format].tabular else _begin_documents
    return _finish(begin(export, pages, reads), FOLLOWED if export.reaches_through_links else 0)


def _finish(begun: Iterable[BegunBatch], ahead: int) -> Iterator[Batch]:
    """The batches, each finished when so many more are begun, whose linked documents are read then.

    The first is finished before: it shows how large they are, and few of them are all known then.
    """
    waiting: deque[BegunBatch] = deque()
    for number, one in enumerate(begun):
        waiting.append(one)
        if len(waiting) > min(number, ahead):
            yield waiting.popleft().finish()
    for one in waiting:
        yield one.finish()


# --- tables --------------------------------------------------------------------------------------


def _begin_tables(
    export: Export, pages: Iterable[Page], reads: LinkedReads
) -> Iterator[BegunBatch]:
    if export.has_links:
        yield from _begin_linked_tables(export, pages, reads)
        return
    whole = Table([column.steps for column in export.columns or ()], export.unwind)
    flattening = export.plan.flat
    flat = Table([place.steps for place in flattening.places]) if flattening else whole
    for page, raw in _split(pages):
        documents = decode_all(raw, modern=page.flat)
        if export.unwind:
            rows = max(1, UNWOUND // _measure_largest(raw))
            for ended, values in whole.slices_of(documents, rows):
                yield _Ready(Batch(ended, values))
        elif flattening and page.flat:
            columns = flattening.columns_of(flat.columns_of(documents))
            yield _Ready(Batch(len(documents), columns))
        else:
            yield _Ready(Batch(len(documents), whole.columns_of(documents)))


@dataclass(frozen=True)
class _Ready:
    """A batch without links."""

    batch: Batch

    def finish(self) -> Batch:
        return self.batch


def _begin_linked_tables(
    export: Export, pages: Iterable[Page], reads: LinkedReads
) -> Iterator[BegunBatch]:
    """The same with links, or with values of linked documents in their place."""
    columns = export.columns or ()
    steps = [column.steps for column in columns]
    cells = LinkedCells(columns, reads)
    whole = Table(steps, export.unwind)
    flattening = export.plan.flat
    places = [place.steps for place in flattening.places] if flattening else steps
    flat, targets = Table(places), _targets_of_places(flattening, cells.targets)
    if not any(path[0] == "_id" for path in steps):
        pages = map(_hide_keys, pages)
    for page, raw in _split(pages, cells.batch if export.reaches_through_links else None):
        if export.unwind:
            rows = max(1, min(BATCH, UNWOUND // _measure_largest(raw)))
            for ended, values in whole.slices_of(decode_all(raw), rows):
                yield _LinkedTable(ended, cells, cells.follow(values))
            continue
        if flattening and page.flat:
            found = read_columns(raw, flat, places, targets, modern=True)
            values = flattening.columns_of(found)
        else:
            values = read_columns(raw, whole, steps, cells.targets)
        yield _LinkedTable(len(values[0]), cells, cells.follow(values))


@dataclass(frozen=True)
class _LinkedTable:
    """A batch of column-major values that have links; `documents` as in a `Batch`."""

    documents: int
    cells: LinkedCells
    followed: FollowedColumns

    def finish(self) -> Batch:
        return Batch(self.documents, self.cells.place(self.followed))


def _targets_of_places(
    flattening: Flattening | None, targets: Sequence[str | None]
) -> Sequence[str | None]:
    """Where links at the places of a flattening lead; texts that are joined are none."""
    if flattening is None:
        return targets
    rest = iter(targets)
    return [next(islice(rest, place.width - 1, None)) for place in flattening.places]


def _measure_largest(raw: bytes) -> int:
    """The bytes of the largest document."""
    begins = [*offsets(raw), len(raw)]
    return max(end - begin for begin, end in pairwise(begins))


# --- documents -----------------------------------------------------------------------------------


def _begin_documents(
    export: Export, pages: Iterable[Page], reads: LinkedReads
) -> Iterator[BegunBatch]:
    columns = export.columns
    with_id = columns is None or any(column.steps[0] == "_id" for column in columns)
    linked = LinkedDocuments(columns or (), export.links, export.linked, reads)
    if not with_id:
        pages = map(_hide_keys, pages)
    for _, raw in _split(pages, linked.batch if export.reaches_through_links else None):
        yield _LinkedBatch(raw, linked, linked.follow(raw), export.present, with_id)


@dataclass(frozen=True)
class _LinkedBatch:
    """A batch of documents, given as their BSON too, that may have links."""

    raw: bytes
    linked: LinkedDocuments
    followed: FollowedDocuments
    present: Presenter | None
    with_id: bool

    def finish(self) -> Batch:
        documents = self.linked.place(self.followed, self.present)
        for document in documents:
            if not self.with_id:
                document.pop(TAKEN, None)  # unless the presenter took it out
                document.pop("_id", None)
            document.pop(SORT_KEY, None)
        return Batch(len(documents), documents, self.raw)


# --- pages in parts ------------------------------------------------------------------------------


def _hide_keys(page: Page) -> Page:
    """The page for those who don't want the documents' `_id`s, which cost to decode."""
    return replace(page, raw=hide_keys(page.raw, page.begins))


def _split(pages: Iterable[Page], size: BatchSize | None = None) -> Iterator[tuple[Page, bytes]]:
    """The pages in parts, each the BSON of some documents; `size` says how many."""
    for page in pages:
        ends = [*page.begins, len(page.raw)]
        begin = 0
        while begin < page.documents:
            end = min(begin + (size.documents if size else PART), page.documents)
            yield page, page.raw[ends[begin] : ends[end]]
            begin = end
