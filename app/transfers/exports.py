"""The words of an export's query string → the job that makes its file; the same for HTTP and the command line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from app.errors import Fault, Invalid, NotFound
from app.query.compile import Compiler, Pairs, Query
from app.query.plan import Plan
from app.resources.registry import Resource, nearest
from app.resources.rendering import presenter
from app.spreadsheets.columns import Column, parse_columns
from app.spreadsheets.format import Format, Options
from app.spreadsheets.formats import FORMATS
from app.transfers.production import Job, projected

DELIMITERS = (",", ";", "|", "tab")
_OF_FORMATS = ("bom", "delimiter", "formulas", "unwind", "timezone")
_FOR_ALL = ("columns", "consistency")
_OF_LISTS = ("fields", "expand", "after", "count")


@dataclass(frozen=True)
class Order:
    """An export as it was asked for."""

    format: Format
    query: Query
    job: Job

    @property
    def is_of_all(self) -> bool:
        """Whether every document of the collection is wanted."""
        return not self.query.filter and not self.query.skip and self.query.limit is None


def read_order(
    name: str,
    pairs: Pairs,
    compiler: Compiler,
    plan: Callable[[Query], Plan],
    snapshots: bool,
) -> Order:
    """The export of that format's name with these parameters, as `plan` reads its query.

    `snapshots` says that the server can show a snapshot.

    Raises `NotFound` for an unknown format, `Invalid` for parameters that can't be.
    """
    found = FORMATS.get(name)
    if found is None:
        known = ", ".join(sorted(FORMATS))
        raise NotFound(
            f"There is no export format {name!r}.{nearest(name, FORMATS)} There are {known}."
        )
    known_words = (*_FOR_ALL, *(word for word in _OF_FORMATS if word in found.takes))
    query, words = compiler.conditions(_without_foreign(pairs, found), known_words)
    return Order(found, query, _job(compiler.resource, found, plan(query), words, snapshots))


def _without_foreign(pairs: Pairs, found: Format) -> Pairs:
    """The pairs without those of lists and other formats, which may be there as long as they are empty."""
    faults = []
    rest = []
    for name, value in pairs:
        if name in _OF_LISTS:
            detail = f"{name}: this is for lists; an export has columns, skip and limit."
        elif name in _OF_FORMATS and name not in found.takes:
            others = ", ".join(other.names[0] for other in _each_format() if name in other.takes)
            detail = f"{name}: this is for {others}; {found.names[0]} has no such option."
        else:
            rest.append((name, value))
            continue
        if value:
            faults.append(Fault(detail, parameter=name))
    if faults:
        raise Invalid(faults[0].detail, *dict.fromkeys(faults))
    return rest


def _each_format() -> list[Format]:
    return list({found.names: found for found in FORMATS.values()}.values())


def _job(
    resource: Resource,
    found: Format,
    plan: Plan,
    words: dict[str, str],
    snapshots: bool,
) -> Job:
    options = _options(words)
    consistency = _choice(words, "consistency", ("snapshot", "none"), "snapshot")
    columns = _columns(resource, found, words)
    job = Job(
        resource.name,
        plan,
        found.names[0],
        columns,
        words.get("unwind"),
        options,
        presenter(resource.shape),
        snapshot=consistency == "snapshot" and snapshots,
    )
    found.encoder(columns or (), options, resource.name)  # refuses what the format can't hold
    return projected(job)


def _columns(resource: Resource, found: Format, words: dict[str, str]) -> tuple[Column, ...] | None:
    if not found.tabular and "columns" not in words:
        return None
    declared = resource.options.columns or None
    if declared and not found.tabular:
        declared = tuple(dict.fromkeys(map(_unnumbered, declared)))
    columns = parse_columns(
        resource.shape, declared, words.get("columns"), words.get("unwind"), "titles" in found.takes
    )
    if not found.tabular:
        _refuse_numbered(columns, found)
    return columns


def _unnumbered(declared: str) -> str:
    """The path of a declared column, as far as it leads in a document: `cast.0.actor:Lead` is in `cast`."""
    steps = declared.partition(":")[0].split(".")
    return ".".join(takewhile(lambda step: not step.isdigit(), steps))


def _refuse_numbered(columns: tuple[Column, ...], found: Format) -> None:
    for column in columns:
        numbers = [number for number, step in enumerate(column.steps) if isinstance(step, int)]
        if numbers:
            whole = ".".join(str(step) for step in column.steps[: numbers[0]] if step is not None)
            detail = (
                f"{column.path!r}: one element of a list has no place of its own in {found.names[0]}, where documents "
                f"keep their shape; {whole!r} is the whole list, CSV and XLSX have columns for elements."
            )
            raise Invalid(detail, Fault(detail, parameter="columns"))


def _options(words: dict[str, str]) -> Options:
    return Options(
        bom=_choice(words, "bom", ("true", "false"), "false") == "true",
        delimiter=_choice(words, "delimiter", DELIMITERS, ","),
        formulas=_choice(words, "formulas", ("escape", "keep"), "escape"),
        timezone=words.get("timezone", "UTC"),
    )


def _choice(words: dict[str, str], name: str, choices: Sequence[str], default: str) -> str:
    value = words.get(name, default)
    if value not in choices:
        detail = (
            f"{name}: one of {' '.join(choices)} is wanted, not {value!r}.{nearest(value, choices)}"
        )
        raise Invalid(detail, Fault(detail, parameter=name))
    return value
