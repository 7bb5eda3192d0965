"""A value ↔ a cell, as the contract's table says, a whole column at once.

Written (`Texts`), the type of each value decides, not the model: what another program stored is
shown as what it is. Read (`CellReader`), the model's type decides, not the look of the cell: `007`
in a text field is a text. What is read is the JSON that the API shows for the value, so that a
model validates it as a body, and so that `read(write(value))` is the JSON of the value.
"""

import datetime
import enum
import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import bson

from app.errors import Fault, Invalid
from app.resources.fields import Field
from app.resources.kinds import write_datetime, writers
from app.resources.rendering import to_json
from app.spreadsheets.cell import Broken, Cell, Cut, Serial
from app.spreadsheets.kinds import reader_of, show
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
    """The time zone of that IANA name; raises `Invalid` where there is none.

    Each begins with a capital; beside them lie `localtime`, of this machine, and `right/UTC`, which
    counts leap seconds.
    """
    try:
        if not name[:1].isupper():
            raise KeyError(name)
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
        self._read = reader_of(field, zone, typed=typed)

    def column(self, cells: list[Cell]) -> list[Any]:
        """For each cell the value, `EMPTY`, `KEPT` or `Bad`."""
        if set(map(type, cells)) != {str}:
            return [self._convert(cell) for cell in cells]
        if self._read.is_text:
            return [cell or EMPTY for cell in cells] if "" in cells else cells
        different = set(cells)
        if self._read.is_mutable or 2 * len(different) > len(cells):
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
                return cell if cell and read.takes_blanks else EMPTY
            if isinstance(cell, bool):
                return read.flag(cell)
            return read.serial(cell) if isinstance(cell, Serial) else read.number(cell)
        except ValueError as error:
            return Bad(show(cell), str(error))
