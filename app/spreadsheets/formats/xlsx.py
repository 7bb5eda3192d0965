"""XLSX (ECMA-376): rows as sheet XML straight into a ZIP file's deflate stream.

values → cells → rows of XML → `Archive`. Text is an inline string, never a formula. Cells have no
references (the standard makes them optional), so an empty cell is there, too.
"""

import datetime
import hashlib
import math
import re
import tempfile
import unicodedata
import weakref
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, repeat
from typing import Any

import bson

from app.errors import Fault, Invalid
from app.spreadsheets import workbook
from app.spreadsheets.archive import Archive
from app.spreadsheets.cells import Texts, move_to_zone, zone
from app.spreadsheets.columns import Column
from app.spreadsheets.format import Format, Options
from app.spreadsheets.sheets import XlsxReader, list_sheets
from app.spreadsheets.workbook import COLUMNS, NOTE_TITLES, NOTES, ROWS, TEXT, to_xml

SHEET = 3 * 2**30  # bytes of XML after which the next sheet begins: well before 4 GiB
SLICE = 1_000  # rows that are one piece of XML in memory
SAMPLE = 100  # rows that say how wide a column is
SPOOL = 1024 * 1024  # bytes of the list of cut texts that stay in memory
DIGITS = 15  # that Excel keeps of a number
EXPONENT = 300  # past it a double may have no such number

_TEXT = b'<c t="inlineStr"><is><t>'
_SPACED_TEXT = b'<c t="inlineStr"><is><t xml:space="preserve">'
_TEXT_END = b"</t></is></c>"
_EMPTY = b"<c/>"
_CONTROLS = bytes([*range(9), *range(11, 32)])
_NUMBERS = frozenset(
    {bool, int, bson.Int64, float, bson.Decimal128, datetime.datetime, datetime.date}
)
_INTEGER = 10**DIGITS
_decimal = re.compile(
    r"-?(?P<whole>[0-9]+)(?:\.(?P<decimals>[0-9]+))?(?:E(?P<exponent>[+-][0-9]+))?"
).fullmatch
_DAY = datetime.timedelta(days=1)
_EPOCH = datetime.datetime(1899, 12, 30)  # noqa: DTZ001  # day 0 of any zone
_FIRST = datetime.date(1900, 3, 1)  # from here on, all programs count days alike

Sheet = tuple[str, str]  # its name, and the area of its cells
Cells = tuple[bytes, list[bytes], bytes]  # what stands before, in and after the cells of one column


class XlsxEncoder:
    """Writes a workbook; raises `Invalid` for more columns than a sheet has.

    `rows_per_sheet` is for tests.
    """

    def __init__(
        self,
        columns: tuple[Column, ...],
        options: Options,
        sheet_name: str,
        rows_per_sheet: int = ROWS,
    ) -> None:
        if len(columns) > COLUMNS:
            detail = (
                f"{len(columns)} columns are more than the {COLUMNS} that a sheet has; CSV has "
                "no such limit."
            )
            raise Invalid(detail, Fault(detail, parameter="columns"))
        self._archive = Archive()
        self._presenters = [column.presenter() for column in columns]
        self._notes = Notes([column.path for column in columns])
        self._listed: list[Sheet] = []
        self._zone = zone(options.timezone)
        self._styles = workbook.Styles()
        cells = CellWriter(self._zone, self._notes, self._styles)
        titles = [column.title for column in columns]
        name = workbook.sheet_name(sheet_name)
        self._sheets = SheetWriter(self._archive, self._listed, name, titles, cells, rows_per_sheet)
        self._begun = False

    @property
    def rows(self) -> int:
        """Data rows so far."""
        return self._sheets.rows

    def encode(self, batch: list[list[Any]], raw: bytes | None = None) -> bytes:
        """What is ready of the file with these column-major values."""
        begin = self._begin()
        values = [
            present(column) if present else column
            for column, present in zip(batch, self._presenters, strict=True)
        ]
        return begin + self._sheets.write(values)

    def finish(self) -> bytes:
        """The end of the last sheet, the notes, and what lists the sheets."""
        return b"".join([self._begin(), self._sheets.finish(), *self._cut_texts(), self._end()])

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        parts = {
            "[Content_Types].xml": workbook.TYPES,
            "_rels/.rels": workbook.LINKS,
        }
        return b"".join(
            self._archive.write_whole(name, part.encode()) for name, part in parts.items()
        )

    def _cut_texts(self) -> Iterator[bytes]:
        batches = self._notes.batches()
        first = next(batches, None)
        if first is None:
            return
        cells = CellWriter(self._zone, Notes(NOTE_TITLES), self._styles)
        notes = SheetWriter(self._archive, self._listed, NOTES, NOTE_TITLES, cells, ROWS)
        yield notes.write(first)
        for batch in batches:
            yield notes.write(batch)
        yield notes.finish()

    def _end(self) -> bytes:
        parts = {
            "xl/styles.xml": self._styles.part(),
            "xl/workbook.xml": workbook.workbook(self._listed),
            "xl/_rels/workbook.xml.rels": workbook.workbook_links(len(self._listed)),
        }
        entries = [self._archive.write_whole(name, part.encode()) for name, part in parts.items()]
        return b"".join([*entries, self._archive.finish()])


class Notes:
    """The texts that were cut: where, of which field, and the digest of what is left.

    Spooled past some size.
    """

    def __init__(self, paths: list[str]) -> None:
        self._paths = paths
        self._spool = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            SPOOL, "w+", encoding="utf-8", newline="\n"
        )
        weakref.finalize(self, self._spool.close)  # an export may end anywhere

    def add(self, sheet: str, row: int, position: int, text: str) -> None:
        """Notes a cut text; the digest is that of its UTF-8."""
        cell = f"{workbook.quote(sheet)}!{workbook.letters(position)}{row}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        self._spool.write("\0".join((cell, self._paths[position], digest)) + "\n")

    def batches(self) -> Iterator[list[list[str]]]:
        """The columns of the notes, some rows at a time."""
        self._spool.seek(0)
        while lines := list(islice(self._spool, SLICE)):
            yield [
                list(column)
                for column in zip(*(line[:-1].split("\0") for line in lines), strict=True)
            ]


class SheetWriter:
    """Writes one table on as many sheets as it needs, each with the header."""

    def __init__(
        self,
        archive: Archive,
        listed: list[Sheet],
        name: str,
        titles: list[str],
        cells: "CellWriter",
        limit: int,
    ) -> None:
        self.rows = 0
        self._archive, self._listed, self._name, self._titles, self._cells = (
            archive,
            listed,
            name,
            titles,
            cells,
        )
        self._limit = limit
        self._sheets = 0
        self._row = 0  # the last one on the open sheet; 0 where none is open

    def write(self, columns: list[list[Any]]) -> bytes:
        """What is ready with these rows."""
        parts: list[bytes] = []
        count, start = len(columns[0]), 0
        while start < count:
            if not self._row:
                parts.append(self._begin([column[start : start + SAMPLE] for column in columns]))
            end = min(count, start + SLICE, start + self._limit - self._row)
            parts.append(self._add([column[start:end] for column in columns]))
            start = end
            if self._row >= self._limit or self._archive.size >= SHEET:
                parts.append(self._end())
        self.rows += count
        return b"".join(parts)

    def finish(self) -> bytes:
        """The end of the last sheet, which is there with its header where there was no row."""
        if self._row:
            return self._end()
        return b"" if self._sheets else self._begin([[] for _ in self._titles]) + self._end()

    @property
    def _sheet(self) -> str:
        return workbook.number_name(self._name, self._sheets)

    def _begin(self, sample: list[list[Any]]) -> bytes:
        self._sheets += 1
        self._row = 1
        widths = list(map(self._cells.width, self._titles, sample))
        titles = (self._cells.text(title, b' s="%d"' % workbook.HEADER) for title in self._titles)
        head = workbook.sheet_head(widths).encode() + b"<row>" + b"".join(titles) + b"</row>"
        entry = self._archive.begin(f"xl/worksheets/sheet{len(self._listed) + 1}.xml")
        return entry + self._archive.write(head)

    def _add(self, columns: list[list[Any]]) -> bytes:
        cells = [
            self._cells.column(values, self._sheet, self._row + 1, position)
            for position, values in enumerate(columns)
        ]
        rows = _rows(cells)
        packed = self._archive.write(rows)
        if self._row == 1:
            packed += self._archive.flush()  # so that the first rows leave with their batch
        self._row += len(columns[0])
        return packed

    def _end(self) -> bytes:
        area = f"A1:{workbook.letters(len(self._titles) - 1)}{self._row}"
        self._listed.append((self._sheet, area))
        self._row = 0
        return self._archive.write(workbook.sheet_tail(area).encode()) + self._archive.end()


class CellWriter:
    """Writes cells by the type of each value, a column at once where all are of one kind."""

    def __init__(self, zone: datetime.tzinfo, notes: Notes, styles: workbook.Styles) -> None:
        self._zone, self._notes, self._styles = zone, notes, styles
        self._texts = Texts(zone)
        self._cells: dict[type, Callable[[Any], bytes]] = {
            type(None): lambda _: _EMPTY,
            bool: lambda value: b'<c t="b"><v>%d</v></c>' % value,
            int: self._integer,
            bson.Int64: self._integer,
            float: lambda value: (
                _number(repr(value)) if math.isfinite(value) else self._as_text(value)
            ),
            bson.Decimal128: self._decimal,
            datetime.datetime: self._moment,
            datetime.date: self._date,
        }

    def column(self, values: list[Any], sheet: str, row: int, position: int) -> Cells:
        """The cells of one column.

        A text that is too long is cut and noted, `row` being that of the first cell.
        """
        types = set(map(type, values))
        if types <= {int, bson.Int64} and min(values) > -_INTEGER and max(values) < _INTEGER:
            return b"<c><v>", [b"%d" % value for value in values], b"</v></c>"
        texts = [""] * len(values) if types <= _NUMBERS else self._texts.column(values)
        if max(map(len, texts)) > TEXT // 2:
            texts = [
                self._cut(text, sheet, number, position) for number, text in enumerate(texts, row)
            ]
        if types.isdisjoint(_NUMBERS):
            return _text_cells(texts)
        return b"", [self._one(value, text) for value, text in zip(values, texts, strict=True)], b""

    def text(self, text: str, style: bytes = b"") -> bytes:
        """One cell of text."""
        before, (inside,), after = _text_cells([workbook.cut(text, TEXT)])
        return (before + inside + after).replace(b"<c", b"<c" + style, 1)

    def width(self, title: str, sample: list[Any]) -> int:
        """How many characters wide a column should be."""
        return max(8, min(60, max(map(_width, [title + "  ", *self._texts.column(sample)])) + 2))

    def _one(self, value: Any, text: str) -> bytes:
        write = self._cells.get(type(value))
        return write(value) if write else self.text(text)

    def _cut(self, text: str, sheet: str, row: int, position: int) -> str:
        kept = workbook.cut(text, TEXT)
        if kept != text:
            self._notes.add(sheet, row, position, kept)
        return kept

    def _as_text(self, value: Any) -> bytes:
        return self.text(self._texts[type(value)](value))

    def _integer(self, value: int) -> bytes:
        return _number(str(value)) if -_INTEGER < value < _INTEGER else self._as_text(value)

    def _decimal(self, value: bson.Decimal128) -> bytes:
        text = str(value)
        format = decimal_format(text)
        return _number(text, self._styles.number(format)) if format else self._as_text(value)

    def _moment(self, value: datetime.datetime) -> bytes:
        local = move_to_zone(value, self._zone)
        if local.date() < _FIRST or local.tzinfo is not self._zone:  # it is past the year 9999
            return self._as_text(value)
        return _number(
            repr((local.replace(tzinfo=None) - _EPOCH) / _DAY),
            workbook.MOMENT_MS if local.microsecond else workbook.MOMENT,
        )

    def _date(self, value: datetime.date) -> bytes:
        return (
            _number(str((value - _EPOCH.date()).days), workbook.DATE)
            if value >= _FIRST
            else self._as_text(value)
        )


def _rows(columns: list[Cells]) -> bytes:
    pieces: list[Iterable[bytes]] = []
    markup = b"<row>"
    for before, cells, after in columns:
        pieces += (repeat(markup + before), cells)
        markup = after
    rows = zip(*pieces, repeat(markup + b"</row>"))  # the repeated have no end
    return b"".join(map(b"".join, rows))


def _number(digits: str, style: int | None = None) -> bytes:
    return (f'<c s="{style}"><v>{digits}</v></c>' if style else f"<c><v>{digits}</v></c>").encode()


def decimal_format(text: str) -> str | None:
    """The format in which a spreadsheet shows a decimal number with just these digits.

    `19.90` → `0.00`, `1E+3` → `0E+0`; None where no number can be shown so: past 15 significant
    digits, a negative zero, NaN, Infinity, an exponent beyond those of a double.
    """
    found = _decimal(text)
    if found is None:
        return None
    digits = (found["whole"] + (found["decimals"] or "")).lstrip("0")
    if len(digits) > DIGITS or (not digits and (text[0] == "-" or found["exponent"])):
        return None
    if found["exponent"] and abs(int(found["exponent"])) > EXPONENT:
        return None
    places = "." + "0" * len(found["decimals"]) if found["decimals"] else ""
    return "0" + places + ("E+0" if found["exponent"] else "")


def _text_cells(texts: list[str]) -> Cells:
    joined = "\0".join(texts).encode()  # bytes: a Chinese column does not make the Latin ones wider
    if _needs_escapes(joined, len(texts)):
        joined = "\0".join(map(to_xml, texts)).encode()
    before = _SPACED_TEXT if _needs_space(joined) else _TEXT
    cells = (
        joined.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;").split(b"\0")
    )
    if "" in texts:
        return b"", [before + cell + _TEXT_END if cell else _EMPTY for cell in cells], b""
    return before, cells, _TEXT_END


def _needs_escapes(joined: bytes, count: int) -> bool:
    controls = len(joined) - len(joined.translate(None, _CONTROLS))
    return (
        controls >= count
        or b"_x" in joined
        or b"\xef\xbf\xbe" in joined
        or b"\xef\xbf\xbf" in joined
    )


def _needs_space(joined: bytes) -> bool:
    """Whether a text has XML's white space at an end of it, or such that isn't a space."""
    padded = b"\0" + joined + b"\0"
    return b"\0 " in padded or b" \0" in padded or b"\n" in padded or b"\t" in padded


def _width(text: str) -> int:
    """The characters' places.

    Chinese, Japanese and Korean ones and emoji take two (Unicode's annex 11).
    """
    text = text[:60]
    return (
        len(text)
        if text.isascii()
        else sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)
    )


FORMAT = Format(
    names=("xlsx", "excel"),
    extension="xlsx",
    media_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    tabular=True,
    compressible=False,
    takes=frozenset({"unwind", "timezone", "titles"}),
    reads=frozenset({"columns", "sheet", "timezone"}),
    encoder=XlsxEncoder,
    reader=XlsxReader,
    list_sheets=list_sheets,
    media_types=(
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.ms-excel.sheet.macroenabled.12",  # refused with the reason
        "application/vnd.ms-excel",
    ),
    endings=("xlsm", "xlsb", "xls", "ods"),  # these are refused with the reason
)
