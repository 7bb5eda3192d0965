"""`docsheet import`: reads a file into a collection, by the same rules as HTTP."""

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, BinaryIO, cast

import typer
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from app.commands.database import find_resource, open_database, translate_errors
from app.commands.files import open_target
from app.commands.options import FormatName, ResourceName, add_options, pairs_of, takers_of_imports
from app.commands.terminal import err, out
from app.errors import StartError
from app.query.compile import Compilers, Pairs
from app.resources.registry import Resource, discover
from app.resources.views import Views
from app.settings import Settings, read_settings
from app.spreadsheets.format import MIB, Limits
from app.spreadsheets.reading import find_format
from app.store.client import Connection, direct_connection
from app.store.indexes import Indexes, make_indexes
from app.store.reach import Reach
from app.transfers.import_options import Import, SheetFormat, read_import
from app.transfers.imports import Ended, run_import
from app.transfers.report import SHOWN, Report

STDIN = "-"
SHEETS: dict[str, SheetFormat] = {".csv": "csv", ".xlsx": "xlsx"}
TITLES = ("row", "column", "value", "what is wrong")


def run(
    resource: ResourceName,
    file: Annotated[str, typer.Argument(help="The file; - is standard input.")],
    format_: FormatName = "",
    report: Annotated[
        str,
        typer.Option(
            help="Where rows are wrong, write them to this .csv or .xlsx, to be corrected."
        ),
    ] = "",
    **parameters: str | bool,
) -> None:
    """Read a file into a collection, as POST /users/import does.

    Exit status 1 where a row is wrong.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    ended = import_file(
        read_settings(), resource, file, format_, list(pairs_of(parameters)), report
    )
    _show(ended.report)
    if ended.error is not None:
        err.print(f"docsheet: {ended.error}", style="red")
    if ended.error is not None or ended.report.failed:
        raise typer.Exit(1)


add_options(run, "import", takers_of_imports())


def import_file(
    settings: Settings, name: str, file: str, format_: str, pairs: Pairs, sheet: str
) -> Ended:
    """Imports a file into a resource, and writes the sheet to correct where rows are wrong.

    Raises `StartError` for an unknown resource and files that can't be read or written,
    `RequestError` as HTTP would where nothing was written.
    """
    resource = find_resource(settings, name)
    format = find_format(_name(file, format_), None)
    limits = Limits.of(settings.IMPORT_ROWS, settings.IMPORT_LIMIT_MIB * MIB)
    views = Views(discover(settings.MODELS).values())
    asked = read_import(views, resource.name, format, pairs, limits, _sheet_format(sheet))
    with ExitStack() as opened:
        source = opened.enter_context(_open_source(file))
        corrections = cast(BinaryIO, opened.enter_context(tempfile.TemporaryFile()))
        uri = opened.enter_context(open_database(settings))
        connection = opened.enter_context(direct_connection(settings, uri))
        opened.enter_context(translate_errors(writing=False))
        connection.sync.command("ping")  # so that the servers are known
        ended = _import(asked, resource, views, connection, source, corrections)
        if ended.has_sheet:
            corrections.seek(0)
            with open_target(sheet) as target:
                shutil.copyfileobj(corrections, target)
            err.print(f"The rows to correct are in {sheet}.")
    return ended


def _name(file: str, format_: str) -> str:
    """The name whose ending says the format."""
    if format_:
        return f"file.{format_}"
    return "file.csv" if file == STDIN else Path(file).name


def _sheet_format(sheet: str) -> SheetFormat | None:
    """The format of the sheet to correct, None where none is asked for."""
    if not sheet:
        return None
    ending = Path(sheet).suffix.lower()
    if ending not in SHEETS:
        raise StartError(f"--report {sheet}: its name must end with .csv or .xlsx.")
    return SHEETS[ending]


@contextmanager
def _open_source(file: str) -> Iterator[BinaryIO]:
    """The file, in which one can go back; what comes through a pipe is kept on disk meanwhile."""
    try:
        with ExitStack() as opened:
            source: IO[bytes] = (
                sys.stdin.buffer if file == STDIN else opened.enter_context(Path(file).open("rb"))
            )
            if not source.seekable():
                kept = opened.enter_context(tempfile.TemporaryFile())
                shutil.copyfileobj(source, kept)
                kept.seek(0)
                source = kept
            yield cast(BinaryIO, source)
    except OSError as error:
        raise StartError(f"{file} can't be read: {error.strerror}.") from error


def _import(
    asked: Import,
    resource: Resource,
    views: Views,
    connection: Connection,
    source: BinaryIO,
    corrections: BinaryIO,
) -> Ended:
    indexes = Indexes()
    make_indexes(resource, connection.collection(resource.name), indexes)
    if asked.mode == "update":
        indexes.refuse_writes()
    else:
        indexes.refuse_inserts()
    reach = Reach(connection, Compilers(views), resource.name)
    with _Watch() as watch:
        return run_import(asked, reach, connection, indexes, source, corrections, watch.tell)


class _Watch:
    """A progress bar for what an import tells; an interrupted one says how far it came."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[rows]:,} rows"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        is_shown = err.is_terminal
        self._progress = Progress(*columns, console=err, transient=True, disable=not is_shown)
        self._task = self._progress.add_task("checking", total=None, rows=0)
        self._due = self._written = 0

    def __enter__(self) -> "_Watch":
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self._progress.stop()
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            err.print(self._explain_interruption())

    def tell(self, checked: int, due: int, written: int) -> None:
        """Shows how far the import is."""
        self._due, self._written = due, written
        if due:
            self._progress.update(
                self._task, description="writing", total=due, completed=written, rows=written
            )
        else:
            self._progress.update(self._task, rows=checked)

    def _explain_interruption(self) -> str:
        if not self._due:
            return "Interrupted before anything was written."
        return (
            f"Interrupted after {self._written:,} of {self._due:,} rows were written, at least; "
            "the same file again with --mode upsert does the rest."
        )


def _show(report: Report) -> None:
    """Writes the report to standard output: tables for a person, else lines with tabs."""
    counts = (
        f"{report.rows:,} rows: {report.inserted:,} inserted, {report.updated:,} updated, "
        f"{report.unchanged:,} unchanged, {report.failed:,} failed."
    )
    out.print(counts)
    errors = [(_place(one), one["column"], one["value"], one["detail"]) for one in report.errors]
    if errors:
        _show_rows(TITLES, errors)
    if len(errors) >= SHOWN:
        first = f"These are the first {SHOWN} errors; --report FILE writes all of them to a sheet."
        err.print(first)
    if report.changes:
        titles = ("row", "field", "before", "after")
        _show_rows(titles, [tuple(one[title] for title in titles) for one in report.changes])


def _place(error: dict[str, Any]) -> str:
    sheet = error.get("sheet")
    return f"{sheet}: {error['row']}" if sheet else str(error["row"])


def _show_rows(titles: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not out.is_terminal or out.no_color:
        for row in [list(titles), *texts]:
            line = "\t".join(" ".join(cell.split()) for cell in row)
            typer.echo(line)  # rich would make spaces of the tabs
        return
    table = Table(*titles)
    for row in texts:
        table.add_row(*map(Text, row))
    out.print(table)
