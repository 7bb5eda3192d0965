"""Links, followed level by level: one query for each collection that the links of a level lead to.

    Wishes ─ `Level.follow` ─▶ `Followed` ─ `Level.resolve` ─▶ values in the place of links

A batch of documents has links. To follow links is one step, to put in place what they lead to
another, which waits for it to be read: so the linked documents of one batch are read while those of
another are decoded and placed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.query.flatten import Steps, inclusion
from app.spreadsheets.columns import Values
from app.transfers.link_targets import Targets
from app.transfers.linked_reads import LinkedReads, Read
from app.transfers.row_cache import RowCache

BATCH = 1_000  # documents, at most, whose links are followed together
BATCH_BYTES = 4 * 1024 * 1024  # of BSON of linked documents that stand in a batch, as the last was
GROWTH = 4  # times the batch before, at most


@dataclass(frozen=True)
class Origin:
    """Where what is in the place of links comes from: a collection, the part of its documents."""

    collection: str
    position: int


@dataclass(frozen=True)
class Part:
    """A part of a linked document: the steps to it, and what is asked behind the links in it."""

    steps: tuple[Steps, ...]
    inner: tuple[tuple[Steps, Origin | None], ...]
    keeps_key: bool = False  # where a link leads nowhere, its `_id` stays
    target: str | None = None  # the collection to which links at the steps lead


Wish = tuple[Origin, Values]  # links, and what is asked of the documents to which they lead
Rows = dict[Any, Any]  # by what identifies a document: the values of each part; None for none


class BatchSize:
    """How many documents are taken together, by what their linked ones came to."""

    def __init__(self) -> None:
        self.documents = BATCH // GROWTH
        self._bytes = 0

    def count(self, links: int, size: float) -> None:
        """Counts links, to documents of a size."""
        self._bytes += int(links * size)

    def adapt(self, documents: int) -> None:
        """Ends a batch of so many documents."""
        fitting = BATCH_BYTES * documents // max(self._bytes, 1)
        self.documents = max(1, min(BATCH, GROWTH * self.documents, fitting))
        self._bytes = 0


class Node:
    """One collection on one level: the parts of its documents, and the rows that were read."""

    def __init__(self, collection: str) -> None:
        self.collection = collection
        self.parts: list[Part] = []
        self.cache = RowCache()
        self.average = 0.0  # bytes of a document that was asked for, as far as it was read
        self._documents = self._bytes = 0

    def add(self, part: Part) -> int:
        """Which of the values of a row it is."""
        if part not in self.parts:
            self.parts.append(part)
        return self.parts.index(part)

    @property
    def projection(self) -> dict[str, Any]:
        """What is read of the documents."""
        return inclusion([("_id",), *(steps for part in self.parts for steps in part.steps)])

    @property
    def wants_keys(self) -> bool:
        """Whether the documents' `_id`s are asked for, or parts of them."""
        return any(steps[0] == "_id" for part in self.parts for steps in part.steps)

    def count(self, documents: int, size: int) -> None:
        """Counts documents that were asked for, and the bytes that came of them."""
        self._documents += documents
        self._bytes += size
        self.average = self._bytes / self._documents

    def read_columns(self, raw: bytes) -> tuple[list[Any], list[Values]]:
        """What identifies each document, and the values of each part."""
        raise NotImplementedError

    def wishes(self, columns: list[Values]) -> Iterator[Wish]:
        """The links among the values behind which there is more."""
        raise NotImplementedError

    def finish(self, columns: list[Values], resolved: Iterator[Values]) -> None:
        """Takes what is behind them into the values."""
        raise NotImplementedError


@dataclass(frozen=True)
class Request:
    """The documents of a node that were asked for, by what identifies them."""

    node: Node
    keys: Mapping[Any, Any]
    read: Read

    def read_columns(self) -> tuple[list[Any], list[Values]]:
        """What identifies those that are there, and the values of each part."""
        raw = self.read.result()
        self.node.count(len(self.keys), len(raw))
        return self.node.read_columns(raw)


@dataclass(frozen=True)
class Followed:
    """Links that were followed: the rows that were known, by collection, and the other documents.

    `targets` are the links of each origin.
    """

    origins: Sequence[Origin]
    targets: Sequence[Targets]
    rows: dict[str, Rows]
    requests: Sequence[Request]


class Level:
    """The documents to which the links of one level lead, by collection."""

    def __init__(
        self, make_node: Callable[[str], Node], reads: LinkedReads, batch: BatchSize
    ) -> None:
        self._make_node = make_node
        self._reads = reads
        self._batch = batch
        self._nodes: dict[str, Node] = {}
        self._further: Level | None = None

    @property
    def further(self) -> "Level":
        """The level behind the links in these documents."""
        if self._further is None:
            self._further = Level(self._make_node, self._reads, self._batch)
        return self._further

    def add(self, collection: str, part: Part) -> Origin:
        """Where what is asked of the documents of a collection will come from."""
        if collection not in self._nodes:
            self._nodes[collection] = self._make_node(collection)
        return Origin(collection, self._nodes[collection].add(part))

    def follow(self, wishes: Sequence[Wish]) -> Followed:
        """Asks for what links lead to; for what is behind that, where it is resolved."""
        origins = [origin for origin, _ in wishes]
        targets = _find_targets(wishes)
        keys: dict[str, dict[Any, Any]] = {}
        for origin, one in zip(origins, targets, strict=True):
            others = keys.get(origin.collection)
            keys[origin.collection] = others | one.keys if others else one.keys
        rows = {name: self._nodes[name].cache.find(ids) for name, ids in keys.items()}
        requests = [self._request(name, ids, rows[name]) for name, ids in keys.items()]
        return Followed(origins, targets, rows, [one for one in requests if one is not None])

    def _request(self, name: str, keys: Mapping[Any, Any], rows: Rows) -> Request | None:
        """Asks for the documents with these keys that have no row; None where all have one."""
        missing = {one: key for one, key in keys.items() if one not in rows} if rows else keys
        if not missing:
            return None
        node = self._nodes[name]
        return Request(
            node, missing, self._reads.begin(name, list(missing.values()), node.projection)
        )

    def resolve(self, followed: Followed) -> list[Values]:
        """What is in the place of the links of each wish."""
        self._take(followed)
        resolved = []
        for origin, targets in zip(followed.origins, followed.targets, strict=True):
            node = self._nodes[origin.collection]
            self._batch.count(targets.count, node.average)
            rows = followed.rows[origin.collection]
            keeps_key = node.parts[origin.position].keeps_key
            resolved.append(targets.place(rows, origin.position, keeps_key=keeps_key))
        return resolved

    def _take(self, followed: Followed) -> None:
        """Takes the rows that were asked for to those that were known, and keeps them."""
        read = [request.read_columns() for request in followed.requests]
        pairs = list(zip(followed.requests, read, strict=True))
        resolved = self._resolve_further(
            [wish for request, (_, columns) in pairs for wish in request.node.wishes(columns)]
        )
        for request, (ids, columns) in pairs:
            node = request.node
            node.finish(columns, resolved)
            rows: Rows = dict.fromkeys(request.keys)
            rows.update(zip(ids, zip(*columns, strict=True), strict=True))
            followed.rows[node.collection].update(rows)
            node.cache.add(rows, node.average)

    def _resolve_further(self, wishes: Sequence[Wish]) -> Iterator[Values]:
        if self._further is None or not wishes:
            return iter(())
        return iter(self._further.resolve(self._further.follow(wishes)))


def _find_targets(wishes: Sequence[Wish]) -> list[Targets]:
    """The links of each column; those of several columns with the same links are read once."""
    found: dict[tuple[str, int], Targets] = {}
    for origin, values in wishes:
        if (origin.collection, id(values)) not in found:
            found[origin.collection, id(values)] = Targets.of(origin.collection, values)
    return [found[origin.collection, id(values)] for origin, values in wishes]
