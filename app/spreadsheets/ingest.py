"""Rows of a file → records: columns matched with the model's fields, cells as JSON.

    reader.header ─ match ─▶ `Target`s ─┐
    reader's `Rows` ────────────────────┴─▶ `Ingest.records` ─▶ `Record`s ─ `body` ─▶ a document

A `Record` says for each of its columns whether it has a value (`values`), is empty (`empty`), was
cut by the export (`kept`) or is no value of its field (`faults`): what an empty cell means differs
between insert and update, and is decided above. `body` nests the values as a body of POST has them.
Nothing is validated by the model yet, nothing is looked up.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.errors import Fault, Invalid, and_more
from app.query.flatten import Steps
from app.resources.fields import Field, Shape
from app.resources.links import Shapes, first_link, link_paths
from app.spelling import show as quote
from app.spelling import suggest_nearest
from app.spreadsheets.cell import Cell
from app.spreadsheets.cells import EMPTY, KEPT, Bad, CellReader, zone
from app.spreadsheets.columns import parse_columns
from app.spreadsheets.extended import Ambiguous, ExtendedDocument, key_of
from app.spreadsheets.format import Reader, ReadOptions, Rows, Unreadable
from app.spreadsheets.kinds import show
from app.spreadsheets.nesting import Nest
from app.spreadsheets.workbook import letters

ELEMENTS = 10_000  # of one list that numbered columns may fill
LISTED = 20  # fields that a message names
ERROR = "error"  # the title of the column that an error sheet has, which is overlooked


@dataclass(frozen=True)
class Target:
    """Where the cells of one column go: a path of the model, with the numbers of list elements."""

    position: int  # in the row, from 0
    title: str  # as the file has it
    path: str
    field: Field
    steps: Steps
    through: str = ""  # of a link: the unique field of the linked document that the cells have
    linked: str = ""  # and the collection of that document


@dataclass(frozen=True)
class Behind:
    """What links lead to, by collection: the shapes, the unique fields by which one is found."""

    shapes: Shapes = field(default_factory=dict)
    unique: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class CellFault:
    """A cell, or a row, that can't be accepted: the column's title ("" for the row), why not."""

    column: str
    value: str
    detail: str
    position: int | None = None  # of the cell in its row, from 0


@dataclass(slots=True)
class Record:
    """One row as its columns say, or one document.

    `values` has the JSON of each cell that has one, by path in the order of the columns; `empty`
    the paths whose cells are empty, `kept` those whose text the export has cut, so that only its
    beginning is in the file. For a document of NDJSON or JSON `document` is that, and `values` is
    not filled.
    """

    number: int
    sheet: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    faults: list[CellFault] = field(default_factory=list)
    document: dict[str, Any] | None = None


class Ingest:
    """Makes records of a reader's rows.

    `shape` is that of the resource as its caller sees it, `declared` its `Resource.columns`,
    `asked` the parameter `columns` (`name,profile.age:Age`, which names foreign titles). Making one
    matches the header: raises `Invalid` that names every column without a field. `behind` says what
    links lead to: a column `author.name` has a unique field of the linked document for its `_id`.
    Columns with these `skipped` titles are overlooked.
    """

    def __init__(
        self,
        reader: Reader,
        shape: Shape,
        declared: tuple[str, ...] | None = None,
        asked: str | None = None,
        options: ReadOptions | None = None,
        behind: Behind | None = None,
        skipped: Collection[str] = (),
    ) -> None:
        self._shape = shape
        local = zone((options or ReadOptions()).timezone)
        self.header = reader.header
        self._links = link_paths(shape)
        self.targets: tuple[Target, ...] = ()
        self._nest: Nest | None = None
        if reader.header is None:
            return
        self.targets = match_columns(reader.header, shape, declared, asked, behind, skipped)
        self._cells = [
            CellReader(target.field, local, typed=reader.typed) for target in self.targets
        ]
        self._untitled = [place for place, title in enumerate(reader.header) if not title]
        places = [(target.path, target.steps, target.field) for target in self.targets]
        is_flat = all(len(target.steps) == 1 for target in self.targets)
        self._nest = None if is_flat else Nest(places)

    def records(self, rows: Rows) -> list[Record]:
        """The records of some rows, in their order."""
        if self.header is None:
            return list(map(self._document, rows.numbers, rows.rows))
        width = len(self.header)
        full = [row if len(row) >= width else _fill(row, width) for row in rows.rows]
        columns = [
            read.column([row[target.position] for row in full])
            for target, read in zip(self.targets, self._cells, strict=True)
        ]
        paths = [target.path for target in self.targets]
        special = [
            target
            for target, column in zip(self.targets, columns, strict=True)
            if _has_marks(column)
        ]
        records = []
        for number, row, values in zip(rows.numbers, full, zip(*columns, strict=True), strict=True):
            record = Record(number, rows.sheet, dict(zip(paths, values, strict=True)))
            for target in special:
                _take_mark(record, target)
            if self._untitled or len(row) > width:
                self._check_untitled(record, row)
            records.append(record)
        return records

    def body(self, record: Record) -> dict[str, Any]:
        """The document of a record as nested JSON, as POST takes it; empty cells are not in it.

        Numbered columns make lists as long as the last element that has something; an element
        before it that has nothing is `{}`, "" or null, as its kind has it.
        """
        if record.document is not None:
            return record.document
        if self._nest is None:
            return dict(record.values)
        return self._nest.build(record.values) or {}

    def path_of(self, steps: Sequence[str | int]) -> Target | None:
        """The column that a fault of the validation is about: at this place, or above it."""
        whole = tuple(steps)
        found = [target for target in self.targets if target.steps == whole[: len(target.steps)]]
        below = [target for target in self.targets if whole == target.steps[: len(whole)]]
        return next(iter(found or below), None)

    def _document(self, number: int, document: Any) -> Record:
        if isinstance(document, Unreadable):
            return Record(number, faults=[CellFault(document.path, document.text, document.detail)])
        faults = []
        if isinstance(document, ExtendedDocument):
            try:
                document = document.read_as(self._shape)
            except Ambiguous as error:
                document = error.document
                faults.append(CellFault(error.path, "", f"{error.path} {error}"))
        for link in self._links:
            _replace_links(document, link.path.split("."))
        return Record(number, faults=faults, document=document)

    def _check_untitled(self, record: Record, row: list[Cell]) -> None:
        width = len(self.header or ())
        for position in (*self._untitled, width):
            if position < len(row) and row[position] != "":
                detail = _explain_untitled(position, width)
                record.faults.append(CellFault("", show(row[position]), detail, position))


def match_columns(
    header: Sequence[str],
    shape: Shape,
    declared: tuple[str, ...] | None = None,
    asked: str | None = None,
    behind: Behind | None = None,
    skipped: Collection[str] = (),
) -> tuple[Target, ...]:
    """The columns of a header that have a field, in the order of the header.

    A title is matched by `asked`, by path, by the title of a declared column, then by either in any
    case. One without text is nothing, and so is `error`, where no field has that name, and one that
    is `skipped`. Raises `Invalid` with a sentence for each column that has no field, and for two
    that have the same.
    """
    names = _Names(shape, declared, asked, behind or Behind())
    overlooked = {"", error_title(shape), *skipped}
    targets: list[Target] = []
    details: list[str] = []
    for position, title in enumerate(header):
        if title in overlooked:
            continue
        try:
            targets.append(names.target(position, title))
        except ValueError as error:
            details.append(str(error))
    details += _overlaps(targets)
    if details:
        faults = [Fault(detail, parameter="columns") for detail in details]
        raise Invalid(details[0] + and_more(details), *faults)
    if not targets:
        detail = "No column of the file is a field: its first row has no title of one."
        raise Invalid(detail, Fault(detail, parameter="columns"))
    return tuple(targets)


def guess_targets(
    header: Sequence[str],
    shape: Shape,
    declared: tuple[str, ...] | None = None,
    behind: Behind | None = None,
) -> list[Target | None]:
    """The column of each title by itself, None for one that is no field."""
    names = _Names(shape, declared, None, behind or Behind())
    targets: list[Target | None] = []
    for position, title in enumerate(header):
        try:
            targets.append(names.find(position, title))
        except ValueError:
            targets.append(None)
    return targets


def error_title(shape: Shape) -> str:
    """The title of the column for errors, other than that of a field: `error`, else `error (2)`."""
    return ERROR if shape.find(ERROR) is None else f"{ERROR} (2)"


class _Names:
    """What a column may be called."""

    def __init__(
        self,
        shape: Shape,
        declared: tuple[str, ...] | None,
        asked: str | None,
        behind: Behind,
    ) -> None:
        self._shape = shape
        self._behind = behind
        shapes = behind.shapes
        given = parse_columns(shape, declared, asked, None, True, shapes) if asked else ()
        default = parse_columns(shape, declared, None, None, True, shapes)
        self._asked = {column.title: column.path for column in given}
        self._titles = {column.title: column.path for column in default}
        known = [found.path for found in shape.walk(unions=True)]
        self._known = known
        self._folded: dict[str, set[str]] = {}
        pairs = [*self._asked.items(), *self._titles.items(), *((path, path) for path in known)]
        for title, path in pairs:
            self._folded.setdefault(title.strip().casefold(), set()).add(path)

    def path(self, title: str) -> str | None:
        """The path that a title means, None where it means none.

        Raises `ValueError` for several.
        """
        for names in (self._asked, {title: title} if self._finds(title) else {}, self._titles):
            if title in names:
                return names[title]
        folded = self._folded.get(title.casefold(), set())
        if len(folded) > 1:
            raise ValueError(
                f"The column {title!r} may be {' or '.join(sorted(folded))}; use the path."
            )
        if folded:
            return next(iter(folded))
        return self._find_numbered(title)

    def target(self, position: int, title: str) -> Target:
        """The column's target; raises `ValueError` with a sentence where there is none."""
        target = self.find(position, title)
        if target is None:
            near = suggest_nearest(title, [*self._known, *self._asked, *self._titles])
            raise ValueError(f"The column {quote(title)} is no field.{near or self._list_fields()}")
        return target

    def find(self, position: int, title: str) -> Target | None:
        """The column's target, None where it is no field.

        Raises `ValueError` with a sentence for a field that can't be a column.
        """
        path = self.path(title)
        through = self._through(position, title, title if path is None else path)
        if through is not None or path is None:
            return through
        found = self._shape.find(path, numbered=True)
        assert found is not None
        if found.through_list:
            raise ValueError(self._explain_unwound(title, path))
        steps = steps_of(self._shape, path)
        if any(isinstance(step, int) and step >= ELEMENTS for step in steps):
            raise ValueError(f"The column {title!r} is past the {ELEMENTS:,} elements of a list.")
        return Target(position, title, path, found.field, steps)

    def _list_fields(self) -> str:
        fields = [path for path in self._known if "." not in path]
        more = ", …" if len(fields) > LISTED else ""
        return f" There are {', '.join(fields[:LISTED])}{more}."

    def _through(self, position: int, title: str, path: str) -> Target | None:
        """The column of a link whose cells have a unique field of the linked document."""
        link, rest = first_link(self._shape, path, numbered=True)
        if link is None or not rest or link.through_list:
            return None
        assert link.field.target is not None
        collection = link.field.target.collection
        shape = self._behind.shapes.get(collection)
        found = shape.find(rest) if shape is not None else None
        unique = self._behind.unique.get(collection, ())
        if found is None or rest not in unique:
            named = " or ".join(f"{link.path}.{one}" for one in unique)
            which = f", or by {named}" if named else ""
            raise ValueError(
                f"The column {title!r} reaches through the link {link.path!r}: a linked document "
                f"is found by its _id (the column {link.path!r}){which}."
            )
        known = replace(found.field, many=link.field.many)
        steps = steps_of(self._shape, link.path)
        return Target(position, title, link.path, known, steps, rest, collection)

    def _finds(self, path: str) -> bool:
        return self._shape.find(path, numbered=True) is not None

    def _find_numbered(self, title: str) -> str | None:
        """A path with numbers, in any case, or below a title: `Addresses.0.city`."""
        parts = title.split(".")
        for length in range(len(parts) - 1, 0, -1):
            above, below = ".".join(parts[:length]), parts[length:]
            candidates = self._folded.get(above.strip().casefold(), set())
            for path in sorted(candidates):
                whole = ".".join([path, *below])
                lowered = ".".join([path, *(part.lower() for part in below)])
                for one in (whole, lowered):
                    if self._finds(one):
                        return one
        return None

    def _explain_unwound(self, title: str, path: str) -> str:
        above = path.split(".")
        length = next(n for n in range(1, len(above)) if self._is_list(".".join(above[:n])))
        listed, below = ".".join(above[:length]), ".".join(above[length:])
        return (
            f"The column {title!r} goes through the list {listed} without a number, as in a file "
            f"that was unwound: there a row is an element and no document. Use {listed}.0.{below}, "
            f"or one column {listed} with JSON."
        )

    def _is_list(self, path: str) -> bool:
        found = self._shape.find(path, numbered=True)
        return found is not None and found.field.many


def steps_of(shape: Shape, path: str) -> Steps:
    """The steps to a path without unnumbered lists: names, and the numbers of elements."""
    names = path.split(".")
    steps: list[str | int] = []
    for position, name in enumerate(names):
        above = shape.find(".".join(names[:position]), numbered=True) if position else None
        steps.append(int(name) if above is not None and above.field.many else name)
    return tuple(steps)


def _overlaps(targets: list[Target]) -> Iterator[str]:
    """What is wrong where two columns are for the same field, or one is for a part of the other."""
    seen: dict[Steps, Target] = {}
    for target in targets:
        if target.steps in seen:
            other = seen[target.steps].title
            yield f"The columns {other!r} and {target.title!r} are the same field {target.path!r}."
        seen.setdefault(target.steps, target)
    for target in targets:
        for length in range(1, len(target.steps)):
            wider = seen.get(target.steps[:length])
            if wider is not None:
                yield (
                    f"The column {target.title!r} is a part of the column {wider.title!r}; "
                    "keep one."
                )
                break


def _explain_untitled(position: int, width: int) -> str:
    if position < width:
        name = letters(position)
        return f"The column {name} has no title in the first row, so that nothing may be in it."
    last = letters(width - 1)
    return f"The row has a cell to the right of {last}, the last column with a title."


def _fill(row: list[Cell], width: int) -> list[Cell]:
    return row + [""] * (width - len(row))


def _has_marks(column: list[Any]) -> bool:
    return not _MARKS.isdisjoint(map(type, column))


_MARKS = frozenset({type(EMPTY), Bad})


def _take_mark(record: Record, target: Target) -> None:
    """Takes what is no value out of the values."""
    value = record.values[target.path]
    if type(value) not in _MARKS:
        return
    del record.values[target.path]
    if value is EMPTY:
        record.empty.append(target.path)
    elif value is KEPT:
        record.kept.append(target.path)
    else:
        detail = f"{target.title} {value.detail}."
        record.faults.append(CellFault(target.title, value.value, detail, target.position))


def _replace_links(value: Any, steps: list[str]) -> None:
    """Links at a path as the `_id` that they lead to, where mongoexport has written DBRefs."""
    first, *rest = steps
    for inner in value if type(value) is list else [value]:
        if type(inner) is not dict or first not in inner:
            continue
        if rest:
            _replace_links(inner[first], rest)
        else:
            inner[first] = key_of(inner[first])
