"""Links between the rows of one file: to documents of the same class that aren't stored yet.

A row that is written counts as existing, wherever in the file it is; so whether such a link leads
somewhere is known when all rows are read. Until then a row that links by `_id` is a hope of
`OwnLinks`; one that names a unique field waits in `WaitingRows`, for its document can't be made
without the `_id`. In memory are hashes and numbers, a few bytes for each row and link, and the
names that rows wait for; the rest is on disk.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import bson
import orjson

from app.resources.links import Reference, identity
from app.resources.registry import Resource
from app.resources.rendering import to_json
from app.resources.storing import Document
from app.spreadsheets.ingest import CellFault, Record
from app.store.uniqueness import values_at
from app.transfers.distinct import Distinct
from app.transfers.keys import ID, Key, write_text
from app.transfers.named_links import Known, Name, NamedLinks
from app.transfers.report import RowFaults
from app.transfers.rows import Row
from app.transfers.spool import Spool

_NONE = -1


@dataclass(frozen=True)
class _Hope:
    """A row that is right if what it links to is written: the `_id`s, what is wrong if not."""

    place: int
    number: int
    sheet: str
    is_update: bool
    links: tuple[tuple[Any, CellFault], ...]


class OwnLinks:
    """The rows of a file by their `_id`s, and their links to each other."""

    def __init__(self, resource: Resource) -> None:
        self._collection = resource.name
        self._key = Key(ID, (resource.key,))
        self._rows = Distinct()
        self._order = array("I")  # by place: the number of the row among those that were checked
        self._checked = 0
        self._failed = bytearray()  # by place
        self._hopes: Spool[_Hope] = Spool()
        self._later = Distinct()

    def close(self) -> None:
        """Gives the disk back."""
        self._hopes.close()

    def add(self, rows: Iterable[Row]) -> None:
        """Rows that were checked, in the order in which they will be written."""
        hopes = []
        for row in rows:
            self._grow(row.place)
            self._order[row.place] = self._checked
            self._failed[row.place] = bool(row.faults)
            self._checked += 1
            key = self._find_key(row)
            if key is not None:
                self._rows.add(_text(key), row.place)
            if row.hopes and not row.faults:
                record, is_update = row.record, row.update is not None
                links = tuple(row.hopes)
                hopes.append(_Hope(row.place, record.number, record.sheet, is_update, links))
        if hopes:
            self._hopes.extend(hopes)

    def _grow(self, place: int) -> None:
        missing = place + 1 - len(self._failed)
        if missing > 0:
            self._failed.extend(bytes(missing))
            self._order.frombytes(bytes(self._order.itemsize * missing))

    def _find_key(self, row: Row) -> Any:
        """The `_id` of the document that a row inserts, or would insert if it were right."""
        if row.after is not None:
            return None if row.update is not None else row.after["_id"]
        if not row.faults:
            return None
        sent = self._key.read_sent(row.record) if row.own_id is None else (row.own_id,)
        try:
            return self._key.readings(sent)[0][0] if sent is not None else None
        except ValueError:
            return None

    def settle(self, name: Callable[[int], str]) -> Iterator[tuple[RowFaults, bool]]:
        """The rows that fail because of what they link to, and whether each is an update.

        `name` says which row is at a place.
        """
        places, targets = self._find_targets()
        self._spread(places, targets)
        following = iter(targets)
        for hope in self._hopes:
            faults = []
            for (key, fault), target in zip(hope.links, following, strict=False):
                if target == _NONE:
                    faults.append(fault)
                elif self._failed[target]:
                    detail = f"{name(target)}, to which this one links, can't be imported."
                    faults.append(replace(fault, detail=f"{fault.column}: {detail}"))
                elif self._order[target] >= self._order[hope.place]:
                    self._later.add(_text(key), target)
            if faults:
                row = RowFaults(hope.place, hope.number, hope.sheet, tuple(faults))
                yield row, hope.is_update

    def has_failed(self, place: int) -> bool:
        """Whether the row at a place is not written."""
        return bool(self._failed[place])

    def comes_later(self, reference: Reference) -> bool:
        """Whether a link leads to a row that is written after the one that has it."""
        is_own = reference.collection == self._collection
        return is_own and self._later.find(_text(reference.key)) is not None

    def _find_targets(self) -> tuple["array[int]", "array[int]"]:
        """For each link of a hope the place of its row, and that of the row that it leads to."""
        places, targets = array("I"), array("i")
        for hope in self._hopes:
            for key, _ in hope.links:
                target = self._rows.find(_text(key))
                places.append(hope.place)
                targets.append(_NONE if target is None else target)
        return places, targets

    def _spread(self, places: "array[int]", targets: "array[int]") -> None:
        """Fails each row that links to one that fails, and those that link to it in turn."""
        last = array("i", [_NONE]) * len(self._failed)  # by place: the last link that leads there
        before = array("i")  # by link: the one before it that leads to the same place
        for number, target in enumerate(targets):
            before.append(last[target] if target != _NONE else _NONE)
            if target != _NONE:
                last[target] = number
        pairs = zip(places, targets, strict=True)
        failing = [place for place, target in pairs if target == _NONE or self._failed[target]]
        while failing:
            place = failing.pop()
            if not self._failed[place]:
                self._failed[place] = True
                link = last[place]
                while link != _NONE:
                    failing.append(places[link])
                    link = before[link]


class WaitingRows:
    """Rows that name documents that aren't stored, until the names of all rows are known."""

    def __init__(self, resource: Resource, links: NamedLinks) -> None:
        self._resource = resource
        self._links = links
        self._rows: Spool[list[Row]] = Spool()
        self._names: Spool[tuple[Name, Any]] = Spool()
        self._paths = links.own_paths

    def close(self) -> None:
        """Gives the disk back."""
        self._rows.close()
        self._names.close()

    def take(self, rows: Sequence[Row]) -> list[Row]:
        """The rows that need not wait."""
        unstored = set(map(id, self._links.find_unstored([row.record for row in rows])))
        waiting = [row for row in rows if id(row.record) in unstored]
        if waiting:
            self._rows.append(waiting)
        return [row for row in rows if id(row.record) not in unstored]

    def add_names(self, rows: Iterable[Row]) -> None:
        """What rows that will be written are called."""
        names = [
            ((path, identity(value)), orjson.loads(to_json(row.after["_id"])))
            for row in rows
            if row.after is not None and not row.faults
            for path in self._paths
            for value in values_at(row.after, path.split("."))
        ]
        if names:
            self._names.extend(names)

    def rest(self) -> Iterator[tuple[list[Row], dict[str, Known]]]:
        """The rows that have waited, and what is known by then, by the unique field."""
        wanted = {
            name for rows in self._rows for row in rows for name in self._links.names_in(row.record)
        }
        known: dict[str, Known] = {path: {} for path in self._paths}
        for (path, value), key in self._names:
            if (path, value) in wanted:
                known[path][value] = key
        for rows in self._rows:
            for row in rows:
                self._name(row, wanted, known)
        for rows in self._rows:
            for row in rows:
                row.own_id = self._find_own_id(row.record, known)
            yield rows, known

    def _name(self, row: Row, wanted: set[Name], known: dict[str, Known]) -> None:
        """Notes the `_id` of a row that has waited itself, and is named by others."""
        for path, value in self._names_of(row.record):
            if (path, value) in wanted and value not in known[path]:
                key = row.record.values.get("_id")
                if key is None and self._resource.key.kind == "objectid":
                    key = self._find_own_id(row.record, known) or str(bson.ObjectId())
                if key is not None:
                    known[path][value] = key

    def _find_own_id(self, record: Record, known: dict[str, Known]) -> Any:
        keys = (known[path].get(value) for path, value in self._names_of(record))
        return next((key for key in keys if key is not None), None)

    def _names_of(self, record: Record) -> Iterator[Name]:
        """What a row is called by its own cells."""
        for path in self._paths:
            found = self._resource.shape.find(path)
            value = record.values.get(path)
            if found is not None and value is not None:
                text = write_text(value)
                yield path, identity(found.field.readings(text)[0])


def _text(key: Any) -> str:
    return repr(identity(key))


def with_own_id(body: Document, row: Row) -> Document:
    """The body of a new document, with the `_id` by which other rows link to it."""
    return body if row.own_id is None or "_id" in body else {**body, "_id": row.own_id}
