"""Work in a process of its own: forked ready-made, bytes by one pipe, the outcome by another.

Encoding holds the interpreter lock, so it must not be in the server's process. The pipe does the
rest: a slow client blocks the child; a client that left closes the pipe and so ends it, and so does
a server that died.
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
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from app.errors import RequestError, Unavailable
from app.transfers.forking import CONTEXT
from app.transfers.inherited import Inherited
from app.transfers.traffic import Traffic, Turns

Outcome = TypeVar("Outcome", covariant=True)
PIPE = 1024 * 1024  # bytes that wait in the pipe while nobody takes them
READ = 256 * 1024  # bytes of one chunk, at most
NICENESS = 10
# That reading waits for the encoding thread; after 5 ms the database would wait as well.
SWITCH_SECONDS = 0.0005
LEAVING_SECONDS = 0.7  # that a child has to end what it has open at the database
ENDING_SECONDS = 5.0  # that one which has failed has to be gone, so that it is known how


class ChildFailed(Exception):
    """The child ended before its work was done."""


class Work(Protocol[Outcome]):
    """What a child does: picklable, so plain data that says what to do.

    `name` is for messages: `export`.
    """

    @property
    def name(self) -> str: ...

    def run(self, output: "Output") -> Outcome:
        """Does it, in the child, and returns what came of it.

        A `RequestError` or a `ChildFailed` that it raises is raised in the parent.
        """

    def so_far(self, one: int, two: int, three: int, /) -> Outcome:
        """What has come of it, in the parent, by the three numbers that the child told last."""


_numbers = struct.Struct("<3Q")  # what a child tells while it runs, in memory that both see


class Child(Generic[Outcome]):
    """Work under way in a process of its own: its bytes are `chunks`, its end is `outcome`."""

    def __init__(self, work: Work[Outcome], traffic: Traffic) -> None:
        """`traffic` are the requests that go first."""
        self._work = work
        self._traffic = traffic
        self._process: Any = None
        self._starting: asyncio.Future[None] | None = None
        self._data = self._report = -1
        self._outcome: Outcome | None = None
        self._progress: mmap.mmap | None = None

    @property
    def outcome(self) -> Outcome:
        """What has come of it so far; the whole, once the last chunk is there."""
        if self._outcome is not None:
            return self._outcome
        if self._progress is None:
            return self._work.so_far(0, 0, 0)
        return self._work.so_far(*_numbers.unpack_from(self._progress))

    async def start(self) -> None:
        """Forks the child.

        Cancelled in the middle, it goes on for a moment, and `close` waits for it. Raises
        `Unavailable` where the system has no more processes or open files.
        """
        self._starting = asyncio.ensure_future(asyncio.to_thread(self._start))
        try:
            await asyncio.shield(self._starting)
        except (OSError, EOFError) as error:  # EOFError: the fork server has ended
            why = (error.strerror if isinstance(error, OSError) else None) or "it ended at once"
            raise Unavailable(f"The {self._work.name} can't be started here ({why}).") from error

    def _start(self) -> None:
        with ExitStack() as opened:
            self._data, data = os.pipe()
            opened.callback(os.close, data)
            self._report, report = os.pipe()
            opened.callback(os.close, report)
            progress = os.memfd_create(self._work.name)
            opened.callback(os.close, progress)
            self._widen()
            os.truncate(progress, _numbers.size)
            self._progress = mmap.mmap(progress, _numbers.size)
            ends = map(Inherited, (data, report, progress))
            words = (self._work, self._traffic.inherited(), *ends)
            process = CONTEXT.Process(target=_main, args=words, daemon=True)
            process.start()
            self._process = process

    def _widen(self) -> None:
        os.set_blocking(self._data, False)
        # Where the user's pipes reached the system's limit, the usual size serves too.
        with suppress(PermissionError):
            fcntl.fcntl(self._data, fcntl.F_SETPIPE_SZ, PIPE)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes as they come.

        Raises what the work raised, as a `RequestError` where it is one, else `ChildFailed`.
        """
        while chunk := await self._read():
            yield chunk
        await self._finish()

    async def _read(self) -> bytes:
        while True:
            try:
                chunk = os.read(self._data, READ)
            except BlockingIOError:
                await self._until_readable()
            else:
                await asyncio.sleep(0)  # without a real await the whole server would stand still
                return chunk

    async def _until_readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(self._data, _set, ready)
        try:
            await ready
        finally:
            loop.remove_reader(self._data)

    async def _finish(self) -> None:
        report = await asyncio.to_thread(_read_all, self._report)
        if not report:
            raise ChildFailed(await asyncio.to_thread(self._cause))
        outcome = pickle.loads(report)
        if isinstance(outcome, Exception):
            raise outcome
        self._outcome = outcome

    def _cause(self) -> str:
        self._process.join(ENDING_SECONDS)
        status = self._process.exitcode or 0
        process = f"the {self._work.name}'s process"
        if status < 0:
            name = signal.Signals(-status).name
            return f"{process} was ended by signal {-status} ({name})"
        return f"{process} ended too early, with status {status}; the server's log has more"

    async def close(self) -> None:
        """Ends the child, whatever it does, and releases the pipes, which tells it to stop."""
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


def _set(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _read_all(descriptor: int) -> bytes:
    parts = []
    while part := os.read(descriptor, 65536):
        parts.append(part)
    return b"".join(parts)


# --- in the child ---------------------------------------------------------------------------------


class Output:
    """What the work hands to its parent: bytes and numbers."""

    def __init__(self, descriptor: int, progress: int, traffic: int) -> None:
        self.turns = Turns(traffic)
        self._descriptor = descriptor
        self._shared = mmap.mmap(progress, _numbers.size)
        self.end: Callable[[bool], None] = _nothing_open
        self._unwatch: Callable[[], None] | None = None

    def on_end(self, end: Callable[[bool], None]) -> None:
        """Says how to end what the work has open; called with True where it has to be in haste."""
        self.end = end

    def tell(self, one: int, two: int, three: int) -> None:
        """Tells three numbers: how far the work is."""
        _numbers.pack_into(self._shared, 0, one, two, three)

    def write(self, chunk: bytes) -> None:
        """Hands on bytes; waits while the parent takes none."""
        _write_all(self._descriptor, chunk)

    def watch(self, leave: Callable[[], None]) -> None:
        """Calls `leave` in a thread of its own once the reader is gone, until `close`."""
        closing = os.eventfd(0)
        poll = select.poll()
        poll.register(self._descriptor, select.POLLERR)
        poll.register(closing, select.POLLIN)

        def wait() -> None:
            if dict(poll.poll()).get(self._descriptor, 0) & select.POLLERR:
                leave()

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()

        def unwatch() -> None:
            os.eventfd_write(closing, 1)
            thread.join()

        self._unwatch = unwatch

    def close(self) -> None:
        """Says that there are no more bytes.

        A pipe that another thread polls stays open when it is closed (poll(2) holds it), and its
        reader would not see the end before that of the process.
        """
        if self._unwatch is not None:
            self._unwatch()
        os.close(self._descriptor)


def _nothing_open(hastily: bool) -> None:
    """What there is to end before the work has opened anything."""


def _main(work: Work[Any], traffic: int, descriptor: int, report: int, progress: int) -> None:
    _adjust_process()
    output = Output(descriptor, progress, traffic)
    output.watch(partial(_leave, output))  # also while it waits for the database
    outcome: Any
    try:
        outcome = work.run(output)
    except BrokenPipeError:
        _leave(output)
    except (RequestError, ChildFailed) as error:
        outcome = error
    output.close()  # the reader takes the outcome after the last byte, and a pipe is soon full
    _send(report, outcome)
    output.end(False)
    os._exit(0)  # the client's threads have nothing left to do


def _adjust_process() -> None:
    # Ctrl-C is for the server, which ends its children itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    sys.setswitchinterval(SWITCH_SECONDS)


def _leave(output: Output) -> NoReturn:
    """Ends this process: nobody wants the rest of its work."""
    last = threading.Timer(LEAVING_SECONDS, os._exit, (0,))
    last.daemon = True
    last.start()
    output.end(True)
    os._exit(0)


def _write_all(descriptor: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


def _send(descriptor: int, outcome: Any) -> None:
    with suppress(BrokenPipeError):
        _write_all(descriptor, pickle.dumps(outcome))
