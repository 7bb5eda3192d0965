"""The embedded database through everything that happens to a folder and a process."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from pymongo import MongoClient

from app.errors import StartError, Unavailable
from app.servers import embedded
from app.servers.embedded import EmbeddedDatabase
from app.servers.process import START_SECONDS, Mongod, find_mongod
from app.servers.wire import ANSWER_SECONDS, ask
from app.settings import Settings
from app.store.client import Database, connect
from tests.support.members import owns
from tests.support.mongod import needs_mongod
from tests.support.waiting import LONGEST, wait_for

pytestmark = needs_mongod

CHILD = """
import sys, threading
from pathlib import Path
from app.servers.embedded import EmbeddedDatabase

def serve():
    held.append(EmbeddedDatabase.open(Path(sys.argv[1]), 256, 60))

held = []
thread = threading.Thread(target=serve)  # ends at once: the database must not end with it
thread.start()
thread.join()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="docsheet-", dir="/tmp") as short:
        yield Path(short, "data")


def start(folder: Path, *, share: bool = False) -> EmbeddedDatabase:
    return EmbeddedDatabase.open(folder, 256, 60, share=share)


def insert(database: EmbeddedDatabase) -> int:
    """One more document; how many there are now."""
    with MongoClient[dict[str, object]](database.uri, serverSelectionTimeoutMS=60_000) as client:
        client.test.things.insert_one({})
        return client.test.things.count_documents({})


def mongod_of(folder: Path) -> Mongod:
    return Mongod(folder, str(folder / "mongodb.sock"))


def test_a_fresh_folder_is_ready_for_writes_without_a_tcp_port(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience: list[float] = []  # seconds

    def ask_and_note(address: str, command: Any, seconds: float = ANSWER_SECONDS) -> Any:
        patience.append(seconds)
        return ask(address, command, seconds)

    monkeypatch.setattr(embedded, "ask", ask_and_note)
    with start(folder) as database:
        assert set(patience) == {START_SECONDS}  # a slow disk is no error
        assert (owns(database), insert(database)) == (True, 1)
        with MongoClient[dict[str, object]](database.uri) as client:
            options = client.admin.command("getCmdLineOpts")["parsed"]
            assert options["net"]["bindIp"] == str(folder / "mongodb.sock")
            assert options["storage"]["wiredTiger"]["engineConfig"]["cacheSizeGB"] == 0.25
            assert client.admin.command("getParameter", minSnapshotHistoryWindowInSeconds=1) == {
                **client.admin.command("getParameter", minSnapshotHistoryWindowInSeconds=1),
                "minSnapshotHistoryWindowInSeconds": 60,
            }
    assert mongod_of(folder).pid is None


def test_transactions_and_snapshots_work(folder: Path) -> None:
    with start(folder) as database, MongoClient[dict[str, object]](database.uri) as client:
        with client.start_session() as session, session.start_transaction():
            client.test.things.insert_one({}, session=session)
        with client.start_session(snapshot=True) as session:
            assert len(list(client.test.things.find(session=session))) == 1


@pytest.mark.slow
def test_a_restart_keeps_the_data(folder: Path) -> None:
    with start(folder) as database:
        insert(database)
    with start(folder) as database:
        assert insert(database) == 2


async def test_a_killed_mongod_is_started_again_with_all_documents(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = threading.Event()  # that it is away

    def find_it_then() -> Path:
        seen.wait(LONGEST)
        return find_mongod()

    with start(folder) as database:
        insert(database)
        monkeypatch.setattr(embedded, "find_mongod", find_it_then)
        killed = mongod_of(folder).pid
        assert killed is not None
        async with connected(database) as client:
            os.kill(killed, signal.SIGKILL)
            wait_for(lambda: not client.has_primary())
            seen.set()
            count = client.collection("things").count_documents
            assert await client.run(count, {}) == 1
        wait_for(lambda: "takes writes again" in caplog.text)
        assert "The embedded database ended (by SIGKILL); starting it again." in caplog.text
        assert (owns(database), insert(database)) == (True, 2)
    assert mongod_of(folder).pid is None


@pytest.mark.slow
async def test_a_paused_mongod_is_found_to_hang(folder: Path) -> None:
    with start(folder) as database:
        insert(database)
        paused = mongod_of(folder).pid
        assert paused is not None
        async with connected(database, MONGO_URI="", PRIMARY_WAIT_SECONDS=0.5) as client:
            count = client.collection("things").count_documents
            os.kill(paused, signal.SIGSTOP)
            with pytest.raises(Unavailable):
                await asyncio.wait_for(client.run(count, {}), LONGEST)
            os.kill(paused, signal.SIGCONT)
            wait_for(client.has_primary)
            assert await client.run(count, {}) == 1


@asynccontextmanager
async def connected(database: EmbeddedDatabase, **chosen: Any) -> AsyncIterator[Database]:
    """A server's connection; left to itself the driver would ask again after ten minutes."""
    uri = f"{database.uri}&heartbeatFrequencyMS=600000"
    options = {"MONGO_URI": uri, "DB_NAME": "test", "PRIMARY_WAIT_SECONDS": 60, **chosen}
    settings = Settings(_env_file=None, **options)  # type: ignore[arg-type,call-arg]
    uri = settings.MONGO_URI or database.uri
    client = Database(connect(settings, uri), settings, uri)
    await client.open()
    yield client
    await client.close()


@pytest.mark.slow
def test_a_moved_folder_heals(folder: Path) -> None:
    with start(folder) as database:
        insert(database)
    moved = folder.rename(folder.with_name("elsewhere"))
    with start(moved) as database:
        assert insert(database) == 2


@pytest.mark.slow
def test_a_copied_folder_is_a_database_of_its_own(folder: Path) -> None:
    with start(folder) as database:
        insert(database)
    copy = folder.with_name("copy")
    subprocess.run(["cp", "-r", folder, copy], check=True)
    with start(folder) as database, start(copy) as copied:
        assert (insert(database), insert(copied), insert(copied)) == (2, 2, 3)


@pytest.mark.parametrize("name", ["long" * 30, "a,b:c", "with space", "数据", "Upper%20Case"])
def test_any_path_works_and_the_second_finds_it(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start(folder / name) as database:
        monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")  # as in another terminal
        with start(folder / name, share=True) as second:
            assert (second.uri, owns(second), insert(second)) == (database.uri, False, 1)


def test_a_second_server_is_told(folder: Path) -> None:
    with start(folder) as database:
        with pytest.raises(
            StartError, match=rf"Another server \(process {os.getpid()}\) uses .*{folder}.*DATA_DIR"
        ):
            start(folder)
        assert insert(database) == 1


def test_a_server_that_meets_a_command_is_told(folder: Path) -> None:
    with start(folder, share=True) as command:
        assert owns(command)
        with pytest.raises(
            StartError, match=r"A command .* is working with the data folder .*: start again when"
        ):
            start(folder)


def test_commands_at_once_share_one_database(folder: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        databases = list(pool.map(lambda _: start(folder, share=True), range(4)))
        assert max(pool.map(insert, databases)) == 4
    assert [owns(database) for database in databases].count(True) == 1
    for database in sorted(databases, key=owns):
        database.close()


def test_a_command_waits_for_the_others_before_it_ends_the_database(folder: Path) -> None:
    first, second = start(folder, share=True), start(folder, share=True)
    closing = threading.Thread(target=first.close)
    closing.start()
    time.sleep(0.2)
    assert insert(second) == 1
    second.close()
    closing.join(LONGEST)
    assert mongod_of(folder).pid is None


def test_a_killed_server_leaves_no_mongod_and_the_next_one_starts(folder: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
        assert mongod_of(folder).alive
        child.send_signal(signal.SIGKILL)
        child.wait()
    with start(folder) as database:  # while the old mongod is still ending
        assert insert(database) == 1
    wait_for(lambda: not mongod_of(folder).alive)


def test_a_mongod_that_stays_behind_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LEFTOVER_SECONDS", 0.1)
    stranger = mongod_of(folder)
    stranger.start()
    with pytest.raises(
        StartError,
        match=rf"A mongod \(process {stranger.pid}\) still uses .* `kill {stranger.pid}`",
    ):
        start(folder)
    assert stranger.alive
    stranger.stop()


@pytest.mark.parametrize("share", [False, True])
def test_a_folder_that_cannot_be_made_is_said_to_be_one(tmp_path: Path, share: bool) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        StartError, match=r"can't be written \(.*\): make it writable, or set DATA_DIR"
    ):
        start(tmp_path / "file" / "data", share=share)


def test_a_lock_that_cannot_be_made_is_one_sentence(folder: Path) -> None:
    (folder / "owner.lock").mkdir(parents=True)
    with pytest.raises(StartError, match=r"can't be written \(is a directory\)"):
        start(folder)
    gc.collect()  # what is left over would raise here


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_another_user_is_said_to_be_one(folder: Path) -> None:
    folder.mkdir(mode=0o500)
    with pytest.raises(StartError, match=r"can't be written \(permission denied\)"):
        start(folder)


def test_a_failed_start_leaves_the_folder_free(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(embedded, "find_mongod", lambda: Path("/bin/false"))
        with pytest.raises(StartError, match="mongod ended with status 1"):
            start(folder)
    with start(folder) as database:
        assert insert(database) == 1
