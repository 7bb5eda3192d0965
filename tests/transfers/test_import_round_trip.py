"""What an export writes, an import reads back: nothing changes, and an empty collection fills."""

import io
from collections.abc import Iterator
from typing import Any

import bson
import openpyxl
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import Invalid
from app.resources.codec import CODEC, decode
from app.resources.documents import read_document
from app.resources.registry import make_resource
from app.resources.rendering import presenter, to_json
from app.resources.storing import to_bson
from app.settings import Settings
from app.spreadsheets.format import ReadOptions
from app.store.client import Connection, direct_connection
from app.store.indexes import Indexes
from app.store.reach import Reach
from app.transfers.import_options import Import
from app.transfers.imports import Ended, run_import
from tests.spreadsheets.files import export
from tests.spreadsheets.test_round_trip import VALUES
from tests.support.every_type import Thing
from tests.support.mongod import needs_mongod

pytestmark = needs_mongod
RESOURCE = make_resource(Thing)
FORMATS = ["csv", "xlsx", "ndjson", "json"]
FAST = settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
texts, whole, moments = VALUES["text"], VALUES["int"], VALUES["datetime"]
words = st.text("abc=+-@'\"_x;,| 中\n\t", max_size=6)
small = st.integers(-5, 5)
points = st.fixed_dictionaries(
    {
        "x": st.floats(-9, 9),
        "y": st.floats(-9, 9),
        "label": st.one_of(st.none(), texts.filter(bool)),
    }
)
TYPED: dict[str, st.SearchStrategy[Any]] = {
    "text": st.one_of(texts, words),
    "whole": whole,
    "real": VALUES["float"].filter(lambda value: value - value == 0),
    "flag": st.booleans(),
    "moment": moments,
    "day": VALUES["date"],
    "amount": VALUES["decimal"],
    "code": VALUES["uuid"],
    "color": st.sampled_from(["red", "green"]),
    "level": st.sampled_from([1, 2]),
    "word": st.sampled_from(["yes", "no"]),
    "digit": st.sampled_from([1, 2, 3]),
    "ref": VALUES["objectid"],
    "data": VALUES["bytes"],
    "span": st.floats(0, 1000),
    "either": st.one_of(small, words),
    "anything": st.one_of(small, st.booleans(), words, st.lists(small, max_size=2)),
    "texts": st.lists(texts, max_size=3),
    "wholes": st.lists(whole, max_size=3),
    "moments": st.lists(moments, max_size=2),
    "days": st.lists(VALUES["date"], max_size=2),
    "amounts": st.lists(VALUES["decimal"], max_size=2),
    "refs": st.lists(VALUES["objectid"], max_size=2),
    "datas": st.lists(VALUES["bytes"], max_size=2),
    "grid": st.lists(st.lists(small, max_size=2), max_size=2),
    "counts": st.dictionaries(st.sampled_from(["a", "b.c", "中"]), small, max_size=2),
    "labels": st.dictionaries(st.sampled_from(["a", "b"]), texts, max_size=2),
    "point": points,
    "points": st.lists(points, max_size=2),
    "points_by": st.dictionaries(st.sampled_from(["p", "q"]), points, max_size=2),
    "free": st.dictionaries(
        st.sampled_from(["a", "b"]), st.one_of(st.none(), small, texts), max_size=2
    ),
    "otherName": texts,
}
# What another program may have stored in any of them.
ODD = st.one_of(
    st.none(),
    st.just(""),
    whole,
    VALUES["float"],
    st.booleans(),
    words,
    VALUES["decimal"],
    moments,
    VALUES["objectid"],
    VALUES["bytes"],
    VALUES["uuid"],
    st.just([]),
    st.just({}),
    st.lists(st.one_of(st.none(), small, words), max_size=2),
    st.dictionaries(st.sampled_from(["x", "k"]), small, max_size=2),
    st.just(bson.Regex("a", "i")),
    st.just(bson.Timestamp(5, 1)),
    st.just(bson.MaxKey()),
    st.just(bson.Int64(5)),
    st.just(bson.DBRef("others", "k")),
    st.sampled_from(  # what only looks like Extended JSON
        [{"$numberLong": "5"}, {"$date": 1}, [{"$oid": "a" * 24}], {"k": {"$uuid": "x"}}]
    ),
)
typed = st.fixed_dictionaries({}, optional=TYPED)
odd = st.fixed_dictionaries(
    {},
    optional={name: st.one_of(ODD, value) for name, value in TYPED.items()}
    | {"extra": ODD, "link": st.one_of(ODD, whole.map(lambda key: bson.DBRef("numbered", key)))},
)


@pytest.fixture(scope="module")
def connection(mongo_uri: str) -> Iterator[Connection]:
    chosen = Settings(DB_NAME="round_trip", _env_file=None)  # type: ignore[call-arg]
    with direct_connection(chosen, mongo_uri) as opened:
        opened.sync.command("ping")
        yield opened


def run(connection: Connection, data: bytes, **words: Any) -> Ended:
    asked = Import(RESOURCE.address, **words)
    indexes = Indexes(made=True)
    reach = Reach.of_all(connection, RESOURCE, [RESOURCE])
    return run_import(asked, reach, connection, indexes, io.BytesIO(data))


def as_file(format: str, documents: list[bytes], **options: Any) -> bytes:
    """The file of an export of documents, given as their BSON."""
    read = [decode(raw) for raw in documents]
    if format in ("csv", "xlsx"):
        return export(format, Thing, read, "_id,*", **options)
    present = presenter(RESOURCE.shape)
    for document in read:
        if present:
            present(document)
    return export(format, Thing, read)


def stored(connection: Connection) -> list[bytes]:
    found = connection.documents("things").find_all({})
    return sorted(found)


def fill(connection: Connection, documents: list[dict[str, Any]]) -> list[bytes]:
    collection = connection.collection("things")
    collection.delete_many({})
    with_keys = [{"_id": bson.ObjectId(), **document} for document in documents]
    raws = [bson.encode(document, codec_options=CODEC) for document in with_keys]
    collection.insert_many([dict(document) for document in with_keys])
    return sorted(raws)


@pytest.mark.parametrize("format", FORMATS)
def test_an_unchanged_export_changes_nothing(connection: Connection, format: str) -> None:
    @FAST
    @given(st.lists(odd, min_size=1, max_size=4), st.sampled_from(["UTC", "Asia/Kolkata"]))
    def comes_back(documents: list[dict[str, Any]], zone: str) -> None:
        before = fill(connection, documents)
        options = {"timezone": zone} if format in ("csv", "xlsx") else {}
        data = as_file(format, before, **options)
        ended = run(
            connection, data, format=format, mode="upsert", options=ReadOptions(timezone=zone)
        )
        report = ended.report
        assert ended.error is None, (ended.error, report)
        assert (report.rows, report.unchanged) == (len(documents), len(documents)), report
        assert stored(connection) == before

    comes_back()


def test_a_number_that_a_spreadsheet_has_saved_with_15_digits_is_the_same(
    connection: Connection,
) -> None:
    numbers = [0.1 + 0.2, 1 / 3, 5e-324, -2e300 / 3, 2.0**60, 0.0, 1.5]
    before = fill(connection, [{"real": number} for number in numbers])
    book = openpyxl.load_workbook(io.BytesIO(as_file("xlsx", before)))
    (column,) = (column for column in book.active.columns if column[0].value == "real")
    for cell in column[1:]:
        cell.value = float(f"{cell.value:.15g}")
    for changed in range(2):
        saved = io.BytesIO()
        book.save(saved)
        report = run(connection, saved.getvalue(), format="xlsx", mode="upsert").report
        assert (report.updated, report.unchanged) == (changed, len(numbers) - changed)
        column[1].value *= 1 + 1e-14


LOOKS_EXTENDED = {"$oid": "a" * 24}
DAY = {"$date": "2026-01-02T03:04:05Z"}
WRAPPED_KEY = {"$oid": "b" * 24}


@pytest.mark.parametrize("format", ["ndjson", "json"])
def test_an_object_with_a_key_as_of_extended_json_comes_back(
    connection: Connection, format: str
) -> None:
    documents = [{"anything": LOOKS_EXTENDED}, {"free": {"a": DAY, "b.c": [LOOKS_EXTENDED]}}]
    before = fill(connection, documents)
    data = as_file(format, before)
    connection.collection("things").delete_many({})
    assert run(connection, data, format=format).report.inserted == 2
    for raw, old in zip(stored(connection), before, strict=True):
        known, known_before = decode(raw), decode(old)
        assert {name: known[name] for name in known_before} == known_before


@pytest.mark.parametrize(
    ("document", "free"),
    [
        ({"_id": WRAPPED_KEY, "free": {"a": DAY}}, {"a": DAY["$date"]}),
        ({"_id": "b" * 24, "free": {"a": DAY}}, {"a": DAY}),
        ({"moment": DAY, "free": {"a": DAY}}, {"a": DAY["$date"]}),
    ],
    ids=["mongoexport", "the API", "no _id"],
)
def test_the_rest_of_a_document_tells_whether_it_is_extended_json(
    connection: Connection, document: dict[str, Any], free: Any
) -> None:
    connection.collection("things").delete_many({})
    run(connection, orjson.dumps(document), format="ndjson")
    assert decode(stored(connection)[0])["free"] == free


@pytest.mark.parametrize(
    ("data", "format", "path"),
    [
        (b'{"text":"a"}\n{"free":{"a":[{"$oid":"x"}]}}\n', "ndjson", "free.a.0"),
        (b'text,anything\nx,"{""$numberLong"":""5""}"\n', "csv", "anything"),
        (b'text,free\nx,"{""a"":{""$numberLong"":""5""}}"\n', "csv", "free"),
    ],
)
def test_what_may_be_extended_json_or_not_is_no_silent_change(
    connection: Connection, data: bytes, format: str, path: str
) -> None:
    report = run(connection, data, format=format).report
    [error] = report.errors
    assert (error["row"], error["column"]) == (2, path)
    assert error["detail"].startswith(f"{path} may be a value in Extended JSON or an object")


def test_what_may_be_extended_json_is_no_fault_where_it_is_stored_so(
    connection: Connection,
) -> None:
    before = fill(connection, [{"anything": LOOKS_EXTENDED, "free": {"a": DAY}, "text": "x"}])
    data = as_file("csv", before)
    report = run(connection, data, format="csv", mode="upsert").report
    assert (report.unchanged, report.failed) == (1, 0)


POINTS = [{"x": 1.0, "y": 7.0, "label": "a"}, {"x": 2.0, "y": 8.0, "label": "b"}]
LINE = {"start": {"x": 0.0, "y": 0.5, "label": None}, "others": POINTS}


@pytest.mark.parametrize(
    ("sent", "lost"),
    [
        ({"points": [{"x": 1}, {"x": 2}]}, "points.y"),
        ({"points": [{"x": 1.0}, {"x": 2.0}]}, "points.y"),
        ({"points": [{"x": 1.0, "y": 7.0}, {"x": 2.0, "y": 8.0}]}, "points.label"),
        ({"line": {"others": [{"x": 1.0, "label": "a"}, {"x": 2.0, "label": "b"}]}},
         "line.others.y"),
        ({"all_signed": [{"by": "k"}]}, "all_signed.at"),
        ({"tree": {"name": "t", "children": [{"name": "u", "children": [{"name": "w"}]}]}},
         "tree.children.children.left"),
        ({"points": [{"x": 1.0, "y": 7.0, "label": "a"}, {"x": 2.0, "y": 8.0}]}, None),
        ({"points": [{"x": 1.0, "y": 7.0, "label": None}, {"x": 2.0, "y": 8.0, "label": None}]},
         None),
        ({"points": [{"x": 1.0}]}, None),
        ({"points": [{"x": 3.0}, {"x": 2.0}]}, None),
        ({"points": []}, None),
        ({"text": "n"}, None),
    ],
    ids=repr,
)  # fmt: skip
def test_a_list_that_only_lacks_fields_of_its_elements_is_refused(
    connection: Connection, sent: dict[str, Any], lost: str | None
) -> None:
    connection.collection("named").replace_one({"_id": "k"}, {"name": "k"}, upsert=True)
    inner = {"name": "u", "children": [{"name": "w", "left": {"name": "l"}}]}
    signed = [{"by": bson.DBRef("named", "k"), "at": "noon"}]
    tree = {"name": "t", "children": [inner]}
    document = {"points": POINTS, "line": LINE, "all_signed": signed, "tree": tree}
    before = fill(connection, [document])
    key = str(decode(before[0])["_id"])
    data = orjson.dumps({"_id": key, **sent})
    ended = run(connection, data, format="ndjson", mode="upsert")
    if lost is None:
        assert (ended.report.updated, ended.report.failed) == (1, 0), ended.report
        return
    [error] = ended.report.errors
    assert error["column"] == lost
    assert error["detail"].startswith(f"{lost}: the elements of the list lack this field")
    assert stored(connection) == before


def test_a_file_that_lacks_what_the_model_adds_is_unchanged_when_it_is_sent_again(
    connection: Connection,
) -> None:
    connection.collection("things").delete_many({})
    data = orjson.dumps({"_id": "c" * 24, "points": [{"x": 1.0}, {"x": 2.0}]})
    for _ in range(2):
        report = run(connection, data, format="ndjson", mode="upsert").report
    assert (report.unchanged, report.failed) == (1, 0)


def test_what_spreadsheets_save_otherwise_is_the_same(connection: Connection) -> None:
    before = fill(connection, [{"text": "a\r\nb", "real": 1 / 3, "anything": 2.0}])
    key = decode(before[0])["_id"]
    for text, real, counts in (("a\nb", "0.333333333333333", (1, 0)), ("a\nc", "0.3333", (0, 1))):
        data = f'_id,text,real,anything\n{key},"{text}",{real},2'.encode()
        report = run(connection, data, format="csv", mode="upsert").report
        assert (report.unchanged, report.updated) == counts


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_collection_gets_equal_documents(connection: Connection, format: str) -> None:
    @FAST
    @given(st.lists(typed, min_size=1, max_size=4))
    def comes_back(documents: list[dict[str, Any]]) -> None:
        connection.collection("things").delete_many({})
        present = presenter(RESOURCE.shape)
        before = []
        for document in documents:
            if format in ("csv", "xlsx"):  # an empty cell is sent as nothing
                document = {
                    name: value for name, value in document.items() if value not in ("", b"")
                }
            if present:
                present(document)
            body = orjson.loads(to_json(document))
            try:
                before.append(to_bson(read_document(RESOURCE, body)))
            except Invalid:
                return
        data = as_file(format, before)
        ended = run(connection, data, format=format, mode="upsert")
        assert ended.error is None, (ended.error, ended.report)
        assert ended.report.inserted == len(documents)
        assert sorted(map(repr, map(decode, stored(connection)))) == sorted(
            map(repr, map(decode, before))
        )

    comes_back()
