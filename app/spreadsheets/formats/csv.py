"""CSV: RFC 4180, UTF-8, CRLF after every record, a header."""

from typing import Any

from app.spreadsheets.cells import Texts, guard, guard_column, some_to_guard, zone
from app.spreadsheets.columns import Column
from app.spreadsheets.format import Format, Options


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
            [self._quoted([title], title) for title in titles]
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
        return self._quoted(texts, lines)

    def _quoted(self, texts: list[str], lines: str) -> list[str]:
        """The texts, in quotes where they need them; `lines` is all of them, with newlines between."""
        delimiter = self._delimiter
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


FORMAT = Format(
    names=("csv",),
    extension="csv",
    media_type="text/csv; charset=utf-8",
    tabular=True,
    compressible=True,
    takes=frozenset({"bom", "delimiter", "formulas", "unwind", "timezone", "titles"}),
    encoder=CsvEncoder,
)
