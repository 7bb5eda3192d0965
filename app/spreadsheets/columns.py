"""Documents → column-major values: which columns a sheet has, and where their values are.

A batch of documents becomes one list of values for each column, all of one length; None where there
is no value.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain, islice, repeat
from operator import itemgetter
from typing import Any
from urllib.parse import unquote

from pydantic import BaseModel

from app.errors import Fault, Invalid
from app.query.flatten import Step, Steps
from app.resources.fields import Field, FieldPath, Shape
from app.resources.links import (
    MAX_LEVELS,
    Shapes,
    find_through,
    first_link,
    split_title,
    suggest_through,
)
from app.resources.rendering import Presenter, presenter
from app.spelling import suggest_nearest

Values = list[Any]  # of one column
NO_SHAPES: Shapes = {}


@dataclass(frozen=True)
class Linked:
    """What a column shows of the documents to which the links at its steps lead; plain data.

    Where the values at these steps are links again, `target` is the collection to which they lead,
    and with `inner` the values are those of the documents there.
    """

    collection: str
    steps: Steps
    inner: "Linked | None" = None
    target: str | None = None


@dataclass(frozen=True)
class Column:
    """One column of a sheet: its title, and the steps that lead to its values; plain data.

    `kind` is what the model says of one cell, `many` that a cell holds a list of such
    values; a value of another type may come. `present` makes the values presentable. Where the
    steps lead to links, `target` is the collection to which those lead, and with `linked` the
    values are those of the documents there.
    """

    path: str
    title: str
    kind: str
    many: bool
    present: Presenter | None
    steps: Steps
    linked: Linked | None = None
    target: str | None = None

    @classmethod
    def of(
        cls, path: str, title: str, field: Field, steps: Steps, linked: Linked | None = None
    ) -> "Column":
        """The column of a field."""
        present = presenter(Shape(BaseModel, {path: field}))
        target = linked.collection if linked is not None else _target_of(field)
        return cls(path, title, field.kind, field.many, present, steps, linked, target)

    @property
    def whole_steps(self) -> Steps:
        """The steps, with those in the linked documents."""
        steps, linked = self.steps, self.linked
        while linked is not None:
            steps, linked = (*steps, *linked.steps), linked.inner
        return steps

    def presenter(self) -> Callable[[Values], Values] | None:
        """What makes values presentable: excluded fields out, dates without a time.

        None where nothing is to do.
        """
        present = self.present
        if present is None:
            return None

        def each(values: Values) -> Values:
            cells = [{self.path: value} for value in values]
            for cell in cells:
                present(cell)
            return [cell.get(self.path) for cell in cells]

        return each


def parse_columns(
    shape: Shape,
    declared: tuple[str, ...] | None,
    asked: str | None,
    unwind: str | None,
    titles_allowed: bool,
    shapes: Shapes = NO_SHAPES,
) -> tuple[Column, ...]:
    """The columns of an export: those that were asked for, else the model's, else all but `_id`.

    `asked` is the parameter `columns` (`_id,*`, `name,profile.age:Age`), `unwind` the path of the
    list whose elements are rows. Columns reach through links to documents of these `shapes`; where
    a model's own columns reach to others, the link is the column. Raises `Invalid`, at the
    parameter, for what is unknown, doubled or empty.
    """
    if unwind:
        _check_unwind(shape, unwind)
    offered = Offer(shape, shapes, unwind)
    columns: list[Column] = []
    for entry in asked.split(",") if asked else ["*"]:
        path, colon, title = (unquote(part) for part in entry.partition(":"))
        if colon and not titles_allowed:
            raise _make_invalid(
                f"A title ({title!r}) is possible in CSV and XLSX only: here columns={path} "
                "would be right."
            )
        if path == "*" and not colon:
            there = {column.path for column in columns}
            columns.extend(
                one for one in _default_columns(offered, declared) if one.path not in there
            )
        elif not path or (colon and not title):
            raise _make_invalid(
                f"{entry!r} is no column; columns=name,profile.age:Age is a list of paths, "
                "with titles."
            )
        else:
            columns.extend(_columns_at(offered, path, title or path))
    _refuse_doubled(columns)
    return tuple(columns)


@dataclass(frozen=True)
class Offer:
    """Of what columns can be made: a shape, those behind its links, and what is unwound."""

    shape: Shape
    shapes: Shapes
    unwind: str | None


def _default_columns(offered: Offer, declared: tuple[str, ...] | None) -> Iterator[Column]:
    shape = offered.shape
    entries = (
        declared or [found.path for found in shape.list_flat() if found.path != "_id"] or ["_id"]
    )
    links = set()
    for entry in entries:
        path, title = split_title(shape, offered.shapes, entry)
        if find_through(shape, offered.shapes, path) is None:
            link, _ = first_link(shape, path, numbered=True)
            if link is not None:  # which leads to documents that nobody has a shape of here
                links.add(link.path)
                continue
        yield from _columns_at(offered, path, title)
    declared_paths = {split_title(shape, offered.shapes, entry)[0] for entry in entries}
    for path in sorted(links - declared_paths):
        yield from _columns_at(offered, path, path)


def _columns_at(offered: Offer, path: str, title: str) -> Iterator[Column]:
    """The column at the path.

    Where its elements become rows and are models, one for each of their fields.
    """
    found = offered.shape.find(path, numbered=True)
    if found is None:
        yield _through(offered, path, title)
    elif path == offered.unwind:
        element = _element(found.field)
        for inner in element.list_flat(path + "."):
            yield from _columns_at(offered, inner.path, title + inner.path[len(path) :])
        if not list(element.list_flat()):
            yield Column.of(path, title, found.field.single, (*path.split("."), None))
    else:
        steps = tuple(_steps(offered.shape, path))
        field = replace(found.field, many=_is_many(found, steps, offered.unwind))
        yield Column.of(path, title, field, steps)


def _through(offered: Offer, path: str, title: str) -> Column:
    """The column of a path through a link."""
    shape, shapes = offered.shape, offered.shapes
    found = find_through(shape, shapes, path)
    if found is None:
        if find_through(shape, shapes, path, most=len(path)) is not None:
            raise _make_invalid(f"{path!r}: a column goes through {MAX_LEVELS} links at most.")
        raise _make_invalid(f"{path!r} is no field.{suggest_through(shape, shapes, path)}")
    link, rest = first_link(shape, path, numbered=True)
    assert link is not None
    steps = tuple(_steps(shape, link.path))
    if link.path == offered.unwind:
        steps = (*steps, None)
    many = link.path != offered.unwind and _is_many(link, steps, offered.unwind)
    linked, is_list = _follow_link(link, rest, shapes)
    field = replace(found.field, many=found.field.many or many or is_list)
    return Column.of(path, title, field, steps, linked)


def _follow_link(link: FieldPath, rest: str, shapes: Shapes) -> tuple[Linked, bool]:
    """What the rest of a path leads to behind a link, and whether it goes through a list there."""
    assert link.field.target is not None
    collection = link.field.target.collection
    shape = shapes[collection]
    found = shape.find(rest, numbered=True)
    if found is not None:
        steps = tuple(_steps(shape, rest))
        return Linked(collection, steps, target=_target_of(found.field)), None in steps
    further, rest = first_link(shape, rest, numbered=True)
    assert further is not None
    steps = tuple(_steps(shape, further.path))
    inner, is_list = _follow_link(further, rest, shapes)
    linked = Linked(collection, steps, inner, inner.collection)
    return linked, is_list or further.field.many or None in steps


def _target_of(field: Field) -> str | None:
    return field.target.collection if field.target is not None else None


def _is_many(found: FieldPath, steps: Steps, unwind: str | None) -> bool:
    unwound = _row_steps(unwind)
    below = steps[len(unwound) :] if unwound == steps[: len(unwound)] else steps
    return found.field.many or None in below


def _element(field: Field) -> Shape:
    return field.shape or Shape(BaseModel, {})


def _steps(shape: Shape, path: str) -> Iterator[Step]:
    names = path.split(".")
    for position, name in enumerate(names):
        above = shape.find(".".join(names[:position]), numbered=True) if position else None
        if above is None or not above.field.many:
            yield name
        elif name.isdigit():
            yield int(name)
        else:
            yield from (None, name)


def _row_steps(unwind: str | None) -> Steps:
    return (*unwind.split("."), None) if unwind else ()


def _check_unwind(shape: Shape, unwind: str) -> None:
    found: FieldPath | None = shape.find(unwind)
    if found is not None and found.field.many and not found.through_list:
        return
    lists = [known.path for known in shape.walk() if known.field.many and not known.through_list]
    what = "no list inside another" if found is not None and found.through_list else "no list field"
    hint = f" Lists are: {', '.join(lists)}." if lists else " This resource has no list."
    detail = f"{unwind!r} is {what} that can be unwound.{suggest_nearest(unwind, lists) or hint}"
    raise Invalid(detail, Fault(detail, parameter="unwind"))


def _refuse_doubled(columns: list[Column]) -> None:
    seen: set[str] = set()
    for column in columns:
        if column.path in seen:
            raise _make_invalid(
                f"{column.path!r} is asked for twice; each column may be there once."
            )
        seen.add(column.path)


def _make_invalid(detail: str) -> Invalid:
    return Invalid(detail, Fault(detail, parameter="columns"))


@dataclass
class _Branch:
    """A step's place in the tree of all columns: those that end here, and the steps that go on."""

    ends: list[int] = field(default_factory=list)
    onward: dict[Step, "_Branch"] = field(default_factory=dict)

    def add(self, steps: Iterable[Step], position: int) -> None:
        branch = self
        for step in steps:
            branch = branch.onward.setdefault(step, _Branch())
        branch.ends.append(position)


class Table:
    """Turns batches of documents into column-major values.

    With `unwind`, a row for each element of that list.
    """

    def __init__(self, columns: Sequence[Steps], unwind: str | None = None) -> None:
        self._width = len(columns)
        self._list = tuple(unwind.split(".")) if unwind else ()
        self._documents, self._elements = _Branch(), _Branch()
        within = _row_steps(unwind)
        for position, steps in enumerate(columns):
            if within and steps[: len(within)] == within:
                self._elements.add(steps[len(within) :], position)
            else:
                self._documents.add(steps, position)

    def columns_of(self, documents: list[dict[str, Any]]) -> list[Values]:
        """The values of each column, in the columns' order, of documents that are a row each."""
        table: list[Values] = [[]] * self._width
        _fill(table, self._documents, documents)
        return table

    def slices_of(
        self, documents: list[dict[str, Any]], rows: int
    ) -> Iterator[tuple[int, list[Values]]]:
        """The same with `unwind`, so many rows at a time, and the documents that end in them.

        Few documents may have very many rows.
        """
        lists: Values = documents
        for step in self._list:
            lists = _step(lists, step)
        lists = [_elements(value) or (None,) for value in lists]
        lengths = list(map(len, lists))
        table = self.columns_of(documents)
        repeated = {
            end: chain.from_iterable(map(repeat, table[end], lengths))
            for end in _ends(self._documents)
        }
        elements = chain.from_iterable(lists)
        ends, before, row = list(accumulate(lengths)), 0, 0
        while part := list(islice(elements, rows)):
            table = [[]] * self._width
            for end, values in repeated.items():
                table[end] = list(islice(values, len(part)))
            _fill(table, self._elements, part)
            row += len(part)
            ended = bisect_right(ends, row)
            yield ended - before, table
            before = ended


def _elements(value: Any) -> list[Any]:
    """What a list has.

    Where another value is stored, that one, as it is for `$unwind` and for filters.
    """
    if type(value) is list:
        return value
    return [] if value is None else [value]


def _ends(branch: _Branch) -> Iterator[int]:
    yield from branch.ends
    for inner in branch.onward.values():
        yield from _ends(inner)


def _fill(table: list[Values], branch: _Branch, values: Values) -> None:
    for position in branch.ends:
        table[position] = values
    for step, onward in branch.onward.items():
        if step is None:
            _fill_with_lists(table, onward, values)
        else:
            _fill(table, onward, _step(values, step))


def _fill_with_lists(table: list[Values], branch: _Branch, lists: Values) -> None:
    """One cell for each list: what the branch finds in its elements, else null."""
    _fill(table, branch, list(chain.from_iterable(map(_elements, lists))))
    for position in _ends(branch):
        elements = iter(table[position])
        table[position] = [
            list(islice(elements, len(value))) if type(value) is list else _only(elements, value)
            for value in lists
        ]


def _only(elements: Iterator[Any], value: Any) -> Any:
    """What was found in a value that is there instead of a list."""
    return None if value is None else next(elements)


def _step(values: Values, step: str | int) -> Values:
    if isinstance(step, int):
        return [
            value[step] if type(value) is list and len(value) > step else None for value in values
        ]
    try:
        return list(map(itemgetter(step), values))  # where all are objects that have it
    except (KeyError, TypeError):
        return [value.get(step) if type(value) is dict else None for value in values]
