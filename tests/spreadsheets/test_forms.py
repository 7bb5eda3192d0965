"""The file to fill in, as other libraries open it and as it comes back."""

import datetime
import enum
import io
from typing import Any, Literal

import openpyxl
import pydantic
import pytest
import python_calamine

from app.resources.fields import shape_of
from app.resources.kinds import KINDS
from app.spreadsheets.format import ReadOptions
from app.spreadsheets.formats import FORMATS
from app.spreadsheets.forms import entries, write_csv, write_xlsx
from app.spreadsheets.ingest import Ingest
from app.spreadsheets.kinds import kind_of_cells

MANY = [f"choice {number}, of many" for number in range(100)]
Many = enum.Enum("Many", {f"c{number}": text for number, text in enumerate(MANY)})  # type: ignore[misc]


class Home(pydantic.BaseModel):
    city: str
    street: str | None = None


class Person(pydantic.BaseModel):
    id: int = pydantic.Field(alias="_id")
    name: str = pydantic.Field(min_length=1, max_length=200, description="The whole name.")
    age: int | None = pydantic.Field(None, ge=0, lt=150)
    flag: bool = False
    day: datetime.date | None = None
    moment: datetime.datetime | None = None
    color: Literal["red", "green"] = "red"
    many: Many | None = None
    tags: list[str] = []
    main: Home
    other: Home | None = None
    hidden: str = pydantic.Field("", exclude=True)


SHAPE = shape_of(Person)
TITLES = [
    "_id", "name", "age", "flag", "day", "moment", "color", "many", "tags", "main.city",
    "main.street",
    "other.city", "other.street",
]  # fmt: skip


def opened(declared: tuple[str, ...] | None = None) -> Any:
    data = write_xlsx(entries(SHAPE, declared), "people")
    return openpyxl.load_workbook(io.BytesIO(data))


def test_the_header_has_what_can_be_imported_and_required_titles_are_bold() -> None:
    page = opened()["people"]
    assert [cell.value for cell in page[1]] == TITLES
    assert [cell.value for cell in page[1] if cell.font.bold] == ["_id", "name", "main.city"]
    assert page.freeze_panes == "A2"
    assert page.max_row == 1
    data = write_xlsx(entries(SHAPE, None), "people")
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
    assert book.get_sheet_by_index(0).to_python() == [TITLES]


def test_the_sheet_has_a_name_that_excel_takes() -> None:
    data = write_xlsx(entries(SHAPE, None), "people" + "😀" * 20)
    name, *_ = openpyxl.load_workbook(io.BytesIO(data)).sheetnames
    assert name == "people" + "😀" * 12  # 30 of the 31 UTF-16 units; half a sign is none


def test_choices_and_truth_values_are_drop_down_lists() -> None:
    book = opened()
    lists = {str(one.sqref): one.formula1 for one in book["people"].data_validations.dataValidation}
    assert lists == {
        "D2:D1048576": '"TRUE,FALSE"',
        "G2:G1048576": '"red,green"',
        "H2:H1048576": "choices!$A$1:$A$100",
    }
    assert book["choices"].sheet_state == "hidden"
    assert [cell.value for cell in book["choices"]["A"]] == MANY


def test_columns_have_formats() -> None:
    page = opened()["people"]
    formats = {
        title: page.column_dimensions[letter].number_format
        for title, letter in zip(TITLES, "ABCDEFGHI", strict=False)
    }
    assert formats == {
        "_id": "0", "name": "@", "age": "0", "flag": "General", "day": "yyyy-mm-dd",
        "moment": "yyyy-mm-dd hh:mm:ss", "color": "@", "many": "@", "tags": "@",
    }  # fmt: skip


def test_a_note_says_what_a_column_means() -> None:
    page = opened()["people"]
    assert (
        page["B1"].comment.text
        == "The whole name.\nText (at least 1 long, at most 200 long).\nRequired."
    )
    assert page["C1"].comment.text == "Whole number (≥ 0, < 150).\nMay be empty."
    assert page["G1"].comment.text == "One of: red, green.\nMay be empty."
    assert page["I1"].comment.text == 'List as JSON, such as ["a","b"].\nMay be empty.'


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_says_what_its_cells_hold(name: str) -> None:
    assert kind_of_cells(name).meaning


def test_declared_columns_keep_their_titles() -> None:
    declared = ("name:=Name, all", "main.city:City")
    page = opened(declared)["people"]
    assert [cell.value for cell in page[1]] == ["_id", "=Name, all", "City"]
    assert page["B1"].data_type == "s"
    assert write_csv(entries(SHAPE, declared)) == b'_id,"\'=Name, all",City\r\n'


def test_filled_in_it_is_an_import() -> None:
    book = opened()
    book["people"].append(
        [1, "007", 30, True, datetime.date(2026, 1, 2), None, "green", MANY[7], '["a"]', "北京"]
    )
    file = io.BytesIO()
    book.save(file)
    make = FORMATS["xlsx"].reader
    assert make is not None
    reader = make(io.BytesIO(file.getvalue()), ReadOptions())
    made = Ingest(reader, SHAPE)
    [record] = [record for rows in reader for record in made.records(rows)]
    assert record.faults == []
    assert made.body(record) == {
        "_id": 1, "name": "007", "age": 30, "flag": True, "day": "2026-01-02", "color": "green",
        "many": MANY[7], "tags": ["a"], "main": {"city": "北京"},
    }  # fmt: skip
    assert record.empty == ["moment", "main.street", "other.city", "other.street"]
