"""`docsheet export`: writes a collection to a file, the same that HTTP gives."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Any
from urllib.parse import parse_qsl

import typer
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import ExecutionTimeout
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from app.api.saved_views import find_view
from app.commands.database import find_compiler, open_database
from app.commands.files import STDOUT, is_stream, open_target
from app.commands.options import FormatName, add_options, pairs_of, takers_of_exports
from app.commands.terminal import can_ask, err
from app.errors import Invalid, StartError
from app.query.compile import Pairs, Query
from app.query.plan import Plan, make_plan
from app.settings import Settings, read_settings
from app.spreadsheets.chunks import Tally
from app.spreadsheets.formats import FORMATS
from app.store.client import direct_connection, has_snapshots
from app.store.errors import translate_errors
from app.store.indexes import Indexes, look_at
from app.store.sessions import start_session
from app.transfers.exports import Export, ask_for_export, read_export
from app.transfers.production import produce
from app.transfers.work import export_options


def run(
    resource: Annotated[
        str, typer.Argument(help="The collection, such as users; with --view it may be absent.")
    ] = "",
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="The file; - is standard output. (default: users.csv, …)"
        ),
    ] = "",
    format_: FormatName = "",
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite users.csv where no -o names the file.")
    ] = False,
    where: Annotated[
        list[str] | None,
        typer.Option(help="A condition, as lists have it: 'profile.age__gte=18'; repeat for more."),
    ] = None,
    view: Annotated[
        str,
        typer.Option(
            help="The slug of a saved view, whose conditions, order and columns are taken; the "
            "other options go on top."
        ),
    ] = "",
    **parameters: str | bool,
) -> None:
    """Write a collection to a file, as GET /users/export/{format} does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the part of a file goes, as at ^C
    settings = read_settings()
    pairs: Pairs = [*read_conditions(where or ()), *pairs_of(parameters)]
    if not (resource or view):
        raise StartError("Name a collection, such as users, or a saved view with --view.")
    with ExitStack() as stack:
        if view:  # both look into one database, which may be started for them
            uri = stack.enter_context(open_database(settings))
            settings = settings.model_copy(update={"MONGO_URI": uri})
            resource, pairs = read_view(settings, uri, view, resource, pairs)
        export(settings, resource, format_, pairs, output, err, force=force, name=view)


add_options(run, "export", takers_of_exports())


def export(
    settings: Settings,
    resource: str,
    format_: str,
    pairs: Pairs,
    output: str,
    console: Console,
    *,
    force: bool = False,
    name: str = "",
) -> None:
    """Writes an export of a resource to a file, which has its name only when it is whole.

    `-` is standard output; without one the file is called by `name`, else as the resource. Raises
    `StartError` for an unknown resource and a file that can't be written, `RequestError` as HTTP
    would.
    """
    compiler = find_compiler(settings, resource)
    format_ = format_ or _format_of(output)
    output = _choose_output(output, name or resource, format_, force=force)
    with (
        open_database(settings) as uri,
        translate_errors(),
        MongoClient[dict[str, Any]](uri, **_options(settings)) as client,
    ):
        collection = client[settings.DB_NAME][compiler.resource.name]
        plan = _make_planner(collection, settings)
        download = read_export(format_, pairs, compiler, plan, has_snapshots(client))
        tally = Tally()
        with open_target(output) as file, translate_errors(patterns=download.plan.patterns):
            _write(download, collection, file, tally, settings, console)
    place = "standard output" if output == STDOUT else output
    console.print(f"{tally.rows:,} rows, {tally.size:,} bytes, to {place}.")


def read_view(
    settings: Settings, uri: str, slug: str, resource: str, pairs: Pairs
) -> tuple[str, list[tuple[str, str]]]:
    """The resource of a saved view, and its parameters with these on top.

    Raises `StartError` where there is no such view, or it is one of another resource.
    """
    with translate_errors(), direct_connection(settings, uri) as connection:
        view = find_view(connection, slug)
    if view is None:
        raise StartError(
            f"There is no saved view {slug!r}; GET /views/ lists those that there are."
        )
    if resource not in ("", view.resource):
        raise StartError(f"The view {slug!r} is of {view.resource!r}, not of {resource!r}.")
    given = [(name, value) for name, value in pairs if value]
    replaced = {name for name, _ in given if name in ("columns", "sort", "keyword")}
    asked = ask_for_export(parse_qsl(view.query, keep_blank_values=True))
    kept = [(name, value) for name, value in asked if name not in replaced]
    return view.resource, [*kept, *given]


def read_conditions(conditions: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The pairs of conditions as they are written on the command line: `profile.age__gte=18`."""
    for condition in conditions:
        name, equals, value = condition.partition("=")
        if not equals:
            raise Invalid(
                f"--where {condition!r}: it must be name=value, such as 'profile.age__gte=18'."
            )
        yield name, value


def _make_planner(collection: Collection[Any], settings: Settings) -> Callable[[Query], Plan]:
    """What makes the plan of a query, by the indexes that the collection has."""
    known = Indexes()
    look_at(collection, known)
    is_view = known.nature.is_view
    return partial(make_plan, indexes=known.existing, settings=settings, is_view=is_view)


def _choose_output(output: str, name: str, format_: str, *, force: bool) -> str:
    """The file to write to; without a name of its own it is not overwritten, unless by `force`."""
    if output == STDOUT:
        _refuse_terminal(format_)
    if output:
        return output
    output = _default_name(name, format_)
    if not force:
        _ask_to_overwrite(output)
    return output


def _format_of(output: str) -> str:
    """The format that the file's name ends with, CSV where it has no ending."""
    ending = Path(output).suffix.lower().lstrip(".")
    if not ending or output == STDOUT or is_stream(Path(output)):
        return "csv"
    if ending not in FORMATS:
        known = ", ".join(dict.fromkeys(found.extension for found in FORMATS.values()))
        raise StartError(
            f"{output}: no format ends with .{ending}; the endings are {known}. --format chooses "
            "one."
        )
    return ending


def _default_name(name: str, format_: str) -> str:
    found = FORMATS.get(format_)
    return f"{name}.{found.extension if found else format_}"


def _refuse_terminal(format_: str) -> None:
    """Raises `StartError` where bytes that aren't text would go to a terminal."""
    found = FORMATS.get(format_)
    if found is not None and not found.compressible and sys.stdout.isatty():
        raise StartError(
            f"{format_} is no text that a terminal can show: name a file with -o, or send the "
            "output on with | or >."
        )


def _ask_to_overwrite(output: str) -> None:
    """Raises `StartError` where the file exists, unless somebody allows to overwrite it."""
    if not Path(output).exists():
        return
    if can_ask() and typer.confirm(f"{output} exists. Overwrite it?", err=True):
        return
    raise StartError(
        f"{output} exists and stays as it is: --force overwrites it, -o names another file."
    )


def _options(settings: Settings) -> dict[str, Any]:
    """Those of a server's exports.

    How long a sort without an index may take is for the database's limit to say.
    """
    return export_options(settings) | {"socketTimeoutMS": None}


def _write(
    download: Export,
    collection: Collection[Any],
    file: IO[bytes],
    tally: Tally,
    settings: Settings,
    console: Console,
) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f} rows/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with (
        start_session(collection, snapshot=download.snapshot) as session,
        Progress(*columns, console=console, transient=True) as progress,
    ):
        total = _count_total(download, collection, settings)
        task = progress.add_task(collection.name, total=total, rows=0, rate=0)
        for chunk in produce(download, collection, session, tally):
            file.write(chunk)
            _show(progress, task, tally)


def _count_total(download: Export, collection: Collection[Any], settings: Settings) -> int | None:
    """How many documents there will be, for the time that is left.

    None where counting them takes too long, or is asked of linked documents.
    """
    plan = download.plan
    if plan.joins:
        return None
    if plan.filter:
        limit = int(settings.COUNT_TIME_LIMIT_SECONDS * 1000)
        try:
            there = collection.count_documents(plan.filter, maxTimeMS=limit)
        except ExecutionTimeout:
            return None
    else:
        there = collection.estimated_document_count()
    there = max(0, there - plan.skip)
    return there if plan.limit is None else min(there, plan.limit)


def _show(progress: Progress, task: TaskID, tally: Tally) -> None:
    seconds = progress.tasks[0].elapsed or 0
    rate = tally.rows / seconds if seconds else 0
    progress.update(task, completed=tally.documents, rows=tally.rows, rate=rate)
