"""`python -m app serve`: what hinders the start is one sentence; signals end server and mongod."""

import os
import resource
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from app.serving.descriptors import allow_most
from tests.support.mongod import require_mongod
from tests.support.nursery import nursery
from tests.support.ports import free_ports
from tests.support.processes import find_processes
from tests.support.server import DOCSHEET, ROOT, LiveServer
from tests.support.waiting import LONGEST, wait_for


def start(
    folder: Path, *, spawn: bool = False, **settings: object
) -> "subprocess.CompletedProcess[str]":
    environment = {
        **os.environ,
        "PORT": "0",
        "MONGO_URI": "mongodb://127.0.0.1:1",
        "PRIMARY_WAIT_SECONDS": "1",
        **{k: str(v) for k, v in settings.items()},
    }
    if not spawn:
        path = f"{folder}{os.pathsep}{ROOT}"
        done = nursery().run(["serve"], folder, {**environment, "PYTHONPATH": path})
        return subprocess.CompletedProcess(
            "serve", done.returncode, done.stdout.decode(), done.stderr.decode()
        )
    return subprocess.run(
        [DOCSHEET, "serve"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=5 * LONGEST,
        check=False,
    )


def one_sentence(found: "subprocess.CompletedProcess[str]", *words: str) -> None:
    assert found.returncode == 1, found.stderr
    assert found.stdout == ""
    assert found.stderr.startswith("docsheet: ")
    assert found.stderr.count("\n") == 1, found.stderr
    assert all(word in found.stderr for word in words), found.stderr


@pytest.mark.parametrize(
    ("setting", "value"),
    [("MODELS", "nowhere"), ("MODELS", "models.nowhere"), ("MONGO_URI", "mongodb://h:99999"),
     ("PORT", "x"),
     ("HOST", "no.such.host.invalid")],
)  # fmt: skip
def test_setting_that_hinders_the_start(tmp_path: Path, setting: str, value: str) -> None:
    one_sentence(start(tmp_path, **{setting: value}), setting)


def test_unknown_name_in_the_file_hinders_the_start(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PROT=8000\n")
    one_sentence(start(tmp_path), "PROT")


def test_taken_port_hinders_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        one_sentence(start(tmp_path, PORT=port), "PORT", str(port))


def test_declaration_that_cannot_be_true_hinders_the_start(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        "from beanie import Document\nclass Thing(Document):\n    name: str\n"
        "    class Resource:\n        serach = ['name']\n"
    )
    one_sentence(start(tmp_path, spawn=True, MODELS="wrong"), "Thing", "serach", "search")


def test_models_where_it_starts_go_before_those_that_are_installed(tmp_path: Path) -> None:
    """A plain folder does: without `__init__.py`, Python would take another one of this name."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "book.py").write_text("from beanie import Documnt\n")
    one_sentence(start(tmp_path, spawn=True), "models/book.py, line 1: ImportError")


def test_an_address_of_another_machine_is_not_the_ports_fault(tmp_path: Path) -> None:
    one_sentence(start(tmp_path, HOST="192.0.2.1"), "HOST: 192.0.2.1 is no address of this machine")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_mistake_in_the_models_is_told_once(tmp_path: Path, workers: int) -> None:
    (tmp_path / "mistaken.py").write_text(
        "from beanie import Document\nclass A(Documnt):\n    x: int\n"
    )
    found = start(tmp_path, spawn=True, MODELS="mistaken", WORKERS=workers)
    one_sentence(found, "mistaken.py, line 2: NameError: name 'Documnt' is not defined")


def test_the_banner_lists_the_resources_and_what_is_not_served(tmp_path: Path) -> None:
    require_mongod()
    (tmp_path / "shown.py").write_text(
        "from beanie import Document\nfrom pydantic import BaseModel\n"
        "class Base(Document):\n    made: int = 0\n    class Resource:\n        abstract = True\n"
        "class Book(Base):\n    title: str\n    count: int = 0\n"
        "    class Settings:\n        name = 'books'\n"
        "class Author(BaseModel):\n    name: str\n"
    )
    for hiding in ("app", "models"):  # of another project, whose folder this is
        (tmp_path / hiding).mkdir()
        (tmp_path / hiding / "__init__.py").write_text("raise RuntimeError")
    shown = []
    for _ in range(2):
        with LiveServer(
            tmp_path, spawn=True, MONGO_URI="", DATA_DIR="data", MODELS="shown"
        ) as server:
            assert server.process.stdout is not None
            lines = [server.process.stdout.readline() for _ in range(4)]
            assert httpx.get(f"{server.address}/books/").status_code == 200
            assert httpx.get(f"{server.address}/Base/").status_code == 404
            assert httpx.get(f"{server.address}/books/export/csv").text == "made,title,count\r\n"
            assert server.log.count("shadows an attribute") == 1
        shown.append([line.rstrip("\n") for line in lines])
    assert shown[0][1:] == [
        "Resources           /books/",
        "Not as declared     shown.py, line 12: Author is a pydantic BaseModel that no "
        "document uses; "
        "a beanie.Document is served",
        "Database            docsheet, new and empty, in a mongod of its own; its data go to "
        f"{tmp_path}/data",
    ]
    assert shown[1][3] == (
        f"Database            docsheet, in a mongod of its own; its data are in {tmp_path}/data"
    )


def test_the_command_line_may_choose_the_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = subprocess.run(
            [sys.executable, "-m", "app", "serve", "--port", str(port), "--host", "127.0.0.1"],
            cwd=ROOT,
            env={**os.environ, "PORT": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
    one_sentence(found, f"PORT: 127.0.0.1:{port} can't be listened on")


def embedded(folder: Path) -> LiveServer:
    require_mongod()
    return LiveServer(spawn=True, MONGO_URI="", DATA_DIR=folder)


def mongods_of(folder: Path) -> list[int]:
    """The processes of mongod that work in a folder."""
    return find_processes("mongod --dbpath", str(folder))


def until_gone(folder: Path) -> None:
    wait_for(lambda: not mongods_of(folder), otherwise="the mongod did not end")


@pytest.mark.parametrize("redirection", [">&- 2>&- <&-", "| true"])
def test_a_server_whose_output_nobody_reads_serves(tmp_path: Path, redirection: str) -> None:
    """It is closed, or goes into a pipe that is closed."""
    (port,) = free_ports(1)
    command = f"{DOCSHEET} serve & echo $! >pid; wait $!; echo $? >status"
    environment = {**os.environ, "PORT": str(port), "MONGO_URI": "mongodb://127.0.0.1:1"}
    environment["PRIMARY_WAIT_SECONDS"] = "1"
    shell = subprocess.Popen(
        ["bash", "-c", f"( {command} ) {redirection}"], cwd=tmp_path, env=environment
    )
    pid = tmp_path / "pid"
    wait_for(lambda: answers(port) and pid.exists() and pid.read_text().endswith("\n"))
    os.kill(int(pid.read_text()), signal.SIGTERM)
    shell.wait(LONGEST)
    assert (tmp_path / "status").read_text() == "0\n"


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_ends_server_and_mongod(tmp_path: Path, number: signal.Signals) -> None:
    with embedded(tmp_path) as server:
        assert len(mongods_of(tmp_path)) == 1
        assert (
            httpx.post(
                f"{server.address}/users/", json={"name": "A", "email": "a@example.com"}
            ).status_code
            == 201
        )
        server.process.send_signal(number)
        ends = (0,) if number == signal.SIGHUP else (0, -number, 128 + number)
        assert server.process.wait(LONGEST) in ends
        assert "Traceback" not in server.log
        until_gone(tmp_path)


def test_killed_server_leaves_no_mongod_and_the_next_one_finds_the_documents(
    tmp_path: Path,
) -> None:
    with embedded(tmp_path) as server:
        httpx.post(f"{server.address}/users/", json={"name": "A", "email": "a@example.com"})
        server.process.kill()
        server.process.wait(LONGEST)
        until_gone(tmp_path)
    with embedded(tmp_path) as server:
        assert [user["name"] for user in httpx.get(f"{server.address}/users/").json()] == ["A"]


def test_connections_leave_files_for_the_work(mongo_uri: str) -> None:
    """Those for which there is no place are told, one line is logged, and exports go on."""
    with (
        LiveServer(MONGO_URI=mongo_uri) as server,
        httpx.Client(base_url=server.address) as early,
        ExitStack() as opened,
    ):
        assert early.get("/users/").status_code == 200
        open_now = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        most = open_now + 40
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (most, most))
        port = httpx.URL(server.address).port
        connections = [
            opened.enter_context(socket.create_connection(("127.0.0.1", port or 0), LONGEST))
            for _ in range(2 * most)
        ]
        answers = [ask(connection) for connection in connections]
        refused = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503 ")]
        assert len(refused) > most
        assert b"\r\nretry-after: 5\r\n" in refused[0]
        assert b'"detail":"The server has too many connections; try again soon."' in refused[0]
        assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in set(answers) - set(refused))
        assert early.get("/users/export/csv").status_code == 200
        assert server.log.count("New connections are answered with 503") == 1
        opened.close()
        wait_for(lambda: httpx.get(f"{server.address}/livez").status_code == 200)


def ask(connection: socket.socket) -> bytes:
    with suppress(ConnectionError):  # it was answered before it asked
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return connection.recv(4096)


def test_as_many_files_may_be_open_as_are_allowed() -> None:
    given = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        for soft, hard, allowed in ((64, 512, 512), (512, 512, 512)):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, given[1]))
            allow_most(hard)
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == (allowed, given[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, given)
