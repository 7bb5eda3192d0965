"""Values of linked documents in the place of links, whatever is stored, seldom read twice."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import bson
import orjson
import pytest

from app.errors import DeclarationError, Invalid
from app.resources.codec import CODEC
from app.resources.registry import Resource
from app.resources.rendering import presenter, to_json
from app.spreadsheets.columns import Column, Table, parse_columns
from app.spreadsheets.lines import json_lines
from app.store.linked import make_keys
from app.transfers import linked_cells, linked_documents, row_cache
from app.transfers.linked_cells import FollowedColumns, LinkedCells
from app.transfers.linked_documents import LinkedDocuments
from app.transfers.linked_reads import Done, Read
from app.transfers.references import read_columns
from tests.support.compilers import compiler_of
from tests.support.packages import served

LIBRARY = """
from beanie import Document, Link
from pydantic import BaseModel, Field


class Chapter(BaseModel):
    by: Link["Author"] | None = None


class Author(Document):
    name: str
    tags: list[str] = []
    secret: str = Field("", exclude=True)
    friend: Link["Author"] | None = None

    class Settings:
        name = "authors"


class Book(Document):
    title: str
    author: Link[Author] | None = None
    editors: list[Link[Author]] = []
    chapters: list[Chapter] = []

    class Settings:
        name = "books"
"""
Document = dict[str, Any]
BOOK_LINKS = [(("author",), "authors"), (("editors",), "authors"), (("chapters", "by"), "authors")]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Resource]]:
    yield from served(tmp_path_factory.mktemp("linked"), "linked_library", {"books": LIBRARY})


class Stored:
    """Documents by collection, and what was read of them."""

    def __init__(self, **collections: list[Document]) -> None:
        self._collections = collections
        self.reads: list[tuple[str, int]] = []

    def begin(self, collection: str, keys: Sequence[Any], projection: Document) -> Read:
        self.reads.append((collection, len(keys)))
        wanted = make_keys(keys)
        found = [one for one in self._collections[collection] if one["_id"] in wanted]
        kept = [{path: one[path] for path in projection if path in one} for one in found]
        return Done(b"".join(bson.encode(one, codec_options=CODEC) for one in kept))


def columns(library: dict[str, Resource], asked: str, unwind: str = "") -> tuple[Column, ...]:
    compiler = compiler_of(library["books"], library.values())
    shape = library["books"].shape
    return parse_columns(shape, None, asked, unwind or None, True, compiler.names.shapes)


def rows(
    library: dict[str, Resource], asked: str, documents: list[Document], stored: Stored
) -> list[list[Any]]:
    chosen = columns(library, asked)
    steps = [column.steps for column in chosen]
    cells = LinkedCells(chosen, stored)
    found: list[list[Any]] = []
    for begin in range(0, len(documents), 10):
        raw = b"".join(map(bson.encode, documents[begin : begin + 10]))
        values = cells.place(cells.follow(read_columns(raw, Table(steps), steps, cells.targets)))
        for column, cell in zip(chosen, values, strict=True):
            present = column.presenter()
            cell[:] = present(list(cell)) if present else cell
        found += map(list, zip(*values, strict=True))
    return found


def to(key: Any, collection: str = "authors", database: str | None = None) -> bson.DBRef:
    return bson.DBRef(collection, key, database)


AUTHORS = [
    {"_id": 1, "name": "A", "tags": ["x", "y"], "friend": to(2), "secret": "s"},
    {"_id": 2, "name": "B", "friend": 1},
    {"_id": "k", "name": "K", "friend": to(99)},
    {"_id": {"a": 1}, "name": "D"},
    {"_id": True, "name": "T"},
]


@pytest.mark.parametrize(
    ("link", "name", "friend", "tags"),
    [
        (to(1), "A", "B", ["x", "y"]),
        (2, "B", "A", None),
        (to("k"), "K", None, None),
        ({"a": 1}, "D", None, None),
        (to({"a": 1}), "D", None, None),
        (True, "T", None, None),
        (to(99), None, None, None),
        (to(1, "elsewhere"), None, None, None),
        (to(1, database="other"), None, None, None),
        (None, None, None, None),
        (1.5, None, None, None),
        (bson.Regex("."), None, None, None),
        ({}, None, None, None),
        ([to(1), 2, None, to(99)], ["A", "B", None, None], ["B", "A", None, None], ...),
        ([[to(1)], []], [["A"], []], [["B"], []], ...),
        ([], [], [], []),
    ],
)
def test_whatever_is_stored_for_a_link(
    library: dict[str, Resource], link: Any, name: Any, friend: Any, tags: Any
) -> None:
    asked = "author.name,author.friend.name,author.tags"
    ((found, other, listed),) = rows(library, asked, [{"author": link}], Stored(authors=AUTHORS))
    assert (found, other) == (name, friend)
    if tags is not ...:
        assert listed == tags


def test_links_in_lists_and_in_lists_of_models(library: dict[str, Resource]) -> None:
    document = {"editors": [to(1), to(2)], "chapters": [{"by": to(2)}, {}, {"by": 1}]}
    asked = "editors.name,editors.0.name,editors,chapters.by.name,chapters.1.by.name"
    assert rows(library, asked, [document], Stored(authors=AUTHORS)) == [
        [["A", "B"], "A", [1, 2], ["B", None, "A"], None]
    ]


def test_a_link_beside_what_is_behind_it(library: dict[str, Resource]) -> None:
    documents = [{"author": to(1), "title": "t"}, {"author": to(99)}]
    asked = "author,author.name,author.friend,title"
    assert rows(library, asked, documents, Stored(authors=AUTHORS)) == [
        [1, "A", 2, "t"],
        [99, None, None, None],
    ]


def test_bytes_that_look_like_a_reference_are_what_they_are(library: dict[str, Resource]) -> None:
    trap = "text\x02$ref"
    document = {"title": trap, "author": to(1), "chapters": [{"by": to(1)}]}
    for asked in ("title,author.name", "title,author.name,chapters", "chapters,chapters.by.name"):
        (row,) = rows(library, asked, [document], Stored(authors=AUTHORS))
        (plain,) = rows(library, asked.split(",author")[0], [document], Stored(authors=AUTHORS))
        assert row[: len(plain)] == plain


def test_what_is_read_is_what_would_be_read_one_by_one(library: dict[str, Resource]) -> None:
    source = random.Random(1)
    values = [to(1), to(2), 2, to("k"), to(99), None, "text", to(1, "elsewhere"), 1.0]

    def any_links() -> Any:
        return [source.choice(values) for _ in range(source.randrange(4))]

    documents = [
        {"title": str(n), "author": source.choice(values), "editors": any_links()}
        for n in range(200)
    ]
    names = {1: "A", 2: "B", "k": "K"}

    def name(link: Any) -> Any:
        if isinstance(link, bson.DBRef):
            return names.get(link.id) if link.collection == "authors" else None
        return names.get(link)

    assert rows(library, "title,author.name,editors.name", documents, Stored(authors=AUTHORS)) == [
        [one["title"], name(one["author"]), [name(link) for link in one["editors"]]]
        for one in documents
    ]


def test_each_level_is_one_query_and_what_is_known_is_not_read_again(
    library: dict[str, Resource],
) -> None:
    documents = [
        {"author": to(n % 2 + 1), "editors": [to(1), to(2), to("k"), to(99)]} for n in range(100)
    ]
    stored = Stored(authors=AUTHORS)
    rows(library, "author.name,editors.name,author.friend.name", documents, stored)
    assert stored.reads == [("authors", 4), ("authors", 3)]


def test_what_is_kept_is_bounded(
    library: dict[str, Resource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_cache, "ROWS", 15)
    authors = [{"_id": n, "name": str(n)} for n in range(100)]
    documents = [{"author": to(n % 100)} for n in range(300)]
    stored = Stored(authors=authors)
    found = rows(library, "author.name", documents, stored)
    assert found == [[str(n % 100)] for n in range(300)]
    assert len(stored.reads) > 20
    chosen = LinkedCells(columns(library, "author.name"), stored)
    for _ in range(30):
        chosen.place(chosen.follow([[to(n) for n in range(100)]]))
        (node,) = chosen._levels._nodes.values()
        assert len(node.cache._rows) <= 15


def test_batches_may_be_followed_before_others_are_placed(library: dict[str, Resource]) -> None:
    stored = Stored(authors=[{"_id": n, "name": str(n), "friend": to(n + 1)} for n in range(9)])
    cells = LinkedCells(columns(library, "author.name,author.friend.name"), stored)

    def follow(*keys: int) -> FollowedColumns:
        links = list(map(to, keys))
        return cells.follow([links, links])

    first, second = follow(0, 1, 2), follow(2, 3, 99)
    assert stored.reads == [("authors", 3), ("authors", 3)]
    assert cells.place(first) == [["0", "1", "2"], ["1", "2", "3"]]
    third = follow(1, 2, 4)
    assert cells.place(second) == [["2", "3", None], ["3", "4", None]]
    assert cells.place(third) == [["1", "2", "4"], ["2", "3", "5"]]
    assert stored.reads[2:] == [("authors", 3), ("authors", 1), ("authors", 1), ("authors", 1)]


def test_what_is_never_wanted_again_is_seldom_kept(
    library: dict[str, Resource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_cache, "ROWS", 10)
    stored = Stored(authors=[{"_id": n, "name": str(n)} for n in range(400)])
    cells = LinkedCells(columns(library, "author.name"), stored)
    for begin in range(0, 200, 10):
        cells.place(cells.follow([[to(n) for n in range(begin, begin + 10)]]))
    few = [to(n) for n in range(300, 310)]
    for _ in range(row_cache.SELDOM + 5):
        assert cells.place(cells.follow([few])) == [[str(n) for n in range(300, 310)]]
    read = len(stored.reads)
    assert 20 < read <= 20 + row_cache.SELDOM


@pytest.mark.parametrize(
    "trap",
    [
        {"_id": bson.ObjectId()},
        {"\x07_id": 1.5, "more": "text"},
        "\x07_id\0" + "a" * 12,
        b"\x07_id\0" + b"\xff" * 12,
    ],
)
def test_what_looks_like_a_key_in_a_linked_document_is_none(
    library: dict[str, Resource], trap: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = bson.ObjectId()
    stored = Stored(authors=[{"_id": key, "name": "A", "tags": [trap]}])
    documents, asked = [{"author": to(key)}], "author.name,author.tags"
    found = rows(library, asked, documents, stored), shown(library, asked, documents, stored)
    assert found[0][0][0] == found[1][0]["author"]["name"] == "A"
    for module in (linked_cells, linked_documents):
        monkeypatch.setattr(module, "are_keys", lambda *_: False)
    assert found == (
        rows(library, asked, documents, stored),
        shown(library, asked, documents, stored),
    )


def test_large_linked_documents_make_small_batches(library: dict[str, Resource]) -> None:
    authors = [{"_id": n, "name": "x" * 1024 * 1024} for n in range(4)]
    cells = LinkedCells(columns(library, "editors.name"), Stored(authors=authors))
    for _ in range(3):
        cells.place(cells.follow([[[to(n) for n in range(4)]] * cells.batch.documents]))
    assert cells.batch.documents == 1


def shown(
    library: dict[str, Resource], asked: str, documents: list[Document], stored: Stored
) -> list[Document]:
    presenters = {"authors": presenter(library["authors"].shape)}
    reader = LinkedDocuments(columns(library, asked), BOOK_LINKS, presenters, stored)
    raw = b"".join(map(bson.encode, documents))
    placed = reader.place(reader.follow(raw), presenter(library["books"].shape))
    found: list[Document] = orjson.loads(to_json(placed))
    return found


def test_documents_have_the_parts_of_linked_ones_in_place(library: dict[str, Resource]) -> None:
    documents = [
        {"author": to(1), "editors": [to(2), 99, None], "chapters": [{"by": to("k")}, {}]},
        {"author": to(99), "editors": [to(1, "elsewhere")]},
        {"title": "no links"},
    ]
    asked = "title,author.friend.name,author.tags,editors.name,chapters.by.friend"
    assert shown(library, asked, documents, Stored(authors=AUTHORS)) == [
        {
            "author": {"tags": ["x", "y"], "friend": {"name": "B"}},
            "editors": [{"name": "B"}, None, None],
            "chapters": [{"by": {"friend": 99}}, {}],
        },
        {"author": None, "editors": [None]},
        {"title": "no links"},
    ]


def test_a_link_that_is_asked_for_too_keeps_its_id(library: dict[str, Resource]) -> None:
    documents = [{"author": to(1)}, {"author": to(99)}]
    assert shown(library, "author,author.name", documents, Stored(authors=AUTHORS)) == [
        {"author": {"_id": 1, "name": "A"}},
        {"author": 99},
    ]


def test_a_nan_of_a_linked_document_is_the_word(library: dict[str, Resource]) -> None:
    authors = [{"_id": 1, "name": float("nan")}]
    (document,) = library_lines(library, [{"author": to(1)}], Stored(authors=authors))
    assert document == {"author": {"name": "NaN"}}


def library_lines(
    library: dict[str, Resource], documents: list[Document], stored: Stored
) -> list[Document]:
    """Lines of NDJSON, which know the BSON of the linking documents only."""
    raw = b"".join(map(bson.encode, documents))
    reader = LinkedDocuments(columns(library, "author.name"), BOOK_LINKS, {}, stored)
    found = reader.place(reader.follow(raw))
    return list(map(orjson.loads, json_lines(found, raw).splitlines()))


def test_a_link_that_no_column_reaches_through_is_shown(library: dict[str, Resource]) -> None:
    documents = [{"author": to(1), "editors": [to(2)], "title": "\x02$ref"}]
    assert shown(library, "author.name,editors,title", documents, Stored(authors=AUTHORS)) == [
        {"author": {"name": "A"}, "editors": [2], "title": "\x02$ref"}
    ]


@pytest.mark.parametrize(
    ("asked", "detail"),
    [
        ("author.nme", "'author.nme' is no field. Did you mean 'author.name'?"),
        ("autor.name", "'autor.name' is no field. Did you mean 'author.name'?"),
        ("author.secret", "'author.secret' is no field."),
        ("author.friend.secret", "'author.friend.secret' is no field."),
        ("author.friend.nam", "'author.friend.nam' is no field. Did you mean 'author.friend.name'"),
        ("author." + "friend." * 3 + "name", "goes through 3 links at most."),
        ("author.name,author.name", "'author.name' is asked for twice"),
    ],
)
def test_what_is_no_column_behind_a_link(
    library: dict[str, Resource], asked: str, detail: str
) -> None:
    with pytest.raises(Invalid) as caught:
        columns(library, asked)
    assert detail in caught.value.detail
    assert [fault.parameter for fault in caught.value.faults] == ["columns"]


@pytest.mark.parametrize(
    ("declared", "detail"),
    [
        ("author.nme", "'author.nme' is no field of what the link leads to. Did you mean"),
        ("author.secret", "'author.secret' is no field of what the link leads to."),
    ],
)
def test_a_models_own_columns_are_checked_behind_links(
    tmp_path: Path, declared: str, detail: str
) -> None:
    more = f'''
    class Resource:
        columns = ["title", "{declared}:Author"]
'''
    with pytest.raises(DeclarationError, match=r"Book\.Resource\.columns") as caught:
        list(served(tmp_path, f"library_{declared[7:]}", {"books": LIBRARY + more}))
    assert detail in str(caught.value)


def test_a_models_own_columns_reach_through_links(tmp_path: Path) -> None:
    more = """
    class Resource:
        columns = ["title", "author.name:Author", "editors.friend.name"]
"""
    for resources in served(tmp_path, "library_with_columns", {"books": LIBRARY + more}):
        book = resources["books"]
        shapes = compiler_of(book, resources.values()).names.shapes
        found = parse_columns(book.shape, book.options.columns, None, None, True, shapes)
        assert [column.title for column in found] == ["title", "Author", "editors.friend.name"]
        assert [column.many for column in found] == [False, False, True]
        form = parse_columns(book.shape, book.options.columns, None, None, True)
        assert [column.path for column in form] == ["title", "author", "editors"]


def test_unwound_links_are_a_row_each(library: dict[str, Resource]) -> None:
    title, name = columns(library, "title,editors.name", "editors")
    table = Table([title.steps, name.steps], "editors")
    cells = LinkedCells((title, name), Stored(authors=AUTHORS))
    documents = [{"title": "t", "editors": [to(1), to(99), 2]}, {"title": "u"}]
    ((_, values),) = table.slices_of(documents, 10)
    assert cells.place(cells.follow(values)) == [["t", "t", "t", "u"], ["A", None, "B", None]]
    assert not name.many
