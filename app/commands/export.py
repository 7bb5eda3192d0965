"""`docsheet export` and `docsheet verify`: the same files as over HTTP, made in this process; a file checked."""

import asyncio
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

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

from app.commands.seed import find_resource, opened
from app.errors import Invalid, NotFound, StartError
from app.query.compile import Compiler, Pairs
from app.query.plan import make_plan
from app.settings import Settings
from app.spreadsheets.chunks import Tally
from app.spreadsheets.formats import FORMATS
from app.store.client import Database, connect, has_snapshots
from app.store.errors import translated
from app.store.indexes import read_indexes
from app.transfers.child import export_options
from app.transfers.exports import Order, read_order
from app.transfers.production import produce
from app.transfers.records import Record, Records

STDOUT = "-"
_READ = 1024 * 1024  # bytes


def export(
    settings: Settings, name: str, format_: str, pairs: Pairs, output: str, console: Console
) -> None:
    """Writes an export of a resource to a file, which has its name only when it is whole; `-` is standard output.

    Raises `StartError` for an unknown resource and a file that can't be written, `RequestError` as HTTP would.
    """
    resource = find_resource(settings, name)
    format_ = format_ or _format_of(output)
    output = output or f"{name}.{FORMATS[format_].extension if format_ in FORMATS else format_}"
    with (
        opened(settings) as uri,
        translated(),
        MongoClient[dict[str, Any]](uri, **_options(settings)) as client,
    ):
        collection = client[settings.DB_NAME][name]
        compiler = Compiler(resource)
        indexes = read_indexes(collection)
        plan = partial(make_plan, indexes=indexes, settings=settings)
        order = read_order(format_, pairs, compiler, plan, has_snapshots(client))
        tally = Tally()
        with _target(output) as file, translated(patterns=order.query.patterns):
            _write(order, collection, file, tally, settings, console)
    place = "standard output" if output == STDOUT else output
    console.print(
        f"{tally.rows:,} rows, {tally.size:,} bytes, to {place}.", highlight=False, markup=False
    )


def verify(settings: Settings, path: Path, export_id: str, console: Console) -> bool:
    """Whether a file is, byte for byte, the export of that id; says what differs.

    Raises `StartError` for a file that can't be read, `NotFound` for an export that nobody remembers.
    """
    size, sha256 = _measure(path)
    record = asyncio.run(_record(settings, export_id))
    if record is None:
        raise NotFound(
            f"Nothing is known of an export {export_id!r}; they are remembered for a while only."
        )
    problem = _problem(record, size, sha256)
    if problem:
        console.print(
            f"{path} is not that export: {problem}.", style="red", highlight=False, markup=False
        )
        return False
    console.print(
        f"{path} is whole: {record.documents:,} documents, {size:,} bytes.",
        highlight=False,
        markup=False,
    )
    return True


def where(conditions: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The pairs of conditions as they are written on the command line: `profile.age__gte=18`."""
    for condition in conditions:
        name, equals, value = condition.partition("=")
        if not equals:
            raise Invalid(
                f"--where {condition!r}: name=value is wanted, such as 'profile.age__gte=18'."
            )
        yield name, value


def _format_of(output: str) -> str:
    """The format that the file's name ends with, CSV where it has no ending."""
    ending = Path(output).suffix.lower().lstrip(".")
    if not ending or output == STDOUT or _is_stream(Path(output)):
        return "csv"
    if ending not in FORMATS:
        known = ", ".join(dict.fromkeys(found.extension for found in FORMATS.values()))
        raise StartError(
            f"{output}: no format ends with .{ending}; those that do: {known}. --format chooses one."
        )
    return ending


def _options(settings: Settings) -> dict[str, Any]:
    """Those of a server's exports; how long a sort without an index may take is for the database's limit to say."""
    return export_options(settings) | {"socketTimeoutMS": None}


@contextmanager
def _target(output: str) -> Iterator[IO[bytes]]:
    """The file to write to; under its name, in place of what was there, only once the work is done."""
    if output == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    try:
        if _is_stream(path):
            with path.open("wb") as file:
                yield file
            return
        path = path.resolve()  # a link stays, what it names is replaced
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False
        ) as part:
            try:
                yield part
                part.flush()
                os.fsync(part.fileno())
                Path(part.name).chmod(0o666 & ~_umask())
                Path(part.name).replace(path)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise StartError(f"{output} can't be written: {error.strerror}.") from error


def _is_stream(path: Path) -> bool:
    """A device or a pipe: nothing that a whole file could take the place of."""
    return path.exists() and not path.is_file()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _write(
    order: Order,
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
        collection.database.client.start_session(snapshot=order.job.snapshot) as session,
        Progress(*columns, console=console, transient=True) as progress,
    ):
        total = _total(order, collection, settings)
        task = progress.add_task(collection.name, total=total, rows=0, rate=0)
        for chunk in produce(order.job, collection, session, tally):
            file.write(chunk)
            _show(progress, task, tally)


def _total(order: Order, collection: Collection[Any], settings: Settings) -> int | None:
    """How many documents there will be, for the time that is left; None where counting them takes too long."""
    query = order.query
    if query.filter:
        limit = int(settings.COUNT_TIME_LIMIT_SECONDS * 1000)
        try:
            there = collection.count_documents(query.filter, maxTimeMS=limit)
        except ExecutionTimeout:
            return None
    else:
        there = collection.estimated_document_count()
    there = max(0, there - query.skip)
    return there if query.limit is None else min(there, query.limit)


def _show(progress: Progress, task: TaskID, tally: Tally) -> None:
    seconds = progress.tasks[0].elapsed or 0
    rate = tally.rows / seconds if seconds else 0
    progress.update(task, completed=tally.documents, rows=tally.rows, rate=rate)


async def _record(settings: Settings, export_id: str) -> Record | None:
    with opened(settings) as uri:
        database = Database(connect(settings, uri), settings)
        try:
            await database.open()
            return await Records(database).read(export_id)
        finally:
            await database.close()


def _measure(path: Path) -> tuple[int, str]:
    """The bytes of a file, and their digest."""
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while part := file.read(_READ):
                digest.update(part)
                size += len(part)
    except OSError as error:
        raise StartError(f"{path} can't be read: {error.strerror}.") from error
    return size, digest.hexdigest()


def _problem(record: Record, size: int, sha256: str) -> str | None:
    if record.state != "complete":
        return f"its state is {record.state!r} ({record.detail or 'it has not ended yet'})"
    if record.bytes != size:
        return f"it had {record.bytes:,} bytes, the file has {size:,}"
    if record.sha256 != sha256:
        return "its SHA-256 is another"
    return None
