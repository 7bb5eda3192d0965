"""Reads come first: exports let them pass, and go on where they never end."""

import io
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

import pytest
from pymongo import MongoClient

from app.query.plan import make_plan
from app.resources.registry import discover
from app.settings import Settings
from app.spreadsheets.chunks import Tally
from app.store.client import Connection, direct_connection
from app.store.indexes import Indexes, read_indexes
from app.store.reach import Reach
from app.transfers import traffic as room
from app.transfers.exports import read_export
from app.transfers.import_options import Import
from app.transfers.imports import Ended, run_import
from app.transfers.production import produce
from app.transfers.traffic import ALONE, Traffic, Turns
from tests.support.compilers import compiler_of
from tests.support.filling import fill
from tests.support.waiting import wait_for

HOLD_TURN = """
import sys
from app.transfers.traffic import Turns
with Turns(int(sys.argv[1])).turn():
    print("mine", flush=True)
    sys.stdin.read()
"""

READ_ONCE = """
import sys
from app.transfers import traffic as room
room.RECENT = 600.0
traffic = room.Traffic(int(sys.argv[1]))
span = traffic.begin()
print("mine", flush=True)
sys.stdin.readline()
traffic.end(span)
print("done", flush=True)
"""


def turns_of(traffic: Traffic, born: int = 0) -> Turns:
    """The turns of a child that is there for long, unless it was `born` later."""
    turns = Turns(os.dup(traffic.inherited()._descriptor))
    turns._born = born
    return turns


def hold(traffic: Traffic, program: str = HOLD_TURN) -> subprocess.Popen[bytes]:
    """A process that has the turn, or a read that is not answered, until its input ends."""
    descriptor = traffic.inherited()._descriptor
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(descriptor)],
        pass_fds=[descriptor],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"mine\n"
    return holder


@contextmanager
def passing(turns: Turns) -> Iterator[threading.Event]:
    """A thread that lets reads pass, by its clock after a second of work; the event: it goes on."""
    went_on = threading.Event()
    clock = count().__next__

    def let_pass() -> None:
        for _ in range(2):  # the first goes on at once
            turns.let_pass(clock)
        went_on.set()

    thread = threading.Thread(target=let_pass)
    thread.start()
    yield went_on
    thread.join()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lets reads pass waits as long as there are any, and all are of late."""
    monkeypatch.setattr(room, "LONGEST", 60.0)
    monkeypatch.setattr(room, "SHARE", 1e12)
    monkeypatch.setattr(room, "RECENT", 600.0)


def test_a_read_goes_first_until_it_is_answered(patient: None) -> None:
    traffic = Traffic()
    turns = turns_of(traffic)
    first, second = traffic.begin(), traffic.begin()
    with passing(turns) as went_on:
        traffic.end(first)
        assert not went_on.wait(0.05)
        traffic.end(second)
    assert went_on.is_set()


def test_reads_of_each_process_of_a_server_go_first(patient: None) -> None:
    traffic = Traffic()
    turns = turns_of(traffic)
    span = traffic.begin()
    other = hold(traffic, READ_ONCE)
    traffic.end(span)
    assert turns._is_busy()
    assert other.communicate(b"\n")[0] == b"done\n"
    assert not turns._is_busy()


def test_the_first_byte_waits_for_nobody(patient: None) -> None:
    traffic = Traffic()
    traffic.begin()
    turns_of(traffic).let_pass()


def test_the_request_for_the_child_itself_is_no_read_to_wait_for(patient: None) -> None:
    traffic = Traffic()
    traffic.begin()
    turns = turns_of(traffic, born=room._read_span())
    for _ in range(2):
        turns.let_pass()
        with turns.turn():
            pass
    assert turns.is_quiet()


def test_reads_that_never_end_are_waited_for_in_proportion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "LONGEST", 60.0)
    clock = Clock()
    monkeypatch.setattr(room, "time", clock)
    traffic = Traffic()
    traffic.begin()
    turns = turns_of(traffic)
    turns.let_pass(clock.monotonic)
    clock.now += 0.01  # of work
    before = clock.now
    monkeypatch.setattr(room.Turns, "_is_busy", lambda self: True)
    turns.let_pass(clock.monotonic)
    waited = clock.now - before
    assert 0.08 < waited <= 0.01 * room.SHARE + room.LOOK


def test_an_old_request_is_no_read_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(room, "time", clock)
    traffic = Traffic()
    span = traffic.begin()
    turns = turns_of(traffic)
    assert turns._is_busy()
    clock.now += 2 * room.RECENT
    assert not turns._is_busy()
    again = traffic.begin()
    traffic.end(span)
    assert turns._is_busy()
    traffic.end(again)
    assert not turns._is_busy()


def test_one_child_has_the_turn_and_its_end_gives_it_back(patient: None) -> None:
    traffic = Traffic()
    turns = turns_of(traffic)
    holder = hold(traffic)
    taken = threading.Event()

    def take() -> None:
        with turns.turn():
            taken.set()

    thread = threading.Thread(target=take)
    thread.start()
    assert not taken.wait(0.05)
    holder.kill()
    holder.communicate()
    thread.join()
    assert taken.is_set()


@pytest.mark.parametrize("beside_reads", [False, True])
def test_threads_of_a_child_share_a_turn_where_it_is_quiet(
    patient: None, beside_reads: bool
) -> None:
    traffic = Traffic()
    turns = turns_of(traffic)
    entered = threading.Event()

    def enter() -> None:
        with turns.turn():
            entered.set()

    other = threading.Thread(target=enter)
    if beside_reads:
        traffic.end(traffic.begin())  # one of late, which is answered
    with turns.turn():
        other.start()
        assert entered.wait(0.1 if beside_reads else 60) is not beside_reads
    other.join()
    assert entered.is_set()


def test_a_turn_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LONGEST", 0.0)
    traffic = Traffic()
    holder = hold(traffic)
    with turns_of(traffic).turn():
        pass
    holder.communicate(b"")


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class HastyClock:
    """The real clock, but nobody who sleeps has to wait; each thread has its own."""

    def __init__(self) -> None:
        self.slept: Counter[int] = Counter()

    def monotonic(self) -> float:
        return time.monotonic() + self.slept[threading.get_ident()]

    def sleep(self, seconds: float) -> None:
        self.slept[threading.get_ident()] += seconds  # type: ignore[assignment]


# --- an export ------------------------------------------------------------------------------------


@pytest.fixture
def users(mongo_uri: str) -> Iterator[Any]:
    """A collection of 3,000 users: several pages of an export."""
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        found = client["test_traffic"].users
        fill(found, ({"_id": number, "name": f"n{number}"} for number in range(3_000)))
        yield found
        client.drop_database("test_traffic")


class Watched(Turns):
    """Turns of a child that is there for long, and how often it had them or let reads pass."""

    def __init__(self, traffic: Traffic) -> None:
        super().__init__(os.dup(traffic.inherited()._descriptor))
        self._born = 0
        self.taken = self.passed = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        with super().turn():
            self.taken += 1
            yield

    def let_pass(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().let_pass(clock)
        self.passed += 1


class Reading:
    """An export of all users."""

    def __init__(self, users: Any, traffic: Traffic) -> None:
        self.turns = Watched(traffic)
        settings = Settings(_env_file=None)  # type: ignore[call-arg]
        plan = partial(make_plan, indexes=read_indexes(users), settings=settings)
        export = read_export("ndjson", [], compiler_of(discover("models")["users"]), plan, False)
        self.chunks = produce(export, users, None, Tally(), self.turns)


@pytest.mark.mongod
def test_an_export_takes_nothing_while_a_read_is_open(users: Any, patient: None) -> None:
    traffic = Traffic()
    span = traffic.begin()
    reading = Reading(users, traffic)
    parts: list[bytes] = []
    thread = threading.Thread(target=lambda: parts.extend(reading.chunks))
    thread.start()
    begun = (1, 1, 1)  # the first comes at once

    def is_begun() -> bool:
        return (reading.turns.taken, reading.turns.passed, len(parts)) == begun

    wait_for(is_begun)
    time.sleep(0.1)
    assert is_begun()
    traffic.end(span)
    thread.join()
    assert b"".join(parts).count(b"\n") == 3_000
    assert reading.turns.taken > 1


@pytest.mark.mongod
def test_pages_are_small_while_reads_come(users: Any, patient: None) -> None:
    traffic = Traffic()
    alone = Reading(users, traffic)
    assert b"".join(alone.chunks).count(b"\n") == 3_000
    traffic.end(traffic.begin())  # answered, but of late
    beside = Reading(users, traffic)
    assert b"".join(beside.chunks).count(b"\n") == 3_000
    assert beside.turns.taken > alone.turns.taken


@pytest.mark.mongod
def test_an_export_keeps_a_tenth_of_its_speed_though_reads_never_end(
    users: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = HastyClock()
    monkeypatch.setattr(room, "time", clock)
    monkeypatch.setattr(room, "LONGEST", 60.0)
    monkeypatch.setattr(room, "RECENT", 600.0)
    traffic = Traffic()
    traffic.begin()
    begin = time.monotonic()
    reading = Reading(users, traffic)
    assert b"".join(reading.chunks).count(b"\n") == 3_000
    worked = time.monotonic() - begin
    assert len(clock.slept) == 2  # who reads, and who encodes
    looks = reading.turns.taken + reading.turns.passed
    assert all(0 < slept <= 9 * worked + room.LOOK * looks for slept in clock.slept.values())


# --- an import ------------------------------------------------------------------------------------


@pytest.fixture
def connection(mongo_uri: str) -> Iterator[Connection]:
    settings = Settings(DB_NAME="test_traffic_imports", _env_file=None)  # type: ignore[call-arg]
    with direct_connection(settings, mongo_uri) as opened:
        opened.sync.command("ping")  # so that the servers are known
        yield opened
        opened.sync.client.drop_database("test_traffic_imports")


@pytest.mark.mongod
def test_reads_do_not_change_by_what_documents_are_found(
    connection: Connection, patient: None
) -> None:
    resource = discover("models")["users"]
    lines = [f'{{"name": "N{number}", "email": "n{number}@example.com"}}' for number in range(99)]
    lines.append('{"_id": {"$oid": "0123456789abcdef01234567"}, "name": "N", "email": "n@x.com"}')
    stored = {"_id": 1, "name": "N0", "email": "n0@example.com", "age": 1}
    connection.collection("users").insert_one(stored)
    reach = Reach.of_all(connection, resource, [resource])
    asked = Import("users", "ndjson", mode="upsert", on_error="skip", dry_run=True)
    traffic = Traffic()
    traffic.end(traffic.begin())  # answered, but of late
    reports = []
    for turns in (ALONE, Watched(traffic)):
        file = io.BytesIO("\n".join(lines).encode())
        ended = run_import(
            asked, reach, connection, Indexes(made=True), file, None, lambda *one: None, turns
        )
        reports.append((ended.report.inserted, ended.report.updated, ended.report.failed))
    assert reports[0] == reports[1]


@pytest.mark.mongod
def test_an_import_takes_nothing_while_a_read_is_open(
    connection: Connection, patient: None
) -> None:
    resource = discover("models")["users"]
    rows = "".join(f"N{number},n{number}@example.com\n" for number in range(300))
    file = io.BytesIO(f"name,email\n{rows}".encode())
    reach = Reach.of_all(connection, resource, [resource])
    traffic = Traffic()
    span = traffic.begin()
    turns = Watched(traffic)
    told: list[tuple[int, int, int]] = []

    def load() -> Ended:
        asked, indexes = Import("users", "csv"), Indexes(made=True)
        return run_import(
            asked, reach, connection, indexes, file, None, lambda *one: told.append(one), turns
        )

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(load)
        begun = (1, [(50, 0, 0)])  # the first rows come at once
        wait_for(lambda: (turns.passed, told) == begun)
        time.sleep(0.1)
        assert (turns.passed, told) == begun
        traffic.end(span)
        assert running.result().report.inserted == 300
    assert [written for _, due, written in told if due] == [0, 100, 200]
