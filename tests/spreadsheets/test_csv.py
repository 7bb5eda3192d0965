import datetime

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.spreadsheets.cells import unguard
from app.spreadsheets.columns import parse_columns
from app.spreadsheets.format import Options
from app.spreadsheets.formats.csv import CsvEncoder
from tests.spreadsheets.files import csv_rows, export, shape_of, whole


class Two(pydantic.BaseModel):
    a: str | None = None
    b: str | None = None


GOLDEN = (
    'a,b\r\n王小明,plain\r\n"a,b","say ""hi"""\r\n\'=1+1,\r\n"line\nbreak","car\rriage"\r\n'
    "مرحبا,😀\r\n"
).encode()
DOCUMENTS = [
    {"a": "王小明", "b": "plain"},
    {"a": "a,b", "b": 'say "hi"'},
    {"a": "=1+1", "b": None},
    {"a": "line\nbreak", "b": "car\rriage"},
    {"a": "مرحبا", "b": "😀"},
]
COLUMNS = parse_columns(shape_of(Two), None, None, None, True)

nasty = st.text(
    st.one_of(
        st.sampled_from("'\"=+-@,;|\t\r\n\0 ＝王😀"), st.characters(exclude_categories=["Cs"])
    )
)


def test_golden() -> None:
    assert export("csv", Two, DOCUMENTS) == GOLDEN


def test_an_export_of_nothing_is_its_header() -> None:
    assert whole(CsvEncoder(COLUMNS, Options(bom=True))) == b"\xef\xbb\xbfa,b\r\n"
    assert whole(CsvEncoder(COLUMNS, Options()), [[], []], [[], []]) == b"a,b\r\n"


def test_header_and_mark_come_once() -> None:
    encoder = CsvEncoder(COLUMNS, Options(bom=True))
    assert whole(encoder, [["1"], ["2"]], [["3"], ["4"]]) == b"\xef\xbb\xbfa,b\r\n1,2\r\n3,4\r\n"
    assert encoder.rows == 2


@pytest.mark.parametrize(("word", "sign"), [(",", ","), (";", ";"), ("|", "|"), ("tab", "\t")])
def test_delimiters(word: str, sign: str) -> None:
    data = export("csv", Two, [{"a": "a,;|\tb", "b": "c"}], delimiter=word)
    assert data.decode() == f'a{sign}b\r\n"a,;|\tb"{sign}c\r\n'
    assert csv_rows(data, sign) == [["a", "b"], ["a,;|\tb", "c"]]


def test_a_record_of_one_empty_cell_is_no_blank_line() -> None:
    assert (
        export("csv", Two, [{"a": None}, {"a": ""}, {"a": "x"}], "a") == b'a\r\n""\r\n""\r\nx\r\n'
    )


def test_numbers_and_moments_are_never_guarded() -> None:
    moment = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    values: list[object] = [-1, -1.5, moment, "-1", b"\xfb\xff", ["=1"]]
    assert whole(CsvEncoder(COLUMNS[:1], Options()), [values]).decode().split("\r\n")[1:-1] == [
        "-1",
        "-1.5",
        "2026-01-02T00:00:00Z",
        "'-1",
        "'+/8=",
        '"[""=1""]"',
    ]


@given(st.lists(st.tuples(nasty, nasty), min_size=1), st.sampled_from([",", ";", "|", "tab"]))
def test_what_is_read_is_what_was_stored(rows: list[tuple[str, str]], delimiter: str) -> None:
    data = whole(
        CsvEncoder(COLUMNS, Options(delimiter=delimiter)),
        [list(column) for column in zip(*rows, strict=True)],
    )
    read = csv_rows(data, "\t" if delimiter == "tab" else delimiter)
    assert [tuple(map(unguard, row)) for row in read[1:]] == rows
