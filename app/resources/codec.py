"""BSON → documents, whatever another program stored: one strange value must not break a read."""

import struct
from typing import Any

import bson
from bson.codec_options import CodecOptions, DatetimeConversion

# One strange document of another program must not break a read: dates past 9999 stay numbers, broken UTF-8 is replaced.
CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    uuid_representation=bson.binary.UuidRepresentation.STANDARD,
    unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
_ANY_UUID = CODEC.with_options(uuid_representation=bson.binary.UuidRepresentation.UNSPECIFIED)
UUID_BYTES = 16
_length = struct.Struct("<i").unpack_from


def decode(raw: bytes) -> dict[str, Any]:
    """The document that some BSON is."""
    try:
        return bson.decode(raw, CODEC)
    except bson.errors.InvalidBSON:
        return _decode_bad_uuids(raw)[0]


def decode_all(raw: bytes) -> list[dict[str, Any]]:
    """The documents of some BSON, one after the other."""
    try:
        return bson.decode_all(raw, CODEC)
    except bson.errors.InvalidBSON:
        return _decode_bad_uuids(raw)


def offsets(raw: bytes) -> list[int]:
    """Where each document of some BSON begins; its first four bytes are its length (bsonspec.org)."""
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
