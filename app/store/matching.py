"""Whether documents that are about to be stored meet a condition: MongoDB itself says it.

They are sent along with the question, cut to the fields that it is about, and go through what a
find of their collection would: the same matcher, the same collation. So a rule means the same for
what is written as for what is read. Links in a condition must be resolved before.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import bson

from app.query.conditions import Filter
from app.resources.elements import elements, join_elements
from app.store.documents import NUMBER, Documents

T = TypeVar("T")
BATCH = 8 * 1024 * 1024  # bytes of documents in one question, unless one alone has more
_LISTS = ("$and", "$or", "$nor")

Names = frozenset[bytes]


def find_matching(documents: Documents, raws: Sequence[bytes], condition: Filter) -> set[int]:
    """Which of these documents, given as their BSON, meet the condition; counted from 0."""
    names = find_names(condition)
    found: set[int] = set()
    for batch in bound(enumerate(cut(raw, names) for raw in raws), BATCH):
        numbered = [_add_number(raw, number) for number, raw in batch]
        found |= documents.find_matching(numbered, condition)
    return found


def find_names(condition: Mapping[str, Any]) -> Names | None:
    """The fields that a condition is about; None for all of them."""
    names: set[bytes] = set()
    for path, value in condition.items():
        inner = [find_names(one) for one in value] if path in _LISTS else []
        if None in inner or (path.startswith("$") and path not in _LISTS):
            return None
        if not path.startswith("$"):
            names.add(path.partition(".")[0].encode())
        names.update(*(one for one in inner if one is not None))
    return frozenset(names)


def cut(raw: bytes, names: Names | None) -> bytes:
    """A document with these fields alone, each as it is."""
    if names is None:
        return raw
    return join_elements(
        raw[element.begin : element.end] for element in elements(raw) if element.name in names
    )


def _add_number(raw: bytes, number: int) -> bytes:
    head = bson.encode({NUMBER: number})
    return join_elements([head[4:-1], raw[4:-1]])


def bound(pairs: Iterable[tuple[T, bytes]], most: int) -> Iterator[list[tuple[T, bytes]]]:
    """The pairs in lists of `most` bytes; one with more is a list of its own."""
    some: list[tuple[T, bytes]] = []
    size = 0
    for one, raw in pairs:
        if some and size + len(raw) > most:
            yield some
            some, size = [], 0
        some.append((one, raw))
        size += len(raw)
    if some:
        yield some
