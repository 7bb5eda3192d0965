"""Linked documents: in the place of the links of a list, or as BSON, as far as an export needs it.

However many links there are, each level of them costs one question for each collection.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession

from app.query.conditions import Filter, Selection, join_filters
from app.query.expansions import Expansion
from app.resources.elements import ARRAY, OBJECT_ID, join_elements, make_document
from app.resources.kinds import show_link
from app.resources.links import identity, leads_to
from app.resources.rendering import presenter
from app.resources.storing import Document
from app.store.collections import read_nature
from app.store.commands import Words, find, read_on
from app.store.joins import Collections, resolve_all
from app.store.sessions import start_session_beside

KEYS = 1_000  # `_id`s of one command
# What stands before each ObjectId of an array of them.
_OBJECT_IDS = [bytes([OBJECT_ID]) + str(number).encode() + b"\0" for number in range(KEYS)]


def expand(
    collections: Collections,
    documents: Sequence[Document],
    expansions: Iterable[Expansion],
    words: Words,
) -> None:
    """Puts linked documents, presentable, in the place of links; what leads nowhere stays.

    So does what leads to a document that may not be seen. One question for each link of each
    level, however many documents there are.
    """
    for expansion in expansions:
        places = [
            place for one in documents for place in link_places(one, expansion.path.split("."))
        ]
        collection = expansion.target.name
        named = [
            (holder, step, show_link(collection, holder[step]))
            for holder, step in places
            if leads_to(collection, holder[step])
        ]
        keys = {identity(key): key for _, _, key in named}
        linked = _read(collections, list(keys.values()), expansion, words)
        for holder, step, key in named:
            holder[step] = linked.get(identity(key), holder[step])


def _read(
    collections: Collections, keys: list[Any], expansion: Expansion, words: Words
) -> dict[Any, Document]:
    """The documents with these `_id`s, by what identifies them."""
    target = expansion.target
    below = resolve_all(collections, Selection.of(expansion.below), words)
    condition = join_filters([{"_id": {"$in": keys}}, below])
    cursor = collections(target.name).find(condition, **words)
    found = list(cursor.batch_size(len(keys) + 1))  # one reply, where 16 MiB hold it
    by_key = {identity(document["_id"]): document for document in found}
    expand(collections, found, expansion.inner, words)
    present = presenter(target.shape)
    if present is not None:
        for document in found:
            present(document)
    return by_key


class LinkedReader:
    """Reads parts of linked documents; where it has a session, in the snapshot which that shows.

    The first read is to come after one in that session; from then on another thread may use it.
    """

    def __init__(
        self,
        database: Any,
        find_rule: Callable[[str], Filter],
        time_limit: int,
        patience: float,
        session: ClientSession | None = None,
    ) -> None:
        """`database` is PyMongo's; `time_limit` is in ms, `patience` in seconds.

        `find_rule` gives the filter of the documents of a collection that may be read.
        """
        self.database = database
        self.find_rule = find_rule
        self._time_limit = time_limit
        self._patience = patience
        self._session = session
        self._beside: ClientSession | None = None
        self._sessions: dict[str, ClientSession | None] = {}

    def close(self) -> None:
        """Ends what it began."""
        if self._beside is not None:
            self._beside.end_session()

    def read(self, name: str, keys: Sequence[Any], projection: Words) -> bytes:
        """The BSON of the documents with these `_id`s, ObjectIds as their bytes, in any order."""
        rule = self.find_rule(name)
        parts = [keys[begin : begin + KEYS] for begin in range(0, len(keys), KEYS)]
        return b"".join([self._read(name, part, rule, projection) for part in parts])

    def _read(self, name: str, keys: Sequence[Any], rule: Filter, projection: Words) -> bytes:
        command: dict[str, Any] = {
            "find": name,
            "filter": join_filters([_has_key(keys), rule]),
            "projection": projection,
            "batchSize": len(keys) + 1,
            "maxTimeMS": self._time_limit,
        }
        how = self._find_session(name), self.database.read_preference
        reply = find(self.database, command, self._patience, *how)
        return read_on(self.database, name, reply, *how)

    def _find_session(self, name: str) -> ClientSession | None:
        """A session beside the given one, where the collection has what that shows."""
        if self._session is None:
            return None
        if self._beside is None:
            self._beside = start_session_beside(self._session)
        if name not in self._sessions:
            nature = read_nature(self.database, name)
            self._sessions[name] = self._beside if nature.has_snapshots else None
        return self._sessions[name]


def _has_key(keys: Sequence[Any]) -> Filter:
    """The condition that an `_id` is one of these; ObjectIds alone need not become objects."""
    if set(map(type, keys)) != {bytes}:
        return {"_id": {"$in": make_keys(keys)}}
    listed = join_elements(chain.from_iterable(zip(_OBJECT_IDS, keys, strict=False)))
    condition = make_document([("$in", bytes([ARRAY]) + listed)])
    return {"_id": RawBSONDocument(condition)}


def make_keys(keys: Iterable[Any]) -> list[Any]:
    """The `_id`s as the driver takes them."""
    return [bson.ObjectId(key) if type(key) is bytes else key for key in keys]


def link_places(value: Any, steps: Sequence[str]) -> Iterator[tuple[Any, Any]]:
    """Where the links at a path stand: what holds each, and under which name or number."""
    if isinstance(value, list):
        for inner in value:
            yield from link_places(inner, steps)
    elif isinstance(value, dict) and steps[0] in value:
        inner = value[steps[0]]
        if len(steps) > 1:
            yield from link_places(inner, steps[1:])
        elif isinstance(inner, list):
            yield from ((inner, number) for number in range(len(inner)))
        else:
            yield value, steps[0]
