"""CSV: RFC 4180, UTF-8, CRLF after every record, a header."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

from app.errors import BadRequest, TooLarge
from app.spreadsheets.cells import Texts, guard, guard_column, some_to_guard, unguard, zone
from app.spreadsheets.columns import Column
from app.spreadsheets.encodings import check_encoding, find_encoding
from app.spreadsheets.format import MIB, Format, Options, ReadOptions, Rows
from app.spreadsheets.header import explain_too_many_rows, read_header

DELIMITERS = (",", ";", "\t", "|")  # where two are as frequent in the header, the first counts
ROWS = 50  # of one batch
TEXT = MIB // 4  # characters of lines after which a batch is handed over, however few its rows
_LINE_ENDS = frozenset({"\n", "\r\n", "\r"})
_SAMPLE = 256 * 1024  # characters in which the header must end
_named_delimiter = re.compile(r"sep=([,;|\t])\r?\n").match  # a first line that Excel understands


class CsvEncoder:
    """Writes a CSV file; a record whose only cell is empty is `""`, so that it is no blank line."""

    def __init__(self, columns: tuple[Column, ...], options: Options, sheet_name: str = "") -> None:
        self.rows = 0
        self._delimiter = "\t" if options.delimiter == "tab" else options.delimiter
        self._guarded = options.formulas != "keep"
        self._texts = Texts(zone(options.timezone))
        self._presenters = [column.presenter() for column in columns]
        titles = [guard(column.title) if self._guarded else column.title for column in columns]
        self._head = ("\ufeff" if options.bom else "") + self._records(
            [self._quote([title], title) for title in titles]
        )

    def encode(self, batch: list[list[Any]], raw: bytes | None = None) -> bytes:
        """The records of column-major values."""
        self.rows += len(batch[0])
        return self._after_head(self._records(list(map(self._column, batch, self._presenters))))

    def finish(self) -> bytes:
        """The header, where no batch has brought it."""
        return self._after_head("")

    def _after_head(self, records: str) -> bytes:
        head, self._head = self._head, ""
        return (head + records).encode()

    def _column(self, values: list[Any], present: Any) -> list[str]:
        if present:
            values = present(values)
        texts = self._texts.column(values)
        lines = "\n".join(texts)
        if self._guarded and some_to_guard(lines):
            texts = guard_column(values, texts)
            lines = "\n".join(texts)
        return self._quote(texts, lines)

    def _quote(self, texts: list[str], lines: str) -> list[str]:
        """The texts, in quotes where they need them.

        `lines` is all of them, with newlines between.
        """
        delimiter = self._delimiter
        if _are_lists_of_texts(texts, lines):
            return ('"' + lines.replace('"', '""').replace("\n", '"\n"') + '"').split("\n")
        if '"' in lines or delimiter in lines or "\r" in lines or lines.count("\n") >= len(texts):
            return [
                '"' + text.replace('"', '""') + '"'
                if delimiter in text or '"' in text or "\n" in text or "\r" in text
                else text
                for text in texts
            ]
        return texts

    def _records(self, columns: list[list[str]]) -> str:
        if len(columns) == 1:
            columns = [[text or '""' for text in columns[0]]]
        records = "\r\n".join(map(self._delimiter.join, zip(*columns, strict=True)))
        return records + "\r\n" if records else ""


def _are_lists_of_texts(texts: list[str], lines: str) -> bool:
    """Whether all of them begin as JSON lists of texts and none has a newline."""
    if not lines.startswith('["') or "\r" in lines:
        return False
    return lines.count("\n") == lines.count('\n["') == len(texts) - 1


class CsvReader:
    """Reads a CSV file: RFC 4180, its encoding and delimiter as asked, else found.

    Every cell is a text. A blank line is a row without anything in it. Raises `BadRequest` for
    quotes that don't match, with the row, and for titles with NUL characters: the file is no text.
    """

    typed = False

    def __init__(self, file: BinaryIO, options: ReadOptions) -> None:
        self.cut: frozenset[bytes] = frozenset()
        encoding = options.encoding
        self._encoding = check_encoding(file, encoding) if encoding else find_encoding(file)
        self._file = file
        self._limits = options.limits
        self._guarded = options.formulas != "keep"
        self._text = _Text(file, self._encoding, newline="")
        delimiter = "\t" if options.delimiter == "tab" else options.delimiter
        self._delimiter = self._find_delimiter(delimiter)
        self._size = 0  # characters of the lines since the last batch
        self._number = 0  # of the last row
        self._is_blank = False  # whether the last row was a blank line
        csv.field_size_limit(self._limits.cell)
        self._records = csv.reader(self._lines(), delimiter=self._delimiter, strict=True)
        self._has_header = False
        self.header = read_header(self._titles())
        self._has_header = True

    @property
    def findings(self) -> dict[str, str]:
        """The encoding and the delimiter."""
        delimiter = "tab" if self._delimiter == "\t" else self._delimiter
        return {"encoding": self._encoding, "delimiter": delimiter}

    def _find_delimiter(self, asked: str | None) -> str:
        """The delimiter; the text is then at the header, after a line `sep=;` too."""
        sample = self._text.read(_SAMPLE).removeprefix("\ufeff")
        self._text.seek(0)  # the codec takes a byte-order mark off again
        named = _named_delimiter(sample)
        if named:
            self._text.readline()
        return asked or (named and named[1]) or _find_most_frequent(sample)

    def _lines(self) -> Iterator[str]:
        """The lines for the parser, to which a row for each of many blank ones would cost much."""
        for line in self._text:
            if self._is_blank:
                if line in _LINE_ENDS:
                    self._number += 1
                    continue
                self._is_blank = False
            self._size += len(line)
            if not self._has_header and "\0" in line:
                raise BadRequest(
                    "The first row has a NUL character, which no title may have; "
                    "is this file really a CSV?"
                )
            yield line

    def _titles(self) -> list[str]:
        titles = next((row for row in self._rows() if row), [])
        return [unguard(title) if self._guarded else title for title in titles]

    def _rows(self) -> Iterator[list[str]]:
        """The rows, of which a blank line has no cells; `_number` is that of the last one."""
        try:
            for row in self._records:
                self._number += 1
                if not row:
                    self._is_blank = True
                yield row
        except csv.Error as error:
            raise BadRequest(f"Row {self._number + 1}: {_reason(error)}") from None

    def __iter__(self) -> Iterator[Rows]:
        numbers: list[int] = []
        rows: list[list[str]] = []
        left = self._limits.rows
        for row in filter(any, self._rows()):
            numbers.append(self._number)
            rows.append(row)
            if len(rows) >= ROWS or self._size >= TEXT:
                left -= len(rows)
                if left < 0:
                    break
                yield self._batch(numbers, rows)
                numbers, rows, self._size = [], [], 0
        if left < len(rows) or left < 0:
            raise TooLarge(explain_too_many_rows(self._limits.rows))
        if rows:
            yield self._batch(numbers, rows)

    def _batch(self, numbers: list[int], rows: list[list[str]]) -> Rows:
        if self._guarded:
            rows = [list(map(unguard, row)) if _some_guarded(row) else row for row in rows]
        return Rows(numbers, rows)


class _Text(io.TextIOWrapper):
    """The text of a file that its owner closes."""

    def close(self) -> None:
        """Leaves the file open."""


def _find_most_frequent(sample: str) -> str:
    """The delimiter that is most often in the first line, outside of quotes."""
    counts: Counter[str] = Counter()
    quoted = False
    for sign in sample:
        if sign == '"':
            quoted = not quoted
        elif not quoted and sign in DELIMITERS:
            counts[sign] += 1
        elif not quoted and sign in "\r\n" and counts:
            break
    return max(DELIMITERS, key=counts.__getitem__)


def _some_guarded(row: list[str]) -> bool:
    return "\n'" in "\n" + "\n".join(row)


def _reason(error: csv.Error) -> str:
    """What is wrong with the quotes, in words of a person."""
    text = str(error)
    if "field limit" in text:
        return (
            f"a cell has more than {csv.field_size_limit():,} characters, more than any document "
            'can have. Does a quote (") open it that is never closed?'
        )
    if "unexpected end of data" in text:
        return 'a quote (") opens a cell and is never closed.'
    if "expected after" in text:
        return (
            'a closing quote (") must be followed by the delimiter or the end of the line; '
            'a quote inside a cell is written twice ("").'
        )
    return f"{text}."


FORMAT = Format(
    names=("csv",),
    extension="csv",
    media_type="text/csv; charset=utf-8",
    tabular=True,
    compressible=True,
    takes=frozenset({"bom", "delimiter", "formulas", "unwind", "timezone", "titles"}),
    encoder=CsvEncoder,
    reader=CsvReader,
    endings=("tsv", "txt"),
    reads=frozenset({"columns", "formulas", "timezone"}),
    media_types=("text/csv", "application/csv", "text/tab-separated-values", "text/plain"),
)
