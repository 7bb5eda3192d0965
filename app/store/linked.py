"""What stands behind links: the documents that match on the other side, and the linked documents.

A condition that reaches through a link becomes one on the link itself: the `_id`s of the documents
that match in the linked collection are asked for first, and stand in its place, in each form in
which a link to them may be stored. So the index of the link serves it, and pages by key go on. In a
session with a snapshot both questions see the same moment.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from pymongo.collection import Collection

from app.errors import Invalid
from app.query.conditions import Filter, Join
from app.query.expansions import Expansion
from app.resources.kinds import show_link
from app.resources.links import identity, leads_to, stored_forms
from app.resources.rendering import presenter
from app.resources.storing import Document

# Linked documents of a condition: their `_id`s, each in two forms, are a part of the command.
MOST = 50_000

Collections = Callable[[str], Collection[Any]]
Words = dict[str, Any]  # for the driver: the session, the time limit


def resolve(collections: Collections, join: Join, words: Words) -> Filter:
    """The filter that a join stands for; raises `Invalid` where too many linked documents match."""
    condition = join.filter
    if join.joined is not None:
        inner = resolve(collections, join.joined, words)
        condition = {"$and": [condition, inner]} if condition else inner
    found = collections(join.collection).find(condition, {"_id": 1}, limit=MOST + 1, **words)
    keys = [document["_id"] for document in found]
    if len(keys) > MOST:
        raise Invalid(
            f"More than {MOST:,} documents of {join.collection!r} match what is asked behind "
            f"{join.path!r}; ask for fewer of them, or filter {join.collection!r} itself."
        )
    forms = [form for key in keys for form in stored_forms(join.collection, key)]
    return {join.path: {"$nin" if join.negated else "$in": forms}}


def expand(
    collections: Collections,
    documents: Sequence[Document],
    expansions: Iterable[Expansion],
    words: Words,
) -> None:
    """Puts linked documents, presentable, in the place of links; what leads nowhere stays.

    One question for each link of each level, however many documents there are.
    """
    for expansion in expansions:
        places = [place for one in documents for place in _places(one, expansion.path.split("."))]
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
    found = list(collections(target.name).find({"_id": {"$in": keys}}, **words))
    by_key = {identity(document["_id"]): document for document in found}
    expand(collections, found, expansion.inner, words)
    present = presenter(target.shape)
    if present is not None:
        for document in found:
            present(document)
    return by_key


def _places(value: Any, steps: Sequence[str]) -> Iterator[tuple[Any, Any]]:
    """Where the links at a path stand: what holds each, and under which name or number."""
    if isinstance(value, list):
        for inner in value:
            yield from _places(inner, steps)
    elif isinstance(value, dict) and steps[0] in value:
        inner = value[steps[0]]
        if len(steps) > 1:
            yield from _places(inner, steps[1:])
        elif isinstance(inner, list):
            yield from ((inner, number) for number in range(len(inner)))
        else:
            yield value, steps[0]
