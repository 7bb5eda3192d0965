"""Where a slow read waits: in the server, for mongod, or for a processor, alone and beside exports.

Reads as `scripts/bench latency` does, from a server of ours that marks what each read passes
(`benchmarks/marks.py`). Of the reads that were slower than 95 % of all, prints the mean
milliseconds in each part, which add up to the whole, from when a read was due: alone, beside one
export, beside four. What is said to wait for a processor was ready to run, and another thread had
it. The reader itself is one process beside the others.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from benchmarks import data as users
from benchmarks.downloads import download
from benchmarks.export import COLUMNS
from benchmarks.latency import Reads, ask, exporting, quantile, read_keys
from benchmarks.marks import HEADER, Spent
from benchmarks.servers import Server, ours
from benchmarks.tables import heading, number, table

BESIDE = (0, 1, 4)  # exports
SLOW = 0.95
PARTS = (
    "the reader is late to send it",
    "the event loop waits for a processor",
    "the event loop does something else",
    "the event loop, until it asks for a thread",
    "a thread of the pool waits for a processor",
    "a thread of the pool begins",
    "mongod's thread waits for a processor",
    "mongod's thread works",
    "the pool's thread waits for a processor",
    "the pool's thread works",
    "the rest of the call: locks, waking up",
    "the event loop waits for a processor, to go on",
    "the event loop does something else, then goes on",
    "the event loop, until it answers",
    "the reader takes the answer",
)
Read = tuple[float, list[float]]  # the milliseconds of a read, and of each part


class MarkedReads(Reads):
    """Reads from a server with marks; `reads` has what came of each."""

    def __init__(self, server: Server, keys: list[str]) -> None:
        super().__init__(server.port, keys)
        self.reads: list[Read] = []
        self._loop = Spent(Path("/proc", str(server.pid), "task", str(server.pid)))

    async def read(self, due: float) -> float:
        """One read; `due` and the marks are of the same clock."""
        reader, writer = await self.connect()
        sent, waited = time.monotonic_ns(), self._loop.read()[1]
        status, head, _ = await ask(reader, writer, f"/users/{self.next_key()}")
        now = time.monotonic_ns()
        if status != 200:
            raise SystemExit(f"A read was answered with {status}.")
        self.keep(reader, writer)
        parts = _list_parts(due, sent, waited, now, _read_marks(head))
        self.reads.append((sum(parts), parts))
        return sum(parts)


def _read_marks(head: bytes) -> dict[str, int]:
    text = head.partition(HEADER + b": ")[2].partition(b"\r\n")[0]
    marks: dict[str, int] = json.loads(text)
    return marks


def _list_parts(due: float, sent: int, waited: int, now: int, marks: dict[str, int]) -> list[float]:
    """The milliseconds of each of `PARTS`."""
    to_loop = marks["asked"] - sent
    loop_waits = min(to_loop, marks["loop_waited"] - waited)
    to_thread = marks["begun"] - marks["called"]
    begin_waits = min(to_thread, marks["begin_waits"])
    spent = [marks[name] for name in ("mongod_waits", "mongod_runs", "thread_waits", "thread_runs")]
    call = marks["ended"] - marks["begun"]
    back = marks["taken"] - marks["ended"]
    back_waits = min(back, marks["loop_waited_after_end"] - marks["loop_waited_before_end"])
    nanoseconds = [
        sent - int(due * 1e9),
        loop_waits,
        to_loop - loop_waits,
        marks["called"] - marks["asked"],
        begin_waits,
        to_thread - begin_waits,
        *spent,
        call - sum(spent),
        back_waits,
        back - back_waits,
        marks["answered"] - marks["taken"],
        now - marks["answered"],
    ]
    return [one / 1e6 for one in nanoseconds]


def main() -> None:
    """Measures what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    users.add_arguments(parser)
    parser.add_argument("--rate", type=int, default=200, help="reads a second")
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    asked = parser.parse_args()
    with users.opened(asked.folder, asked.cache_mib) as uri:
        data = users.users(uri, asked.documents)
        how = f"at {asked.rate}/s for {asked.seconds:g} s, CSV exports"
        heading(f"Where slow reads of {data.documents:,} users wait, {how}")
        keys = read_keys(data)
        with ours(data, module="benchmarks.marks") as server:
            asyncio.run(_measure(server, keys, data, asked))


async def _measure(
    server: Server, keys: list[str], data: users.Data, asked: argparse.Namespace
) -> None:
    address = f"{server.address}/users/export/csv?columns={COLUMNS}"
    with tempfile.TemporaryDirectory(dir=users.FOLDER.parent) as folder:
        size = download(address, Path(folder, "whole")).size / data.documents
    await MarkedReads(server, keys).run(asked.rate, 2)  # to warm up
    measured = []
    for exports in BESIDE:
        reads = MarkedReads(server, keys)
        async with exporting(address, exports, size) if exports else nullcontext():
            await reads.run(asked.rate, asked.seconds)
        measured.append(reads.reads)
    table(("ms, reads slower than 95 %", "alone", "one export", "four"), _rows(measured))


def _rows(measured: list[list[Read]]) -> list[list[str]]:
    slow = [_choose_slow(reads) for reads in measured]
    rows: list[list[str]] = []
    for at, name in enumerate(PARTS):
        means = [statistics.fmean(parts[at] for _, parts in reads) for reads in slow]
        rows.append([name, *map(number, means)])
    rows.append(["the whole", *(_mean(reads) for reads in slow)])
    rows.append(["the whole, all reads", *(_mean(reads) for reads in measured)])
    rows.append(["p99", *(number(_quantile(reads, 0.99)) for reads in measured)])
    return rows


def _choose_slow(reads: list[Read]) -> list[Read]:
    limit = _quantile(reads, SLOW)
    return [one for one in reads if one[0] > limit]


def _mean(reads: list[Read]) -> str:
    return number(statistics.fmean(whole for whole, _ in reads))


def _quantile(reads: list[Read], share: float) -> float:
    return quantile(sorted(whole for whole, _ in reads), share)


if __name__ == "__main__":
    main()
