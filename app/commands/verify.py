"""`docsheet verify`: compares a downloaded file with what the server recorded of it."""

import asyncio
import hashlib
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.commands.database import open_database
from app.commands.terminal import err
from app.errors import NotFound, StartError
from app.settings import Settings, read_settings
from app.store.client import Database, connect
from app.transfers.records import Record, Records

_READ = 1024 * 1024  # bytes


def run(
    file: Annotated[Path, typer.Argument(help="The file that was downloaded.")],
    export_id: Annotated[
        str, typer.Argument(metavar="ID", help="The X-Export-Id of the download.")
    ],
) -> None:
    """Compare a downloaded file with what the server recorded of it.

    Exit status 1 if they differ.
    """
    if not verify(read_settings(), file, export_id, err):
        raise typer.Exit(1)


def verify(settings: Settings, path: Path, export_id: str, console: Console) -> bool:
    """Whether a file is, byte for byte, the export of that id; says what differs.

    Raises `StartError` for a file that can't be read, `NotFound` for an export without a record.
    """
    size, sha256 = _measure(path)
    record = asyncio.run(_record(settings, export_id))
    if record is None:
        raise NotFound(
            f"Nothing is known of an export {export_id!r}; they are remembered for a while only."
        )
    problem = _problem(record, size, sha256)
    if problem:
        console.print(f"{path} is not that export: {problem}.", style="red")
        return False
    console.print(f"{path} is whole: {record.documents:,} documents, {size:,} bytes.")
    return True


async def _record(settings: Settings, export_id: str) -> Record | None:
    with open_database(settings) as uri:
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
