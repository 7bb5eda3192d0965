"""`docsheet seed`: believable documents, written in bulks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from faker import Faker
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, PyMongoError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.errors import Invalid, StartError
from app.resources.documents import read_document
from app.resources.registry import Resource, discover, nearest
from app.resources.storing import Document
from app.servers.embedded import EmbeddedDatabase
from app.settings import Settings
from app.store.client import client_options
from app.store.codes import Code
from app.store.errors import translate
from app.store.indexes import Indexes, make_indexes

BULK = 1_000  # documents
LOCALES = ["en_US", "zh_CN", "de_DE", "fr_FR"]


def seed(settings: Settings, name: str, count: int, number: int, console: Console) -> None:
    """Stores `count` samples of a resource; one whose unique value is there already is left out.

    Raises `StartError` for an unknown resource, one without a sample, and a database that can't be reached.
    """
    resource = find_resource(settings, name)
    if resource.options.sample is None:
        raise StartError(
            f"{resource.model.__name__} has no Resource.sample(fake, number) to make documents with."
        )
    with (
        opened(settings) as uri,
        MongoClient[dict[str, Any]](uri, **client_options(settings)) as client,
    ):
        collection = client[settings.DB_NAME][resource.name]
        try:
            make_indexes(resource, collection, Indexes())
            stored = sum(
                _store(collection, bulk) for bulk in _bulks(resource, count, number, console)
            )
        except PyMongoError as error:
            raise StartError(str(translate(error, writing=True))) from error
    there = f"; {count - stored:,} were there already" if stored < count else ""
    console.print(f"{stored:,} documents stored in {resource.name!r}{there}.", highlight=False)


def find_resource(settings: Settings, name: str) -> Resource:
    """The resource of this name; raises `StartError` with the nearest that there is."""
    resources = discover(settings.MODELS)
    if name not in resources:
        known = ", ".join(resources) or "none"
        raise StartError(
            f"There is no collection {name!r}.{nearest(name, resources)} Declared are: {known}."
        )
    return resources[name]


@contextmanager
def opened(settings: Settings) -> Iterator[str]:
    """The URI of the database for a command: MONGO_URI, a running server's own, else one started meanwhile."""
    if settings.MONGO_URI:
        yield settings.MONGO_URI
        return
    with EmbeddedDatabase.of(settings, share=True) as embedded:
        yield embedded.uri


def _bulks(
    resource: Resource, count: int, number: int, console: Console
) -> Iterator[list[Document]]:
    """The documents, checked by the model, with a progress bar."""
    fake = Faker(LOCALES)
    fake.seed_instance(number)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"Seeding {resource.name}", total=count)
        for begin in range(0, count, BULK):
            yield [
                _document(resource, fake, position)
                for position in range(begin, min(count, begin + BULK))
            ]
            progress.update(task, advance=min(count, begin + BULK) - begin)


def _document(resource: Resource, fake: Faker, position: int) -> Document:
    assert resource.options.sample is not None
    sample = resource.options.sample(fake, position)
    try:
        return read_document(resource, sample)
    except Invalid as error:
        raise StartError(
            f"{resource.model.__name__}.Resource.sample makes what the model refuses: {error}"
        ) from None


def _store(collection: Collection[dict[str, Any]], documents: list[Document]) -> int:
    try:
        collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        failed = error.details["writeErrors"]
        if any(one["code"] != Code.DuplicateKey for one in failed):
            raise
        return len(documents) - len(failed)
    return len(documents)
