"""Columns through links: the linked documents' values in the place of links, in cells."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bson.errors import InvalidBSON

from app.query.flatten import Steps
from app.spreadsheets.columns import Column, Linked, Table, Values
from app.transfers.link_levels import BatchSize, Followed, Level, Node, Origin, Part, Wish
from app.transfers.link_targets import identify
from app.transfers.linked_reads import LinkedReads
from app.transfers.references import TAKEN, Links, are_keys, read_columns, take_keys


@dataclass(frozen=True)
class FollowedColumns:
    """Column-major values, whose links were followed."""

    columns: list[Values]
    links: Followed


class LinkedCells:
    """Shows links, and puts values of linked documents in their place, in column-major values."""

    def __init__(self, columns: Sequence[Column], reads: LinkedReads) -> None:
        self.batch = BatchSize()
        self.targets = [column.target for column in columns]
        self._levels = Level(_CellNode, reads, self.batch)
        self._origins = {
            number: _add(self._levels, column.linked)
            for number, column in enumerate(columns)
            if column.linked is not None
        }
        self._presenters = [
            column.presenter() if column.kind == "link" else None for column in columns
        ]

    def follow(self, columns: list[Values]) -> FollowedColumns:
        """Asks for what the links in columns lead to."""
        wishes = [(origin, columns[number]) for number, origin in self._origins.items()]
        return FollowedColumns(columns, self._levels.follow(wishes))

    def place(self, followed: FollowedColumns) -> list[Values]:
        """The columns, with what is shown of links, or values behind them, for links."""
        placed = list(followed.columns)
        resolved = self._levels.resolve(followed.links)
        for number, values in zip(self._origins, resolved, strict=True):
            placed[number] = values
        self.batch.adapt(len(placed[0]))
        return list(map(show_links, placed, self._presenters))


def show_links(column: Values, present: Callable[[Values], Values] | None = None) -> Values:
    """The column with links as the API shows them; `present` does that for what is not `Links`."""
    if type(column) is Links:
        return column.show()
    return present(column) if present is not None else column


def _add(level: Level, linked: Linked) -> Origin:
    """Where what a column wants behind a link will come from."""
    inner = _add(level.further, linked.inner) if linked.inner is not None else None
    part = Part((linked.steps,), ((linked.steps, inner),), target=linked.target)
    return level.add(linked.collection, part)


class _CellNode(Node):
    """Linked documents for tables: each part is the value of a cell."""

    def read_columns(self, raw: bytes) -> tuple[list[Any], list[Values]]:
        if not self.wants_keys:
            keys, text = take_keys(raw)
            with suppress(InvalidBSON):
                taken, *columns = self._read(text, TAKEN)
                if are_keys(keys, taken):
                    return list(keys), self._show(columns)
        ids, *columns = self._read(raw, "_id")
        return list(map(identify, ids)), self._show(columns)

    def _read(self, raw: bytes, first: str) -> list[Values]:
        """The column of a field, and those of what is asked."""
        steps: list[Steps] = [(first,), *(part.steps[0] for part in self.parts)]
        targets = [None, *(part.target for part in self.parts)]
        return read_columns(raw, Table(steps), steps, targets)

    def _show(self, columns: list[Values]) -> list[Values]:
        """The columns, with links as they are shown where nothing behind them is asked."""
        return [
            column if _origin_of(part) is not None else show_links(column)
            for column, part in zip(columns, self.parts, strict=True)
        ]

    def wishes(self, columns: list[Values]) -> Iterator[Wish]:
        for part, values in zip(self.parts, columns, strict=True):
            origin = _origin_of(part)
            if origin is not None:
                yield origin, values

    def finish(self, columns: list[Values], resolved: Iterator[Values]) -> None:
        for number, part in enumerate(self.parts):
            if _origin_of(part) is not None:
                columns[number] = next(resolved)


def _origin_of(part: Part) -> Origin | None:
    """Where what is behind the link of a cell comes from; None where nothing behind it is asked."""
    ((_, origin),) = part.inner
    return origin
