"""Files that people and programs send → rows, and what is wrong with those that can't be read."""

import codecs
import gc
import gzip
import io
import json
import zlib
from typing import Any

import pytest

from app.errors import BadRequest, RequestError, TooLarge, UnsupportedMedia
from app.spreadsheets.encodings import LINE
from app.spreadsheets.format import Limits, ReadOptions, Unreadable
from app.spreadsheets.formats import FORMATS
from app.spreadsheets.reading import find_format, open_reader

SMALL = Limits(rows=3, size=10_000, cell=1_000, record=10_000)


def read(
    data: bytes, format: str = "csv", **options: Any
) -> tuple[list[str] | None, list[tuple[int, Any]]]:
    """The header, and each row with its number."""
    with open_reader(FORMATS[format], io.BytesIO(data), ReadOptions(**options)) as reader:
        batches = list(reader)
        numbers = [number for batch in batches for number in batch.numbers]
        rows = [row for batch in batches for row in batch.rows]
        return reader.header, list(zip(numbers, rows, strict=True))


def refused(data: bytes, format: str = "csv", **options: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read(data, format, **options)
    return caught.value


TEXT = "姓名,年龄\r\n王小明,30\r\n李雷,31\r\n"
ROWS = [(2, ["王小明", "30"]), (3, ["李雷", "31"])]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "gbk"]
)
def test_the_encoding_is_found(encoding: str) -> None:
    assert read(TEXT.encode(encoding)) == (["姓名", "年龄"], ROWS)


@pytest.mark.parametrize(
    "text",
    [
        "喆",
        "王瑄",
        "A4 喆",
        "陳水扁 體育",
        "繁體中文測試，電腦軟體",
        "喆瑄淼鑫垚",
        "Ö王",
        "王小明 naïve",
    ],
)
def test_rare_characters_are_read_as_chinese(text: str) -> None:
    assert read(f"a\n{text}\n".encode("gb18030"))[1] == [(2, [text])]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Jürgen", "cp1252"),
        ("Übung", "cp1252"),
        ("Málaga Peñón", "latin-1"),
        ("José,", "cp1252"),
        ("中華民國臺灣台北市信義區", "big5"),
        ("日本語テキスト", "shift-jis"),
        ("Екатеринбург ул", "cp1251"),
    ],
)
def test_what_other_encodings_have_written_is_not_read_as_chinese(text: str, encoding: str) -> None:
    for before in (b"", b"a,b\n" * 500_000):
        data = before + f"a,b\n{text}\n".encode(encoding)
        assert "no text in UTF-8 or GB18030" in refused(data).detail


@pytest.mark.slow
def test_the_encoding_of_a_long_file_is_found_by_its_last_byte() -> None:
    data = b"a,b\n" + b"1,2\n" * 500_000 + "王,3\n".encode("gb18030")
    _, rows = read(data)
    assert rows[-1] == (500_002, ["王", "3"])
    assert len(rows) == 500_001


def test_an_encoding_that_is_asked_for_counts() -> None:
    assert read("é;1\n2;3\n".encode("latin-1"), encoding="latin-1")[0] == ["é", "1"]
    assert "no encoding" in refused(b"a\n", encoding="klingon").detail
    assert "no text in utf-8" in refused(b"\xff\xfe", encoding="utf-8").detail


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(sign: str) -> None:
    quoted = f'"na,me;1|x\t"{sign}b\n"1{sign}2"{sign}3\n'
    assert read(quoted.encode()) == (["na,me;1|x", "b"], [(2, [f"1{sign}2", "3"])])


@pytest.mark.parametrize(
    ("data", "header", "rows"),
    [
        (b"a\n1\n", ["a"], [(2, ["1"])]),
        (b"sep=;\r\na;b,c\r\n1;2\r\n", ["a", "b,c"], [(2, ["1", "2"])]),
        (b"\xef\xbb\xbfsep=|\na|b\n1|2", ["a", "b"], [(2, ["1", "2"])]),
        (b"a,b\n\n1,2\n,\n\n3,4\n", ["a", "b"], [(3, ["1", "2"]), (6, ["3", "4"])]),
        (b'a,b\n"1\n\n1",2\n3,4\n', ["a", "b"], [(2, ["1\n\n1", "2"]), (3, ["3", "4"])]),
        (b"a,b,,\n1,2,,\n", ["a", "b"], [(2, ["1", "2", "", ""])]),
        (b"a,b\r1,2\r", ["a", "b"], [(2, ["1", "2"])]),
        (b"a,b\n1\n", ["a", "b"], [(2, ["1"])]),
        (b"a,b\n", ["a", "b"], []),
    ],
)
def test_rows_are_numbered_as_a_spreadsheet_shows_them(
    data: bytes, header: list[str], rows: list[tuple[int, list[str]]]
) -> None:
    assert read(data) == (header, rows)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_blank_lines_count_and_are_no_rows_but_within_quotes(end: str) -> None:
    quoted = f"a{end}{end}{end}b"
    lines = ["", "", "x,y", "", "", "", "1,2", "", f'"{quoted}",3', "", "", f'"{end}{end}",4', ""]
    header, rows = read(end.join(lines).encode())
    assert header == ["x", "y"]
    assert rows == [(7, ["1", "2"]), (9, [quoted, "3"]), (12, [f"{end}{end}", "4"])]


def test_exactly_what_the_export_has_guarded_loses_its_mark() -> None:
    data = b"'=a,b\n'=1+1,'tis\n''x,'\n'-5,5'\n"
    plain = [["=1+1", "'tis"], ["'x", "'"], ["-5", "5'"]]
    assert read(data) == (["=a", "b"], list(zip((2, 3, 4), plain, strict=True)))
    assert read(data, formulas="keep")[1][0] == (2, ["'=1+1", "'tis"])


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", "no bytes at all"),
        (b"\n\n", "The first row is empty"),
        (b",,\n1,2,3\n", "The first row is empty"),
        (b"a,b,a\n", "columns A and C have the same title 'a'"),
        (b'a,b\n1,2\n"x,3\n4,5\n', "Row 3: a quote"),
        (b'a,b\n1,2\n"x"y,3\n', "Row 3: a closing quote"),
        (b'a,b\n1,2\n"' + b"x" * 2_000, "Does a quote"),
        (b"a,\0b\n1,2\n", "The first row has a NUL"),
        (b"a\n" + b"x" * 2_000, "a cell has more than 1,000 characters"),
        (",".join(map(str, range(20_000))).encode(), "The first row has 20,000 titles"),
        (b"a,b\n1,\xff\xff\xff\n", "no text in UTF-8 or GB18030"),
        (b"PK\x03\x04\x14\0", "is no CSV but a ZIP file"),
    ],
)
def test_a_csv_that_cannot_be_read_says_why_and_where(data: bytes, detail: str) -> None:
    error = refused(data, limits=SMALL)
    assert isinstance(error, BadRequest)
    assert detail in error.detail


def test_a_line_of_a_csv_that_no_memory_should_hold() -> None:
    assert "A line of the file has more than" in refused(b"a,b\n" + b"," * (LINE + 2**20)).detail


@pytest.mark.parametrize("format", ["csv", "ndjson", "json"])
def test_no_more_rows_than_the_limit(format: str) -> None:
    lines = {"csv": "a\n1\n2\n3\n", "ndjson": '{"a":1}\n' * 3, "json": '[{"a":1},{"a":1},{"a":1}'}
    more = {"csv": "4\n", "ndjson": '{"a":1}\n', "json": ',{"a":1}'}
    end = "]" if format == "json" else ""
    assert len(read((lines[format] + end).encode(), format, limits=SMALL)[1]) == 3
    assert isinstance(
        refused((lines[format] + more[format] + end).encode(), format, limits=SMALL), TooLarge
    )


DOCUMENTS = [{"a": 1, "b": {"c": ["二", None, "]"]}}, {}, {"a": '\\"}]{['}]


def test_ndjson_is_numbered_by_line() -> None:
    data = "\n".join([json.dumps(DOCUMENTS[0]), "", " ", json.dumps(DOCUMENTS[2])]).encode()
    assert read(data, "ndjson") == (None, [(1, DOCUMENTS[0]), (4, DOCUMENTS[2])])
    assert read(codecs.BOM_UTF8 + data + b"\r\n", "ndjson")[1][1] == (4, DOCUMENTS[2])


def test_a_line_that_is_no_document_stands_for_itself() -> None:
    rows = read(b'{"a":1}\n{"a":\n[1]\n5\n{"a":2}', "ndjson")[1]
    assert [row for row in rows if isinstance(row[1], dict)] == [(1, {"a": 1}), (5, {"a": 2})]
    unreadable = {number: row for number, row in rows if isinstance(row, Unreadable)}
    assert list(unreadable) == [2, 3, 4]
    assert unreadable[2].text == '{"a":'
    assert "no JSON" in unreadable[2].detail
    assert "must be a JSON object" in unreadable[4].detail


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("format", ["json", "ndjson"])
def test_a_json_array_is_numbered_by_element(indent: int | None, format: str) -> None:
    data = json.dumps(DOCUMENTS, indent=indent, ensure_ascii=False).encode()
    assert read(b" \n" + data + b"\n ", format)[1] == list(enumerate(DOCUMENTS, 1))
    assert read(b"[ ]", format)[1] == []


def test_an_array_is_read_across_the_borders_of_blocks() -> None:
    documents = [{"n": n, "text": "王" * (n % 3_000), "x": 123456789} for n in range(2_000)]
    data = json.dumps(documents, ensure_ascii=False).encode()
    assert [row for _, row in read(data, "json")[1]] == documents
    large = [{"text": "y" * 3_000_000}, {"text": "z"}]
    assert [row for _, row in read(json.dumps(large).encode(), "json")[1]] == large


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", "no bytes at all"),
        (b'[{"a":1},', "ends before element 2"),
        (b'[{"a":1}', "After element 1"),
        (b'[{"a":1} {"a":2}]', "After element 1"),
        (b'[{"a":1},{"a" 2}]' + b" " * 100, "Element 2 of the array is broken"),
        (b'[{"a":NaN}]', "Element 1 of the array is broken"),
        (b'[{"a":1}]x', "After the array's end"),
        (b'[{"a":"' + b"x" * 20_000_000, "Element 1 of the array is broken"),
        (b'[{"a":"\xff"}]', "must be in UTF-8"),
        (b"[" * 100_000, "Element 1 of the array is broken"),
        ("[1]".encode("utf-16"), "must be in UTF-8"),
    ],
)
def test_a_broken_array_says_where(data: bytes, detail: str) -> None:
    assert detail in refused(data, "json", limits=Limits(record=100_000)).detail


@pytest.mark.parametrize("format", ["json", "ndjson"])
@pytest.mark.parametrize(
    ("document", "path"),
    [
        ('{"a": 18446744073709551616}', "a"),
        ('{"a": {"b": [1, -9223372036854775809000]}}', "a.b.1"),
        ('{"a": 1e999}', "a"),
        ('{"a": "\\ud800"}', "a"),
        ('{"\\ud800": 1}', ""),
        ('["\\ud800"]', ""),
        ('{"a": ' + "9" * 5_000 + "}", "a"),
    ],
)
def test_what_mongodb_cannot_hold_is_a_fault_of_its_document(
    document: str, path: str, format: str
) -> None:
    around = ['{"b": 1}', document, '{"b": 12345678901234567890123}'[:20] + "}"]
    joined = "\n".join(around) if format == "ndjson" else f"[{','.join(around)}]"
    rows = [row for _, row in read(joined.encode(), format)[1]]
    assert (rows[0], rows[2]) == ({"b": 1}, {"b": 12345678901234})
    assert isinstance(rows[1], Unreadable)
    assert rows[1].text.isascii()
    assert rows[1].path == path or "no JSON" in rows[1].detail


def test_all_digits_of_an_integer_are_read_across_blocks() -> None:
    lines = [b'{"x": "' + b"y" * 200_000 + b'"}', b'{"n": 9223372036854775807}'] * 4
    data = b"\n".join([*lines, b'{"n": 9223372036854775808}', b'{"n": 1E400}'])
    rows = [row for _, row in read(data, "ndjson")[1]]
    assert [row["n"] for row in rows[1:8:2]] == [2**63 - 1] * 4
    assert rows[8] == {"n": 2**63}  # which the model refuses, with its place
    assert isinstance(rows[9], Unreadable)


def test_a_line_that_is_longer_than_any_document() -> None:
    assert "Line 2" in refused(b"{}\n" + b"x" * 300_000, "ndjson", limits=SMALL).detail


def test_extended_json_as_mongoexport_writes_it() -> None:
    line = {
        "_id": {"$oid": "65a1b2c3d4e5f60718293a4b"},
        "day": {"$date": "2026-01-02T03:04:05.678Z"},
        "old": {"$date": {"$numberLong": "-62135596800000"}},
        "far": {"$date": {"$numberLong": "1152921504606846976"}},
        "n": {"$numberLong": "9007199254740993"},
        "i": {"$numberInt": "5"},
        "d": {"$numberDouble": "1.5"},
        "nan": {"$numberDouble": "NaN"},
        "m": {"$numberDecimal": "1.10"},
        "b": {"$binary": {"base64": "AP8=", "subType": "00"}},
        "old_b": {"$binary": "AP8=", "$type": "00"},
        "u": {"$binary": {"base64": "EjRWeBI0VngSNFZ4EjRWeA==", "subType": "04"}},
        "v": {"$uuid": "12345678-1234-5678-1234-567812345678"},
        "t": {"$timestamp": {"t": 1, "i": 2}},
        "r": {"$ref": "x", "$id": {"$oid": "65a1b2c3d4e5f60718293a4b"}},
        "deep": [{"x": {"$oid": "65a1b2c3d4e5f60718293a4b"}}],
        "odd": {"$oid": 5},
    }
    shown = {
        "_id": "65a1b2c3d4e5f60718293a4b",
        "day": "2026-01-02T03:04:05.678Z",
        "old": "0001-01-01T00:00:00Z",
        "far": {"$date": {"$numberLong": "1152921504606846976"}},
        "n": 9007199254740993,
        "i": 5,
        "d": 1.5,
        "nan": "NaN",
        "m": "1.10",
        "b": "AP8=",
        "old_b": "AP8=",
        "u": "12345678-1234-5678-1234-567812345678",
        "v": "12345678-1234-5678-1234-567812345678",
        "t": {"$timestamp": {"t": 1, "i": 2}},
        "r": {"$ref": "x", "$id": {"$oid": "65a1b2c3d4e5f60718293a4b"}},
        "deep": [{"x": "65a1b2c3d4e5f60718293a4b"}],
        "odd": {"$oid": 5},
    }
    assert read(json.dumps(line).encode(), "ndjson")[1] == [(1, shown)]
    assert read(json.dumps([line]).encode(), "json")[1] == [(1, shown)]


def test_gzip_is_unpacked_whatever_the_format() -> None:
    assert read(gzip.compress(TEXT.encode("gb18030"))) == read(TEXT.encode())
    two_members = gzip.compress(b"a\n1\n") + gzip.compress(b"2\n")
    assert [row for _, row in read(two_members)[1]] == [["1"], ["2"]]
    assert read(gzip.compress(b'{"a":1}'), "ndjson")[1] == [(1, {"a": 1})]


def test_a_gzip_that_is_broken_or_a_bomb_is_refused() -> None:
    packed = gzip.compress(b"a\n" + b"1\n" * 2_000, mtime=0)
    for data in (packed[:-20], packed[:5], b"\x1f\x8b" + b"x" * 50, packed[:-8] + b"\0" * 8):
        error = refused(data)
        assert isinstance(error, BadRequest)
        assert "gzip" in error.detail
    assert isinstance(refused(gzip.compress(b"a\n" * 10_000), limits=SMALL), TooLarge)
    assert zlib.decompress(packed, 31) == b"a\n" + b"1\n" * 2_000


@pytest.mark.parametrize("format", ["csv", "ndjson", "json"])
def test_a_reader_leaves_the_file_open(format: str) -> None:
    file = io.BytesIO(b"[]" if format == "json" else b"{}\n")
    for iterate in (False, True):
        with open_reader(FORMATS[format], file, ReadOptions()) as reader:
            assert not iterate or list(reader) is not None
        del reader
        gc.collect()
        file.seek(0)
    assert not file.closed


@pytest.mark.parametrize(
    ("name", "media_type", "format"),
    [
        ("users.csv", "application/vnd.ms-excel", "csv"),
        ("USERS.XLSX", "application/octet-stream", "xlsx"),
        ("users.ndjson.gz", None, "ndjson"),
        ("users.jsonl", None, "ndjson"),
        ("C:\\data\\users.json", None, "json"),
        (None, "text/csv; charset=utf-8; header=present", "csv"),
        ("users", "application/x-ndjson", "ndjson"),
        (None, FORMATS["xlsx"].media_type, "xlsx"),
        ("", "Application/JSON", "json"),
    ],
)
def test_the_ending_goes_before_the_media_type(
    name: str | None, media_type: str | None, format: str
) -> None:
    assert find_format(name, media_type) is FORMATS[format]


@pytest.mark.parametrize(
    ("name", "media_type"), [("users.pdf", "text/csv"), (None, "image/png"), (None, None)]
)
def test_what_is_not_read_is_named_with_what_is(name: str | None, media_type: str | None) -> None:
    with pytest.raises(UnsupportedMedia, match=r"\.csv \(text/csv\)"):
        find_format(name, media_type)
