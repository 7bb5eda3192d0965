"""BSON as bytes: elements exactly as they came (https://bsonspec.org/spec.html).

Decoding and encoding again loses what the driver has no object for: the order of a DBRef's fields,
duplicate keys, text that is no UTF-8, undefined, DBPointer. A value here is its type byte and its
bytes, as MongoDB sent them.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

DOUBLE, STRING, OBJECT, ARRAY, BINARY, UNDEFINED = range(0x01, 0x07)  # the type bytes
OBJECT_ID, BOOLEAN, DATE, NULL, REGEX, DBPOINTER, CODE = range(0x07, 0x0E)
SYMBOL, CODE_WITH_SCOPE, INT32, TIMESTAMP, INT64, DECIMAL = range(0x0E, 0x14)
MIN_KEY, MAX_KEY = b"\xff", b"\x7f"
NULL_VALUE = bytes([NULL])
NUMBERS = frozenset({DOUBLE, INT32, INT64, DECIMAL})
_FIXED = {  # bytes of the values that all have the same size
    DOUBLE: 8,
    UNDEFINED: 0,
    OBJECT_ID: 12,
    BOOLEAN: 1,
    DATE: 8,
    NULL: 0,
    INT32: 4,
    TIMESTAMP: 8,
    INT64: 8,
    DECIMAL: 16,
    MIN_KEY[0]: 0,
    MAX_KEY[0]: 0,
}
_length = struct.Struct("<i")


class Element(NamedTuple):
    """A field: its type byte, its name, and where it and its value begin and end."""

    kind: int
    name: bytes
    begin: int
    value: int
    end: int


def elements(raw: bytes, begin: int = 0) -> Iterator[Element]:
    """The fields of the document that begins there; raises `ValueError` where it isn't BSON."""
    end = begin + _read_length(raw, begin) - 1
    if not begin + 4 <= end < len(raw) or raw[end] != 0:
        raise ValueError("its length is not that of a document")
    position = begin + 4
    while position < end:
        kind = raw[position]
        start = raw.index(0, position + 1) + 1
        stop = start + value_size(kind, raw, start)
        if stop > end:
            raise ValueError("an element is longer than its document")
        yield Element(kind, raw[position + 1 : start - 1], position, start, stop)
        position = stop


def value_size(kind: int, raw: bytes, begin: int) -> int:
    """The bytes of a value of that type."""
    if kind in _FIXED:
        return _FIXED[kind]
    if kind in (STRING, CODE, SYMBOL):
        return 4 + _read_length(raw, begin)
    if kind in (OBJECT, ARRAY, CODE_WITH_SCOPE):
        return _read_length(raw, begin)
    if kind == BINARY:
        return 5 + _read_length(raw, begin)
    if kind == REGEX:
        return raw.index(0, raw.index(0, begin) + 1) + 1 - begin
    if kind == DBPOINTER:
        return 4 + _read_length(raw, begin) + 12
    raise ValueError(f"there is no type {kind}")


def _read_length(raw: bytes, begin: int) -> int:
    if begin + 4 > len(raw):
        raise ValueError("it ends too early")
    length: int = _length.unpack_from(raw, begin)[0]
    if length < 0:
        raise ValueError("a length is negative")
    return length


def value_at(raw: bytes, path: str, begin: int = 0) -> bytes | None:
    """The value at a dotted path, null where there is none; None where an array is on the way.

    Of fields with the same name the first one counts, as it does for MongoDB.
    """
    *parents, last = path.encode("utf-8", "surrogatepass").split(b".")
    for name in parents:
        element = _find(raw, name, begin)
        if element is None or element.kind not in (OBJECT, ARRAY):
            return NULL_VALUE
        if element.kind == ARRAY:
            return None
        begin = element.value
    element = _find(raw, last, begin)
    if element is None:
        return NULL_VALUE
    if element.kind == ARRAY:
        return None
    return _add_type(raw, element)


def _find(raw: bytes, name: bytes, begin: int) -> Element | None:
    """The first field of that name, without an object for each field before it."""
    position = begin + 4
    end = begin + _read_length(raw, begin) - 1
    while position < end:
        kind = raw[position]
        value = raw.index(0, position + 1) + 1
        stop = value + value_size(kind, raw, value)
        if value - position - 2 == len(name) and raw.startswith(name, position + 1):
            return Element(kind, name, position, value, stop)
        position = stop
    return None


def field(raw: bytes, name: str, begin: int = 0) -> bytes | None:
    """The value of a field, whatever its type; None where there is none."""
    element = _find(raw, name.encode(), begin)
    return None if element is None else _add_type(raw, element)


def _add_type(raw: bytes, element: Element) -> bytes:
    return bytes([element.kind]) + raw[element.value : element.end]


def make_document(fields: Iterable[tuple[str, bytes]]) -> bytes:
    """A document of names and values."""
    return join_elements(
        _make_element(name.encode("utf-8", "surrogatepass"), value) for name, value in fields
    )


def _make_element(name: bytes, value: bytes) -> bytes:
    return value[:1] + name + b"\0" + value[1:]


def join_elements(parts: Iterable[bytes]) -> bytes:
    """The document that has these elements."""
    body = b"".join(parts)
    return _length.pack(len(body) + 5) + body + b"\0"


def make_text(kind: int, text: bytes) -> bytes:
    """A text, symbol or code."""
    return bytes([kind]) + _length.pack(len(text) + 1) + text + b"\0"


def has_duplicates(raw: bytes, begin: int = 0) -> bool:
    """Whether an object in it has two fields of one name."""
    names = set()
    for element in elements(raw, begin):
        if element.name in names:
            return True
        names.add(element.name)
        if element.kind in (OBJECT, ARRAY) and has_duplicates(raw, element.value):
            return True
    return False


def find_lower_bound(value: bytes, size: int) -> bytes:
    """A value of about `size` bytes at most that sorts before this one, or at the same place.

    Of a text its beginning, of an object its first fields. Binaries are compared by their length
    first, and have only a shorter one as a bound, as the other types have.
    """
    if len(value) <= size:
        return value
    if value[0] in (STRING, SYMBOL, CODE):
        return make_text(value[0], value[5 : 5 + size])
    if value[0] == OBJECT:
        return bytes([OBJECT]) + _first_fields(value[1:], size)
    if value[0] == BINARY:
        return bytes([BINARY]) + _length.pack(0) + value[5:6]
    return make_text(CODE, b"") if value[0] == CODE_WITH_SCOPE else MIN_KEY


def _first_fields(raw: bytes, size: int) -> bytes:
    kept = []
    for element in elements(raw):
        value = _add_type(raw, element)
        room = size - len(element.name)
        if room < len(value):
            if room > 0 and element.kind in (STRING, OBJECT, SYMBOL, CODE):
                kept.append(_make_element(element.name, find_lower_bound(value, room)))
            break
        kept.append(raw[element.begin : element.end])
        size = room - len(value)
    return join_elements(kept)
