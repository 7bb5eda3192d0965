"""Links that lead nowhere, counted field by field; `docsheet doctor` shows them."""

from dataclasses import dataclass
from typing import Any

from pymongo.database import Database

from app.resources.links import LinkPath
from app.resources.registry import Resource
from app.resources.storing import Document

_VALUE = "value"


@dataclass(frozen=True)
class Dangling:
    """How many links of a field lead to no document, and the `_id` that one of them names."""

    links: int
    example: Any


def count_dangling(
    database: Database[Document], resource: Resource, link: LinkPath, most_ms: int
) -> Dangling | None:
    """The links at a path to which no document belongs; None where there are none.

    Whatever stands in the place of a link and is none counts too. Each linked document is asked
    for once, however many link to it. Raises `PyMongoError` where that takes longer than `most_ms`.
    """
    pipeline = [*_values(link), *_without_document(link.target.collection)]
    collection = database[resource.name]
    for found in collection.aggregate(pipeline, allowDiskUse=True, maxTimeMS=most_ms):
        return Dangling(found["links"], found["example"])
    return None


def _values(link: LinkPath) -> list[Document]:
    """Steps that make one document, `{value}`, of each value that stands for a link."""
    steps: list[Document] = [{"$project": {"_id": 0, _VALUE: "$$ROOT"}}]
    for name in link.path.split("."):
        field = {"$getField": {"field": {"$literal": name}, "input": f"${_VALUE}"}}
        steps.append({"$project": {_VALUE: field}})
        steps.append({"$unwind": f"${_VALUE}"})
    return [*steps, {"$match": {_VALUE: {"$ne": None}}}]


def _without_document(collection: str) -> list[Document]:
    """Steps that count those that name no document of a collection."""
    is_reference = {"$eq": [_part("$ref"), collection]}
    return [
        {
            "$group": {
                "_id": {"$cond": [is_reference, _part("$id"), f"${_VALUE}"]},
                "n": {"$sum": 1},
            }
        },
        {
            "$lookup": {
                "from": collection,
                "localField": "_id",
                "foreignField": "_id",
                "pipeline": [{"$project": {"_id": 1}}],
                "as": "documents",
            }
        },
        {"$match": {"documents": []}},
        {"$group": {"_id": None, "links": {"$sum": "$n"}, "example": {"$first": "$_id"}}},
    ]


def _part(name: str) -> Document:
    """A part of a reference, whose names no path can say; missing where the value is no object."""
    is_object = {"$eq": [{"$type": f"${_VALUE}"}, "object"]}
    part = {"$getField": {"field": {"$literal": name}, "input": f"${_VALUE}"}}
    return {"$cond": [is_object, part, None]}
