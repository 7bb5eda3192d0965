"""WORKERS processes behind one port: alike to clients, replaced, gone with their parent."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from app.servers.embedded import EmbeddedDatabase
from app.servers.process import Mongod
from tests.support.members import owns
from tests.support.mongod import needs_mongod, require_mongod
from tests.support.processes import children, environment, family, lives
from tests.support.server import ROOT, LiveServer
from tests.support.waiting import LONGEST, wait_for

pytestmark = [*needs_mongod, pytest.mark.slow]

WORKERS = 3


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    require_mongod()
    with TemporaryDirectory(prefix="docsheet-", dir="/tmp") as short:
        yield Path(short, "data")


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[LiveServer]:
    """A server of several workers on an embedded database."""
    with LiveServer(spawn=True, WORKERS=WORKERS, DATA_DIR=folder) as live:
        yield live


def workers(live: LiveServer) -> list[int]:
    return [pid for pid, command in children(live.process.pid).items() if "spawn_main" in command]


def accepts(live: LiveServer, connections: int = 40) -> None:
    """Every new connection, to whichever worker it goes, is answered."""
    for _ in range(connections):
        assert httpx.get(f"{live.address}/readyz", timeout=60).status_code == 200


def test_one_port_one_database_and_one_owner(shared: LiveServer, folder: Path) -> None:
    assert len(workers(shared)) == WORKERS
    mongods = [
        pid for pid, command in children(shared.process.pid).items() if "mongod --dbpath" in command
    ]
    assert mongods == [Mongod(folder, str(folder / "mongodb.sock")).pid]
    accepts(shared)


def test_tokens_etags_and_records_are_the_same_on_all(shared: LiveServer) -> None:
    """A connection of its own for each request: they go to all workers."""

    def ask(method: str, path: str, **words: object) -> httpx.Response:
        return httpx.request(method, shared.address + path, timeout=60, **words)  # type: ignore[arg-type]

    for number in range(6):
        ask(
            "POST", "/users/", json={"name": f"n{number}", "email": f"n{number}@example.com"}
        ).raise_for_status()
    tags, tokens, answered = set(), set(), set()
    for _ in range(24):
        listed = ask("GET", "/users/?sort=-name&limit=4")
        answered.add(listed.headers["X-Request-ID"][:8])  # a prefix for each process
        tokens.add(listed.links["next"]["url"].partition("?")[2])
        tags.add(ask("GET", f"/users/{listed.json()[0]['_id']}").headers["ETag"])
    assert (len(tags), len(tokens)) == (1, 1)
    assert len(answered) > 1
    for _ in range(12):
        assert [user["name"] for user in ask("GET", f"/users/?{tokens.copy().pop()}").json()] == [
            "n1",
            "n0",
        ]
    export_id = ask("GET", "/users/export/csv").headers["X-Export-Id"]
    assert {ask("GET", f"/exports/{export_id}").json()["state"] for _ in range(12)} == {"complete"}


def test_a_killed_worker_is_started_again_while_the_others_serve(shared: LiveServer) -> None:
    killed = workers(shared)[0]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: len(set(workers(shared)) - {killed}) == WORKERS)
    accepts(shared)
    assert shared.logged(f"a worker (process {killed}) ended with SIGKILL; another one starts.")


def test_numbers_are_of_all_workers_and_do_not_fall_when_one_dies(folder: Path) -> None:
    with LiveServer(WORKERS=2, DATA_DIR=folder.with_name("measured"), METRICS="on") as live:
        place = Path(environment(workers(live)[0])["PROMETHEUS_MULTIPROC_DIR"])

        def count(name: str) -> float:
            """The sum of a number's lines; a worker is asked that is free at the moment."""
            lines = httpx.get(f"{live.address}/metrics").text.splitlines()
            return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

        requests = 'docsheet_request_seconds_count{method="GET",route="/readyz",status="200"}'
        accepts(live)
        assert {count(requests) for _ in range(6)} == {40}
        assert len(list(place.glob("gauge_livesum_*.db"))) == 2
        killed = workers(live)[0]
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: len(set(workers(live)) - {killed}) == 2)
        assert not list(place.glob(f"gauge_livesum_{killed}.db"))
        accepts(live)
        assert {count(requests) for _ in range(6)} == {80}
    assert not place.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_of_them_and_the_database(folder: Path, number: signal.Signals) -> None:
    own = folder.with_name(f"of-{number}")
    with LiveServer(spawn=True, WORKERS=2, DATA_DIR=own) as live:
        below = family(live.process.pid)
        assert len(below) >= 4
        live.process.send_signal(number)
        assert live.process.wait(LONGEST) == (0 if number == signal.SIGTERM else 130)
        wait_for(lambda: not any(map(lives, below)))
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{live.address}/livez")
        assert "Traceback" not in live.log
    with EmbeddedDatabase.open(own, 256, 60) as database:  # it was closed in order
        assert owns(database)


def test_a_killed_parent_leaves_no_worker_and_no_mongod(folder: Path) -> None:
    with LiveServer(spawn=True, WORKERS=2, DATA_DIR=folder.with_name("orphaned")) as live:
        below = family(live.process.pid)
        live.process.kill()
        live.process.wait()
        wait_for(lambda: not any(map(lives, below)))


def test_what_no_worker_can_serve_stops_the_start(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "__init__.py").touch()
    source = (ROOT / "models" / "user.py").read_text()
    broken = source.replace('search = ["name"]', 'search = ["nmae"]')
    assert broken != source
    (tmp_path / "broken" / "user.py").write_text(broken)
    live = LiveServer(
        tmp_path, spawn=True, WORKERS=2, DATA_DIR=folder.with_name("broken"), MODELS="broken"
    )
    with pytest.raises(AssertionError, match=r"did not start: docsheet: .*nmae"), live:
        pass
    assert live.process.returncode == 1
    assert live.process.stdout is not None
    live.process.stdout.close()
    live._log.close()
