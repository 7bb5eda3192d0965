"""Columns through links: the linked documents' values in the place of links, a batch at a time.

A batch of documents has links; each level of links costs one query for each collection that it
leads to, however many links there are. What was read is kept as long as there is room, so that few
documents that many link to are read once, and many are forgotten again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import bson
import orjson

from app.query.flatten import Step, Steps, inclusion
from app.resources.codec import decode_all
from app.resources.keys import refusal
from app.resources.kinds import is_reference
from app.resources.links import identity
from app.resources.rendering import Presenter, may_hold_not_finite, to_json
from app.spreadsheets.columns import Column, Linked, Table, Values
from app.store.linked import link_places

KEPT = 20_000  # linked documents' values
KEPT_BYTES = 8 * 1024 * 1024  # of BSON, from which they were made
BATCH = 1_000  # documents, at most, whose links are followed together
BATCH_BYTES = 4 * 1024 * 1024  # of BSON of linked documents that stand in a batch, as the last was
GROWTH = 4  # times the batch before, at most

# A reference (DBRef) costs the driver ten times what a dict costs. So its first field gets another
# name before it is decoded, where nothing but references has these bytes: see `read_columns`.
_REFERENCE, _MARKED = b"\x02$ref\0", b"\x02\x1eref\0"
_MARK = "\x1eref"
_PLAIN = frozenset((bson.ObjectId, int))  # types that any `_id` may have
_OWN = frozenset((bson.ObjectId, type(None)))  # those that are their own identity

# The BSON of the documents with these `_id`s, as far as a projection keeps them.
Read = Callable[[str, list[Any], dict[str, Any]], bytes]
Presenters = Mapping[str, Presenter | None]  # by collection


@dataclass(frozen=True)
class Place:
    """Where the values of a column are: the collection of a level, and which of its values."""

    collection: str
    position: int


Ask = tuple[Place, Values]  # links, and what is asked of the documents to which they lead


class LinkedCells:
    """Puts values of linked documents in the place of links, in column-major values."""

    def __init__(self, columns: Sequence[Column], read: Read) -> None:
        self.batch = Batching()
        self._levels = _Level(_Cells, self.batch)
        self._read = read
        self._steps = [column.steps for column in columns]
        self._places = {
            number: self._levels.add_cell(column.linked)
            for number, column in enumerate(columns)
            if column.linked is not None
        }

    def place(self, columns: list[Values]) -> list[Values]:
        """The columns, with values where links were."""
        asks = [(place, columns[number]) for number, place in self._places.items()]
        resolved = self._levels.resolve(asks, self._read)
        self.batch.adapt(len(columns[0]))
        behind = dict(zip(self._places, resolved, strict=True))
        return [
            behind[number] if number in behind else _without_marks(column)
            for number, column in enumerate(columns)
        ]


class LinkedDocuments:
    """Puts parts of linked documents in the place of links, in documents."""

    def __init__(self, columns: Sequence[Column], presenters: Presenters, read: Read) -> None:
        self.batch = Batching()
        self._levels = _Level(_Parts, self.batch, presenters)
        self._read = read
        self._kept = {names(column.steps) for column in columns if column.linked is None}
        self._links = [
            (steps, self._levels.add_part(behind, keeps_key=steps in self._kept))
            for steps, behind in _group(columns)
        ]

    def read(self, raw: bytes) -> list[dict[str, Any]]:
        """The documents of some BSON, with references as dicts with a mark where that is safe."""
        count = raw.count(_REFERENCE)
        if count and _MARKED not in raw:
            documents = decode_all(raw.replace(_REFERENCE, _MARKED))
            cells = [values for _, values in _asks(documents, self._links)]
            if sum(map(_count_marks, cells)) == count:
                return documents
        return decode_all(raw)

    def place(self, documents: list[dict[str, Any]]) -> None:
        """Puts the parts in place, as JSON."""
        spots = [_all_places(documents, steps) for steps, _ in self._links]
        asks = [
            (place, [holder[name] for holder, name in found])
            for (_, place), found in zip(self._links, spots, strict=True)
        ]
        for found, values in zip(spots, self._levels.resolve(asks, self._read), strict=True):
            for (holder, name), value in zip(found, values, strict=True):
                holder[name] = value
        self.batch.adapt(len(documents))

    def presenter(self, present: Presenter | None) -> Presenter | None:
        """What makes the documents presentable then; where links were nothing is left to do."""
        if present is None:
            return None
        done = {steps[0] for steps, _ in self._links if len(steps) == 1 and steps not in self._kept}
        tree = {name: action for name, action in present.tree.items() if name not in done}
        return Presenter(tree) if tree else None


class Batching:
    """How many documents are taken together, by what their linked ones came to."""

    def __init__(self) -> None:
        self.size = BATCH // GROWTH  # documents
        self._bytes = 0

    def count(self, links: int, size: float) -> None:
        """Counts links, to documents of a size."""
        self._bytes += int(links * size)

    def adapt(self, documents: int) -> None:
        """Ends a batch of so many documents."""
        fitting = BATCH_BYTES * documents // max(self._bytes, 1)
        self.size = max(1, min(BATCH, GROWTH * self.size, fitting))
        self._bytes = 0


# --- one level of links --------------------------------------------------------------------------


class _Level:
    """The documents to which the links of one level lead, by collection."""

    def __init__(
        self, kind: "type[_Node]", batch: Batching, presenters: Presenters | None = None
    ) -> None:
        self._kind, self._batch = kind, batch
        self._presenters = presenters or {}
        self._nodes: dict[str, _Node] = {}
        self._next: _Level | None = None

    def add_cell(self, linked: Linked) -> Place:
        """What a column wants behind a link."""
        inner = self._further.add_cell(linked.inner) if linked.inner is not None else None
        return self._add(linked.collection, _Wanted((linked.steps,), ((linked.steps, inner),)))

    def add_part(self, behind: Sequence[Linked], *, keeps_key: bool) -> Place:
        """What several columns want behind the same link."""
        steps = [names(linked.steps) for linked in behind]
        links = {names(linked.steps) for linked in behind if linked.inner is None}
        inner = tuple(
            (path, self._further.add_part(further, keeps_key=path in links))
            for path, further in _group(behind)
        )
        kept = [("_id",), *steps] if keeps_key else steps
        return self._add(behind[0].collection, _Wanted(tuple(kept), inner, keeps_key))

    @property
    def _further(self) -> "_Level":
        if self._next is None:
            self._next = _Level(self._kind, self._batch, self._presenters)
        return self._next

    def _add(self, collection: str, wanted: "_Wanted") -> Place:
        if collection not in self._nodes:
            self._nodes[collection] = self._kind(collection, self._presenters.get(collection))
        return Place(collection, self._nodes[collection].add(wanted))

    def resolve(self, asks: Sequence[Ask], read: Read) -> list[Values]:
        """The values in the place of links."""
        links = _read_links(asks)
        wanted: dict[str, dict[Any, Any]] = {}
        for (place, _), one in zip(asks, links, strict=True):
            wanted.setdefault(place.collection, {}).update(one.keys)
        found = self._find(wanted, read)
        resolved = []
        for (place, _), one in zip(asks, links, strict=True):
            node = self._nodes[place.collection]
            self._batch.count(one.count, node.average)
            keeps_key = node.wanted[place.position].keeps_key
            resolved.append(one.place(found[place.collection], place.position, keeps_key))
        return resolved

    def _find(self, wanted: dict[str, dict[Any, Any]], read: Read) -> dict[str, dict[Any, Any]]:
        """The rows of the wanted documents of each collection, by what identifies them."""
        found = {name: self._nodes[name].kept.take(keys) for name, keys in wanted.items()}
        fetched = [
            fetched
            for name, keys in wanted.items()
            if (fetched := self._nodes[name].fetch(keys, found[name], read)) is not None
        ]
        asks = [ask for one in fetched for ask in one.node.asks(one.columns)]
        resolved = iter(self._next.resolve(asks, read) if self._next is not None and asks else ())
        for one in fetched:
            one.node.finish(one.columns, resolved)
            rows = zip(*one.columns, strict=True)
            found_rows = found[one.node.collection]
            found_rows.update(dict.fromkeys(one.missing))
            found_rows.update(zip(one.ids, rows, strict=True))
        for name, rows_of in found.items():
            self._nodes[name].kept.add(rows_of, self._nodes[name].average)
        return found


def _read_links(asks: Sequence[Ask]) -> list["_Links"]:
    """The links of each column; those of several columns with the same links are read once."""
    read: dict[tuple[str, int], _Links] = {}
    for place, values in asks:
        if (place.collection, id(values)) not in read:
            read[place.collection, id(values)] = _Links.of(place.collection, values)
    return [read[place.collection, id(values)] for place, values in asks]


@dataclass(frozen=True)
class _Wanted:
    """What is asked of a linked document: the steps to it, and of links in it what is behind."""

    steps: tuple[Steps, ...]
    inner: tuple[tuple[Steps, Place | None], ...]
    keeps_key: bool = False  # where a link leads nowhere, its `_id` stays


class _Node:
    """What is asked of the documents of one collection, on one level; what was read of them."""

    def __init__(self, collection: str, present: Presenter | None) -> None:
        self.collection = collection
        self.wanted: list[_Wanted] = []
        self.kept = _Kept()
        self._present = present
        self._documents = self._bytes = 0

    def add(self, wanted: _Wanted) -> int:
        """Which of the values of a row it is."""
        if wanted not in self.wanted:
            self.wanted.append(wanted)
        return self.wanted.index(wanted)

    @property
    def projection(self) -> dict[str, Any]:
        """What is read of the documents."""
        return inclusion([("_id",), *(steps for wanted in self.wanted for steps in wanted.steps)])

    @property
    def average(self) -> float:
        """The bytes of a document, as far as it was read."""
        return self._bytes / self._documents if self._documents else 0

    def fetch(
        self, keys: Mapping[Any, Any], rows: Mapping[Any, Any], read: Read
    ) -> "_Fetched | None":
        """The documents with these keys that have no row yet; None where all have one."""
        missing = {one: key for one, key in keys.items() if one not in rows}
        if not missing:
            return None
        raw = read(self.collection, list(missing.values()), self.projection)
        ids, columns = self.read_columns(raw)
        self._bytes += len(raw)
        self._documents += len(ids)
        return _Fetched(self, missing, ids, columns)

    def read_columns(self, raw: bytes) -> tuple[list[Any], list[Values]]:
        """What identifies each document, and the values of each thing that is asked."""
        raise NotImplementedError

    def asks(self, columns: list[Values]) -> Iterator[Ask]:
        """The links among the values behind which there is more."""
        raise NotImplementedError

    def finish(self, columns: list[Values], resolved: Iterator[Values]) -> None:
        """Takes what is behind them into the values."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Fetched:
    """What was missing, and of the documents that are there the ids and what is asked of them."""

    node: _Node
    missing: Iterable[Any]
    ids: list[Any]
    columns: list[Values]


class _Cells(_Node):
    """Of tables: each thing that is asked is the value of a cell."""

    def read_columns(self, raw: bytes) -> tuple[list[Any], list[Values]]:
        table = Table([("_id",), *(wanted.steps[0] for wanted in self.wanted)])
        ids, *columns = read_columns(raw, table, [wanted.steps[0] for wanted in self.wanted])
        for number, wanted in enumerate(self.wanted):
            if wanted.inner[0][1] is None:
                columns[number] = _without_marks(columns[number])
        return list(map(_identity, ids)), columns

    def asks(self, columns: list[Values]) -> Iterator[Ask]:
        for wanted, values in zip(self.wanted, columns, strict=True):
            ((_, place),) = wanted.inner
            if place is not None:
                yield place, values

    def finish(self, columns: list[Values], resolved: Iterator[Values]) -> None:
        for number, wanted in enumerate(self.wanted):
            if wanted.inner[0][1] is not None:
                columns[number] = next(resolved)


class _Parts(_Node):
    """Of documents: each thing that is asked is a part of the document, as JSON."""

    def read_columns(self, raw: bytes) -> tuple[list[Any], list[Values]]:
        documents = decode_all(raw)
        ids = [_identity(document["_id"]) for document in documents]
        self._has_words = may_hold_not_finite(raw)
        if len(self.wanted) == 1:  # just what the projection kept
            if ("_id",) not in self.wanted[0].steps:
                for document in documents:
                    del document["_id"]
            return ids, [documents]
        trees = [_Tree.of(wanted.steps) for wanted in self.wanted]
        return ids, [[tree.part(document) for document in documents] for tree in trees]

    def asks(self, columns: list[Values]) -> Iterator[Ask]:
        for wanted, documents in zip(self.wanted, columns, strict=True):
            yield from _asks(documents, wanted.inner)

    def finish(self, columns: list[Values], resolved: Iterator[Values]) -> None:
        for number, wanted in enumerate(self.wanted):
            documents = columns[number]
            _put(documents, wanted.inner, resolved)
            if self._present is not None:
                for document in documents:
                    self._present(document)
            if self._has_words:  # which are looked for in the BSON of the linking documents only
                columns[number] = [orjson.Fragment(to_json(document)) for document in documents]


class _Kept:
    """Rows that were read, the last used last; as many as there is room for."""

    def __init__(self) -> None:
        self._rows: dict[Any, Any] = {}

    def take(self, wanted: Iterable[Any]) -> dict[Any, Any]:
        """Those of the wanted rows that are there, which go out of here until they are added."""
        rows = self._rows
        return {one: rows.pop(one) for one in wanted if one in rows}

    def add(self, rows: dict[Any, Any], average: float) -> None:
        """Keeps rows, of about so many bytes each, and forgets those that were not used longest."""
        self._rows.update(rows)
        room = min(KEPT, int(KEPT_BYTES // max(average, 1)))
        surplus = len(self._rows) - room
        if surplus > 0:
            for one in list(self._rows)[:surplus]:
                del self._rows[one]


# --- links in values -----------------------------------------------------------------------------


@dataclass
class _Links:
    """The links of a column: what each is to lead to, in the shape of the column's cells."""

    cells: Values
    has_lists: bool
    ids: list[Any] = field(default_factory=list)  # None where nothing is led to
    keys: dict[Any, Any] = field(default_factory=dict)  # the `_id`s by what identifies them
    inner: "_Links | None" = None

    @classmethod
    def of(cls, collection: str, cells: Values) -> "_Links":
        """The links of these cells to documents of a collection."""
        if list in set(map(type, cells)):
            flat = list(
                chain.from_iterable(cell if type(cell) is list else (cell,) for cell in cells)
            )
            inner = cls.of(collection, flat)
            return cls(cells, True, inner.ids, inner.keys, inner)
        keys = _keys(cells, collection)
        ids = keys if set(map(type, keys)) <= _OWN else list(map(_identity, keys))
        by_id = dict(zip(ids, keys, strict=True))
        by_id.pop(None, None)
        return cls(cells, False, ids, by_id)

    @property
    def count(self) -> int:
        """How many links there are."""
        return len(self.ids)

    def place(self, rows: dict[Any, Any], position: int, keeps_key: bool) -> Values:
        """What a row has in this position, in the place of each link."""
        if self.inner is not None:
            placed = iter(self.inner.place(rows, position, keeps_key))
            return [
                [next(placed) for _ in cell] if type(cell) is list else next(placed)
                for cell in self.cells
            ]
        found = map(rows.get, self.ids)
        if keeps_key:
            pairs = zip(found, self.cells, strict=True)
            return [_reference(cell) if row is None else row[position] for row, cell in pairs]
        return [None if row is None else row[position] for row in found]


def _keys(cells: Values, collection: str) -> list[Any]:
    """The `_id`s to which links lead; in one go where all are references as they mostly are."""
    if set(map(type, cells)) == {dict} and all(
        len(cell) == 2 and cell.get(_MARK) == collection for cell in cells
    ):
        keys = [cell.get("$id") for cell in cells]
        if set(map(type, keys)) == {bson.ObjectId}:
            return keys
    return [_key(cell, collection) for cell in cells]


def _key(value: Any, collection: str) -> Any:
    """The `_id` to which a link leads; None where it leads to no document of the collection."""
    if type(value) is dict and _MARK in value:
        is_link = len(value) == 2 and value[_MARK] == collection
        value = value.get("$id") if is_link else None
    elif type(value) is bson.DBRef:
        value = value.id if is_reference(collection, value) else None
    return value if type(value) in _PLAIN or refusal(value) is None else None


def _identity(key: Any) -> Any:
    return key if type(key) in _OWN else identity(key)


def read_columns(
    raw: bytes, table: Table, columns: Sequence[Steps], *, modern: bool = False
) -> list[Values]:
    """The columns of some documents, with references as dicts with a mark where that is safe.

    It is safe where each occurrence of what a reference begins with was one, in a cell or in a list
    there, and no cell holds another one.
    """
    count = raw.count(_REFERENCE)
    if count and _MARKED not in raw and not _overlap(columns):
        marked = raw.replace(_REFERENCE, _MARKED)
        values = table.columns_of(decode_all(marked, modern=modern))
        different = {id(column): column for column in values}
        if sum(map(_count_marks, different.values())) == count:
            return values
    return table.columns_of(decode_all(raw, modern=modern))


def _overlap(columns: Sequence[Steps]) -> bool:
    """Whether a cell of one column holds that of another."""
    return any(
        len(one) < len(other) and other[: len(one)] == one for one in columns for other in columns
    )


def _count_marks(values: Values) -> int:
    count = 0
    for value in values:
        if type(value) is dict:
            count += _MARK in value
        elif type(value) is list:
            count += sum(type(inner) is dict and _MARK in inner for inner in value)
    return count


def _without_marks(values: Values) -> Values:
    """The values with references for dicts with a mark."""
    if set(map(type, values)).isdisjoint((dict, list)) or not _count_marks(values):
        return values
    return [
        list(map(_reference, value)) if type(value) is list else _reference(value)
        for value in values
    ]


def _reference(value: Any) -> Any:
    if type(value) is not dict or _MARK not in value:
        return value
    others = {name: inner for name, inner in value.items() if name not in (_MARK, "$id", "$db")}
    return bson.DBRef(value[_MARK], value.get("$id"), value.get("$db"), others)


# --- links in documents --------------------------------------------------------------------------


@dataclass
class _Tree:
    """The names of which a part of a document is made; without further ones all that is there."""

    onward: dict[str, "_Tree"] = field(default_factory=dict)
    is_whole: bool = False

    @classmethod
    def of(cls, paths: Iterable[Steps]) -> "_Tree":
        """The tree of these paths."""
        tree = cls()
        for path in paths:
            branch = tree
            for name in path:
                branch = branch.onward.setdefault(str(name), cls())
            branch.is_whole = True
        return tree

    def part(self, value: Any) -> Any:
        """The part of an object, or of the objects of a list, as MongoDB's projection has it."""
        if self.is_whole:
            return value
        if type(value) is list:
            return [self.part(inner) for inner in value if type(inner) in (dict, list)]
        part = {}
        for name, inner in value.items():
            tree = self.onward.get(name)
            if tree is not None and (tree.is_whole or type(inner) in (dict, list)):
                part[name] = tree.part(inner)
        return part


def names(steps: Sequence[Step]) -> Steps:
    """The steps without those to the elements of a list, which documents have in their places."""
    return tuple(step for step in steps if step is not None)


def _group(columns: Iterable[Column | Linked]) -> list[tuple[Steps, list[Linked]]]:
    """What is asked behind each link."""
    behind: dict[Steps, list[Linked]] = {}
    for column in columns:
        further = column.linked if isinstance(column, Column) else column.inner
        if further is not None:
            behind.setdefault(names(column.steps), []).append(further)
    return list(behind.items())


def _asks(documents: Sequence[Any], links: Iterable[tuple[Steps, Place | None]]) -> Iterator[Ask]:
    for steps, place in links:
        if place is not None:
            yield place, [holder[name] for holder, name in _all_places(documents, steps)]


def _put(
    documents: Sequence[Any],
    links: Iterable[tuple[Steps, Place | None]],
    resolved: Iterator[Values],
) -> None:
    for steps, place in links:
        if place is not None:
            for (holder, name), value in zip(
                _all_places(documents, steps), next(resolved), strict=True
            ):
                holder[name] = value


def _all_places(documents: Sequence[Any], steps: Steps) -> list[tuple[Any, Any]]:
    """Where links stand: what holds each, or a list of them, and under which name or number."""
    if len(steps) == 1:
        return [(document, steps[0]) for document in documents if steps[0] in document]
    path = [str(step) for step in steps]
    return [place for document in documents for place in link_places(document, path)]
