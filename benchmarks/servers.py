"""The servers that are compared, ours and each peer's, on free ports and the same database.

Ours runs from `.venv`, as `docsheet serve` starts it; the peers (`benchmarks/peers/`) run from
`.bench/venv`, with the same versions of what both use. The peers under uvicorn have the settings
that ours has: uvloop, httptools, no `Server` header, a line of access log for each request, into a
file in `.bench/logs`; with `quiet` nobody writes such lines.
"""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from benchmarks.data import USERS, Data

ROOT = Path(__file__).parents[1]
LOGS = ROOT / ".bench" / "logs"
PEERS_PYTHON = ROOT / ".bench" / "venv" / "bin" / "python"
START_SECONDS = 30.0
STOP_SECONDS = 30.0
QUIET_OURS = (  # ours has no setting for it
    "import logging; logging.getLogger('docsheet.access').setLevel('WARNING'); "
    "from app.__main__ import main; main()"
)


class Server:
    """A server while it runs; its `address` ends without a slash."""

    def __init__(self, name: str, command: list[str], port: int, **environment: object) -> None:
        self._name = name
        self.address = f"http://127.0.0.1:{port}"
        self.port = port
        self._command = command
        self._environment = {
            **os.environ,
            **{name: str(value) for name, value in environment.items()},
        }
        self._process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The number of the process that was started; others may be its children."""
        return self._process.pid

    def __enter__(self) -> Self:
        LOGS.mkdir(parents=True, exist_ok=True)
        with (LOGS / f"{self._name}.log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _wait(self) -> None:
        """Until it answers anything at all."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
            try:
                connection.request("GET", "/users/000000000000000000000000")
                connection.getresponse().read()
            except OSError:
                time.sleep(0.05)
            else:
                return
            finally:
                connection.close()
        raise SystemExit(
            f"A server did not start; see {LOGS / self._name}.log, from: {' '.join(self._command)}"
        )

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(
                self._process.pid, signal.SIGKILL
            )  # the session that it began, and nothing else
            self._process.wait()


class Starter(Protocol):
    """Makes a server of some data; `quiet`: without a line of log for each request."""

    def __call__(self, data: Data, *, quiet: bool = False) -> Server: ...


@dataclass(frozen=True)
class Candidate:
    """A server to be compared, and what it is called in the tables."""

    name: str
    start: Starter


def ours(
    data: Data, models: str = USERS, quiet: bool = False, module: str = "app", **settings: object
) -> Server:
    """Docsheet with its default settings and these; `module` is what runs it."""
    port = free_port()
    command = (
        [sys.executable, "-c", QUIET_OURS, "serve"]
        if quiet
        else [sys.executable, "-m", module, "serve"]
    )
    return Server(
        "ours",
        command,
        port,
        PORT=port,
        MONGO_URI=data.uri,
        DB_NAME=data.name,
        MODELS=models,
        **settings,
    )


def under_uvicorn(name: str) -> Starter:
    """What starts a peer's ASGI application: `app` of `benchmarks.peers.NAME`."""

    def start(data: Data, *, quiet: bool = False) -> Server:
        port = free_port()
        command = [
            *(
                str(peers_python()),
                "-m",
                "uvicorn",
                f"benchmarks.peers.{name}:app",
                "--port",
                str(port),
            ),
            *("--loop", "uvloop", "--http", "httptools", "--no-server-header", "--backlog", "2048"),
            *(("--no-access-log", "--log-level", "warning") if quiet else ()),
        ]
        return Server(name, command, port, BENCH_URI=data.uri, BENCH_DB=data.name)

    return start


def under_gunicorn(name: str, threads: int) -> Starter:
    """The command of a peer's WSGI application: gunicorn's threaded worker, one process."""

    def start(data: Data, *, quiet: bool = False) -> Server:
        port = free_port()
        command = [
            *(str(peers_python()), "-m", "gunicorn", f"benchmarks.peers.{name}:app"),
            *(
                "--bind",
                f"127.0.0.1:{port}",
                "--workers",
                "1",
                "--threads",
                str(threads),
                "--keep-alive",
                "60",
            ),
            *(("--log-level", "warning") if quiet else ()),
        ]
        return Server(name, command, port, BENCH_URI=data.uri, BENCH_DB=data.name)

    return start


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def peers_python() -> Path:
    """The Python of the peers' packages; exits where they are missing."""
    if not PEERS_PYTHON.exists():
        raise SystemExit("The peers' packages are missing: scripts/bench installs them.")
    return PEERS_PYTHON


OURS = Candidate("Docsheet", ours)
FLOOR = Candidate("floor (Starlette, Motor, orjson)", under_uvicorn("floor"))
TEXTBOOK = Candidate("textbook (FastAPI, Beanie)", under_uvicorn("textbook"))
EVE = Candidate("Eve (gunicorn, 8 threads)", under_gunicorn("eve_users", threads=8))
