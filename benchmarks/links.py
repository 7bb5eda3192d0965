"""Compares lists with linked documents in place, and exports through links with those without.

Members link to four of 200 groups and to one of as many peers as there are members, in no order.
Lists: ours with `expand=groups,peer` against FastAPI with Beanie's `fetch_links=True`, over HTTP,
one request after the other; the commands that each sends the database for a list are counted by
its profiler. Exports (CSV, NDJSON): columns of the members alone, then through the links to the few
groups, to the many peers, to both. Prints documents per second, and how many times as long an
export through links takes as the one without; best of `--rounds`, interleaved.
"""

import argparse
import json
import random
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import bson
from pymongo import WriteConcern

from app.resources.registry import discover
from app.store.indexes import Indexes, make_indexes
from benchmarks import data as users
from benchmarks.data import Data, Document
from benchmarks.downloads import download, rows
from benchmarks.servers import Candidate, Server, ours, under_uvicorn
from benchmarks.tables import heading, number, ratio, table

GROUPS = 200
MODELS = "benchmarks.linked"
BEANIE = Candidate("FastAPI, Beanie fetch_links=True", under_uvicorn("linked"))
LIMITS = (10, 1_000)
SECONDS = 3.0  # that a list is asked for again and again
SHAPES = (  # name, columns; the first is without links
    ("without", "number,name"),
    ("links as ids", "number,name,groups,peer"),
    ("through 4 links each, to 200 others", "number,name,groups.name"),
    ("through a link, to as many others", "number,name,peer.name"),
    ("through both", "number,name,groups.name,peer.name"),
)


def main() -> None:
    """Measures what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    users.add_arguments(parser)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no-lists", action="store_true", help="exports alone, without the peer")
    asked = parser.parse_args()
    with users.opened(asked.folder, asked.cache_mib) as uri:
        data = linked(uri, asked.documents)
        heading(f"{data.documents:,} members, {GROUPS} groups, {data.documents:,} peers")
        if not asked.no_lists:
            _measure_lists(data)
        with ours(data, models=MODELS) as server:
            for kind in ("csv", "ndjson"):
                _measure_exports(server, data, kind, asked.rounds)


# --- data ----------------------------------------------------------------------------------------


def linked(uri: str, count: int) -> Data:
    """The database of `count` members, made where it isn't there."""
    data = Data(uri, f"linked_{count}", count)
    with data.client() as client:
        database = client[data.name]
        if database["made"].find_one({"documents": count}) is None:
            client.drop_database(data.name)
            fast = WriteConcern(w=1, j=False)
            for name, documents, make in (
                ("groups", GROUPS, make_groups),
                ("peers", count, make_peers),
                ("members", count, make_members),
            ):
                collection = database[name]
                users.fill(collection.with_options(write_concern=fast), documents, make)
                make_indexes(discover(MODELS)[name], collection, Indexes())
            database["made"].insert_one({"documents": count})
    return data


def _key(kind: int, at: int) -> bson.ObjectId:
    """As a driver makes them: seconds, a number of the process, a counter."""
    return bson.ObjectId(f"{0x65A00000 + at // 1000:08x}b7d3c4a1f{kind}{0x5A5A5A + at:06x}")


def make_groups(begin: int, end: int) -> list[Document]:
    """The groups with these numbers."""
    return [{"_id": _key(1, at), "name": f"Group {at}"} for at in range(begin, end)]


def make_peers(begin: int, end: int) -> list[Document]:
    """The peers with these numbers."""
    return [{"_id": _key(2, at), "name": f"Peer {at}"} for at in range(begin, end)]


def make_members(begin: int, end: int) -> list[Document]:
    """The members with these numbers; a bulk of them links to a bulk of peers, in no order."""
    rng = random.Random(begin)
    peers = list(range(begin, end))
    rng.shuffle(peers)
    return [
        {
            "_id": _key(3, at),
            "number": at,
            "name": f"Member {at}",
            "groups": [
                bson.DBRef("groups", _key(1, group)) for group in rng.sample(range(GROUPS), 4)
            ],
            "peer": bson.DBRef("peers", _key(2, peer)),
        }
        for at, peer in zip(range(begin, end), peers, strict=True)
    ]


# --- lists ---------------------------------------------------------------------------------------


def _measure_lists(data: Data) -> None:
    lines = []
    with ExitStack() as stack:
        mine = stack.enter_context(ours(data, models=MODELS))
        peer = stack.enter_context(BEANIE.start(data))
        for limit in LIMITS:
            address = f"/members/?limit={limit}"
            one = _list(f"{mine.address}{address}&expand=groups,peer&count=none", data)
            other = _list(f"{peer.address}{address}", data)
            for name, (speed, commands) in (("Docsheet", one), (BEANIE.name, other)):
                lines.append(
                    [f"{name}, {limit:,}", number(speed), commands, ratio(speed, other[0])]
                )
    table(("lists", "lists/s", "commands for a list", "it/Beanie"), lines)


def _list(address: str, data: Data) -> tuple[float, str]:
    """Lists per second, and the commands that one list sends, by collection."""
    found = _get(address)
    assert all(isinstance(one["peer"], dict) and len(one["groups"]) == 4 for one in found)
    commands = _commands(address, data)
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < SECONDS:
        _get(address)
        count += 1
    return count / (time.perf_counter() - begin), commands


def _get(address: str) -> Any:
    with urlopen(address) as answer:
        return json.load(answer)


def _commands(address: str, data: Data) -> str:
    with data.client() as client:
        database = client[data.name]
        database.command("profile", 2)
        _get(address)
        database.command("profile", 0)
        entries = database["system.profile"].find({"op": {"$in": ["query", "getmore", "command"]}})
        names = [
            f"{next(iter(entry['command']))} {entry['ns'].partition('.')[2]}"
            for entry in entries
            if "profile" not in entry["command"]
        ]
        database["system.profile"].drop()
    return f"{len(names)} ({', '.join(names)})"


# --- exports -------------------------------------------------------------------------------------


def _measure_exports(server: Server, data: Data, kind: str, rounds: int) -> None:
    best: dict[str, float] = {}
    size: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        for _ in range(rounds):
            for name, columns in SHAPES:
                address = f"{server.address}/members/export/{kind}?columns={columns}"
                done = download(address, path)
                assert rows(path, kind) == data.documents
                best[name] = min(best.get(name, done.seconds), done.seconds)
                size[name] = done.size
    without = best[SHAPES[0][0]]
    lines = [
        [
            name,
            number(data.documents / best[name]),
            number(size[name] / best[name] / 1e6),
            ratio(best[name], without),
            ratio(best[name], best["links as ids"]),
        ]
        for name, _ in SHAPES
    ]
    titles = (kind.upper(), "docs/s", "MB/s", "times without", "times links as ids")
    table(titles, lines)


if __name__ == "__main__":
    main()
