"""Compares reads, writes and lists of ten: us, the floor, the textbook and python-eve.

All run on the same users and mongod, one server at a time, each asked by wrk over 16 connections;
the rounds are interleaved and the best of each counts. Ours and those under uvicorn write a line of
access log for each request, as they do unless told otherwise (`--quiet`: nobody does). The floor is
Starlette, Motor and orjson without any validation. Ours answers as it always does (ETag, `Link`, a
count); rows with `count=none` leave the count out, as all peers do. Creating stores new users,
which are deleted again; patching changes the age of a thousand users, which are put back. Prints
requests per second and ratios, with `--latency` also p50 and p99. `scripts/bench callers` has the
same requests of ours, by who sends them.
"""

import argparse
import json
import random
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

from pymongo import ReplaceOne

from benchmarks import data as users
from benchmarks.servers import EVE, FLOOR, OURS, TEXTBOOK, Candidate
from benchmarks.tables import heading, number, ratio, table

CONNECTIONS = 16
KEYS = 1_000  # users that are read and patched
WARM_UP_SECONDS = 1
SCRIPT = Path(__file__).with_name("requests.lua")
MAILBOX = "bench-crud"  # how the e-mail addresses of created users begin
KEYWORDS = ("smith", "王", "anna", "浩然")

Lines = list[tuple[str, str, Any]]  # method, path, body


@dataclass(frozen=True)
class Case:
    """A kind of request: `lines` makes one candidate's from the keys and the round."""

    name: str
    lines: Callable[[Candidate, list[str], int], Lines]
    candidates: tuple[Candidate, ...] = (OURS, FLOOR, TEXTBOOK, EVE)


@dataclass(frozen=True)
class Rate:
    """What wrk measured; latencies in milliseconds."""

    per_second: float
    p50: float
    p99: float


def read_one(_: Candidate, keys: list[str], __: int) -> Lines:
    """One user by `_id`."""
    return [("GET", f"/users/{key}", None) for key in keys]


def list_ten(candidate: Candidate, _: list[str], __: int) -> Lines:
    """The first ten users."""
    return [("GET", "/users?max_results=10" if candidate is EVE else "/users/?limit=10", None)]


def search(candidate: Candidate, _: list[str], __: int) -> Lines:
    """The first ten users with a name that has the keyword, which is a frequent one."""
    if candidate is EVE:
        conditions = [json.dumps({"name": {"$regex": word, "$options": "i"}}) for word in KEYWORDS]
        return [
            ("GET", f"/users?max_results=10&where={quote(condition)}", None)
            for condition in conditions
        ]
    return [("GET", f"/users/?limit=10&keyword={quote(word)}", None) for word in KEYWORDS]


def uncounted(
    lines: Callable[[Candidate, list[str], int], Lines],
) -> Callable[[Candidate, list[str], int], Lines]:
    """The same requests of ours without the count."""

    def without(candidate: Candidate, keys: list[str], turn: int) -> Lines:
        asked = lines(candidate, keys, turn)
        return [
            (method, f"{path}&count=none" if candidate is OURS else path, body)
            for method, path, body in asked
        ]

    return without


def create(candidate: Candidate, _: list[str], turn: int) -> Lines:
    """A new user with two addresses."""
    path = "/users" if candidate is EVE else "/users/"
    who = candidate.name.split()[0].lower()
    bodies = users.make_users(0, KEYS)
    for at, body in enumerate(bodies):
        body["email"] = f"{MAILBOX}.{who}.{turn}.{at}.#@example.com"
    return [("POST", path, body) for body in bodies]


def patch(_: Candidate, keys: list[str], turn: int) -> Lines:
    """Another age."""
    rng = random.Random(turn)
    return [("PATCH", f"/users/{key}", {"age": rng.randint(18, 90)}) for key in keys]


CASES = (
    Case("read one", read_one),
    Case("list 10", list_ten),
    Case("list 10, count=none", uncounted(list_ten)),
    Case("keyword with hits", search),
    Case("keyword with hits, count=none", uncounted(search)),
    Case("create", create),
    Case("patch", patch),
)


def main() -> None:
    """Measures what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument(
        "--quiet", action="store_true", help="no server writes a line of log for each request"
    )
    parser.add_argument("--latency", action="store_true", help="print p50 and p99 too")
    asked = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: install the package wrk.")
    cases = [case for case in CASES if asked.only in case.name]
    with users.opened(asked.folder, asked.cache_mib) as uri:
        data = users.users(uri, asked.documents)
        times = f"best of {asked.rounds} × {asked.seconds} s"
        heading(f"CRUD, {data.documents:,} users, {CONNECTIONS} connections, {times}")
        with kept(data) as keys:
            measured = measure(data, cases, keys, asked)
    _print(cases, measured)
    if asked.latency:
        _print_latency(cases, measured)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to measure, on which users, and how long."""
    users.add_arguments(parser)
    parser.add_argument("--seconds", type=int, default=8, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", default="", help="cases whose name has this word")


@contextmanager
def kept(data: users.Data) -> Iterator[list[str]]:
    """The keys to read and to patch; afterwards the data are what they were."""
    with data.client() as client:
        collection = client[data.name]["users"]
        before = list(collection.aggregate([{"$sample": {"size": KEYS}}]))
        try:
            yield [str(document["_id"]) for document in before]
        finally:
            collection.bulk_write(
                [ReplaceOne({"_id": document["_id"]}, document) for document in before]
            )
            collection.delete_many({"email": {"$regex": f"^{MAILBOX}\\."}})


def measure(
    data: users.Data, cases: list[Case], keys: list[str], asked: argparse.Namespace
) -> dict[tuple[str, str], Rate]:
    """The best rate of each case and candidate, by their names."""
    rates: dict[tuple[str, str], list[Rate]] = defaultdict(list)
    for turn in range(asked.rounds):
        for candidate in (OURS, FLOOR, TEXTBOOK, EVE):
            with candidate.start(data, quiet=asked.quiet) as server:
                load(server.address, read_one(candidate, keys, turn), WARM_UP_SECONDS)
                for case in cases:
                    if candidate in case.candidates:
                        lines = case.lines(candidate, keys, turn)
                        rates[case.name, candidate.name].append(
                            load(server.address, lines, asked.seconds)
                        )
    return {names: max(found, key=lambda rate: rate.per_second) for names, found in rates.items()}


def load(
    address: str, lines: Lines, seconds: int, headers: Mapping[str, str] | None = None
) -> Rate:
    """What wrk measures with these requests; exits when one is refused."""
    headers = headers or {}
    with tempfile.NamedTemporaryFile("w", suffix=".requests") as file:
        for method, path, body in lines:
            text = "" if body is None else json.dumps(body, ensure_ascii=False)
            file.write(f"{method}\t{path}\t{text}\n")
        file.flush()
        rate = _wrk(address, file.name, seconds, headers)
    if lines[0][0] == "GET":  # behind what wrk left unanswered when it ended
        with urlopen(Request(address + lines[0][1], headers=dict(headers))) as answer:
            answer.read()
    return rate


def _wrk(address: str, file: str, seconds: int, headers: Mapping[str, str]) -> Rate:
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--timeout",
        "60s",
        *(f"-H{name}: {value}" for name, value in headers.items()),
        "-s",
        str(SCRIPT),
        address,
    ]
    output = subprocess.run(
        [*command, "--", file], check=True, capture_output=True, text=True
    ).stdout
    found = json.loads(output.splitlines()[-1])
    if found["refused"] or found["broken"]:
        raise SystemExit(f"Not every request succeeded at {address} with {file}: {found}")
    return Rate(found["requests"] / found["seconds"], found["p50"], found["p99"])


def _print(cases: list[Case], measured: dict[tuple[str, str], Rate]) -> None:
    def rate(case: Case, candidate: Candidate) -> float | None:
        found = measured.get((case.name, candidate.name))
        return found and found.per_second

    titles = ("requests/s", "us", "floor", "textbook", "Eve", "us/floor", "us/textbook", "us/Eve")
    rows = []
    for case in cases:
        rates = [rate(case, candidate) for candidate in (OURS, FLOOR, TEXTBOOK, EVE)]
        rows.append(
            [case.name, *map(number, rates), *(ratio(rates[0], other) for other in rates[1:])]
        )
    table(titles, rows)


def _print_latency(cases: list[Case], measured: dict[tuple[str, str], Rate]) -> None:
    candidates = (OURS, FLOOR, TEXTBOOK, EVE)
    rows = []
    for case in cases:
        rates = [measured.get((case.name, candidate.name)) for candidate in candidates]
        rows.append(
            [case.name, *(f"{rate.p50:.1f} / {rate.p99:.1f}" if rate else "–" for rate in rates)]
        )
    table(("p50 / p99 in ms", "us", "floor", "textbook", "Eve"), rows)


if __name__ == "__main__":
    main()
