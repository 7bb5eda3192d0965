"""Compares imports of users, 8 columns, into an empty collection with its unique index.

CSV and NDJSON: mongoimport where it is on PATH, which checks nothing. XLSX: what a careful script
does, openpyxl read-only, a pydantic model for each row, `insert_many` in bulks of 1,000
(`benchmarks/peers/imports.py`). Ours takes the file over HTTP (curl), checks every row by the model
and against the file's other rows and the stored documents, and writes after all of that. Two more
lines of ours say where its time goes: a `dry_run`, which checks and writes nothing, and an `upsert`
of a file that is stored already, which changes nothing.

The files are made once, by our own export, and kept. The rounds are interleaved, the median counts;
our server is started afresh each time (a small `dry_run` first, so that its fork server counts as
idle). Prints rows per second, ratios, and the peak of memory above idle (PSS of the server and its
children, `benchmarks/memory.py`). Every import's documents are counted.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.resources.registry import discover
from app.store.indexes import Indexes, make_indexes
from benchmarks import data as users
from benchmarks.downloads import download
from benchmarks.export import COLUMNS
from benchmarks.memory import Peak, pss
from benchmarks.servers import OURS, ROOT, Server, peers_python
from benchmarks.tables import heading, number, ratio, table

TARGET = "imports"  # the database that is filled, again and again
SETTLE_SECONDS = 1.0  # before memory counts as idle
MEDIA_TYPES = {
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
EXPORTED = {"csv": COLUMNS, "ndjson": "name,email,profile", "xlsx": COLUMNS}
ONE_ROW = b"name,email\nAda,ada@example.com\n"


@dataclass(frozen=True)
class Result:
    """One measured import; `memory` in KiB above idle."""

    rows: int
    seconds: float
    memory: int | None = None

    @property
    def per_second(self) -> float:
        """Rows a second, from the request to the answer."""
        return self.rows / self.seconds


@dataclass(frozen=True)
class File:
    """A file to import, and where its mongod is."""

    path: Path
    kind: str
    uri: str
    rows: int

    @property
    def target(self) -> users.Data:
        """The database that it is imported into."""
        return users.Data(self.uri, TARGET, self.rows)


@dataclass(frozen=True)
class Way:
    """A way to import a file of these kinds; `slow`: takes `--slow-documents`."""

    name: str
    kinds: tuple[str, ...]
    run: Callable[[File], Result]
    slow: bool = False
    extra: bool = False


def main() -> None:
    """Measures what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    users.add_arguments(parser, documents=100_000)
    parser.add_argument(
        "--slow-documents", type=int, help="rows for the slow peers (default: as many)"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="csv,ndjson,xlsx", help="formats, with commas")
    parser.add_argument("--fast", action="store_true", help="skip the slow peers")
    parser.add_argument("--ours", action="store_true", help="no peers at all")
    parser.add_argument("--plain", action="store_true", help="skip our dry_run and upsert")
    asked = parser.parse_args()
    with users.opened(asked.folder, asked.cache_mib) as uri:
        few = min(asked.slow_documents or asked.documents, asked.documents)
        for kind in asked.only.split(","):
            ways = _choose(kind, asked)
            sizes = {few if way.slow else asked.documents for way in ways}
            files = {size: make_file(users.users(uri, size), kind) for size in sizes}
            heading(f"Imports of {asked.documents:,} rows, median of {asked.rounds}")
            results: dict[Way, list[Result]] = defaultdict(list)
            for _ in range(asked.rounds):
                for way in ways:
                    results[way].append(way.run(files[few if way.slow else asked.documents]))
            _print(kind, results)


def _choose(kind: str, asked: argparse.Namespace) -> list[Way]:
    """The ways to be measured."""
    ways = [way for way in WAYS if kind in way.kinds]
    if asked.fast:
        ways = [way for way in ways if not way.slow]
    if asked.ours:
        ways = [way for way in ways if way.name.startswith(OURS.name)]
    if asked.plain:
        ways = [way for way in ways if not way.extra]
    if shutil.which("mongoimport") is None:
        ways = [way for way in ways if way.run is not _by_mongoimport]
    return ways


def make_file(data: users.Data, kind: str) -> File:
    """The file of these users, made by an export where it isn't there."""
    folder = ROOT / ".bench" / "files"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{data.name}.{kind}"
    if not path.exists():
        part = path.with_suffix(".part")
        with OURS.start(data, quiet=True) as server:
            download(f"{server.address}/users/export/{kind}?columns={EXPORTED[kind]}", part)
        part.rename(path)
    return File(path, kind, data.uri, data.documents)


def _by_ours(file: File) -> Result:
    _empty(file)
    with OURS.start(file.target, quiet=True) as server:
        result = _send(server, file, "inserted")
    _check(file, file.rows)
    return result


def _by_dry_run(file: File) -> Result:
    _empty(file)
    with OURS.start(file.target, quiet=True) as server:
        result = _send(server, file, "inserted", "dry_run=true")
    _check(file, 0)
    return result


def _by_upsert(file: File) -> Result:
    _empty(file)
    with OURS.start(file.target, quiet=True) as server:
        _post(server, file, "")
        result = _send(server, file, "unchanged", "mode=upsert")
    _check(file, file.rows)
    return result


def _send(server: Server, file: File, counted: str, query: str = "") -> Result:
    """Sends the file, of whose rows all must be counted as that."""
    _warm_up(server)
    idle = pss(server.pid)
    begin = time.perf_counter()
    with Peak(server.pid) as peak:
        report = _post(server, file, query)
        seconds = time.perf_counter() - begin
    if report.get(counted) != file.rows:
        raise SystemExit(f"Of {file.rows:,} rows not all were {counted}: {str(report)[:1000]}")
    return Result(file.rows, seconds, peak.kib - idle)


def _warm_up(server: Server) -> None:
    """A row that is checked and not written, so that connections and the fork server are up."""
    _curl(server, MEDIA_TYPES["csv"], "dry_run=true", "-", ONE_ROW)
    time.sleep(SETTLE_SECONDS)


def _post(server: Server, file: File, query: str) -> dict[str, object]:
    return _curl(server, MEDIA_TYPES[file.kind], query, str(file.path))


def _curl(
    server: Server, media_type: str, query: str, path: str, body: bytes | None = None
) -> dict[str, object]:
    if shutil.which("curl") is None:
        raise SystemExit("curl is missing: install the package curl.")
    address = f"{server.address}/users/import?{query}"
    words = ("--silent", "--show-error", "--request", "POST", "--upload-file", path)
    command = ["curl", *words, "--header", f"Content-Type: {media_type}", address]
    done = subprocess.run(command, input=body, capture_output=True)
    if done.returncode:
        raise SystemExit(f"{address} broke (curl {done.returncode}): {done.stderr.decode()}")
    report: dict[str, object] = json.loads(done.stdout)
    return report


def _by_mongoimport(file: File) -> Result:
    _empty(file)
    _make_indexes(file)
    words = ["--type=json"]
    if file.kind == "csv":
        words = ["--type=csv", "--headerline", "--useArrayIndexFields"]
    command = ["mongoimport", f"--uri={file.uri}", "-d", TARGET, "-c", "users", "--quiet"]
    begin = time.perf_counter()
    subprocess.run([*command, *words, f"--file={file.path}"], check=True)
    seconds = time.perf_counter() - begin
    _check(file, file.rows)
    return Result(file.rows, seconds)


def _by_openpyxl(file: File) -> Result:
    _empty(file)
    _make_indexes(file)
    command = [str(peers_python()), "-m", "benchmarks.peers.imports", str(file.path)]
    environment = {"BENCH_URI": file.uri, "BENCH_DB": TARGET}
    begin = time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    seconds = time.perf_counter() - begin
    _check(file, file.rows)
    return Result(file.rows, seconds)


def _empty(file: File) -> None:
    with file.target.client() as client:
        client.drop_database(TARGET)


def _make_indexes(file: File) -> None:
    """Those that our server makes when it starts."""
    with file.target.client() as client:
        make_indexes(discover(users.USERS)["users"], client[TARGET]["users"], Indexes())


def _check(file: File, expected: int) -> None:
    with file.target.client() as client:
        count = client[TARGET]["users"].count_documents({})
    if count != expected:
        raise SystemExit(f"{count:,} documents are stored after an import of {file.path.name}.")


def _print(kind: str, results: dict[Way, list[Result]]) -> None:
    speed = _median(next(found for way, found in results.items() if way.run is _by_ours))
    lines = []
    for way, found in results.items():
        memory = [result.memory / 1024 for result in found if result.memory is not None]
        lines.append(
            [
                way.name,
                f"{found[0].rows:,}",
                number(_median(found)),
                ratio(speed, _median(found)),
                number(max(memory)) if memory else "–",
            ]
        )
    table((f"import of {kind.upper()}", "rows", "rows/s", "us/it", "MiB above idle"), lines)


def _median(results: list[Result]) -> float:
    return statistics.median(result.per_second for result in results)


WAYS = (
    Way(OURS.name, tuple(MEDIA_TYPES), _by_ours),
    Way("mongoimport, nothing checked", ("csv", "ndjson"), _by_mongoimport),
    Way("openpyxl, a model a row", ("xlsx",), _by_openpyxl, slow=True),
    Way(f"{OURS.name}, dry_run", tuple(MEDIA_TYPES), _by_dry_run, extra=True),
    Way(f"{OURS.name}, upsert, unchanged", tuple(MEDIA_TYPES), _by_upsert, extra=True),
)


if __name__ == "__main__":
    main()
