"""A value ↔ a cell's text, as the contract's table says, a whole column at once.

The type of each value decides, not the model: what another program stored is shown as what it is.
"""

import datetime
import re
import zoneinfo
from collections.abc import Callable
from typing import Any

import bson

from app.errors import Fault, Invalid
from app.resources.kinds import write_datetime, writers
from app.resources.rendering import to_json
from app.spreadsheets.lines import json_lines

Text = Callable[[Any], str]


class Serial(float):
    """A cell that a spreadsheet shows as a date or a time: days since 1899-12-30, of any zone."""


class Shown(float):
    """A number in a format: `places` decimals, or, where that is negative, as `package` says."""

    places: int

    def __new__(cls, value: float, places: int) -> "Shown":
        """The number with its format."""
        number = super().__new__(cls, value)
        number.places = places
        return number


class Broken(str):
    """A cell that has no value: an error such as `#N/A`, or a formula that was not calculated."""


class Cut(str):
    """A text that the export has cut, as the sheet `notes` says: only its beginning is in the file."""


# What a reader gives: a text ("" where the cell is empty), a number, a truth value, one of the above.
Cell = str | int | float | bool

_DANGEROUS = "'=+\\-@\t\r＝＋－＠"  # a spreadsheet would run what begins so; `'` is our own mark
_begins_dangerously = re.compile(f"[{_DANGEROUS}]").match  # at the position that is given
_some_begins_dangerously = re.compile(
    f"\n[{_DANGEROUS}]"
).search  # a literal first character: found by memchr
_NULL = {type(None)}
_MINUTE = datetime.timedelta(minutes=1)
_NOT_GUARDED = frozenset(
    {type(None), bool, int, bson.Int64, float, bson.Decimal128, datetime.datetime, datetime.date}
)


def guard(text: str) -> str:
    """The text with `'` before it where a spreadsheet would take it for a formula, or where it begins with `'`."""
    return "'" + text if _begins_dangerously(text) else text


def unguard(text: str) -> str:
    """The text that was guarded: `unguard(guard(text)) == text`; what no guard has written stays."""
    return text[1:] if text[:1] == "'" and _begins_dangerously(text, 1) else text


def some_to_guard(lines: str) -> bool:
    """Whether `guard` may change one of some texts with newlines between them; quick, where none is."""
    return _some_begins_dangerously("\n" + lines) is not None


def guard_column(values: list[Any], texts: list[str]) -> list[str]:
    """The column with its texts guarded; numbers and dates are left alone, as their types in `values` say."""
    return [
        text if type(value) in _NOT_GUARDED else guard(text) for value, text in zip(values, texts, strict=True)
    ]  # fmt: skip


def zone(name: str) -> datetime.tzinfo:
    """The time zone of that IANA name; raises `Invalid` where there is none."""
    try:
        return datetime.UTC if name == "UTC" else zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        detail = f"timezone: {name!r} is no time zone of the IANA database, such as Asia/Shanghai or UTC."
        raise Invalid(detail, Fault(detail, parameter="timezone")) from None


def in_zone(value: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime:
    """The instant in the zone; where that is outside the years 1 to 9999, as it is."""
    try:
        return value.astimezone(zone)
    except OverflowError:
        return value


def moment(zone: datetime.tzinfo) -> Text:
    """What writes datetimes in the zone with its offset, UTC as `Z`."""
    if zone is datetime.UTC:
        return write_datetime

    def write(value: datetime.datetime) -> str:
        local = in_zone(value, zone)
        if local.tzinfo is not zone:
            return write_datetime(local)
        text = _isoformat(local)
        return text if text[-6] != ":" else _isoformat(_in_minutes(local))

    return write


def _isoformat(local: datetime.datetime) -> str:
    return local.isoformat(timespec="milliseconds" if local.microsecond else "seconds")


def _in_minutes(local: datetime.datetime) -> datetime.datetime:
    """The same instant with its offset rounded to the minute: RFC 3339 has no seconds there."""
    offset = local.utcoffset() or datetime.timedelta()
    return in_zone(local, datetime.timezone(round(offset / _MINUTE) * _MINUTE))


class Texts(dict[type, Text]):
    """The text of a value by its type; what has no line here is compact JSON."""

    def __init__(self, zone: datetime.tzinfo) -> None:
        empty: dict[type, Text] = {type(None): lambda _: ""}
        super().__init__({**writers(), **empty, datetime.datetime: moment(zone)})

    def __missing__(self, _: type) -> Text:
        return _compact

    def column(self, values: list[Any]) -> list[str]:
        """The texts of a column; None is the empty text."""
        types = set(map(type, values))
        if types == {str}:
            return values
        if types <= {str, type(None)}:
            return [value or "" for value in values]
        if types <= {dict, list}:
            return json_lines(values).decode().split("\n")[:-1]
        if len(types - _NULL) == 1:
            write = self[(types - _NULL).pop()]
            return ["" if value is None else write(value) for value in values]
        return [self[type(value)](value) for value in values]


def _compact(value: Any) -> str:
    return to_json(value).decode()
