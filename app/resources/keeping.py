"""The parts of a stored document that a new one in its place keeps, byte for byte.

A `Kept` is a tree by name: `KEPT` for what stays as it is stored, missing if it is missing there,
or the same of what is inside.
"""

from typing import Any, Literal

from app.resources.elements import ARRAY, OBJECT, Element, elements, join_elements
from app.resources.faults import Steps

KEPT: Literal["kept"] = "kept"
Kept = dict[str, Any]  # by name `KEPT`, or a `Kept`


def is_kept(steps: Steps, kept: Any) -> bool:
    """Whether the value at this place, or one around it, is kept."""
    for step in steps:
        kept = kept.get(str(step))
        if kept is None or kept is KEPT:
            break
    return kept is KEPT


def merge_kept(one: Kept, other: Kept) -> Kept:
    """What either of them keeps."""
    merged = {**one, **other}
    for name in one.keys() & other.keys():
        if KEPT in (one[name], other[name]):
            merged[name] = KEPT
        else:
            merged[name] = merge_kept(one[name], other[name])
    return merged


def keep_stored(new: bytes, old: bytes, kept: Kept) -> bytes:
    """The new object, given as its BSON, with the kept elements of the old one."""
    stored = {element.name.decode(errors="replace"): element for element in elements(old)}
    left = dict(kept)
    parts = []
    for element in elements(new):
        inner = left.pop(element.name.decode(errors="replace"), None)
        parts.append(_keep_element(new, element, old, stored, inner))
    for name, inner in left.items():
        if inner is KEPT and name in stored:
            parts.append(old[stored[name].begin : stored[name].end])
    return join_elements(parts)


def _keep_element(
    new: bytes, element: Element, old: bytes, stored: dict[str, Element], kept: Any
) -> bytes:
    there = stored.get(element.name.decode(errors="replace"))
    if kept is KEPT:
        return old[there.begin : there.end] if there is not None else b""
    if kept is None or there is None or not {element.kind, there.kind} <= {OBJECT, ARRAY}:
        return new[element.begin : element.end]
    values = new[element.value : element.end], old[there.value : there.end]
    return new[element.begin : element.value] + keep_stored(*values, kept)
