"""The kinds of value that a field can have, one line each, with all that differs between them.

A kind reads the text of a query string, a path or a cell as the stored value, and writes a stored
value as text. A reader raises `ValueError` with a sentence that goes on after the name of what was
read: "must be a whole number".
"""

import base64
import binascii
import datetime
import decimal
import enum
import ipaddress
import math
import pathlib
import re
import uuid
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import bson
import pydantic

Read = Callable[[str], Any]
Write = Callable[[Any], str]
INT64 = range(-(2**63), 2**63)
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}").fullmatch
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?").fullmatch
_DECIMAL = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?$"
_UUID = re.compile(
    r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}"
).fullmatch
# A `+` that was not percent-encoded arrives as a space.
_OFFSET_WITH_LOST_PLUS = re.compile(r" (\d\d:?\d\d)$")
_BEYOND_MICROSECONDS = re.compile(r"[.,]\d{6}0*[1-9]").search
_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_MIDNIGHT = datetime.time(0)
_MICROSECOND = datetime.timedelta(microseconds=1)
_DURATION: pydantic.TypeAdapter[datetime.timedelta] = pydantic.TypeAdapter(datetime.timedelta)


def read_int(text: str) -> int:
    """`30`; whole numbers of 64 bits."""
    if not _INTEGER(text) or int(text) not in INT64:
        raise ValueError("must be a whole number (64 bits)")
    return int(text)


def read_float(text: str) -> float:
    """`1.5`, `1e3`, `NaN`, `Infinity`."""
    if text in _WORDS:
        return _WORDS[text]
    if not _NUMBER(text):
        raise ValueError("must be a number")
    return float(text)


def write_float(value: float) -> str:
    """The shortest text that reads back."""
    return repr(value) if math.isfinite(value) else word(value)


def word(value: float) -> str:
    """What stands for a double that JSON has no number for: NaN, Infinity, -Infinity."""
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def read_decimal(text: str) -> bson.Decimal128:
    """`1.10`, with up to 34 digits."""
    try:
        if text in _WORDS or _NUMBER(text):
            return bson.Decimal128(text)
    except decimal.DecimalException:
        pass
    raise ValueError("must be a decimal number of at most 34 digits")


def read_bool(text: str) -> bool:
    """`true` or `false`."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    raise ValueError("must be true or false")


def write_bool(value: bool) -> str:
    """`true` or `false`."""
    return "true" if value else "false"


def read_datetime(text: str) -> datetime.datetime:
    """RFC 3339 or a date alone; without an offset it is UTC.

    Microseconds are kept, for comparing; MongoDB stores whole milliseconds, rounded down.
    """
    try:
        value = _datetime(text)
        value = value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
        value = value.astimezone(datetime.UTC)
        if _BEYOND_MICROSECONDS(text) and value.microsecond % 1000 == 0:
            value += _MICROSECOND  # no whole millisecond lies between the two
    except (ValueError, OverflowError):
        raise ValueError("must be a date-time as 2026-01-02T03:04:05Z") from None
    return value


def _datetime(text: str) -> datetime.datetime:
    text = text.upper()  # RFC 3339 takes `t` and `z` too
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return datetime.datetime.fromisoformat(_OFFSET_WITH_LOST_PLUS.sub(r"+\1", text))


def write_datetime(value: datetime.datetime) -> str:
    """An aware UTC datetime as RFC 3339 with `Z`, with milliseconds only where there are some."""
    text = value.isoformat()
    return text[:23] + "Z" if value.microsecond else text[:19] + "Z"


def read_date(text: str) -> datetime.datetime:
    """`2026-01-02`, which Beanie stores as midnight UTC."""
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a date as 2026-01-02") from None
    return datetime.datetime.combine(day, _MIDNIGHT, datetime.UTC)


def show_date(value: Any) -> Any:
    """The date that a stored midnight stands for; any other value as it is."""
    if isinstance(value, datetime.datetime) and value.time() == _MIDNIGHT:
        return value.date()
    return value


def read_duration(text: str) -> float:
    """`PT1H30M` (ISO 8601) or seconds, as which Beanie stores it."""
    if _NUMBER(text) and math.isfinite(float(text)):
        return float(text)
    try:
        return _DURATION.validate_python(text).total_seconds()
    except pydantic.ValidationError:
        raise ValueError("must be a duration as PT1H30M, or seconds") from None


def read_objectid(text: str) -> bson.ObjectId:
    """24 hex characters."""
    if len(text) != 24 or not bson.ObjectId.is_valid(text):
        raise ValueError("must be an ObjectId of 24 hex characters")
    return bson.ObjectId(text)


def read_uuid(text: str) -> uuid.UUID:
    """`12345678-1234-5678-1234-567812345678`."""
    if not _UUID(text):
        raise ValueError("must be a UUID")
    return uuid.UUID(text)


def read_bytes(text: str) -> bytes:
    """Base64 (RFC 4648)."""
    try:
        return base64.b64decode(text.replace(" ", "+"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be bytes in base64") from None


def write_bytes(value: bytes) -> str:
    """Base64 (RFC 4648)."""
    return base64.b64encode(value).decode()


def show_link(collection: str, value: Any) -> Any:
    """The `_id` that a stored link to this collection names; any other value as it is."""
    return value.id if is_reference(collection, value) else value


def is_reference(collection: str, value: Any) -> bool:
    """Whether a stored value is a link to this collection, with no database and nothing else in it.

    Beanie writes none other, and only that one is found by the value of a filter.
    """
    return isinstance(value, bson.DBRef) and value == bson.DBRef(collection, value.id)


class Filters(enum.IntEnum):
    """Which filters a field of a kind takes: each step has those of the steps before it."""

    PRESENCE = 1  # exists
    EQUALITY = 2  # eq, ne, in, nin
    ORDER = 3  # gt, gte, lt, lte
    TEXT = 4  # contains, startswith, regex


@dataclass(frozen=True)
class Kind:
    """One kind of value.

    `classes` are what a model declares, `shown` the types that a decoded value has. `read` makes
    the stored value of a text, None where any value may be stored; `write` the text of a value.
    `schema` describes the JSON, `stand_in` is some JSON that is valid. `show` makes a stored value
    presentable, where it isn't already.
    """

    name: str
    filters: Filters = Filters.PRESENCE
    classes: tuple[type, ...] = ()
    shown: tuple[type, ...] = ()
    read: Read | None = None
    write: Write = str
    schema: dict[str, Any] | None = None
    stand_in: Any = None
    show: Callable[[Any], Any] | None = None


_TEXTS: tuple[Any, ...] = (
    str,
    pydantic.SecretStr,
    pydantic.EmailStr,
    pydantic.NameEmail,
    pydantic.AnyUrl,
    pydantic.PostgresDsn,
    pydantic.MongoDsn,
    pydantic.NatsDsn,
    pathlib.PurePath,
    ipaddress.IPv4Address,
    ipaddress.IPv4Interface,
    ipaddress.IPv4Network,
    ipaddress.IPv6Address,
    ipaddress.IPv6Interface,
    ipaddress.IPv6Network,
    pydantic.IPvAnyAddress,
    pydantic.IPvAnyInterface,
    pydantic.IPvAnyNetwork,
    zoneinfo.ZoneInfo,
)
_MOMENTS: tuple[Any, ...] = (
    datetime.datetime,
    pydantic.AwareDatetime,
    pydantic.FutureDatetime,
    pydantic.PastDatetime,
)
_DAYS: tuple[Any, ...] = (datetime.date, pydantic.FutureDate, pydantic.PastDate)
_TEXT = {"type": "string"}
_INT = {"type": "integer", "minimum": INT64.start, "maximum": INT64.stop - 1}
_FLOAT = {"type": "number"}
_AMOUNT = {"type": "string", "pattern": _DECIMAL}
_MOMENT = {"type": "string", "format": "date-time"}
_DATE = {"type": "string", "format": "date"}
_SPAN = {"type": ["number", "string"], "description": "Seconds, or ISO 8601 as PT1H30M."}
_ID = {"type": "string", "pattern": "^[0-9a-fA-F]{24}$"}
_CODE = {"type": "string", "format": "uuid"}
_BYTES = {"type": "string", "contentEncoding": "base64"}
_NOON, _DAY = "1970-01-01T12:00:00Z", "1970-01-01"
_DECIMALS = (decimal.Decimal, bson.Decimal128)
_WHEN, _DAY_ONLY, _TIMEDELTA = datetime.datetime, datetime.date, datetime.timedelta
_RAW = (bytes, pydantic.SecretBytes)
_P, _E, _O, _T = Filters

KINDS: dict[str, Kind] = {  # a class is of the first kind that has it or a class it derives from
    kind.name: kind
    for kind in (
        Kind("bool", _E, (bool,), (bool,), read_bool, write_bool, {"type": "boolean"}, False),
        Kind("int", _O, (int,), (int, bson.Int64), read_int, str, _INT, 0),
        Kind("float", _O, (float,), (float,), read_float, write_float, _FLOAT, 0.0),
        Kind("text", _T, _TEXTS, (str,), str, str, _TEXT, "_"),
        Kind("decimal", _O, _DECIMALS, (bson.Decimal128,), read_decimal, str, _AMOUNT, "0"),
        Kind("datetime", _O, _MOMENTS, (_WHEN,), read_datetime, write_datetime, _MOMENT, _NOON),
        Kind("date", _O, _DAYS, (_DAY_ONLY,), read_date, str, _DATE, _DAY, show_date),
        Kind("duration", _O, (_TIMEDELTA,), (float,), read_duration, write_float, _SPAN, "PT0S"),
        Kind("objectid", _O, (bson.ObjectId,), (bson.ObjectId,), read_objectid, str, _ID, "0" * 24),
        Kind("uuid", _O, (uuid.UUID,), (uuid.UUID,), read_uuid, str, _CODE, "0" * 32),
        Kind("bytes", _O, _RAW, (bytes,), read_bytes, write_bytes, _BYTES, ""),
        Kind("object", _P),
        Kind("map", _P),
        Kind("link", _E, write=str, schema=_ID),
        Kind("lists", _P),  # of lists: no path leads into them
        Kind("any", _T, (pydantic.NameEmail,)),
    )
}


_OF_ANY: tuple[Read, ...] = (
    read_int,
    read_float,
    read_decimal,
    read_bool,
    read_datetime,
    read_uuid,
    read_objectid,
)


def kind_of(base: Any) -> str | None:
    """The name of the kind that a class is; None where no kind has it."""
    if not isinstance(base, type):
        return None
    return next((kind.name for kind in KINDS.values() if issubclass(base, kind.classes)), None)


@cache
def writers() -> dict[type, Write]:
    """What writes a shown value as text, by its type; of several kinds the first one does."""
    found: dict[type, Write] = {}
    for kind in KINDS.values():
        for shown in kind.shown:
            found.setdefault(shown, kind.write)
    return found


def anything(text: str) -> list[Any]:
    """What a text may stand for where the model says no type, a number as double and as decimal.

    Itself, or a value of a type that has such a form.
    """
    found: list[Any] = [text]
    for read in _OF_ANY:
        try:
            found.append(read(text))
        except ValueError:
            continue
    return found
