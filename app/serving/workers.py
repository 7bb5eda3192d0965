"""WORKERS server processes behind one port: started, watched, replaced, ended together.

The parent listens and owns the database; each worker inherits the listening socket, so a connection
goes to whichever is free first. Workers are spawned, not forked: nothing of the parent's threads,
locks or clients gets into them.
"""

import logging
import multiprocessing
import signal
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, Self, cast

from app.errors import StartError
from app.settings import Settings
from app.transfers.forking import forget_main_file

CONTEXT = multiprocessing.get_context("spawn")
START_SECONDS = 60.0
LEAVING_SECONDS = 4.0  # after the grace time, before a worker that still lives is killed
YOUNG_SECONDS = 10.0  # a worker that dies younger is started again later and later
MAX_PAUSE_SECONDS = 30.0  # seconds
_log = logging.getLogger("docsheet.workers")

# A worker's one word to its parent: empty when it serves, else why it can't.
Report = Callable[[str], None]
Work = Callable[[Settings, socket.socket, Report], None]


class Workers:
    """The workers of one server; within `with` all of them serve.

    `on_death` is called with the process number of each that dies before its end.
    Entering raises `StartError` with what the first worker says that can't serve.
    """

    def __init__(
        self,
        settings: Settings,
        listening: socket.socket,
        work: Work,
        on_death: Callable[[int], None],
    ) -> None:
        self._on_death = on_death
        self._settings = settings
        self._listening = listening
        self._work = work
        self._workers: list[_Worker] = []
        self._signals: list[int] = []
        self._woken, self._waker = socket.socketpair()

    def __enter__(self) -> Self:
        forget_main_file()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._waker.setblocking(False)
        try:
            for _ in range(self._settings.WORKERS):
                self._workers.append(self._start())
            for worker in self._workers:
                self._wait_for(worker)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def watch(self) -> None:
        """Starts a worker again when it dies.

        Returns after SIGTERM, raises KeyboardInterrupt after SIGINT.
        """
        while not self._signals:
            wait(
                [
                    self._woken,
                    *(worker.process.sentinel for worker in self._workers if worker.alive),
                ],
                self._pause(),
            )
            for place, worker in enumerate(self._workers):
                if not worker.alive and not self._signals:
                    self._workers[place] = self._again(worker)
        if signal.SIGINT in self._signals:
            raise KeyboardInterrupt

    def _pause(self) -> float | None:
        """Seconds until the next dead worker's turn comes."""
        due = [worker.due for worker in self._workers if not worker.alive]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _again(self, dead: "_Worker") -> "_Worker":
        if not dead.told:
            dead.told = True
            self._on_death(dead.pid)
            _log.error(
                "a worker (process %s) ended with %s; %s",
                dead.pid,
                dead.word() or dead.exitcode,
                dead.plan(),
            )
        if time.monotonic() < dead.due:
            return dead
        return self._start(dead.deaths)

    def _start(self, deaths: int = 0) -> "_Worker":
        return _Worker(self._work, self._settings, self._listening, deaths)

    def _wait_for(self, worker: "_Worker") -> None:
        wait([self._woken, worker.report], START_SECONDS)
        if self._signals:
            return
        word = worker.word()
        if word is None:
            raise StartError("A worker process could not begin to serve; the log says why.")
        if word:
            raise StartError(word)

    def _end(self) -> None:
        """Ends all in order; after the grace time, or at a second signal, at once."""
        self._listening.close()  # or connections would wait here that nobody accepts
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + self._settings.SHUTDOWN_GRACE_SECONDS + LEAVING_SECONDS
        while alive := [worker for worker in self._workers if worker.alive]:
            if len(self._signals) > 1 or time.monotonic() > deadline:
                break
            wait([worker.process.sentinel for worker in alive], 0.2)
        for worker in self._workers:
            worker.process.kill()
            worker.process.join()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)
        self._waker.send(b"\0")


class _Worker:
    """One worker process; `due` is when another may take its place, should it be dead."""

    def __init__(
        self, work: Work, settings: Settings, listening: socket.socket, deaths: int
    ) -> None:
        self.report, report = CONTEXT.Pipe(duplex=False)
        self.process: Any = CONTEXT.Process(
            target=_main, args=(work, settings, listening, report), name="worker"
        )
        self.process.start()
        report.close()
        self.pid = cast(int, self.process.pid)
        self.told = False
        self._deaths = deaths  # of young workers in its place before it, one after the other
        self._born = time.monotonic()
        self._died: float | None = None

    @property
    def alive(self) -> bool:
        if self._died is None and not self.process.is_alive():
            self._died = time.monotonic()
        return self._died is None

    @property
    def exitcode(self) -> str:
        code = self.process.exitcode
        return signal.Signals(-code).name if code is not None and code < 0 else f"status {code}"

    @property
    def deaths(self) -> int:
        young = self._died is not None and self._died - self._born < YOUNG_SECONDS
        return self._deaths + 1 if young else 0

    @property
    def due(self) -> float:
        pause = min(MAX_PAUSE_SECONDS, 2.0 ** (self.deaths - 2)) if self.deaths > 1 else 0.0
        return (self._died or 0.0) + pause

    def word(self) -> str | None:
        """What it reported and nobody has read yet."""
        try:
            return str(self.report.recv()) if self.report.poll() else None
        except EOFError:
            return None

    def plan(self) -> str:
        pause = self.due - (self._died or 0.0)
        return f"the next one starts in {pause:g} s." if pause else "another one starts."


def when_parent_ends(leave: Callable[[], None]) -> None:
    """Calls `leave` in a worker when its parent is gone, however it ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        leave()

    threading.Thread(target=watch, name="parent's end", daemon=True).start()


def _main(work: Work, settings: Settings, listening: socket.socket, report: Connection) -> None:
    def send(word: str) -> None:
        report.send(word)
        report.close()

    work(settings, listening, send)
