"""Paging by key: where a page ended, as a token, and the condition that what follows comes after it.

The order is MongoDB's sort order (https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/): types in
their fixed order, missing equal to null, an array by its least element upwards and its greatest downwards. `$gt` in a
filter stays within one type, so the condition is an `$expr`, which compares as the sort does.

A position is a list of one value for each key of the sort; `NOTHING` stands for an empty array's.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bson
from bson import json_util
from pymongo.errors import PyMongoError

from app.resources.rendering import CODEC

Sort = tuple[tuple[str, int], ...]  # (path, 1 or -1), a total order
NOTHING = object()
_DIGEST = 9  # bytes


@dataclass(frozen=True)
class Index:
    """A standing index that can serve a sort: not partial, not sparse, no other collation, not hidden."""

    name: str
    keys: Sort
    unique: bool = False


def served_by(sort: Sort, indexes: Sequence[Index]) -> tuple[Index, bool] | None:
    """The index whose order the sort is, and whether it is read backwards; None where no index has it."""
    backwards = tuple((path, -direction) for path, direction in sort)
    for index in indexes:
        if index.keys in (sort, backwards):
            return index, index.keys == backwards
    return None


def total(keys: Sort, indexes: Sequence[Index]) -> Sort:
    """The sort with `_id` behind it, unless its keys decide alone: then an index of just these serves it."""
    paths = [path for path, _ in keys]
    if "_id" in paths:
        return keys[: paths.index("_id") + 1]
    if any(index.unique and {path for path, _ in index.keys} <= set(paths) for index in indexes):
        return keys
    return (*keys, ("_id", 1))


def sort_value(path: str, direction: int) -> Any:
    """The aggregation expression of what a document sorts by at this path."""
    if path == "_id":
        return "$_id"
    better = "$lt" if direction > 0 else "$gt"
    least = {
        "$reduce": {
            "input": "$$value_",
            "initialValue": {"$arrayElemAt": ["$$value_", 0]},
            "in": {"$cond": [{better: ["$$this", "$$value"]}, "$$this", "$$value"]},
        }
    }
    return {
        "$let": {
            "vars": {"value_": {"$ifNull": [f"${path}", None]}},
            "in": {"$cond": [{"$isArray": "$$value_"}, least, "$$value_"]},
        }
    }


def after(sort: Sort, position: Sequence[Any]) -> dict[str, Any]:
    """The condition of documents that come behind the position: k1 > v1, or k1 = v1 and k2 > v2, or …"""
    choices = []
    equal: list[Any] = []
    for (path, direction), value in zip(sort, position, strict=True):
        bound = "$$REMOVE" if value is NOTHING else {"$literal": value}
        key = sort_value(path, direction)
        beyond = {"$gt" if direction > 0 else "$lt": [key, bound]}
        choices.append({"$and": [*equal, beyond]} if equal else beyond)
        equal.append({"$eq": [key, bound]})
    return {"$expr": {"$or": choices} if len(choices) > 1 else choices[0]}


def position(sort: Sort, document: Mapping[str, Any]) -> list[Any] | None:
    """Where the document stands; None where an array is on the way, so that only the database can say."""
    found = []
    for path, _ in sort:
        value: Any = document
        for step in path.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
            if isinstance(value, list):
                return None
        found.append(value)
    return found


SORT_KEY = "docsheet:sort"  # a computed field that says where a document stands


def computed(sort: Sort) -> dict[str, Any]:
    """The projection that adds `SORT_KEY` to a document; an object, in which an empty array's value is missing."""
    return {SORT_KEY: {str(number): sort_value(*key) for number, key in enumerate(sort)}}


def read_computed(sort: Sort, document: Mapping[str, Any]) -> list[Any]:
    """The position that `SORT_KEY` holds."""
    found = document[SORT_KEY]
    return [found.get(str(number), NOTHING) for number in range(len(sort))]


def write_token(position: Sequence[Any], fingerprint: bytes) -> str:
    """The position as an opaque text for `after=`, of use only with the query of this fingerprint."""
    values = [{"nothing": 1} if value is NOTHING else {"value": value} for value in position]
    payload = json_util.dumps(values, json_options=json_util.CANONICAL_JSON_OPTIONS).encode()
    return base64.urlsafe_b64encode(_digest(payload, fingerprint) + payload).decode().rstrip("=")


def read_token(token: str, sort: Sort, fingerprint: bytes) -> list[Any]:
    """The position; raises `ValueError` for a token that is malformed, was changed, or is another query's."""
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        payload = data[_DIGEST:]
        if data[:_DIGEST] != _digest(payload, fingerprint):
            raise ValueError(token)
        values = json_util.loads(payload.decode(), json_options=_READ)
        found = [NOTHING if "nothing" in value else value["value"] for value in values]
    except (ValueError, TypeError, KeyError, UnicodeError, bson.errors.BSONError, PyMongoError):
        raise ValueError("it is malformed, was changed, or belongs to another sort or filter") from None
    if len(found) != len(sort):
        raise ValueError("it belongs to another sort")
    return found


_READ = json_util.CANONICAL_JSON_OPTIONS.with_options(
    tz_aware=True,
    tzinfo=CODEC.tzinfo,
    datetime_conversion=CODEC.datetime_conversion,
    uuid_representation=CODEC.uuid_representation,
)


def _digest(payload: bytes, fingerprint: bytes) -> bytes:
    return hashlib.blake2b(payload, key=fingerprint, digest_size=_DIGEST).digest()


def fingerprint(*parts: Any) -> bytes:
    """16 bytes that stand for a query: the collection, its filter, its sort."""
    text = json_util.dumps(parts, json_options=json_util.CANONICAL_JSON_OPTIONS)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
