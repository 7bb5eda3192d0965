"""A server of ours that says with each read where its time went: `benchmarks/waits.py` asks it.

Runs as `-m app` does, `python -m benchmarks.marks serve`, with marks around what a request passes:
the application, a call to the database (which runs in a thread), a command of the driver. They
come with the answer, in a header. What a thread waits for a processor is the kernel's own count
(`/proc/PID/task/TID/schedstat`), also of the mongod's thread that has the connection, so the mongod
must run on this machine.
"""

import contextvars
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pymongo import monitoring

from app.__main__ import main
from app.application import Application
from app.store.client import Database

HEADER = b"x-marks"
Marks = dict[str, int]  # nanoseconds: moments of the monotonic clock, or what was spent

_marks: contextvars.ContextVar[Marks | None] = contextvars.ContextVar("marks", default=None)
_local = threading.local()
_serve = Application.__call__
_call = Database.run
_open = Database.open


class Spent:
    """What a thread has spent on a processor, and waiting for one."""

    def __init__(self, task: Path) -> None:
        self._file = os.open(task / "schedstat", os.O_RDONLY)

    def read(self) -> tuple[int, int]:
        """Nanoseconds on a processor, and nanoseconds that it was ready and waited for one."""
        running, waiting, _ = os.pread(self._file, 64, 0).split()
        return int(running), int(waiting)


class Commands(monitoring.CommandListener):
    """What mongod's threads spend on the commands of this process."""

    def __init__(self) -> None:
        self.pid = 0  # of the mongod
        self._threads: dict[int, Spent] = {}  # by the number of their connection

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Looks at the thread that will answer."""
        _local.before = self._read(event.server_connection_id)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Adds what it has spent since."""
        after = self._read(event.server_connection_id)
        marks = getattr(_local, "marks", None)
        if marks is not None:
            marks["mongod_runs"] += after[0] - _local.before[0]
            marks["mongod_waits"] += after[1] - _local.before[1]

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing: a read that fails is not measured."""

    def _read(self, connection: int | None) -> tuple[int, int]:
        if not self.pid or connection is None:
            return 0, 0
        if connection not in self._threads:
            self._threads[connection] = self._find(connection)
        return self._threads[connection].read()

    def _find(self, connection: int) -> Spent:
        """The thread of a connection; mongod names them so."""
        name = f"conn{connection}"
        tasks = Path("/proc", str(self.pid), "task").iterdir()
        return next(Spent(task) for task in tasks if (task / "comm").read_text().strip() == name)


_commands = Commands()
_loop = Spent(Path("/proc/self/task", str(os.getpid())))  # the event loop runs in the main thread


async def mark_request(self: Application, scope: Any, receive: Any, send: Any) -> None:
    """The application, that notes when a request came to it and when it was answered."""
    if scope["type"] != "http":
        await _serve(self, scope, receive, send)
        return
    marks = {"asked": time.monotonic_ns(), "loop_waited": _loop.read()[1]}
    _marks.set(marks)

    async def send_marks(message: Any) -> None:
        if message["type"] == "http.response.start":
            marks["answered"] = time.monotonic_ns()
            text = json.dumps(marks).encode()
            message["headers"] = [*message.get("headers", ()), (HEADER, text)]
        await send(message)

    await _serve(self, scope, receive, send_marks)


async def mark_call(self: Database, work: Callable[..., Any], *args: Any, **words: Any) -> Any:
    """A call to the database, that notes when it was asked for, began, ended and was taken back."""
    marks = _marks.get()
    if marks is None:
        return await _call(self, work, *args, **words)

    def marked(*args: Any, **words: Any) -> Any:
        marks["begun"] = time.monotonic_ns()
        running, waiting = _own().read()
        # Since its last call the thread slept, and then waited for a processor.
        marks["begin_waits"] = waiting - getattr(_local, "waiting", waiting)
        marks["mongod_runs"] = marks["mongod_waits"] = 0
        _local.marks = marks
        result = work(*args, **words)
        _local.marks = None
        running_after, _local.waiting = _own().read()
        marks["thread_runs"] = running_after - running
        marks["thread_waits"] = _local.waiting - waiting
        marks["loop_waited_before_end"] = _loop.read()[1]
        marks["ended"] = time.monotonic_ns()
        return result

    marks["called"] = time.monotonic_ns()
    result = await _call(self, marked, *args, **words)
    marks["taken"] = time.monotonic_ns()
    marks["loop_waited_after_end"] = _loop.read()[1]
    return result


def _own() -> Spent:
    if not hasattr(_local, "spent"):
        _local.spent = Spent(Path("/proc/self/task", str(threading.get_native_id())))
    own: Spent = _local.spent
    return own


async def find_mongod(self: Database) -> None:
    """The start of the database, after which the mongod's process is known."""
    await _open(self)
    _commands.pid = self.sync.client.admin.command("serverStatus")["pid"]


if __name__ == "__main__":
    monitoring.register(_commands)
    Application.__call__ = mark_request  # type: ignore[method-assign]
    Database.run = mark_call  # type: ignore[method-assign]
    Database.open = find_mongod  # type: ignore[method-assign]
    main()
