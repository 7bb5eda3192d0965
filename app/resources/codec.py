"""BSON ↔ documents, whatever another program stored.

Types that BSON has retired (undefined, symbol, DBPointer) are decoded as the objects of their
Extended JSON.
"""

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

import bson
from bson.codec_options import CodecOptions, DatetimeConversion

from app.resources.elements import (
    ARRAY,
    DBPOINTER,
    OBJECT,
    SYMBOL,
    UNDEFINED,
    Element,
    elements,
    join_elements,
)

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
_length = struct.Struct("<i").unpack_from
# A type byte, a name and what can follow: what looks so may still be a part of another value.
_undefined, _symbol, _pointer = _perhaps_retired = [
    re.compile(pattern, re.DOTALL)
    for pattern in (
        rb"\x06[^\x00-\x1f]+\x00(?=[\x00-\x13\x7f\xff])",
        rb"\x0e[^\x00-\x1f]+\x00(?=.{3}[\x00\x01])",
        rb"\x0c[^\x00-\x1f]+\x00(?=.{3}[\x00\x01])",
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
        raw = b"".join(_modernize_documents(raw))
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


def element_of(name: str, value: Any) -> bytes:
    """One element as BSON; raises what `bson.encode` raises."""
    return bson.encode({name: value}, codec_options=CODEC)[4:-1]


def _may_have_retired(raw: bytes) -> bool:
    return bool(_undefined.search(raw) or _symbol.search(raw) or _pointer.search(raw))


def _modernize_documents(raw: bytes) -> Iterator[bytes]:
    """The documents, those that may have values of retired types without them."""
    begins = [*offsets(raw), len(raw)]
    matches = (match for pattern in _perhaps_retired for match in pattern.finditer(raw))
    end = 0
    for number in sorted({bisect_right(begins, match.start()) - 1 for match in matches}):
        yield raw[end : begins[number]]
        end = begins[number + 1]
        yield _without_retired(raw[begins[number] : end])
    yield raw[end:]


def _without_retired(raw: bytes) -> bytes:
    """The document with its values of retired types as objects of Extended JSON."""
    if not _may_have_retired(raw):
        return raw
    first, *others = elements(raw)
    is_key = first.name == b"_id"  # by which writes find the document
    start = raw[first.begin : first.end] if is_key else _modernize(raw, first)
    return join_elements([start, *(_modernize(raw, element) for element in others)])


def _modernize(raw: bytes, element: Element) -> bytes:
    kind, name, begin, value, end = element
    if kind in (OBJECT, ARRAY):
        inner = (_modernize(raw[value:end], one) for one in elements(raw[value:end]))
        return raw[begin:value] + join_elements(inner)
    if kind == UNDEFINED:
        extended: Any = {"$undefined": True}
    elif kind == SYMBOL:
        extended = {"$symbol": _text(raw, value)}
    elif kind == DBPOINTER:
        key = bson.ObjectId(raw[end - 12 : end])
        extended = {"$dbPointer": {"$ref": _text(raw, value), "$id": {"$oid": str(key)}}}
    else:
        return raw[begin:end]
    return bytes([OBJECT]) + name + b"\0" + bson.encode(extended)


def _text(raw: bytes, value: int) -> str:
    length: int = _length(raw, value)[0]
    return raw[value + 4 : value + 3 + length].decode(errors="replace")
