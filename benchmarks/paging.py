"""Times the first, the middle and the last page of ten users, by `after` token and by `skip`.

By `_id` and by `email` (indexed) a token should cost on the last page what it costs on the first;
by `name` (no index) the database sorts every time, and `skip` walks over what it skips: both are
printed beside it. Tokens come from the `Link` header, as a client takes them. Prints milliseconds
of a whole request on one connection, median of `--times`.
"""

import argparse
import http.client
import re
import statistics
import time
from urllib.parse import urlsplit

from benchmarks import data as users
from benchmarks.servers import OURS, Server, ours
from benchmarks.tables import heading, number, table

LIMIT = 10  # users of a page
SORTS = {"_id": "_id", "email": "email, indexed", "name": "name, no index"}
PLACES = ("first", "middle", "last")
LONG = 200  # milliseconds
PATIENCE_SECONDS = (
    120  # the server's limit: sorting without an index and skipping to the end takes its time
)


class Reader:
    """A client on one connection."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", server.port, timeout=2 * PATIENCE_SECONDS
        )

    def get(self, path: str) -> tuple[float, str | None]:
        """Milliseconds of a request, and the path of the next page."""
        begin = time.perf_counter()
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        body = answer.read()
        taken = (time.perf_counter() - begin) * 1000
        if answer.status != 200:
            raise SystemExit(f"{path} was refused: {answer.status} {body.decode()}")
        found = re.match(r'<(.+)>; rel="next"', answer.headers.get("Link", ""))
        return taken, found and _relative(found[1])

    def median(self, path: str, times: int) -> float:
        """The median of some requests; of three if one takes long, of one if it takes seconds."""
        first, _ = self.get(path)
        if first < LONG:
            return statistics.median(self.get(path)[0] for _ in range(times))
        return (
            first
            if first > 10 * LONG
            else statistics.median([first, self.get(path)[0], self.get(path)[0]])
        )


def main() -> None:
    """Measures what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    users.add_arguments(parser)
    parser.add_argument("--times", type=int, default=50, help="requests for each page")
    asked = parser.parse_args()
    with users.opened(asked.folder, asked.cache_mib) as uri:
        data = users.users(uri, asked.documents)
        heading(f"Pages of {LIMIT} of {data.documents:,} users, median of {asked.times}")
        with ours(data, QUERY_TIME_LIMIT_SECONDS=PATIENCE_SECONDS) as server:
            reader = Reader(server)
            rows = [
                row for sort in SORTS for row in _rows(reader, sort, data.documents, asked.times)
            ]
    table(("milliseconds", *PLACES, "last/first"), rows)


def _rows(reader: Reader, sort: str, count: int, times: int) -> list[list[str]]:
    by_skip = [
        f"/users/?sort={sort}&count=none&limit={LIMIT}&skip={skip}" for skip in _skips(count)
    ]
    by_token = [by_skip[0], *(_token_page(reader, sort, skip) for skip in _skips(count)[1:])]
    return [
        _row(f"{SORTS[sort]}: by {name}", [reader.median(path, times) for path in paths])
        for name, paths in (("token", by_token), ("skip", by_skip))
    ]


def _skips(count: int) -> tuple[int, int, int]:
    return 0, count // 2, count - LIMIT


def _token_page(reader: Reader, sort: str, skip: int) -> str:
    """The page that begins after so many users: the link of the page before it, with our limit."""
    _, path = reader.get(f"/users/?sort={sort}&count=none&limit=1&skip={skip - 1}")
    if path is None:
        raise SystemExit(f"{OURS.name} named no next page after {skip} users by {sort}.")
    return path.replace("limit=1&", f"limit={LIMIT}&")


def _row(name: str, times: list[float]) -> list[str]:
    return [name, *map(number, times), number(times[-1] / times[0])]


def _relative(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}"


if __name__ == "__main__":
    main()
