"""Databases of a real mongod for tests of a server: each begins without a document.

Making a server's collections with their indexes, and dropping them, is most of mongod's work for
such a test. So the next server of the same models gets the collections of the last, emptied; what
a test has changed of a collection itself is dropped.
"""

import secrets
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database

Shape = dict[str, Any]  # of a collection: its type, options and indexes


@dataclass
class Lent:
    """A database, and the collections in it as the server's start has left them."""

    name: str
    shapes: dict[str, Shape] = field(default_factory=dict)

    def keep(self, client: MongoClient[Any]) -> None:
        """Notes the collections as they are now, once: a later start finds them made."""
        self.shapes = self.shapes or _shapes(client[self.name])

    def clear(self, client: MongoClient[Any]) -> None:
        """Leaves the collections that are as they were, without documents."""
        database = client[self.name]
        for name, shape in _shapes(database).items():
            if shape == self.shapes.get(name):
                database[name].delete_many({})
            else:
                database.drop_collection(name)


_free: defaultdict[tuple[str, str], list[Lent]] = defaultdict(list)


@contextmanager
def lend(client: MongoClient[Any], uri: str, models: str) -> Iterator[Lent]:
    """A database for a server of these models; `keep` is called when that has started."""
    free = _free[uri, models]
    lent = free.pop() if free else Lent(f"test_{secrets.token_hex(4)}")
    try:
        yield lent
    finally:
        lent.clear(client)
        free.append(lent)


def _shapes(database: Database[Any]) -> dict[str, Shape]:
    found = {}
    for one in database.list_collections():
        name, kind = one["name"], one["type"]
        if name.startswith("system."):  # what mongod keeps of views and time series
            continue
        indexes = database[name].index_information() if kind == "collection" else {}
        found[name] = {"type": kind, "options": one["options"], "indexes": indexes}
    return found
