"""References (DBRefs) in BSON, made into what costs little to decode.

The driver makes an object of Python of every reference and of every ObjectId, at ten times the cost
of a dict or of bytes. So references are marked before BSON is decoded, in their place and size: one
by ObjectId, as Beanie writes it, becomes an object whose only field is named for the collection and
holds the key's 12 bytes; of any other one the first field gets another name. A mark is made from
the length of its object on, so it changes nothing of the structure; what only looks like a
reference, in a text say, is counted too, and then the documents are decoded as they are.
"""

import re
import struct
import uuid
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain, compress, islice
from operator import itemgetter
from typing import Any

import bson
from bson.errors import InvalidBSON

from app.query.flatten import Steps
from app.resources.codec import decode_all
from app.resources.elements import ARRAY, BINARY, BOOLEAN, OBJECT, OBJECT_ID
from app.spreadsheets.columns import Table, Values
from app.transfers.reference_lists import has_at_beginning, hide_lists, name_lists, read_hidden

KEY_BYTES = 12  # of an ObjectId
_REFERENCE, _MARKED = b"\x02$ref\0", b"\x02\x1eref\0"
_NAME = b"\x1eref"
_RARE = 1_000  # times that its first byte is looked for alone, which is quicker
TAKEN = "\x1d_id was taken"  # the name of a field that is true, as long as an `_id`
_KEY = bytes([OBJECT_ID]) + b"_id\0"
_TAKEN = bytes([BOOLEAN]) + TAKEN.encode() + b"\0\1"
_taken = re.compile(re.escape(_KEY) + b"(.{%d})" % KEY_BYTES, re.DOTALL)
_put = struct.Struct(f"{len(_TAKEN)}s").pack_into
_LONG = _NAME.decode()
_SHORT = "\x1erefs to "  # before the collection
_OTHERS = frozenset({int, bson.Int64, str, uuid.UUID})  # types of keys that are no ObjectIds
_pack = struct.Struct("<i").pack


@dataclass(frozen=True)
class Mark:
    """How references by ObjectId to one collection begin, as stored and marked, up to the key.

    `renamed` is how they are marked where others are.
    """

    name: str
    stored: bytes
    marked: bytes
    renamed: bytes


@cache
def mark_of(collection: str) -> Mark:
    """The mark of references to a collection."""
    text = collection.encode()
    name = f"{_SHORT}{collection}"  # as long as the bytes in whose place it stands
    target = _REFERENCE + _pack(len(text) + 1) + text + b"\0" + bytes([OBJECT_ID]) + b"$id\0"
    length = _pack(4 + len(target) + KEY_BYTES + 1)
    binary = bytes([BINARY]) + name.encode() + b"\0" + _pack(KEY_BYTES) + b"\0"
    stored = length + target
    return Mark(name, stored, length + binary, stored.replace(_REFERENCE, _MARKED))


class Links(list[Any]):
    """A column of links to one collection, all of them references by one type of key.

    `keys` has for each link the `_id`, an ObjectId as its bytes, None where there is none;
    `lengths`, where cells are lists, how long each is, None for a cell that is none.
    """

    def __init__(
        self,
        cells: Values,
        collection: str,
        keys: list[Any],
        lengths: list[int | None] | None,
        marks: int,
        lists: int = 0,
    ) -> None:
        """`marks` of the links are marked; `lists` of the cells are hidden."""
        super().__init__(cells)
        self.collection = collection
        self.keys = keys
        self.lengths = lengths
        self.marks = marks
        self.lists = lists

    def arrange(self, values: Values) -> Values:
        """A value for each link, in the shape of the cells."""
        if self.lengths is None:
            return values
        rest = iter(values)
        return [None if length is None else list(islice(rest, length)) for length in self.lengths]

    def show(self) -> Values:
        """The cells as the API shows links."""
        return self.arrange(show_keys(self.keys))


def show_keys(keys: list[Any]) -> Values:
    """The keys as the API shows them: an ObjectId as its hex digits."""
    if set(map(type, keys)) == {bytes}:
        return b"".join(keys).hex("\n", KEY_BYTES).split("\n")
    return [key.hex() if type(key) is bytes else key for key in keys]


def read_columns(
    raw: bytes,
    table: Table,
    columns: Sequence[Steps],
    targets: Sequence[str | None],
    *,
    modern: bool = False,
) -> list[Values]:
    """The columns of some documents; of links `Links`, where they are what they mostly are.

    `targets` says to which collection the links of a column lead, None where it has none.
    """
    if not _overlap(columns):
        for edit in edits(raw, columns, targets):
            with suppress(InvalidBSON):
                values = table.columns_of(decode_all(edit.raw, modern=modern))
                found = edit.find_links(values, targets)
                if found is not None:
                    return found
    return table.columns_of(decode_all(raw, modern=modern))


@dataclass(frozen=True)
class Edit:
    """Some BSON in which so many references are marked, and so many lists hidden.

    `hiding` says of each column whether its lists are; a binary of another one is a binary.
    """

    raw: bytes
    marks: int
    lists: int = 0
    hiding: tuple[bool, ...] = ()

    def find_links(
        self, columns: Sequence[Values], targets: Sequence[str | None]
    ) -> list[Values] | None:
        """The columns of what was decoded, those of links as `Links`; None where it isn't right."""
        found = find_links(columns, targets)
        hidden = list(compress(found, self.hiding))
        if not count_lists(hidden) == count_lists(found) == self.lists:
            return None
        if not self.marks:
            return found
        if count_references(found) != self.marks:
            return None
        return list(map(without_marks, found))


def edits(raw: bytes, columns: Sequence[Steps], targets: Sequence[str | None]) -> Iterator[Edit]:
    """Ways to decode some BSON with references at low cost, the cheapest first; each may fail.

    A column with a target ends at a link, or at a list of them.
    """
    lists = name_lists(raw, columns, targets)
    references = {name: mark_of(target).stored for name, target in lists.items()}
    text, hidden = hide_lists(raw, references)
    if hidden:
        others = _find_others(raw, columns, targets, hidden)
        hiding = tuple(steps[-1] in hidden for steps in columns)
        yield Edit(*(mark(text, others) or (text, 0)), sum(hidden.values()), hiding)
    marked = mark(raw, targets)
    if marked is not None:
        yield Edit(*marked)


def _find_others(
    raw: bytes, columns: Sequence[Steps], targets: Sequence[str | None], hidden: Container[Any]
) -> list[str | None]:
    """Where those links lead that aren't hidden, of fields that the BSON's beginning has."""
    return [
        target
        for steps, target in zip(columns, targets, strict=True)
        if target is not None
        and steps[-1] not in hidden
        and (
            has_at_beginning(raw, OBJECT, str(steps[-1]))
            or has_at_beginning(raw, ARRAY, str(steps[-1]))
        )
    ]


def mark(raw: bytes, targets: Iterable[str | None]) -> tuple[bytes, int] | None:
    """Some BSON with references marked, and how many are; None where none can be."""
    if _has_name(raw):
        return None
    count = 0
    are_short = True
    for target in {target for target in targets if target is not None}:
        known = mark_of(target)
        found = raw.count(known.stored)
        raw = raw.replace(known.stored, known.marked) if found else raw
        count += found
        are_short = are_short and found > 0
    if not are_short:
        count += raw.count(_REFERENCE)
        raw = raw.replace(_REFERENCE, _MARKED)
    return (raw, count) if count else None


def _has_name(raw: bytes) -> bool:
    """Whether there are bytes that would be taken for a mark; found by a first one that is rare."""
    at = raw.find(_NAME[0])
    for _ in range(_RARE):
        if at < 0 or raw.startswith(_NAME, at):
            return at >= 0
        at = raw.find(_NAME[0], at + 1)
    return at >= 0 and raw.find(_NAME, at) >= 0


def _overlap(columns: Sequence[Steps]) -> bool:
    """Whether a cell of one column holds that of another."""
    return any(
        len(one) < len(other) and other[: len(one)] == one for one in columns for other in columns
    )


def find_links(columns: Sequence[Values], targets: Sequence[str | None]) -> list[Values]:
    """The columns, those of links as `Links` where that can be; what was one list stays one."""
    found: dict[tuple[int, str | None], Values] = {}
    for column, target in zip(columns, targets, strict=True):
        if (id(column), target) not in found:
            links = None if target is None else _find_links(column, target)
            found[id(column), target] = column if links is None else links
    pairs = zip(columns, targets, strict=True)
    return [found[id(column), target] for column, target in pairs]


def _find_links(cells: Values, collection: str) -> Links | None:
    types = set(map(type, cells))
    if bytes in types:
        return _find_hidden(cells, collection)
    if list not in types:
        keys = _read_keys(cells, collection)
        return None if keys is None else Links(cells, collection, keys, None, _count_keys(keys))
    lists = [cell for cell in cells if cell is not None]
    if set(map(type, lists)) != {list}:
        return None
    keys = _read_keys(list(chain.from_iterable(lists)), collection)
    lengths = [None if cell is None else len(cell) for cell in cells]
    return None if keys is None else Links(cells, collection, keys, lengths, _count_keys(keys))


def _find_hidden(cells: Values, collection: str) -> Links | None:
    """The links of lists that were hidden; their references may have been marked then."""
    known = mark_of(collection)
    for reference in (known.stored, known.marked, known.renamed):
        found = read_hidden(cells, reference, KEY_BYTES)
        if found is not None:
            keys, lengths = found
            marks = len(keys) if reference != known.stored else 0
            return Links(cells, collection, keys, lengths, marks, sum(map(bool, lengths)))
    return None


def _count_keys(keys: list[Any]) -> int:
    return len(keys) - keys.count(None)


def _read_keys(cells: Values, collection: str) -> list[Any] | None:
    """The keys of marked references and nulls; None where there is another value."""
    present = [cell for cell in cells if cell is not None]
    keys = _read_object_ids(present, collection)
    if keys is None:
        keys = _read_others(present, collection)
    if keys is None or len(keys) == len(cells):
        return keys
    rest = iter(keys)
    return [None if cell is None else next(rest) for cell in cells]


def _read_object_ids(cells: Values, collection: str) -> list[Any] | None:
    try:
        keys = list(map(itemgetter(mark_of(collection).name), cells))
    except (TypeError, KeyError):
        return None
    return keys if sum(map(len, cells)) == len(cells) else None


def _read_others(cells: Values, collection: str) -> list[Any] | None:
    for cell in cells:
        if type(cell) is not dict or len(cell) != 2 or cell.get(_LONG) != collection:
            return None
    keys = [cell.get("$id") for cell in cells]
    return keys if set(map(type, keys)) <= _OTHERS else None


# --- keys ----------------------------------------------------------------------------------------


def take_keys(raw: bytes) -> tuple[list[bytes], bytes]:
    """What may be the `_id`s of some documents, as bytes, and the documents with `TAKEN` instead.

    An ObjectId costs as much to decode as the rest of a small document. `are_keys` says whether it
    was right: another field of this name, or what only looks like one, may have been taken too;
    where that was a field's name, the documents can't even be decoded.
    """
    parts = _taken.split(raw)
    return parts[1::2], _TAKEN.join(parts[::2])


def hide_keys(raw: bytes, begins: Iterable[int]) -> bytes:
    """The documents that begin there with `TAKEN` for each `_id` that comes first, an ObjectId."""
    text = bytearray(raw)
    for begin in begins:
        if raw.startswith(_KEY, begin + 4):  # behind the length
            _put(text, begin + 4, _TAKEN)
    return bytes(text)


def are_keys(keys: Sequence[bytes], taken: Sequence[Any]) -> bool:
    """Whether so many documents, with these values of `TAKEN`, have just these keys."""
    return len(keys) == len(taken) == taken.count(True)


# --- marks among other values --------------------------------------------------------------------


def count_references(columns: Iterable[Values]) -> int:
    """How many marked references there are in cells, or in lists there."""
    return sum(map(_count, {id(column): column for column in columns}.values()))


def _count(column: Values) -> int:
    if type(column) is Links:
        return column.marks
    return sum(map(_is_marked, _each(column)))


def count_lists(columns: Iterable[Values]) -> int:
    """How many hidden lists there are in cells."""
    links = {id(column): column for column in columns if type(column) is Links}
    return sum(one.lists for one in links.values())


def without_marks(column: Values) -> Values:
    """The column with references for marks; of links nothing is left to do."""
    if type(column) is Links or not any(map(_is_marked, _each(column))):
        return column
    return [list(map(_restore, cell)) if type(cell) is list else _restore(cell) for cell in column]


def _each(column: Values) -> Iterator[Any]:
    """Each cell, and what is in a list there, as far as it may be marked."""
    if set(map(type, column)).isdisjoint((dict, list)):
        return
    for cell in column:
        if type(cell) is list:
            yield from cell
        else:
            yield cell


def _is_marked(value: Any) -> bool:
    if type(value) is not dict:
        return False
    return _LONG in value or (len(value) == 1 and next(iter(value)).startswith(_SHORT))


def _restore(value: Any) -> Any:
    """What was marked, as the driver decodes it."""
    if not _is_marked(value):
        return value
    if _LONG not in value:
        ((name, key),) = value.items()
        return bson.DBRef(name.removeprefix(_SHORT), bson.ObjectId(key))
    fields = {"$ref" if name == _LONG else name: inner for name, inner in value.items()}
    if "$id" not in fields or not isinstance(fields.get("$db"), str | None):
        return fields
    return bson.DBRef(fields.pop("$ref"), fields.pop("$id"), fields.pop("$db", None), fields)
