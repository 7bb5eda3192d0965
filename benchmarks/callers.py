"""What it costs to know the caller: reads and writes of ours, by who sends them.

Two servers of ours on the same users, in turn: one without accounts, and one with, asked with a
token, with a key, by HTTP Basic with a password, and with a token of a role whose rules have
`where` and `hide` for reading and for writing. `scripts/bench crud` compares ours with others.
Prints requests per second, and the part of that without accounts.
"""

import argparse
import base64
import json
import secrets
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import bson

from app.auth.keys import digest, make_id
from benchmarks import data as users
from benchmarks.crud import (
    CASES,
    CONNECTIONS,
    WARM_UP_SECONDS,
    Case,
    add_arguments,
    kept,
    load,
    read_one,
)
from benchmarks.servers import OURS, Server, ours
from benchmarks.sign_in import PASSWORD, accounts
from benchmarks.tables import heading, number, ratio, table

NOBODY, TOKEN, KEY, BASIC, RULED = "no accounts", "token", "key", "password", "where and hide"
CALLERS = (NOBODY, TOKEN, KEY, BASIC, RULED)
RULE = {"where": "age__gte=0", "hide": ["profile.bio"]}
RULES = {
    "users": {"read": RULE, "create": {"where": RULE["where"]}, "update": RULE, "delete": True}
}
Header = dict[str, str]
Measured = dict[tuple[str, str], float]


def main() -> None:
    """Measures what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    asked = parser.parse_args()
    cases = [case for case in CASES if asked.only in case.name]
    with users.opened(asked.folder, asked.cache_mib) as uri:
        data = users.users(uri, asked.documents)
        times = f"best of {asked.rounds} × {asked.seconds} s"
        heading(f"Callers, {data.documents:,} users, {CONNECTIONS} connections, {times}")
        with kept(data) as keys, callers(data) as key:
            measured = measure(data, cases, keys, key, asked)
    rows = [_row(case, measured) for case in cases]
    titles = [*CALLERS, *(f"{name}, of none" for name in CALLERS[1:])]
    table(("requests/s", *titles), rows)


def _row(case: Case, measured: Measured) -> list[str]:
    rates = [measured[case.name, name] for name in CALLERS]
    return [case.name, *map(number, rates), *(ratio(rate, rates[0]) for rate in rates[1:])]


@contextmanager
def callers(data: users.Data) -> Iterator[str]:
    """The accounts, the role and a key, whose id and secret it gives; afterwards they are gone."""
    secret, identifier = secrets.token_urlsafe(32), make_id()
    with accounts(data, 2), data.client() as client:
        database = client[data.name]
        known = database["docsheet.accounts"]
        known.update_one({"name": "known 0"}, {"$set": {"role": "editor"}})
        known.update_one({"name": "known 1"}, {"$set": {"role": "ruled"}})
        editor = known.find_one({"name": "known 0"}) or {}
        database["docsheet.roles"].insert_one({"name": "ruled", "rules": RULES})
        key = {
            "_id": identifier,
            "name": "benchmark",
            "account": bson.DBRef("docsheet.accounts", editor["_id"]),
            "scopes": [],
            "digest": digest(secret),
        }
        database["docsheet.keys"].insert_one(key)
        try:
            yield f"{identifier}.{secret}"
        finally:
            for name in ("roles", "keys", "tokens", "audit"):
                database[f"docsheet.{name}"].delete_many({})


def measure(
    data: users.Data, cases: list[Case], keys: list[str], key: str, asked: argparse.Namespace
) -> Measured:
    """The best rate of each case and caller, by their names."""
    rates: dict[tuple[str, str], list[float]] = defaultdict(list)
    for turn in range(asked.rounds):
        for names, setting in ((CALLERS[:1], "off"), (CALLERS[1:], "on")):
            with ours(data, AUTH=setting) as server:
                for name in names:
                    header = find_header(server, name, key)
                    load(server.address, read_one(OURS, keys, turn), WARM_UP_SECONDS, header)
                    for case in cases:
                        number_of_run = len(CALLERS) * turn + CALLERS.index(name)
                        lines = case.lines(OURS, keys, number_of_run)
                        rate = load(server.address, lines, asked.seconds, header)
                        rates[case.name, name].append(rate.per_second)
    return {names: max(found) for names, found in rates.items()}


def find_header(server: Server, name: str, key: str) -> Header:
    """The header by which a caller is known."""
    if name == NOBODY:
        return {}
    if name == KEY:
        return {"Authorization": f"Bearer {key}"}
    if name == BASIC:
        credentials = base64.b64encode(f"known 0:{PASSWORD}".encode()).decode()
        return {"Authorization": f"Basic {credentials}"}
    account = "known 1" if name == RULED else "known 0"
    form = {"grant_type": "password", "username": account, "password": PASSWORD}
    with urlopen(Request(f"{server.address}/auth/token", urlencode(form).encode())) as answer:
        return {"Authorization": f"Bearer {json.load(answer)['access_token']}"}


if __name__ == "__main__":
    main()
