"""The log of a server process: standard logging, a line for each record.

It goes to standard error, or to LOG_FILE, into which all worker processes of a server write.
"""

import datetime
import fcntl
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import orjson

from app.errors import SettingError
from app.settings import Settings

MIB = 1024 * 1024
DAY = datetime.timedelta(days=1)
# What uvicorn says of each WebSocket that is refused, though that is answered as it should be.
REFUSED_WEBSOCKET = "ASGI callable returned without completing handshake."


class Lines(logging.Formatter):
    """A line for each record; the date and time, which are costly, are made once a second."""

    def __init__(self) -> None:
        super().__init__()
        self._second, self._time = 0, ""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, with its trace where there is one."""
        second = int(record.created)
        if second != self._second:
            self._second, self._time = second, self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        line = (
            f"{self._time},{int(record.msecs):03d} {record.levelname} {record.name}: "
            f"{record.getMessage()}"
        )
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class Objects(logging.Formatter):
    """A JSON object for each record, on a line.

    A message that has `fields()`, as a request has, gives its values by name.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as an object; `trace` is there where something failed."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        said: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
        }
        if hasattr(record.msg, "fields"):
            said |= record.msg.fields()
        else:
            said["message"] = record.getMessage()
        if record.exc_info:
            said["trace"] = self.formatException(record.exc_info)
        return _write_json(said)


def _write_json(said: dict[str, Any]) -> str:
    try:
        return orjson.dumps(said).decode()
    except TypeError:  # a lone surrogate, from an address
        return json.dumps(said)


class LogFile(RotatingFileHandler):
    """A file that several processes write: another one is begun at a size, and at midnight.

    The older ones are `.1` (the latest) to `.7`. Each record is one write to the file's end, so
    lines don't mix. Whichever process finds the file full renames it, under a lock; the others see
    that another file has its name, and go on in that one.
    """

    def __init__(self, path: Path, size: int, keep: int) -> None:
        super().__init__(path, maxBytes=size, backupCount=keep, encoding="utf-8", delay=True)
        self._path = path
        self._inode = 0
        self._midnight = 0.0  # with which the file's day ends, in seconds since 1970
        self._open_again()

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        """Whether the file is full, or of another day; one that was renamed is left first."""
        there = self._look()
        if there is None or there.st_ino != self._inode:
            there = self._open_again()
        if not there.st_size:
            self._midnight = _find_midnight(record.created)
            return False
        return there.st_size >= self.maxBytes or record.created >= self._midnight

    def doRollover(self) -> None:
        """Renames the files, unless another process just did."""
        with self._alone():
            there = self._look()
            if there is not None and there.st_ino == self._inode:
                super().doRollover()
            self._open_again()

    def _look(self) -> os.stat_result | None:
        try:
            return self._path.stat()
        except FileNotFoundError:
            return None

    def _open_again(self) -> os.stat_result:
        if self.stream is not None:
            self.stream.close()
        self.stream = self._open()
        there = os.fstat(self.stream.fileno())
        self._inode = there.st_ino
        self._midnight = _find_midnight(there.st_mtime if there.st_size else time.time())
        return there

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps the other processes from renaming; the lock ends with the process that has it."""
        with self._path.with_name(f"{self._path.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _find_midnight(seconds: float) -> float:
    """The end of the local day of that moment."""
    day = datetime.datetime.fromtimestamp(seconds).astimezone().date()
    following = datetime.datetime.combine(day + DAY, datetime.time())
    return following.astimezone().timestamp()


def configure_logging(settings: Settings) -> None:
    """Sends our log and the server's one way, a line each; `SettingError` for an unusable file."""
    handler = _make_handler(settings)
    handler.setFormatter(Objects() if settings.LOG_FORMAT == "json" else Lines())
    level = logging.getLevelNamesMapping()[settings.LOG_LEVEL.upper()]
    # Of libraries never less than warnings: what else they log shows documents.
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING))
    logging.getLogger("docsheet").setLevel(level)
    logging.getLogger("uvicorn.error").addFilter(is_news)
    # What no line shows needn't be found out
    # (https://docs.python.org/3/howto/logging.html#optimization).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None


def is_news(record: logging.LogRecord) -> bool:
    """Whether a record of uvicorn's says what no line of a request does."""
    return record.msg != REFUSED_WEBSOCKET


def _make_handler(settings: Settings) -> logging.Handler:
    if not settings.LOG_FILE:
        return logging.StreamHandler(sys.stderr)
    path = Path(settings.LOG_FILE).expanduser().resolve()
    try:
        return LogFile(path, int(settings.LOG_FILE_MIB * MIB), settings.LOG_FILE_KEEP)
    except OSError as error:
        raise SettingError(f"LOG_FILE: {path} can't be written ({error.strerror}).") from None
