"""Links named by a unique field of the linked document → its `_id`, asked for once a batch."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.query.conditions import join_filters
from app.resources.links import identity
from app.resources.registry import Resource
from app.resources.rendering import to_json
from app.resources.views import Views
from app.spreadsheets.ingest import Behind, CellFault, Record, Target
from app.spreadsheets.kinds import SHOWN
from app.store.client import Connection
from app.store.reach import Reach
from app.store.uniqueness import values_at
from app.transfers.keys import possible_keys, write_text

Known = dict[Any, Any]  # by the identity of what a cell may mean the `_id` as JSON
Name = tuple[str, Any]  # a unique field, and the identity of a value of it


def list_behind_links(views: Views) -> Behind:
    """What links lead to: the shapes that may be read, the unique fields that name one document."""
    shapes = views.shapes
    unique: dict[str, tuple[str, ...]] = {}
    for name in shapes:
        keys = possible_keys(views[name].resource)[1:]
        unique[name] = tuple(paths[0] for paths in keys if len(paths) == 1)
    return Behind(shapes, unique)


@dataclass(frozen=True)
class _Column:
    """A column whose cells name documents of a collection."""

    target: Target
    collection: str


class NamedLinks:
    """The columns of a file that name linked documents."""

    def __init__(
        self, connection: Connection, reach: Reach, resource: Resource, targets: Sequence[Target]
    ) -> None:
        self._connection = connection
        self._reach = reach
        self._columns = [_Column(one, one.linked) for one in targets if one.through]
        self._own = [one for one in self._columns if one.collection == resource.name]

    @property
    def own_paths(self) -> set[str]:
        """The unique fields that name documents of the class whose rows the file has."""
        return {column.target.through for column in self._own}

    def find_unstored(self, records: Sequence[Record]) -> list[Record]:
        """The records that name a document of their own class that isn't stored."""
        found = []
        for column in self._own:
            known = self._find_known(column, records)
            found += [one for one in records if _find_keys(one, column.target, known) is None]
        return found

    def names_in(self, record: Record) -> Iterator[Name]:
        """What a record names of its own class: each cell's possible meanings."""
        for column in self._own:
            for value in _make_list(record.values.get(column.target.path)):
                for reading in _readings(column.target, value):
                    yield column.target.through, identity(reading)

    def replace(self, records: Sequence[Record], more: dict[str, Known]) -> None:
        """Puts the `_id`s of linked documents in the place of what names them; a fault for none.

        `more` has documents of their own class that aren't stored, by the unique field.
        """
        for column in self._columns:
            known = self._find_known(column, records)
            if column in self._own:
                known |= more.get(column.target.through, {})
            for record in records:
                if column.target.path in record.values:
                    _replace(record, column, known)

    def _find_known(self, column: _Column, records: Iterable[Record]) -> Known:
        target = column.target
        wanted = {
            identity(reading): reading
            for record in records
            for value in _make_list(record.values.get(target.path))
            for reading in _readings(target, value)
        }
        if not wanted:
            return {}
        named = {target.through: {"$in": list(wanted.values())}}
        condition = join_filters([named, self._reach.filter("read", column.collection)])
        found = self._connection.collection(column.collection).find(
            condition, {target.through: 1}, **self._connection.time_limit
        )
        return {
            identity(value): orjson.loads(to_json(document["_id"]))
            for document in found
            for value in values_at(document, target.through.split("."))
        }


def _find_keys(record: Record, target: Target, known: Known) -> list[Any] | None:
    """The `_id`s of the documents that a record names; None where one isn't known."""
    keys = []
    for value in _make_list(record.values.get(target.path)):
        key = _find_key(target, value, known)
        if key is None:
            return None
        keys.append(key)
    return keys


def _find_key(target: Target, value: Any, known: Known) -> Any:
    readings = [identity(reading) for reading in _readings(target, value)]
    return next((known[reading] for reading in readings if reading in known), None)


def _replace(record: Record, column: _Column, known: Known) -> None:
    target = column.target
    value = record.values.pop(target.path)
    keys = []
    for one in _make_list(value):
        key = _find_key(target, one, known)
        if key is None:
            text = write_text(one)[:SHOWN]
            detail = (
                f"{target.title}: There is no document in {column.collection!r} with the "
                f"{target.through} {text!r} to link to."
            )
            record.faults.append(CellFault(target.title, text, detail, target.position))
            return
        keys.append(key)
    record.values[target.path] = keys if isinstance(value, list) else keys[0]


def _make_list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _readings(target: Target, value: Any) -> Iterator[Any]:
    try:
        yield from target.field.single.readings(write_text(value))
    except ValueError:
        return
