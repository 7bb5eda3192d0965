"""MongoDB's Extended JSON (v2, canonical and relaxed, as mongoexport writes it) → plain JSON.

`{"$oid": "…"}` → `"…"`, `{"$date": …}` → `"2026-01-02T03:04:05Z"`, `{"$numberLong": "5"}` → `5`:
what the API shows for such a value, so that one validation serves all. What has no plain form
(`$timestamp`, `$regularExpression`, a date past the year 9999) stays as it is.
"""

import base64
import binascii
import datetime
import math
import uuid
from collections.abc import Callable
from typing import Any

from app.resources.kinds import INT64, write_datetime

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MILLISECOND = datetime.timedelta(milliseconds=1)
_UUIDS = ("03", "04")  # subtypes of a binary (bsonspec.org)
_BYTES = ("00", "0", 0)


def unwrap(value: Any) -> Any:
    """The value without Extended JSON, at any depth; a value without any is itself, unchanged."""
    if type(value) is dict:
        return _object(value)
    if type(value) is list:
        return [unwrap(inner) for inner in value]
    return value


def key_of(link: Any) -> Any:
    """The `_id` of a link that is a DBRef (`{"$ref": …, "$id": …}`); any other value as it is."""
    if type(link) is list:
        return [key_of(inner) for inner in link]
    return unwrap(link["$id"]) if type(link) is dict and "$ref" in link and "$id" in link else link


def has_extended(raw: bytes | str) -> bool:
    """Whether some JSON may have Extended JSON in it; quick, where it has none."""
    return '"$' in raw if isinstance(raw, str) else b'"$' in raw


def _object(value: dict[str, Any]) -> Any:
    if 0 < len(value) <= 3:
        word = next(iter(value))
        read = _READERS.get(word)
        if read is not None and (len(value) == 1 or word in _OF_TWO):
            try:
                return read(value)
            except (ValueError, TypeError, KeyError, OverflowError, AttributeError):
                return value
        if word[:1] == "$":  # of a rarer type, which stays as the export shows it
            return value
    return {name: unwrap(inner) for name, inner in value.items()}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _read_whole(text: str) -> int:
    number = int(text)
    if number not in INT64:
        raise ValueError(text)
    return number


def _read_double(text: str) -> Any:
    number = float(text)
    return number if math.isfinite(number) else _WORDS[text]


def _date(value: Any) -> str:
    if isinstance(value, str):
        moment = datetime.datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
        return write_datetime(moment.astimezone(datetime.UTC))
    milliseconds = int(value["$numberLong"]) if isinstance(value, dict) else int(value)
    return write_datetime(_EPOCH + milliseconds * _MILLISECOND)


def _binary(value: dict[str, Any]) -> str:
    inner = value["$binary"]
    if isinstance(inner, dict):
        text, subtype = inner["base64"], inner["subType"]
    else:  # as before version 2
        text, subtype = inner, value["$type"]
    try:
        data = base64.b64decode(_text(text), validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error
    if subtype in _UUIDS and len(data) == 16:
        return str(uuid.UUID(bytes=data))
    if subtype in _BYTES:
        return base64.b64encode(data).decode()
    raise ValueError(subtype)


_WORDS = {"NaN": "NaN", "Infinity": "Infinity", "-Infinity": "-Infinity"}
_READERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "$oid": lambda value: _text(value["$oid"]),
    "$date": lambda value: _date(value["$date"]),
    "$numberInt": lambda value: _read_whole(value["$numberInt"]),
    "$numberLong": lambda value: _read_whole(value["$numberLong"]),
    "$numberDouble": lambda value: _read_double(value["$numberDouble"]),
    "$numberDecimal": lambda value: _text(value["$numberDecimal"]),
    "$uuid": lambda value: str(uuid.UUID(_text(value["$uuid"]))),
    "$binary": _binary,
}
_OF_TWO = ("$binary",)  # with `$type`, before version 2
