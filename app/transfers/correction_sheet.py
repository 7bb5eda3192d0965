"""The sheet to correct: the rows of an import's file as they came, with what is wrong in each."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from app.spreadsheets.corrections import Corrections, CsvCorrections, XlsxCorrections
from app.spreadsheets.format import Reader
from app.spreadsheets.ingest import CellFault
from app.transfers.import_options import Import
from app.transfers.report import RowFaults


def write_sheet(
    asked: Import,
    reader: Reader,
    faults: Iterator[RowFaults],
    file: BinaryIO,
    *,
    title: str,
    name: str,
) -> None:
    """Writes the rows that a reader gives: all, or with `on_error=skip` those that failed.

    `faults` are in the order of the rows. `title` is that of the column that says what is wrong,
    `name` that of the sheet.
    """
    every = asked.on_error == "abort"
    sheet = _start_sheet(asked, reader, file, title, name)
    following = next(faults, None)
    for place, row in enumerate(_read_rows(reader)):
        found: list[CellFault] = []
        while following is not None and following.place == place:
            found += following.faults
            following = next(faults, None)
        if found or every:
            sheet.add(row, [replace(one, detail=asked.translate(one.detail)) for one in found])
    sheet.finish()


def _start_sheet(
    asked: Import, reader: Reader, file: BinaryIO, title: str, name: str
) -> Corrections:
    assert reader.header is not None
    if asked.sheet == "xlsx":
        return XlsxCorrections(file, reader.header, title, name, reader.cut)
    delimiter = reader.findings.get("delimiter", ",")  # as it came: one's Excel asks for it
    words = {"delimiter": delimiter, "formulas": asked.options.formulas}
    return CsvCorrections(file, reader.header, title, **words)


def _read_rows(reader: Reader) -> Iterator[Any]:
    for rows in reader:
        yield from rows.rows
