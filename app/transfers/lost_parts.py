"""Lists of a file of documents that only lack what the stored ones have: parts of their elements.

    stored [{"city": "Bonn", "street": "Am Hof"}], sent [{"city": "Bonn"}]  →  `addresses.street`

A list replaces the stored one, so an export of some columns (`columns=_id,addresses.city`), sent
back, would take the other fields away, which nobody asked for. Whoever does sends null.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from app.resources.fields import Shape
from app.resources.storing import Document

Elements = Sequence[Document]
_NUMBERS = {int, float}
_NOTHING: tuple[Any, ...] = (None, "", [], {})  # what can't be lost


def list_parts(
    sent: Document, shown: Document, shape: Shape, above: str = ""
) -> Iterator[tuple[str, Shape]]:
    """The lists of models that only have parts of what is shown of the stored ones.

    For each its path, and the shape of its elements.
    """
    for name, value in sent.items():
        field, old = shape.fields.get(name), shown.get(name)
        if field is None or field.shape is None or not value or value == old:
            continue
        if field.many and _is_part(value, old):
            yield above + name, field.shape
        elif type(value) is dict and type(old) is dict:
            yield from list_parts(value, old, field.shape, f"{above}{name}.")


def has_lists(patch: Document) -> bool:
    """Whether a patch replaces a list, so that it may have only parts of its elements."""
    return any(
        type(value) is list or (type(value) is dict and has_lists(value))
        for value in patch.values()
    )


def _is_part(value: Any, old: Any) -> bool:
    """Whether all that was sent is stored as well; lists with as many elements."""
    if type(value) is dict and type(old) is dict:
        return all(_is_part(inner, old.get(name)) for name, inner in value.items())
    if type(value) is list and type(old) is list:
        return len(value) == len(old) and all(map(_is_part, value, old))
    are_numbers = {type(value), type(old)} <= _NUMBERS
    return (are_numbers or type(value) is type(old)) and bool(value == old)


def find_lost(sent: Elements, before: Elements, after: Elements, shape: Shape) -> str | None:
    """The first field, as a dotted path, that all sent elements lack and that stored ones lose."""
    for name, field in shape.fields.items():
        stored, left = ([one.get(name) for one in elements] for elements in (before, after))
        pairs = zip(stored, left, strict=False)
        if all(one in _NOTHING or one == other for one, other in pairs):
            continue
        if all(name not in element for element in sent):
            return name
        if field.shape is None:
            continue
        first, second, third = (
            list(_list_objects(elements, name)) for elements in (sent, before, after)
        )
        below = find_lost(first, second, third, field.shape)
        if below is not None:
            return f"{name}.{below}"
    return None


def _list_objects(elements: Elements, name: str) -> Iterator[Document]:
    for element in elements:
        value = element.get(name)
        for one in value if type(value) is list else [value]:
            if type(one) is dict:
                yield one
