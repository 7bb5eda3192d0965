"""The columns of a table: paths with their titles, grouped by the model that nests them."""

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from app.pages.cells import MISSING, Missing
from app.pages.titles import describe, title_of, title_whole
from app.query.sorting import can_sort
from app.resources.fields import Field
from app.resources.kinds import KINDS
from app.resources.links import split_title
from app.resources.registry import Resource

_NEVER_ODD = {list, Missing, datetime.date}  # a date is shown of what is stored as midnight
_USUAL = {  # the types of values that are not odd, none where there is no such thing
    name: {*kind.shown, *_NEVER_ODD} if kind.shown else set() for name, kind in KINDS.items()
}
FIRST = 8  # columns of a table that nobody has chosen


@dataclass(frozen=True)
class Column:
    """One column: `group` is the path of the models around it, empty at the top."""

    path: str
    title: str
    description: str
    group: str
    field: Field
    can_sort: bool

    @property
    def kind(self) -> str:
        """The name of the field's kind, `list` where there may be several."""
        return "list" if self.field.many else self.field.kind

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers, which stand at the right."""
        return not self.field.many and self.field.kind in ("int", "float", "decimal")

    def is_odd(self, value: Any) -> bool:
        """Whether a value is of another type than the model says, so that no filter finds it."""
        usual = _USUAL[self.field.kind]
        return bool(usual) and type(value) not in usual

    def make_finder(self) -> Callable[[Any], Any]:
        """What finds the value of a document, `MISSING` where there is none."""
        steps = self.path.split(".")
        if len(steps) == 1:
            return lambda document: document.get(steps[0], MISSING)

        def find(value: Any) -> Any:
            for step in steps:
                value = _step(value, step)
            return value

        return find


def _step(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return value.get(step, MISSING)
    if isinstance(value, list):
        found = [_step(one, step) for one in value]
        return [one for one in found if one is not MISSING]
    return MISSING


def choose_columns(resource: Resource, fields: Sequence[str] | None) -> tuple[Column, ...]:
    """The columns of a table: those of `fields`, else the first of the model's own."""
    if fields is None:
        return _first_columns(resource)
    return tuple(_columns_of(resource, fields))


@lru_cache(maxsize=256)
def _first_columns(resource: Resource) -> tuple[Column, ...]:
    declared = [split_title(resource.shape, {}, one)[0] for one in resource.options.columns]
    paths = [path for path in declared if resource.shape.find(path) is not None]
    every = paths or [found.path for found in resource.shape.list_flat() if found.path != "_id"]
    return tuple(_columns_of(resource, every[:FIRST]))


def list_columns(resource: Resource) -> tuple[Column, ...]:
    """Every column that a table may have, in declared order."""
    return tuple(_columns_of(resource, [found.path for found in resource.shape.walk()]))


def _columns_of(resource: Resource, paths: Sequence[str]) -> Iterator[Column]:
    columns = (make_column(resource, path) for path in paths)
    return (column for column in columns if column is not None)


@lru_cache(maxsize=4096)
def make_column(resource: Resource, path: str) -> Column | None:
    """The column of a path, None where that leads to no field."""
    shape = resource.shape
    found = shape.find(path)
    if found is None:
        return None
    words = title_of(shape, path), describe(shape, path)
    return Column(path, *words, path.rpartition(".")[0], found.field, can_sort(found))


@dataclass(frozen=True)
class Group:
    """Columns beside each other that are of one nested model."""

    title: str
    columns: tuple[Column, ...]


def group_columns(resource: Resource, columns: Sequence[Column]) -> Sequence[Group]:
    """The columns in groups, those at the top with an empty title."""
    return _group_columns(resource, tuple(column.path for column in columns))


@lru_cache(maxsize=256)
def _group_columns(resource: Resource, paths: tuple[str, ...]) -> Sequence[Group]:
    groups: list[Group] = []
    for column in _columns_of(resource, paths):
        title = title_whole(resource.shape, column.group)
        if groups and groups[-1].title == title:
            groups[-1] = Group(title, (*groups[-1].columns, column))
        else:
            groups.append(Group(title, (column,)))
    return groups
