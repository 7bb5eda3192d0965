"""Links as a kind of field: how they are declared, read from JSON, stored and shown."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
import orjson
import pytest
from bson.datetime_ms import DatetimeMS

from app.errors import DeclarationError, Invalid
from app.resources.codec import CODEC
from app.resources.documents import read_document
from app.resources.links import list_stored_forms, list_targets, references
from app.resources.patches import read_patch
from app.resources.registry import Resource
from app.resources.rendering import presenter, to_json
from app.store.links import find_added_references
from tests.support.library import BOOKS, PEOPLE
from tests.support.packages import served

ID = "65a000000000000000000001"
KEY = bson.ObjectId(ID)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Resource]]:
    folder = tmp_path_factory.mktemp("links")
    yield from served(folder, "library", {"books": BOOKS, "people": PEOPLE})


def test_links_are_found_wherever_they_stand(library: dict[str, Resource]) -> None:
    found = [(link.path, link.target.collection) for link in library["books"].links]
    assert found == [
        ("author", "authors"),
        ("shelf", "shelves"),
        ("editors", "authors"),
        ("translators", "authors"),
        ("printer", "authors"),
        ("readers", "authors"),
        ("chapters.by", "authors"),
        ("preface.by", "authors"),
        ("sequel", "books"),
    ]
    assert library["authors"].links == ()


def test_an_id_is_stored_as_beanie_stores_a_link(library: dict[str, Resource]) -> None:
    body = {"title": "x", "author": ID, "shelf": 3, "editors": [ID], "chapters": [{"by": ID}, {}]}
    document = read_document(library["books"], body)
    del document["_id"]
    author = bson.DBRef("authors", KEY)
    assert document == {
        "title": "x",
        "author": author,
        "shelf": bson.DBRef("shelves", 3),
        "editors": [author],
        "translators": None,
        "printer": None,
        "readers": None,
        "chapters": [{"by": author}, {"by": None}],
        "preface": None,
        "sequel": None,
    }
    found = [(one.steps, one.key) for one in references(library["books"].shape, document)]
    assert found == [
        (("author",), KEY),
        (("shelf",), 3),
        (("editors", 0), KEY),
        (("chapters", 0, "by"), KEY),
    ]


def test_a_bare_id_of_another_program_is_a_link_too(library: dict[str, Resource]) -> None:
    document: dict[str, Any] = {"author": KEY, "shelf": "no number", "editors": [None, 5, KEY]}
    found = [(one.steps, one.collection) for one in references(library["books"].shape, document)]
    assert found == [(("author",), "authors"), (("editors", 2), "authors")]
    assert list_stored_forms("authors", KEY) == [KEY, bson.DBRef("authors", KEY)]


def test_a_link_is_shown_as_the_id(library: dict[str, Resource]) -> None:
    present = presenter(library["books"].shape)
    assert present is not None
    author = bson.DBRef("authors", KEY)
    document = {
        "author": author,
        "editors": [author, KEY],
        "shelf": "odd",
        "chapters": [{"by": author}],
    }
    present(document)
    shown = {"author": ID, "editors": [ID, ID], "shelf": "odd", "chapters": [{"by": ID}]}
    assert orjson.loads(to_json(document)) == shown


WITH_SECRETS = """
from beanie import Document, Link
from pydantic import BaseModel, Field, SecretStr


class Home(BaseModel):
    city: str
    door: str = Field(exclude=True)


class Owner(Document):
    name: str
    home: Home
    pin: SecretStr
    friend: Link["Owner"] | None = None


class Boat(Document):
    owner: Link[Owner]
    crew: list[Link[Owner]] = []
    by_port: dict[str, Link[Owner]] = {}
"""


def test_a_document_in_the_place_of_a_link_has_no_excluded_fields(tmp_path: Path) -> None:
    (ours,) = served(tmp_path, "secrets_of_linked", {"boats": WITH_SECRETS})
    home = {"city": "x", "door": "hidden"}
    embedded = {"_id": KEY, "name": "n", "home": home, "pin": "hidden", "friend": None}
    boat = {
        "owner": embedded,
        "crew": [bson.DBRef("Owner", KEY), embedded],
        "by_port": {"pin": embedded, "home": bson.DBRef("Owner", KEY)},
    }
    document = bson.decode(bson.encode(boat), CODEC)
    present = presenter(ours["Boat"].shape)
    assert present is not None
    present(document)
    shown = {"_id": ID, "name": "n", "home": {"city": "x"}, "friend": None}
    assert orjson.loads(to_json(document)) == {
        "owner": shown,
        "crew": [ID, shown],
        "by_port": {"pin": shown, "home": ID},
    }


GARBAGE = [
    bson.DBRef("authors", KEY, "elsewhere"),
    bson.DBRef("authors", KEY, note="x"),
    bson.DBRef("shelves", KEY),
    bson.DBRef("shelves", uuid.UUID(int=1)),
    bson.DBRef("shelves", DatetimeMS(2**60)),
    bson.Code("x", {"y": uuid.UUID(int=1)}),
    bson.DBRef("authors", {"$gt": 1}),
    {"$gt": 1},
    {"a": 1},
    [KEY],
    5,
    "x",
    True,
    bson.Regex("."),
    bson.Code("x"),
    bson.Timestamp(1, 1),
    bson.MinKey(),
    None,
]


@pytest.mark.parametrize("value", GARBAGE, ids=repr)
def test_what_is_no_link_of_this_field_is_shown_as_it_is(
    library: dict[str, Resource], value: Any
) -> None:
    present = presenter(library["books"].shape)
    assert present is not None
    document = {"author": value, "editors": [KEY, value]}
    present(document)
    if value == bson.DBRef("authors", {"$gt": 1}):
        value = {"$gt": 1}  # a link, if one that can't lead anywhere
    elif isinstance(value, list):
        value = [ID]
    shown = orjson.loads(to_json(value))
    assert orjson.loads(to_json(document)) == {"author": shown, "editors": [ID, shown]}


@pytest.mark.parametrize("value", GARBAGE, ids=repr)
def test_a_patch_elsewhere_passes_what_is_no_link(library: dict[str, Resource], value: Any) -> None:
    stored = {"_id": KEY, "title": "x", "author": value, "editors": [KEY, value]}
    raw = bson.encode(stored, codec_options=CODEC)
    assert read_patch(library["books"], {"title": "y"}, raw).set == {"title": "y"}
    references_there = list(references(library["books"].shape, bson.decode(raw, CODEC)))
    assert find_added_references(references_there, references_there) == []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"author": "x"}, "#/author"),
        ({"author": None}, "#/author"),
        ({"author": {"id": ID, "collection": "authors"}}, "#/author"),
        ({"shelf": ID}, "#/shelf"),
        ({"editors": [ID, 1]}, "#/editors/1"),
        ({"chapters": [{"by": []}]}, "#/chapters/0/by"),
    ],
)
def test_what_is_no_id_is_named(
    library: dict[str, Resource], change: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(Invalid) as caught:
        read_document(library["books"], {"title": "x", "author": ID, **change})
    assert [fault.pointer for fault in caught.value.faults] == [pointer]


def test_a_back_link_is_declared_and_not_stored(library: dict[str, Resource]) -> None:
    document = read_document(library["authors"], {"name": "x"})
    assert list(document) == ["_id", "name"]
    for name in ("books", "first", "edited"):
        with pytest.raises(Invalid, match=f"There is no field '{name}'"):
            read_document(library["authors"], {"name": "x", name: []})


def test_a_link_to_what_is_not_served_stops_the_start(tmp_path: Path) -> None:
    source = BOOKS.replace('Link["Author"]', "Link[Document]").replace(
        'Link["Shelf"]', "Link[Document]"
    )
    with pytest.raises(DeclarationError, match="author: it links to Document, which is not served"):
        next(served(tmp_path, "unserved", {"books": source}))


TREES = """\
from beanie import Document, Link
from pydantic import BaseModel


class Writer(Document):
    name: str

    class Settings:
        name = "writers"


class Both(BaseModel):
    by: Link[Writer] | None = None
    inner: "Both | Other | None" = None


class Other(BaseModel):
    inner: "Both | Other | None" = None


class Tree(Document):
    inner: Both | Other | None = None

    class Settings:
        name = "trees"
"""


def test_models_in_themselves_are_looked_through_together(tmp_path: Path) -> None:
    (resources,) = served(tmp_path, "trees", {"trees": TREES})
    document: dict[str, Any] = {"by": bson.DBRef("writers", KEY)}
    for _ in range(40):  # each of two models on each level, one by one, are 2**40
        document = {"inner": document}
    (found,) = references(resources["trees"].shape, document)
    assert found.steps == (*["inner"] * 40, "by")
    assert [path for path, _ in list_targets(resources["trees"].shape)] == ["inner.by"]
