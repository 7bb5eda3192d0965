"""Column paths → a projection by which the database flattens, and where the values are then.

A computed field costs the database less than a nested document costs whoever decodes it, and texts
side by side cost least as one text, a run, with `SEPARATOR` between its cells. That is right only
where the parents are objects and the texts are texts: `$concat` and `$arrayElemAt` fail for others,
`Flattening.is_true_of` finds the rest in a reply's bytes, and then the documents are read as they
are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from app.resources.elements import ARRAY

Step = str | int | None  # the name of a field, the number of an element, every element
Steps = tuple[Step, ...]
# No end of it is its beginning: an occurrence in a text can't hide one between two texts.
SEPARATOR = "\x1e\x1f\x1f"


@dataclass(frozen=True)
class Wanted:
    """A column: the steps to its values, whether cells hold lists, whether the model has texts."""

    steps: Steps
    many: bool
    text: bool


@dataclass(frozen=True)
class Place:
    """Where in a projected document the next columns' values are: of one, or a run of `width`."""

    steps: Steps
    width: int = 1


@dataclass(frozen=True)
class Flattening:
    """A projection, and where it puts the columns. It is no gain where it computes nothing."""

    projection: dict[str, Any]
    places: tuple[Place, ...]
    computed: tuple[str, ...]

    def is_true_of(self, raw: bytes, documents: int) -> bool:
        """Whether these projected documents, as BSON, show what the documents have."""
        for name in self.computed:
            if bytes([ARRAY]) + name.encode() + b"\0" in raw:
                return False
        separators = sum(place.width - 1 for place in self.places)
        return not separators or raw.count(SEPARATOR.encode()) == separators * documents

    def columns_of(self, values: Iterable[list[Any]]) -> list[list[Any]]:
        """The values of each column, of those that the projected documents have at each place."""
        columns: list[list[Any]] = []
        for place, found in zip(self.places, values, strict=True):
            if place.width == 1:
                columns.append(found)
            else:
                cells = SEPARATOR.join(found).split(SEPARATOR) if found else []
                columns += (cells[position :: place.width] for position in range(place.width))
        return columns


def flatten(columns: Sequence[Wanted]) -> Flattening:
    """The flattening of columns."""
    computed: dict[str, str] = {}
    projection: dict[str, Any] = {}
    places: list[Place] = []
    included: list[Steps] = [("_id",)]

    def compute(expression: Any) -> str:
        name = computed.setdefault(repr(expression), f"~{len(computed)}")
        projection[name] = expression
        return name

    for joinable, group in groupby(columns, _is_joinable):
        run = list(group)
        if joinable and len(run) > 1:
            places.append(Place((compute(_join([column.steps for column in run])),), len(run)))
            continue
        for column in run:
            path, head = column.steps, _head(column.steps)
            if len(path) == 1 or column.many or (len(path) > len(head) and path[len(head)] is None):
                included.append(path)
                places.append(Place(path))
            else:
                expression, rest = _value(path)
                places.append(Place((compute(expression), *rest)))
    return Flattening({**inclusion(included), **projection}, tuple(places), tuple(projection))


def _is_joinable(column: Wanted) -> bool:
    numbers = [step for step in column.steps if not isinstance(step, str)]
    return (
        column.text
        and not column.many
        and (not numbers or (len(numbers) == 1 and numbers[0] is not None))
    )


def _join(paths: list[Steps]) -> dict[str, Any]:
    """The texts at the paths as one; missing and null are the empty text."""
    elements: dict[str, tuple[str, Any]] = {}
    parts: list[Any] = []
    for path in paths:
        value, rest = _value(path)
        if not isinstance(value, str):
            name, _ = elements.setdefault(repr(value), (f"e{len(elements)}", value))
            value = ".".join((f"$${name}", *map(str, rest)))
        parts += [SEPARATOR, {"$ifNull": [value, ""]}]
    text = {"$concat": parts[1:]}
    return {"$let": {"vars": dict(elements.values()), "in": text}} if elements else text


def _value(path: Steps) -> tuple[Any, Steps]:
    """What the database computes of a path, and the steps from there on.

    It is the value, or the first numbered element.
    """
    head = _head(path)
    if len(head) == len(path):
        return "$" + ".".join(head), ()
    number = path[len(head)]
    assert isinstance(number, int)
    return _element(head, number), path[len(head) + 1 :]


def _element(head: tuple[str, ...], number: int) -> dict[str, Any]:
    """One element of a list.

    None where the parent is an array, of whose elements it would be a mixture.
    """
    whole: Any = "$" + ".".join(head)
    if len(head) > 1:
        whole = {"$cond": [{"$isArray": "$" + ".".join(head[:-1])}, None, whole]}
    return {"$arrayElemAt": [whole, number]}


def inclusion(paths: Iterable[Steps]) -> dict[str, Any]:
    """The projection that keeps these paths, as far as they are names.

    Of two that overlap the wider one counts.
    """
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
