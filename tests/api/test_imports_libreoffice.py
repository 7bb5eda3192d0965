"""The colleague with a spreadsheet program, as docs/imports.md says: download, edit, send back.

Each file is saved once by LibreOffice, as OpenDocument and as XLSX again, before it is sent.
"""

import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import openpyxl
import pytest

from tests.api.test_imports import PATH, XLSX, counts
from tests.support.mongod import needs_mongod

pytestmark = [
    *needs_mongod,
    pytest.mark.skipif(shutil.which("soffice") is None, reason="needs LibreOffice"),
    pytest.mark.slow,
]
PEOPLE: list[dict[str, Any]] = [
    {"name": "王小明", "email": "wang@example.com", "age": 30, "profile": {"bio": "=1+1"}},
    {"name": "007", "email": "bond@example.com", "age": None},
    {"name": "Ada", "email": "ada@example.com", "profile": {"addresses": [{"city": "北京"}]}},
]
Edit = Callable[[Any], None]


@pytest.fixture
def people(http: httpx.Client, users: Any) -> Any:
    for one in PEOPLE:
        assert http.post("/users/", json=one).status_code == 201
    return users


def save(data: bytes, folder: Path, edit: Edit = lambda sheet: None) -> bytes:
    """What LibreOffice saves of a workbook in which somebody has edited the first sheet."""
    book = openpyxl.load_workbook(io.BytesIO(data))
    edit(book.worksheets[0])
    source = folder / "file.xlsx"
    book.save(source)
    for extension in ("ods", "xlsx"):
        command = [
            "soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless",
            "--convert-to", extension, "--outdir", str(folder), str(source),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        source = folder / f"file.{extension}"
    return source.read_bytes()


def send(http: httpx.Client, data: bytes, query: str, **headers: str) -> httpx.Response:
    return http.post(f"{PATH}?{query}", files={"file": ("people.xlsx", data)}, headers=headers)


def column(sheet: Any, title: str) -> int:
    """The number of the column with that title."""
    return next(cell.column for cell in sheet[1] if cell.value == title)


def test_download_edit_check_and_send_back(http: httpx.Client, people: Any, tmp_path: Path) -> None:
    data = http.get("/users/export/xlsx?columns=_id,*").content
    assert counts(send(http, save(data, tmp_path), "mode=upsert")) == (3, 0, 0, 3, 0)

    def edit(sheet: Any) -> None:
        sheet.cell(3, column(sheet, "age"), 40)
        sheet.cell(5, column(sheet, "name"), "Eve")
        sheet.cell(5, column(sheet, "email"), "eve@example.com")

    edited = save(data, tmp_path, edit)
    checked = send(http, edited, "mode=upsert&dry_run=true")
    assert counts(checked) == (4, 1, 1, 2, 0)
    assert checked.json()["changes"] == [{"row": 3, "field": "age", "before": None, "after": 40}]
    assert people.count_documents({}) == 3
    assert counts(send(http, edited, "mode=upsert")) == (4, 1, 1, 2, 0)
    assert people.find_one({"name": "007"})["age"] == 40
    assert people.find_one({"name": "Eve"})["email"] == "eve@example.com"


def test_an_empty_sheet_is_filled_in(http: httpx.Client, users: Any, tmp_path: Path) -> None:
    def fill(sheet: Any) -> None:
        for row, one in enumerate(PEOPLE, 2):
            sheet.cell(row, column(sheet, "name"), one["name"])
            sheet.cell(row, column(sheet, "email"), one["email"])
            sheet.cell(row, column(sheet, "age"), one.get("age"))

    filled = save(http.get("/users/import/xlsx").content, tmp_path, fill)
    assert counts(send(http, filled, "")) == (3, 3, 0, 0, 0)
    assert {one["name"]: one["age"] for one in users.find()} == {
        "王小明": 30,
        "007": None,
        "Ada": None,
    }


def test_the_sheet_to_correct_is_corrected_and_sent(
    http: httpx.Client, people: Any, tmp_path: Path
) -> None:
    def edit(sheet: Any) -> None:
        sheet.cell(2, column(sheet, "age"), "thirty")
        sheet.cell(4, column(sheet, "email"), "nobody")

    data = http.get("/users/export/xlsx?columns=_id,*").content
    answer = send(http, save(data, tmp_path, edit), "mode=upsert", accept=XLSX)
    assert answer.status_code == 422

    def correct(sheet: Any) -> None:
        errors = [sheet.cell(row, column(sheet, "error")).value for row in (2, 3, 4)]
        assert [bool(error) for error in errors] == [True, False, True]
        assert errors[0].startswith("▲ D2: age must be a whole number")
        assert errors[2].startswith("▲ C4: email")
        sheet.cell(2, column(sheet, "age"), 31)
        sheet.cell(4, column(sheet, "email"), "ada@example.org")

    corrected = save(answer.content, tmp_path, correct)
    assert counts(send(http, corrected, "mode=upsert")) == (3, 0, 2, 1, 0)
    assert people.find_one({"name": "Ada"})["email"] == "ada@example.org"
    assert people.find_one({"name": "王小明"})["profile"]["bio"] == "=1+1"
