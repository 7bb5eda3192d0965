"""A value in a query string → the value that MongoDB compares with, by the field's base type.

Every reader takes the text and gives the stored form; `ValueError` with a sentence where it can't be read.
"""

import base64
import binascii
import datetime
import decimal
import re
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import bson

from app.resources.fields import Kind

_INTEGER = re.compile(r"[+-]?[0-9]{1,40}").fullmatch
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?").fullmatch
_UUID = re.compile(
    r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}"
).fullmatch
_OFFSET_WITH_LOST_PLUS = re.compile(
    r" (\d\d:?\d\d)$"
)  # a `+` that was not percent-encoded arrives as a space
_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
INT64 = range(-(2**63), 2**63)


def read_int(text: str) -> int:
    """`30`; whole numbers of 64 bits."""
    if not _INTEGER(text) or int(text) not in INT64:
        raise ValueError("a whole number (64 bits) is wanted")
    return int(text)


def read_float(text: str) -> float:
    """`1.5`, `1e3`, `NaN`, `Infinity`."""
    if text in _WORDS:
        return _WORDS[text]
    if not _NUMBER(text):
        raise ValueError("a number is wanted")
    return float(text)


def read_decimal(text: str) -> bson.Decimal128:
    """`1.10`, with up to 34 digits."""
    try:
        if text in _WORDS or _NUMBER(text):
            return bson.Decimal128(text)
    except decimal.DecimalException:
        pass
    raise ValueError("a decimal number of at most 34 digits is wanted")


def read_bool(text: str) -> bool:
    """`true` or `false`."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    raise ValueError("true or false is wanted")


def read_datetime(text: str) -> datetime.datetime:
    """RFC 3339 or a date alone; without an offset it is UTC; MongoDB keeps milliseconds."""
    try:
        value = _datetime(text)
        value = value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
        value = value.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise ValueError("a date-time as 2026-01-02T03:04:05Z is wanted") from None
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


def _datetime(text: str) -> datetime.datetime:
    text = text.upper()  # RFC 3339 takes `t` and `z` too
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return datetime.datetime.fromisoformat(_OFFSET_WITH_LOST_PLUS.sub(r"+\1", text))


def read_date(text: str) -> datetime.datetime:
    """`2026-01-02`, which Beanie stores as midnight UTC."""
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        raise ValueError("a date as 2026-01-02 is wanted") from None
    return datetime.datetime.combine(day, datetime.time(0), datetime.UTC)


def read_objectid(text: str) -> bson.ObjectId:
    """24 hex characters."""
    if len(text) != 24 or not bson.ObjectId.is_valid(text):
        raise ValueError("an ObjectId of 24 hex characters is wanted")
    return bson.ObjectId(text)


def read_uuid(text: str) -> uuid.UUID:
    """`12345678-1234-5678-1234-567812345678`."""
    if not _UUID(text):
        raise ValueError("a UUID is wanted")
    return uuid.UUID(text)


def read_bytes(text: str) -> bytes:
    """Base64 (RFC 4648)."""
    try:
        return base64.b64decode(text.replace(" ", "+"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("bytes in base64 are wanted") from None


READERS: dict[Kind, Callable[[str], Any]] = {
    "text": str,
    "int": read_int,
    "float": read_float,
    "decimal": read_decimal,
    "bool": read_bool,
    "datetime": read_datetime,
    "date": read_date,
    "duration": read_float,
    "objectid": read_objectid,
    "uuid": read_uuid,
    "bytes": read_bytes,
}


def readings(text: str) -> list[Any]:
    """What an `_id` in a path may stand for: the text, an integer, a UUID, an ObjectId."""
    return _readings(text, (read_int, read_uuid, read_objectid))


def anything(text: str) -> list[Any]:
    """What a text may stand for where the model says no type: the text, or a value of any type that has such a form."""
    return _readings(
        text, (read_int, read_float, read_bool, read_datetime, read_uuid, read_objectid)
    )


def _readings(text: str, readers: Iterable[Callable[[str], Any]]) -> list[Any]:
    found: list[Any] = [text]
    for read in readers:
        try:
            found.append(read(text))
        except ValueError:
            continue
    return found
