"""What stands behind links: the documents that match on the other side, and the linked documents.

A condition that reaches through a link becomes one on the link itself: the `_id`s of the documents
that match in the linked collection are asked for first, and stand in its place, in each form in
which a link to them may be stored. So the index of the link serves it, and pages by key go on. In a
session with a snapshot both questions see the same moment.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from app.errors import Forbidden, Invalid, RequestError
from app.query.conditions import Filter, Join, Selection
from app.query.expansions import Expansion
from app.resources.elements import ARRAY, OBJECT_ID, join_elements, make_document
from app.resources.kinds import show_link
from app.resources.links import identity, leads_to, list_stored_forms
from app.resources.rendering import presenter
from app.resources.storing import Document
from app.store.collections import read_nature
from app.store.commands import Reply, find
from app.store.pages import start_session_beside

KEYS = 1_000  # `_id`s of one command
# Linked documents of a condition: their `_id`s, each in two forms, are a part of the command.
MOST = 50_000
# What stands before each ObjectId of an array of them.
_OBJECT_IDS = [bytes([OBJECT_ID]) + str(number).encode() + b"\0" for number in range(KEYS)]

Collections = Callable[[str], Collection[Any]]
Words = dict[str, Any]  # for the driver: the session, the time limit


def resolve(collections: Collections, join: Join, words: Words) -> Filter:
    """The filter that a join stands for.

    Raises `Invalid`, or `Forbidden` for one of a rule, where too many linked documents match.
    """
    condition = resolve_all(collections, Selection(join.filter, join.joins), words)
    found = collections(join.collection).find(condition, {"_id": 1}, limit=MOST + 1, **words)
    keys = [document["_id"] for document in found.batch_size(MOST + 2)]  # one reply, of 16 MiB
    if len(keys) > MOST:
        raise _make_too_many(join)
    forms = [form for key in keys for form in list_stored_forms(join.collection, key)]
    return {join.path: {"$nin" if join.negated else "$in": forms}}


def join_filters(filters: Iterable[Filter]) -> Filter:
    """The filter of what meets all of the filters."""
    some = [one for one in filters if one]
    if not some:
        return {}
    return some[0] if len(some) == 1 else {"$and": some}


def _make_too_many(join: Join) -> RequestError:
    if join.of_rule:
        return Forbidden(
            f"A rule of your role asks for more than {MOST:,} linked documents; an administrator "
            "can change it."
        )
    return Invalid(
        f"More than {MOST:,} documents of {join.collection!r} match what is asked behind "
        f"{join.path!r}; ask for fewer of them, or filter {join.collection!r} itself."
    )


def resolve_all(collections: Collections, selection: Selection, words: Words) -> Filter:
    """The filter that a selection stands for; raises as `resolve`."""
    joins = [resolve(collections, join, words) for join in selection.joins]
    return join_filters([selection.filter, *joins])


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
    """Reads parts of linked documents for an export, in a snapshot where its session has one.

    The first read is to come after one in that session; from then on another thread may use it.
    """

    def __init__(
        self,
        collection: Collection[Any],
        session: ClientSession | None,
        time_limit: int,
        patience: float,
        below: Mapping[str, Filter],
    ) -> None:
        """`collection` is that of the export; `time_limit` is in ms, `patience` in seconds.

        `below` has further filters of linked documents by their collection.
        """
        self._below = below
        self._database = collection.database
        self._preference = collection.read_preference
        self._session = session
        self._time_limit = time_limit
        self._patience = patience
        self._beside: ClientSession | None = None
        self._sessions: dict[str, ClientSession | None] = {}

    def close(self) -> None:
        """Ends what it began."""
        if self._beside is not None:
            self._beside.end_session()

    def read(self, name: str, keys: Sequence[Any], projection: Words) -> bytes:
        """The BSON of the documents with these `_id`s, ObjectIds as their bytes, in any order."""
        parts = [keys[begin : begin + KEYS] for begin in range(0, len(keys), KEYS)]
        return b"".join(raw for part in parts for raw in self._replies(name, part, projection))

    def _replies(self, name: str, keys: Sequence[Any], projection: Words) -> Iterator[bytes]:
        command: dict[str, Any] = {
            "find": name,
            "filter": join_filters([_has_key(keys), self._below.get(name, {})]),
            "projection": projection,
            "batchSize": len(keys) + 1,
            "maxTimeMS": self._time_limit,
        }
        reply = self._ask(name, command, self._patience)
        yield reply.raw
        while reply.cursor:  # a reply holds 16 MiB
            command = {"getMore": bson.Int64(reply.cursor), "collection": name}
            reply = self._ask(name, command, 0)
            yield reply.raw

    def _ask(self, name: str, command: Words, patience: float) -> Reply:
        session = self._session_for(name)
        return find(self._database, command, patience, session, self._preference)

    def _session_for(self, name: str) -> ClientSession | None:
        """A session beside that of the export, where the collection has what it shows."""
        if self._beside is None and self._session is not None:
            self._beside = start_session_beside(self._session)
        if name not in self._sessions:
            nature = read_nature(self._database, name)
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
