"""An export in a process of its own: forked ready-made, bytes out of a pipe, how it ended out of another.

Encoding holds the interpreter lock, so it must not be in the server's process. The pipe does the rest: a slow client
blocks the child, a client that left closes the pipe and so ends it, a server that died as well.
"""

import asyncio
import fcntl
import gc
import os
import pickle
import select
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.reduction import DupFd
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from app.errors import DocsheetError, RequestError
from app.spreadsheets.export import Tally
from app.store.errors import translate
from app.transfers.forking import CONTEXT
from app.transfers.production import Job, produce

PIPE = 1024 * 1024  # bytes that wait in the pipe while nobody takes them
READ = 256 * 1024  # bytes of one chunk, at most
NICENESS = 10


@dataclass(frozen=True)
class Source:
    """Where a job reads: plain data for the child's own client."""

    uri: str
    options: dict[str, Any]
    database: str
    patterns: tuple[str, ...] = ()


class ProcessFailed(Exception):
    """The export's process ended before its file was whole."""


@dataclass(frozen=True)
class Outcome:
    """What a whole file is: documents, rows, bytes, digest; zeros until it is known."""

    documents: int = 0
    rows: int = 0
    size: int = 0
    sha256: str = ""


class ExportProcess:
    """One export under way: `chunks` gives its bytes, and then `outcome` says what they are."""

    def __init__(self, job: Job, source: Source) -> None:
        self.outcome = Outcome()
        self._job = job
        self._source = source
        self._process: Any = None
        self._data = self._report = -1

    async def start(self) -> None:
        """Forks the child."""
        await asyncio.to_thread(self._start)

    def _start(self) -> None:
        self._data, data = os.pipe()
        self._report, report = os.pipe()
        os.set_blocking(self._data, False)
        with suppress(PermissionError):  # the user's pipes have reached the system's limit: the usual size serves too
            fcntl.fcntl(self._data, fcntl.F_SETPIPE_SZ, PIPE)
        try:
            self._process = CONTEXT.Process(
                target=_main, args=(self._job, self._source, DupFd(data), DupFd(report)), daemon=True
            )
            self._process.start()
        finally:
            os.close(data)
            os.close(report)

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
            raise ProcessFailed("the export's process was ended from outside")
        outcome = pickle.loads(report)
        if isinstance(outcome, Outcome):
            self.outcome = outcome
            return
        raise outcome

    async def close(self) -> None:
        """Ends the child, whatever it does, and releases the pipes."""
        for descriptor in (self._data, self._report):
            if descriptor >= 0:
                os.close(descriptor)
        self._data = self._report = -1
        if self._process is not None:
            await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self._process = None


def _set(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _read_all(descriptor: int) -> bytes:
    parts = []
    while part := os.read(descriptor, 65536):
        parts.append(part)
    return b"".join(parts)


# --- in the child ----------------------------------------------------------------------------------------------------


def _main(job: Job, source: Source, data: Any, report: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends its exports itself
    os.nice(NICENESS)
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    output, result = data.detach(), report.detach()
    _end_with_reader(output)
    tally = Tally()
    outcome: Outcome | DocsheetError | PyMongoError | ProcessFailed
    try:
        _write(job, source, output, tally)
        outcome = Outcome(tally.documents, tally.rows, tally.size, tally.sha256)
    except BrokenPipeError:
        os._exit(0)  # nobody reads any more
    except PyMongoError as error:
        outcome = translate(error, patterns=source.patterns)
    except RequestError as error:
        outcome = error
    if not isinstance(outcome, Outcome | RequestError):
        outcome = ProcessFailed(f"{type(outcome).__name__}: {outcome}")
    _send(result, outcome)
    os._exit(0)  # the client's threads have nothing left to do


def _end_with_reader(output: int) -> None:
    """Ends this process as soon as the reader of the pipe is gone, also while it waits for the database."""

    def watch() -> None:
        poll = select.poll()
        poll.register(output, select.POLLERR)
        poll.poll()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def _write(job: Job, source: Source, output: int, tally: Tally) -> None:
    client: pymongo.MongoClient[Any] = pymongo.MongoClient(source.uri, **source.options)
    collection = client[source.database][job.collection]
    with client.start_session(snapshot=job.snapshot and _has_snapshots(client)) as session:
        for chunk in produce(job, collection, session, tally):
            _write_all(output, chunk)
    os.close(output)


def _has_snapshots(client: "pymongo.MongoClient[Any]") -> bool:
    """Whether the server can show one picture: a member of a replica set or a sharded cluster, from 5.0 on."""
    client.admin.command("ping")
    hello = client.admin.command("hello")
    return "setName" in hello or hello.get("msg") == "isdbgrid"


def _write_all(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


def _send(descriptor: int, outcome: Any) -> None:
    with suppress(BrokenPipeError):
        _write_all(descriptor, pickle.dumps(outcome))
