"""A live server on a port, as `docsheet serve` starts it, for tests."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import httpx

from tests.support.nursery import Forked, nursery
from tests.support.waiting import LONGEST, wait_for

ROOT = Path(__file__).parents[2]
DOCSHEET = Path(sys.executable).with_name("docsheet")  # the command, as it is installed
START_SECONDS = 120


class LiveServer:
    """`docsheet serve` with these settings, on a free port; its log is in `log`.

    It is forked from a process that has imported it, or with `spawn` started as people start it:
    what `folder` has is found because the server starts there.
    """

    def __init__(
        self, folder: Path | None = None, *, spawn: bool = False, **settings: object
    ) -> None:
        self._spawn = spawn
        self.folder = folder or ROOT
        self.environment = {
            **os.environ,
            "PORT": "0",
            **{name: str(value) for name, value in settings.items()},
        }
        self.address = ""
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self.process: subprocess.Popen[str] | Forked

    def __enter__(self) -> Self:
        environment = {**self.environment, "PYTHONPATH": f"{self.folder}{os.pathsep}{ROOT}"}
        if self._spawn:
            self.process = subprocess.Popen(
                [DOCSHEET, "serve"],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
            )
        else:
            self.process = nursery().start(["serve"], self.folder, environment, self._log)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+:\d+", line)
        if found is None:
            self.process.wait(LONGEST)
            raise AssertionError(f"the server did not start: {line}{self.log}")
        self.address = found[0]
        httpx.get(f"{self.address}/livez", timeout=START_SECONDS).raise_for_status()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(LONGEST)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()

    @property
    def log(self) -> str:
        """What the server wrote to standard error so far."""
        self._log.flush()
        return os.pread(self._log.fileno(), 10_000_000, 0).decode()

    def logged(self, words: str) -> str:
        """The first line of the log with these words: it may come after the answer it tells of."""
        wait_for(lambda: words in self.log, otherwise=f"{words!r} was not logged")
        return next(line for line in self.log.splitlines() if words in line)

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self.address.rpartition(":")[2])
