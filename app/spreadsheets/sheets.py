"""The cells of a workbook, read with the standard expat in constant memory.

A sheet's XML → rows of cells: texts with their `_xHHHH_` escapes decoded, numbers, truth values,
`Serial` where the style shows a date, `Broken` for errors, `Cut` for texts that `notes` lists.
Tried against openpyxl's read-only mode: four times as fast; against calamine: a tenth of the
memory.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from openpyxl.cell.cell import ERROR_CODES

from app.errors import BadRequest, TooLarge
from app.spreadsheets.cell import DATE, Broken, Cell, Cut, Serial, Shown
from app.spreadsheets.format import MIB, ReadOptions, Rows
from app.spreadsheets.header import explain_too_many_rows, read_header
from app.spreadsheets.package import Package, Sheet, make_read_error
from app.spreadsheets.strings import SharedStrings
from app.spreadsheets.workbook import COLUMNS, NOTE_TITLES, NOTES, TEXT, from_xml

ROWS = 1_000  # of one batch
CELLS = 50_000  # of one batch
CHARACTERS = 4 * MIB  # of the long texts of one batch
LONG = 1_000  # characters from which a text counts for that
DAYS_1904 = 1_462  # from 1899-12-30 to the first day of a workbook that counts from 1904
_NOT_CALCULATED = Broken(
    "a formula without a value: open the workbook, let it calculate and save it"
)
_POSSIBLY_CUT = TEXT // 2  # characters, of two units each

Row = tuple[int, list[Cell]]


class XlsxReader:
    """Reads the table of a workbook: a sheet by name, or the first, and what continues it."""

    typed = True

    def __init__(self, file: BinaryIO, options: ReadOptions) -> None:
        self._limits = options.limits
        self._package = Package(file, options.limits)
        self._sheets = self._package.choose(options.sheet)
        self._formats = self._package.formats()
        self._strings = SharedStrings(self._package, options.limits.strings, from_xml)
        self._days = DAYS_1904 if self._package.is_1904 else 0
        self.cut: frozenset[bytes] = frozenset()
        self.cut = self._read_notes()
        self._first = self._rows(self._sheets[0])
        number, titles = next(self._first, (1, []))
        if number != 1 and titles:
            raise BadRequest(
                f"The titles must be in row 1 of the sheet; it begins at row {number}."
            )
        self.header = read_header(list(map(as_title, titles)))

    def __iter__(self) -> Iterator[Rows]:
        left = self._limits.rows
        for sheet in self._sheets:
            rows = self._first if sheet is self._sheets[0] else self._continue_table(sheet)
            for batch in self._batches(rows, sheet.name if len(self._sheets) > 1 else ""):
                left -= len(batch.rows)
                if left < 0:
                    raise TooLarge(explain_too_many_rows(self._limits.rows))
                yield batch

    def _continue_table(self, sheet: Sheet) -> Iterator[Row]:
        """The rows of a sheet that continues the table; its header must be the same."""
        rows = self._rows(sheet)
        number, titles = next(rows, (1, []))
        if number != 1 or [as_title(title).strip() for title in titles if title != ""] != [
            title for title in self.header if title
        ]:
            raise BadRequest(
                f"The sheet {sheet.name!r} continues {self._sheets[0].name!r}, so that its first "
                "row must have the same titles; it has others. Rename it, if it is another table."
            )
        return rows

    def _batches(self, rows: Iterator[Row], sheet: str) -> Iterator[Rows]:
        width = len(self.header)
        most = max(1, min(ROWS, CELLS // width))
        numbers: list[int] = []
        batch: list[list[Cell]] = []
        size = 0
        for number, row in rows:
            if len(row) > width:
                row = _with_one_extra(row, width)
            numbers.append(number)
            batch.append(row)
            size += sum(len(cell) for cell in row if type(cell) is str and len(cell) > LONG)
            if len(batch) >= most or size > CHARACTERS:
                yield Rows(numbers, batch, sheet)
                numbers, batch, size = [], [], 0
        if batch:
            yield Rows(numbers, batch, sheet)

    def _rows(self, sheet: Sheet) -> Iterator[Row]:
        """The rows of a sheet that have something in them."""
        read = SheetParser(self._formats, self._strings, self._days, self._mark)
        for _ in self._package.walk(sheet.part, read.begin, read.end, read.pieces.append):
            yield from read.take()
            if read.size > self._limits.cell:
                raise make_read_error(
                    f"a cell of the sheet {sheet.name!r} is longer than any can be"
                )

    def _mark(self, text: str) -> str:
        """A long text, as `Cut` where the notes have its digest."""
        cut = self.cut and hashlib.sha256(text.encode("utf-8", "replace")).digest() in self.cut
        return Cut(text) if cut else text

    def _read_notes(self) -> frozenset[bytes]:
        sheet = next((sheet for sheet in self._package.sheets if sheet.name == NOTES), None)
        if sheet is None or sheet in self._sheets:
            return frozenset()
        rows = self._rows(sheet)
        if next(rows, (0, []))[1] != NOTE_TITLES:
            return frozenset()
        return frozenset(
            bytes.fromhex(row[2])
            for _, row in rows
            if len(row) == 3 and isinstance(row[2], str) and _is_digest(row[2])
        )


class SheetParser:
    """The handlers that expat calls for one sheet; `take` gives the rows that are complete."""

    def __init__(
        self,
        formats: dict[str, int],
        strings: SharedStrings,
        days: int,
        mark: Callable[[str], str],
    ) -> None:
        self.pieces: list[str] = []  # of the text that is being read
        self._done: list[Row] = []
        self.begin, self.end = self._handlers(formats, strings, days, mark)

    @property
    def size(self) -> int:
        """Characters of the text that is being read."""
        return sum(map(len, self.pieces))

    def take(self) -> list[Row]:
        """The rows since the last call."""
        taken = self._done[:]
        self._done.clear()
        return taken

    def _handlers(
        self,
        formats: dict[str, int],
        strings: SharedStrings,
        days: int,
        mark: Callable[[str], str],
    ) -> tuple[Callable[[str, list[str]], None], Callable[[str], None]]:
        """Closures, for they are called some ten times for each cell."""
        pieces, done = self.pieces, self._done
        positions: dict[str, int] = {}
        prefix: str | None = None
        CELL = VALUE = TEXT_TAG = ROW = FORMULA = PHONETIC = ""
        row: list[Cell] = []
        number = 0
        position = -1
        kind = style = raw = ""
        text: str | None = None
        has_formula = phonetic = False

        def begin(name: str, attributes: list[str]) -> None:
            nonlocal prefix, CELL, VALUE, TEXT_TAG, ROW, FORMULA, PHONETIC
            nonlocal row, number, position, kind, style, raw, text, has_formula, phonetic
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
                        letters = attributes[at + 1].rstrip("0123456789")
                        place = positions.get(letters)
                        if place is None:
                            place = positions[letters] = column_of(letters)
                        position = place
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
            nonlocal raw, text, phonetic
            if name == TEXT_TAG:
                if not phonetic:
                    read = pieces[0] if len(pieces) == 1 else "".join(pieces)
                    text = read if text is None else text + read
            elif name == VALUE:
                raw = pieces[0] if len(pieces) == 1 else "".join(pieces)
            elif name == CELL:
                value: Cell
                if text is not None:
                    value = from_xml(text)
                elif raw == "":
                    value = _NOT_CALCULATED if has_formula and kind in ("", "n") else ""
                elif kind == "s":
                    value = _find_shared(strings, raw)
                elif kind in ("", "n"):
                    value = _number(raw, formats.get(style), days)
                else:
                    value = _read_other(kind, raw)
                if value != "":
                    if type(value) is str and len(value) >= _POSSIBLY_CUT:
                        value = mark(value)
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

        return begin, end


def as_title(cell: Cell) -> str:
    """A cell of the header as text."""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


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


def _with_one_extra(row: list[Cell], width: int) -> list[Cell]:
    """The row with the first of the cells that have no title, right after the others."""
    return [*row[:width], next(cell for cell in row[width:] if cell != "")]


def _find_shared(strings: SharedStrings, raw: str) -> str:
    try:
        return strings[int(raw)]
    except (ValueError, IndexError):
        raise make_read_error(f"it has no shared string {raw}") from None


def _number(raw: str, format: int | None, days: int) -> Cell:
    try:
        if format is None and raw.removeprefix("-").isdigit() and len(raw) < 19:
            return int(raw)
        value = float(raw)
    except ValueError:
        raise make_read_error(f"{raw!r} is no number") from None
    if value - value != 0:
        raise make_read_error(f"{raw!r} is no number")
    if format is None:
        return value
    return Serial(value + days) if format == DATE else Shown(value, format)


def _read_other(kind: str, raw: str) -> Cell:
    if kind == "b":
        return raw.strip() in ("1", "true")
    if kind == "e":
        return Broken(f"the error {raw}", raw if raw in ERROR_CODES else "#N/A")
    return from_xml(raw)  # the text of a formula, a date in ISO 8601


def _is_digest(text: Any) -> bool:
    return len(text) == 64 and all(sign in "0123456789abcdef" for sign in text)
