"""A value ↔ a cell, as the contract's table says, a whole column at once.

Written (`Texts`), the type of each value decides, not the model: what another program stored is
shown as what it is. Read (`CellReader`), the model's type decides, not the look of the cell: `007`
in a text field is a text. What is read is the JSON that the API shows for the value, so that a
model validates it as a body, and so that `read(write(value))` is the JSON of the value.
"""

import datetime
import decimal
import enum
import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import bson
import orjson

from app.errors import Fault, Invalid
from app.resources.fields import Field
from app.resources.kinds import INT64, KINDS, write_datetime, writers
from app.resources.rendering import to_json
from app.spreadsheets.cell import SCIENTIFIC, Broken, Cell, Cut, Serial, Shown
from app.spreadsheets.extended import unwrap
from app.spreadsheets.lines import json_lines

Text = Callable[[Any], str]

_DANGEROUS = "'=+\\-@\t\r＝＋－＠"  # a spreadsheet would run what begins so; `'` is our own mark
_begins_dangerously = re.compile(f"[{_DANGEROUS}]").match  # at the position that is given
# With a literal first character, which memchr finds.
_some_begins_dangerously = re.compile(f"\n[{_DANGEROUS}]").search
_NULL = {type(None)}
_MINUTE = datetime.timedelta(minutes=1)
_NOT_GUARDED = frozenset(
    {type(None), bool, int, bson.Int64, float, bson.Decimal128, datetime.datetime, datetime.date}
)


def guard(text: str) -> str:
    """The text, with `'` before it where it looks like a formula or begins with `'`."""
    return "'" + text if _begins_dangerously(text) else text


def unguard(text: str) -> str:
    """The text that was guarded: `unguard(guard(text)) == text`.

    What no guard has written stays.
    """
    return text[1:] if text[:1] == "'" and _begins_dangerously(text, 1) else text


def some_to_guard(lines: str) -> bool:
    """Whether `guard` may change one of some texts with newlines between them.

    Quick, where none is.
    """
    return _some_begins_dangerously("\n" + lines) is not None


def guard_column(values: list[Any], texts: list[str]) -> list[str]:
    """The column with its texts guarded.

    Numbers and dates are left alone, as their types in `values` say.
    """
    pairs = zip(values, texts, strict=True)
    return [text if type(value) in _NOT_GUARDED else guard(text) for value, text in pairs]


def zone(name: str) -> datetime.tzinfo:
    """The time zone of that IANA name; raises `Invalid` where there is none."""
    try:
        return datetime.UTC if name == "UTC" else zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        detail = (
            f"timezone: {name!r} is no time zone of the IANA database, such as Asia/Shanghai "
            "or UTC."
        )
        raise Invalid(detail, Fault(detail, parameter="timezone")) from None


def move_to_zone(value: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime:
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
        local = move_to_zone(value, zone)
        if local.tzinfo is not zone:
            return write_datetime(local)
        text = _isoformat(local)
        return text if text[-6] != ":" else _isoformat(_round_to_minutes(local))

    return write


def _isoformat(local: datetime.datetime) -> str:
    return local.isoformat(timespec="milliseconds" if local.microsecond else "seconds")


def _round_to_minutes(local: datetime.datetime) -> datetime.datetime:
    """The same instant with its offset rounded to the minute: RFC 3339 has no seconds there."""
    offset = local.utcoffset() or datetime.timedelta()
    return move_to_zone(local, datetime.timezone(round(offset / _MINUTE) * _MINUTE))


class Texts(dict[type, Text]):
    """The text of a value by its type; what has no line here is compact JSON."""

    def __init__(self, zone: datetime.tzinfo) -> None:
        empty: dict[type, Text] = {type(None): lambda _: ""}
        super().__init__({**writers(), **empty, datetime.datetime: moment(zone)})

    def __missing__(self, _: type) -> Text:
        return _write_compact

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


def _write_compact(value: Any) -> str:
    return to_json(value).decode()


# --- and back -------------------------------------------------------------------------------------


class Mark(enum.Enum):
    """What stands for a cell that has no value: an empty one, and one whose text the export cut."""

    EMPTY = "empty"
    KEPT = "kept"


EMPTY, KEPT = Mark.EMPTY, Mark.KEPT


@dataclass(frozen=True)
class Bad:
    """What stands for a cell that is no value of its field: the cell as a text, and why not."""

    value: str
    detail: str


class CellReader:
    """Cells of one field → the JSON of its values.

    `typed` as `Reader` says, `zone` for local times.
    """

    def __init__(self, field: Field, zone: datetime.tzinfo, *, typed: bool) -> None:
        if field.target is not None:  # a link is the `_id` that it leads to
            field = replace(field.target.key, many=field.many)
        kind = "json" if field.many else field.kind
        if kind == "any" and not field.choices:
            kind = "typed" if typed else "untyped"
        make = _READERS.get(kind, _Json)
        reader = make(field, zone)
        self._read = _Choice(field, reader) if field.choices and not field.many else reader
        self._is_text = type(self._read) is _Text
        self._takes_blanks = self._is_text or isinstance(self._read, _Typed)
        self._shared = not isinstance(reader, _Json | _Typed)  # a list must not be in two rows

    def column(self, cells: list[Cell]) -> list[Any]:
        """For each cell the value, `EMPTY`, `KEPT` or `Bad`."""
        if set(map(type, cells)) != {str}:
            return [self._convert(cell) for cell in cells]
        if self._is_text:
            return [cell or EMPTY for cell in cells] if "" in cells else cells
        different = set(cells)
        if not self._shared or 2 * len(different) > len(cells):
            return [self._convert(cell) for cell in cells]
        values = {cell: self._convert(cell) for cell in different}  # cities, flags, days repeat
        return [values[cell] for cell in cells]

    def _convert(self, cell: Cell) -> Any:
        read = self._read
        try:
            if type(cell) is str and cell and not cell.isspace():
                return read.text(cell)
            if isinstance(cell, str):
                if isinstance(cell, Broken):
                    return Bad("", f"has no value: the cell holds {cell}")
                if isinstance(cell, Cut):
                    return KEPT
                return cell if cell and self._takes_blanks else EMPTY
            if isinstance(cell, bool):
                return read.flag(cell)
            return read.serial(cell) if isinstance(cell, Serial) else read.number(cell)
        except ValueError as error:
            return Bad(show(cell), str(error))


SHOWN = 200  # characters of a cell that an error shows
_EPOCH = datetime.datetime(1899, 12, 30)  # noqa: DTZ001  # day 0 of any zone
_FIRST = 61  # 1900-03-01: programs count the days before it differently
_LAST = 2_958_466  # 10000-01-01
_DAY_IN_MS = 86_400_000
_TRUE = frozenset(re.findall(r"\S+", "true t yes y on 1 x ✓ √ 是 真 对 wahr ja vrai oui"))
_FALSE = frozenset(re.findall(r"\S+", "false f no n off 0 否 假 错 falsch nein faux non"))
_whole = re.compile(r"([+-]?[0-9]{1,19})\.0+").fullmatch
_number = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?").fullmatch  # RFC 8259
_canonical = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-5][0-9]:[0-5][0-9](\.(?!000)[0-9]{3})?Z"
).fullmatch
_day = re.compile(r"([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?").match
_clock = re.compile(r"[T ]+([0-9]{1,2}):([0-9]{2}.*)", re.IGNORECASE).fullmatch
_millisecond = datetime.timedelta(milliseconds=1)


def show(cell: Cell) -> str:
    """A cell as a text for people: what an error says was there."""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, Serial):
        return _write_local(cell)
    return _digits(cell) if isinstance(cell, int | float) else cell[:SHOWN]


class _Kind:
    """Cells of one kind → JSON.

    Each method raises `ValueError` with a sentence without its subject.
    """

    def __init__(self, field: Field, zone: datetime.tzinfo) -> None:
        self._kind = KINDS.get(field.kind, KINDS["any"])
        self._zone = zone

    def text(self, text: str) -> Any:
        """The value of a text, which is not empty."""
        value = self._kind.read(text.strip()) if self._kind.read else text
        return self._kind.write(value)

    def number(self, number: float) -> Any:
        """The value of a number, an int or a float."""
        return self.text(_digits(number))

    def flag(self, flag: bool) -> Any:
        """The value of TRUE or FALSE."""
        return self.text(str(flag).upper())

    def serial(self, days: Serial) -> Any:
        """The value of a date or a time."""
        return self.text(_write_local(days))


class _Text(_Kind):
    def text(self, text: str) -> str:
        return text


class _Flag(_Kind):
    def text(self, text: str) -> bool:
        word = text.strip().lower()
        if word not in _TRUE and word not in _FALSE:
            raise ValueError(
                "must be true or false (yes and no, 1 and 0, 是 and 否 are understood)"
            )
        return word in _TRUE

    def flag(self, flag: bool) -> bool:
        return flag


class _Whole(_Kind):
    def text(self, text: str) -> Any:
        text = text.strip()
        if text.isascii() and text.isdigit() and len(text) < 19:
            return int(text)
        whole = _whole(text)
        return KINDS["int"].read(whole[1] if whole else text)  # type: ignore[misc]

    def number(self, number: float) -> Any:
        if number != int(number):
            raise ValueError("must be a whole number (64 bits)")
        return self.text(str(int(number)))


class _Real(_Kind):
    def text(self, text: str) -> Any:
        value = KINDS["float"].read(text.strip())  # type: ignore[misc]
        return value if value - value == 0 else KINDS["float"].write(value)

    def number(self, number: float) -> float:
        return float(number)


class _Exact(_Kind):
    """Decimals: all digits of a text, and of a number those that its format shows."""

    def number(self, number: float) -> Any:
        exact = decimal.Decimal(repr(float(number)) if isinstance(number, float) else number)
        if isinstance(number, float) and number.is_integer() and abs(number) < 1e15:
            exact = decimal.Decimal(int(number))
        if isinstance(number, Shown):
            exact = _with_decimals(exact, number.format)
        return self.text(str(exact))


class _Moment(_Kind):
    def text(self, text: str) -> str:
        text = text.strip()
        if _is_canonical(text):
            return text
        value = _instant(text, self._zone)
        return write_datetime(value.replace(microsecond=value.microsecond // 1000 * 1000))

    def number(self, number: float) -> str:
        raise ValueError(
            "must be a date-time as 2026-01-02T03:04:05Z, or a cell with a date format"
        )

    def serial(self, days: Serial) -> str:
        return write_datetime(_move_to_utc(_read_local(days), self._zone))


class _Day(_Kind):
    def text(self, text: str) -> str:
        text = text.strip()
        day = _day(text)
        if day and day.end() == len(text):
            text = f"{day[1]}-{day[2]:0>2}-{day[3]:0>2}"
        moment: datetime.datetime = KINDS["date"].read(text)  # type: ignore[misc]
        return str(moment.date())

    def number(self, number: float) -> str:
        raise ValueError("must be a date as 2026-01-02, or a cell with a date format")

    def serial(self, days: Serial) -> str:
        local = _read_local(days)
        if local.time() != datetime.time():
            raise ValueError("must be a date without a time, as 2026-01-02")
        return str(local.date())


class _Span(_Kind):
    def text(self, text: str) -> Any:
        return KINDS["duration"].read(text.strip())  # type: ignore[misc]

    def number(self, number: float) -> float:
        return float(number)

    def serial(self, days: Serial) -> float:
        return round(days * _DAY_IN_MS) / 1000


class _Bytes(_Kind):
    def text(self, text: str) -> Any:
        return super().text(re.sub(r"\s", "", text))


class _Json(_Kind):
    """Lists, objects, maps: JSON, in which Extended JSON is understood."""

    def __init__(self, field: Field, zone: datetime.tzinfo) -> None:
        super().__init__(field, zone)
        self._right = (
            'must be a JSON list, such as ["a","b"]'
            if field.many or field.kind == "lists"
            else 'must be a JSON object, such as {"name":"value"}'
        )
        self._class = list if field.many or field.kind == "lists" else dict

    def text(self, text: str) -> Any:
        value = _parse_json(text)
        if not isinstance(value, self._class):
            raise ValueError(self._right)
        return value


class _Typed(_Kind):
    """A field that takes anything, in a file whose cells have types."""

    def text(self, text: str) -> Any:
        value = _parse_json(text) if text[0] in "{[" else None
        return text if value is None else value

    def number(self, number: float) -> Any:
        return number if type(number) is int else float(number)

    def flag(self, flag: bool) -> bool:
        return flag

    def serial(self, days: Serial) -> str:
        return write_datetime(_move_to_utc(_read_local(days), self._zone))


class _Untyped(_Typed):
    """A field that takes anything, in a file of texts: those that are JSON count as that."""

    def text(self, text: str) -> Any:
        if text in ("true", "false"):
            return text == "true"
        if not _number(text):
            return super().text(text)
        if text.lstrip("-").isdigit():
            return int(text) if int(text) in INT64 else text
        value = float(text)
        return value if value - value == 0 else text


class _Choice(_Kind):
    """Of an enumeration: the choice that has this text, whatever the case of its letters."""

    def __init__(self, field: Field, inner: _Kind) -> None:
        self._inner = inner
        choices = [choice for choice in field.choices if choice is not None]
        self._exact = {_show_choice(choice): choice for choice in choices}
        folded = [text.casefold() for text in self._exact]
        self._folded = {
            text.casefold(): choice
            for text, choice in self._exact.items()
            if folded.count(text.casefold()) == 1
        }

    def text(self, text: str) -> Any:
        for known, asked in (
            (self._exact, text),
            (self._exact, text.strip()),
            (self._folded, text.strip().casefold()),
        ):
            if asked in known:
                return orjson.loads(to_json(known[asked]))
        shown = ", ".join(list(self._exact)[:20])
        raise ValueError(f"must be one of: {shown}{', …' if len(self._exact) > 20 else ''}")


_READERS: dict[str, Callable[[Field, datetime.tzinfo], _Kind]] = {
    "bool": _Flag,
    "int": _Whole,
    "float": _Real,
    "text": _Text,
    "decimal": _Exact,
    "datetime": _Moment,
    "date": _Day,
    "duration": _Span,
    "objectid": _Kind,
    "uuid": _Kind,
    "bytes": _Bytes,
    "typed": _Typed,
    "untyped": _Untyped,
    "any": _Typed,
}


def _show_choice(choice: Any) -> str:
    return show(choice) if type(choice) is not bool else str(choice).lower()


def _parse_json(text: str) -> Any:
    """The JSON that a text is, None where it is none."""
    try:
        return unwrap(orjson.loads(text))
    except orjson.JSONDecodeError:
        return None


def _digits(number: float) -> str:
    """A number as a sheet shows it: `30`, not `30.0`, and no exponent where there is room."""
    if isinstance(number, int):
        return str(number)
    if number.is_integer() and abs(number) < 1e21:
        return str(int(number))
    return repr(float(number))


def _with_decimals(exact: decimal.Decimal, format: int) -> decimal.Decimal:
    """The number with the zeros that its format shows at the end; nothing is ever rounded."""
    if format <= SCIENTIFIC:
        sign, digits, exponent = exact.normalize().as_tuple()
        missing = SCIENTIFIC - format + 1 - len(digits)
        if missing < 0 or not isinstance(exponent, int):
            return exact
        return decimal.Decimal((sign, (*digits, *[0] * missing), exponent - missing))
    shown = exact.normalize() if exact else decimal.Decimal(0)
    _, _, exponent = shown.as_tuple()
    if not isinstance(exponent, int) or -exponent > format:
        return exact
    return shown.quantize(decimal.Decimal((0, (1,), -format)))


def _read_local(days: Serial) -> datetime.datetime:
    """The date and the time that a spreadsheet shows, to the millisecond."""
    if not _FIRST <= days < _LAST:
        raise ValueError(
            "must be a date from 1900-03-01 to 9999-12-31, or written as a text, such as 1899-12-31"
        )
    return _EPOCH + round(days * _DAY_IN_MS) * _millisecond


def _write_local(days: Serial) -> str:
    """A date, a time, or both, as a text of ISO 8601."""
    if 0 <= days < 1:
        return (_EPOCH + round(days * _DAY_IN_MS) * _millisecond).time().isoformat()
    if not _FIRST <= days < _LAST:
        return _digits(float(days))
    local = _read_local(days)
    return str(local.date()) if local.time() == datetime.time() else local.isoformat()


def _move_to_utc(local: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime:
    try:
        return local.replace(tzinfo=zone).astimezone(datetime.UTC)
    except OverflowError:
        raise ValueError("must be a date-time of the years 1 to 9999") from None


def _is_canonical(text: str) -> bool:
    """Whether a text is a date-time just as we write it, so that nothing is to be converted."""
    try:
        return bool(_canonical(text) and datetime.datetime.fromisoformat(text))
    except ValueError:
        return False


def _instant(text: str, zone: datetime.tzinfo) -> datetime.datetime:
    """A date-time in ISO 8601, or as people write it, the year first.

    Without an offset in the zone.
    """
    day = _day(text)
    if day:
        rest = text[day.end() :].strip("\t\n\r") or "T00:00"
        clock = _clock(rest)
        if clock:
            text = f"{day[1]}-{day[2]:0>2}-{day[3]:0>2}T{clock[1]:0>2}:{clock[2]}"
    try:
        value = datetime.datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError("must be a date-time as 2026-01-02T03:04:05Z") from None
    if value.tzinfo is None:
        return _move_to_utc(value, zone)
    return _move_to_utc(value.replace(tzinfo=None), value.tzinfo)
