"""The rows of a sheet's XML, with their numbers: plain ones quickly, all others by expat.

Cells are texts with their `_xHHHH_` escapes decoded, numbers, truth values, `Serial` where the
style shows a date, `Broken` for errors, `Cut` for texts that `notes` lists.
"""

import datetime
from collections.abc import Callable, Iterator
from itertools import chain

from openpyxl.cell.cell import ERROR_CODES

from app.spreadsheets.cell import DATE, Broken, Cell, Serial, Shown
from app.spreadsheets.package import TOKEN, Depth, End, Start, make_read_error
from app.spreadsheets.plain_rows import (
    PlainCell,
    find_end,
    find_rows,
    read_plain_rows,
    read_tags,
    unescape,
)
from app.spreadsheets.strings import SharedStrings
from app.spreadsheets.workbook import COLUMNS, TEXT, from_xml

Row = tuple[int, list[Cell]]
Read = Callable[[str], Cell]
_NOT_CALCULATED = Broken(
    "a formula without a value: open the workbook, let it calculate and save it"
)
_DIGITS = 40  # of an integer that some program has written with all of them
_EPOCH = datetime.datetime(1899, 12, 30)  # noqa: DTZ001  # day 0 of any zone
_DAY = datetime.timedelta(days=1)
_POSSIBLY_CUT = TEXT // 2  # characters, of two units each


class CellMaker:
    """Makes cells of what the XML of a sheet has.

    `formats` has the formats of styles, `days` what a day counts more than since 1899-12-30, `mark`
    makes `Cut` of a text that the export has cut.
    """

    def __init__(
        self,
        formats: dict[str, int],
        strings: SharedStrings,
        days: int,
        mark: Callable[[str], str],
    ) -> None:
        self._formats = formats
        self._strings = strings
        self._days = days
        self._mark = mark
        self._readers: dict[tuple[str, str], Read] = {}

    def make_text(self, text: str) -> str:
        """The cell of a text that is in place."""
        if "_x" in text:
            text = from_xml(text)
        return self._mark(text) if len(text) >= _POSSIBLY_CUT else text

    def reader(self, kind: str, style: str) -> Read:
        """What makes the cells of that type and style of the texts of their `v`."""
        read = self._readers.get((kind, style))
        if read is None:
            read = self._readers[kind, style] = self._make_reader(kind, style)
        return read

    def _make_reader(self, kind: str, style: str) -> Read:
        if kind == "s":
            return self._find_shared
        if kind in ("", "n"):
            format, days = self._formats.get(style), self._days
            return lambda raw: _number(raw, format, days)
        if kind == "b":
            return lambda raw: raw.strip() in ("1", "true")
        if kind == "e":
            return _make_broken
        if kind == "d":
            return _read_date
        return self.make_text  # the text of a formula

    def _find_shared(self, raw: str) -> str:
        try:
            number = int(raw)
            if number < 0:  # Python counts from the end
                raise IndexError(number)
            text = self._strings[number]
        except (ValueError, IndexError):
            raise make_read_error(f"it has no shared string {raw}") from None
        return self._mark(text) if len(text) >= _POSSIBLY_CUT else text


class Positions(dict[str, int]):
    """The columns by their names."""

    def __missing__(self, letters: str) -> int:
        position = self[letters] = column_of(letters)
        return position


class PlainSheet:
    """The rows of a sheet up to the first that isn't plain.

    `rest` is the XML that was read of the chunks and has none of these rows, `number` that of the
    last of them.
    """

    def __init__(self, chunks: Iterator[bytes], cells: CellMaker) -> None:
        self.rest = b""
        self.number = 0
        self._chunks = chunks
        self._maker = cells
        self._positions = Positions()
        self._readers: dict[str, Read] = {}

    def __iter__(self) -> Iterator[Row]:
        """The rows that have something in them."""
        self.rest = next(self._chunks, b"")
        begin = find_rows(self.rest)
        if begin is None:
            return
        head, left = self.rest[:begin], self.rest[begin:]
        for chunk in chain([b""], self._chunks):
            left += chunk
            end = find_end(left)
            rows = read_plain_rows(left[:end])
            if rows is None or len(left) - end > TOKEN:
                break
            for number, cells in rows:
                row = self._make_row(cells)
                self.number = row_of(number, self.number + 1) if number else self.number + 1
                if row:
                    yield self.number, row
            left = left[end:]
        self.rest = head + left

    def _make_row(self, cells: list[PlainCell]) -> list[Cell]:
        row: list[Cell] = []
        position = -1
        for letters, tags, text in cells:
            position = self._positions[letters] if letters else position + 1
            if text:
                read = self._readers.get(tags) or self._make_reader(tags)
                value = read(unescape(text) if "&" in text else text)
                if position == len(row):
                    row.append(value)
                else:
                    _put(row, position, value)
        return row

    def _make_reader(self, tags: str) -> Read:
        style, kind, is_text = read_tags(tags)
        read = self._maker.make_text if is_text else self._maker.reader(kind, style)
        self._readers[tags] = read
        return read


class ParsedSheet:
    """The handlers that expat calls for one sheet; `take` gives the rows that are complete.

    `number` is that of the row before the first one.
    """

    def __init__(self, cells: CellMaker, number: int) -> None:
        self.pieces: list[str] = []  # of the text that is being read
        self._done: list[Row] = []
        self.begin, self.end, self.depth = self._handlers(cells, number)

    @property
    def size(self) -> int:
        """Characters of the text that is being read."""
        return sum(map(len, self.pieces))

    def take(self) -> list[Row]:
        """The rows since the last call."""
        taken = self._done[:]
        self._done.clear()
        return taken

    def _handlers(  # noqa: C901 - what it calls would cost a call for each tag
        self, cells: CellMaker, number: int
    ) -> tuple[Start, End, Depth]:
        """Closures, for they are called some ten times for each cell."""
        pieces, done = self.pieces, self._done
        positions = Positions()
        prefix: str | None = None
        CELL = VALUE = TEXT_TAG = ROW = FORMULA = PHONETIC = ""
        row: list[Cell] = []
        position = -1
        kind = style = raw = ""
        text: str | None = None
        has_formula = phonetic = False
        depth = 0

        def begin(name: str, attributes: list[str]) -> None:
            nonlocal prefix, CELL, VALUE, TEXT_TAG, ROW, FORMULA, PHONETIC
            nonlocal row, number, position, kind, style, raw, text, has_formula, phonetic, depth
            depth += 1
            if name == CELL:
                kind = style = raw = ""
                text = None
                has_formula = False
                position += 1
                for at in range(0, len(attributes), 2):
                    word = attributes[at]
                    if word == "t":
                        kind = attributes[at + 1]
                    elif word == "s":
                        style = attributes[at + 1]
                    elif word == "r":
                        position = positions[attributes[at + 1].rstrip("0123456789")]
            elif name in (VALUE, TEXT_TAG):
                pieces.clear()
            elif name == ROW:
                row = []
                position = -1
                number += 1
                if attributes and "r" in attributes[::2]:
                    number = row_of(attributes[attributes[::2].index("r") * 2 + 1], number)
            elif name == FORMULA:
                has_formula = True
            elif name == PHONETIC:
                phonetic = True
            elif prefix is None:
                prefix = name[: name.rfind(":") + 1]
                CELL, VALUE, TEXT_TAG, ROW = (
                    prefix + "c",
                    prefix + "v",
                    prefix + "t",
                    prefix + "row",
                )
                FORMULA, PHONETIC = prefix + "f", prefix + "rPh"

        def end(name: str) -> None:
            nonlocal raw, text, phonetic, depth
            depth -= 1
            if name == TEXT_TAG:
                if not phonetic:
                    read = pieces[0] if len(pieces) == 1 else "".join(pieces)
                    text = read if text is None else text + read
            elif name == VALUE:
                raw = pieces[0] if len(pieces) == 1 else "".join(pieces)
            elif name == CELL:
                value: Cell
                if text is not None:
                    value = cells.make_text(text)
                elif raw == "":
                    value = _NOT_CALCULATED if has_formula and kind in ("", "n") else ""
                else:
                    value = cells.reader(kind, style)(raw)
                if value != "":
                    if position == len(row):
                        row.append(value)
                    else:
                        _put(row, position, value)
            elif name == ROW:
                pieces.clear()
                if row:
                    done.append((number, row))
            elif name == PHONETIC:
                phonetic = False

        return begin, end, lambda: depth


def column_of(letters: str) -> int:
    """The column of that name, of which `A` is 0.

    Raises `BadRequest` where a sheet has none such.
    """
    position = 0
    for letter in letters.upper():
        if not "A" <= letter <= "Z" or position > COLUMNS:
            raise make_read_error(f"{letters!r} is no column")
        position = 26 * position + ord(letter) - 64
    if not 0 < position <= COLUMNS:
        raise make_read_error(f"{letters!r} is no column")
    return position - 1


def row_of(text: str, least: int) -> int:
    """The number of a row; raises `BadRequest` where it doesn't follow the row before."""
    if not text.isascii() or not text.isdigit() or len(text) > 7 or int(text) < least:
        raise make_read_error(f"{text!r} is no number of a row after row {least - 1}")
    return int(text)


def _put(row: list[Cell], position: int, value: Cell) -> None:
    if position >= COLUMNS:
        raise make_read_error(f"a row has more than {COLUMNS:,} cells")
    row.extend([""] * (position + 1 - len(row)))
    row[position] = value


def _number(raw: str, format: int | None, days: int) -> Cell:
    try:
        if format is None and raw.removeprefix("-").isdigit() and len(raw) <= _DIGITS:
            return int(raw)
        value = float(raw)
    except ValueError:
        raise make_read_error(f"{raw!r} is no number") from None
    if value - value != 0 or "_" in raw:  # Python reads 1_0 as 10
        raise make_read_error(f"{raw!r} is no number")
    if format is None:
        return value
    return Serial(value + days) if format == DATE else Shown(value, format)


def _read_date(raw: str) -> Cell:
    """A date or a time in ISO 8601; one with an offset, or before any serial one, stays a text."""
    try:
        local = datetime.datetime.fromisoformat(raw)
    except ValueError:
        return raw
    return Serial((local - _EPOCH) / _DAY) if local.tzinfo is None else raw


def _make_broken(raw: str) -> Broken:
    return Broken(f"the error {raw}", raw if raw in ERROR_CODES else "#N/A")
