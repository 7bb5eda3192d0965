"""The sheet to correct: rows as they came, bad cells marked, a column that says what is wrong.

    Rows + faults ─▶ `add` ─▶ a CSV, or a workbook ─▶ `finish`

A workbook marks a bad cell with a fill, and, so that nobody has to see colours, with `▲` and the
name of the cell in the column `error`; the first ones have a note, too. In CSV the column names the
cell. Corrected and sent again, the file is a whole import: the column `error` is overlooked, and
the sheet `notes` still says which texts the export has cut.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO, Protocol

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.comments import Comment
from openpyxl.styles import Font, PatternFill

from app.errors import Fault, Invalid
from app.spreadsheets.cell import PADDED, SCIENTIFIC, Broken, Cell, Cut, Serial, Shown
from app.spreadsheets.cells import guard
from app.spreadsheets.ingest import CellFault
from app.spreadsheets.kinds import show, write_shown
from app.spreadsheets.workbook import (
    NOTE_TITLES,
    NOTES,
    ROWS,
    TEXT,
    cut,
    letters,
    number_name,
    sheet_name,
    to_xml,
)

NOTED = 1_000  # bad cells that have a note: openpyxl holds all of them in memory
NOTE = 1_000  # characters of a note
MARK = "▲"
_FILL = PatternFill("solid", fgColor="FFFFC7CE")
_DARK = Font(color="FF9C0006", bold=True)
_BOLD = Font(bold=True)
_MOMENT, _DAY, _TIME = "yyyy-mm-dd hh:mm:ss", "yyyy-mm-dd", "hh:mm:ss"


class Corrections(Protocol):
    """Writes one sheet to correct, row by row."""

    def add(self, row: Sequence[Any], faults: Iterable[CellFault] = ()) -> None:
        """One row as the reader gave it, and what is wrong with it."""

    def finish(self) -> None:
        """Writes the end of the file."""


class CsvCorrections:
    """A sheet to correct as CSV, UTF-8 with a byte-order mark, which Excel needs.

    `formulas` is as it was read: what lost its guard gets it again. Raises `Invalid` for a text
    that the export has cut, which only a workbook can go on marking.
    """

    def __init__(
        self,
        file: BinaryIO,
        header: Sequence[str],
        error_title: str,
        *,
        delimiter: str = ",",
        formulas: str = "escape",
    ) -> None:
        self._width = len(header)
        self._guarded = formulas != "keep"
        self._errors = _position(header, error_title)
        self._text = io.TextIOWrapper(file, "utf-8-sig", newline="")
        self._writer = csv.writer(self._text, delimiter="\t" if delimiter == "tab" else delimiter)
        self._writer.writerow(list(map(self._guard, _titles(header, error_title))))

    def add(self, row: Sequence[Any], faults: Iterable[CellFault] = ()) -> None:
        """One row as the reader gave it, and what is wrong with it."""
        cells = [*row, *[""] * (self._width - len(row))]
        if any(type(cell) is Cut for cell in cells):
            detail = (
                "A text of this workbook was cut by its export, which a CSV can't mark: ask for "
                "the sheet to correct as XLSX."
            )
            raise Invalid(detail, Fault(detail, header="Accept"))
        texts = [_as_csv(cell) for cell in cells]
        sentences = " ".join(fault.detail for fault in faults)
        _place(texts, self._errors, self._width, sentences)
        self._writer.writerow(list(map(self._guard, texts)))

    def finish(self) -> None:
        """Writes what is still in memory; the file stays open."""
        self._text.flush()
        self._text.detach()

    def _guard(self, text: str) -> str:
        return guard(text) if self._guarded and not _is_number(text) else text


class XlsxCorrections:
    """A sheet to correct as a workbook; `cut` are the digests of texts that the export has cut."""

    def __init__(
        self,
        file: BinaryIO,
        header: Sequence[str],
        error_title: str,
        name: str,
        cut: Iterable[bytes] = (),
    ) -> None:
        self._file = file
        self._header = header
        self._error_title = error_title
        self._width = len(header)
        self._errors = _position(header, error_title)
        self._name = sheet_name(name)
        self._digests = sorted(cut)
        self._book = Workbook(write_only=True)
        self._sheets = 0
        self._noted = 0
        self._begin()

    def add(self, row: Sequence[Any], faults: Iterable[CellFault] = ()) -> None:
        """One row as the reader gave it, and what is wrong with it."""
        if self._row >= ROWS:
            self._begin()
        self._row += 1
        cells: list[Any] = [self._cell(cell) for cell in row]
        cells += [None] * (self._width - len(cells))
        sentences = []
        for fault in faults:
            sentences.append(self._sentence(fault))
            if fault.position is not None and fault.position < len(cells):
                cells[fault.position] = self._mark(cells[fault.position], fault)
        error = self._text(" ".join(sentences)) if sentences else None
        if error is not None:
            error.font = _DARK
        _place(cells, self._errors, self._width, error)
        self._sheet.append(cells)

    def finish(self) -> None:
        """Writes the file, which stays open."""
        if self._digests:
            notes = self._book.create_sheet(NOTES)
            notes.append(NOTE_TITLES)
            for digest in self._digests:
                notes.append(["", "", digest.hex()])
        self._book.save(self._file)

    def _begin(self) -> None:
        self._sheets += 1
        self._sheet: Any = self._book.create_sheet(number_name(self._name, self._sheets))
        self._sheet.freeze_panes = "A2"
        titles = [self._text(title) for title in _titles(self._header, self._error_title)]
        for position, title in enumerate(titles):
            title.font = _BOLD
            self._sheet.column_dimensions[letters(position)].width = 18
        self._sheet.column_dimensions[letters(self._place_of_errors)].width = 60
        self._sheet.append(titles)
        self._row = 1

    @property
    def _place_of_errors(self) -> int:
        return self._width if self._errors is None else self._errors

    def _sentence(self, fault: CellFault) -> str:
        if fault.position is None:
            return f"{MARK} {fault.detail}"
        return f"{MARK} {letters(fault.position)}{self._row}: {fault.detail}"

    def _mark(self, cell: Any, fault: CellFault) -> Any:
        marked = self._text("") if cell is None else cell
        marked.fill = _FILL
        marked.font = _DARK
        if self._noted < NOTED:
            self._noted += 1
            note = to_xml(f"{MARK} {fault.detail}"[:NOTE])
            marked.comment = Comment(note, "docsheet", height=60, width=300)
        return marked

    def _cell(self, cell: Cell) -> Any:
        """A cell as it came: a text stays a text, never a formula; a date stays a date."""
        if isinstance(cell, Broken):
            return WriteOnlyCell(self._sheet, cell.code)  # an error again, not an empty cell
        if isinstance(cell, str):
            return self._text(cell) if cell else None
        written: Any = WriteOnlyCell(self._sheet, float(cell) if isinstance(cell, float) else cell)
        if isinstance(cell, Serial):
            written.number_format = _date_format(cell)
        elif isinstance(cell, Shown):
            written.number_format = _number_format(cell.format)
        return written

    def _text(self, text: str) -> Any:
        cell: Any = WriteOnlyCell(self._sheet, to_xml(cut(text, TEXT)))
        cell.data_type = "s"  # openpyxl takes `=1` for a formula and `#N/A` for an error
        return cell


def _titles(header: Sequence[str], error_title: str) -> list[str]:
    return list(header) if error_title in header else [*header, error_title]


def _position(header: Sequence[str], error_title: str) -> int | None:
    """Where the column for errors is already, in a sheet that came back."""
    return list(header).index(error_title) if error_title in header else None


def _place(cells: list[Any], errors: int | None, width: int, error: Any) -> None:
    """Puts the error into its column; a cell without a title goes behind it."""
    if errors is None:
        cells.insert(width, error)
    else:
        cells[errors] = error


def _as_csv(cell: Cell) -> str:
    if isinstance(cell, Broken):
        return cell.code
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, Shown):  # a CSV has no format that would show the zeros
        return write_shown(cell)
    return cell if isinstance(cell, str) else show(cell)


def _is_number(text: str) -> bool:
    return text[:1] in "+-" and text[1:].replace(".", "", 1).isdigit()


def _date_format(days: Serial) -> str:
    if days < 1:
        return _TIME
    return _DAY if days.is_integer() else _MOMENT


def _number_format(format: int) -> str:
    if format >= PADDED:
        return "0" * (format - PADDED)
    scientific = format <= SCIENTIFIC
    places = SCIENTIFIC - format if scientific else format
    return "0" + ("." + "0" * places if places else "") + ("E+0" if scientific else "")
