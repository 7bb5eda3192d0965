"""Times the screens of the page, beside the JSON list and starlette-admin.

For each: milliseconds until the first byte and until the last, and the bytes, on one connection,
median of `--times`. The table's first page of ten is set against the JSON list of the same ten
users (`x JSON`), and each screen against the one of starlette-admin that serves the same end, where
it has one: its tables are of ten rows, too. The last page is asked for by the address that the
screens themselves lead to. An export is what a click on its download starts.
"""

import argparse
import html
import http.client
import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import data as users
from benchmarks.servers import Server, ours, under_uvicorn
from benchmarks.tables import heading, number, ratio, table

LIMIT = 10  # rows of a table
BROWSER = {"Accept": "text/html", "Accept-Language": "en"}
LONG = 1_000  # milliseconds, after which once is enough
NAME = "smith"  # that some of the users have
PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Taken:
    """What one request took: milliseconds, and bytes of the body."""

    first: float
    whole: float
    size: int


class Reader:
    """A browser without a screen, on one connection."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", server.port, timeout=PATIENCE_SECONDS
        )

    def text(self, path: str) -> str:
        """What is there."""
        self._connection.request("GET", path, headers=BROWSER)
        answer = self._connection.getresponse()
        body = answer.read().decode()
        if answer.status != 200:
            raise SystemExit(f"{path} was refused: {answer.status} {body[:500]}")
        return body

    def take(self, path: str) -> Taken:
        """One request."""
        begin = time.perf_counter()
        self._connection.request("GET", path, headers=BROWSER)
        answer = self._connection.getresponse()
        size = len(answer.read(1))
        first = (time.perf_counter() - begin) * 1000
        while chunk := answer.read(1 << 16):
            size += len(chunk)
        whole = (time.perf_counter() - begin) * 1000
        if answer.status != 200:
            raise SystemExit(f"{path} was refused: {answer.status}")
        return Taken(first, whole, size)

    def median(self, path: str, times: int) -> Taken:
        """The median of some requests, in each of its parts."""
        taken = [self.take(path)]
        while len(taken) < times and taken[0].whole < LONG:
            taken.append(self.take(path))
        return Taken(
            statistics.median(one.first for one in taken),
            statistics.median(one.whole for one in taken),
            taken[0].size,
        )


def main() -> None:
    """Measures what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    users.add_arguments(parser, 100_000)
    parser.add_argument("--times", type=int, default=50, help="requests for each screen")
    parser.add_argument("--alone", action="store_true", help="without starlette-admin")
    asked = parser.parse_args()
    with users.opened(asked.folder, asked.cache_mib) as uri:
        data = users.users(uri, asked.documents)
        heading(f"Screens over {data.documents:,} users, median of {asked.times}")
        with ours(data) as server:
            mine = _measure(Reader(server), _list_our_screens(Reader(server)), asked.times)
        theirs = {}
        if not asked.alone:
            with under_uvicorn("admin")(data) as server:
                reader = Reader(server)
                screens = _list_their_screens(reader, data.documents)
                theirs = _measure(reader, screens, asked.times)
    table(("", "first byte ms", "ms", "KiB", "x JSON", "starlette-admin"), _rows(mine, theirs))


def _measure(reader: Reader, screens: Iterator[tuple[str, str]], times: int) -> dict[str, Taken]:
    return {name: reader.median(path, times) for name, path in screens}


def _list_our_screens(reader: Reader) -> Iterator[tuple[str, str]]:
    """Each screen's name and address."""
    yield "JSON list of 10", f"/users/?limit={LIMIT}"
    yield "home", "/ui/"
    yield "table, first page", f"/ui/users/?limit={LIMIT}"
    yield "table, a name", f"/ui/users/?limit={LIMIT}&keyword={NAME}"
    yield "table, a filter", f"/ui/users/?limit={LIMIT}&age__gte=60"
    yield "table, 1,000 rows", "/ui/users/?limit=1000"
    first = reader.text(f"/ui/users/?limit={LIMIT}")
    last = re.search(r'<a rel="last" href="([^"]+)"', first)
    if last is not None:
        yield "table, last page", html.unescape(last[1])
    found = re.search(r'href="(/ui/users/[0-9a-f]{24})"', first)
    assert found is not None
    yield "document", found[1]
    yield "form", f"{found[1]}/edit"
    yield "export, CSV", "/users/export/csv"


def _list_their_screens(reader: Reader, documents: int) -> Iterator[tuple[str, str]]:
    """The same of starlette-admin, as far as it has them."""
    yield "home", "/admin/"
    yield "table, first page", "/admin/user/list"
    yield "table, a name", f"/admin/user/list?search={NAME}"
    yield "table, last page", f"/admin/user/list?page={documents // LIMIT}"
    first = reader.text("/admin/user/list")
    found = re.search(r"user/detail\?pk=([0-9a-f]{24})", first)
    assert found is not None
    yield "document", f"/admin/user/detail?pk={found[1]}"
    yield "form", f"/admin/user/edit?pk={found[1]}"


def _rows(mine: dict[str, Taken], theirs: dict[str, Taken]) -> Iterator[list[str]]:
    json = mine["JSON list of 10"]
    for name, taken in mine.items():
        other = theirs.get(name)
        compared = (
            f"{number(other.whole)} ms, {ratio(other.whole, taken.whole)} x" if other else "–"
        )
        yield [
            name,
            number(taken.first),
            number(taken.whole),
            number(taken.size / 1024),
            ratio(taken.whole, json.whole),
            compared,
        ]


if __name__ == "__main__":
    main()
