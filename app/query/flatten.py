"""Column paths → a projection by which the database does the flattening, and where the values are then.

A computed field costs the database less than a nested document costs whoever decodes it. It is right only where the
parents are objects: a parent that is an array makes the value an array, or fails (error 28689). `marks` finds the first
in a reply's bytes, and then, as after the error, the documents are read as they are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Step = str | int | None  # the name of a field, the number of an element, every element
Steps = tuple[Step, ...]
NOT_AN_ARRAY = 28689  # the error of $arrayElemAt


@dataclass(frozen=True)
class Flattening:
    """`steps` are those of each column in the projected documents."""

    projection: dict[str, Any]
    steps: tuple[Steps, ...]
    marks: tuple[bytes, ...]


def flatten(columns: Sequence[tuple[Steps, bool]]) -> Flattening:
    """The flattening of columns, each given by its steps and whether its cells hold lists."""
    computed: dict[str, str] = {}
    projection: dict[str, Any] = {}
    steps: list[Steps] = []
    included: list[Steps] = []
    for path, many in columns:
        head = _head(path)
        number = path[len(head)] if len(path) > len(head) else ""
        if len(path) == 1 or many or number is None:
            included.append(path)
            steps.append(path)
            continue
        dotted = "$" + ".".join(head)
        expression: Any = _element(head, number) if isinstance(number, int) else dotted
        name = computed.setdefault(repr(expression), f"~{len(computed)}")
        projection[name] = expression
        steps.append((name, *path[len(head) + 1 :]))
    marks = tuple(b"\x04" + name.encode() + b"\0" for name in projection)  # the type byte of an array, then its name
    return Flattening({**inclusion(included), **projection}, tuple(steps), marks)


def _element(head: tuple[str, ...], number: int) -> dict[str, Any]:
    """One element of a list; none where the parent is an array, of whose elements it would be a mixture."""
    whole: Any = "$" + ".".join(head)
    if len(head) > 1:
        whole = {"$cond": [{"$isArray": "$" + ".".join(head[:-1])}, None, whole]}
    return {"$arrayElemAt": [whole, number]}


def inclusion(paths: Iterable[Steps]) -> dict[str, Any]:
    """The projection that keeps these paths, as far as they are names; of two that overlap the wider one counts."""
    dotted = sorted({".".join(_head(path)) for path in paths})
    kept: dict[str, Any] = {}
    for path in dotted:
        if not any(path.startswith(f"{wider}.") for wider in kept):
            kept[path] = 1
    return kept


def _head(path: Steps) -> tuple[str, ...]:
    names = []
    for step in path:
        if not isinstance(step, str):
            break
        names.append(step)
    return tuple(names)
