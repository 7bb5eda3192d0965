"""How long reading a user takes, 200 times a second, beside exports, imports or hostile searches.

The load is open-loop: a request is due every 5 ms whether or not the one before was answered, and
its time counts from when it was due, so a server that stands still can't hide it. Measured in turn:
nothing else, one export, four exports (each begins anew when it is done, clients write to disk),
one import of `--rows` users as CSV, as XLSX (each begins anew when it is done and what it inserted
is deleted again), `--stalled` clients that began an export and take no byte of it any more,
`--hostile` clients with regular expressions that backtrack without end, and nothing else again.
Prints p50, p99 and worst in milliseconds, their ratio to nothing else, how fast each export or
import moved (documents per second, and the slowest export in its slowest second), and how the
hostile searches were answered.
"""

import argparse
import asyncio
import itertools
import json
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from benchmarks import data as users
from benchmarks.downloads import download
from benchmarks.export import COLUMNS
from benchmarks.imports import MEDIA_TYPES, File, make_file
from benchmarks.servers import Server, ours
from benchmarks.tables import heading, number, ratio, table

KEYS = 1_000
FILLING_SECONDS = (
    10  # until the pipes and sockets of a hundred exports are full and their processes wait
)
LEAVING_SECONDS = 3  # until their processes have ended
HOSTILE = (  # on texts of any letters: nested quantifiers, alternations, look-arounds
    r"^(.+)+\d$",
    r"^(.|[a-z]|\w)*\d$",
    r"(.*){12}\d$",
    r"^((\S+\s*)+)+\d$",
    r"^(?=(.+)+\d)(?!(.+)+\d).*$",
    "(" + "|".join(f"{letter}.*.*" for letter in "abcdefghijklmnopqrstuvwxyz") + r")*\d$",
)


@dataclass
class Meanwhile:
    """What ran beside the reads: how far transfers came, the answers to hostile searches."""

    speeds: list[float] = field(default_factory=list)  # documents a second, of each transfer
    slowest: float | None = None  # the slowest of them in its slowest second
    answers: Counter[int] = field(default_factory=Counter)
    longest: float = 0.0  # seconds


class Reads:
    """Reads one user after the other, open-loop, over as many connections as are needed."""

    def __init__(self, port: int, keys: list[str]) -> None:
        self._port = port
        self._keys = itertools.cycle(keys)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def run(self, per_second: int, seconds: float) -> list[float]:
        """Milliseconds of every read, sorted."""
        begin = time.monotonic() + 0.1
        tasks = []
        for number_of in range(int(per_second * seconds)):
            due = begin + number_of / per_second
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.append(asyncio.create_task(self.read(due)))
        times = await asyncio.gather(*tasks)
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()
        return sorted(times)

    async def read(self, due: float) -> float:
        """Milliseconds of one read, since it was due."""
        reader, writer = await self.connect()
        status, _, _ = await ask(reader, writer, f"/users/{self.next_key()}")
        if status != 200:
            raise SystemExit(f"A read was answered with {status}.")
        self.keep(reader, writer)
        return (time.monotonic() - due) * 1000

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that nobody uses: an idle one, unless the server has closed it meanwhile."""
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self._port)

    def keep(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Gives a connection back."""
        self._idle.append((reader, writer))

    def next_key(self) -> str:
        """The `_id` of the user to be read next."""
        return next(self._keys)


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str
) -> tuple[int, bytes, bytes]:
    """Status, head in lower case and body of a GET (the answer has a Content-Length)."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    return int(head[9:12]), head, await reader.readexactly(length)


@asynccontextmanager
async def exporting(address: str, count: int, size: float) -> AsyncIterator[Meanwhile]:
    """Exports at the same time, each begun anew when it is done, written to disk.

    `size` is that of a document there, in bytes.
    """
    meanwhile = Meanwhile()
    with tempfile.TemporaryDirectory(dir=users.FOLDER.parent) as folder:
        paths = [Path(folder, str(at)) for at in range(count)]
        done = [_Progress(path) for path in paths]
        tasks = [asyncio.create_task(one.repeat(address)) for one in done]
        watch = asyncio.create_task(_watch(done))
        try:
            yield meanwhile
        finally:
            steps = await _ended(watch)
            for task in tasks:
                await _ended(task)
            meanwhile.speeds = [
                sum(step[at] for step in steps) / size / max(len(steps), 1) for at in range(count)
            ]
            meanwhile.slowest = min((min(step) for step in steps[1:]), default=0) / size


# In a shell of its own: the process that reads must not wait for a disk or for a new process.
REPEAT = 'at=0; while curl -sS --fail -o "$1.$at" "$2"; do at=$((at + 1)); done'


class _Progress:
    """One export that goes on and on: `total` bytes so far."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def total(self) -> int:
        """Bytes that came, in all files."""
        files = self._path.parent.glob(f"{self._path.name}.*")
        return sum(file.stat().st_size for file in files)

    async def repeat(self, address: str) -> None:
        """Downloads until it is cancelled."""
        words = ("sh", "-c", REPEAT, "sh", str(self._path), address)
        shell = await asyncio.create_subprocess_exec(*words, start_new_session=True)
        try:
            await shell.wait()
            raise SystemExit(f"An export broke: {address}")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            await shell.wait()


async def _watch(exports: list[_Progress]) -> list[list[int]]:
    """Bytes of every export in every second, until cancelled."""
    steps: list[list[int]] = []
    before = [one.total for one in exports]
    try:
        while True:
            await asyncio.sleep(1)
            now = [one.total for one in exports]
            steps.append([later - earlier for later, earlier in zip(now, before, strict=True)])
            before = now
    except asyncio.CancelledError:
        return steps


async def _ended(task: asyncio.Task[list[list[int]]] | asyncio.Task[None]) -> list[list[int]]:
    task.cancel()
    try:
        return await task or []
    except asyncio.CancelledError:
        return []


@asynccontextmanager
async def importing(server: Server, data: users.Data, file: File) -> AsyncIterator[Meanwhile]:
    """One import of this file after the other, into the users that are read."""
    meanwhile = Meanwhile()
    speeds: list[float] = []
    task = asyncio.create_task(_import_again(server, data, file, speeds))
    try:
        yield meanwhile
    finally:
        if task.done():
            task.result()
        # The one under way is neither counted nor cut off: its rows are deleted with the others.
        await _ended(task)
        meanwhile.speeds = [sum(speeds) / len(speeds)] if speeds else []


async def _import_again(server: Server, data: users.Data, file: File, speeds: list[float]) -> None:
    """Imports and deletes what was inserted, until cancelled; adds the rows a second of each."""
    with data.client() as client:
        collection = client[data.name]["users"]
        [last] = collection.find({}, {"_id": 1}).sort("_id", -1).limit(1)
        inserted = {"_id": {"$gt": last["_id"]}}
        try:
            while True:
                begin = time.perf_counter()
                await _import(server, file)
                speeds.append(file.rows / (time.perf_counter() - begin))
                await asyncio.to_thread(collection.delete_many, inserted)
        finally:
            collection.delete_many(inserted)


async def _import(server: Server, file: File) -> None:
    """Sends the file; exits where not all of its rows were inserted."""
    words = ("--silent", "--show-error", "--request", "POST", "--upload-file", str(file.path))
    header = f"Content-Type: {MEDIA_TYPES[file.kind]}"
    address = f"{server.address}/users/import"
    curl = await asyncio.create_subprocess_exec(
        "curl", *words, "--header", header, address, stdout=asyncio.subprocess.PIPE
    )
    try:
        answer, _ = await curl.communicate()
    finally:
        # Also when cancelled: the import must have ended before its rows are deleted.
        await curl.wait()
    if json.loads(answer or b"{}").get("inserted") != file.rows:
        raise SystemExit(f"An import was answered {answer.decode()[:500]}")


@asynccontextmanager
async def stalling(server: Server, address: str, clients: int) -> AsyncIterator[Meanwhile]:
    """So many clients that read the first bytes of an export and nothing more."""
    path = address.removeprefix(server.address)
    writers = []
    for _ in range(clients):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        status = (await reader.readexactly(64)).split(b" ")[1]
        if status != b"200":
            raise SystemExit(f"An export was answered with {status.decode()}.")
        writers.append(writer)
    await asyncio.sleep(FILLING_SECONDS)
    try:
        yield Meanwhile()
    finally:
        for writer in writers:
            writer.close()
        await asyncio.sleep(LEAVING_SECONDS)


@asynccontextmanager
async def attacking(server: Server, clients: int) -> AsyncIterator[Meanwhile]:
    """Clients, each with one hostile search after the other, until all have their answers."""
    meanwhile = Meanwhile()
    stop = asyncio.Event()
    patterns = itertools.cycle(HOSTILE)

    async def attack() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        while not stop.is_set():
            begin = time.perf_counter()
            address = f"/users/?keyword={quote(next(patterns), safe='')}"
            status, _, _ = await ask(reader, writer, address)
            meanwhile.answers[status] += 1
            meanwhile.longest = max(meanwhile.longest, time.perf_counter() - begin)
        writer.close()

    tasks = [asyncio.create_task(attack()) for _ in range(clients)]
    await asyncio.sleep(1)
    try:
        yield meanwhile
    finally:
        stop.set()
        await asyncio.gather(*tasks)


def main() -> None:
    """Measures what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    users.add_arguments(parser)
    parser.add_argument("--rate", type=int, default=200, help="reads a second")
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parser.add_argument("--format", default="csv", help="of the exports")
    parser.add_argument("--rows", type=int, default=100_000, help="of the files that are imported")
    parser.add_argument("--workers", type=int, default=1, help="processes that serve")
    parser.add_argument("--only", help="a part of the names of what is measured, besides nothing")
    parser.add_argument(
        "--stalled", type=int, default=100, help="clients that take no byte of their exports"
    )
    parser.add_argument("--hostile", type=int, default=8, help="clients with hostile searches")
    asked = parser.parse_args()
    with users.opened(asked.folder, asked.cache_mib) as uri:
        data = users.users(uri, asked.documents)
        how = f"at {asked.rate}/s for {asked.seconds:g} s, exports as {asked.format}"
        heading(f"Read one of {data.documents:,} users {how}")
        keys = read_keys(data)
        new = users.newcomers(uri, asked.rows, data.documents)
        files = [make_file(new, kind) for kind in ("csv", "xlsx")]
        at_once = max(4, asked.stalled)
        with ours(data, EXPORTS_AT_ONCE=at_once, WORKERS=asked.workers) as server:
            asyncio.run(_measure(server, keys, data, files, asked))


def read_keys(data: users.Data) -> list[str]:
    """The `_id`s of some users."""
    steps = [{"$sample": {"size": KEYS}}, {"$project": {"_id": 1}}]
    with data.client() as client:
        return [str(document["_id"]) for document in client[data.name]["users"].aggregate(steps)]


async def _measure(
    server: Server,
    keys: list[str],
    data: users.Data,
    files: list[File],
    asked: argparse.Namespace,
) -> None:
    columns = f"columns={COLUMNS}" if asked.format != "ndjson" else ""
    address = f"{server.address}/users/export/{asked.format}?{columns}"
    with tempfile.TemporaryDirectory(dir=users.FOLDER.parent) as folder:
        size = download(address, Path(folder, "whole")).size / data.documents

    def exports(count: int) -> AbstractAsyncContextManager[Meanwhile]:
        return exporting(address, count, size)

    csv, xlsx = files
    beside: dict[str, Callable[[], AbstractAsyncContextManager[Meanwhile]]] = {
        "nothing else": lambda: nullcontext(Meanwhile()),
        "one export": lambda: exports(1),
        "four exports": lambda: exports(4),
        "an import of CSV": lambda: importing(server, data, csv),
        "an import of XLSX": lambda: importing(server, data, xlsx),
        f"{asked.stalled} stalled exports": lambda: stalling(server, address, asked.stalled),
        f"{asked.hostile} hostile searches": lambda: attacking(server, asked.hostile),
        "nothing else, again": lambda: nullcontext(Meanwhile()),
    }
    if asked.only:
        beside = {
            name: begin for name, begin in beside.items() if asked.only in name or "nothing" in name
        }
    reads = Reads(server.port, keys)
    await reads.run(asked.rate, 2)  # to warm up
    base: list[float] = []
    rows, notes = [], []
    for name, begin in beside.items():
        async with begin() as meanwhile:
            times = await reads.run(asked.rate, asked.seconds)
        base = base or times
        rows.append(_row(name, times, base, meanwhile))
        if meanwhile.answers:
            answers = ", ".join(
                f"{count} × {status}" for status, count in sorted(meanwhile.answers.items())
            )
            notes.append(
                f"Hostile searches were answered {answers}; "
                f"the longest took {meanwhile.longest:.1f} s."
            )
    titles = (
        "beside it",
        "p50 ms",
        "p99 ms",
        "worst ms",
        "p50 ratio",
        "p99 ratio",
        "docs/s each",
        "slowest second",
    )
    table(titles, rows)
    print("\n".join(notes))


def _row(name: str, times: list[float], base: list[float], meanwhile: Meanwhile) -> list[str]:
    p50, p99 = quantile(times, 0.5), quantile(times, 0.99)
    speeds = " ".join(number(speed) for speed in meanwhile.speeds) or "–"
    ratios = ratio(p50, quantile(base, 0.5)), ratio(p99, quantile(base, 0.99))
    return [
        name,
        number(p50),
        number(p99),
        number(times[-1]),
        *ratios,
        speeds,
        number(meanwhile.slowest),
    ]


def quantile(times: list[float], share: float) -> float:
    """The time below which this share of sorted times is."""
    return times[min(int(len(times) * share), len(times) - 1)]


if __name__ == "__main__":
    main()
