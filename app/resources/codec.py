"""BSON ↔ documents, whatever another program stored; BSON's elements (bsonspec.org).

Types that BSON has retired (undefined, symbol, DBPointer) are decoded as the objects of their
Extended JSON.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import bson
from bson.codec_options import CodecOptions, DatetimeConversion

# One strange document of another program must not break a read: dates past 9999 stay numbers,
# broken UTF-8 is replaced.
CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    uuid_representation=bson.binary.UuidRepresentation.STANDARD,
    unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
_ANY_UUID = CODEC.with_options(uuid_representation=bson.binary.UuidRepresentation.UNSPECIFIED)
UUID_BYTES = 16
DOUBLE, TEXT, OBJECT, ARRAY, BINARY, UNDEFINED = range(0x01, 0x07)  # the type bytes of BSON
REGEX, DB_POINTER, CODE, SYMBOL, SCOPED_CODE = range(0x0B, 0x10)
_SIZES = {DOUBLE: 8, UNDEFINED: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8}
_SIZES |= {0x13: 16, 0xFF: 0, 0x7F: 0}  # bytes of the values that all have the same size
_length = struct.Struct("<i").unpack_from
# A type byte, a name and what can follow: what looks so may still be a part of another value.
_perhaps_retired = [
    re.compile(pattern, re.DOTALL).search
    for pattern in (
        rb"\x06[^\x00-\x1f]+\x00[\x00-\x13\x7f\xff]",
        rb"\x0e[^\x00-\x1f]+\x00.{3}[\x00\x01]",
        rb"\x0c[^\x00-\x1f]+\x00.{3}[\x00\x01]",
    )
]


def decode(raw: bytes) -> dict[str, Any]:
    """The document that some BSON is."""
    if _may_have_retired(raw):
        raw = _without_retired(raw)
    try:
        return bson.decode(raw, CODEC)
    except bson.errors.InvalidBSON:
        return _decode_bad_uuids(raw)[0]


def decode_all(raw: bytes, *, modern: bool = False) -> list[dict[str, Any]]:
    """The documents of some BSON, one after the other.

    `modern` spares the search for retired types.
    """
    if not modern and _may_have_retired(raw):
        raw = b"".join(map(_without_retired, _documents(raw)))
    try:
        return bson.decode_all(raw, CODEC)
    except bson.errors.InvalidBSON:
        return _decode_bad_uuids(raw)


def offsets(raw: bytes) -> list[int]:
    """Where each document of some BSON begins.

    Its first four bytes are its length (bsonspec.org).
    """
    found, offset, end = [], 0, len(raw)
    while offset < end:
        found.append(offset)
        offset += _length(raw, offset)[0]
    return found


def _decode_bad_uuids(raw: bytes) -> list[dict[str, Any]]:
    """The same where another program stored UUIDs that don't have 16 bytes: those stay binaries."""
    found: list[dict[str, Any]] = _with_uuids(bson.decode_all(raw, _ANY_UUID))
    return found


def _with_uuids(value: Any) -> Any:
    if type(value) is dict:
        return {key: _with_uuids(inner) for key, inner in value.items()}
    if type(value) is list:
        return [_with_uuids(inner) for inner in value]
    if (
        type(value) is bson.Binary
        and value.subtype == bson.binary.UUID_SUBTYPE
        and len(value) == UUID_BYTES
    ):
        return value.as_uuid()
    return value


class Element(NamedTuple):
    """One element of an object or array: its type byte, its name, where it and its value are."""

    kind: int
    name: bytes
    begin: int
    value: int
    end: int


def elements(raw: bytes) -> Iterator[Element]:
    """The elements of a document, in their order."""
    begin, last = 4, len(raw) - 1
    while begin < last:
        kind = raw[begin]
        value = raw.index(b"\0", begin + 1) + 1
        end = value + _size(raw, kind, value)
        yield Element(kind, raw[begin + 1 : value - 1], begin, value, end)
        begin = end


def _size(raw: bytes, kind: int, value: int) -> int:
    """How many bytes a value has."""
    if (size := _SIZES.get(kind)) is not None:
        return size
    if kind == REGEX:
        options = raw.index(b"\0", value) + 1
        return raw.index(b"\0", options) + 1 - value
    length: int = _length(raw, value)[0]
    if kind in (TEXT, CODE, SYMBOL):
        return 4 + length
    if kind == BINARY:
        return 5 + length
    if kind == DB_POINTER:
        return 4 + length + 12
    return length  # an object, an array, code with its scope


def document_of(parts: Iterable[bytes]) -> bytes:
    """The document that has these elements."""
    body = b"".join(parts)
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"


def element_of(name: str, value: Any) -> bytes:
    """One element as BSON; raises what `bson.encode` raises."""
    return bson.encode({name: value}, codec_options=CODEC)[4:-1]


def _may_have_retired(raw: bytes) -> bool:
    return any(search(raw) is not None for search in _perhaps_retired)


def _documents(raw: bytes) -> Iterator[bytes]:
    begins = offsets(raw)
    for begin, end in zip(begins, [*begins[1:], len(raw)], strict=True):
        yield raw[begin:end]


def _without_retired(raw: bytes) -> bytes:
    """The document with its values of retired types as objects of Extended JSON."""
    if not _may_have_retired(raw):
        return raw
    first, *others = elements(raw)
    is_key = first.name == b"_id"  # by which writes find the document
    start = raw[first.begin : first.end] if is_key else _modern(raw, first)
    return document_of([start, *(_modern(raw, element) for element in others)])


def _modern(raw: bytes, element: Element) -> bytes:
    kind, name, begin, value, end = element
    if kind in (OBJECT, ARRAY):
        inner = (_modern(raw[value:end], one) for one in elements(raw[value:end]))
        return raw[begin:value] + document_of(inner)
    if kind == UNDEFINED:
        extended: Any = {"$undefined": True}
    elif kind == SYMBOL:
        extended = {"$symbol": _text(raw, value)}
    elif kind == DB_POINTER:
        key = bson.ObjectId(raw[end - 12 : end])
        extended = {"$dbPointer": {"$ref": _text(raw, value), "$id": {"$oid": str(key)}}}
    else:
        return raw[begin:end]
    return bytes([OBJECT]) + name + b"\0" + bson.encode(extended)


def _text(raw: bytes, value: int) -> str:
    length: int = _length(raw, value)[0]
    return raw[value + 4 : value + 3 + length].decode(errors="replace")
