"""Reads come first: exports let them pass, and go on where they never end."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.transfers import traffic as room
from app.transfers.traffic import Traffic, Turns

HOLD_TURN = """
import sys
from app.transfers.traffic import Turns
with Turns(int(sys.argv[1])).turn():
    print("mine", flush=True)
    sys.stdin.read()
"""


def turns_of(traffic: Traffic) -> Turns:
    return Turns(os.dup(traffic.inherited()._descriptor))


@contextmanager
def passing(turns: Turns) -> Iterator[threading.Event]:
    """A thread that lets reads pass; the event says that it goes on."""
    went_on = threading.Event()

    def let_pass() -> None:
        turns.let_pass()
        went_on.set()

    thread = threading.Thread(target=let_pass)
    thread.start()
    yield went_on
    thread.join()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lets reads pass waits as long as there are any."""
    monkeypatch.setattr(room, "LONGEST", 60.0)
    monkeypatch.setattr(room, "SHARE", 1_000_000)
    monkeypatch.setattr(room, "RECENT", 60.0)


def test_a_read_goes_first_until_it_is_answered(patient: None) -> None:
    traffic = Traffic()
    turns = turns_of(traffic)
    turns.let_pass()
    first, second = traffic.begin(), traffic.begin()
    with passing(turns) as went_on:
        traffic.end(first)
        assert not went_on.wait(0.05)
        traffic.end(second)
    assert went_on.is_set()


def test_the_first_byte_waits_for_nobody(patient: None) -> None:
    traffic = Traffic()
    traffic.begin()
    turns_of(traffic).let_pass()


def test_reads_that_never_end_are_waited_for_in_proportion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "LONGEST", 60.0)
    clock = Clock()
    monkeypatch.setattr(room, "time", clock)
    traffic = Traffic()
    traffic.begin()
    turns = turns_of(traffic)
    turns.let_pass()
    clock.now += 0.01  # of work
    before = clock.now
    monkeypatch.setattr(room.Turns, "_is_busy", lambda self: True)
    turns.let_pass()
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
    descriptor = traffic.inherited()._descriptor
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_TURN, str(descriptor)],
        pass_fds=[descriptor],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"mine\n"
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


def test_a_turn_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LONGEST", 0.0)
    traffic = Traffic()
    descriptor = traffic.inherited()._descriptor
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_TURN, str(descriptor)],
        pass_fds=[descriptor],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"mine\n"
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
