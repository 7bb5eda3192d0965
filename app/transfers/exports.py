"""An export's query string → the export, as plain data; the same over HTTP and by command.

Plain data, so that it can be handed to another process.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import takewhile
from typing import Any

from app.errors import Fault, Invalid, NotFound
from app.query.compile import Compiler, Pairs, Query
from app.query.conditions import Condition, Selection
from app.query.flatten import Steps, Wanted, flatten, inclusion
from app.query.parameters import PARAMETERS, parameters_of
from app.query.plan import Plan
from app.resources.links import Shapes, link_paths
from app.resources.registry import Resource
from app.resources.rendering import Presenter, presenter
from app.spelling import suggest_nearest
from app.spreadsheets.columns import Column, parse_columns
from app.spreadsheets.format import Format, Options
from app.spreadsheets.formats import FORMATS

Links = tuple[tuple[Steps, str], ...]
_OF_PAGES = ("skip", "after", "limit", "count", "expand")  # what an export of all doesn't have


@dataclass(frozen=True)
class Export:
    """One file to be made, as plain data.

    `columns` is None where whole documents are exported (NDJSON and JSON). `links` are the steps
    to the fields that hold links, without those to the elements of lists, and where they lead.
    """

    collection: str
    plan: Plan
    format: str
    columns: tuple[Column, ...] | None
    unwind: str | None
    options: Options
    present: Presenter | None
    gzip: bool = False
    snapshot: bool = True
    # Of the collections to which columns reach through links.
    linked: Mapping[str, Presenter | None] = field(default_factory=dict)
    # What linked documents must meet to be shown, by collection, where there is something.
    below: Mapping[str, Selection] = field(default_factory=dict)
    links: Links = ()  # the resource's fields that hold links

    @property
    def reaches_through_links(self) -> bool:
        """Whether some column does."""
        return any(column.linked is not None for column in self.columns or ())

    @property
    def has_links(self) -> bool:
        """Whether columns have links, or reach through them."""
        return any(column.target is not None for column in self.columns or ())

    @property
    def is_of_all(self) -> bool:
        """Whether it holds every document of the collection."""
        plan = self.plan
        return not (plan.filter or plan.joins) and not plan.skip and plan.limit is None


def ask_for_export(pairs: Pairs) -> list[tuple[str, str]]:
    """The parameters of the export of all that a list shows: its conditions, order and columns."""
    asked = [(name, value) for name, value in pairs if name not in _OF_PAGES]
    return [("columns" if name == "fields" else name, value) for name, value in asked]


def read_export(
    name: str,
    pairs: Pairs,
    compiler: Compiler,
    plan: Callable[[Query], Plan],
    snapshots: bool,
    below: Sequence[Condition] = (),
) -> Export:
    """The export of that format's name with these parameters, as `plan` reads its query.

    `snapshots` says that the server can show a snapshot; `below` are more conditions.

    Raises `NotFound` for an unknown format, `Invalid` for parameters that can't be.
    """
    found = FORMATS.get(name)
    if found is None:
        known = ", ".join(sorted(FORMATS))
        near = suggest_nearest(name, FORMATS)
        raise NotFound(f"There is no export format {name!r}.{near} There are {known}.")
    query, words = compiler.export(pairs, found.takes, _explain_foreign(found), below)
    return _export(compiler, found, plan(query), words, snapshots)


def _explain_foreign(found: Format) -> dict[str, str]:
    """The parameters of lists and of other formats, with what is said of each."""
    reasons: dict[str, str] = {}
    for name in parameters_of("list").keys() - parameters_of("export").keys():
        reasons[name] = "this is for lists; an export has columns, skip and limit"
    for parameter in PARAMETERS:
        is_ours = parameter.of_format and "export" in parameter.takers
        if is_ours and parameter.name not in found.takes:
            takers = (other for other in FORMATS.values() if parameter.name in other.takes)
            others = ", ".join(dict.fromkeys(other.names[0] for other in takers))
            reasons[parameter.name] = f"this is for {others}; {found.names[0]} has no such option"
    return reasons


def _export(
    compiler: Compiler,
    found: Format,
    plan: Plan,
    words: dict[str, Any],
    snapshots: bool,
) -> Export:
    resource, shapes = compiler.resource, compiler.names.shapes
    options = _options(words)
    columns = _columns(resource, shapes, found, words)
    linked = _presenters(columns or (), shapes)
    if columns is None:
        plan = replace(plan, projection=compiler.view.projection)
    export = Export(
        resource.name,
        plan,
        found.names[0],
        columns,
        words.get("unwind"),
        options,
        presenter(resource.shape),
        snapshot=words["consistency"] == "snapshot" and snapshots,
        linked=linked,
        below=compiler.names.select_linked(linked),
        links=tuple(
            (tuple(link.path.split(".")), link.target.collection)
            for link in link_paths(resource.shape)
            if resource.shape.find(link.path) is not None
        ),
    )
    found.encoder(columns or (), options, resource.name)  # refuses what the format can't hold
    return project(export)


def _presenters(columns: Iterable[Column], shapes: Shapes) -> dict[str, Presenter | None]:
    """What makes the linked documents presentable to which the columns reach."""
    found: dict[str, Presenter | None] = {}
    for column in columns:
        linked = column.linked
        while linked is not None:
            found[linked.collection] = presenter(shapes[linked.collection])
            linked = linked.inner
    return found


def _columns(
    resource: Resource, shapes: Shapes, found: Format, words: dict[str, Any]
) -> tuple[Column, ...] | None:
    if not found.tabular and words["columns"] is None:
        return None
    declared = resource.options.columns or None
    if declared and not found.tabular:
        declared = tuple(dict.fromkeys(map(_cut_at_number, declared)))
    columns = parse_columns(
        resource.shape,
        declared,
        words["columns"],
        words.get("unwind"),
        "titles" in found.takes,
        shapes,
    )
    if not found.tabular:
        _refuse_numbered(columns, found)
    return columns


def _cut_at_number(declared: str) -> str:
    """The path of a declared column as far as it leads: `cast.0.actor:Lead` is in `cast`."""
    steps = declared.partition(":")[0].split(".")
    return ".".join(takewhile(lambda step: not step.isdigit(), steps))


def _refuse_numbered(columns: tuple[Column, ...], found: Format) -> None:
    for column in columns:
        steps = column.whole_steps
        numbers = [number for number, step in enumerate(steps) if isinstance(step, int)]
        if numbers:
            whole = ".".join(str(step) for step in steps[: numbers[0]] if step is not None)
            detail = (
                f"{column.path!r}: one element of a list has no place of its own in "
                f"{found.names[0]}, where documents keep their shape; {whole!r} is the whole list, "
                "CSV and XLSX have columns for elements."
            )
            raise Invalid(detail, Fault(detail, parameter="columns"))


def _options(words: dict[str, Any]) -> Options:
    """The options of the format; those that it doesn't take have their defaults."""
    known = {option.name for option in fields(Options)}
    return Options(**{name: value for name, value in words.items() if name in known})


def project(export: Export) -> Export:
    """The export with the projections of its columns, flattened by the database where possible."""
    if export.columns is None:
        return export
    found = FORMATS[export.format]
    steps = [column.steps for column in export.columns]
    if not found.tabular:  # where elements that have nothing at a path are skipped
        steps = [tuple(step for step in path if step is not None) for path in steps]
    plan = replace(export.plan, projection=inclusion([("_id",), *steps]))
    if found.tabular and export.unwind is None and plan.order is not None:
        flat = flatten(list(map(_describe, export.columns)))
        plan = replace(plan, flat=flat if flat.computed else None)
    return replace(export, plan=plan)


def _describe(column: Column) -> Wanted:
    """A column as far as flattening depends on it; links that are reached through are any cells."""
    if column.linked is not None:
        return Wanted(column.steps, many=True, text=False)
    return Wanted(column.steps, column.many, column.kind == "text")
