"""The most frequent values of a field, counted where that is quick.

https://www.mongodb.com/docs/manual/reference/operator/aggregation/group/
"""

from dataclasses import dataclass
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from app.query.conditions import Filter
from app.resources.storing import Document
from app.store.codes import Code
from app.store.documents import Documents

MOST_DOCUMENTS = 50_000  # of a collection in which values are counted at all
MILLISECONDS = 300  # that the database works on one field
_TOO_MUCH = frozenset(
    {
        Code.MaxTimeMSExpired,
        Code.ExceededMemoryLimit,
        Code.QueryExceededMemoryLimitNoDiskUseAllowed,
    }
)


@dataclass(frozen=True)
class Frequencies:
    """The most frequent values with their counts, of so many `distinct` ones; null for no value."""

    values: tuple[tuple[Any, int], ...]
    distinct: int


def count_frequencies(
    documents: Documents, condition: Filter, path: str, *, may_be_list: bool, most: int
) -> Frequencies | None:
    """How often the values at a path are there; None where it would take too long to count.

    An element that a list has twice counts once.
    """
    try:
        if documents.estimate() > MOST_DOCUMENTS:
            return None
        steps = [*_select(condition, path, may_be_list), *_count(most)]
        return _ask(documents.collection, steps)
    except OperationFailure as error:
        if error.code not in _TOO_MUCH:
            raise
        return None


def _select(condition: Filter, path: str, may_be_list: bool) -> list[Document]:
    """Steps that make one document, `{value}`, of each value."""
    value: Any = f"${path}"
    if may_be_list:
        value = {"$cond": [{"$isArray": value}, {"$setUnion": [value, []]}, [value]]}
    steps: list[Document] = [{"$match": condition}, {"$project": {"_id": 0, "value": value}}]
    return [*steps, {"$unwind": "$value"}] if may_be_list else steps


def _count(most: int) -> list[Document]:
    """Steps that count them; `null` and nothing are one value."""
    value = {"$ifNull": ["$value", None]}
    frequent = [{"$sort": {"count": -1, "_id": 1}}, {"$limit": most}]
    return [
        {"$group": {"_id": value, "count": {"$sum": 1}}},
        {"$facet": {"frequent": frequent, "distinct": [{"$count": "number"}]}},
    ]


def _ask(collection: Collection[Any], steps: list[Document]) -> Frequencies:
    (found,) = collection.aggregate(steps, maxTimeMS=MILLISECONDS)
    values = tuple((one["_id"], one["count"]) for one in found["frequent"])
    return Frequencies(values, found["distinct"][0]["number"] if values else 0)
