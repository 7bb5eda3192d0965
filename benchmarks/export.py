"""Compares exports of 8 columns over HTTP to a client (curl) that writes to disk: us and the peers.

CSV: mongoexport where it is on PATH (it writes the file itself), and a Motor cursor of dicts in
batches of 1,000 with `csv.writer` streaming, which stands for it where it is not; and the textbook
endpoint (Beanie's `find_all().to_list()`, `csv.writer` row by row into a StringIO). NDJSON, whole
documents: mongoexport, and the same cursor with bson's json_util, which writes the same relaxed
Extended JSON, and with orjson. XLSX: openpyxl write-only, XlsxWriter and rustpy-xlsxwriter in
constant memory. The rounds are interleaved, each server is started afresh (ours makes ten rows
first, so that its fork server counts as idle), the median counts. Slow peers may take fewer
documents (`--slow-documents`), which the table says. Prints documents per second, ratios, time to
the first byte, and the peak of memory above idle (PSS of the server and its children,
`benchmarks/memory.py`). Every file's rows are counted.
"""

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from benchmarks import data as users
from benchmarks.downloads import Download, download, first_byte, rows
from benchmarks.memory import Peak, pss
from benchmarks.servers import OURS, TEXTBOOK, Candidate, Server, under_uvicorn
from benchmarks.tables import heading, number, ratio, table

COLUMNS = (
    "name,email,profile.bio,profile.age,profile.addresses.0.street,profile.addresses.0.city,"
    "profile.addresses.0.zipcode,profile.addresses.0.country"
)
EXPORTS = Candidate("exports", under_uvicorn("exports"))
SETTLE_SECONDS = 1.0  # before memory counts as idle
FIRST_BYTES = 10  # times that the first byte is waited for


@dataclass(frozen=True)
class Way:
    """A way to make a file; `slow`: takes `--slow-documents`. `server` None: mongoexport itself."""

    name: str
    kind: str
    path: str
    server: Candidate | None
    slow: bool = False


@dataclass(frozen=True)
class Result:
    """One measured export; `memory` in KiB above idle."""

    documents: int
    download: Download
    memory: int | None

    @property
    def per_second(self) -> float:
        """Documents a second, from the request to the last byte."""
        return self.documents / self.download.seconds


WAYS = (
    Way("Docsheet", "csv", f"/users/export/csv?columns={COLUMNS}", OURS),
    Way("mongoexport", "csv", "", None),
    Way("cursor of dicts, csv.writer", "csv", "/users/export/csv", EXPORTS),
    Way("textbook, to_list()", "csv", "/users/export/csv", TEXTBOOK, slow=True),
    Way("Docsheet", "ndjson", "/users/export/ndjson", OURS),
    Way("mongoexport", "ndjson", "", None),
    Way("cursor of dicts, json_util", "ndjson", "/users/export/json_util", EXPORTS, slow=True),
    Way("cursor of dicts, orjson", "ndjson", "/users/export/orjson", EXPORTS),
    Way("Docsheet", "xlsx", f"/users/export/xlsx?columns={COLUMNS}", OURS),
    Way("openpyxl write-only", "xlsx", "/users/export/xlsx/openpyxl", EXPORTS, slow=True),
    Way("XlsxWriter", "xlsx", "/users/export/xlsx/xlsxwriter", EXPORTS, slow=True),
    Way("rustpy-xlsxwriter", "xlsx", "/users/export/xlsx/rust", EXPORTS),
)


def main() -> None:
    """Measures what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    users.add_arguments(parser)
    parser.add_argument(
        "--slow-documents", type=int, help="users for the slow peers (default: as many)"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="formats, with commas: csv,ndjson,xlsx")
    parser.add_argument("--fast", action="store_true", help="leave the slow peers out")
    parser.add_argument("--ours", action="store_true", help="no peers at all")
    parser.add_argument(
        "--five", action="store_true", help="ours with five times as many documents too, once each"
    )
    asked = parser.parse_args()
    with users.opened(asked.folder, asked.cache_mib) as uri:
        data = users.users(uri, asked.documents)
        few = users.users(uri, min(asked.slow_documents or asked.documents, asked.documents))
        more = users.users(uri, 5 * asked.documents) if asked.five else None
        heading(f"Exports of {data.documents:,} users, 8 columns, median of {asked.rounds}")
        measured = measure(chosen(asked), data, few, asked.rounds)
        large = measure(ways_of_ours(asked), more, more, 1) if more else {}
        _print(measured, large)
        _print_first_bytes(data, asked)


def chosen(asked: argparse.Namespace) -> list[Way]:
    """The ways to be measured."""
    if asked.ours:
        return ways_of_ours(asked)
    has_mongoexport = shutil.which("mongoexport") is not None
    ways = [way for way in WAYS if way.kind in (asked.only or way.kind).split(",")]
    return [
        way for way in ways if (has_mongoexport or way.server) and not (asked.fast and way.slow)
    ]


def ways_of_ours(asked: argparse.Namespace) -> list[Way]:
    """Our own ways."""
    return [
        way
        for way in WAYS
        if way.server is OURS and way.kind in (asked.only or way.kind).split(",")
    ]


def measure(
    ways: list[Way], data: users.Data, few: users.Data, rounds: int
) -> dict[Way, list[Result]]:
    """Every way in turn, so many times."""
    results: dict[Way, list[Result]] = defaultdict(list)
    for _ in range(rounds):
        for way in ways:
            results[way].append(export(way, few if way.slow else data))
    return results


def export(way: Way, data: users.Data) -> Result:
    """One export to a file that is counted and thrown away."""
    with tempfile.TemporaryDirectory(dir=users.FOLDER.parent) as folder:
        path = Path(folder, f"users.{way.kind}")
        result = (
            _by_mongoexport(way, data, path)
            if way.server is None
            else _over_http(way, way.server, data, path)
        )
        found = rows(path, way.kind)
    if found != data.documents:
        raise SystemExit(
            f"{way.name} wrote {found:,} rows of {data.documents:,} users as {way.kind}."
        )
    return result


def _over_http(way: Way, candidate: Candidate, data: users.Data, path: Path) -> Result:
    with candidate.start(data, quiet=False) as server:
        _warm_up(server, candidate)
        idle = pss(server.pid)
        with Peak(server.pid) as peak:
            done = download(server.address + way.path, path)
    return Result(data.documents, done, peak.kib - idle)


def _warm_up(server: Server, candidate: Candidate) -> None:
    """A read, so that connections stand; for ours a small export, so that the fork server is up."""
    path = "/users/export/csv?limit=10" if candidate is OURS else ""
    if path:
        with urlopen(server.address + path) as answer:
            answer.read()
    time.sleep(SETTLE_SECONDS)


def _by_mongoexport(way: Way, data: users.Data, path: Path) -> Result:
    words = ["--type=csv", f"--fields={COLUMNS}"] if way.kind == "csv" else ["--type=json"]
    command = [
        "mongoexport",
        f"--uri={data.uri}",
        "-d",
        data.name,
        "-c",
        "users",
        *words,
        f"--out={path}",
        "--quiet",
    ]
    begin = time.perf_counter()
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - begin
    return Result(data.documents, Download(seconds, seconds, path.stat().st_size), None)


def _print(measured: dict[Way, list[Result]], large: dict[Way, list[Result]]) -> None:
    titles = ("export", "documents", "docs/s", "us/it", "first byte s", "MiB above idle", "MB")
    for kind in dict.fromkeys(way.kind for way in measured):
        ours = next(way for way in measured if way.kind == kind and way.server is OURS)
        speed = _median(measured[ours], lambda result: result.per_second)
        lines = [
            _line(way, results, speed) for way, results in measured.items() if way.kind == kind
        ]
        lines += [_line(way, results, speed) for way, results in large.items() if way.kind == kind]
        table((kind.upper(), *titles[1:]), lines)


def _line(way: Way, results: list[Result], speed: float) -> list[str]:
    per_second = _median(results, lambda result: result.per_second)
    memory = [result.memory / 1024 for result in results if result.memory is not None]
    return [
        way.name,
        f"{results[0].documents:,}",
        number(per_second),
        ratio(speed, per_second),
        f"{_median(results, lambda result: result.download.first):.3f}",
        number(max(memory)) if memory else "–",
        number(results[0].download.size / 1e6),
    ]


def _median(results: list[Result], value: Callable[[Result], float]) -> float:
    return statistics.median(map(value, results))


def _print_first_bytes(data: users.Data, asked: argparse.Namespace) -> None:
    """Ours: the first byte of a file of 1,000 documents and of one of all of them."""
    lines = []
    with OURS.start(data, quiet=False) as server:
        _warm_up(server, OURS)
        for way in ways_of_ours(asked):
            address = server.address + way.path
            small = f"{address}{'&' if '?' in address else '?'}limit=1000"
            times = [
                [first_byte(one) * 1000 for one in (small, address)] for _ in range(FIRST_BYTES)
            ]
            few, whole = (sorted(column) for column in zip(*times, strict=True))
            lines.append(
                [
                    way.kind,
                    *(f"{statistics.median(one):.0f} / {one[-1]:.0f}" for one in (few, whole)),
                ]
            )
    table(
        ("first byte, median / worst ms", "1,000 documents", f"{data.documents:,} documents"), lines
    )


if __name__ == "__main__":
    main()
