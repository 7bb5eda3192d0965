"""A process that has imported the application, and forks it: servers and commands start quickly.

Importing is most of what a start takes, and the tests start very many. What the start itself does
is for tests that run the program as people do: `LiveServer(..., spawn=True)`.
"""

import atexit
import fcntl
import gc
import importlib
import json
import multiprocessing.util
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from tests.support.patience import be_patient

ROOT = Path(__file__).parents[2]
MESSAGE = 1024 * 1024  # bytes


class Forked:
    """A process that the nursery forked, with what the tests need of `subprocess.Popen`."""

    def __init__(self, nursery: "Nursery", pid: int, stdout: IO[str] | None = None) -> None:
        self.pid = pid
        self.stdout = stdout
        self._nursery = nursery

    @property
    def returncode(self) -> int | None:
        """The exit status; minus the signal that ended it; None while it runs."""
        return self.poll()

    def poll(self) -> int | None:
        """The same."""
        return self._nursery.status(self.pid, 0)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end; raises `subprocess.TimeoutExpired` where that takes longer."""
        status = self._nursery.status(self.pid, timeout)
        if status is None:
            raise subprocess.TimeoutExpired("docsheet", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Sends it a signal, if it is still there."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The nursery as the tests see it."""

    def __init__(self) -> None:
        self._statuses: dict[int, int] = {}
        self._pids: list[int] = []
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.nursery", str(theirs.fileno())],
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "COLUMNS": "200"},  # consoles are as wide as when they were made
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        atexit.register(self.close)

    def start(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str], log: IO[bytes]
    ) -> Forked:
        """`python -m app` with these words, as a process in the folder; its errors go to `log`."""
        reading, writing = os.pipe()
        with Path(os.devnull).open("rb") as nothing:
            pid = self._fork(words, folder, environment, (nothing.fileno(), writing, log.fileno()))
        os.close(writing)
        return Forked(self, pid, os.fdopen(reading))

    def run(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str], sent: bytes = b""
    ) -> "subprocess.CompletedProcess[bytes]":
        """`python -m app` with these words, and what it wrote; `sent` is its standard input."""
        with TemporaryFile() as stdin, TemporaryFile() as stdout, TemporaryFile() as stderr:
            stdin.write(sent)
            stdin.seek(0)
            files = (stdin.fileno(), stdout.fileno(), stderr.fileno())
            status = Forked(self, self._fork(words, folder, environment, files)).wait()
            for file in (stdout, stderr):
                file.seek(0)
            return subprocess.CompletedProcess(words, status, stdout.read(), stderr.read())

    def status(self, pid: int, seconds: float | None) -> int | None:
        """How a process ended, None where it has not within so many seconds."""
        until = None if seconds is None else time.monotonic() + seconds
        while pid not in self._statuses:
            left = None if until is None else max(0, until - time.monotonic())
            if not self._receive(left):
                return None
        return self._statuses[pid]

    def close(self) -> None:
        """Ends the nursery; what it forked goes on."""
        self._socket.close()
        self._process.wait()

    def _fork(
        self,
        words: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        files: tuple[int, int, int],
    ) -> int:
        order = {"words": list(words), "folder": str(folder), "environment": dict(environment)}
        socket.send_fds(self._socket, [json.dumps(order).encode()], files)
        while not self._pids:
            self._receive(None)
        return self._pids.pop()

    def _receive(self, seconds: float | None) -> bool:
        """Takes one message; false where none comes in time."""
        if not select.select([self._socket], [], [], seconds)[0]:
            return False
        message = self._socket.recv(MESSAGE)
        assert message, "the nursery has ended"
        told = json.loads(message)
        if "status" in told:
            self._statuses[told["pid"]] = told["status"]
        else:
            self._pids.append(told["pid"])
        return True


@cache
def nursery() -> Nursery:
    """The one nursery of this process."""
    return Nursery()


# --- in the nursery's process ---------------------------------------------------------------------

COMMANDS = ("doctor", "export", "import_", "seed", "serve", "verify")
PRELOADED = (
    "app.application",
    "app.serving.protocol",
    "app.transfers.work",
    "app.transfers.import_work",
    *(f"app.commands.{command}" for command in COMMANDS),
)
APART = 100  # descriptors from here on are used by nothing else


def main(descriptor: int) -> None:
    """Forks as it is told, and tells how each process ended, until the tests have ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    for name in PRELOADED:
        importlib.import_module(name)
    be_patient()
    gc.freeze()  # no child seeks garbage in what was imported
    gc.enable()
    ended, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with socket.socket(fileno=descriptor) as orders:
        while True:
            ready, _, _ = select.select([orders, ended], [], [])
            if ended in ready:
                os.read(ended, MESSAGE)
                tell_ends(orders)
            if orders in ready:
                message, descriptors, _, _ = socket.recv_fds(orders, MESSAGE, 3)
                if not message:
                    return
                fork(orders, json.loads(message), descriptors)


def tell_ends(orders: socket.socket) -> None:
    """Tells of each child that has ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        told = {"pid": pid, "status": os.waitstatus_to_exitcode(status)}
        orders.send(json.dumps(told).encode())


def fork(orders: socket.socket, order: Any, descriptors: Sequence[int]) -> None:
    """Makes a process of an order."""
    pid = os.fork()
    if pid == 0:
        orders.close()
        os._exit(run(order, descriptors))
    for descriptor in descriptors:
        os.close(descriptor)
    orders.send(json.dumps({"pid": pid}).encode())


def run(order: Any, descriptors: Sequence[int]) -> int:
    """The program as `python -m app` runs it, in the child; its exit status."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    sys.path[:0] = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.argv = ["app", *order["words"]]
    importlib.invalidate_caches()
    prepare_fork_server()
    try:
        runpy.run_module("app", run_name="__main__", alter_sys=True)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def prepare_fork_server() -> None:
    """Forks the server's fork server, while there is one thread: to start afresh takes as long.

    It waits for what `multiprocessing` would run it with. The second one, if ever, starts afresh.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        os._exit(become_fork_server(theirs))
    theirs.close()
    start_afresh = multiprocessing.util.spawnv_passfds

    def start(path: Any, words: Sequence[str], descriptors: Sequence[int]) -> int:
        if ours.fileno() < 0 or "forkserver" not in words[-1]:
            return int(start_afresh(path, words, descriptors))
        message = json.dumps([words[-1], list(descriptors)]).encode()
        socket.send_fds(ours, [message], descriptors)
        ours.close()
        return pid

    multiprocessing.util.spawnv_passfds = start  # type: ignore[attr-defined]


def become_fork_server(orders: socket.socket) -> int:
    """Waits for its code and its descriptors, and runs the one with the others."""
    message, descriptors, _, _ = socket.recv_fds(orders, MESSAGE, 4)
    orders.close()
    if not message:
        return 0  # the server has ended
    code, numbers = json.loads(message)
    apart = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, APART) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for descriptor, number in zip(apart, numbers, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    try:
        exec(code, {})
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 0
    return 0


if __name__ == "__main__":
    main(int(sys.argv[1]))
