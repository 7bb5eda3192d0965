"""The cells of a row → nested JSON, by the paths of their columns."""

from collections.abc import Sequence
from typing import Any

from app.query.flatten import Steps
from app.resources.fields import Field

Place = tuple[str, Steps, Field]  # a column: its path, the steps to it, the field that is there


class Nest:
    """What stands at one step of the paths: an object, or a list where the next steps are numbers.

    Made once for the columns of a file: rows are many.
    """

    def __init__(self, places: Sequence[Place], depth: int = 0) -> None:
        below: dict[Any, list[Place]] = {}
        for place in places:
            below.setdefault(place[1][depth], []).append(place)
        self._is_list = isinstance(next(iter(below)), int)
        self._children: list[tuple[Any, str, Nest | None]] = []
        self._gap: Any = None  # for the elements of a list that have nothing
        for step, inner in below.items():
            path, steps, known = inner[0]
            nest = Nest(inner, depth + 1) if len(steps) > depth + 1 else None
            self._children.append((step, path, nest))
            self._gap = nest.nothing() if nest else "" if known.kind == "text" else None

    def nothing(self) -> Any:
        """An empty object, or an empty list."""
        return [] if self._is_list else {}

    def build(self, values: dict[str, Any]) -> Any:
        """The object or the list that a row's values make, by path; None where it has none."""
        found: dict[Any, Any] = {}
        for step, path, nest in self._children:
            if nest is None:
                if path in values:
                    found[step] = values[path]
                continue
            inner = nest.build(values)
            if inner is not None:
                found[step] = inner
        if not found:
            return None
        return self._make_list(found) if self._is_list else found

    def _make_list(self, found: dict[int, Any]) -> list[Any]:
        """A list as long as the last element that has something."""
        length = max(found) + 1
        if length == len(found):
            return [found[number] for number in range(length)]
        return [found[n] if n in found else self._copy_of_gap() for n in range(length)]

    def _copy_of_gap(self) -> Any:
        return type(self._gap)() if isinstance(self._gap, list | dict) else self._gap
