"""The order of documents: what was asked, made total, and the condition that what follows comes after a position.

The order is MongoDB's sort order (https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/): types in
their fixed order, missing equal to null, an array by its least element upwards and its greatest downwards. `$gt` in a
filter stays within one type, so the condition is an `$expr`, which compares as the sort does.

A position is a list of one value for each key of the sort; `NOTHING` stands for an empty array's, which comes before
null, and `BrokenText` for a string that is no UTF-8.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from app.resources.codec import CODEC

Sort = tuple[tuple[str, int], ...]  # (path, 1 or -1), a total order
NOTHING = object()
MAX_KEYS = 32  # of a sort in MongoDB, `_id` included
_REPLACED = "\ufffd"  # what decoding leaves where bytes are no UTF-8
EXACT: CodecOptions[Any] = (
    CODEC.with_options(  # decodes whatever is stored, and loses nothing of it
        unicode_decode_error_handler="surrogateescape",
        uuid_representation=UuidRepresentation.UNSPECIFIED,
    )
)


@dataclass(frozen=True)
class Index:
    """A standing index that can serve a sort: not partial, not sparse, no other collation, not hidden."""

    name: str
    keys: Sort
    unique: bool = False


@dataclass(frozen=True)
class BrokenText:
    """The bytes of a stored string that are no UTF-8: it compares by them, so a token has to keep them."""

    raw: bytes


def served_by(sort: Sort, indexes: Sequence[Index]) -> tuple[Index, bool] | None:
    """The index whose order the sort is, and whether it is read backwards; None where no index has it."""
    backwards = tuple((path, -direction) for path, direction in sort)
    for index in indexes:
        if index.keys in (sort, backwards):
            return index, index.keys == backwards
    return None


def whole(keys: Sort) -> Sort:
    """The sort with `_id` behind it, which makes it a total order, whatever indexes stand."""
    paths = [path for path, _ in keys]
    return keys[: paths.index("_id") + 1] if "_id" in paths else (*keys, ("_id", 1))


def total(keys: Sort, indexes: Sequence[Index]) -> Sort:
    """The sort with `_id` behind it, unless its keys decide alone: then an index of just these serves it."""
    paths = {path for path, _ in keys}
    if "_id" not in paths and any(
        index.unique and {path for path, _ in index.keys} <= paths for index in indexes
    ):
        return keys
    return whole(keys)


def sort_value(path: str, direction: int) -> Any:
    """The aggregation expression of what a document sorts by at this path."""
    if path == "_id":
        return "$_id"
    steps = path.split(".")
    parents = [{"$isArray": "$" + ".".join(steps[:number])} for number in range(1, len(steps))]
    plain = _least(f"${path}", direction)
    return (
        {"$cond": [{"$or": parents}, _through_arrays(steps, direction), plain]}
        if parents
        else plain
    )


def _least(value: Any, direction: int) -> Any:
    """The value itself, of an array its least or greatest element; null where it is missing."""
    there = {
        "$cond": [
            {"$isArray": "$$value_"},
            _extreme("$$value_", direction),
            {"$ifNull": ["$$value_", None]},
        ]
    }
    nothing = {
        "$eq": [{"$type": "$$value_"}, "undefined"]
    }  # a type of old, which sorts as an empty array does
    return {"$let": {"vars": {"value_": value}, "in": {"$cond": [nothing, "$$REMOVE", there]}}}


def _extreme(values: Any, direction: int) -> Any:
    """The least or greatest element by the sort's order ($min and $max leave null out); missing where there is none."""
    better = {"$lt" if direction > 0 else "$gt": ["$$this", "$$value"]}
    first = {"$arrayElemAt": [values, 0]}
    return {
        "$reduce": {
            "input": values,
            "initialValue": first,
            "in": {"$cond": [better, "$$this", "$$value"]},
        }
    }


def _through_arrays(steps: Sequence[str], direction: int) -> Any:
    """The same where a parent is an array: each element that is no object counts as null, as an empty array does."""
    values: Any = {"$cond": [{"$isArray": f"${steps[0]}"}, f"${steps[0]}", [f"${steps[0]}"]]}
    values = _expanded([values], empty=[None])
    for number, step in enumerate(steps[1:], 2):
        inner = {
            "$cond": [
                {"$eq": [{"$type": "$$one_"}, "object"]},
                {"$ifNull": [f"$$one_.{step}", None]},
                None,
            ]
        }
        values = {"$map": {"input": values, "as": "one_", "in": inner}}
        if number < len(steps):
            values = _expanded(values, empty=[None])
    found: Any = {
        "$let": {
            "vars": {"all_": _expanded("$$values_", empty=[])},
            "in": _extreme("$$all_", direction),
        }
    }
    if direction > 0:
        found = {"$cond": [{"$in": [[], "$$values_"]}, "$$REMOVE", found]}
    return {"$let": {"vars": {"values_": values}, "in": found}}


def _expanded(values: Any, empty: list[Any]) -> Any:
    """The values with those that are arrays replaced by their elements."""
    elements = {"$cond": [{"$eq": ["$$this", []]}, empty, "$$this"]}
    one = {"$cond": [{"$isArray": "$$this"}, elements, ["$$this"]]}
    return {
        "$reduce": {"input": values, "initialValue": [], "in": {"$concatArrays": ["$$value", one]}}
    }


def after(sort: Sort, position: Sequence[Any]) -> dict[str, Any]:
    """The condition of documents that come behind the position: k1 > v1, or k1 = v1 and k2 > v2, or …"""
    choices = []
    equal: list[Any] = []
    for (path, direction), value in zip(sort, position, strict=True):
        bound = bound_value(value)
        key = sort_value(path, direction)
        beyond = {"$gt" if direction > 0 else "$lt": [key, bound]}
        choices.append({"$and": [*equal, beyond]} if equal else beyond)
        equal.append({"$eq": [key, bound]})
    return {"$expr": {"$or": choices} if len(choices) > 1 else choices[0]}


def after_plain(sort: Sort, position: Sequence[Any]) -> dict[str, Any]:
    """The same for a mongomock, which compares no nulls: right where all values of a key are of one type or null."""
    choices: list[dict[str, Any]] = []
    equal: list[dict[str, Any]] = []
    for (path, direction), value in zip(sort, position, strict=True):
        null = {"$expr": {"$eq": [{"$ifNull": [f"${path}", None]}, None]}}
        if direction > 0:
            beyond = [{"$nor": [null]} if value is None else {path: {"$gt": value}}]
        else:
            beyond = [] if value is None else [{path: {"$lt": value}}, null]
        choices += [{"$and": [*equal, one]} for one in beyond]
        equal.append(null if value is None else {path: value})
    return {"$or": choices}


def bound_value(value: Any) -> Any:
    """A position's value as an expression; never anything but a constant."""
    if value is NOTHING:
        return "$$REMOVE"
    if isinstance(value, BrokenText):
        text = (len(value.raw) + 1).to_bytes(4, "little") + value.raw + b"\0"
        element = b"\x02v\0" + text + b"\0"
        document = RawBSONDocument((len(element) + 4).to_bytes(4, "little") + element)
        return {"$let": {"vars": {"text_": {"$literal": document}}, "in": "$$text_.v"}}
    return {"$literal": value}


def is_plain(position: Sequence[Any]) -> bool:
    """Whether all of it are values that can be bounds of an index."""
    return not any(value is NOTHING or isinstance(value, BrokenText) for value in position)


def position(sort: Sort, document: Mapping[str, Any], raw: bytes = b"") -> list[Any] | None:
    """Where the document stands; None where only the database can say: an array is on the way, or broken text.

    `raw`, the document's BSON where at hand, tells null from the type `undefined`.
    """
    found = []
    for path, _ in sort:
        value: Any = document
        for step in path.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
            if isinstance(value, list):
                return None
        if isinstance(value, str) and _REPLACED in value:
            return None
        if value is None and raw and b"\x06" + path.rpartition(".")[2].encode() + b"\0" in raw:
            return None
        found.append(value)
    return found


SORT_KEY = "docsheet:sort"  # a computed field that says where a document stands


def computed(sort: Sort) -> dict[str, Any]:
    """The projection that adds `SORT_KEY` to a document; an object, in which an empty array's value is missing."""
    return {SORT_KEY: {str(number): sort_value(*key) for number, key in enumerate(sort)}}


def stages(sort: Sort) -> list[dict[str, Any]]:
    """The same order as stages of a pipeline, on `SORT_KEY`, also where a find refuses it (`is_parallel`)."""
    keys = {}
    for number, key in enumerate(sort):
        keys[str(number)] = _whole_value(sort_value(*key))
    order = {f"{SORT_KEY}.keys.{number}": direction for number, (_, direction) in enumerate(sort)}
    return [{"$set": {SORT_KEY: {**computed(sort)[SORT_KEY], "keys": keys}}}, {"$sort": order}]


def _whole_value(value: Any) -> dict[str, Any]:
    """The value in an object, since `$sort` takes an array apart; nothing comes behind MinKey."""
    kind = {"$type": value}
    ranks = [
        {"case": {"$eq": [kind, "minKey"]}, "then": 0},
        {"case": {"$eq": [kind, "missing"]}, "then": 1},
    ]
    return {"rank": {"$switch": {"branches": ranks, "default": 2}}, "value": value}


def read_computed(sort: Sort, document: Mapping[str, Any]) -> list[Any]:
    """The position that `SORT_KEY` holds; decoded with `EXACT`, broken text is kept as it is."""
    found = document[SORT_KEY]
    return [exact(found.get(str(number), NOTHING)) for number in range(len(sort))]


def exact(value: Any) -> Any:
    """A value that `EXACT` decoded: text with bytes that are no UTF-8 as `BrokenText`."""
    if not isinstance(value, str) or value.isascii():
        return value
    raw = value.encode("utf-8", "surrogateescape")
    return value if _is_utf8(raw) else BrokenText(raw)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
