"""Lists of references (DBRefs) in BSON, each made into one binary, of which the keys are cut out.

The driver makes an object of Python of every element of a list, and one of a binary. A list that
begins with a reference by ObjectId is made into one in its place and size. What only looks like
such a list, in a text say, is counted too, and may break its document; then the documents are to be
decoded in another way.
"""

import re
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import count
from typing import Any

from app.query.flatten import Steps
from app.resources.elements import ARRAY, BINARY, OBJECT

_FIRST = bytes([OBJECT]) + b"0\0"  # before the first element of a list
# Bytes of an array that are none of the binary: its length, and the type of its first element,
# which becomes the binary's subtype.
_AROUND = 5
BEGINNING = 16 * 1024  # bytes
LENGTHS = 16  # of lists in some BSON, each of which takes a search; with more none is hidden
_LENGTH = struct.Struct("<I")


def name_lists(
    raw: bytes, columns: Sequence[Steps], targets: Sequence[str | None]
) -> dict[str, str]:
    """The names of fields that hold lists of links, it may be, and to where these lead.

    The beginning of the BSON shows which; a name that is the last one of several paths is none.
    """
    paths = {(steps, target) for steps, target in zip(columns, targets, strict=True) if target}
    times = Counter(steps[-1] for steps, _ in paths)
    return {
        str(steps[-1]): target
        for steps, target in paths
        if times[steps[-1]] == 1
        and all(type(step) is str for step in steps)
        and has_at_beginning(raw, ARRAY, str(steps[-1]))
    }


def has_at_beginning(raw: bytes, kind: int, name: str) -> bool:
    """Whether the beginning of some BSON has a field of this type and name."""
    return raw.find(_head(kind, name), 0, BEGINNING) >= 0


def hide_lists(raw: bytes, references: Mapping[str, bytes]) -> tuple[bytes, dict[str, int]]:
    """The BSON with lists as binaries, and how many of each name, without those that have none.

    `references` are the names, with how the lists' elements begin. Beside a binary of one of these
    names nothing is hidden.
    """
    if any(_head(BINARY, name) in raw for name in references):
        return raw, {}
    hidden = {}
    for name, reference in references.items():
        raw, lists = _hide(raw, name, _FIRST + reference)
        if lists:
            hidden[name] = lists
    return raw, hidden


def _hide(raw: bytes, name: str, first: bytes) -> tuple[bytes, int]:
    """The BSON with the lists of a name that begin so as binaries, and how many are.

    All lists of one length are hidden together.
    """
    head = _head(ARRAY, name)
    text, hidden, at = raw, 0, 0
    for _ in range(LENGTHS + 1):
        at = _find_list(text, head, first, at)
        if at < 0:
            return text, hidden
        (length,) = _LENGTH.unpack_from(text, at + len(head))
        stored = head + _LENGTH.pack(length) + first
        binary = _head(BINARY, name) + _LENGTH.pack(max(0, length - _AROUND)) + b"\0" + first[1:]
        hidden += text.count(stored)
        text = text.replace(stored, binary)
    return raw, 0


def _find_list(text: bytes, head: bytes, first: bytes, begin: int) -> int:
    """Where the next list is that begins so; -1 where there is none."""
    at = text.find(head, begin)
    while at >= 0 and not text.startswith(first, at + len(head) + _LENGTH.size):
        at = text.find(head, at + 1)
    return at


def _head(kind: int, name: str) -> bytes:
    """How a field of this type and name begins."""
    return bytes([kind]) + name.encode() + b"\0"


def read_hidden(
    cells: Sequence[Any], reference: bytes, key: int
) -> tuple[list[bytes], list[int | None]] | None:
    """The keys in lists that were hidden, and how many each cell has, None for one without a list.

    `key` is how many bytes each key has. None where there is anything else.
    """
    others = [cell for cell in cells if type(cell) is not bytes]
    if not all(cell is None or cell == [] for cell in others):
        return None
    lists = [cell for cell in cells if type(cell) is bytes]
    size = len(reference) + key + 1
    counts = {length: _count_elements(length, size) for length in set(map(len, lists))}
    lengths = [
        counts[len(cell)] if type(cell) is bytes else None if cell is None else 0 for cell in cells
    ]
    start = bytes([OBJECT])
    keys = _pattern(reference, key).findall(start + start.join(lists))
    if None in counts.values() or len(keys) != sum(filter(None, lengths)):
        return None
    return keys, lengths


@cache
def _pattern(reference: bytes, key: int) -> re.Pattern[bytes]:
    """An element of a list: a reference by a key of so many bytes."""
    start = re.escape(bytes([OBJECT])) + rb"[0-9]+\0" + re.escape(reference)
    return re.compile(start + rb"(.{%d})\0" % key, re.DOTALL)


@lru_cache(1024)
def _count_elements(length: int, size: int) -> int | None:
    """How many elements of a size a hidden list of a length has; None where it has others.

    Each has a type, its number as text, a zero. What ends the list is as long as a type.
    """
    for number in count():
        if length <= 0:
            return number if length == 0 else None
        length -= 2 + len(str(number)) + size
    return None
