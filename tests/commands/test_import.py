"""`docsheet import`, as a person runs it."""

import inspect
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from app.commands import import_
from app.query.parameters import parameters_of
from app.spreadsheets.formats import FORMATS
from tests.conftest import DATABASE
from tests.support.mongod import needs_mongod
from tests.support.nursery import nursery
from tests.support.server import ROOT

pytestmark = needs_mongod
GOOD = "name,email,age\nAda,ada@example.com,36\n王小明,wang@example.com,\n"
BAD = "name,email,age\nAda,ada@example.com,36\nBob,nobody,old\n"


@pytest.fixture
def run(mongo_uri: str, tmp_path: Path) -> Any:
    """Runs `docsheet import` in an empty folder; `sent` is its standard input."""

    def run(*words: str, sent: str = "") -> "subprocess.CompletedProcess[str]":
        settings = {"MONGO_URI": mongo_uri, "DB_NAME": DATABASE, "PYTHONPATH": str(ROOT)}
        environment = {**os.environ, **settings}
        done = nursery().run(["import", *words], tmp_path, environment, sent.encode())
        shown = done.stdout.decode(), done.stderr.decode()
        return subprocess.CompletedProcess(words, done.returncode, *shown)

    return run


def write(folder: Path, text: str, name: str = "users.csv") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return name


def test_a_file_is_imported_and_sent_again_changes_nothing(
    run: Any, users: Any, tmp_path: Path
) -> None:
    done = run("users", write(tmp_path, GOOD))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "2 rows: 2 inserted, 0 updated, 0 unchanged, 0 failed.\n"
    assert [one["name"] for one in users.find().sort("email")] == ["Ada", "王小明"]
    again = run("users", "users.csv", "--mode", "upsert", "--key", "email")
    assert again.stdout == "2 rows: 0 inserted, 0 updated, 2 unchanged, 0 failed.\n"


def test_wrong_rows_are_told_and_nothing_is_written(run: Any, users: Any, tmp_path: Path) -> None:
    done = run("users", write(tmp_path, BAD), "--report", "again.xlsx")
    assert done.returncode == 1
    counts, titles, _, error = done.stdout.splitlines()
    assert counts == "2 rows: 0 inserted, 0 updated, 0 unchanged, 1 failed."
    assert titles == "row\tcolumn\tvalue\twhat is wrong"
    assert error == "3\tage\told\tage must be a whole number (64 bits)."
    assert "1 of 2 rows can't be imported, so nothing was written." in done.stderr
    assert "The rows to correct are in again.xlsx." in done.stderr
    assert users.count_documents({}) == 0
    sheet = openpyxl.load_workbook(tmp_path / "again.xlsx").active
    assert [cell.value for cell in sheet[1]] == ["name", "email", "age", "error"]
    assert "C3: age must be a whole number" in sheet["D3"].value


def test_the_sheet_corrected_is_the_whole_import(run: Any, users: Any, tmp_path: Path) -> None:
    run("users", write(tmp_path, BAD), "--report", "again.xlsx")
    book = openpyxl.load_workbook(tmp_path / "again.xlsx")
    book.active["B3"], book.active["C3"] = "bob@example.com", 40
    book.save(tmp_path / "again.xlsx")
    done = run("users", "again.xlsx")
    assert done.stdout == "2 rows: 2 inserted, 0 updated, 0 unchanged, 0 failed.\n"
    assert users.find_one({"name": "Bob"})["age"] == 40


def test_skipped_rows_are_exit_status_1_too(run: Any, users: Any, tmp_path: Path) -> None:
    done = run("users", write(tmp_path, BAD), "--on-error", "skip", "--report", "rest.csv")
    assert done.returncode == 1
    assert done.stdout.startswith("2 rows: 1 inserted, 0 updated, 0 unchanged, 1 failed.\n")
    rest = (tmp_path / "rest.csv").read_text(encoding="utf-8-sig").splitlines()
    assert rest[0] == "name,email,age,error"
    assert rest[1].startswith("Bob,nobody,old,")
    assert len(rest) == 2


def test_no_report_is_written_where_nothing_is_wrong(run: Any, users: Any, tmp_path: Path) -> None:
    assert run("users", write(tmp_path, GOOD), "--report", "bad.csv").returncode == 0
    assert not (tmp_path / "bad.csv").exists()


def test_a_dry_run_says_what_would_change(run: Any, users: Any, tmp_path: Path) -> None:
    users.insert_one({"name": "Ada", "email": "ada@example.com", "age": 35})
    done = run("users", write(tmp_path, GOOD), "--mode", "upsert", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "2 rows: 1 inserted, 1 updated, 0 unchanged, 0 failed.\n"
        "row\tfield\tbefore\tafter\n2\tage\t35\t36\n"
    )
    assert users.find_one({"name": "Ada"})["age"] == 35


def test_standard_input_is_csv_or_what_is_said(run: Any, users: Any) -> None:
    assert run("users", "-", sent=GOOD).returncode == 0
    line = '{"name":"Eve","email":"eve@example.com"}\n'
    done = run("users", "-", "--format", "ndjson", sent=line)
    assert done.stdout == "1 rows: 1 inserted, 0 updated, 0 unchanged, 0 failed.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["user", "users.csv"], "no collection 'user'. Did you mean 'users'?"),
        (["users", "missing.csv"], "missing.csv can't be read: No such file or directory."),
        (["users", "users.pdf"], "A file .pdf is not read here"),
        (["users", "users.csv", "--mode", "inset"], "Did you mean 'insert'?"),
        (["users", "users.csv", "--sheet", "a"], "sheet: csv has no such option."),
        (["users", "users.csv", "--report", "bad.pdf"], "must end with .csv or .xlsx"),
        (["users", "bad.csv"], "'nmae' is no field. Did you mean 'name'?"),
        (["users", "empty.csv"], "The file is empty"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    run: Any, users: Any, tmp_path: Path, words: list[str], said: str
) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, "nmae,email\nAda,ada@example.com\n", "bad.csv")
    write(tmp_path, "", "empty.csv")
    done = run(*words)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert users.count_documents({}) == 0


def test_a_terminal_gets_a_table_and_no_colour_where_none_is_wanted(
    mongo_uri: str, users: Any, tmp_path: Path
) -> None:
    write(tmp_path, BAD)
    shown = on_terminal(mongo_uri, tmp_path, TERM="xterm-256color")
    assert "┏" in shown
    assert "what is wrong" in shown
    plain = on_terminal(mongo_uri, tmp_path, TERM="xterm-256color", NO_COLOR="1")
    assert "┏" not in plain
    assert "\x1b[3" not in plain
    assert "row\tcolumn\tvalue\twhat is wrong" in plain


def on_terminal(uri: str, folder: Path, **environment: str) -> str:
    """What a terminal shows of an import of users.csv."""
    parent, child = pty.openpty()
    settings = {"MONGO_URI": uri, "DB_NAME": DATABASE, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "import", "users", "users.csv"],
        cwd=folder,
        env={**os.environ, **settings, **environment},
        stdout=child,
        stderr=child,
    )
    os.close(child)
    parts = []
    with suppress(OSError):  # EIO: the other end is closed
        while part := os.read(parent, 65536):
            parts.append(part)
    os.close(parent)
    assert process.wait() == 1
    return b"".join(parts).decode()


def test_every_parameter_of_imports_is_an_option() -> None:
    every = {name for found in FORMATS.values() for name in found.reads}
    options = inspect.signature(import_.run).parameters
    assert options.keys() >= parameters_of("import", every).keys()
