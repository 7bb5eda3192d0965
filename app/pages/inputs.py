"""A value in a control of a form, and back: the JSON of a field ↔ the text that stands for it.

A text is read as little as possible: what can't be a value of its kind goes on as it was typed, and
the model says what is wrong with it. A text that still is what a value was written as counts as
this value, so that nothing changes that a control can't show: line ends, offsets, trailing zeros.
"""

import datetime
import json
import re
import zoneinfo
from collections.abc import Sequence
from typing import Any

import orjson

from app.api import requests
from app.errors import BadRequest
from app.pages.languages import N_
from app.resources.exact_json import BeyondDouble
from app.resources.fields import Field
from app.resources.kinds import KINDS, write_datetime

_number = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?").fullmatch  # RFC 8259
_day = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch
_moment = re.compile(r"[0-9-]{10}T[0-9:]{8}(\.[0-9]{3})?Z").fullmatch
_NO_NUMBERS = ("NaN", "Infinity", "-Infinity")
NO_JSON = N_("This must be JSON: texts in double quotes, lists as [1, 2], objects as {}.")
LONG = 80  # characters that one line shows


class Input:
    """A control; `control` names the part of the template that draws it.

    `takes_empty` says that the empty text is a value by itself, `meaning` what is to be typed.
    """

    control = "line"
    mode = "text"  # of a phone's keyboard
    meaning = ""
    takes_empty = False

    def fits(self, value: Any) -> bool:
        """Whether the control can show this value."""
        return isinstance(value, str)

    def write(self, value: Any) -> str:
        """The text of a value."""
        return str(value)

    def read(self, text: str) -> Any:
        """The value of a text that is not empty; raises `ValueError` with a sentence."""
        return text.strip()

    def is_empty(self, text: str) -> bool:
        """Whether nothing was typed."""
        return not text.strip()

    def is_same(self, text: str, value: Any) -> bool:
        """Whether a text still is the one that the value was written as."""
        return normalize(text) == normalize(self.write(value))


class Text(Input):
    """Texts, as they are typed."""

    takes_empty = True

    def __init__(self, *, has_lines: bool = False) -> None:
        self.control = "area" if has_lines else "line"

    def read(self, text: str) -> str:
        return normalize(text)

    def is_empty(self, text: str) -> bool:
        return not text


class Secret(Text):
    """What is written and never shown."""

    control = "secret"
    takes_empty = False

    def __init__(self) -> None:
        """One line, as passwords are."""


class Number(Input):
    """Numbers with all their digits."""

    mode = "decimal"
    meaning = N_("number")

    def fits(self, value: Any) -> bool:
        return type(value) in (int, float) or value in _NO_NUMBERS

    def write(self, value: Any) -> str:
        return write_json(value).strip('"')

    def read(self, text: str) -> Any:
        text = text.strip()
        return requests.parse_json(text.encode()) if _number(text) else text


class Whole(Number):
    """Whole numbers."""

    mode = "numeric"
    meaning = N_("whole number")

    def fits(self, value: Any) -> bool:
        return type(value) is int


class Exact(Input):
    """Decimal numbers: the digits themselves."""

    mode = "decimal"
    meaning = N_("decimal number, exact to its last digit")


class Code(Input):
    """Values whose JSON is a text without spaces: keys, bytes."""

    def __init__(self, meaning: str) -> None:
        self.meaning = meaning


class Day(Input):
    """Dates."""

    control = "day"

    def fits(self, value: Any) -> bool:
        return isinstance(value, str) and _day(value) is not None


class Moment(Input):
    """Date-times, shown in a time zone; browsers shorten them, so the instants are compared."""

    control = "moment"

    def __init__(self, zone: str) -> None:
        self.meaning = zone
        self._zone = zoneinfo.ZoneInfo(zone)

    def fits(self, value: Any) -> bool:
        return (
            isinstance(value, str) and _moment(value) is not None and self._local(value) is not None
        )

    def write(self, value: Any) -> str:
        local = self._local(value)
        assert local is not None
        return local.replace(tzinfo=None).isoformat(timespec="auto")[:23]

    def _local(self, value: str) -> datetime.datetime | None:
        try:
            return datetime.datetime.fromisoformat(value).astimezone(self._zone)
        except (ValueError, OverflowError):
            return None

    def read(self, text: str) -> str:
        try:
            local = datetime.datetime.fromisoformat(text.strip())
            moment = local.replace(tzinfo=local.tzinfo or self._zone).astimezone(datetime.UTC)
        except (ValueError, OverflowError):
            return text.strip()
        return write_datetime(moment)

    def is_same(self, text: str, value: Any) -> bool:
        return bool(_clock_of(text) == _clock_of(self.write(value)))


def _clock_of(text: str) -> Any:
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return text


class Flag(Input):
    """Yes, no, or nothing."""

    control = "flag"

    def fits(self, value: Any) -> bool:
        return isinstance(value, bool)

    def write(self, value: Any) -> str:
        return "true" if value else "false"

    def read(self, text: str) -> Any:
        return {"true": True, "false": False}.get(text, text)


class Choice(Input):
    """One of some values; another program may have stored one that is none of them."""

    control = "choice"

    def __init__(self, choices: Sequence[Any]) -> None:
        self._choices = choices

    def fits(self, value: Any) -> bool:
        return isinstance(value, str | int | float)

    def options(self, text: str) -> list[tuple[str, str]]:
        """The values and what they are called, with the one that is chosen."""
        listed = [(self.write(choice), str(choice)) for choice in self._choices]
        if text and all(text != value for value, _ in listed):
            listed.append((text, text))
        return listed

    def write(self, value: Any) -> str:
        return write_json(value)

    def read(self, text: str) -> Any:
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return text


class Json(Input):
    """Any value, as JSON."""

    control = "json"
    meaning = "JSON"

    def fits(self, value: Any) -> bool:
        return True

    def write(self, value: Any) -> str:
        return write_json(value)

    def read(self, text: str) -> Any:
        try:
            return requests.parse_json(text.encode())
        except (BadRequest, UnicodeEncodeError):
            raise ValueError(NO_JSON) from None


class Key(Input):
    """A link, as the `_id` of the document that it leads to."""

    control = "link"

    def __init__(self, field: Field) -> None:
        assert field.target is not None
        self.collection = field.target.collection
        self._key = input_of(field.target.key, "UTC")
        self._kind = KINDS[field.target.key.kind]

    def takes(self, text: str) -> bool:
        """Whether a text can be such an `_id`."""
        try:
            return self._kind.read is None or self._kind.read(text.strip()) is not None
        except ValueError:
            return False

    def fits(self, value: Any) -> bool:
        return self._key.fits(value)

    def write(self, value: Any) -> str:
        return self._key.write(value)

    def read(self, text: str) -> Any:
        return self._key.read(text)

    def is_same(self, text: str, value: Any) -> bool:
        return self._key.is_same(text, value)


_CODES = {
    "objectid": N_("24 hex characters"),
    "uuid": "UUID",
    "bytes": N_("bytes in base64"),
}


def input_of(field: Field, zone: str) -> Input:
    """The control of a single value of a field; date-times are in the zone."""
    if field.excluded and field.kind == "text":
        return Secret()
    if field.choices:
        return Choice(field.choices)
    if field.target is not None:
        return Key(field)
    if field.kind == "text":
        return Text(has_lines=field.text_type is None and field.name != "_id")
    if field.kind == "datetime":
        return Moment(zone)
    if field.kind in _CODES:
        return Code(_CODES[field.kind])
    made = _INPUTS.get(field.kind, Json)
    return made()


_INPUTS: dict[str, type[Input]] = {
    "bool": Flag,
    "int": Whole,
    "float": Number,
    "duration": Number,
    "decimal": Exact,
    "date": Day,
}


def write_json(value: Any) -> str:
    """The value as JSON, one member on a line; also what no document can hold, but a form can."""
    if isinstance(value, BeyondDouble):
        return "1e999" if value > 0 else "-1e999"
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    except TypeError:  # a number that is too large
        return json.dumps(value, ensure_ascii=False, indent=2)


def normalize(text: str) -> str:
    """A text as a form sends it back: a browser writes line ends anew, and has no NUL."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
