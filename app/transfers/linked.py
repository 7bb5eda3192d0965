"""Columns through links: the linked documents' values in the place of links, a batch at a time.

A batch of documents has links; each level of links costs one query for each collection that it
leads to, however many links there are. What was read is kept as long as there is room, so that few
documents that many link to are read once, and many are forgotten again.

To follow links is one step, to put in place what they lead to another, which waits for it to be
read: so the linked documents of one batch are read while those of another are decoded and placed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from operator import getitem
from typing import Any

import bson
import orjson
from bson.errors import InvalidBSON

from app.query.flatten import Step, Steps, inclusion
from app.resources.codec import decode_all
from app.resources.keys import refusal
from app.resources.kinds import is_reference
from app.resources.links import identity
from app.resources.rendering import Presenter, may_hold_not_finite, to_json
from app.spreadsheets.columns import Column, Linked, Table, Values
from app.store.linked import link_places
from app.transfers.references import (
    TAKEN,
    Links,
    are_keys,
    count_references,
    find_links,
    mark,
    read_columns,
    show_keys,
    take_keys,
    without_marks,
)

KEPT = 20_000  # linked documents' values
KEPT_BYTES = 8 * 1024 * 1024  # of BSON, from which they were made
SELDOM = 8  # batches, of which one is kept where nothing that was kept is asked for again
BATCH = 1_000  # documents, at most, whose links are followed together
BATCH_BYTES = 4 * 1024 * 1024  # of BSON of linked documents that stand in a batch, as the last was
GROWTH = 4  # times the batch before, at most

_PLAIN = frozenset((bson.ObjectId, int))  # types that any `_id` may have
_OWN = frozenset((bytes, type(None)))  # those that are their own identity

# Asks for the documents with these `_id`s (ObjectIds as their bytes), as far as a projection keeps
# them, and returns what waits for their BSON.
Ask = Callable[[str, list[Any], dict[str, Any]], Callable[[], bytes]]
Presenters = Mapping[str, Presenter | None]  # by collection


@dataclass(frozen=True)
class Place:
    """Where the values of a column are: the collection of a level, and which of its values."""

    collection: str
    position: int


Wish = tuple[Place, Values]  # links, and what is asked of the documents to which they lead
Resolve = Callable[[], list[Values]]  # gives what is in the place of the links of each wish


class LinkedCells:
    """Shows links, and puts values of linked documents in their place, in column-major values."""

    def __init__(self, columns: Sequence[Column], ask: Ask) -> None:
        self.batch = Batching()
        self.targets = [column.target for column in columns]
        self._levels = _Level(_Cells, self.batch)
        self._ask = ask
        self._places = {
            number: self._levels.add_cell(column.linked)
            for number, column in enumerate(columns)
            if column.linked is not None
        }
        self._presenters = [
            column.presenter() if column.kind == "link" else None for column in columns
        ]

    def follow(self, columns: list[Values]) -> Callable[[], list[Values]]:
        """Asks for what links lead to, and returns what puts it in place.

        That gives the columns, with what is shown of links, or values behind them, for links.
        """
        wishes = [(place, columns[number]) for number, place in self._places.items()]
        resolve = self._levels.follow(wishes, self._ask)
        return partial(self._place, columns, resolve)

    def _place(self, columns: list[Values], resolve: Resolve) -> list[Values]:
        placed = list(columns)
        for number, values in zip(self._places, resolve(), strict=True):
            placed[number] = values
        self.batch.adapt(len(columns[0]))
        return list(map(_show, placed, self._presenters))


def _show(column: Values, present: Callable[[Values], Values] | None) -> Values:
    if type(column) is Links:
        return column.show()
    return present(column) if present is not None else column


class LinkedDocuments:
    """Shows links, and puts parts of linked documents in their place, in documents.

    `links` are the fields that hold links: the names on the way, and where the links lead.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        links: Iterable[tuple[Steps, str]],
        presenters: Presenters,
        ask: Ask,
    ) -> None:
        self.batch = Batching()
        self._levels = _Level(_Parts, self.batch, presenters)
        self._ask = ask
        kept = {names(column.steps) for column in columns if column.linked is None}
        behind = dict(_group(columns))
        self._through = {
            steps: self._levels.add_part(further, keeps_key=steps in kept)
            for steps, further in behind.items()
        }
        shown = {steps: target for steps, target in links if steps not in behind}
        self._targets = {steps: further[0].collection for steps, further in behind.items()} | shown
        self._done = {str(steps[0]) for steps in self._targets if len(steps) == 1}
        self._unfit = {str(steps[0]) for steps in behind if len(steps) == 1 and steps not in kept}

    def follow(
        self, raw: bytes, present: Presenter | None = None
    ) -> Callable[[], list[dict[str, Any]]]:
        """Asks for what the links in some BSON lead to, and returns what puts it in place.

        That gives the documents of the BSON, presentable but for what has no JSON.
        """
        documents, places, columns = self._find_links(raw)
        wishes = list(zip(self._through.values(), columns, strict=False))
        resolve = self._levels.follow(wishes, self._ask)
        return partial(self._place, documents, places, columns, resolve, present)

    def _place(
        self,
        documents: list[dict[str, Any]],
        places: list["_Places"],
        columns: list[Values],
        resolve: Resolve,
        present: Presenter | None,
    ) -> list[dict[str, Any]]:
        done = self._done if all(type(column) is Links for column in columns) else self._unfit
        shown = [_show(column, None) for column in columns[len(self._through) :]]
        for one, values in zip(places, [*resolve(), *shown], strict=True):
            one.put(values)
        self.batch.adapt(len(documents))
        rest = _without(present, done)
        if rest is not None:
            for document in documents:
                rest(document)
        return documents

    def _find_links(self, raw: bytes) -> tuple[list[dict[str, Any]], list["_Places"], list[Values]]:
        """The documents, where in them links stand, and these links."""
        targets = list(self._targets.values())
        marked = mark(raw, targets)
        if marked is not None:
            text, count = marked
            documents = decode_all(text)
            places = self._find_places(documents)
            columns = find_links([one.values() for one in places], targets)
            if count_references(columns) == count:
                return documents, places, list(map(without_marks, columns))
        documents = decode_all(raw)
        places = self._find_places(documents)
        return documents, places, [one.values() for one in places]

    def _find_places(self, documents: list[dict[str, Any]]) -> list["_Places"]:
        return [_Places.of(documents, steps) for steps in self._targets]


def _without(present: Presenter | None, done: Set[str]) -> Presenter | None:
    """What is left to do for a presenter where fields are presentable already."""
    if present is None or done.isdisjoint(present.tree):
        return present
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
        wanted = _Wanted((linked.steps,), ((linked.steps, inner),), target=linked.target)
        return self._add(linked.collection, wanted)

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

    def follow(self, wishes: Sequence[Wish], ask: Ask) -> Resolve:
        """Asks for what links lead to; for what is behind that, where it is resolved."""
        links = _read_targets(wishes)
        places = [place for place, _ in wishes]
        wanted: dict[str, dict[Any, Any]] = {}
        for place, one in zip(places, links, strict=True):
            others = wanted.get(place.collection)
            wanted[place.collection] = others | one.keys if others else one.keys
        found = {name: self._nodes[name].kept.find(keys) for name, keys in wanted.items()}
        asked = [
            asked
            for name, keys in wanted.items()
            if (asked := self._nodes[name].ask(keys, found[name], ask)) is not None
        ]
        return partial(self._resolve, places, links, found, asked, ask)

    def _resolve(
        self,
        places: Sequence[Place],
        links: Sequence["_Targets"],
        found: dict[str, dict[Any, Any]],
        asked: Sequence["_Asked"],
        ask: Ask,
    ) -> list[Values]:
        self._take(found, asked, ask)
        resolved = []
        for place, one in zip(places, links, strict=True):
            node = self._nodes[place.collection]
            self._batch.count(one.count, node.average)
            keeps_key = node.wanted[place.position].keeps_key
            resolved.append(one.place(found[place.collection], place.position, keeps_key))
        return resolved

    def _take(self, found: dict[str, dict[Any, Any]], asked: Sequence["_Asked"], ask: Ask) -> None:
        """Takes the rows that were asked for to those that were found, and keeps them."""
        read = [one.read() for one in asked]
        wishes = [
            wish
            for one, (_, columns) in zip(asked, read, strict=True)
            for wish in one.node.wishes(columns)
        ]
        further = self._next.follow(wishes, ask)() if self._next is not None and wishes else ()
        resolved = iter(further)
        for one, (ids, columns) in zip(asked, read, strict=True):
            node = one.node
            node.finish(columns, resolved)
            rows = dict.fromkeys(one.keys)
            rows.update(zip(ids, zip(*columns, strict=True), strict=True))
            found[node.collection].update(rows)
            node.kept.add(rows, node.average)


def _read_targets(wishes: Sequence[Wish]) -> list["_Targets"]:
    """The links of each column; those of several columns with the same links are read once."""
    read: dict[tuple[str, int], _Targets] = {}
    for place, values in wishes:
        if (place.collection, id(values)) not in read:
            read[place.collection, id(values)] = _Targets.of(place.collection, values)
    return [read[place.collection, id(values)] for place, values in wishes]


@dataclass(frozen=True)
class _Wanted:
    """What is asked of a linked document: the steps to it, and of links in it what is behind."""

    steps: tuple[Steps, ...]
    inner: tuple[tuple[Steps, Place | None], ...]
    keeps_key: bool = False  # where a link leads nowhere, its `_id` stays
    target: str | None = None  # the collection to which links at the steps lead


class _Node:
    """What is asked of the documents of one collection, on one level; what was read of them."""

    def __init__(self, collection: str, present: Presenter | None) -> None:
        self.collection = collection
        self.wanted: list[_Wanted] = []
        self.kept = _Kept()
        self.average = 0.0  # bytes of a document that was asked for, as far as it was read
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
    def wants_keys(self) -> bool:
        """Whether the documents' `_id`s are asked for, or parts of them."""
        return any(steps[0] == "_id" for wanted in self.wanted for steps in wanted.steps)

    def ask(self, keys: Mapping[Any, Any], rows: Mapping[Any, Any], ask: Ask) -> "_Asked | None":
        """Asks for the documents with these keys that have no row; None where all have one."""
        missing = {one: key for one, key in keys.items() if one not in rows} if rows else keys
        if not missing:
            return None
        wait = ask(self.collection, list(missing.values()), self.projection)
        return _Asked(self, missing, wait)

    def count(self, documents: int, size: int) -> None:
        """Counts documents that were asked for, and the bytes that came of them."""
        self._documents += documents
        self._bytes += size
        self.average = self._bytes / self._documents

    def read_columns(self, raw: bytes) -> tuple[list[Any], list[Values]]:
        """What identifies each document, and the values of each thing that is asked."""
        raise NotImplementedError

    def wishes(self, columns: list[Values]) -> Iterator[Wish]:
        """The links among the values behind which there is more."""
        raise NotImplementedError

    def finish(self, columns: list[Values], resolved: Iterator[Values]) -> None:
        """Takes what is behind them into the values."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Asked:
    """The documents of a node that were asked for, by what identifies them."""

    node: _Node
    keys: Mapping[Any, Any]
    wait: Callable[[], bytes]

    def read(self) -> tuple[list[Any], list[Values]]:
        """What identifies those that are there, and the values of each thing that is asked."""
        raw = self.wait()
        self.node.count(len(self.keys), len(raw))
        return self.node.read_columns(raw)


class _Cells(_Node):
    """Of tables: each thing that is asked is the value of a cell."""

    def read_columns(self, raw: bytes) -> tuple[list[Any], list[Values]]:
        if not self.wants_keys:
            keys, text = take_keys(raw)
            with suppress(InvalidBSON):
                taken, *columns = self._read(text, TAKEN)
                if are_keys(keys, taken):
                    return keys, self._show(columns)
        ids, *columns = self._read(raw, "_id")
        return list(map(_identity, ids)), self._show(columns)

    def _read(self, raw: bytes, first: str) -> list[Values]:
        """The column of a field, and those of what is asked."""
        steps: list[Steps] = [(first,), *(wanted.steps[0] for wanted in self.wanted)]
        targets = [None, *(wanted.target for wanted in self.wanted)]
        return read_columns(raw, Table(steps), steps, targets)

    def _show(self, columns: list[Values]) -> list[Values]:
        """The columns, with links as they are shown where nothing behind them is asked."""
        return [
            column if wanted.inner[0][1] is not None else _show(column, None)
            for column, wanted in zip(columns, self.wanted, strict=True)
        ]

    def wishes(self, columns: list[Values]) -> Iterator[Wish]:
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
        ids, documents = self._read(raw)
        if len(self.wanted) == 1:  # just what the projection kept
            return ids, [documents]
        trees = [_Tree.of(wanted.steps) for wanted in self.wanted]
        return ids, [[tree.part(document) for document in documents] for tree in trees]

    def _read(self, raw: bytes) -> tuple[list[Any], list[dict[str, Any]]]:
        """What identifies each document, and the documents, with `_id`s if they are asked for."""
        if not self.wants_keys:
            keys, text = take_keys(raw)
            with suppress(InvalidBSON):
                documents = decode_all(text)
                taken = [document.pop(TAKEN, None) for document in documents]
                if are_keys(keys, taken):
                    self._has_words = may_hold_not_finite(text)
                    return keys, documents
        self._has_words = may_hold_not_finite(raw)
        documents = decode_all(raw)
        ids = [_identity(document["_id"]) for document in documents]
        if not self.wants_keys:
            for document in documents:
                del document["_id"]
        return ids, documents

    def wishes(self, columns: list[Values]) -> Iterator[Wish]:
        for wanted, documents in zip(self.wanted, columns, strict=True):
            yield from _wishes(documents, wanted.inner)

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
        self._useless = 0  # batches of which nothing was here, the last ones in a row

    def find(self, wanted: Iterable[Any]) -> dict[Any, Any]:
        """Those of the wanted rows that are there."""
        rows = self._rows
        found = {one: rows.pop(one) for one in wanted if one in rows}
        rows.update(found)
        self._useless = 0 if found else self._useless + 1
        return found

    def add(self, rows: dict[Any, Any], average: float) -> None:
        """Keeps rows, of about so many bytes each, and forgets those that were not used longest.

        Where nothing that is here was asked for of late, only some batches are worth that.
        """
        room = min(KEPT, int(KEPT_BYTES // max(average, 1)))
        surplus = len(self._rows) + len(rows) - room
        if surplus > 0 and self._useless % SELDOM:
            return
        self._rows.update(rows)
        for one in list(islice(self._rows, max(0, surplus))):
            del self._rows[one]


# --- links in values -----------------------------------------------------------------------------


@dataclass
class _Targets:
    """What the links of a column are to lead to, in the shape of the column's cells."""

    cells: Values
    ids: list[Any]  # what identifies each `_id`, None where nothing is led to
    keys: dict[Any, Any]  # the `_id`s by what identifies them
    inner: "_Targets | None" = None  # of what is in lists

    @classmethod
    def of(cls, collection: str, cells: Values) -> "_Targets":
        """The targets of links in these cells to documents of a collection."""
        if type(cells) is Links:
            return cls._of_links(cells)
        if list in set(map(type, cells)):
            flat = list(
                chain.from_iterable(cell if type(cell) is list else (cell,) for cell in cells)
            )
            inner = cls.of(collection, flat)
            return cls(cells, inner.ids, inner.keys, inner)
        keys = [_key(cell, collection) for cell in cells]
        ids = list(map(_identity, keys))
        return cls(cells, ids, _by_id(ids, keys))

    @classmethod
    def _of_links(cls, links: Links) -> "_Targets":
        keys = links.keys
        if set(map(type, keys)) <= _OWN:
            return cls(links, keys, _by_id(keys, keys))
        ids = [key if type(key) is bytes else _identity(key) for key in keys]
        return cls(links, ids, _by_id(ids, keys))

    @property
    def count(self) -> int:
        """How many links there are."""
        return len(self.ids)

    def place(self, rows: dict[Any, Any], position: int, keeps_key: bool) -> Values:
        """What a row has in this position, in the place of each link."""
        if type(self.cells) is Links:
            shown = show_keys(self.cells.keys) if keeps_key else ()
            return self.cells.arrange(self._find(rows, position, shown))
        if self.inner is not None:
            placed = iter(self.inner.place(rows, position, keeps_key))
            return [
                [next(placed) for _ in cell] if type(cell) is list else next(placed)
                for cell in self.cells
            ]
        return self._find(rows, position, self.cells if keeps_key else ())

    def _find(self, rows: dict[Any, Any], position: int, otherwise: Sequence[Any]) -> Values:
        found = map(rows.get, self.ids)
        if otherwise:
            pairs = zip(found, otherwise, strict=True)
            return [key if row is None else row[position] for row, key in pairs]
        return [None if row is None else row[position] for row in found]


def _by_id(ids: Iterable[Any], keys: Iterable[Any]) -> dict[Any, Any]:
    by_id = dict(zip(ids, keys, strict=True))
    by_id.pop(None, None)
    return by_id


def _key(value: Any, collection: str) -> Any:
    """The `_id` to which a link leads; None where it leads to no document of the collection."""
    if type(value) is bson.DBRef:
        value = value.id if is_reference(collection, value) else None
    if type(value) is bytes:
        return bson.Binary(value)  # for bytes alone are an ObjectId here
    return value if type(value) in _PLAIN or refusal(value) is None else None


def _identity(key: Any) -> Any:
    """The bytes of an ObjectId; of another `_id` something else that is equal for equal ones."""
    if key is None:
        return None
    return key.binary if type(key) is bson.ObjectId else (identity(key),)


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


def _wishes(
    documents: Sequence[Any], links: Iterable[tuple[Steps, Place | None]]
) -> Iterator[Wish]:
    for steps, place in links:
        if place is not None:
            yield place, _Places.of(documents, steps).values()


def _put(
    documents: Sequence[Any],
    links: Iterable[tuple[Steps, Place | None]],
    resolved: Iterator[Values],
) -> None:
    for steps, place in links:
        if place is not None:
            _Places.of(documents, steps).put(next(resolved))


@dataclass(frozen=True)
class _Places:
    """Where links stand: what holds each, or a list of them, and under which name or number."""

    holders: list[Any]
    names: list[Any]

    @classmethod
    def of(cls, documents: Sequence[Any], steps: Steps) -> "_Places":
        """The places in documents to which the steps lead."""
        if len(steps) == 1:
            holders = [document for document in documents if steps[0] in document]
            return cls(holders, [steps[0]] * len(holders))
        path = [str(step) for step in steps]
        found = [place for document in documents for place in link_places(document, path)]
        return cls([holder for holder, _ in found], [name for _, name in found])

    def values(self) -> Values:
        """What stands there."""
        return list(map(getitem, self.holders, self.names))

    def put(self, values: Values) -> None:
        """Puts other values there."""
        for holder, name, value in zip(self.holders, self.names, values, strict=True):
            holder[name] = value
