"""Documents through links: the linked documents' parts in the place of links, in documents."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from operator import getitem
from typing import Any

import orjson
from bson.errors import InvalidBSON

from app.query.flatten import Step, Steps
from app.resources.codec import decode_all
from app.resources.rendering import Presenter, may_hold_not_finite, to_json
from app.spreadsheets.columns import Column, Linked, Values
from app.store.linked import link_places
from app.transfers.link_levels import BatchSize, Followed, Level, Node, Origin, Part, Wish
from app.transfers.link_targets import identify
from app.transfers.linked_cells import show_links
from app.transfers.linked_reads import LinkedReads
from app.transfers.references import (
    TAKEN,
    Links,
    are_keys,
    edits,
    take_keys,
)

Document = dict[str, Any]
Presenters = Mapping[str, Presenter | None]  # by collection


@dataclass(frozen=True)
class FollowedDocuments:
    """Documents whose links were followed: `places` is where in them the `columns` of links are."""

    documents: list[Document]
    places: list["_Places"]
    columns: list[Values]
    links: Followed


class LinkedDocuments:
    """Shows links, and puts parts of linked documents in their place, in documents.

    `links` are the fields that hold links: the names on the way, and where the links lead.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        links: Iterable[tuple[Steps, str]],
        presenters: Presenters,
        reads: LinkedReads,
    ) -> None:
        self.batch = BatchSize()
        self._levels = Level(partial(_make_node, presenters), reads, self.batch)
        kept = {names(column.steps) for column in columns if column.linked is None}
        behind = dict(_group(columns))
        self._origins = {
            steps: _add(self._levels, further, keeps_key=steps in kept)
            for steps, further in behind.items()
        }
        shown = {steps: target for steps, target in links if steps not in behind}
        self._targets = {steps: further[0].collection for steps, further in behind.items()} | shown
        self._done = {str(steps[0]) for steps in self._targets if len(steps) == 1}
        self._unfit = {str(steps[0]) for steps in behind if len(steps) == 1 and steps not in kept}

    def follow(self, raw: bytes) -> FollowedDocuments:
        """Asks for what the links in some BSON lead to."""
        documents, places, columns = self._find_links(raw)
        wishes = list(zip(self._origins.values(), columns, strict=False))
        return FollowedDocuments(documents, places, columns, self._levels.follow(wishes))

    def place(
        self, followed: FollowedDocuments, present: Presenter | None = None
    ) -> list[Document]:
        """The documents of the BSON, presentable but for what has no JSON."""
        columns = followed.columns
        shown = map(show_links, columns[len(self._origins) :])
        values = [*self._levels.resolve(followed.links), *shown]
        for places, placed in zip(followed.places, values, strict=True):
            places.put(placed)
        self.batch.adapt(len(followed.documents))
        done = self._done if all(type(column) is Links for column in columns) else self._unfit
        rest = _without(present, done)
        if rest is not None:
            for document in followed.documents:
                rest(document)
        return followed.documents

    def _find_links(self, raw: bytes) -> tuple[list[Document], list["_Places"], list[Values]]:
        """The documents, where in them links stand, and these links."""
        steps, targets = list(self._targets), list(self._targets.values())
        for edit in edits(raw, steps, targets):
            with suppress(InvalidBSON):
                documents = decode_all(edit.raw)
                places = self._find_places(documents)
                columns = edit.find_links([one.values() for one in places], targets)
                if columns is not None:
                    return documents, places, columns
        documents = decode_all(raw)
        places = self._find_places(documents)
        return documents, places, [one.values() for one in places]

    def _find_places(self, documents: list[Document]) -> list["_Places"]:
        return [_Places.of(documents, steps) for steps in self._targets]


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


def _add(level: Level, behind: Sequence[Linked], *, keeps_key: bool) -> Origin:
    """Where what several columns want behind the same link will come from."""
    steps = [names(linked.steps) for linked in behind]
    links = {names(linked.steps) for linked in behind if linked.inner is None}
    inner = tuple(
        (path, _add(level.further, further, keeps_key=path in links))
        for path, further in _group(behind)
    )
    kept = [("_id",), *steps] if keeps_key else steps
    return level.add(behind[0].collection, Part(tuple(kept), inner, keeps_key))


def _without(present: Presenter | None, done: Set[str]) -> Presenter | None:
    """What is left to do for a presenter where fields are presentable already."""
    if present is None or done.isdisjoint(present.tree):
        return present
    tree = {name: action for name, action in present.tree.items() if name not in done}
    return Presenter(tree) if tree else None


# --- linked documents ----------------------------------------------------------------------------


def _make_node(presenters: Presenters, collection: str) -> "_DocumentNode":
    return _DocumentNode(collection, presenters.get(collection))


class _DocumentNode(Node):
    """Linked documents for documents: each part is an object, as JSON."""

    def __init__(self, collection: str, present: Presenter | None) -> None:
        super().__init__(collection)
        self._present = present
        self._has_words = False  # whether a value of what was read has no JSON

    def read_columns(self, raw: bytes) -> tuple[list[Any], list[Values]]:
        ids, documents = self._read(raw)
        if len(self.parts) == 1:  # just what the projection kept
            return ids, [documents]
        trees = [_Tree.of(part.steps) for part in self.parts]
        return ids, [[tree.part(document) for document in documents] for tree in trees]

    def _read(self, raw: bytes) -> tuple[list[Any], list[Document]]:
        """What identifies each document, and the documents, with `_id`s if they are asked for."""
        if not self.wants_keys:
            keys, text = take_keys(raw)
            with suppress(InvalidBSON):
                documents = decode_all(text)
                taken = [document.pop(TAKEN, None) for document in documents]
                if are_keys(keys, taken):
                    self._has_words = may_hold_not_finite(text)
                    return list(keys), documents
        self._has_words = may_hold_not_finite(raw)
        documents = decode_all(raw)
        ids = [identify(document["_id"]) for document in documents]
        if not self.wants_keys:
            for document in documents:
                del document["_id"]
        return ids, documents

    def wishes(self, columns: list[Values]) -> Iterator[Wish]:
        for part, documents in zip(self.parts, columns, strict=True):
            for origin, places in _find_inner(part, documents):
                yield origin, places.values()

    def finish(self, columns: list[Values], resolved: Iterator[Values]) -> None:
        for number, part in enumerate(self.parts):
            documents = columns[number]
            for _, places in _find_inner(part, documents):
                places.put(next(resolved))
            if self._present is not None:
                for document in documents:
                    self._present(document)
            if self._has_words:  # which are looked for in the BSON of the linking documents only
                columns[number] = [orjson.Fragment(to_json(document)) for document in documents]


def _find_inner(part: Part, documents: Sequence[Any]) -> Iterator[tuple[Origin, "_Places"]]:
    """Where what is behind links in documents comes from, and where in them these links stand."""
    for steps, origin in part.inner:
        if origin is not None:
            yield origin, _Places.of(documents, steps)


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
