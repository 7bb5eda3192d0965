"""Looks for cliffs: exports of other shapes, each against the plain one of 8 columns.

Shapes: the model's own columns, lists as JSON cells, `unwind`, a sort by an indexed key, by keys
without an index, a filter with few hits, gzip, 60 columns that are mostly empty (fourteen
addresses), and, on documents of 60 fields, 60 columns that are full. Prints documents read per
second (for the filter: looked at), rows written, rows per second, the ratio to the plain export of
the same format, and cells per second; best of `--rounds`.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import data as users
from benchmarks.downloads import Download, download, rows
from benchmarks.export import COLUMNS
from benchmarks.servers import Server, ours
from benchmarks.tables import heading, number, ratio, table

PARTS = ("street", "city", "zipcode", "country")
SIXTY = "name,email,profile.bio,profile.age," + ",".join(
    f"profile.addresses.{at}.{part}" for at in range(14) for part in PARTS
)
UNWOUND = "name,email,profile.bio,profile.age," + ",".join(
    f"profile.addresses.{part}" for part in PARTS
)
DOCUMENT = (
    "name,email,profile"  # what stands for the 8 columns in NDJSON, which has no numbered elements
)
TABLES = ("csv", "xlsx")
ALL = ("csv", "xlsx", "ndjson")
PATIENCE_SECONDS = 120  # the server's limit for a query


@dataclass(frozen=True)
class Shape:
    """A shape and the query that asks for it."""

    name: str
    query: str
    formats: tuple[str, ...] = ALL
    width: int = 8  # columns
    wide: bool = False
    gzip: bool = False


SHAPES = (  # the plain one first
    Shape("8 columns", f"columns={COLUMNS}"),
    Shape("the model's own 6 columns", "", TABLES, 6),
    Shape("whole documents", "", ("ndjson",)),
    Shape("3 columns, one of them lists as JSON", "columns=name,email,profile.addresses", ALL, 3),
    Shape("8 columns, unwind", f"columns={UNWOUND}&unwind=profile.addresses", TABLES),
    Shape("8 columns, sort by email, indexed", f"columns={COLUMNS}&sort=email"),
    Shape("8 columns, sort by name, no index", f"columns={COLUMNS}&sort=name"),
    Shape("8 columns, sort by -profile.age, no index", f"columns={COLUMNS}&sort=-profile.age"),
    Shape("8 columns, gzip on the way", f"columns={COLUMNS}", ("csv", "ndjson"), gzip=True),
    Shape("8 columns, consistency=none", f"columns={COLUMNS}&consistency=none"),
    Shape("8 columns, filter with few hits", f"columns={COLUMNS}&email__contains=.4321"),
    Shape("60 columns, 12 of them full at most", f"columns={SIXTY}", TABLES, 60),
    Shape("60 columns, all full, wide documents", "", ALL, 60, wide=True),
)


def main() -> None:
    """Measures what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    users.add_arguments(parser)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--formats", default=",".join(ALL), help="with commas")
    asked = parser.parse_args()
    with users.opened(asked.folder, asked.cache_mib) as uri:
        data, wide = (
            users.users(uri, asked.documents),
            users.wide(uri, max(asked.documents // 10, 1)),
        )
        heading(
            f"Shapes of exports of {data.documents:,} users and {wide.documents:,} wide documents"
        )
        settings = {"QUERY_TIME_LIMIT_SECONDS": PATIENCE_SECONDS}
        with (
            ours(data, **settings) as server,
            ours(wide, models=users.WIDE, **settings) as wide_server,
        ):
            for kind in asked.formats.split(","):
                _measure(kind, (server, data), (wide_server, wide), asked.rounds)


def _measure(
    kind: str, narrow: tuple[Server, users.Data], wide: tuple[Server, users.Data], rounds: int
) -> None:
    lines = []
    plain: float | None = None
    for shape in SHAPES:
        if kind not in shape.formats:
            continue
        server, data = wide if shape.wide else narrow
        collection = "wide" if shape.wide else "users"
        query = shape.query.replace(COLUMNS, DOCUMENT) if kind == "ndjson" else shape.query
        done, count = _best(
            f"{server.address}/{collection}/export/{kind}?{query}", kind, rounds, gzip=shape.gzip
        )
        speed = data.documents / done.seconds
        plain = plain or speed
        lines.append(
            [
                shape.name,
                number(speed),
                f"{count:,}",
                number(count / done.seconds),
                ratio(speed, plain),
                "–" if kind == "ndjson" else number(shape.width * count / done.seconds),
                f"{done.first:.3f}",
                number(done.size / done.seconds / 1e6),
            ]
        )
    table(
        (kind.upper(), "docs/s", "rows", "rows/s", "it/plain", "cells/s", "first byte s", "MB/s"),
        lines,
    )


def _best(address: str, kind: str, rounds: int, *, gzip: bool) -> tuple[Download, int]:
    """The fastest of some downloads, and how many rows it had."""
    with tempfile.TemporaryDirectory(dir=users.FOLDER.parent) as folder:
        path = Path(folder, f"shape.{kind}")
        done = [download(address, path, gzip=gzip) for _ in range(rounds)]
        return min(done, key=lambda one: one.seconds), rows(path, kind)


if __name__ == "__main__":
    main()
