"""Links in columns → the `_id`s to which they lead, and values in the place of the links."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import bson

from app.resources.keys import refusal
from app.resources.kinds import is_reference
from app.resources.links import identity
from app.spreadsheets.columns import Values
from app.transfers.references import Links, show_keys

_PLAIN = frozenset((bson.ObjectId, int))  # types that any `_id` may have
_OWN = frozenset((bytes, type(None)))  # those that are their own identity


@dataclass
class Targets:
    """What the links of a column are to lead to, in the shape of the column's cells."""

    cells: Values
    ids: list[Any]  # what identifies each `_id`, None where nothing is led to
    keys: dict[Any, Any]  # the `_id`s by what identifies them
    inner: "Targets | None" = None  # of what is in lists

    @classmethod
    def of(cls, collection: str, cells: Values) -> "Targets":
        """The targets of links in these cells to documents of a collection."""
        if type(cells) is Links:
            return cls._of_links(cells)
        if list in set(map(type, cells)):
            flat = list(
                chain.from_iterable(cell if type(cell) is list else (cell,) for cell in cells)
            )
            inner = cls.of(collection, flat)
            return cls(cells, inner.ids, inner.keys, inner)
        keys = [_find_key(cell, collection) for cell in cells]
        ids = list(map(identify, keys))
        return cls(cells, ids, _group_by_id(ids, keys))

    @classmethod
    def _of_links(cls, links: Links) -> "Targets":
        keys = links.keys
        if set(map(type, keys)) <= _OWN:
            return cls(links, keys, _group_by_id(keys, keys))
        ids = [key if type(key) is bytes else identify(key) for key in keys]
        return cls(links, ids, _group_by_id(ids, keys))

    @property
    def count(self) -> int:
        """How many links there are."""
        return len(self.ids)

    def place(self, rows: dict[Any, Any], position: int, *, keeps_key: bool) -> Values:
        """What a row has in this position, in the place of each link.

        Where there is no row, the `_id` if `keeps_key`, else None.
        """
        if type(self.cells) is Links:
            shown = show_keys(self.cells.keys) if keeps_key else ()
            return self.cells.arrange(self._find(rows, position, shown))
        if self.inner is not None:
            placed = iter(self.inner.place(rows, position, keeps_key=keeps_key))
            return [
                [next(placed) for _ in cell] if type(cell) is list else next(placed)
                for cell in self.cells
            ]
        return self._find(rows, position, self.cells if keeps_key else ())

    def _find(self, rows: dict[Any, Any], position: int, otherwise: Sequence[Any]) -> Values:
        if otherwise:
            pairs = zip(map(rows.get, self.ids), otherwise, strict=True)
            return [key if row is None else row[position] for row, key in pairs]
        if len(rows) < len(self.ids) // 2:
            values = {one: row[position] for one, row in rows.items() if row is not None}
            return list(map(values.get, self.ids))
        return [None if row is None else row[position] for row in map(rows.get, self.ids)]


def _group_by_id(ids: Iterable[Any], keys: Iterable[Any]) -> dict[Any, Any]:
    by_id = dict(zip(ids, keys, strict=True))
    by_id.pop(None, None)
    return by_id


def _find_key(value: Any, collection: str) -> Any:
    """The `_id` to which a link leads; None where it leads to no document of the collection."""
    if type(value) is bson.DBRef:
        value = value.id if is_reference(collection, value) else None
    if type(value) is bytes:
        return bson.Binary(value)  # for bytes alone are an ObjectId here
    return value if type(value) in _PLAIN or refusal(value) is None else None


def identify(key: Any) -> Any:
    """The bytes of an ObjectId; of another `_id` something else that is equal for equal ones."""
    if key is None:
        return None
    return key.binary if type(key) is bson.ObjectId else (identity(key),)
