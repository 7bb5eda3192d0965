"""`docsheet export` and `docsheet verify`, as a person runs them."""

import gzip
import inspect
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import bson
import httpx
import openpyxl
import pytest

from app.commands import export
from app.query.parameters import parameters_of
from app.spreadsheets.formats import FORMATS
from tests.conftest import DATABASE
from tests.support.mongod import needs_mongod
from tests.support.nursery import nursery
from tests.support.server import ROOT
from tests.support.waiting import LONGEST, wait_for

pytestmark = needs_mongod


@pytest.fixture
def run(mongo_uri: str, tmp_path: Path) -> Any:
    """Runs `docsheet` in an empty folder."""

    def run(*words: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
        settings = {
            "MONGO_URI": mongo_uri,
            "DB_NAME": DATABASE,
            "PYTHONPATH": str(ROOT),
            **environment,
        }
        return nursery().run(words, tmp_path, {**os.environ, **settings})

    return run


@pytest.fixture
def people(users: Any) -> Any:
    """5,000 users."""
    users.insert_many(
        [
            {"_id": n, "name": f"N{n}", "email": f"{n}@x.com", "profile": {"age": n % 90}}
            for n in range(5_000)
        ]
    )
    return users


def test_columns_and_conditions_reach_through_links(run: Any, database: Any) -> None:
    database["classes"].insert_many([{"_id": n, "name": f"K{n}"} for n in range(2)])
    database["students"].insert_many(
        [{"_id": n, "sno": n, "clas": bson.DBRef("classes", n)} for n in range(2)]
    )
    try:
        words = ("-o", "-", "--columns", "sno,clas.name:Class", "--where", "clas.name=K1")
        done = run("export", "students", *words)
    finally:
        database["classes"].delete_many({})
        database["students"].delete_many({})
    assert done.stdout.decode().splitlines() == ["sno,Class", "1,K1"], done.stderr


@pytest.mark.parametrize("format_", ["csv", "xlsx", "ndjson", "json"])
def test_the_file_is_that_of_http(
    run: Any, http: httpx.Client, people: Any, tmp_path: Path, format_: str
) -> None:
    done = run(
        "export",
        "users",
        "-o",
        f"out.{format_}",
        "--where",
        "profile.age__gte=18",
        "--where",
        "name__startswith=n1",
        "--sort",
        "-email",
        "--skip",
        "3",
        "--limit",
        "2500",
    )
    assert done.returncode == 0, done.stderr
    query = "profile.age__gte=18&name__startswith=n1&sort=-email&skip=3&limit=2500"
    expected = http.get(f"/users/export/{format_}?{query}").content
    assert (tmp_path / f"out.{format_}").read_bytes() == expected
    assert f"rows, {len(expected):,} bytes, to out.{format_}." in done.stderr.decode()
    assert [path.name for path in tmp_path.iterdir()] == [f"out.{format_}"]


def test_a_saved_view_is_exported(
    run: Any, http: httpx.Client, database: Any, tmp_path: Path
) -> None:
    database["docsheet.views"].delete_many({})
    database["users"].insert_many(
        [{"_id": n, "name": f"N{n}", "email": f"{n}@x.com", "age": n} for n in range(10)]
    )
    view = {"name": "Old ones", "address": "/users/?age__gte=5&sort=-age&fields=name,age&limit=2"}
    assert http.post("/views/", json=view).status_code == 201
    whole = run("export", "--view", "old-ones")
    assert whole.returncode == 0, whole.stderr
    file = tmp_path / "old-ones.csv"
    assert file.read_text().split() == ["name,age", "N9,9", "N8,8", "N7,7", "N6,6", "N5,5"]
    assert file.read_bytes() == http.get("/views/old-ones/csv").content
    words = ("--where", "age__lt=8", "--columns", "name", "--limit", "2", "--sort", "age")
    part = run("export", "users", "--view", "Old-ones", "-o", "-", *words)
    assert part.stdout.split() == [b"name", b"N5", b"N6"]
    for words, sentence in (
        (("export", "--view", "none"), b"There is no saved view 'none'"),
        (("export", "classes", "--view", "old-ones"), b"is of 'users', not of 'classes'"),
        (("export",), b"Name a collection"),
    ):
        refused = run(*words)
        assert refused.returncode == 1
        assert sentence in refused.stderr
    database["docsheet.views"].delete_many({})


def test_options_and_standard_output(
    run: Any, http: httpx.Client, people: Any, tmp_path: Path
) -> None:
    done = run("export", "users", "--columns", "name:Name,profile.age", "--bom", "--delimiter", ";",
               "--limit", "2", "-o", "-")  # fmt: skip
    assert done.stdout == b"\xef\xbb\xbfName;profile.age\r\nN0;0\r\nN1;1\r\n"
    assert run("export", "users", "-f", "xlsx", "--limit", "7").returncode == 0
    assert openpyxl.load_workbook(tmp_path / "users.xlsx").active.max_row == 8
    assert run("export", "users", "-o", "/dev/null").returncode == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["user"], "no collection 'user'. Did you mean 'users'?"),
        (["users", "-f", "cvs"], "no export format 'cvs'. Did you mean 'csv'?"),
        (["users", "--columns", "nam"], "Did you mean 'name'?"),
        (["users", "--where", "nam=x"], "Did you mean 'name'?"),
        (["users", "--where", "name"], "it must be name=value"),
        (["users", "--where", "name__regex=("], "name__contains="),
        (["users", "-f", "ndjson", "--bom"], "no such option"),
        (
            ["users", "-o", "missing/users.csv"],
            "missing/users.csv can't be written: No such file or directory",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(
    run: Any, people: Any, tmp_path: Path, words: list[str], said: str
) -> None:
    (tmp_path / "users.csv").write_text("as it was")
    done = run("export", *words, "--force")
    assert done.returncode == 1
    assert said in done.stderr.decode()
    assert done.stderr.strip().count(b"\n") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["users.csv"]
    assert (tmp_path / "users.csv").read_text() == "as it was"


def test_an_existing_file_is_overwritten_only_where_that_was_said(
    run: Any, people: Any, tmp_path: Path
) -> None:
    file = tmp_path / "users.csv"
    file.write_text("as it was")
    refused = run("export", "users")
    assert (refused.returncode, file.read_text()) == (1, "as it was")
    assert b"users.csv exists and stays as it is: --force overwrites it" in refused.stderr
    assert run("export", "users", "--force", "--limit", "1").returncode == 0
    assert len(file.read_bytes().splitlines()) == 2
    assert run("export", "users", "-o", "users.csv", "--limit", "2").returncode == 0
    assert len(file.read_bytes().splitlines()) == 3


def in_terminal(command: list[str], folder: Path, uri: str, answer: str = "") -> tuple[int, str]:
    """Runs `docsheet` as a person does, in a terminal; exit status and what is on the screen."""
    screen, terminal = pty.openpty()
    environment = {"MONGO_URI": uri, "DB_NAME": DATABASE, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    with subprocess.Popen(
        [sys.executable, "-m", "app", *command],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        os.write(screen, answer.encode())
        shown = b""
        with suppress(OSError):  # what reading the screen raises when the last process has left
            while part := os.read(screen, 65536):
                shown += part
    os.close(screen)
    return process.returncode, shown.decode()


@pytest.mark.parametrize(("answer", "status", "lines"), [("y\n", 0, 2), ("n\n", 1, 1)])
def test_a_person_is_asked_before_a_file_is_overwritten(
    mongo_uri: str, people: Any, tmp_path: Path, answer: str, status: int, lines: int
) -> None:
    (tmp_path / "users.csv").write_text("as it was")
    done, shown = in_terminal(["export", "users", "--limit", "1"], tmp_path, mongo_uri, answer)
    assert "users.csv exists. Overwrite it?" in shown
    assert done == status
    assert len((tmp_path / "users.csv").read_bytes().splitlines()) == lines


def test_a_workbook_is_not_sent_to_a_terminal(mongo_uri: str, people: Any, tmp_path: Path) -> None:
    status, shown = in_terminal(["export", "users", "-f", "xlsx", "-o", "-"], tmp_path, mongo_uri)
    assert status == 1
    assert "xlsx is no text that a terminal can show: name a file with -o" in shown
    status, shown = in_terminal(["export", "users", "-o", "-", "--limit", "1"], tmp_path, mongo_uri)
    assert status == 0
    assert "N0,0@x.com,,,0," in shown


def test_a_file_that_could_not_be_finished_is_not_left(
    mongo_uri: str, database: Any, tmp_path: Path
) -> None:
    much = database.client["much"]
    much["users"].insert_many([{"name": "x" * 2_000, "email": str(n)} for n in range(20_000)])
    command = [sys.executable, "-m", "app", "export", "users", "-o", "users.xlsx"]
    environment = {**os.environ, "MONGO_URI": mongo_uri, "DB_NAME": "much", "PYTHONPATH": str(ROOT)}

    def is_terminated() -> bool:
        """Whether it has not ended before, as where this process stood still for long."""
        (tmp_path / "users.xlsx").unlink(missing_ok=True)
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
        ) as process:
            wait_for(lambda: any(path.stat().st_size for path in tmp_path.iterdir()))
            process.terminate()
            return process.wait(LONGEST) == 130

    try:
        wait_for(is_terminated)
        assert list(tmp_path.iterdir()) == []
    finally:
        database.client.drop_database("much")


def test_a_name_that_ends_like_no_format_is_refused_and_a_link_stays(
    run: Any, people: Any, tmp_path: Path
) -> None:
    refused = run("export", "users", "-o", "users.parquet")
    assert (refused.returncode, list(tmp_path.iterdir())) == (1, [])
    assert b"no format ends with .parquet" in refused.stderr
    assert (
        run("export", "users", "-o", "users.parquet", "-f", "csv", "--limit", "1").returncode == 0
    )
    (tmp_path / "link.csv").symlink_to("users.parquet")
    assert run("export", "users", "-o", "link.csv", "--limit", "2").returncode == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert len((tmp_path / "users.parquet").read_bytes().splitlines()) == 3


def test_a_view_is_exported_each_row_once(run: Any, database: Any) -> None:
    database.client.drop_database("viewed")
    viewed = database.client["viewed"]
    viewed["plain"].insert_many([{"_id": n, "name": ["a", "b"], "age": -n} for n in range(1_000)])
    viewed.command("create", "users", viewOn="plain", pipeline=[{"$unwind": "$name"}])
    for words in ([], ["--sort", "age"], ["--consistency", "none"], ["--where", "name=a"]):
        done = run("export", "users", "-o", "-", "--columns", "age,name", *words, DB_NAME="viewed")
        assert done.returncode == 0, done.stderr
        _, *rows = done.stdout.split()
        assert len(rows) == len(set(rows)) == (1_000 if "--where" in words else 2_000)
    database.client.drop_database("viewed")


def test_no_database_is_one_sentence(run: Any, tmp_path: Path) -> None:
    nowhere = {"MONGO_URI": "mongodb://127.0.0.1:9/", "PRIMARY_WAIT_SECONDS": "1"}
    done = run("export", "users", **nowhere)
    assert done.returncode == 1
    assert b"can't be reached" in done.stderr
    assert b"Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_verify(run: Any, http: httpx.Client, people: Any, tmp_path: Path) -> None:
    with http.stream("GET", "/users/export/csv", headers={"Accept-Encoding": "gzip"}) as answer:
        content = gzip.decompress(b"".join(answer.iter_raw()))
    export_id = answer.headers["x-export-id"]
    file = tmp_path / "users.csv"
    file.write_bytes(content)
    done = run("verify", "users.csv", export_id)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    assert b"users.csv is whole: 5,000 documents" in done.stderr
    file.write_bytes(content[:-1])
    shorter = run("verify", "users.csv", export_id)
    assert (
        shorter.returncode,
        f"the file has {len(content) - 1:,}" in shorter.stderr.decode(),
    ) == (1, True)
    file.write_bytes(content[:-3] + b"0\r\n")
    assert b"SHA-256" in run("verify", "users.csv", export_id).stderr
    assert b"Nothing is known" in run("verify", "users.csv", "no-such-id").stderr
    assert b"can't be read" in run("verify", "missing.csv", export_id).stderr


def test_beside_a_server_on_the_embedded_database(run: Any, tmp_path: Path) -> None:
    from tests.support.server import LiveServer

    data = str(tmp_path / "data")
    with LiveServer(MONGO_URI="", DATA_DIR=data) as live:
        httpx.post(
            f"{live.address}/users/", json={"name": "A", "email": "a@example.com"}
        ).raise_for_status()
        answer = httpx.get(f"{live.address}/users/export/csv")
        own = {"MONGO_URI": "", "DB_NAME": "docsheet", "DATA_DIR": data}
        assert run("export", "users", "-o", "-", **own).stdout == answer.content
        (tmp_path / "a.csv").write_bytes(answer.content)
        assert run("verify", "a.csv", answer.headers["x-export-id"], **own).returncode == 0


def test_every_parameter_of_an_export_is_an_option() -> None:
    every = {option for found in FORMATS.values() for option in found.takes}
    options = inspect.signature(export.run).parameters
    assert set(parameters_of("export", every)) == set(options) - {
        "resource", "output", "format_", "force", "where", "view",
    }  # fmt: skip
