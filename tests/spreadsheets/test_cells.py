"""The contract's table of cells, walked type by type, in every format."""

import datetime
import json
import uuid
from typing import Any

import bson
import pydantic
import pytest
from bson.datetime_ms import DatetimeMS
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Invalid
from app.spreadsheets.cells import guard, unguard, zone
from tests.spreadsheets.files import csv_rows, export, openpyxl_rows


class Thing(pydantic.BaseModel):
    a: Any = None
    day: datetime.date | None = None


UTC = datetime.UTC
MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
ID = bson.ObjectId("65a1b2c3d4e5f60718293a4b")
UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
BASIC = datetime.datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001

TABLE: list[tuple[Any, Any, str, Any]] = [  # stored, JSON, CSV, XLSX
    ("text", "text", "text", "text"),
    ("007", "007", "007", "007"),
    ("1E5", "1E5", "1E5", "1E5"),
    ("=1+1", "=1+1", "'=1+1", "=1+1"),
    (True, True, "true", True),
    (False, False, "false", False),
    (-30, -30, "-30", -30),
    (bson.Int64(30), 30, "30", 30),
    (999_999_999_999_999, 999_999_999_999_999, "999999999999999", 999_999_999_999_999),
    (1_000_000_000_000_000, 1_000_000_000_000_000, "1000000000000000", "1000000000000000"),
    (2**63 - 1, 2**63 - 1, "9223372036854775807", "9223372036854775807"),
    (1.5, 1.5, "1.5", 1.5),
    (0.1 + 0.2, 0.1 + 0.2, "0.30000000000000004", 0.1 + 0.2),
    (float("nan"), "NaN", "NaN", "NaN"),
    (float("inf"), "Infinity", "Infinity", "Infinity"),
    (float("-inf"), "-Infinity", "-Infinity", "-Infinity"),
    (bson.Decimal128("1.5"), "1.5", "1.5", 1.5),
    (bson.Decimal128("-1.10"), "-1.10", "-1.10", -1.1),
    (bson.Decimal128("1E+3"), "1E+3", "1E+3", 1000.0),
    (bson.Decimal128("0.0"), "0.0", "0.0", 0.0),
    (bson.Decimal128("1E+301"), "1E+301", "1E+301", "1E+301"),
    (bson.Decimal128("-0.00"), "-0.00", "-0.00", "-0.00"),
    (bson.Decimal128("123456789.012345"), "123456789.012345", "123456789.012345", 123456789.012345),
    (
        bson.Decimal128("0.1234567890123456"),
        "0.1234567890123456",
        "0.1234567890123456",
        "0.1234567890123456",
    ),
    (bson.Decimal128("-0"), "-0", "-0", "-0"),
    (bson.Decimal128("100"), "100", "100", 100),
    (bson.Decimal128("NaN"), "NaN", "NaN", "NaN"),
    (
        MOMENT,
        "2026-01-02T03:04:05.678Z",
        "2026-01-02T03:04:05.678Z",
        BASIC.replace(microsecond=678_000),
    ),
    (MOMENT.replace(microsecond=0), "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z", BASIC),
    (
        datetime.datetime(1900, 2, 28, tzinfo=UTC),
        "1900-02-28T00:00:00Z",
        "1900-02-28T00:00:00Z",
        "1900-02-28T00:00:00Z",
    ),
    (ID, str(ID), str(ID), str(ID)),
    (UUID, str(UUID), str(UUID), str(UUID)),
    (b"\x00\xff", "AP8=", "AP8=", "AP8="),
    (None, None, "", None),
    ("", "", "", None),
    ([1, "二", None], [1, "二", None], '[1,"二",null]', '[1,"二",null]'),
    ({"a": float("nan")}, {"a": "NaN"}, '{"a":"NaN"}', '{"a":"NaN"}'),
    (
        DatetimeMS(2**60),
        {"$date": {"$numberLong": str(2**60)}},
        *[f'{{"$date":{{"$numberLong":"{2**60}"}}}}'] * 2,
    ),
    (bson.MinKey(), {"$minKey": 1}, '{"$minKey":1}', '{"$minKey":1}'),
    (bson.Code("x"), {"$code": "x"}, '{"$code":"x"}', '{"$code":"x"}'),
]
AMONG_OTHERS = [stored for stored, *_ in TABLE]


@pytest.mark.parametrize(("stored", "shown", "csv", "xlsx"), TABLE, ids=repr)
def test_table_of_cells(stored: Any, shown: Any, csv: str, xlsx: Any) -> None:
    documents = [{"a": stored}, {"a": stored}]
    assert csv_rows(export("csv", Thing, documents, "a")) == [["a"], [csv], [csv]]
    cells = openpyxl_rows(export("xlsx", Thing, documents, "a"))
    assert cells == ([["a"], [xlsx], [xlsx]] if xlsx is not None else [["a"]]) or cells == [
        ["a"],
        [None],
        [None],
    ]
    assert type(cells[-1][0]) is type(xlsx) or cells == [["a"]]
    assert json.loads(export("json", Thing, documents)) == [{"a": shown}, {"a": shown}]
    assert [json.loads(line) for line in export("ndjson", Thing, documents).splitlines()] == [
        {"a": shown}
    ] * 2


def test_a_cell_is_the_same_among_values_of_other_types() -> None:
    documents = [{"a": stored} for stored in AMONG_OTHERS]
    assert csv_rows(export("csv", Thing, documents, "a")) == [
        ["a"],
        *[[csv] for _, _, csv, _ in TABLE],
    ]
    assert openpyxl_rows(export("xlsx", Thing, documents, "a")) == [
        ["a"],
        *[[xlsx] for *_, xlsx in TABLE],
    ]
    lines = export("ndjson", Thing, documents).splitlines()
    assert [json.loads(line)["a"] for line in lines] == [shown for _, shown, _, _ in TABLE]


def test_a_date_has_no_time_and_no_zone() -> None:
    documents = [
        {"day": MOMENT.replace(hour=0, minute=0, second=0, microsecond=0)},
        {"day": MOMENT},
    ]
    rows = csv_rows(export("csv", Thing, documents, "day", timezone="America/New_York"))
    assert rows == [["day"], ["2026-01-02"], ["2026-01-01T22:04:05.678-05:00"]]
    cells = openpyxl_rows(export("xlsx", Thing, documents, "day", timezone="America/New_York"))
    assert cells[1:] == [
        [datetime.datetime(2026, 1, 2)],  # noqa: DTZ001
        [datetime.datetime(2026, 1, 1, 22, 4, 5, 678_000)],  # noqa: DTZ001
    ]


def test_datetimes_are_written_in_the_zone() -> None:
    documents = [{"a": MOMENT}, {"a": datetime.datetime(9999, 12, 31, 23, tzinfo=UTC)}]
    rows = csv_rows(export("csv", Thing, documents, "a", timezone="Asia/Shanghai"))
    assert rows[1:] == [["2026-01-02T11:04:05.678+08:00"], ["9999-12-31T23:00:00Z"]]
    cells = openpyxl_rows(export("xlsx", Thing, documents, "a", timezone="Asia/Shanghai"))
    assert cells[1:] == [[BASIC.replace(hour=11, microsecond=678_000)], ["9999-12-31T23:00:00Z"]]


def test_an_offset_is_in_whole_minutes_and_the_clock_moves_with_it() -> None:
    old = datetime.datetime(1900, 12, 31, 15, 54, 16, 5_000, UTC)
    first = datetime.datetime(1, 1, 1, 5, 50, 40, tzinfo=UTC)  # no such minute with -05:51
    documents = [{"a": old}, {"a": MOMENT}, {"a": first}]
    rows = csv_rows(export("csv", Thing, documents, "a", timezone="Asia/Shanghai"))
    assert rows[1] == ["1901-01-01T00:00:16.005+08:06"]
    assert [datetime.datetime.fromisoformat(row[0]) for row in rows[1:]] == [old, MOMENT, first]
    chicago = csv_rows(export("csv", Thing, documents, "a", timezone="America/Chicago"))
    assert datetime.datetime.fromisoformat(chicago[3][0]) == first
    text = openpyxl_rows(
        export("xlsx", Thing, [{"a": old.replace(year=1899)}], "a", timezone="Asia/Shanghai")
    )
    assert text[1] == ["1900-01-01T00:00:16.005+08:06"]


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "../etc/passwd", "Europe", "/", "\0", "localtime", "right/UTC"]
)
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        zone(name)
    assert [fault.parameter for fault in caught.value.faults] == ["timezone"]


PAYLOADS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "＝1",
    "＋1",
    "－1",
    "＠x",
    "'quoted",
    '=cmd|"/c calc"!A1',
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_texts_that_a_spreadsheet_would_run_are_guarded_titles_too(payload: str) -> None:
    title = payload.replace(",", "%2C")
    guarded = csv_rows(export("csv", Thing, [{"a": payload}, {"a": "b"}], f"a:{title}"))
    assert guarded == [["'" + payload], ["'" + payload], ["b"]]
    kept = csv_rows(export("csv", Thing, [{"a": payload}], f"a:{title}", formulas="keep"))
    assert kept == [[payload], [payload]]


@given(st.text())
def test_unguard_takes_exactly_the_guard_off(text: str) -> None:
    assert unguard(guard(text)) == text
