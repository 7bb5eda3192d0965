"""What an export writes, the reader reads back: every kind of field, every format, whole tables."""

import datetime
import io
import string
import uuid
from typing import Any

import bson
import orjson
import pydantic
import pytest
from beanie import DecimalAnnotation
from hypothesis import given, settings
from hypothesis import strategies as st

from app.resources.fields import Field, shape_of
from app.resources.rendering import to_json
from app.spreadsheets.format import ReadOptions
from app.spreadsheets.formats import FORMATS
from app.spreadsheets.ingest import Ingest
from tests.spreadsheets.files import export
from tests.support.every_type import Thing

ZONES = ["UTC", "Asia/Shanghai", "Asia/Kolkata"]  # without a repeated hour after 1992
TABULAR = ["csv", "xlsx"]
MARKER = ("int", "bool")  # columns that are never both empty, for an empty row is none
OPTIONAL: dict[str, Any] = {
    "text": str | None, "int": int | None, "float": float | None, "bool": bool | None,
    "datetime": datetime.datetime | None, "date": datetime.date | None,
    "decimal": DecimalAnnotation | None,
    "uuid": uuid.UUID | None, "objectid": bson.ObjectId | None, "bytes": bytes | None,
    "duration": datetime.timedelta | None, "texts": list[str] | None, "map": dict[str, int] | None,
}  # fmt: skip
Everything = pydantic.create_model(
    "Everything",
    __config__=pydantic.ConfigDict(arbitrary_types_allowed=True),
    **{name: (kind, None) for name, kind in OPTIONAL.items()},
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
moments = st.datetimes(
    datetime.datetime(1993, 1, 1),  # noqa: DTZ001
    datetime.datetime(9990, 1, 1),  # noqa: DTZ001
).map(
    lambda value: value.replace(microsecond=value.microsecond // 1000 * 1000, tzinfo=datetime.UTC)
)
decimals = st.one_of(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=2, min_value=-(10**12), max_value=10**12
    ),
    st.decimals(allow_nan=False).filter(lambda value: len(value.as_tuple().digits) < 34),
).map(lambda value: bson.Decimal128(str(value)))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": texts,
    "int": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(),
    "bool": st.booleans(),
    "datetime": st.one_of(moments, moments.map(lambda value: value.replace(microsecond=0))),
    "date": st.dates().map(
        lambda day: datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC)
    ),
    "decimal": decimals,
    "uuid": st.uuids(),
    "objectid": st.binary(min_size=12, max_size=12).map(bson.ObjectId),
    "bytes": st.binary(max_size=20),
    "duration": st.floats(-1e9, 1e9),
    "texts": st.lists(texts, max_size=3),
    "map": st.dictionaries(
        st.text(string.ascii_letters, min_size=1), st.integers(-(2**53), 2**53), max_size=3
    ),
}
documents = st.lists(
    st.fixed_dictionaries(
        {}, optional={name: st.one_of(st.none(), some) for name, some in VALUES.items()}
    ),
    min_size=1,
    max_size=4,
)


def bodies(
    format: str, data: bytes, model: Any, **options: Any
) -> list[tuple[dict[str, Any], list[str]]]:
    """What the file says of each row that has something: its body, and the paths that are empty."""
    make = FORMATS[format].reader
    assert make is not None
    chosen = ReadOptions(**options)
    reader = make(io.BytesIO(data), chosen)
    made = Ingest(reader, shape_of(model), options=chosen)
    found = []
    for rows in reader:
        for record in made.records(rows):
            assert record.faults == []
            assert record.kept == []
            found.append((made.body(record), record.empty))
    return found


def shown(value: Any, kind: str) -> Any:
    """A value as JSON, the model's dates without a time."""
    return orjson.loads(to_json(value.date() if kind == "date" else value))


def is_empty(value: Any) -> bool:
    return value is None or value == "" or value == b""


@pytest.mark.parametrize("format", TABULAR)
@pytest.mark.parametrize("kind", list(VALUES))
def test_each_kind_comes_back(kind: str, format: str) -> None:
    @settings(deadline=None, max_examples=30)
    @given(st.lists(VALUES[kind], min_size=1, max_size=5), st.sampled_from(ZONES))
    def comes_back(values: list[Any], zone: str) -> None:
        stored = [{MARKER[0]: 1, MARKER[1]: True, kind: value} for value in values]
        columns = ",".join(dict.fromkeys((*MARKER, kind)))
        data = export(format, Everything, stored, columns, timezone=zone)
        read = [body.get(kind) for body, _ in bodies(format, data, Everything, timezone=zone)]
        assert read == [None if is_empty(value) else shown(value, kind) for value in values]

    comes_back()


@pytest.mark.parametrize("format", TABULAR)
@settings(deadline=None, max_examples=40)
@given(
    stored=documents, zone=st.sampled_from(ZONES), delimiter=st.sampled_from([",", ";", "|", "tab"])
)
def test_a_whole_table_comes_back(
    stored: list[Any], format: str, zone: str, delimiter: str
) -> None:
    marked = [{**document, "map": {"n": number}} for number, document in enumerate(stored)]
    data = export(format, Everything, marked, timezone=zone, delimiter=delimiter)
    read = bodies(format, data, Everything, timezone=zone)
    assert len(read) == len(marked)
    for document, (body, empty) in zip(marked, read, strict=True):
        filled = {name for name, value in document.items() if not is_empty(value)}
        assert body == {name: shown(document[name], name) for name in filled}
        assert set(empty) == set(OPTIONAL) - filled


@pytest.mark.parametrize("format", ["ndjson", "json"])
@settings(deadline=None, max_examples=40)
@given(stored=documents)
def test_documents_come_back(stored: list[Any], format: str) -> None:
    data = export(format, Everything, stored)
    assert [body for body, _ in bodies(format, data, Everything)] == [
        orjson.loads(to_json(document)) for document in stored
    ]


NESTED: list[dict[str, Any]] = [
    {
        "text": "=1+1", "texts": ["a", "", "三"], "counts": {"k": 1}, "pair": [1, "x"],
        "grid": [[1], []],
        "color": "red", "level": 2, "digit": 3, "point": {"x": 1.5, "y": -0.5, "label": "'q"},
        "points": [{"x": 1.0, "y": 2.0}],
        "line": {"start": {"x": 0.0, "y": 0.0}, "others": [{"x": 1.0, "y": 1.0}]},
        "tree": {"name": "t", "children": [{"name": "u", "children": []}]},
        "free": {"a": [1, None, {"b": True}]},
        "days_by": {"d": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)},
        "link": bson.DBRef("numbered", 7),
        "signed": {"by": bson.DBRef("named", "=a")},
        "links": [bson.DBRef("coded", uuid.UUID(int=1))],
        "otherName": "\u0001_x0041_\r\n",
    },
    {"text": "b", "anything": "007x", "points": []},
]  # fmt: skip


@pytest.mark.parametrize("format", TABULAR)
def test_nested_models_lists_and_maps_come_back(format: str) -> None:
    read = bodies(format, export(format, Thing, NESTED), Thing)
    expected = orjson.loads(to_json(NESTED))
    expected[0]["days_by"] = {"d": "2026-01-02"}
    expected[0] |= {"link": 7, "signed": {"by": "=a"}, "links": [str(uuid.UUID(int=1))]}
    assert [body for body, _ in read] == expected


@pytest.mark.parametrize("format", TABULAR)
def test_numbered_columns_come_back(format: str) -> None:
    columns = "text,points.0.x,points.0.label,points.1.x,texts.1,labels.k"
    stored = {
        "text": "a",
        "points": [{"x": 1.5, "label": "l"}, {"x": 2.0}],
        "texts": ["p", "q"],
        "labels": {"k": "v"},
    }
    [(body, empty)] = bodies(format, export(format, Thing, [stored], columns), Thing)
    assert body == {
        "text": "a",
        "points": [{"x": 1.5, "label": "l"}, {"x": 2.0}],
        "texts": ["", "q"],
        "labels": {"k": "v"},
    }
    assert empty == []


def test_every_kind_is_tried() -> None:
    kinds = {field.kind for field in shape_of(Everything).fields.values()}
    assert {field.kind for field in shape_of(Thing).fields.values() if isinstance(field,
    Field)} - kinds <= {
        "object", "any", "lists", "link",
    }  # fmt: skip
