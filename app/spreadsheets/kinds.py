"""How the cells of each kind of field are read, and what an empty sheet says of them.

What is read is the JSON that the API shows for the value. These are matters of sheets: what a
number format says, how people write a date or a truth value. The rest is the kind's own line of
`resources/kinds.py`, and a kind that has nothing to add is not here.
"""

import datetime
import decimal
import math
import re
from typing import Any

import orjson

from app.resources.fields import Field
from app.resources.kinds import (
    INT64,
    KINDS,
    read_date,
    read_duration,
    read_float,
    read_int,
    write_datetime,
    write_float,
)
from app.resources.moments import to_milliseconds
from app.resources.rendering import to_json
from app.spreadsheets.cell import PADDED, SCIENTIFIC, Cell, Serial, Shown
from app.spreadsheets.extended import EXPLAIN_AMBIGUOUS, has_extended, unwrap, unwrap_field

SHOWN = 200  # characters of a cell that an error shows
_EPOCH = datetime.datetime(1899, 12, 30)  # noqa: DTZ001  # day 0 of any zone
_FIRST = 61  # 1900-03-01: programs count the days before it differently
_LAST = 2_958_466  # 10000-01-01
_DAY_IN_MS = 86_400_000
_DIGITS = 15  # of a number that a spreadsheet keeps and shows
_TOO_LONG = 10.0**_DIGITS
_TRUE = frozenset(re.findall(r"\S+", "true t yes y on 1 x ✓ √ 是 真 对 wahr ja vrai oui"))
_FALSE = frozenset(re.findall(r"\S+", "false f no n off 0 否 假 错 falsch nein faux non"))
_whole = re.compile(r"([+-]?[0-9]{1,19})\.0+").fullmatch
_number = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?").fullmatch  # RFC 8259
_has_digit = re.compile(r"[0-9]").search
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


class CellKind:
    """Cells of one kind → JSON; for kinds whose cells are texts, with nothing to add to `KINDS`.

    Each method raises `ValueError` with a sentence without its subject. `meaning` says to people
    what a cell holds (none: the kind's name does), `format` is the number format of a column that
    is to be filled in.
    """

    meaning = ""
    format = "@"
    is_text = False  # whether a text is its own value
    takes_blanks = False  # whether a text of spaces is a value
    is_mutable = False  # whether a value may be changed later, so that two rows need one each

    def __init__(self, field: Field, zone: datetime.tzinfo) -> None:
        self._field = field
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


class _Text(CellKind):
    meaning = "Text"
    is_text = takes_blanks = True

    def text(self, text: str) -> str:
        return text

    def number(self, number: float) -> str:
        """What the sheet shows of a number: the zeros before and after it that its format adds."""
        _refuse_lost_digits(number)
        return write_shown(number) if isinstance(number, Shown) else _digits(number)


class _Flag(CellKind):
    meaning = "TRUE or FALSE"
    format = "General"

    def text(self, text: str) -> bool:
        word = text.strip().lower()
        if word not in _TRUE and word not in _FALSE:
            raise ValueError(
                "must be true or false (yes and no, 1 and 0, 是 and 否 are understood)"
            )
        return word in _TRUE

    def flag(self, flag: bool) -> bool:
        return flag


class _Whole(CellKind):
    meaning = "Whole number"
    format = "0"

    def text(self, text: str) -> Any:
        text = text.strip()
        if text.isascii() and text.isdigit() and len(text) < 19:
            return int(text)
        whole = _whole(text)
        return read_int(whole[1] if whole else text)

    def number(self, number: float) -> Any:
        if number != int(number):
            raise ValueError("must be a whole number (64 bits)")
        value = self.text(str(int(number)))
        _refuse_lost_digits(number)
        return value


class _Real(CellKind):
    meaning = "Number"
    format = "General"

    def text(self, text: str) -> Any:
        try:
            value = read_float(text.strip())
        except ValueError as error:
            raise _explain_signs(text, error) from None
        if math.isinf(value) and _has_digit(text):
            raise ValueError("is larger than a double can be")
        return value if math.isfinite(value) else write_float(value)

    def number(self, number: float) -> float:
        return float(number)


class _Exact(CellKind):
    """Decimals: all digits of a text, and of a number those that its format shows."""

    meaning = "Decimal number, exact to its last digit"
    format = "General"

    def text(self, text: str) -> Any:
        try:
            return super().text(text)
        except ValueError as error:
            raise _explain_signs(text, error) from None

    def number(self, number: float) -> Any:
        exact = decimal.Decimal(_round(number) if isinstance(number, float) else number)
        if isinstance(number, Shown):
            exact = _with_decimals(exact, number.format)
        return self.text(str(exact))


class _Moment(CellKind):
    meaning = "Date and time, such as 2026-01-02 03:04:05"
    format = "yyyy-mm-dd hh:mm:ss"

    def text(self, text: str) -> str:
        text = text.strip()
        if _is_canonical(text):
            return text
        value = _instant(text, self._zone)
        return write_datetime(to_milliseconds(value))

    def number(self, number: float) -> str:
        raise ValueError(
            "must be a date-time as 2026-01-02T03:04:05Z, or a cell with a date format"
        )

    def serial(self, days: Serial) -> str:
        return write_datetime(_move_to_utc(_read_local(days), self._zone))


class _Day(CellKind):
    meaning = "Date, such as 2026-01-02"
    format = "yyyy-mm-dd"

    def text(self, text: str) -> str:
        text = text.strip()
        day = _day(text)
        if day and day.end() == len(text):
            text = f"{day[1]}-{day[2]:0>2}-{day[3]:0>2}"
        return str(read_date(text).date())

    def number(self, number: float) -> str:
        raise ValueError("must be a date as 2026-01-02, or a cell with a date format")

    def serial(self, days: Serial) -> str:
        local = _read_local(days)
        if local.time() != datetime.time():
            raise ValueError("must be a date without a time, as 2026-01-02")
        return str(local.date())


class _Span(CellKind):
    meaning = "Duration, such as PT1H30M, or seconds"
    format = "General"

    def text(self, text: str) -> Any:
        return read_duration(text.strip())

    def number(self, number: float) -> float:
        return float(number)

    def serial(self, days: Serial) -> float:
        return round(days * _DAY_IN_MS) / 1000


class _Bytes(CellKind):
    meaning = "Bytes in base64"

    def text(self, text: str) -> Any:
        return super().text(re.sub(r"\s", "", text))


class _ObjectId(CellKind):
    meaning = "ObjectId: 24 hex characters"


class _Uuid(CellKind):
    meaning = "UUID"


class _Object(CellKind):
    """JSON, in which Extended JSON is understood."""

    meaning = 'JSON object, such as {"name":"value"}'
    format = "General"
    is_mutable = True
    right: tuple[type, str] = (dict, 'must be a JSON object, such as {"name":"value"}')

    def text(self, text: str) -> Any:
        type_, otherwise = self.right
        value = _parse_json(text, self._field)
        if not isinstance(value, type_):
            raise ValueError(otherwise)
        return value


class _Map(_Object):
    meaning = 'JSON object, such as {"key":"value"}'


class _Link(_Object):
    meaning = "The _id of another document"


class _List(_Object):
    meaning = "JSON list of lists, such as [[1,2],[3]]"
    right = (list, 'must be a JSON list, such as ["a","b"]')


class _Typed(CellKind):
    """A field that takes anything, in a file whose cells have types."""

    meaning = "Anything"
    format = "General"
    takes_blanks = is_mutable = True

    def text(self, text: str) -> Any:
        value = _parse_json(text, self._field) if text[0] in "{[" else None
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
        return value if math.isfinite(value) else text


class _Union(_Typed):
    """A field of several kinds: a cell is read as one of these alone, a text is for the model.

    As a text of JSON counts, in a file of texts, what is a number or a truth value and may be one.
    """

    def __init__(self, field: Field, zone: datetime.tzinfo, *, typed: bool) -> None:
        super().__init__(field, zone)
        self._typed = typed
        self._nested = any(member.many or member.kind in _NESTED for member in field.members)
        self._kinds = {member.kind for member in field.members if not member.many}
        self._as_text = _Text(field, zone)

    def text(self, text: str) -> Any:
        if not self._typed and text in ("true", "false") and "bool" in self._kinds:
            return text == "true"
        if not self._typed and _number(text):
            return self._read_number(text)
        return super().text(text) if self._nested else text

    def number(self, number: float) -> Any:
        if self._kinds & _FRACTIONS:
            return super().number(number)
        if "int" not in self._kinds or number != int(number):
            return self._as_text.number(number)
        _refuse_lost_digits(number)
        return int(number)

    def flag(self, flag: bool) -> Any:
        return flag if "bool" in self._kinds else self._as_text.flag(flag)

    def serial(self, days: Serial) -> str:
        return super().serial(days) if "datetime" in self._kinds else self._as_text.serial(days)

    def _read_number(self, text: str) -> Any:
        """The number that a text is, where the field may be such a number; else the text."""
        if text.lstrip("-").isdigit() and self._kinds & _NUMBERS:
            return int(text) if int(text) in INT64 else text
        if not self._kinds & _FRACTIONS:
            return text
        value = float(text)
        return value if math.isfinite(value) else text


class _Choice(CellKind):
    """Of an enumeration: the choice that has this text, whatever the case of its letters."""

    def __init__(self, field: Field) -> None:
        self.is_mutable = kind_of_cells(field.kind).is_mutable
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


_FRACTIONS = frozenset({"float", "duration", "decimal"})  # kinds whose JSON may be any number
_NUMBERS = _FRACTIONS | {"int"}
_NESTED = frozenset({"object", "map", "lists", "link"})  # whose JSON is an object or a list
_KINDS: dict[str, type[CellKind]] = {  # a kind that is not here is a text, read by its own line
    "bool": _Flag,
    "int": _Whole,
    "float": _Real,
    "text": _Text,
    "decimal": _Exact,
    "datetime": _Moment,
    "date": _Day,
    "duration": _Span,
    "objectid": _ObjectId,
    "uuid": _Uuid,
    "bytes": _Bytes,
    "object": _Object,
    "map": _Map,
    "lists": _List,
    "link": _Link,
    "any": _Typed,
}


def kind_of_cells(kind: str) -> type[CellKind]:
    """What cells of a kind of field are."""
    return _KINDS.get(kind, CellKind)


def reader_of(field: Field, zone: datetime.tzinfo, *, typed: bool) -> CellKind:
    """What reads the cells of a field, whose file has `typed` cells or texts alone."""
    if field.many:
        return _List(field, zone)
    if field.choices:
        return _Choice(field)
    if field.members:
        return _Union(field, zone, typed=typed)
    if field.kind == "any" and not typed:
        return _Untyped(field, zone)
    return kind_of_cells(field.kind)(field, zone)


def _show_choice(choice: Any) -> str:
    return show(choice) if type(choice) is not bool else str(choice).lower()


def _parse_json(text: str, field: Field) -> Any:
    """The JSON that a text is, None where it is none."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not has_extended(text):
        return value
    plain = unwrap(value)
    if plain != unwrap_field(value, field):
        raise ValueError(EXPLAIN_AMBIGUOUS.removesuffix("."))
    return plain


def _digits(number: float) -> str:
    """A number as a sheet shows it: `30`, not `30.0`, and no exponent where there is room."""
    if isinstance(number, int):
        return str(number)
    exact = _round(number)
    return format(exact, "f") if abs(exact) < 10**21 and exact == int(exact) else str(float(exact))


def _round(number: float) -> decimal.Decimal:
    """The number with the digits that a sheet shows: 0.3 of what is 0.30000000000000004."""
    exact = decimal.Decimal(f"{number:.{_DIGITS}g}")
    return decimal.Decimal(int(exact)) if exact == int(exact) and abs(exact) < _TOO_LONG else exact


def write_shown(number: Shown) -> str:
    """A number with the zeros that its format shows: `007`, `1.50`; nothing is ever rounded."""
    if number.format >= PADDED and number.is_integer():
        return f"{int(number):0{number.format - PADDED + (number < 0)}}"
    if 0 <= number.format < PADDED:
        return format(_with_decimals(_round(number), number.format), "f")
    return _digits(number)


def _refuse_lost_digits(number: float) -> None:
    """Raises `ValueError` for a number whose last digits the spreadsheet may have lost."""
    if isinstance(number, float) and abs(number) >= _TOO_LONG:
        raise ValueError(
            f"is a number of more than {_DIGITS} digits, of which a spreadsheet keeps no more: "
            "format the cell as text and enter it again"
        )


def _explain_signs(text: str, error: ValueError) -> ValueError:
    """The error for a text that is no number, where its comma may be one of another language."""
    return ValueError(f"{error}, written as 1234.5") if "," in text else error


def _with_decimals(exact: decimal.Decimal, format: int) -> decimal.Decimal:
    """The number with the zeros that its format shows at the end; nothing is ever rounded."""
    if format >= PADDED:
        return exact
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
