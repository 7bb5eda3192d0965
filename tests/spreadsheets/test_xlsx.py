import hashlib
import io
import zipfile
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import bson
import openpyxl
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import Invalid
from app.resources.fields import Field
from app.spreadsheets.archive import Archive
from app.spreadsheets.columns import Column, parse_columns
from app.spreadsheets.format import Options
from app.spreadsheets.formats.xlsx import XlsxEncoder, decimal_format
from app.spreadsheets.workbook import from_xml, letters, number_name, sheet_name, to_xml
from tests.spreadsheets.files import calamine_rows, export, openpyxl_rows, shape_of, whole


class Two(pydantic.BaseModel):
    a: str | None = None
    b: str | None = None


class Amounts(pydantic.BaseModel):
    amount: Decimal | None = None


GOLDEN_ROWS = (
    '<sheetData><row><c s="1" t="inlineStr"><is><t>a</t></is></c>'
    '<c s="1" t="inlineStr"><is><t>b</t></is></c></row>'
    '<row><c t="inlineStr"><is><t>=1+1</t></is></c><c><v>1</v></c></row>'
    '<row><c t="inlineStr"><is><t>&lt;&amp;&gt;_x000D_</t></is></c><c/></row>'
    '</sheetData><autoFilter ref="A1:B3"/></worksheet>'
)
COLUMNS = parse_columns(shape_of(Two), None, None, None, True)
NASTY = [
    "\0", "\r", "a\r\nb", "_x000D_", "_x0041\x01", "_x005F_x0041_", " lead", "trail ", "\t", "\n",
    "<&>]]>", "王小明", "😀", "مرحبا", "007", "1E5", "=1+1", "TRUE", "2026-01-02", "\x85\u2028",
    "_X0041_",
]  # fmt: skip
nasty = st.text(
    st.one_of(
        st.sampled_from("_x0041F\0\r\n\t &<>]王😀"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"),
    ),
    min_size=1,
)


def encoder(name: str = "things", **limits: int) -> XlsxEncoder:
    return XlsxEncoder(COLUMNS, Options(), name, **limits)


def sheet(data: bytes, number: int = 1) -> str:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return file.read(f"xl/worksheets/sheet{number}.xml").decode()


def names(data: bytes) -> list[str]:
    return openpyxl.load_workbook(io.BytesIO(data), read_only=True).sheetnames


def test_golden() -> None:
    data = whole(encoder(), [["=1+1", "<&>\r"], [1, None]])
    assert sheet(data)[sheet(data).index("<sheetData>") :] == GOLDEN_ROWS


def test_the_package_is_whole_and_its_parts_are_xml() -> None:
    with zipfile.ZipFile(io.BytesIO(whole(encoder(), [["x"], ["y"]]))) as file:
        assert file.testzip() is None
        for name in file.namelist():
            ElementTree.fromstring(file.read(name))


def test_header_is_bold_and_frozen_with_a_filter_and_widths() -> None:
    data = whole(encoder(), [["王小明王小明", "x"], ["x" * 99, "y"]])
    page = openpyxl.load_workbook(io.BytesIO(data)).active
    assert page is not None
    assert page["A1"].font.bold
    assert page.freeze_panes == "A2"
    assert page.auto_filter.ref == "A1:B3"
    assert [page.column_dimensions[letter].width for letter in "AB"] == [14, 60]


@pytest.mark.parametrize("batches", [[], [[[], []]]])
def test_an_export_of_nothing_is_a_workbook_with_its_header(batches: list[Any]) -> None:
    data = whole(encoder(), *batches)
    assert openpyxl_rows(data) == [["a", "b"]]
    assert calamine_rows(data) == [["a", "b"]]


@pytest.mark.parametrize("text", NASTY, ids=repr)
def test_nasty_text_comes_back(text: str) -> None:
    data = whole(encoder(), [[text, "x"], [1, "y"]])
    assert openpyxl_rows(data)[1] == [text, 1]
    assert calamine_rows(data)[1] == [text, 1.0]


def test_signs_that_are_no_characters_are_escaped() -> None:
    text = "\ufffe\uffff"  # calamine leaves these two escapes as they are
    assert openpyxl_rows(whole(encoder(), [[text], [1]]))[1] == [text, 1]


@settings(deadline=None)
@given(st.lists(st.tuples(nasty, nasty), min_size=1, max_size=5))
def test_what_is_read_is_what_was_stored(rows: list[tuple[str, str]]) -> None:
    data = whole(encoder(), [list(column) for column in zip(*rows, strict=True)])
    assert [tuple(row) for row in openpyxl_rows(data)[1:]] == rows
    assert [tuple(row) for row in calamine_rows(data)[1:]] == rows


@given(nasty)
def test_escapes_are_taken_off_exactly(text: str) -> None:
    assert from_xml(to_xml(text)) == text


@pytest.mark.parametrize(
    ("text", "format"),
    [
        ("19.90", "0.00"),
        ("-19.9", "0.0"),
        ("100", "0"),
        ("0.000", "0.000"),
        ("999999999999.999", "0.000"),
        ("1.5E+20", "0.0E+0"),
        ("1.23E-7", "0.00E+0"),
        ("9999999999999.999", None),
        ("0E+3", None),
        ("-0.0", None),
        ("1E-301", None),
        ("NaN", None),
        ("-Infinity", None),
    ],
)
def test_a_decimal_is_a_number_in_a_format_with_its_digits(text: str, format: str | None) -> None:
    assert decimal_format(text) == format
    data = export("xlsx", Amounts, [{"amount": bson.Decimal128(text)}])
    cell = openpyxl.load_workbook(io.BytesIO(data)).worksheets[0]["A2"]
    assert cell.data_type == ("n" if format else "s")
    assert cell.value == (pytest.approx(float(text), rel=1e-15, abs=0) if format else text)
    assert cell.number_format == (format or "General")


def test_a_sum_of_decimals_is_right() -> None:
    texts = [f"{number}.{number % 100:02}" for number in range(500)]
    data = export("xlsx", Amounts, [{"amount": bson.Decimal128(text)} for text in texts])
    sheet = openpyxl.load_workbook(io.BytesIO(data)).worksheets[0]
    cells = [sheet.cell(row, 1) for row in range(2, 502)]
    assert {cell.number_format for cell in cells} == {"0.00"}
    assert [f"{cell.value:.2f}" for cell in cells] == texts
    assert [row[0] for row in calamine_rows(data)[1:]] == list(map(float, texts))


def test_the_first_rows_leave_with_the_first_batch() -> None:
    first = encoder().encode([["x"], ["y"]])
    assert b"sheet1.xml" in first
    packed = first[first.index(b"sheet1.xml") + len("sheet1.xml") :]
    assert b"<t>y</t>" in zlib.decompressobj(-15).decompress(packed)


def test_it_goes_on_in_a_next_sheet_with_the_header_repeated() -> None:
    texts = [f"t{number}" for number in range(7)]
    writer = encoder(rows_per_sheet=4)
    data = whole(writer, [texts[:5], texts[:5]], [texts[5:], texts[5:]])
    assert writer.rows == 7
    assert names(data) == ["things", "things (2)", "things (3)"]
    sheets = [[row[0] for row in openpyxl_rows(data, number)] for number in range(3)]
    assert sheets == [["a", "t0", "t1", "t2"], ["a", "t3", "t4", "t5"], ["a", "t6"]]


def test_a_full_sheet_begins_no_empty_next_one() -> None:
    assert names(whole(encoder(rows_per_sheet=3), [["x", "y"], ["x", "y"]])) == ["things"]


def test_the_real_limit_of_rows() -> None:
    writer, batch = encoder(), [["x"] * 65_536, [1] * 65_536]
    data = whole(writer, *[batch] * 16)
    assert writer.rows == 1_048_576
    assert [sheet(data, number).count("<row>") for number in (1, 2)] == [1_048_576, 2]


def test_long_text_is_cut_and_noted() -> None:
    fits, long, emoji = "x" * 32_767, "y" * 32_768, "z" * 32_766 + "😀"
    escapes = "\x01" * 32_768
    data = whole(encoder(), [[fits, long, "b"], [emoji, None, escapes]])
    assert [[len(cell or "") for cell in row] for row in openpyxl_rows(data)[1:]] == [
        [32_767, 32_766],
        [32_767, 0],
        [1, 32_767],
    ]
    assert names(data) == ["things", "notes"]
    cuts = [("B2", "b", "z" * 32_766), ("A3", "a", "y" * 32_767), ("B4", "b", "\x01" * 32_767)]
    assert sorted(openpyxl_rows(data, 1)[1:]) == sorted(
        [f"'things'!{cell}", path, hashlib.sha256(text.encode()).hexdigest()]
        for cell, path, text in cuts
    )


def test_many_notes_and_notes_on_later_sheets() -> None:
    data = whole(encoder(rows_per_sheet=3), [["y" * 40_000] * 5, [1] * 5])
    assert [row[0] for row in openpyxl_rows(data, 3)[1:]] == [
        "'things'!A2", "'things'!A3", "'things (2)'!A2", "'things (2)'!A3", "'things (3)'!A2",
    ]  # fmt: skip


def test_no_more_columns_than_a_sheet_has() -> None:
    columns = tuple(
        Column.of(f"c{n}", f"c{n}", Field(f"c{n}", "text"), (f"c{n}",)) for n in range(16_385)
    )
    with pytest.raises(Invalid) as caught:
        XlsxEncoder(columns, Options(), "wide")
    assert [fault.parameter for fault in caught.value.faults] == ["columns"]
    data = whole(XlsxEncoder(columns[:-1], Options(), "wide"), [["x"]] * 16_384)
    assert len(calamine_rows(data)[1]) == 16_384


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("users", "users"),
        ("a[b]:*?/\\c", "a_b______c"),
        ("'quoted'", "_quoted_"),
        ("History", "History_"),
        ("notes", "notes_"),
        ("", "_"),
        ("x" * 40, "x" * 31),
        ("😀" * 16, "😀" * 15),
    ],
)
def test_names_of_sheets(name: str, valid: str) -> None:
    assert number_name(sheet_name(name), 1) == valid
    assert names(whole(encoder(name))) == [valid]
    assert len(number_name(sheet_name(name), 12).encode("utf-16-le")) <= 62


@pytest.mark.parametrize(
    ("column", "name"),
    [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA"), (16_383, "XFD")],
)
def test_names_of_columns(column: int, name: str) -> None:
    assert letters(column) == name


def test_the_same_documents_give_the_same_file() -> None:
    assert export("xlsx", Two, [{"a": "x"}]) == export("excel", Two, [{"a": "x"}])


def test_a_file_beyond_4_gib_has_a_zip64_directory(tmp_path: Path) -> None:
    start = 5 * 2**30
    archive = Archive(start)
    data = archive.write_whole("far.txt", b"content") + archive.finish()
    path = tmp_path / "far.zip"
    with path.open("wb") as file:  # sparse: takes no room
        file.seek(start)
        file.write(data)
    with zipfile.ZipFile(path) as read:
        assert read.testzip() is None
        assert read.read("far.txt") == b"content"
