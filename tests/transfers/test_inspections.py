"""What a file is, found by looking at its beginning."""

import gzip
import io
import tempfile
from typing import Any

import openpyxl
import pytest

from app.errors import BadRequest
from app.spreadsheets.format import ReadOptions
from app.transfers.child import Child
from app.transfers.forking import start_fork_server
from app.transfers.inherited import Inherited
from app.transfers.inspections import Found, Inspection, inspect_file
from app.transfers.traffic import Traffic


def look(body: bytes, format: str = "csv", **options: Any) -> Found:
    return inspect_file(format, ReadOptions(**options), io.BytesIO(body))


def examples(found: Found) -> dict[str, tuple[str, ...]]:
    return {column.title: column.examples for column in found.columns or ()}


def test_columns_have_some_different_values_each() -> None:
    found = look(b"name,city,\nAda,Rome,\nBob,,\nAda,Rome\nCleo,Bonn\nDan,Oslo\n")
    assert examples(found) == {"name": ("Ada", "Bob", "Cleo"), "city": ("Rome", "Bonn", "Oslo")}
    assert (found.findings, found.error) == ({"encoding": "utf-8", "delimiter": ","}, None)


def test_how_a_text_is_read_is_found_or_asked() -> None:
    body = gzip.compress("a\tb\n王\t2\n".encode("gb18030"))
    assert look(body).findings == {"encoding": "gb18030", "delimiter": "tab"}
    asked = look("a;b|c\n1;2|3\n".encode("big5"), encoding="big5", delimiter="|")
    assert (list(examples(asked)), asked.findings["encoding"]) == (["a;b", "c"], "big5")


def test_a_workbook_names_its_sheets_but_for_hidden_ones() -> None:
    book = openpyxl.Workbook()
    first: Any = book.active
    first.title = "Cover"
    book.create_sheet("List").append(["name", "age"])
    book["List"].append(["Ada", 36])
    book.create_sheet("Secret").sheet_state = "hidden"
    file = io.BytesIO()
    book.save(file)
    cover = look(file.getvalue(), "xlsx")
    assert (cover.sheets, cover.columns) == (("Cover", "List"), None)
    assert cover.error is not None
    assert cover.error.startswith("The first row is empty")
    found = look(file.getvalue(), "xlsx", sheet="List")
    assert (found.findings, found.error) == ({"sheet": "List"}, None)
    assert examples(found) == {"name": ("Ada",), "age": ("36",)}


def test_documents_are_shown_as_they_are() -> None:
    found = look(b'{"a": 1}\nnonsense\n', "ndjson")
    assert (found.columns, found.documents) == (None, ('{"a":1}', "nonsense"))


def test_what_other_options_may_help_is_told_and_the_rest_is_refused() -> None:
    broken = look(b'name\n"Ada\n')
    assert (list(examples(broken)), broken.error is not None) == (["name"], True)
    assert look(b"PK\x03\x04\0\0").error is not None
    for body, format in ((b"", "csv"), (gzip.compress(b""), "csv"), (b"name\n", "xlsx")):
        with pytest.raises(BadRequest):
            look(body, format)


async def test_a_child_that_is_done_at_once_is_not_taken_for_one_that_was_left() -> None:
    start_fork_server("models")
    for _ in range(20):
        with tempfile.TemporaryFile() as file:
            file.write(b"name\nAda\n")
            file.flush()
            work = Inspection("csv", ReadOptions(), Inherited(file.fileno()))
            child = Child(work, Traffic())
            try:
                await child.start()
                assert [chunk async for chunk in child.chunks()] == []
                assert examples(child.outcome) == {"name": ("Ada",)}
            finally:
                await child.close()
