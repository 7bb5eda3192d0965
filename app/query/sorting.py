"""The text of a `sort` → its keys."""

from collections.abc import Iterable

from app.query import ordering
from app.resources.fields import FieldPath
from app.resources.kinds import Filters
from app.resources.links import first_link
from app.resources.registry import Resource
from app.spelling import suggest_nearest


def read_sort(resource: Resource, text: str) -> Iterable[tuple[str, int]]:
    """The keys of `-profile.age,name`; raises `ValueError` with a sentence."""
    if not text.strip():
        return
    seen: set[str] = set()
    for part in text.split(","):
        path, direction = _key(part.strip())
        if not path:
            raise ValueError("one key is empty; a sort looks like -profile.age,name")
        found = resource.shape.find(path)
        if found is None and _reaches_through(resource, path):
            raise ValueError(
                f"{path!r} reaches through a link to another document; sort by a field of this one"
            )
        if found is None:
            raise ValueError(f"there is no field {path!r}.{_suggest(resource, path)}".rstrip("."))
        if problem := _problem(found):
            raise ValueError(f"{path!r} {problem}")
        if path in seen:
            raise ValueError(f"{path!r} is given twice")
        seen.add(path)
        if len(seen) == ordering.MAX_KEYS:
            raise ValueError(f"MongoDB sorts by at most {ordering.MAX_KEYS - 1} keys, and `_id`")
        yield path, direction


def _reaches_through(resource: Resource, path: str) -> bool:
    link, rest = first_link(resource.shape, path)
    return link is not None and bool(rest)


def _key(part: str) -> tuple[str, int]:
    direction = -1 if part.startswith("-") else 1
    return part[1:].strip() if part[:1] in ("+", "-") else part, direction


def can_sort(found: FieldPath) -> bool:
    """Whether documents can be sorted by this."""
    return _problem(found) is None


def _problem(found: FieldPath) -> str | None:
    """Why documents can't be sorted by this; None where they can."""
    if found.through_list or found.field.many:
        return "goes through a list, which has no one place in an order"
    is_object = found.field.filters == Filters.PRESENCE and not found.field.of_models
    if is_object or found.field.has_excluded:
        return "holds objects; sort by one of its fields"
    return None


def _suggest(resource: Resource, path: str) -> str:
    walked = resource.shape.walk(unions=True)
    sortable = [found.path for found in walked if _problem(found) is None]
    return suggest_nearest(path, sortable)
