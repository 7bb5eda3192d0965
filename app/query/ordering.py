"""The order of documents: what was asked, made total, and what comes after a position.

The order is MongoDB's sort order
(https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/): types in their fixed
order, missing equal to null, an array by its least element ascending and its greatest descending.
`$gt` in a filter stays within one type, so the condition is an `$expr`, which compares as the sort
does.

A position is a BSON document with one value for each key of the sort, `k0` and on, each exactly as
MongoDB sent it (`elements`): what the driver would make of it may not be encoded as it came. An
empty array's value is missing there, for it comes before null.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from app.resources import elements
from app.resources.codec import CODEC

Sort = tuple[tuple[str, int], ...]  # (path, 1 or -1), a total order
MAX_KEYS = 32  # of a sort in MongoDB, `_id` included
CACHE_SIZE = 1_024  # sorts of which is kept what follows from them
SORT_KEY = "docsheet:sort"  # a computed field that holds a document's position
_MARK = SORT_KEY.encode() + b"\0"
_ORDER = "docsheet:order"  # the same with the least of all values for what is missing
_WHOLE = "docsheet:whole"  # the whole document, which decides between equals
HIDDEN = (_ORDER, _WHOLE)
# Decodes whatever is stored, and loses nothing of its texts.
EXACT: CodecOptions[Any] = CODEC.with_options(
    unicode_decode_error_handler="surrogateescape",
    uuid_representation=UuidRepresentation.UNSPECIFIED,
)


@dataclass(frozen=True)
class Index:
    """An existing index that can serve a sort: none that is partial, sparse or hidden.

    Nor one of another collation.
    """

    name: str
    keys: Sort
    unique: bool = False
    clustered: bool = False  # the collection itself: MongoDB enters it forward only


def find_serving(sort: Sort, indexes: Sequence[Index]) -> tuple[Index, bool] | None:
    """The index that has the sort's order, and whether it is read backwards.

    None where none has it.
    """
    backwards = reverse(sort)
    for index in indexes:
        if index.keys == sort or (index.keys == backwards and not index.clustered):
            return index, index.keys == backwards
    return None


@lru_cache(maxsize=CACHE_SIZE)
def reverse(sort: Sort) -> Sort:
    """The sort from its end.

    An array has another place in it: its greatest element says where it stands, not its least.
    """
    return tuple((path, -direction) for path, direction in sort)


@lru_cache(maxsize=CACHE_SIZE)
def add_id(keys: Sort) -> Sort:
    """The sort with `_id` behind it, which makes it a total order, whatever indexes stand."""
    paths = [path for path, _ in keys]
    return keys[: paths.index("_id") + 1] if "_id" in paths else (*keys, ("_id", 1))


def complete(keys: Sort, indexes: Sequence[Index]) -> Sort:
    """The sort with `_id` behind it, unless its keys decide alone; an index of these serves."""
    paths = {path for path, _ in keys}
    if "_id" not in paths and any(
        index.unique and {path for path, _ in index.keys} <= paths for index in indexes
    ):
        return keys
    return add_id(keys)


def sort_value(path: str, direction: int) -> Any:
    """The aggregation expression of what a document sorts by at this path."""
    steps = path.split(".")
    parents = [{"$isArray": "$" + ".".join(steps[:number])} for number in range(1, len(steps))]
    plain = _take_first(f"${path}", direction)
    return (
        {"$cond": [{"$or": parents}, _through_arrays(steps, direction), plain]}
        if parents
        else plain
    )


def _take_first(value: Any, direction: int) -> Any:
    """The value itself, of an array its least or greatest element; null where it is missing."""
    there = {
        "$cond": [
            {"$isArray": "$$value_"},
            _take_extreme("$$value_", direction),
            {"$ifNull": ["$$value_", None]},
        ]
    }
    # `undefined`, a type of old, sorts as an empty array does.
    nothing = {"$eq": [{"$type": "$$value_"}, "undefined"]}
    return {"$let": {"vars": {"value_": value}, "in": {"$cond": [nothing, "$$REMOVE", there]}}}


def _take_extreme(values: Any, direction: int) -> Any:
    """The least or greatest element by the sort's order; missing where there is none.

    ($min and $max skip null.)
    """
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
    """The same where a parent is an array.

    Each element that is no object counts as null, as an empty array does.
    """
    values: Any = {"$cond": [{"$isArray": f"${steps[0]}"}, f"${steps[0]}", [f"${steps[0]}"]]}
    values = _expand([values], empty=[None])
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
            values = _expand(values, empty=[None])
    found: Any = {
        "$let": {
            "vars": {"all_": _expand("$$values_", empty=[])},
            "in": _take_extreme("$$all_", direction),
        }
    }
    if direction > 0:
        found = {"$cond": [{"$in": [[], "$$values_"]}, "$$REMOVE", found]}
    return {"$let": {"vars": {"values_": values}, "in": found}}


def _expand(values: Any, empty: list[Any]) -> Any:
    """The values with those that are arrays replaced by their elements."""
    elements = {"$cond": [{"$eq": ["$$this", []]}, empty, "$$this"]}
    one = {"$cond": [{"$isArray": "$$this"}, elements, ["$$this"]]}
    return {
        "$reduce": {"input": values, "initialValue": [], "in": {"$concatArrays": ["$$value", one]}}
    }


def name_of_key(number: int) -> str:
    """The name that the value of a key has in a position."""
    return f"k{number}"


def position(sort: Sort, raw: bytes, begin: int = 0) -> bytes | None:
    """Where the document that begins there stands; None where only the database can say.

    That is so where an array is on the way to a key. A page read with `compute` says it itself,
    unless that was to say so `only_plain`.
    """
    if raw.find(_MARK, begin) >= 0:  # quicker than to walk all fields of each document
        computed_ = elements.field(raw, SORT_KEY, begin)
        if computed_ is not None:
            return computed_[1:] or None
    fields = []
    for number, (path, _) in enumerate(sort):
        value = elements.value_at(raw, path, begin)
        if value is None:
            return None
        if value[0] != elements.UNDEFINED:
            fields.append((name_of_key(number), value))
    return elements.make_document(fields)


def values(sort: Sort, place: bytes) -> list[bytes | None]:
    """The value of each key; None for what sorts as an empty array."""
    return [elements.field(place, name_of_key(number)) for number in range(len(sort))]


def decode(sort: Sort, place: bytes) -> list[Any]:
    """The same as Python's objects."""
    found = bson.decode(place, EXACT)
    return [found.get(name_of_key(number)) for number in range(len(sort))]


def is_same(sort: Sort, one: bytes, other: bytes) -> bool:
    """Whether two positions are equal in MongoDB's order, where numbers of all types compare."""
    pairs = zip(values(sort, one), values(sort, other), strict=True)
    return all(left == right or _is_same_number(left, right) for left, right in pairs)


def _is_same_number(one: bytes | None, other: bytes | None) -> bool:
    if not one or not other or not {one[0], other[0]} <= elements.NUMBERS:
        return False
    return bool(_number(one) == _number(other))


def _number(value: bytes) -> Any:
    number = bson.decode(elements.make_document([("", value)]))[""]
    return number.to_decimal() if isinstance(number, bson.Decimal128) else number


def is_end(sort: Sort, place: bytes) -> bool:
    """Whether nothing can come behind it: each key is the last of all values."""
    return all(
        value == end_value(direction)
        for (_, direction), value in zip(sort, values(sort, place), strict=True)
    )


def end_value(direction: int) -> bytes:
    """The last value of a key in that direction."""
    return elements.MAX_KEY if direction > 0 else elements.MIN_KEY


def after(
    sort: Sort, place: bytes, *, inclusive: bool = False, backwards: bool = False
) -> dict[str, Any]:
    """The condition of documents behind the position: k1 > v1, or k1 = v1 and k2 > v2, and so on.

    `inclusive` takes those at the position itself as well; `backwards` those before it.
    """
    keys = [(sort_value(*key), f"$$at_.{name_of_key(n)}") for n, key in enumerate(sort)]
    choices = []
    equal: list[Any] = []
    for (key, bound), (_, direction) in zip(keys, sort, strict=True):
        beyond = {"$gt" if (direction > 0) != backwards else "$lt": [key, bound]}
        choices.append({"$and": [*equal, beyond]} if equal else beyond)
        equal.append({"$eq": [key, bound]})
    if inclusive:
        choices.append({"$and": equal})
    return _compare(place, {"$or": choices})


def at(sort: Sort, place: bytes) -> dict[str, Any]:
    """The condition of documents at the position itself."""
    equal = [{"$eq": [sort_value(*key), f"$$at_.{name_of_key(n)}"]} for n, key in enumerate(sort)]
    return _compare(place, {"$and": equal})


def _compare(place: bytes, condition: dict[str, Any]) -> dict[str, Any]:
    position = {"at_": {"$literal": RawBSONDocument(place)}}
    return {"$expr": {"$let": {"vars": position, "in": condition}}}


def after_id(direction: int, value: bytes, *, inclusive: bool = False) -> dict[str, Any]:
    """The same by `_id` alone, as MongoDB finds it in the index of `_id`; not for views.

    https://www.mongodb.com/docs/manual/reference/operator/query/expr/ says which comparisons do.
    """
    operator = ("$gt" if direction > 0 else "$lt") + ("e" if inclusive else "")
    literal = RawBSONDocument(elements.make_document([("$literal", value)]))
    return {"$expr": {operator: ["$_id", literal]}}


def make_bound(sort: Sort, place: bytes) -> RawBSONDocument | None:
    """The position as a `min` or `max` of an index; None where an index can't be entered there."""
    fields = []
    for (path, _), value in zip(sort, values(sort, place), strict=True):
        if value is None:
            return None
        fields.append((path, value))
    return RawBSONDocument(elements.make_document(fields))


def after_plain(sort: Sort, position: Sequence[Any]) -> dict[str, Any]:
    """The same as `after` for a mongomock, which compares no nulls.

    Right where all values of a key are of one type or null.
    """
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


def compute(sort: Sort, *, is_view: bool, only_plain: bool = False) -> dict[str, Any]:
    """The projection that adds a document's position to it.

    The `_id` of a collection's document is its own place; only a view's may be an array, or none.
    `only_plain` gives null where an array is on the way to a key.
    """
    found = {name_of_key(n): sort_value(*key) for n, key in enumerate(sort)}
    if sort and sort[-1][0] == "_id" and not is_view:
        found[name_of_key(len(sort) - 1)] = "$_id"
    if only_plain:
        return {SORT_KEY: {"$cond": [_has_arrays(sort), None, found]}}
    return {SORT_KEY: found}


def _has_arrays(sort: Sort) -> dict[str, Any]:
    steps = [path.split(".") for path, _ in sort]
    paths = [".".join(one[:number]) for one in steps for number in range(1, len(one) + 1)]
    return {"$or": [{"$isArray": f"${path}"} for path in dict.fromkeys(paths)]}


def stages(
    sort: Sort, *, whole_documents: bool = False, backwards: bool = False
) -> list[dict[str, Any]]:
    """The order as stages of a pipeline, `backwards` from its end.

    Unlike a find it takes documents with arrays at two keys ("parallel arrays"), and compares all
    values as `after` does. `whole_documents` gives those at one position an order, too. The
    documents keep `SORT_KEY`; `HIDDEN` is to be projected out.
    """
    keys = {}
    for number, key in enumerate(sort):
        keys[name_of_key(number)] = _wrap_value(sort_value(*key))
    walk = reverse(sort) if backwards else sort
    order = {f"{_ORDER}.{name_of_key(n)}": direction for n, (_, direction) in enumerate(walk)}
    added = {**compute(sort, is_view=True), _ORDER: keys}
    if whole_documents:
        added[_WHOLE] = "$$ROOT"
        order[_WHOLE] = -1 if backwards else 1
    return [{"$set": added}, {"$sort": order}]


def _wrap_value(value: Any) -> dict[str, Any]:
    """The value in an object, since `$sort` takes an array apart; nothing comes behind MinKey."""
    kind = {"$type": value}
    ranks = [
        {"case": {"$eq": [kind, "minKey"]}, "then": 0},
        {"case": {"$eq": [kind, "missing"]}, "then": 1},
    ]
    return {"rank": {"$switch": {"branches": ranks, "default": 2}}, "value": value}
