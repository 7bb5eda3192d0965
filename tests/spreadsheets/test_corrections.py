"""The sheet to correct: other libraries open it, and corrected it is an import."""

import datetime
import io
from typing import Any

import openpyxl
import pydantic
import pytest
import python_calamine

from app.errors import Invalid
from app.resources.fields import shape_of
from app.spreadsheets.cell import PADDED, Broken, Cut, Serial, Shown
from app.spreadsheets.corrections import CsvCorrections, XlsxCorrections
from app.spreadsheets.format import ReadOptions
from app.spreadsheets.formats import FORMATS
from app.spreadsheets.ingest import CellFault, Ingest, Record
from tests.spreadsheets.files import csv_rows, export


class Person(pydantic.BaseModel):
    name: str
    age: int | None = None
    day: datetime.date | None = None
    note: str | None = None


FAULT = CellFault("age", "old", "age must be a whole number (64 bits).", 1)
ROW = CellFault("", "", "A row with this name is there already (row 2).")
ROWS: list[tuple[list[Any], list[CellFault]]] = [
    (["=1+1", "old", Serial(46024), "\x01_x0041_"], [FAULT]),
    (["007", 5, "", ""], []),
    (["#N/A"], [ROW]),
    ([True, Shown(1.5, 2), Serial(46024.5), Serial(0.25)], [FAULT, ROW]),
    (["", Broken("the error #DIV/0!", "#DIV/0!"), "", ""], []),
]
HEADER = ["name", "age", "day", "note"]


def workbook(rows: Any = ROWS, header: Any = HEADER, **options: Any) -> bytes:
    file = io.BytesIO()
    sheet = XlsxCorrections(file, header, "error", "people", **options)
    for row, faults in rows:
        sheet.add(row, faults)
    sheet.finish()
    return file.getvalue()


def text(rows: Any = ROWS, header: Any = HEADER, **options: Any) -> bytes:
    file = io.BytesIO()
    sheet = CsvCorrections(file, header, "error", **options)
    for row, faults in rows:
        sheet.add(row, faults)
    sheet.finish()
    return file.getvalue()


def records(format: str, data: bytes) -> list[Record]:
    make = FORMATS[format].reader
    assert make is not None
    reader = make(io.BytesIO(data), ReadOptions())
    made = Ingest(reader, shape_of(Person))
    return [record for rows in reader for record in made.records(rows)]


def test_a_bad_cell_has_a_fill_a_note_and_its_name_in_the_column_for_errors() -> None:
    page: Any = openpyxl.load_workbook(io.BytesIO(workbook())).active
    assert page.title == "people"
    assert [cell.value for cell in page[1]] == [*HEADER, "error"]
    assert page["B2"].value == "old"
    assert page["B2"].fill.fgColor.rgb == "FFFFC7CE"
    assert page["B2"].comment.text == "▲ age must be a whole number (64 bits)."
    assert page["E2"].value == "▲ B2: age must be a whole number (64 bits)."
    assert page["E4"].value == "▲ A row with this name is there already (row 2)."
    assert page["A2"].fill.fill_type is None
    assert page["E3"].value is None


def test_rows_are_as_they_came() -> None:
    page: Any = openpyxl.load_workbook(io.BytesIO(workbook())).active
    assert [page["A2"].data_type, page["A2"].value] == ["s", "=1+1"]
    assert [page["A3"].data_type, page["A3"].value] == ["s", "007"]
    assert page["A4"].data_type == "s"
    assert page["B6"].data_type == "e"
    assert page["C2"].value == datetime.datetime(2026, 1, 2)  # noqa: DTZ001
    assert page["C5"].value == datetime.datetime(2026, 1, 2, 12)  # noqa: DTZ001
    calamine = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(workbook()))
    rows = calamine.get_sheet_by_index(0).to_python()
    assert rows[1][:4] == ["=1+1", "old", datetime.date(2026, 1, 2), "\x01_x0041_"]


def test_what_was_corrected_is_an_import() -> None:
    book = openpyxl.load_workbook(io.BytesIO(workbook()))
    page: Any = book.active
    page["B2"] = 30
    file = io.BytesIO()
    book.save(file)
    first, second, *_ = records("xlsx", file.getvalue())
    assert first.values == {"name": "=1+1", "age": 30, "day": "2026-01-02", "note": "\x01_x0041_"}
    assert (second.values, second.empty) == ({"name": "007", "age": 5}, ["day", "note"])


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_a_text_keeps_the_zeros_that_its_cell_showed(format: str) -> None:
    rows = [([Shown(7.0, PADDED + 3), Shown(30.0, 2), "", Shown(1.5, 2)], [])]
    [record] = records(format, text(rows) if format == "csv" else workbook(rows))
    assert record.values == {"name": "007", "age": 30, "note": "1.50"}


def test_an_error_of_a_formula_is_none_the_less_an_error() -> None:
    *_, last = records("xlsx", workbook())
    assert [fault.column for fault in last.faults] == ["age"]


def test_a_sheet_that_came_back_keeps_one_column_for_errors() -> None:
    header = ["name", "error", "age"]
    rows: list[tuple[list[Any], list[CellFault]]] = [
        (["A", "▲ old", 5], []),
        (["B", "▲ old", "x"], [CellFault("age", "x", "no.", 2)]),
    ]
    page: Any = openpyxl.load_workbook(io.BytesIO(workbook(rows, header))).active
    assert [[cell.value for cell in row] for row in page] == [
        header, ["A", None, 5], ["B", "▲ C3: no.", "x"],
    ]  # fmt: skip
    assert csv_rows(text(rows, header)) == [header, ["A", "", "5"], ["B", "no.", "x"]]


def test_texts_that_the_export_has_cut_stay_marked() -> None:
    data = export("xlsx", Person, [{"name": "A", "note": "y" * 40_000}])
    make = FORMATS["xlsx"].reader
    assert make is not None
    reader = make(io.BytesIO(data), ReadOptions())
    rows = [(row, [FAULT]) for batch in reader for row in batch.rows]
    again = workbook(rows, cut=reader.cut)
    assert [record.kept for record in records("xlsx", again)] == [["note"]]
    assert type(rows[0][0][3]) is Cut
    with pytest.raises(Invalid, match="XLSX"):
        text(rows)


def test_csv_names_the_columns_and_guards_again() -> None:
    data = text()
    assert data.startswith(b"\xef\xbb\xbf")
    rows = csv_rows(data)
    assert rows[0] == [*HEADER, "error"]
    assert rows[1][:3] == ["'=1+1", "old", "2026-01-02"]
    assert rows[1][4] == "age must be a whole number (64 bits)."
    assert rows[4] == [
        "true",
        "1.50",
        "2026-01-02T12:00:00",
        "06:00:00",
        f"{FAULT.detail} {ROW.detail}",
    ]
    first, second, *_ = records("csv", data)
    assert (first.values["name"], second.values["name"]) == ("=1+1", "007")
    assert csv_rows(text(delimiter=";"), ";")[0] == [*HEADER, "error"]
    assert csv_rows(text([(["=1", "-5"], [])], formulas="keep"))[1][:2] == ["=1", "-5"]
    assert csv_rows(text([(["-1", "-x"], [])]))[1][:2] == ["-1", "'-x"]
