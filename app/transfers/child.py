"""An export in a process of its own: forked ready-made, bytes out of a pipe, how it ended out of another.

Encoding holds the interpreter lock, so it must not be in the server's process. The pipe does the rest: a slow client
blocks the child, a client that left closes the pipe and so ends it, a server that died as well.
"""

import asyncio
import fcntl
import gc
import mmap
import os
import pickle
import select
import signal
import struct
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.reduction import DupFd
from typing import Any, NoReturn

import pymongo
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure, PyMongoError

from app.errors import DocsheetError, RequestError
from app.query.plan import Plan
from app.settings import Settings
from app.spreadsheets.chunks import Tally
from app.store.client import client_options
from app.store.errors import translate
from app.store.pages import CURSOR_PATIENCE
from app.transfers.forking import CONTEXT
from app.transfers.production import Job, produce

PIPE = 1024 * 1024  # bytes that wait in the pipe while nobody takes them
READ = 256 * 1024  # bytes of one chunk, at most
NICENESS = 10
SWITCH_SECONDS = (
    0.0005  # that reading waits for the encoding thread; after 5 ms the database would wait as well
)
LEAVING_SECONDS = 0.7  # that a child has to end what it has open at the database


@dataclass(frozen=True)
class Source:
    """Where a job reads: plain data for the child's own client."""

    uri: str
    options: dict[str, Any]
    database: str
    patterns: tuple[str, ...] = ()


def export_options(settings: Settings, plan: Plan | None = None) -> dict[str, Any]:
    """The driver's options for an export: where it reads, and how long it waits for an answer."""
    options = client_options(settings) | {"readPreference": settings.EXPORT_READ_PREFERENCE}
    if plan is not None and plan.order is None:  # the database sorts everything before it answers
        options["socketTimeoutMS"] += (CURSOR_PATIENCE - 1) * plan.time_limit
    return options


class ProcessFailed(Exception):
    """The export's process ended before its file was whole."""


@dataclass(frozen=True)
class Outcome:
    """What the file is so far: documents, rows, bytes; the digest when it is whole."""

    documents: int = 0
    rows: int = 0
    size: int = 0
    sha256: str = ""


_counts = struct.Struct(
    "<3Q"
)  # documents, rows, bytes: what a child tells while it runs, in memory that both see


class ExportProcess:
    """One export under way: `chunks` gives its bytes, `outcome` says what they are."""

    def __init__(self, job: Job, source: Source) -> None:
        self._job = job
        self._source = source
        self._process: Any = None
        self._starting: asyncio.Future[None] | None = None
        self._data = self._report = -1
        self._outcome: Outcome | None = None
        self._progress: mmap.mmap | None = None

    @property
    def outcome(self) -> Outcome:
        """What the file is so far."""
        if self._outcome is not None or self._progress is None:
            return self._outcome or Outcome()
        return Outcome(*_counts.unpack_from(self._progress))

    async def start(self) -> None:
        """Forks the child. Cancelled in the middle, it goes on for a moment, and `close` waits for it."""
        self._starting = asyncio.ensure_future(asyncio.to_thread(self._start))
        await asyncio.shield(self._starting)

    def _start(self) -> None:
        with ExitStack() as opened:
            self._data, data = os.pipe()
            opened.callback(os.close, data)
            self._report, report = os.pipe()
            opened.callback(os.close, report)
            progress = os.memfd_create("export")
            opened.callback(os.close, progress)
            os.set_blocking(self._data, False)
            with suppress(
                PermissionError
            ):  # the user's pipes reached the system's limit: the usual size serves too
                fcntl.fcntl(self._data, fcntl.F_SETPIPE_SZ, PIPE)
            os.truncate(progress, _counts.size)
            self._progress = mmap.mmap(progress, _counts.size)
            ends = map(_Inherited, (data, report, progress))
            process = CONTEXT.Process(
                target=_main, args=(self._job, self._source, *ends), daemon=True
            )
            process.start()
            self._process = process

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes as they come.

        Raises what the child failed with, as a `RequestError` where it is one, else `ProcessFailed`.
        """
        while chunk := await self._read():
            yield chunk
        await self._finish()

    async def _read(self) -> bytes:
        loop = asyncio.get_running_loop()
        while True:
            try:
                chunk = os.read(self._data, READ)
            except BlockingIOError:
                ready = loop.create_future()
                loop.add_reader(self._data, _set, ready)
                try:
                    await ready
                finally:
                    loop.remove_reader(self._data)
            else:
                await asyncio.sleep(0)  # without a real await the whole server would stand still
                return chunk

    async def _finish(self) -> None:
        report = await asyncio.to_thread(_read_all, self._report)
        if not report:
            raise ProcessFailed(await asyncio.to_thread(self._cause))
        outcome = pickle.loads(report)
        if isinstance(outcome, Outcome):
            self._outcome = outcome
            return
        raise outcome

    def _cause(self) -> str:
        self._process.join(LEAVING_SECONDS)
        status = self._process.exitcode or 0
        if status < 0:
            return f"the export's process was ended by signal {-status} ({signal.Signals(-status).name})"
        return (
            f"the export's process ended too early, with status {status}; the server's log has more"
        )

    async def close(self) -> None:
        """Ends the child, whatever it does, and releases the pipes: by that it knows that nobody reads any more."""
        if self._starting is not None:
            await asyncio.wait((self._starting,))
        for descriptor in (self._data, self._report):
            if descriptor >= 0:
                os.close(descriptor)
        self._data = self._report = -1
        if self._process is not None:
            await asyncio.to_thread(self._end)

    def _end(self) -> None:
        process, self._process = self._process, None
        process.join(LEAVING_SECONDS)
        if process.exitcode is None:
            process.kill()
        process.join()
        process.close()


class _Inherited:
    """A file descriptor that goes to the child with the request to fork it, where it is a number again."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> Any:
        return _detached, (DupFd(self._descriptor),)


def _detached(inherited: Any) -> int:
    descriptor: int = inherited.detach()
    return descriptor


def _set(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _read_all(descriptor: int) -> bytes:
    parts = []
    while part := os.read(descriptor, 65536):
        parts.append(part)
    return b"".join(parts)


# --- in the child ----------------------------------------------------------------------------------------------------


class Reading:
    """What a child has open at the database: ended with it, so that no cursor, session or query is left there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.session: ClientSession | None = None

    def end(self, *, hastily: bool = False) -> None:
        """Closes the session; `hastily` stops what still runs in it."""
        with self._lock, suppress(PyMongoError):
            session, self.session = self.session, None
            if session is None:
                return
            if hastily:
                preference = session.client.read_preference
                session.client.admin.command(
                    "killSessions", [session.session_id], read_preference=preference
                )
            else:
                session.end_session()
            session.client.close()


class SharedTally(Tally):
    """A tally that the parent sees, too."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._shared = mmap.mmap(descriptor, _counts.size)

    def add(self, chunk: bytes, documents: int = 0, rows: int | None = None) -> None:
        """Counts what came with a chunk."""
        super().add(chunk, documents, rows)
        _counts.pack_into(self._shared, 0, self.documents, self.rows, self.size)


def _main(job: Job, source: Source, output: int, result: int, progress: int) -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is for the server, which ends its exports itself
    os.nice(NICENESS)
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    sys.setswitchinterval(SWITCH_SECONDS)
    reading = Reading()
    _end_with_reader(output, reading)
    tally = SharedTally(progress)
    outcome: Outcome | DocsheetError | PyMongoError | ProcessFailed
    try:
        _write(job, source, output, tally, reading)
        outcome = Outcome(tally.documents, tally.rows, tally.size, tally.sha256)
    except BrokenPipeError:
        _leave(reading)
    except PyMongoError as error:
        outcome = translate(error, patterns=source.patterns)
    except RequestError as error:
        outcome = error
    if not isinstance(outcome, Outcome | RequestError):
        print(f"an export's process failed: {outcome!r}", file=sys.stderr, flush=True)  # noqa: T201 - the server's log
        outcome = ProcessFailed(
            f"the database refused to go on ({_named(outcome)}); the server's log has more"
        )
    _send(result, outcome)
    reading.end()
    os._exit(0)  # the client's threads have nothing left to do


def _named(error: Exception) -> str:
    """An error by its number and name, without what a client need not know."""
    if isinstance(error, OperationFailure):
        return f"error {error.code}, {(error.details or {}).get('codeName', 'without a name')}"
    return type(error).__name__


def _end_with_reader(output: int, reading: Reading) -> None:
    """Ends this process as soon as the reader of the pipe is gone, also while it waits for the database."""

    def watch() -> None:
        poll = select.poll()
        poll.register(output, select.POLLERR)
        poll.poll()
        _leave(reading)

    threading.Thread(target=watch, daemon=True).start()


def _leave(reading: Reading) -> NoReturn:
    """Ends this process, of whose file nobody wants the rest."""
    last = threading.Timer(LEAVING_SECONDS, os._exit, (0,))
    last.daemon = True
    last.start()
    reading.end(hastily=True)
    os._exit(0)


def _write(job: Job, source: Source, output: int, tally: Tally, reading: Reading) -> None:
    client: pymongo.MongoClient[Any] = pymongo.MongoClient(source.uri, **source.options)
    collection = client[source.database][job.collection]
    reading.session = session = client.start_session(snapshot=job.snapshot)
    for chunk in produce(job, collection, session, tally):
        _write_all(output, chunk)
    os.close(output)


def _write_all(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


def _send(descriptor: int, outcome: Any) -> None:
    with suppress(BrokenPipeError):
        _write_all(descriptor, pickle.dumps(outcome))
