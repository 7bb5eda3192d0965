"""Every type of value, stored by another program, read back from each format by another library."""

import csv
import datetime
import io
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
import httpx
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape
from pymongo import MongoClient

from app.spreadsheets.cells import unguard
from tests.support.drawing import some_and_many
from tests.support.mongod import needs_mongod
from tests.support.server import ROOT, LiveServer

pytestmark = [*needs_mongod, pytest.mark.slow]
UTC = datetime.UTC
FIRST, LAST = datetime.datetime(1, 1, 2), datetime.datetime(9999, 12, 30)  # noqa: DTZ001  # hypothesis wants naive ones
PATHS = (
    "text",
    "whole",
    "real",
    "flag",
    "moment",
    "amount",
    "code",
    "ref",
    "data",
    "anything",
    "texts",
    "point.label",
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    [
        "=1+1",
        "'x",
        "007",
        "1E5",
        " a ",
        "a\r\nb",
        'q"q',
        "_x0041_",
        "\t",
        "王小明",
        "🙂",
        "\u202eabc",  # right to left
        "＝1",
        "\x01",
        "-5",
        "",
    ]
)
MOMENTS = st.datetimes(min_value=FIRST, max_value=LAST).map(
    lambda value: value.replace(microsecond=value.microsecond // 1000 * 1000, tzinfo=UTC)
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "whole": st.integers(-(2**63), 2**63 - 1),
    "real": st.floats(width=64),
    "flag": st.booleans(),
    "moment": MOMENTS,
    "amount": st.decimals(
        allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9
    ).map(bson.Decimal128),
    "code": st.uuids(),
    "ref": st.binary(min_size=12, max_size=12).map(bson.ObjectId),
    "data": st.binary(max_size=9),
    "texts": st.lists(TEXTS, max_size=3),
    "point": st.fixed_dictionaries({"x": st.integers(0, 9), "label": TEXTS}),
}
VALUES["anything"] = st.one_of(st.none(), *VALUES.values())
DOCUMENTS = st.lists(st.fixed_dictionaries({}, optional=VALUES), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def things(
    mongo_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, Any]]:
    """A client of a server with a field of every type, and the collection."""
    folder = tmp_path_factory.mktemp("every")
    (folder / "every").mkdir()
    source = (ROOT / "tests" / "support" / "every_type.py").read_text()
    (folder / "every" / "__init__.py").write_text("")
    (folder / "every" / "type.py").write_text(source)
    with (
        LiveServer(folder, MONGO_URI=mongo_uri, DB_NAME="every", MODELS="every") as live,
        httpx.Client(base_url=live.address, timeout=60) as client,
        MongoClient[dict[str, Any]](mongo_uri, uuidRepresentation="standard") as database,
    ):
        yield client, database["every"]["things"]


def at(document: dict[str, Any], path: str) -> Any:
    """The value at a path."""
    value: Any = document
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def means(cell: str, value: Any, shown: Any) -> bool:
    """Whether the cell of a CSV file, unguarded where it is a text, is what was stored."""
    if value is None:
        return cell == ""
    if isinstance(value, str):
        return unguard(cell) == value
    if isinstance(value, bool):
        return cell == ("true" if value else "false")
    if isinstance(value, float):
        return cell == repr(value) or cell == shown
    if isinstance(value, list | dict):
        return bool(json.loads(unguard(cell)) == shown)
    return unguard(cell) == str(shown)


def means_in_sheet(cell: Any, value: Any, shown: Any) -> bool:
    """Whether the cell of a workbook is what was stored."""
    if value in (None, "", b""):
        return cell is None
    if isinstance(cell, str):
        cell = unescape(cell)
    if isinstance(value, datetime.datetime) and isinstance(cell, datetime.datetime):
        return abs(cell.replace(tzinfo=UTC) - value) < datetime.timedelta(milliseconds=1)
    if isinstance(value, bson.Decimal128) and not isinstance(cell, str):
        return bool(abs(float(str(value)) - cell) < 1e-6)
    if isinstance(value, list | dict):
        return bool(json.loads(cell) == shown)
    if isinstance(value, int | float) and not isinstance(cell, str):
        return bool(cell == value)
    return bool(cell == str(shown))


def check_what_readers_get(
    things: tuple[httpx.Client, Any], documents: list[dict[str, Any]]
) -> None:
    http, collection = things
    collection.delete_many({})
    collection.insert_many([{"_id": bson.ObjectId(), **document} for document in documents])
    lines = [json.loads(line) for line in http.get("/things/export/ndjson").text.split("\n")[:-1]]
    assert lines == http.get("/things/?limit=1000").json()
    assert lines == http.get("/things/export/json").json()
    columns = ",".join(PATHS)
    text = http.get(f"/things/export/csv?columns={columns}").content.decode()
    records = list(csv.DictReader(io.StringIO(text, newline="")))
    book = openpyxl.load_workbook(
        io.BytesIO(http.get(f"/things/export/xlsx?columns={columns}").content)
    )
    cells = list(book.worksheets[0].iter_rows(min_row=2, max_col=len(PATHS), values_only=True))
    assert (len(records), len(cells)) == (len(documents), len(documents))
    for document, line, csv_row, row in zip(documents, lines, records, cells, strict=True):
        for path, cell in zip(PATHS, row, strict=True):
            value, shown = at(document, path), at(line, path)
            assert means(csv_row[path], value, shown), (path, csv_row[path], value)
            assert means_in_sheet(cell, value, shown), (path, cell, value)


test_what_readers_get_is_what_was_stored, test_what_readers_get_very_often = some_and_many(
    given(documents=DOCUMENTS), check_what_readers_get, 20, 400
)


def test_an_excluded_field_is_nowhere(things: tuple[httpx.Client, Any]) -> None:
    http, collection = things
    collection.delete_many({})
    collection.insert_one({"_id": bson.ObjectId(), "text": "shown", "secret": "HIDDEN"})
    for name in ("csv", "xlsx", "ndjson", "json"):
        for query in ("", "columns=_id,*", "consistency=none&sort=-text"):
            content = http.get(f"/things/export/{name}?{query}").content
            if name == "xlsx":
                book = openpyxl.load_workbook(io.BytesIO(content))
                content = repr([list(sheet.values) for sheet in book.worksheets]).encode()
            assert b"shown" in content
            assert b"HIDDEN" not in content
            assert b"secret" not in content
        assert http.get(f"/things/export/{name}?columns=secret").status_code == 422
        assert http.get(f"/things/export/{name}?sort=secret").status_code == 422
        assert http.get(f"/things/export/{name}?secret=HIDDEN").status_code == 422


MODELS = """
from beanie import Document
from pydantic import BaseModel, Field

class Inner(BaseModel):
    shown: str
    secret: str = Field("", exclude=True)

class Person(Document):
    inner: Inner | None = None
    many: list[Inner] = []
    class Settings:
        name = "人员"
"""


def test_excluded_fields_inside_cells_and_a_chinese_name(mongo_uri: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(MODELS)
    inner = {"shown": "yes", "secret": "HIDDEN"}
    with (
        LiveServer(tmp_path, MONGO_URI=mongo_uri, DB_NAME="excluded", MODELS="own") as live,
        httpx.Client(base_url=live.address) as http,
        MongoClient[dict[str, Any]](mongo_uri) as database,
    ):
        database["excluded"]["人员"].delete_many({})
        database["excluded"]["人员"].insert_one({"_id": 1, "inner": inner, "many": [inner, inner]})
        for name in ("csv", "ndjson", "json"):
            for query in ("", "columns=many,inner", "columns=many.shown,inner.shown"):
                answer = http.get(f"/人员/export/{name}?{query}")
                assert "yes" in answer.text
                assert "HIDDEN" not in answer.text
        unwound = http.get("/人员/export/csv?unwind=many")
        assert unwound.text == "inner.shown,many.shown\r\nyes,yes\r\nyes,yes\r\n"
        assert answer.headers["content-disposition"] == (
            "attachment; filename=\"__.json\"; filename*=UTF-8''%E4%BA%BA%E5%91%98.json"
        )
        named = http.get("/").json()["resources"]["人员"]
        assert named["documents"] == "/%E4%BA%BA%E5%91%98/"
        assert named["exports"]["csv"] == "/%E4%BA%BA%E5%91%98/export/csv"


def test_uuid_keys(things: tuple[httpx.Client, Any]) -> None:
    http, collection = things
    coded = collection.database["coded"]
    coded.delete_many({})
    keys = [uuid.UUID(int=number) for number in range(2_500)]
    coded.insert_many([{"_id": key} for key in keys])
    assert [
        json.loads(line)["_id"] for line in http.get("/coded/export/ndjson").text.splitlines()
    ] == list(map(str, keys))
