"""Times the screens of the page, beside the JSON list and starlette-admin.

For each: milliseconds until the first byte and until the last, and the bytes, on one connection,
median of `--times`. Each table and document is asked for in turn with the same in JSON (`x JSON`),
and set against the screen of starlette-admin that serves the same end, where it has one: its tables
are of ten rows, too. The last page is asked for by the address that the screens themselves lead to.
An export is what a click on its download starts.
"""

import argparse
import html
import http.client
import re
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
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

    def take_in_turn(self, paths: Sequence[str], times: int) -> list[Taken]:
        """The medians of some requests for each of the paths, one after the other."""
        taken = [[self.take(path)] for path in paths]
        while len(taken[0]) < times and taken[0][0].whole < LONG:
            for path, of_path in zip(paths, taken, strict=True):
                of_path.append(self.take(path))
        return [_median(of_path) for of_path in taken]


def _median(taken: Sequence[Taken]) -> Taken:
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
            reader = Reader(server)
            mine = _measure(reader, _list_our_screens(reader), asked.times)
        theirs: dict[str, list[Taken]] = {}
        if not asked.alone:
            with under_uvicorn("admin")(data) as server:
                reader = Reader(server)
                screens = _list_their_screens(reader, data.documents)
                theirs = _measure(reader, screens, asked.times)
    table(
        ("", "first byte ms", "ms", "KiB", "x JSON", "starlette-admin", "it / us"),
        _rows(mine, theirs),
    )


def _measure(
    reader: Reader, screens: Iterable[tuple[str, str]], times: int
) -> dict[str, list[Taken]]:
    """By the name of a screen what it took, and what its JSON took where it has one."""
    return {name: reader.take_in_turn(_list_twins(name, path), times) for name, path in screens}


def _list_twins(name: str, path: str) -> list[str]:
    """The address of a screen, and of the same in JSON, which is the one without `/ui`."""
    has_json = path.startswith("/ui") and (name.startswith("table") or name == "document")
    return [path, path.removeprefix("/ui")] if has_json else [path]


def _list_our_screens(reader: Reader) -> Iterator[tuple[str, str]]:
    """Each screen's name and address."""
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


def _rows(mine: dict[str, list[Taken]], theirs: dict[str, list[Taken]]) -> Iterator[list[str]]:
    for name, (taken, *json) in mine.items():
        (other, *_) = theirs.get(name, [None])
        yield [
            name,
            number(taken.first),
            number(taken.whole),
            number(taken.size / 1024),
            ratio(taken.whole, json[0].whole) if json else "–",
            f"{number(other.whole)} ms" if other else "–",
            ratio(other.whole, taken.whole) if other else "–",
        ]


if __name__ == "__main__":
    main()
