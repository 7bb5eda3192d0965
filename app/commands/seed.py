"""`docsheet seed`: fills a collection with believable documents, made by its Resource.sample."""

from collections.abc import Iterator
from typing import Annotated

import typer
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, PyMongoError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.commands.database import find_resource, open_database
from app.commands.samples import QuickFaker
from app.commands.terminal import out
from app.errors import Invalid, StartError
from app.resources.documents import read_document
from app.resources.registry import Resource
from app.resources.storing import Document
from app.settings import Settings, read_settings
from app.store.client import client_options
from app.store.codes import Code
from app.store.errors import translate
from app.store.indexes import Indexes, make_indexes

BULK = 1_000  # documents


def run(
    resource: Annotated[str, typer.Argument(help="The collection to fill, such as users.")],
    count: Annotated[int, typer.Option(min=1, max=100_000_000, help="How many documents.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same number makes the same documents.")] = 1,
) -> None:
    """Fill a collection with believable documents, made by its Resource.sample."""
    fill(read_settings(), resource, count, seed, out)


def fill(settings: Settings, name: str, count: int, seed: int, console: Console) -> None:
    """Stores `count` samples of a resource; one whose unique value is there already is skipped.

    Raises `StartError` for an unknown resource, one without a sample, and a database that can't be reached.
    """
    resource = find_resource(settings, name)
    if resource.options.sample is None:
        raise StartError(
            f"{resource.model.__name__} has no Resource.sample(fake, number) to make documents with."
        )
    with (
        open_database(settings) as uri,
        MongoClient[Document](uri, **client_options(settings)) as client,
    ):
        collection = client[settings.DB_NAME][resource.name]
        try:
            make_indexes(resource, collection, Indexes())
            bulks = _make_bulks(resource, count, seed, console)
            stored = sum(_store(collection, bulk) for bulk in bulks)
        except PyMongoError as error:
            raise StartError(str(translate(error, writing=True))) from error
    skipped = _describe_skipped(count - stored, seed)
    console.print(f"{stored:,} documents stored in {resource.name!r}{skipped}.", highlight=False)


def _describe_skipped(number: int, seed: int) -> str:
    if not number:
        return ""
    return f"; {number:,} were there already (--seed {seed + 1} makes other ones)"


def _make_bulks(
    resource: Resource, count: int, seed: int, console: Console
) -> Iterator[list[Document]]:
    """The documents, checked by the model, with a progress bar."""
    fake = QuickFaker(seed)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"Seeding {resource.name}", total=count)
        for begin in range(0, count, BULK):
            end = min(count, begin + BULK)
            yield [_make_document(resource, fake, number) for number in range(begin, end)]
            progress.update(task, completed=end)


def _make_document(resource: Resource, fake: QuickFaker, number: int) -> Document:
    assert resource.options.sample is not None
    sample = resource.options.sample(fake, number)
    try:
        return read_document(resource, sample)
    except Invalid as error:
        raise StartError(
            f"{resource.model.__name__}.Resource.sample makes what the model refuses: {error}"
        ) from None


def _store(collection: Collection[Document], documents: list[Document]) -> int:
    """How many of the documents were stored."""
    try:
        collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        failed = error.details["writeErrors"]
        if any(one["code"] != Code.DuplicateKey for one in failed):
            raise
        return len(documents) - len(failed)
    return len(documents)
