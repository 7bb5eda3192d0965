"""Cells that have just what an export shows behind the links that are stored: they ask for nothing.

A link that leads to no document, or to one without a value there, is an empty cell, and null in a
list. Sent back it must not take the link away.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

import orjson

from app.resources.codec import decode
from app.resources.kinds import show_link
from app.resources.rendering import to_json
from app.resources.views import View
from app.spreadsheets.columns import Column, Table, Values, parse_columns
from app.spreadsheets.format import MIB
from app.spreadsheets.ingest import Record, Target
from app.store.client import Connection
from app.store.matching import bound
from app.store.reach import Reach
from app.transfers.differences import Differences
from app.transfers.linked_cells import LinkedCells
from app.transfers.linked_reads import ReadsAtOnce
from app.transfers.rows import Row

TOGETHER = 4 * MIB  # bytes of stored documents whose links are followed together

Pair = tuple[Row, bytes]  # a row, and the BSON of the stored document that it is about


class ShownLinks:
    """The columns of a file that reach through links, as an export shows them to the caller."""

    def __init__(
        self,
        connection: Connection,
        reach: Reach,
        targets: Sequence[Target],
        differences: Differences,
    ) -> None:
        self._reach = reach
        self._differences = differences
        self._targets = [one for one in targets if one.through and _is_seen(reach.view, one)]
        paths = ",".join(quote(f"{one.path}.{one.through}", safe=".") for one in self._targets)
        self._columns = self._parse(paths) if paths else ()
        self._table = Table([column.steps for column in self._columns])
        reader = connection.linked_reader(partial(reach.filter, "read"))
        self._cells = LinkedCells(self._columns, ReadsAtOnce(reader))

    def overlook(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """The same, the cells that show what is stored taken out of the rows."""
        if not self._targets:
            yield from pairs
            return
        for some in bound(pairs, TOGETHER):
            self._overlook(some)
            yield from some

    def _parse(self, paths: str) -> tuple[Column, ...]:
        shapes = self._reach.compilers.views.shapes
        return parse_columns(self._reach.view.resource.shape, None, paths, None, True, shapes)

    def _overlook(self, pairs: Sequence[Pair]) -> None:
        """Follows the links of the rows whose cells don't name just what is stored."""
        stored = self._table.columns_of([decode(raw) for _, raw in pairs])
        doubtful = [
            number
            for number, (row, _) in enumerate(pairs)
            if self._differs(row.record, [values[number] for values in stored])
        ]
        if not doubtful:
            return
        links = [[values[number] for number in doubtful] for values in stored]
        values = self._cells.place(self._cells.follow(links))
        shown = map(_present, self._columns, values)
        for target, values in zip(self._targets, shown, strict=True):
            for number, value in zip(doubtful, values, strict=True):
                row = pairs[number][0]
                if self._differences.shows(row.cells, target, value):
                    _forget(row.record, target)

    def _differs(self, record: Record, stored: Sequence[Any]) -> bool:
        for target, value in zip(self._targets, stored, strict=True):
            if value is not None and record.values.get(target.path) != _show(target, value):
                return True
        return False


def _is_seen(view: View, target: Target) -> bool:
    return view.resource.shape.find(target.path, numbered=True) is not None


def _show(target: Target, link: Any) -> Any:
    """The JSON that the API shows for a link, or a list of them."""
    if isinstance(link, list):
        return [_show(target, one) for one in link]
    return orjson.loads(to_json(show_link(target.linked, link)))


def _present(column: Column, values: Values) -> Values:
    present = None if column.kind == "link" else column.presenter()
    return present(values) if present is not None else values


def _forget(record: Record, target: Target) -> None:
    """Takes a cell out of a row, as if the file hadn't this column."""
    record.values.pop(target.path, None)
    record.empty = [path for path in record.empty if path != target.path]
    record.faults = [fault for fault in record.faults if fault.position != target.position]
