"""`docsheet seed`: fills a collection with believable documents, made by its Resource.sample."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import orjson
import typer
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.commands.database import find_resource, open_database, translate_errors
from app.commands.seed_samples import QuickFaker
from app.commands.terminal import out
from app.errors import Invalid, StartError
from app.resources.documents import read_document
from app.resources.links import identity
from app.resources.registry import Resource, discover
from app.resources.rendering import to_json
from app.resources.storing import Document
from app.settings import Settings, read_settings
from app.store.client import client_options
from app.store.codes import Code
from app.store.indexes import Indexes, make_indexes

BULK = 1_000  # documents
EACH = 10  # documents for which one is made that they link to


def run(
    resource: Annotated[str, typer.Argument(help="The collection to fill, such as users.")],
    count: Annotated[int, typer.Option(min=1, max=100_000_000, help="How many documents.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same number makes the same documents.")] = 1,
) -> None:
    """Fill a collection with believable documents, made by its Resource.sample."""
    fill(read_settings(), resource, count, seed, out)


def fill(settings: Settings, name: str, count: int, seed: int, console: Console) -> None:
    """Stores `count` samples of a resource, and of those that they link to, in proportion.

    One whose `_id` or unique value is there already is skipped. Raises `StartError` for an unknown
    resource and one without a sample, `Unavailable` for a database that can't be reached.
    """
    resource = find_resource(settings, name)
    resources = {other.name: other for other in discover(settings.MODELS).values()}
    with (
        open_database(settings) as uri,
        MongoClient[Document](uri, **client_options(settings)) as client,
    ):
        seeding = _Seeding(client[settings.DB_NAME], resources, seed, console)
        with translate_errors(writing=True):
            seeding.fill(resource, count)


class _Seeding:
    """One run of `docsheet seed`: the collections that it fills, each once."""

    def __init__(
        self,
        database: Database[Document],
        resources: Mapping[str, Resource],
        seed: int,
        console: Console,
    ) -> None:
        self._database = database
        self._resources = resources
        self._seed = seed
        self._console = console
        links = (link for resource in resources.values() for link in resource.links)
        self._targets = {link.target.collection for link in links}
        self._keys: dict[str, list[Any]] = {}  # of what was made and is linked to, by collection

    def fill(self, resource: Resource, count: int) -> None:
        """Stores samples of a resource, after those that they link to."""
        if resource.options.sample is None:
            raise StartError(
                f"{resource.model.__name__} has no Resource.sample(fake, number) to make "
                "documents with."
            )
        self._keys[resource.name] = []
        for link in resource.links:
            if link.target.collection not in self._keys:
                each = resource.options.seeds.get(link.path, EACH)
                self._provide(self._resources[link.target.collection], math.ceil(count / each))
        self._store(resource, count)

    def _provide(self, target: Resource, count: int) -> None:
        """Stores documents to link to; of a class without samples those that are there serve."""
        if target.options.sample is not None:
            self.fill(target, count)
        else:
            self._keys[target.name] = self._find_keys(target, count)

    def _find_keys(self, resource: Resource, count: int) -> list[Any]:
        """The first `_id`s that are stored, as JSON."""
        collection = self._database[resource.name]
        found = collection.find({}, {"_id": 1}, sort=[("_id", 1)], limit=count)
        return [_show(one["_id"]) for one in found]

    def _store(self, resource: Resource, count: int) -> None:
        collection = self._database[resource.name]
        make_indexes(resource, collection, Indexes())
        stored = 0
        for bulk in self._make_bulks(resource, count):
            skipped = _insert(collection, bulk)
            stored += len(bulk) - len(skipped)
            if resource.name in self._targets:
                there = _without_lost(collection, bulk, skipped)
                self._keys[resource.name] += [_show(one["_id"]) for one in there]
        if resource.name in self._targets and not self._keys[resource.name]:
            self._keys[resource.name] = self._find_keys(resource, count)
        more = _describe_skipped(count - stored, self._seed)
        self._console.print(f"{stored:,} documents stored in {resource.name!r}{more}.")

    def _make_bulks(self, resource: Resource, count: int) -> Iterator[list[Document]]:
        """The documents, checked by the model, with a progress bar."""
        targets = {link.path: self._keys[link.target.collection] for link in resource.links}
        fake = QuickFaker(self._seed, links=targets)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(f"Seeding {resource.name}", total=count)
            for begin in range(0, count, BULK):
                end = min(count, begin + BULK)
                yield [self._make_document(resource, fake, number) for number in range(begin, end)]
                progress.update(task, completed=end)

    def _make_document(self, resource: Resource, fake: QuickFaker, number: int) -> Document:
        assert resource.options.sample is not None
        sample = resource.options.sample(fake, number)
        if resource.key.kind == "objectid":
            sample.setdefault("_id", self._make_key(resource, number))
        try:
            return read_document(resource, sample)
        except Invalid as error:
            raise StartError(
                f"{resource.model.__name__}.Resource.sample makes what the model refuses: {error}"
            ) from None

    def _make_key(self, resource: Resource, number: int) -> str:
        """The `_id` of a sample: the same for the same seed."""
        text = f"{self._seed} {resource.name} {number}".encode()
        return hashlib.blake2b(text, digest_size=12).hexdigest()


def _describe_skipped(number: int, seed: int) -> str:
    if not number:
        return ""
    return f"; {number:,} were there already (--seed {seed + 1} makes other ones)"


def _show(key: Any) -> Any:
    """An `_id` as JSON has it, in which samples name what they link to."""
    return orjson.loads(to_json(key))


def _insert(collection: Collection[Document], documents: list[Document]) -> list[Document]:
    """Stores the documents; those that were skipped, for one with a value of theirs is there."""
    try:
        collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        failed = error.details["writeErrors"]
        if any(one["code"] != Code.DuplicateKey for one in failed):
            raise
        return [documents[one["index"]] for one in failed]
    return []


def _without_lost(
    collection: Collection[Document], documents: list[Document], skipped: list[Document]
) -> list[Document]:
    """The documents that are stored by now, those that were there already included."""
    if not skipped:
        return documents
    condition = {"_id": {"$in": [one["_id"] for one in skipped]}}
    there = {identity(one["_id"]) for one in collection.find(condition, {"_id": 1})}
    lost = {identity(one["_id"]) for one in skipped} - there
    return [one for one in documents if identity(one["_id"]) not in lost]
