"""Beanie reads the links that we write, and we those that Beanie writes."""

import importlib
import sys
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

import bson
import pytest
from beanie import Document, init_beanie
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import MongoClient

from app.resources.codec import CODEC
from app.resources.documents import read_document
from app.resources.links import references
from app.resources.registry import Resource, discover
from app.resources.rendering import presenter, to_json
from tests.support.library import ONE_MODULE
from tests.support.mongod import needs_mongod

pytestmark = [
    *needs_mongod,
    pytest.mark.filterwarnings("ignore:Accessing the 'model_fields' attribute"),  # Beanie does
]
NAME = "links_of_beanie"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ModuleType, str]]:
    """The same classes twice: a module for Beanie's use, and the name of a package for ours."""
    folder = tmp_path_factory.mktemp("twice")
    (folder / "of_beanie.py").write_text(ONE_MODULE)
    (folder / "of_ours.py").write_text(ONE_MODULE)
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("of_beanie"), "of_ours"
    finally:
        sys.path.remove(str(folder))


@pytest.fixture
def ours(packages: tuple[ModuleType, str]) -> dict[str, Resource]:
    return discover(packages[1])


@pytest.fixture
def stored(mongo_uri: str) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        yield client.get_database(NAME, codec_options=CODEC)
        client.drop_database(NAME)


@pytest.fixture
async def beanies(packages: tuple[ModuleType, str], mongo_uri: str) -> AsyncIterator[Any]:
    module = packages[0]
    models: list[type[Document]] = [module.Book, module.Author, module.Shelf]
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo_uri)
    await init_beanie(client[NAME], document_models=models)
    yield module
    client.close()


async def test_beanie_fetches_what_we_wrote(
    ours: dict[str, Resource], stored: Any, beanies: Any
) -> None:
    author = read_document(ours["authors"], {"name": "曹雪芹"})
    shelf = read_document(ours["shelves"], {"_id": 7})
    stored["authors"].insert_one(author)
    stored["shelves"].insert_one(shelf)
    key = str(author["_id"])
    first = read_document(ours["books"], {"title": "1", "author": key})
    body = {
        "title": "2",
        "author": key,
        "shelf": 7,
        "editors": [key],
        "translators": [key, key],
        "chapters": [{"by": key}, {}],
        "sequel": str(first["_id"]),
    }
    stored["books"].insert_many([first, read_document(ours["books"], body)])

    book = await beanies.Book.find_one(beanies.Book.title == "2", fetch_links=True)
    assert (book.author.name, book.shelf.id, book.sequel.title) == ("曹雪芹", 7, "1")
    assert [editor.name for editor in book.editors] == ["曹雪芹"]
    assert (await book.chapters[0].by.fetch()).name == "曹雪芹"
    lazily = await beanies.Book.find_one(beanies.Book.title == "2")
    await lazily.fetch_all_links()
    assert lazily.translators[0].name == "曹雪芹"
    back = await beanies.Author.find_one(fetch_links=True)
    assert sorted(book.title for book in back.books) == ["1", "2"]


async def test_we_read_what_beanie_wrote(
    ours: dict[str, Resource], stored: Any, beanies: Any
) -> None:
    author = await beanies.Author(name="施耐庵").insert()
    shelf = await beanies.Shelf(id=8).insert()
    first = await beanies.Book(title="1", author=author).insert()
    await beanies.Book(
        title="2",
        author=author,
        shelf=shelf,
        editors=[author],
        chapters=[beanies.Chapter(by=author.to_ref())],
        sequel=first,
    ).insert()

    document = stored["books"].find_one({"title": "2"})
    key = str(author.id)
    found = references(ours["books"].shape, document)
    assert [(one.steps, one.collection, one.key) for one in found] == [
        (("author",), "authors", author.id),
        (("shelf",), "shelves", 8),
        (("editors", 0), "authors", author.id),
        (("chapters", 0, "by"), "authors", author.id),
        (("sequel",), "books", first.id),
    ]
    present = presenter(ours["books"].shape)
    assert present is not None
    present(document)
    assert to_json(document["author"]) == f'"{key}"'.encode()
    assert to_json([document["shelf"], document["editors"]]) == f'[8,["{key}"]]'.encode()
    again = {name: document[name] for name in ("title", "author", "shelf", "editors")}
    again = {**again, "author": key, "editors": [key]}
    rewritten = read_document(ours["books"], again)
    there = stored["books"].find_one({"title": "2"})
    for name in ("author", "shelf", "editors"):
        assert bson.encode({"": rewritten[name]}) == bson.encode({"": there[name]})
