"""Finding and running one mongod, and what is said when that fails."""

import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.errors import StartError
from app.servers import process as mongod
from app.servers.endings import explain
from app.servers.process import Mongod, find_mongod
from app.servers.wire import ask, hello
from tests.support.mongod import needs_mongod
from tests.support.ports import free_ports
from tests.support.waiting import LONGEST

LOADER = (
    "mongod: error while loading shared libraries: {}: cannot open shared object file: No such "
    "file or directory"
)


def fake_mongod(folder: Path, script: str) -> Path:
    binary = folder / "fake"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    return binary


def test_no_mongod_names_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongod, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        StartError, match=r"no mongod for this platform .* MONGO_URI .*docker compose up"
    ):
        find_mongod()


def test_the_mongod_on_the_path_is_found_without_the_wheel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    binary = fake_mongod(tmp_path, "exit 0").rename(tmp_path / "mongod")
    monkeypatch.setattr(mongod, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_mongod() == binary


@pytest.mark.parametrize(
    ("library", "advice"),
    [
        ("libcurl.so.4", "sudo apt-get install libcurl4"),
        ("libssl.so.3", "apt-get install libssl3"),
        ("libx.so.1", "MONGO_URI"),
    ],
)
def test_a_missing_library_names_its_package(tmp_path: Path, library: str, advice: str) -> None:
    binary = fake_mongod(tmp_path, f"echo '{LOADER.format(library)}' >&2; exit 127")
    with pytest.raises(
        StartError, match=rf"needs the library {library}, which is missing here: .*{advice}"
    ):
        Mongod(tmp_path, str(tmp_path / "s.sock")).start(binary)


def test_a_binary_for_another_machine_is_said_to_be_one(tmp_path: Path) -> None:
    binary = tmp_path / "mongod"
    binary.write_bytes(b"\x7fELF not really")
    binary.chmod(0o755)
    with pytest.raises(
        StartError, match=r"can't be run \(exec format error\): put another mongod on PATH"
    ):
        Mongod(tmp_path, str(tmp_path / "s.sock")).start(binary)


@pytest.mark.parametrize(
    ("status", "log", "words"),
    [
        (100, "", "Another mongod uses the data folder"),
        (
            100,
            "boost::filesystem: Permission denied: /data/mongod.lock",
            "can't be written (permission denied)",
        ),
        (
            100,
            "Attempted to create a lock file on a read-only directory",
            "can't be written (read-only directory)",
        ),
        (100, '{"s":"E","attr":{"error":"DBPathInUse: Unable to lock"}}', "Another mongod uses"),
        (
            100,
            '{"s":"E","msg":"DBException","attr":{"error":"InvalidOptions: Requested option '
            'conflicts with current storage engine option for directoryPerDB"}}',
            "made by a mongod with other options (DBException InvalidOptions: Requested",
        ),
        (100, '{"s":"E","msg":"Odd","attr":{"error":"so odd"}}', "status 100: Odd so odd; see"),
        (14, "Failed to open WiredTiger cursor. This may be due to data corruption", "damaged"),
        (-signal.SIGABRT, "WiredTiger.turtle: fatal turtle file read error", "damaged"),
        (14, "WT error: No space left on device", "disk of the data folder"),
        (48, "", "can't listen at here.sock"),
        (62, "", "another version of mongod"),
        (-signal.SIGILL, "", "lacks AVX"),
        (1, "mongod: /lib/libc.so.6: version `GLIBC_2.99' not found", "C library is too old"),
        (
            2,
            '{"s":"F","msg":"Bad thing","attr":{"error":"so bad"}}\nnot json',
            "status 2: Bad thing so bad; see",
        ),
        (2, "", "ended with status 2; see"),
    ],
)
def test_each_end_is_explained(tmp_path: Path, status: int, log: str, words: str) -> None:
    (tmp_path / "mongod.log").write_text(log)
    assert words in explain(status, tmp_path, "here.sock")


@pytest.mark.parametrize(
    ("status", "free", "full"),
    [
        (-signal.SIGABRT, 1_000, True),
        (-signal.SIGABRT, 65 << 20, True),  # no room for a file of the journal
        (-signal.SIGABRT, 200 << 20, False),
        (14, 1_000, True),
        (14, 65 << 20, False),
    ],
)
def test_a_full_disk_is_seen_where_the_log_has_no_place_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, free: int, full: bool
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert ("is full: free some space" in explain(status, tmp_path, "here.sock")) is full


class TestRunning:
    pytestmark = needs_mongod

    def test_it_runs_at_a_port_and_ends(self, tmp_path: Path) -> None:
        (port,) = free_ports(1)
        process = Mongod(tmp_path, f"127.0.0.1:{port}")
        process.start()
        assert ask(process.address, {"ping": 1}, LONGEST)["ok"] == 1
        assert process.alive
        assert Mongod(tmp_path, process.address).pid == process.pid
        process.stop()
        assert (process.alive, hello(process.address)) == (False, None)

    def test_another_object_ends_what_one_has_started(self, tmp_path: Path) -> None:
        process = Mongod(tmp_path, str(tmp_path / "s.sock"))
        process.start()
        Mongod(tmp_path, process.address).kill()
        assert not process.alive

    def test_a_second_one_on_the_folder_is_refused_and_leaves_the_first(
        self, tmp_path: Path
    ) -> None:
        first = Mongod(tmp_path, str(tmp_path / "first.sock"))
        first.start()
        second = Mongod(tmp_path, str(tmp_path / "second.sock"))
        with pytest.raises(StartError, match="Another mongod uses the data folder"):
            second.start()
        second.stop()
        assert first.alive
        first.stop()
