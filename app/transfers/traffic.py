"""Reads come first: what a server is asked at this moment, seen by its exports and imports.

A few bytes of memory that all processes of a server and their children see. Each server process has
a slot there: how many requests of late it has not answered yet. A child looks before it asks the
database for more or decodes what it has, and lets them pass; while they come it takes less at once;
and only one child asks at a time, so that a read never waits behind all of them. Both have a limit:
an export keeps at least a tenth of its speed where reads never end.
"""

import fcntl
import mmap
import os
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from app.transfers.inherited import Inherited

SLOTS = 64  # server processes, as many as WORKERS may be
TURN = SLOTS  # the byte whose lock is the turn of a child
SIZE = 4096  # bytes
RECENT = 0.25  # seconds; a request is waited for while it is no older than twice that
LOOK = 0.001  # seconds between two looks
SHARE = 9  # times what it worked, that a child waits at most: a tenth of its speed is left
LONGEST = 0.1  # seconds that it waits for reads, or for its turn, at most
_count = struct.Struct("<qq")  # a span of RECENT seconds, and the requests of it under way


class Traffic:
    """The requests under way of one server process, in memory that it shares."""

    def __init__(self, descriptor: int | None = None) -> None:
        """With a `descriptor` the memory is another process's, which shares it with this one."""
        self._descriptor = _make() if descriptor is None else descriptor
        weakref.finalize(self, os.close, self._descriptor)
        self._memory = mmap.mmap(self._descriptor, SIZE)
        self._slot: int | None = None
        self._counts = [0, 0]
        self._spans = [0, 0]

    def begin(self) -> int:
        """A request came; returns what `end` takes."""
        span = _read_span()
        half = span & 1
        if self._spans[half] != span:
            self._spans[half] = span
            self._counts[half] = 0
        self._counts[half] += 1
        self._tell(half)
        return span

    def end(self, span: int) -> None:
        """A request is answered."""
        half = span & 1
        if self._spans[half] == span:
            self._counts[half] -= 1
            self._tell(half)

    def _tell(self, half: int) -> None:
        if self._slot is None:
            self._slot = self._take_slot()
        place = (2 * self._slot + half) * _count.size
        _count.pack_into(self._memory, place, self._spans[half], self._counts[half])

    def _take_slot(self) -> int:
        """A slot that no living process has: its lock goes with the process that holds it."""
        for number in range(SLOTS):
            with suppress(OSError):
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
                return number
        return SLOTS - 1  # shared, which is no harm: children may wait in vain for a moment

    def inherited(self) -> Inherited:
        """The memory's descriptor, for a child."""
        return Inherited(self._descriptor)

    def __reduce__(self) -> Any:
        return Traffic, (self.inherited(),)


def _read_span() -> int:
    """The number of the span of time that is now."""
    return int(time.monotonic() / RECENT)


def _make() -> int:
    descriptor = os.memfd_create("traffic")
    os.truncate(descriptor, SIZE)
    return descriptor


class Alone:
    """Work beside which nobody asks for anything: it never waits."""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Has the turn at the database."""
        yield

    def let_pass(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Waits for nobody."""

    def is_quiet(self) -> bool:
        """Whether nothing was asked for of late."""
        return True

    def choose_most(self, most: int, beside_reads: int) -> int:
        """How many are taken at once, at most: `most` where it is quiet, else fewer."""
        return most if self.is_quiet() else beside_reads


ALONE = Alone()


class Turns(Alone):
    """A child's turns at the database, by the memory of the server's `Traffic`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._memory = mmap.mmap(descriptor, SIZE)
        self._born = _read_span()  # among the requests until then is the one for this child
        self._one = threading.Lock()
        self._last = threading.local()  # of each thread: seconds of its turn, when it went on

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Lets reads pass, then has the turn, unless others take too long.

        Reads are waited for in proportion to the turn before; the first comes at once. Beside
        reads it is one thread's, else that of the threads of this process.
        """
        self._wait(getattr(self._last, "turn", 0.0))
        with nullcontext() if self.is_quiet() else self._one:
            has_turn = self._take()
            begin = time.monotonic()
            try:
                yield
            finally:
                self._last.turn = time.monotonic() - begin
                if has_turn:
                    fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, TURN)

    def let_pass(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Waits while reads are under way, in proportion to what this thread did since.

        The `clock` says how long that was, in seconds. The first time it goes on at once: somebody
        waits for the first byte.
        """
        now = clock()
        self._wait(now - getattr(self._last, "since", now))
        self._last.since = clock()

    def is_quiet(self) -> bool:
        """Whether no request came of late, but the one for this child."""
        return not self._read_recent()

    def _wait(self, worked: float) -> None:
        until = time.monotonic() + min(LONGEST, SHARE * worked)
        while self._is_busy() and time.monotonic() < until:
            time.sleep(LOOK)

    def _is_busy(self) -> bool:
        """Whether a server process has not answered a request that came lately."""
        return any(count > 0 for count in self._read_recent())

    def _read_recent(self) -> list[int]:
        """Of each process and span with requests of late: how many are not answered."""
        earliest = max(_read_span() - 1, self._born + 1)
        counts = _count.iter_unpack(self._memory[: 2 * SLOTS * _count.size])
        return [count for span, count in counts if span >= earliest]

    def _take(self) -> bool:
        until = time.monotonic() + LONGEST
        while True:
            with suppress(OSError):
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, TURN)
                return True
            if time.monotonic() > until:
                return False
            time.sleep(LOOK)
