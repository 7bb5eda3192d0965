"""References read as marks: quick where they are what they mostly are, and always right."""

from collections.abc import Iterator
from typing import Any

import bson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.resources.codec import CODEC, decode_all, offsets
from app.resources.registry import Resource
from app.resources.rendering import presenter, to_json
from app.spreadsheets.columns import Table
from app.spreadsheets.format import Options
from app.spreadsheets.formats import FORMATS
from app.store.linked import make_keys
from app.transfers import linked_documents, reference_lists, references
from app.transfers.linked_cells import LinkedCells
from app.transfers.linked_documents import LinkedDocuments
from app.transfers.references import (
    KEY_BYTES,
    TAKEN,
    Links,
    are_keys,
    hide_keys,
    mark_of,
    read_columns,
    take_keys,
)
from tests.support.packages import served
from tests.transfers.test_linked import BOOK_LINKS, LIBRARY, Stored, columns, to

Document = dict[str, Any]
KEYS = [bson.ObjectId(f"{number:024x}") for number in (1, 2, 2**95, 7)]
AUTHORS = [
    {"_id": KEYS[0], "name": "A", "tags": ["x"], "friend": to(KEYS[1])},
    {"_id": KEYS[1], "name": "B", "friend": KEYS[0]},
    {"_id": KEYS[2], "name": "C", "friend": to(1)},
    {"_id": 1, "name": "D", "friend": to(KEYS[3])},
    {"_id": KEYS[3].binary, "name": "E"},
]
MARK = mark_of("authors")
LENGTH = int.from_bytes(MARK.stored[:4], "little")
LIST = bson.encode({"": [to(KEYS[0]), to(KEYS[1])]})[6:-1]
TRAPS = [  # which look like references, or like marks, to whoever looks at bytes
    (MARK.stored + KEYS[0].binary + b"\0").decode("latin-1"),
    MARK.stored + KEYS[0].binary,
    {"a": LENGTH, "$ref": "authors", "$id": KEYS[0]},
    {"$id": KEYS[0], "$ref": "authors"},
    {"$ref": "authors"},
    {"$ref": "authors", "$id": KEYS[0], "more": 1},
    {"$ref": "authors", "$id": KEYS[0], "$db": 1},
    {"x\x02$ref": "authors", "$id": KEYS[0]},
    {MARK.name: KEYS[0].binary},
    {"\x1eref": "authors", "$id": KEYS[0]},
    "\x1eref",
    "\x02$ref",
    to(bson.ObjectId(f"{0x1E726566:024x}")),
    (b"\x04editors\0" + LIST).decode("latin-1"),
    b"\x04editors\0" + LIST,
    b"\x04editors\0" + b"\xff\xff\xff\xff" + LIST[4:],
    LIST[5:],  # what becomes of a list
    {"x\x04editors": LENGTH, "0": to(KEYS[0])},
    {"editors": [to(KEYS[0])]},
    [to(KEYS[0])] * 12,
    [to(KEYS[0]), [to(KEYS[1])]],
]
LINKS = [
    *map(to, KEYS),
    *KEYS,
    to(1),
    to(KEYS[3].binary),
    to("k"),
    to(None),
    to(KEYS[0], "elsewhere"),
    to(KEYS[0], database="other"),
    1,
    None,
]
ASKED = (
    "title,author,author.name,editors.name,editors",
    "author.friend,author.friend.name,author.tags,chapters.by",
    "chapters,title",
    "editors.0.name,editors",
    "author,editors.friend",
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Resource]]:
    yield from served(tmp_path_factory.mktemp("references"), "marked", {"books": LIBRARY})


def values(*more: Any) -> st.SearchStrategy[Any]:
    """Mostly references to authors, as Beanie writes them."""
    usual = st.sampled_from(LINKS[:4])
    return st.one_of(usual, usual, usual, st.sampled_from([*LINKS, *more]))


def books(*more: Any) -> st.SearchStrategy[list[Document]]:
    link = values(*more)
    fields = {
        "title": st.sampled_from(["t", "", *more]),
        "author": link,
        "editors": st.one_of(st.lists(link, max_size=3), st.sampled_from([None, *more])),
        "chapters": st.lists(st.fixed_dictionaries({}, optional={"by": link}), max_size=2),
    }
    return st.lists(st.fixed_dictionaries({}, optional=fields), min_size=1, max_size=4)


def encode(documents: list[Document]) -> bytes:
    return b"".join(bson.encode(one, codec_options=CODEC) for one in documents)


def make_file(library: dict[str, Resource], asked: str, raw: bytes) -> bytes:
    """A CSV of these documents."""
    chosen = columns(library, asked)
    steps = [column.steps for column in chosen]
    cells = LinkedCells(chosen, Stored(authors=AUTHORS))
    encoder = FORMATS["csv"].encoder(chosen, Options(), "")
    found = read_columns(raw, Table(steps), steps, cells.targets)
    made: bytes = encoder.encode(cells.place(cells.follow(found)))
    return made


def make_json(library: dict[str, Resource], asked: str, raw: bytes) -> bytes:
    chosen = columns(library, asked) if asked else ()
    presenters = {"authors": presenter(library["authors"].shape)}
    reader = LinkedDocuments(chosen, BOOK_LINKS, presenters, Stored(authors=AUTHORS))
    return to_json(reader.place(reader.follow(raw), presenter(library["books"].shape)))


@given(documents=st.one_of(books(), books(*TRAPS)), asked=st.sampled_from(ASKED))
@settings(max_examples=100, suppress_health_check=list(HealthCheck))
def test_files_are_those_of_the_drivers_own_references(
    library: dict[str, Resource], documents: list[Document], asked: str
) -> None:
    raw = encode(documents)
    whole = "" if "0" in asked else asked
    found = make_file(library, asked, raw), make_json(library, whole, raw)
    with pytest.MonkeyPatch.context() as patch:
        for module in (linked_documents, references):
            patch.setattr(module, "edits", lambda *_: ())
        assert found == (make_file(library, asked, raw), make_json(library, whole, raw))


@given(documents=books())
def test_json_of_whole_documents(library: dict[str, Resource], documents: list[Document]) -> None:
    raw = encode(documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linked_documents, "edits", lambda *_: ())
        expected = make_json(library, "", raw)
    assert make_json(library, "", raw) == expected


def read(documents: list[Document]) -> list[Any]:
    steps = [("author",), ("editors",), ("title",)]
    return read_columns(encode(documents), Table(steps), steps, ["authors", "authors", None])


def test_a_binary_is_no_list_that_was_hidden_elsewhere() -> None:
    listed = {"editors": [to(KEYS[0])]}
    steps = [("editors",), ("author",)]
    targets = ["authors", "authors"]
    raw = encode([{"more": listed, "author": LIST[5:]}])
    _, authors = read_columns(raw, Table(steps), steps, targets)
    assert authors == [LIST[5:]]
    assert not isinstance(authors, Links)


def test_links_are_read_without_references() -> None:
    author, editors, title = read(
        [
            {"author": to(KEYS[0]), "editors": [to(KEYS[1]), to(KEYS[2])], "title": "t"},
            {"author": None, "editors": []},
            {"editors": [None, to(KEYS[1])]},
        ]
    )
    assert type(author) is type(editors) is Links
    assert author.keys == [KEYS[0].binary, None, None]
    assert author.show() == [str(KEYS[0]), None, None]
    assert editors.keys == [KEYS[1].binary, KEYS[2].binary, None, KEYS[1].binary]
    assert editors.show() == [[str(KEYS[1]), str(KEYS[2])], [], [None, str(KEYS[1])]]
    assert title == ["t", None, None]


def test_links_by_other_keys_are_read_without_references_too() -> None:
    author, editors, _ = read([{"author": to(n), "editors": [to("k")] * n} for n in range(3)])
    assert type(author) is type(editors) is Links
    assert (author.show(), editors.show()) == ([0, 1, 2], [[], ["k"], ["k", "k"]])


def decoded(patch: pytest.MonkeyPatch) -> list[int]:
    """How many times some BSON is decoded, as it grows."""
    sizes: list[int] = []

    def decode(raw: bytes, **words: Any) -> list[Document]:
        sizes.append(len(raw))
        return decode_all(raw, **words)

    patch.setattr(references, "decode_all", decode)
    return sizes


@pytest.mark.parametrize("key", [KEYS[0], 1])
@pytest.mark.parametrize("most", [12, 2 * reference_lists.LENGTHS])
def test_lists_are_decoded_once(monkeypatch: pytest.MonkeyPatch, key: Any, most: int) -> None:
    times = decoded(monkeypatch)
    documents = [{"author": to(key), "editors": [to(key)] * number} for number in range(most)]
    _, editors, _ = read([*documents, {"editors": None}, {"author": None}])
    assert type(editors) is Links
    assert editors.lengths == [*range(most), None, None]
    assert make_keys(editors.keys) == [key] * sum(range(most))
    assert len(times) == 1


def references_of(links: Links) -> list[Any]:
    return [None if key is None else to(key) for key in make_keys(links.keys)]


@pytest.mark.parametrize("author", [None, to(KEYS[0]), to(1), to(KEYS[0], "elsewhere"), KEYS[0]])
def test_lists_are_decoded_once_beside_any_link(
    monkeypatch: pytest.MonkeyPatch, author: Any
) -> None:
    times = decoded(monkeypatch)
    columns = read([{"author": author, "editors": [to(KEYS[1])]}, {"editors": [to(KEYS[2])] * 2}])
    assert type(columns[1]) is Links
    assert columns[1].keys == [KEYS[1].binary, KEYS[2].binary, KEYS[2].binary]
    assert len(times) == 1


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("key", [KEYS[0], 1])
def test_what_looks_like_a_reference_comes_back(trap: Any, key: Any) -> None:
    for documents in (
        [{"author": to(key)}, {"author": trap}],
        [{"author": to(key), "title": trap}, {}],
        [{"author": to(key), "title": [trap]}, {}],
        [{"editors": [to(key)], "title": trap}, {}],
        [{"editors": [to(key)], "title": [trap]}, {"editors": [trap]}],
        [{"editors": [to(key), to(key)]}, {"editors": trap}],
    ):
        expected = [bson.decode(bson.encode(one), CODEC) for one in documents]
        author, editors, title = read(documents)
        if type(editors) is Links:
            editors = editors.arrange(references_of(editors))
        assert editors == [one.get("editors") for one in expected]
        if type(author) is Links:
            assert all(type(one.get("author")) in (bson.DBRef, type(None)) for one in expected)
            author = references_of(author)
        assert author == [one.get("author") for one in expected]
        assert title == [one.get("title") for one in expected]


def test_keys_are_taken_out_of_documents() -> None:
    documents = [{"_id": KEYS[0], "name": "n"}, {"name": "m", "_id": KEYS[1]}]
    keys, text = take_keys(encode(documents))
    assert keys == [KEYS[0].binary, KEYS[1].binary]
    assert decode_all(text) == [{TAKEN: True, "name": "n"}, {"name": "m", TAKEN: True}]
    assert are_keys(keys, [True, True])
    assert take_keys(b"") == ([], b"")


def test_keys_that_come_first_are_hidden() -> None:
    inner = {"_id": KEYS[1]}
    raw = encode([{"_id": KEYS[0], "inner": inner}, {"_id": 1, "inner": inner}])
    hidden = decode_all(hide_keys(raw, offsets(raw)))
    assert hidden == [{TAKEN: True, "inner": inner}, {"_id": 1, "inner": inner}]


@pytest.mark.parametrize(
    "documents",
    [
        [{"_id": 1}, {"_id": KEYS[0]}],
        [{"_id": 1, "other": {"_id": KEYS[0]}}],
        [{"_id": KEYS[0], "other": {"_id": KEYS[1]}}],
        [{"_id": KEYS[0], "other": {"_id": KEYS[1]}}, {"_id": 1}],
        [{"_id": KEYS[0], "text": "\x07_id\0" + "a" * KEY_BYTES}],
        [{"_id": KEYS[0], "text": "\x07_id\0" + "a" * KEY_BYTES}, {"_id": 1}],
        [{"_id": 1, "bytes": b"\x07_id\0" + b"\xff" * KEY_BYTES}],
    ],
)
def test_what_is_taken_for_a_key_and_is_none_is_noticed(documents: list[dict[str, Any]]) -> None:
    keys, text = take_keys(encode(documents))
    assert not are_keys(keys, [one.get(TAKEN) for one in decode_all(text)])
