"""The parameters of an import → an `Import`, plain data that says what it is to do."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Literal

from app.errors import Fault, Invalid
from app.query.parameters import PARAMETERS, parameters_of, read_parameters
from app.resources.registry import Resource
from app.resources.views import Views
from app.resources.writable import make_importable
from app.spreadsheets.columns import Column, parse_columns
from app.spreadsheets.format import Format, Limits, ReadOptions
from app.spreadsheets.formats import FORMATS
from app.transfers.keys import read_key_parameter

SheetFormat = Literal["csv", "xlsx"]


@dataclass(frozen=True)
class Import:
    """What an import is to do, as plain data; `resource` is the first step of its addresses.

    `sheet` asks for a sheet to correct in that format, where a row is wrong. `skipped` are titles
    of columns that are overlooked, which no parameter can say. `translate` makes of a sentence
    what the sheet says.
    """

    resource: str
    format: str
    mode: str = "insert"
    key: tuple[str, ...] | None = None
    on_error: str = "abort"
    dry_run: bool = False
    columns: str | None = None
    options: ReadOptions = field(default_factory=ReadOptions)
    sheet: SheetFormat | None = None
    skipped: tuple[str, ...] = ()
    translate: Callable[[str], str] = str


def check_parameters(resource: Resource, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The values of all parameters, before the format is known; raises `Invalid`.

    `resource` is as its caller sees it.
    """
    every = {name for found in FORMATS.values() for name in found.reads}
    known = parameters_of("import", every)
    foreign = {
        parameter.name: "this is for lists and exports"
        for parameter in PARAMETERS
        if parameter.name not in known
    }
    values = read_parameters(list(pairs), known, resource.options, foreign)
    read_key_parameter(resource, values["key"])
    return values


def read_import(
    views: Views,
    collection: str,
    format: Format,
    pairs: Iterable[tuple[str, str]],
    limits: Limits,
    sheet: SheetFormat | None = None,
    encoding: str | None = None,
) -> Import:
    """The import of a file in that format with these parameters.

    `encoding` is that of a CSV, where it is known. Raises `Invalid` for parameters that can't be,
    also for those of another format.
    """
    listed = list(pairs)
    resource = views[collection].resource
    values = check_parameters(resource, listed)
    faults = [
        Fault(f"{name}: {format.names[0]} has no such option.", parameter=name)
        for name, text in listed
        if text and name in _of_formats() and name not in format.reads
    ]
    if sheet is not None and not format.tabular:
        detail = "A sheet to correct is possible for CSV and XLSX; ask for application/json."
        faults.append(Fault(detail, header="Accept"))
    if faults:
        raise Invalid(faults[0].detail, *faults)
    if values["columns"]:
        importable = make_importable(views, collection)
        declared = importable.options.columns or None
        shapes = views.shapes
        titles = format.tabular
        asked = values["columns"]
        columns = parse_columns(importable.shape, declared, asked, None, titles, shapes)
        if not format.tabular:
            _refuse_parts(columns)
    return Import(
        resource.address,
        format.names[0],
        values["mode"],
        read_key_parameter(resource, values["key"]),
        values["on_error"],
        values["dry_run"],
        values["columns"],
        ReadOptions(
            encoding=encoding,
            sheet=values["sheet"],
            formulas=values["formulas"],
            timezone=values["timezone"],
            limits=limits,
        ),
        sheet,
    )


def _refuse_parts(columns: Iterable[Column]) -> None:
    """Raises `Invalid` for columns of which documents have parts that stand for no whole value.

    A list is replaced as a whole, so what such a file lacks of its elements would be lost.
    """
    for column in columns:
        whole = ".".join(map(str, takewhile(lambda step: step is not None, column.steps)))
        if None in column.steps or column.linked is not None:
            detail = (
                f"columns: {column.path!r} alone can't be put back into what is stored: export "
                f"and import the whole of it, columns={whole}."
            )
            raise Invalid(detail, Fault(detail, parameter="columns"))


def _of_formats() -> set[str]:
    return {one.name for one in PARAMETERS if one.of_format and "import" in one.takers}
