"""How a document is called where another one links to it: by its first unique text, else its first.

Where it has none, by its `_id`.
"""

from functools import lru_cache
from typing import Any

from app.resources.registry import Resource


@lru_cache(maxsize=256)
def find_name_path(resource: Resource) -> str | None:
    """The field by which documents of a resource are called; None where that is the `_id`."""
    texts = [
        found.path
        for found in resource.shape.list_flat()
        if found.field.kind == "text" and not found.field.many and found.path != "_id"
    ]
    unique = {
        next(iter(index.document["key"]))
        for index in resource.indexes
        if index.document.get("unique") and len(index.document["key"]) == 1
    }
    return next((path for path in texts if path in unique), texts[0] if texts else None)


def name_document(resource: Resource, document: dict[str, Any]) -> str:
    """What a document is called."""
    path = find_name_path(resource)
    value: Any = document
    for step in path.split(".") if path else ():
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, str) and value else str(document.get("_id"))
