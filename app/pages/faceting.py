"""Which fields have a list of their values beside the table."""

from functools import lru_cache

from app.resources.fields import FieldPath
from app.resources.registry import Resource

MAX_FACETS = 12  # lists beside a table
MOST_COUNTED = 6  # lists whose values are counted
TIMES = ("datetime", "date")


@lru_cache(maxsize=256)
def list_fields(resource: Resource) -> tuple[FieldPath, ...]:
    """The fields that have lists, known ones first as they are declared."""
    every = [found for found in resource.shape.walk() if _has_list(resource, found)]
    known = [found for found in every if not is_counted(found)]
    counted = [found for found in every if is_counted(found)][:MOST_COUNTED]
    listed = {found.path for found in [*known, *counted][:MAX_FACETS]}
    return tuple(found for found in every if found.path in listed)


def is_counted(found: FieldPath) -> bool:
    """Whether the values of a field are known to the database alone."""
    kind = found.field.kind
    return kind == "link" or (kind == "text" and not found.field.choices)


def _has_list(resource: Resource, found: FieldPath) -> bool:
    field = found.field
    if found.path == "_id" or found.path in _list_unique(resource):
        return False
    if field.kind in TIMES:
        return not found.through_list and not field.many
    return bool(field.choices) or field.kind == "bool" or is_counted(found)


def _list_unique(resource: Resource) -> set[str]:
    """The fields of which no two documents have one value."""
    keys = [index.document for index in resource.indexes if index.document.get("unique")]
    return {next(iter(one["key"])) for one in keys if len(one["key"]) == 1}
