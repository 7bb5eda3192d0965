"""How long signing in takes: the right password, a wrong one, and a name that doesn't exist.

The two that are refused must take the same time, or names could be found out. Each name is tried a
few times, from an address of its own of the loopback network, so that nothing is throttled; the
three kinds take turns. Prints the median and the quartiles in milliseconds, over one connection
each, and how far the medians of the two are apart.
"""

import argparse
import http.client
import itertools
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

from pwdlib import PasswordHash

from benchmarks import data as users
from benchmarks.servers import Server, ours
from benchmarks.tables import heading, table

PASSWORD, WRONG = "correct horse", "another horse"
TRIES = 5  # of one name, fewer than are throttled
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
KINDS = {
    "right password": ("known {}", PASSWORD, 200),
    "wrong password": ("known {}", WRONG, 400),
    "no such name": ("other {}", WRONG, 400),
}


def main() -> None:
    """Measures what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    users.add_arguments(parser, documents=1_000)
    parser.add_argument("--names", type=int, default=40, help=f"each is tried {TRIES} times")
    asked = parser.parse_args()
    with users.opened(asked.folder, asked.cache_mib) as uri:
        data = users.users(uri, asked.documents)
        heading(f"Signing in, {asked.names} names, {TRIES} times each")
        with accounts(data, asked.names), ours(data, AUTH="on") as server:
            seconds = measure(server, asked.names)
    show(seconds)


@contextmanager
def accounts(data: users.Data, names: int) -> Iterator[None]:
    """The accounts, all with the same password; afterwards they are gone."""
    stored = PasswordHash.recommended().hash(PASSWORD)
    known = [{"name": f"known {number}", "role": "viewer"} for number in range(names)]
    with data.client() as client:
        collection = client[data.name]["docsheet.accounts"]
        collection.delete_many({})
        every = [*known, {"name": "root", "role": "admin"}]
        collection.insert_many([{**one, "password": stored} for one in every])
        try:
            yield
        finally:
            collection.delete_many({})


def measure(server: Server, names: int) -> dict[str, list[float]]:
    """The seconds of each kind."""
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number, _ in itertools.product(range(names), range(TRIES)):
        for place, (kind, (name, password, status)) in enumerate(KINDS.items()):
            address = f"127.{place + 1}.0.{number % 250 + 1}"
            taken = sign_in(server, address, name.format(number), password, status)
            seconds[kind].append(taken)
    return {kind: taken[TRIES:] for kind, taken in seconds.items()}  # without the first name


def sign_in(server: Server, address: str, name: str, password: str, status: int) -> float:
    """Seconds until the answer is there."""
    form = {"grant_type": "password", "username": name, "password": password}
    connection = http.client.HTTPConnection(
        "127.0.0.1", server.port, timeout=30, source_address=(address, 0)
    )
    try:
        connection.connect()
        began = time.perf_counter()
        connection.request("POST", "/auth/token", urlencode(form), FORM)
        answer = connection.getresponse()
        answer.read()
        taken = time.perf_counter() - began
    finally:
        connection.close()
    if answer.status != status:
        raise SystemExit(f"{name!r} from {address}: {answer.status}, not {status}")
    return taken


def show(seconds: dict[str, list[float]]) -> None:
    """Prints the table."""
    rows = []
    for kind, taken in seconds.items():
        low, middle, high = statistics.quantiles(taken, n=4)
        rows.append((kind, *(f"{value * 1000:.1f}" for value in (low, middle, high))))
    table(("", "first quartile, ms", "median, ms", "third quartile, ms"), rows)
    wrong, nobody = (statistics.median(seconds[kind]) for kind in list(KINDS)[1:])
    print(f"\nno such name ÷ wrong password: {nobody / wrong:.3f}")


if __name__ == "__main__":
    main()
