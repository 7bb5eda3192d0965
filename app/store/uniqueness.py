"""Uniqueness while its index can't be made, because stored documents have equal values.

What is written then may take such values away, and must not add others. Two writers at the same
moment still can: only the index keeps them apart, and it is made as soon as no values are equal.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import bson
from pymongo import IndexModel
from pymongo.collection import Collection

from app.resources.codec import CODEC
from app.resources.patches import Change
from app.resources.storing import Document
from app.store.errors import make_conflict
from app.store.indexes import Indexes
from app.store.stored import Stored


def refuse_equal_values(
    collection: Collection[Any],
    indexes: Indexes,
    stored: Stored,
    build: Callable[[], Document],
) -> None:
    """Raises `Conflict` where what `build` makes of the stored document adds another's value."""
    if not indexes.missing:
        return
    document = build()
    for model in indexes.missing:
        paths = list(model.document["key"])
        values = [list(values_at(document, path.split("."))) for path in paths]
        before = [list(values_at(stored.document, path.split("."))) for path in paths]
        if _bytes(values) != _bytes(before) and _is_taken(collection, model, document, values):
            raise make_conflict(paths)


def apply(change: Change, document: Document) -> Document:
    """The document after a change, as `$set` and `$unset` make it."""
    for path, value in change.set.items():
        *above, name = path.split(".")
        _reach(document, above)[name] = value
    for path in change.unset:
        *above, name = path.split(".")
        _reach(document, above).pop(name, None)
    return document


def _reach(document: Document, names: list[str]) -> Document:
    for name in names:
        if not isinstance(document.get(name), dict):
            document[name] = {}
        document = document[name]
    return document


def values_at(value: Any, names: list[str]) -> Iterator[Any]:
    """What an index holds for a path: each element of a list, nothing where the path ends early."""
    if isinstance(value, list):
        for element in value:
            yield from values_at(element, names)
    elif not names:
        yield value
    elif isinstance(value, Mapping) and names[0] in value:
        yield from values_at(value[names[0]], names[1:])


def _is_taken(
    collection: Collection[Any], model: IndexModel, document: Document, values: list[list[Any]]
) -> bool:
    options = model.document
    if options.get("sparse") and not any(values):
        return False
    condition: dict[str, Any] = {"_id": {"$ne": document["_id"]}}
    for path, found in zip(options["key"], values, strict=True):
        condition[path] = {"$in": found or [None]}
    partial = options.get("partialFilterExpression")
    whole = {"$and": [condition, partial]} if partial else condition
    words = {"collation": options["collation"]} if options.get("collation") else {}
    return collection.find_one(whole, {"_id": 1}, **words) is not None


def _bytes(values: list[list[Any]]) -> bytes:
    return bson.encode({"": values}, codec_options=CODEC)
