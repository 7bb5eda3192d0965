"""Workbooks of other programs, and of nobody who means well, as the reader takes them."""

import datetime
import hashlib
import io
import re
import zipfile
from collections.abc import Callable
from typing import Any

import openpyxl
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from app.errors import BadRequest, Invalid, RequestError, TooLarge
from app.spreadsheets.cell import PADDED, Broken, Cut, Serial, Shown
from app.spreadsheets.format import Limits, Options, ReadOptions
from app.spreadsheets.formats.xlsx import XlsxEncoder
from app.spreadsheets.sheet_rows import column_of
from app.spreadsheets.sheets import XlsxReader
from app.spreadsheets.workbook import letters
from tests.spreadsheets.files import export, whole
from tests.spreadsheets.test_xlsx import COLUMNS, nasty

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


class Two(pydantic.BaseModel):
    a: str | None = None
    b: str | None = None


def read(data: bytes, **options: Any) -> tuple[list[str], list[tuple[str, int, list[Any]]]]:
    """The header, and each row with its sheet and its number."""
    reader = XlsxReader(io.BytesIO(data), ReadOptions(**options))
    rows = [
        (batch.sheet, number, row)
        for batch in reader
        for number, row in zip(batch.numbers, batch.rows, strict=True)
    ]
    return reader.header, rows


def cells(data: bytes, **options: Any) -> list[list[Any]]:
    return [row for _, _, row in read(data, **options)[1]]


def refused(data: bytes, **options: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read(data, **options)
    return caught.value


def saved(fill: Callable[[openpyxl.Workbook], None]) -> bytes:
    """A workbook that openpyxl has written."""
    book = openpyxl.Workbook()
    fill(book)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def changed(data: bytes, part: str, change: Callable[[str], str]) -> bytes:
    """The workbook with one part changed."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            text = old.read(name)
            new.writestr(name, change(text.decode()).encode() if name == part else text)
    return file.getvalue()


def made(sheet: str, strings: str = "", **parts: str) -> bytes:
    """A workbook with this XML for its only sheet."""
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    file = io.BytesIO()
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    links = "".join(
        f'<Relationship Id="r{number}" Type="{relations}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(
            [
                ("worksheet", "/xl/one.xml"),
                ("sharedStrings", "strings.xml"),
                ("styles", "styles.xml"),
            ],
            1,
        )
    )
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}"><Relationship Id="r1" '
            f'Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        new.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{MAIN}" xmlns:r="{relations}"><sheets>'
            '<sheet name="one" sheetId="1" r:id="r1"/></sheets></workbook>',
        )
        new.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}">{links}</Relationships>',
        )
        new.writestr("xl/one.xml", sheet)
        new.writestr("xl/strings.xml", f'<sst xmlns="{MAIN}">{strings}</sst>')
        for name, text in parts.items():
            new.writestr(name, text)
    return file.getvalue()


def made_of(sheet: bytes) -> bytes:
    """A workbook with these bytes for its only sheet."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(made(""))) as old,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, sheet if name == "xl/one.xml" else old.read(name))
    return file.getvalue()


def with_moved_directory(data: bytes) -> bytes:
    """The ZIP file with another place of its directory, so that entries lie before its start."""
    return data[:-6] + (2**16).to_bytes(4, "little") + data[-2:]


def with_broken_lzma(data: bytes) -> bytes:
    """The workbook packed by LZMA, with a byte of its sheet changed."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
        offset = new.getinfo("xl/one.xml").header_offset
    broken = bytearray(file.getvalue())
    broken[offset + 30 + len("xl/one.xml") + 12] ^= 0xFF
    return bytes(broken)


def sheet_of(rows: str) -> str:
    return f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>'


SHARED = "<si><t>last</t></si>"
HEADER = '<row r="1"><c r="A1" t="str"><v>a</v></c><c r="B1" t="str"><v>b</v></c></row>'


@given(st.lists(st.tuples(nasty, nasty), min_size=1, max_size=5))
def test_what_is_read_is_what_our_encoder_has_written(rows: list[tuple[str, str]]) -> None:
    data = whole(
        XlsxEncoder(COLUMNS, Options(), "x"), [list(column) for column in zip(*rows, strict=True)]
    )
    assert [tuple(row) for row in cells(data)] == rows


def test_cells_of_openpyxl_with_their_types() -> None:
    def fill(book: openpyxl.Workbook) -> None:
        page = book.active
        assert page is not None
        page.append(["text", "number", "flag", "day", "moment", "amount", 2026, "time"])
        page.append(
            [
                "007",
                30,
                True,
                datetime.date(2026, 1, 2),
                datetime.datetime(2026, 1, 2, 12),  # noqa: DTZ001
                19.9,
                None,
                datetime.time(6),
            ]
        )
        page["F2"].number_format = '_-* #,##0.00 "元"_-'
        page["A5"] = "last"

    header, rows = read(saved(fill))
    assert header == ["text", "number", "flag", "day", "moment", "amount", "2026", "time"]
    assert [(sheet, number) for sheet, number, _ in rows] == [("", 2), ("", 5)]
    text, number, flag, day, moment, amount, empty, time = rows[0][2]
    assert (text, number, flag, day, moment, amount, empty, time) == (
        "007", 30, True, 46024, 46024.5, 19.9, "", 0.25,
    )  # fmt: skip
    assert [type(cell) for cell in rows[0][2]] == [
        str,
        int,
        bool,
        Serial,
        Serial,
        Shown,
        str,
        Serial,
    ]
    assert amount.format == 2


def test_days_of_a_workbook_that_counts_from_1904() -> None:
    def fill(book: openpyxl.Workbook) -> None:
        book.epoch = CALENDAR_MAC_1904
        assert book.active is not None
        book.active.append(["day"])
        book.active.append([datetime.date(2026, 1, 2)])

    assert cells(saved(fill)) == [[46024.0]]


@pytest.mark.parametrize(
    ("code", "kind", "format"),
    [
        ("yyyy-mm-dd", Serial, None),
        ('yyyy"年"m"月"d"日"', Serial, None),
        ("[h]:mm:ss", Serial, None),
        ("[$-409]d-mmm;@", Serial, None),
        ("[Red]0.0", Shown, 1),
        ('0.000" days"', Shown, 3),
        ("#,##0", Shown, 0),
        ("00000", Shown, PADDED + 5),
        ("0.00E+00", Shown, -4),
        ("0%", float, None),
        ("General", float, None),
        ("@", float, None),
        ("\\d0.0", Shown, 1),
    ],
)
def test_the_format_of_a_cell_says_whether_it_is_a_date(
    code: str, kind: type, format: int | None
) -> None:
    def fill(book: openpyxl.Workbook) -> None:
        assert book.active is not None
        book.active.append(["x"])
        book.active.append([46024.5])
        book.active["A2"].number_format = code

    [[cell]] = cells(saved(fill))
    assert type(cell) is kind
    assert getattr(cell, "format", None) == format


def test_shared_and_rich_texts_prefixes_errors_and_formulas() -> None:
    strings = (
        '<si><t>plain_x000D_</t></si><si><r><t>ri</t></r><r><t xml:space="preserve">ch </t></r>'
        "<rPh><t>phonetic</t></rPh></si><si/>"
    )
    rows = (
        '<row><c t="str"><v>a</v></c><c t="str"><v>b</v></c><c t="str"><v>c</v></c></row>'
        '<row r="3"><c r="B3" t="s"><v>1</v></c><c r="C3" t="s"><v>0</v></c></row>'
        '<row r="4"><c t="e"><f>1/0</f><v>#DIV/0!</v></c>'
        "<c><f>1+1</f><v>2</v></c><c><f>x</f></c></row>"
        '<row r="5"><c t="s"><v>2</v></c><c t="b"><v>0</v></c><c t="d"><v>2026-01-02</v></c></row>'
        '<row r="6"><c><v/></c><c t="str"><f>""</f><v></v></c></row>'
        '<row r="7"><c t="inlineStr"><is><r><t>in</t></r><r><t>line</t></r></is></c></row>'
    )
    sheet = sheet_of(rows)
    prefixed = re.sub(r"<(/?)(\w)", r"<\1x:\2", sheet).replace("xmlns=", "xmlns:x=")
    for one in (sheet, prefixed):
        header, found = read(made(one, strings))
        assert header == ["a", "b", "c"]
        assert [(number, row) for _, number, row in found] == [
            (3, ["", "rich ", "plain\r"]),
            (4, ["the error #DIV/0!", 2, found[1][2][2]]),
            (5, ["", False, Serial(46024)]),
            (7, ["inline"]),
        ]
        assert [type(cell) for cell in found[1][2]] == [Broken, int, Broken]


def test_a_workbook_may_name_shared_strings_that_it_has_not() -> None:
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(made(sheet_of(HEADER)))) as old,
        zipfile.ZipFile(file, "w") as new,
    ):
        for name in old.namelist():
            if name != "xl/strings.xml":
                new.writestr(name, old.read(name))
    assert read(file.getvalue())[0] == ["a", "b"]


def test_dates_in_iso_8601_are_dates_and_pairs_of_surrogates_are_characters() -> None:
    rows = (
        '<row><c t="d"><v>2026-01-02T12:00:00.000</v></c><c t="d"><v>1899-12-31</v></c></row>'
        '<row><c t="d"><v>2026-01-02T12:00:00Z</v></c><c t="d"><v>soon</v></c></row>'
        '<row><c t="str"><v>_xD83D__xDE00_</v></c><c t="str"><v>_xDE00_</v></c></row>'
    )
    assert cells(made(sheet_of(HEADER + rows))) == [
        [Serial(46024.5), Serial(1)],
        ["2026-01-02T12:00:00Z", "soon"],
        ["\U0001f600", "\ude00"],
    ]


def test_shared_strings_past_the_limit_are_read_from_disk() -> None:
    def fill(book: openpyxl.Workbook) -> None:
        assert book.active is not None
        book.active.append(["a", "b"])
        for number in range(3_000):
            book.active.append([f"text {number}", "王" * (number % 400 + 1)])

    expected = [[f"text {number}", "王" * (number % 400 + 1)] for number in range(3_000)]
    assert cells(saved(fill), limits=Limits(strings=10_000)) == expected


def test_sheets_by_name_the_first_that_is_shown_and_what_continues_it() -> None:
    def fill(book: openpyxl.Workbook) -> None:
        assert book.active is not None
        book.active.title = "hidden"
        book.active.sheet_state = "hidden"
        book.active.append(["h"])
        book.active.append([0])
        for name, value in (("users", 1), ("other", 2), ("users (2)", 3), ("users (4)", 4)):
            page = book.create_sheet(name)
            page.append(["a", None, "b"])
            page.append([value, None, value])

    data = saved(fill)
    assert read(data)[1] == [("users", 2, [1, "", 1]), ("users (2)", 2, [3, "", 3])]
    assert read(data, sheet="OTHER")[1] == [("", 2, [2, "", 2])]
    assert read(data, sheet="hidden")[1] == [("", 2, [0])]
    error = refused(data, sheet="nope")
    assert isinstance(error, Invalid)
    assert error.faults[0].parameter == "sheet"
    assert "'users (4)'" in error.detail


def test_a_sheet_that_continues_with_other_titles_is_refused() -> None:
    def fill(book: openpyxl.Workbook) -> None:
        assert book.active is not None
        book.active.title = "users"
        book.active.append(["a"])
        book.create_sheet("users (2)").append(["b"])

    assert "'users (2)' continues 'users'" in refused(saved(fill)).detail


def test_our_sheets_that_continue_are_one_table() -> None:
    texts = [f"t{number}" for number in range(7)]
    data = whole(XlsxEncoder(COLUMNS, Options(), "x", rows_per_sheet=4), [texts, texts])
    assert [(sheet, number) for sheet, number, _ in read(data)[1]] == [
        ("x", 2), ("x", 3), ("x", 4), ("x (2)", 2), ("x (2)", 3), ("x (2)", 4), ("x (3)", 2),
    ]  # fmt: skip
    assert [row[0] for row in cells(data)] == texts


def test_texts_that_the_export_has_cut_are_marked() -> None:
    long, emoji, fits = "y" * 40_000, "z" * 32_766 + "😀", "x" * 32_767
    data = export("xlsx", Two, [{"a": long, "b": "b"}, {"a": fits, "b": emoji}])
    assert [[type(cell) for cell in row] for row in cells(data)] == [[Cut, str], [str, Cut]]
    reader = XlsxReader(io.BytesIO(data), ReadOptions())
    assert reader.cut == {
        hashlib.sha256(text.encode()).digest() for text in (long[:32_767], emoji[:-1])
    }


def test_a_sheet_named_notes_that_is_another_one_marks_nothing() -> None:
    def fill(book: openpyxl.Workbook) -> None:
        assert book.active is not None
        book.active.append(["a"])
        book.create_sheet("notes").append(["cell", "other"])

    assert XlsxReader(io.BytesIO(saved(fill)), ReadOptions()).cut == frozenset()


def test_a_cell_without_a_title_is_the_last_of_its_row() -> None:
    rows = HEADER + '<row r="2"><c r="A2"><v>1</v></c><c r="XFD2"><v>5</v></c></row>'
    assert cells(made(sheet_of(rows))) == [[1, "", 5]]


ENTITY = '<!DOCTYPE w [<!ENTITY a "b">]>'
BOMB = '<!DOCTYPE w [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", "no bytes at all"),
        (b"name,email\n", "a CSV must be named .csv"),
        (made(sheet_of(HEADER))[:-30], "broken or was cut off"),
        (made(ENTITY + sheet_of(HEADER)), "entities"),
        (made(BOMB + sheet_of(HEADER.replace(">a<", ">&b;<"))), "entities"),
        (made(sheet_of(HEADER), '<!DOCTYPE sst SYSTEM "file:///etc/passwd">'), "broken"),
        (made(sheet_of(HEADER)[:-30]), "broken"),
        (made(sheet_of("")), "The first row is empty"),
        (made(sheet_of(HEADER.replace('r="1"', 'r="2"'))), "must be in row 1"),
        (made(sheet_of(HEADER.replace(">b<", ">a<"))), "same title"),
        (made(sheet_of(HEADER + '<row><c t="s"><v>7</v></c></row>')), "no shared string 7"),
        (made(sheet_of(HEADER + '<row><c t="s"><v>-1</v></c></row>'), SHARED), "shared string -1"),
        (made(sheet_of(HEADER + "<row><c><v>x</v></c></row>")), "'x' is no number"),
        (made(sheet_of(HEADER + "<row><c><v>1_0.5</v></c></row>")), "'1_0.5' is no number"),
        (made('<?xml version="1.0" encoding="UTF-9"?>' + sheet_of(HEADER)), "encoding: UTF-9"),
        (made('<?xml version="1.0" encoding="GBK"?>' + sheet_of(HEADER)), "multi-byte encodings"),
        (export("xlsx", Two, []).replace(b"xl/workbook", b"xl/w\x8crkbook", 1), "was cut off"),
        (with_moved_directory(made(sheet_of(HEADER))), "was cut off"),
        (with_broken_lzma(made(sheet_of(HEADER))), "was cut off"),
        (made(sheet_of(HEADER + "<row><c><v>inf</v></c></row>")), "'inf' is no number"),
        (made(sheet_of(HEADER + '<row r="1"/>')), "no number of a row"),
        (made(sheet_of(HEADER + '<row><c r="ZZZZ2"><v>1</v></c></row>')), "no column"),
        (made(sheet_of(HEADER), **{"xl/vbaProject.bin": "x"}), "macros"),
        (made(sheet_of(HEADER), **{"xl/workbook.bin": "x"}), ".xlsb"),
        (made(sheet_of(HEADER), **{"mimetype": "x", "content.xml": "x"}), ".ods"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le"),
         "encrypted"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, ".xls"),
        (made(sheet_of(f'<row><c t="str{"x" * 5_000_000}"/></row>')), "longer than"),
        (made(sheet_of(f"<row><c t=\"str\"><v>{'x' * 20_000_000}</v></c></row>")), "longer than"),
        (made(sheet_of(HEADER), f"<si><t>{'x' * 20_000_000}</t></si>"), "longer than"),
        (made(sheet_of(HEADER).partition("</sheetD")[0] + "<a>" * 100_000), "inside of each other"),
        (made(sheet_of(HEADER), "<si>" * 100_000), "inside of each other"),
        (made(sheet_of(HEADER), **{"xl/styles.xml": "<a>" * 100_000}), "inside of each other"),
    ],
)  # fmt: skip
def test_a_workbook_that_cannot_be_read_says_why(data: bytes, detail: str) -> None:
    error = refused(data, limits=Limits(ratio=10_000))
    assert isinstance(error, BadRequest)
    assert detail in error.detail


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    spaces = " " * 40_000_000
    data = made(sheet_of(HEADER + spaces))
    assert len(data) < 100_000
    assert "ZIP bomb" in refused(data).detail
    error = refused(data, limits=Limits(size=1_000_000, ratio=10_000))
    assert isinstance(error, TooLarge)
    assert "1,000,000" in error.detail


def test_a_crc_that_does_not_fit_is_found() -> None:
    data = bytearray(made(sheet_of(HEADER)))
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as file:
        offset = file.getinfo("xl/one.xml").header_offset
    data[offset + 30 + len("xl/one.xml") + 12] ^= 0xFF
    assert "broken" in refused(bytes(data)).detail


def test_no_more_rows_than_the_limit() -> None:
    rows = "".join(f"<row><c><v>{number}</v></c></row>" for number in range(5))
    assert len(cells(made(sheet_of(HEADER + rows)), limits=Limits(rows=5))) == 5
    assert isinstance(refused(made(sheet_of(HEADER + rows)), limits=Limits(rows=4)), TooLarge)


def test_names_of_columns_are_read_as_they_are_written() -> None:
    assert [column_of(letters(column)) for column in range(16_384)] == list(range(16_384))
    for name in ("", "XFE", "ZZZZ", "A1", "Ä"):
        with pytest.raises(BadRequest):
            column_of(name)


PIECES = [
    "<c/>",
    '<c r="B{row}"/>',
    '<c t="inlineStr"><is><t>x</t></is></c>',
    '<c t="inlineStr"><is><t xml:space="preserve"> &lt;&amp;lt;&gt;_x0041_ </t></is></c>',
    '<c t="str"><v>&quot;&apos;</v></c>',
    '<c r="C{row}" s="1" t="s"><v>1</v></c>',
    '<c r="B{row}" t="str"><v>é王😀&amp;</v></c>',
    "<c><v>-12</v></c>",
    '<c s="1"><v>45000.5</v></c>',
    '<c s="2" t="n"><v>1.5</v></c>',
    '<c t="b"><v>1</v></c>',
    '<c t="e"><v>#REF!</v></c>',
    '<c t="inlineStr"><is><t></t></is></c>',
    # Not plain: read by expat, with all that follows.
    '<c t="str"><f>1+1</f><v>2</v></c>',
    '<c t="inlineStr"><is><r><t>a</t></r><r><t>b</t></r></is></c>',
    "<c><!-- a comment --><v>3</v></c>",
    '<c t="str"><v><![CDATA[a<b]]></v></c>',
    '<c t="str"><v>&#65;</v></c>',
    '<c t="str"><v>a\rb</v></c>',
    "<c t='str'><v>quoted</v></c>",
]
STYLES = (
    f'<styleSheet xmlns="{MAIN}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="2"/>'
    "</cellXfs></styleSheet>"
)


@settings(max_examples=80)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=3), max_size=6), st.booleans())
def test_plain_rows_are_read_as_expat_reads_them(rows: list[list[str]], numbered: bool) -> None:
    xml = HEADER.replace("</row>", '<c r="C1" t="str"><v>c</v></c></row>')
    for number, row in enumerate(rows):
        place = 3 * number + 2 if numbered else number + 2
        attributes = f' r="{place}" spans="1:3" x:dy="0.25"' if numbered else ""
        xml += f"<row{attributes}>{''.join(row).format(row=place)}</row>\n"
    sheet, strings = sheet_of(xml), "<si><t>zero</t></si><si><t>one</t></si>"
    parts = {"xl/styles.xml": STYLES}
    by_expat = sheet.replace("<sheetData>", "<?by expat?><sheetData>")
    outcomes = []
    for one in (sheet, by_expat):
        try:
            outcomes.append(repr(read(made(one, strings, **parts))))
        except BadRequest as error:
            outcomes.append(error.detail)
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    "xml",
    [
        "<row><c><v>1</v></c>",
        "<row><c><v>1</c></v></row>",
        "<row><c><v>1 & 2</v></c></row>",
        '<row><c t="str"><v>a]]>b</v></c></row>',
        '<row><c t="str"><v>&b;</v></c></row>',
        '<row><c t="str"><v>\x01</v></c></row>',
        '<row><c r="A2" r="B2"><v>1</v></c></row>',
        "<row><c><v>1</v></c></row></sheetData></worksheet><row></row>",
    ],
)
def test_what_is_not_well_formed_is_broken_after_plain_rows(xml: str) -> None:
    plain = '<row><c t="str"><v>x</v></c></row>'
    assert "broken" in refused(made(sheet_of(HEADER + plain + xml))).detail


def test_rows_that_are_not_utf_8_are_broken_and_other_encodings_are_read() -> None:
    rows = HEADER + '<row><c t="str"><v>é</v></c></row>'
    head = '<?xml version="1.0" encoding="{}"?>'
    latin = head.format("iso-8859-1") + sheet_of(rows)
    assert cells(made_of(latin.encode("latin-1"))) == [["é"]]
    assert cells(made_of((head.format("UTF-16") + sheet_of(rows)).encode("utf-16"))) == [["é"]]
    assert cells(made_of(b"\xef\xbb\xbf" + sheet_of(rows).encode())) == [["é"]]
    assert "broken" in refused(made_of(sheet_of(rows).encode("latin-1"))).detail


def test_a_row_is_read_whole_wherever_the_pieces_of_its_part_end() -> None:
    rows = "".join(
        f'<row r="{number}"><c t="str"><v>{number}{"x" * (number * 37 % 5000)}</v></c></row>'
        for number in range(2, 200)
    )
    table = read(made(sheet_of(HEADER + rows)))[1]
    assert [number for _, number, _ in table] == list(range(2, 200))
    assert all(row == [f"{number}{'x' * (number * 37 % 5000)}"] for _, number, row in table)
