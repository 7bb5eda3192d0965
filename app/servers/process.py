"""One mongod process: found, started, waited for, ended.

A process is known by its folder: mongod keeps an `flock` on `mongod.lock` there for as long as it
lives, and its number stands in that file, so that a later command finds what an earlier one
started.
"""

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from app.errors import StartError
from app.servers.endings import ELSE, LOG, explain, explain_not_writable
from app.servers.wire import Document, hello

DATA = "mongodb"  # the folder in a process's folder that mongod owns
START_SECONDS = 60.0  # journal recovery after a kill takes its time
STOP_SECONDS = 30.0  # then SIGKILL; the journal loses nothing
POLL_SECONDS = 0.01


def find_mongod() -> Path:
    """The mongod to run: the one that the wheel brought, else the one on PATH.

    Raises `StartError` without either.
    """
    spec = find_spec("fiftyone")  # a namespace: nothing of it is imported
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(folder, "db", "bin", "mongod")
        if os.access(binary, os.X_OK):
            return binary
    if on_path := shutil.which("mongod"):
        return Path(on_path)
    raise StartError(
        f"There is no mongod for this platform ({sys.platform}): put one on PATH, {ELSE}."
    )


class Mongod:
    """A mongod on `folder`, reached at `address`: a unix socket's path, or `host:port` on loopback.

    Making one starts nothing: it may be running already, started by this process or by another.
    With `outlives` it survives this process; else it ends with it, even by `kill -9`.
    """

    def __init__(self, folder: Path, address: str, *arguments: str, outlives: bool = False) -> None:
        self.folder = folder
        self.address = address
        self.arguments = arguments
        self.outlives = outlives
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The number of the process that has the folder now, whoever started it."""
        if self._process is not None:
            self._process.poll()  # a dead child would stay a zombie
        try:
            with Path(self.folder, DATA, "mongod.lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(Path(self.folder, DATA, "mongod.lock").read_text() or 0)
        except OSError:
            return None
        return None

    @property
    def alive(self) -> bool:
        """Whether a mongod has the folder now."""
        return self.pid is not None

    def start(self, binary: Path | None = None) -> None:
        """Run it; back when it answers.

        Raises `StartError` that says why it doesn't, and what to do.
        """
        self.launch(binary or find_mongod())
        self.wait()

    def launch(self, binary: Path) -> None:
        """Run it, not waiting for an answer.

        Raises `StartError` where its folder can't be written.
        """
        try:
            Path(self.folder, DATA).mkdir(parents=True, exist_ok=True)
            log = self._open_log()
        except OSError as error:
            raise StartError(explain_not_writable(self.folder, error.strerror)) from error
        command = [
            str(binary),
            "--dbpath",
            str(self.folder / DATA),
            *self._listen(),
            *self.arguments,
        ]
        with os.fdopen(log, "wb") as output:
            self._process = _spawn(command, output.fileno(), self.outlives)

    def wait(self, seconds: float = START_SECONDS) -> Document:
        """Wait until it answers `hello`.

        Raises `StartError` when it ends instead, or takes longer.
        """
        deadline = time.monotonic() + seconds
        while (answer := hello(self.address)) is None:
            if self._process is not None and (status := self._process.poll()) is not None:
                raise StartError(explain(status, self.folder, self.address))
            if time.monotonic() > deadline:
                self.kill()
                raise StartError(
                    f"mongod did not answer within {seconds:.0f} s; {self.folder / LOG} says why."
                )
            time.sleep(POLL_SECONDS)
        return answer

    def wait_for_end(self) -> int:
        """Block until the process that was started here has ended; its exit status."""
        process = self._process
        return process.wait() if process is not None else 0

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End it in order (SIGTERM); after so many seconds, at once (SIGKILL).

        Does nothing where none runs.
        """
        self.signal(signal.SIGTERM)
        if not self._wait_for_end(seconds):
            self.kill()

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self.signal(signal.SIGKILL)
        self._wait_for_end(STOP_SECONDS)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; does nothing where none runs.

        What this process started is never taken for another's.
        """
        if self._process is not None:
            self._process.send_signal(number)
        elif pid := self.pid:
            os.kill(pid, number)

    def _wait_for_end(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.alive if self._process is None else self._process.poll() is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        self._process = None
        return True

    def _listen(self) -> list[str]:
        if self.address.startswith("/"):
            return ["--bind_ip", self.address, "--unixSocketPrefix", str(Path(self.address).parent)]
        host, _, port = self.address.rpartition(":")
        return ["--bind_ip", host, "--port", port, "--nounixsocket"]

    def _open_log(self) -> int:
        log = self.folder / LOG
        if log.exists():
            log.replace(log.with_name(LOG + ".1"))
        return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


def _spawn(command: list[str], output: int, outlives: bool) -> subprocess.Popen[bytes]:
    """Start it in a session of its own, so that Ctrl-C in a terminal reaches only us."""
    try:
        if outlives or not sys.platform.startswith("linux"):
            return _run(command, output)
        return _spawn_bound(command, output)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise StartError(
            f"{command[0]} can't be run ({why}): put another mongod on PATH, {ELSE}."
        ) from error


def _run(
    command: list[str], output: int, before: Callable[[], None] | None = None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        preexec_fn=before,
    )


def _spawn_bound(command: list[str], output: int) -> subprocess.Popen[bytes]:
    """Start it so that the kernel ends it with us.

    PR_SET_PDEATHSIG fires when the thread that forked ends, not the process: hence a thread that
    stays for as long as mongod runs, whichever thread this is called from.
    """
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork: afterwards only the call is left
    parent = os.getpid()
    started: list[subprocess.Popen[bytes] | BaseException] = []
    ready = threading.Event()

    def bind() -> None:
        prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    def keep() -> None:
        try:
            process = _run(command, output, bind)
        except BaseException as error:  # noqa: BLE001  (raised again in the thread that asked)
            started.append(error)
            ready.set()
            return
        started.append(process)
        ready.set()
        process.wait()

    threading.Thread(target=keep, name="mongod", daemon=True).start()
    ready.wait()
    if isinstance(outcome := started[0], BaseException):
        raise outcome
    return outcome
