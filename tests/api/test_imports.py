"""Imports over HTTP, to the letter of the contract: reports, modes, keys, faults, sheets."""

import csv
import gzip
import io
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openpyxl
import pytest
from mongomock_motor import AsyncMongoMockClient

from app.application import create_app
from app.settings import Settings
from tests.spreadsheets.test_sheets import BOMB, ENTITY, HEADER, made, sheet_of
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = needs_mongod
PATH = "/users/import"
CSV = "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
GOOD = "name,email,age,profile.bio\nAda,ada@example.com,36,\nBob,bob@Example.com,,hi\n"


def send(
    http: httpx.Client, content: str | bytes, query: str = "", media_type: str = CSV, **headers: str
) -> httpx.Response:
    """The answer to a file as the body."""
    data = content.encode() if isinstance(content, str) else content
    sent = {"content-type": media_type, **headers}
    return http.post(f"{PATH}?{query}", content=data, headers=sent)


def report(answer: httpx.Response, status: int = 200) -> dict[str, Any]:
    """The report of an answer."""
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    return body


def counts(answer: httpx.Response, status: int = 200) -> tuple[int, ...]:
    """Rows, inserted, updated, unchanged, failed."""
    body = report(answer, status)
    return tuple(body[name] for name in ("rows", "inserted", "updated", "unchanged", "failed"))


def test_rows_of_a_csv_become_documents(http: httpx.Client, users: Any) -> None:
    answer = send(http, GOOD)
    assert report(answer) == {
        "rows": 2, "inserted": 2, "updated": 0, "unchanged": 0, "failed": 0, "errors": [],
    }  # fmt: skip
    stored = list(users.find({}, {"_id": 0}))
    assert stored == [
        {"name": "Ada", "email": "ada@example.com", "age": 36, "profile": None},
        {
            "name": "Bob",
            "email": "bob@example.com",
            "age": None,
            "profile": {"bio": "hi", "age": None, "addresses": []},
        },
    ]


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        ("iso-8859-1", "latin-1"),
        ('"Windows-1252"', "cp1252"),
        ("utf-8", "gbk"),
        ("windows-1252", "utf-8-sig"),
    ],
)
def test_the_encoding_that_a_media_type_names_counts(
    http: httpx.Client, users: Any, charset: str, encoding: str
) -> None:
    name = "王小明" if encoding == "gbk" else "Jürgen"
    content = f"name,email\n{name},j@example.com\n".encode(encoding)
    for query in ("", "mode=upsert&dry_run=true"):
        answer = send(http, content, query, f"text/csv; charset={charset}")
        assert answer.status_code == 200, answer.text
    assert [one["name"] for one in users.find()] == [name]
    answer = http.post(PATH, files={"file": ("f.csv", content, "text/csv; charset=klingon")})
    assert answer.status_code == (422 if encoding == "utf-8-sig" else 400)  # the e-mail is there


def test_a_form_with_a_file_is_the_same(http: httpx.Client, users: Any) -> None:
    answer = http.post(PATH, files={"file": ("x.csv", GOOD.encode(), "application/octet-stream")})
    assert counts(answer) == (2, 2, 0, 0, 0)
    assert users.count_documents({}) == 2


def test_where_one_row_is_wrong_nothing_is_written(http: httpx.Client, users: Any) -> None:
    text = "name,email,age\nAda,ada@example.com,36\n,b@example.com,old\nEve,ada@example.com,1\n"
    answer = send(http, text)
    assert counts(answer, 422) == (3, 0, 0, 0, 2)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"] == [
        {"row": 3, "column": "name", "value": "", "detail": "name: This field is required."},
        {
            "row": 3,
            "column": "age",
            "value": "old",
            "detail": "age must be a whole number (64 bits).",
        },
        {
            "row": 4,
            "column": "email",
            "value": "ada@example.com",
            "detail": "email: Row 2 has the same email; it must be unique.",
        },
    ]
    assert users.count_documents({}) == 0


def test_skip_writes_the_good_rows(http: httpx.Client, users: Any) -> None:
    text = "name,email\nAda,ada@example.com\nBob,nobody\nCid,cid@example.com\n"
    answer = send(http, text, "on_error=skip")
    assert counts(answer) == (3, 2, 0, 0, 1)
    [error] = answer.json()["errors"]
    assert (error["row"], error["column"], error["value"]) == (3, "email", "nobody")
    assert [one["name"] for one in users.find()] == ["Ada", "Cid"]


def test_a_stored_value_is_named_with_its_row(http: httpx.Client, users: Any) -> None:
    users.insert_one({"name": "Old", "email": "ada@example.com"})
    answer = send(http, GOOD)
    assert counts(answer, 422) == (2, 0, 0, 0, 1)
    [error] = answer.json()["errors"]
    assert (error["row"], error["column"]) == (2, "email")
    assert "Another document has the same email" in error["detail"]
    assert users.count_documents({}) == 1


def test_upsert_changes_what_is_there_and_inserts_the_rest(http: httpx.Client, users: Any) -> None:
    users.insert_one({"name": "Old", "email": "ada@example.com", "age": 36, "extra": 1})
    answer = send(http, GOOD, "mode=upsert")
    assert counts(answer) == (2, 1, 1, 0, 0)
    assert users.find_one({"email": "ada@example.com"}, {"_id": 0}) == {
        "name": "Ada", "email": "ada@example.com", "age": 36, "extra": 1,
    }  # fmt: skip
    assert counts(send(http, GOOD, "mode=upsert")) == (2, 0, 0, 2, 0)


def test_update_of_a_row_that_matches_nothing_fails(http: httpx.Client, users: Any) -> None:
    users.insert_one({"name": "Old", "email": "ada@example.com"})
    answer = send(http, GOOD, "mode=update&on_error=skip")
    assert counts(answer) == (2, 0, 1, 0, 1)
    [error] = answer.json()["errors"]
    assert (error["row"], error["column"]) == (3, "email")
    assert error["detail"] == "email: There is no document with this email."


def test_a_dry_run_writes_nothing_and_lists_changes(http: httpx.Client, users: Any) -> None:
    users.insert_one({"name": "Old", "email": "ada@example.com", "age": 36})
    answer = send(http, GOOD, "mode=upsert&dry_run=true")
    assert counts(answer) == (2, 1, 1, 0, 0)
    assert answer.json()["changes"] == [
        {"row": 2, "field": "name", "before": "Old", "after": "Ada"}
    ]
    assert [one["name"] for one in users.find()] == ["Old"]


def test_reports_that_are_longer_than_a_pipe_are_answered(http: httpx.Client, users: Any) -> None:
    """A process that waits for its reader, which waits for its end, would never answer."""
    rows = "".join(f"Ada,a{number}@example.com,{'x' * 2_000}\n" for number in range(100))
    text = f"name,email,profile.bio\n{rows}"
    assert counts(send(http, text)) == (100, 100, 0, 0, 0)
    changed = report(send(http, text.replace("xx", "yy"), "mode=upsert&dry_run=true"))
    assert len(changed["changes"]) == 100
    titles = ",".join(f"title {number}" for number in range(1_000))
    refused = send(http, f"{titles}\n")
    assert refused.status_code == 422
    assert len(refused.json()["errors"]) == 1_000


def test_a_sheet_to_correct_as_csv(http: httpx.Client, users: Any) -> None:
    text = "name,email\nAda,ada@example.com\nBob,nobody\n"
    answer = send(http, text, accept=CSV)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert [row[:2] for row in rows] == [
        ["name", "email"], ["Ada", "ada@example.com"], ["Bob", "nobody"],
    ]  # fmt: skip
    assert rows[0][2] == "error"
    assert rows[1][2] == ""
    assert "email" in rows[2][2]
    for accept in (f"{CSV};q=0", f"{CSV};q=0.5, application/json", "*/*"):
        refused = send(http, text, accept=accept)
        assert refused.headers["content-type"] == "application/problem+json", accept
    fixed = answer.content.replace(b"nobody", b"bob@example.com")
    assert counts(send(http, fixed)) == (2, 2, 0, 0, 0)
    answer = send(http, text, "on_error=skip&mode=upsert", accept=CSV)
    assert answer.status_code == 200
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert [row[0] for row in rows] == ["name", "Bob"]


@pytest.mark.parametrize("delimiter", [";", "|", "\t"])
def test_a_sheet_to_correct_has_the_delimiter_of_the_file(
    http: httpx.Client, users: Any, delimiter: str
) -> None:
    text = "name,email\nAda,ada@example.com\nBob,nobody\n".replace(",", delimiter)
    lines = send(http, text, accept=CSV).content.decode("utf-8-sig").splitlines()
    assert lines[0] == f"name{delimiter}email{delimiter}error"
    assert lines[1] == f"Ada{delimiter}ada@example.com{delimiter}"


def test_a_sheet_to_correct_as_a_workbook(http: httpx.Client, users: Any) -> None:
    answer = send(http, "name,email\nAda,ada@example.com\nBob,nobody\n", accept=XLSX)
    assert answer.status_code == 422
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets[0]
    rows = [list(row) for row in sheet.iter_rows(values_only=True)]
    assert [row[:2] for row in rows] == [
        ["name", "email"], ["Ada", "ada@example.com"], ["Bob", "nobody"],
    ]  # fmt: skip
    assert "B3" in rows[2][2]


@pytest.mark.parametrize("format", ["csv", "xlsx", "ndjson", "json"])
def test_an_export_comes_back_unchanged(http: httpx.Client, users: Any, format: str) -> None:
    send(http, GOOD)
    users.update_one({}, {"$set": {"name": "a\0b"}})
    before = list(users.aggregate([{"$sort": {"_id": 1}}]))
    columns = "columns=_id,*" if format in ("csv", "xlsx") else ""
    file = http.get(f"/users/export/{format}?{columns}")
    media_type = file.headers["content-type"]
    for same in ("", "&columns=_id,*"):
        answer = send(http, file.content, f"mode=upsert{same}", media_type)
        assert counts(answer) == (2, 0, 0, 2, 0)
    assert list(users.aggregate([{"$sort": {"_id": 1}}])) == before
    users.delete_many({})
    assert counts(send(http, file.content, "mode=upsert", media_type)) == (2, 2, 0, 0, 0)
    assert list(users.aggregate([{"$sort": {"_id": 1}}])) == before


def test_gzip_is_understood_by_encoding_and_by_name(http: httpx.Client, users: Any) -> None:
    packed = gzip.compress(GOOD.encode())
    assert counts(send(http, packed, **{"content-encoding": "gzip"})) == (2, 2, 0, 0, 0)
    users.delete_many({})
    assert counts(http.post(PATH, files={"file": ("u.csv.gz", packed)})) == (2, 2, 0, 0, 0)


def test_a_sheet_to_fill_in(http: httpx.Client) -> None:
    answer = http.get(f"{PATH}/csv")
    assert answer.text == "name,email,age,profile.bio,profile.age,profile.addresses\r\n"
    answer = http.get(f"{PATH}/xlsx")
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets[0]
    assert [cell.value for cell in sheet[1]][:2] == ["name", "email"]
    assert http.get(f"{PATH}/pdf").status_code == 404


def test_ndjson_and_json(http: httpx.Client, users: Any) -> None:
    documents = [{"name": "A", "email": "a@example.com"}, {"name": "B", "email": "b@example.com"}]
    lines = "\n".join(map(json.dumps, documents))
    assert counts(send(http, lines, "", "application/x-ndjson")) == (2, 2, 0, 0, 0)
    assert counts(send(http, json.dumps(documents), "mode=upsert", "application/json")) == (
        2, 0, 0, 2, 0,
    )  # fmt: skip


# --- what can't be accepted -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "media_type", "status", "words"),
    [
        ("", CSV, 400, "no bytes at all"),
        ("", "application/json", 400, "no bytes at all"),
        ("\n\n", CSV, 400, "first row is empty"),
        ("name,name\nA,B\n", CSV, 400, "same title 'name'"),
        ("nmae,email\nA,a@x.com\n", CSV, 422, "Did you mean 'name'?"),
        ("name,profile.addresses.city\nA,B\n", CSV, 422, "unwound"),
        ('name,email\nA,a@x.com\n"B,b@x.com\n', CSV, 400, "Row 3"),
        ("name,em\0ail\nA,a@x.com\n", CSV, 400, "first row has a NUL"),
        (b"PK\x03\x04 nothing more", XLSX, 400, ""),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), XLSX, 400, ""),
        ("[{]", "application/json", 400, "Element 1"),
        ("x", "application/pdf", 415, "right would be"),
        ("x", "", 415, "right would be"),
        (b"\x1f\x8b\x08\0broken", CSV, 400, "gzip"),
    ],
)
def test_a_file_that_cannot_be_read(
    http: httpx.Client, users: Any, content: str | bytes, media_type: str, status: int, words: str
) -> None:
    for query in ("", "on_error=skip", "mode=upsert"):
        answer = send(http, content, query, media_type)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert words in answer.json()["detail"]
        if status == 415:
            assert answer.json()["errors"][0]["header"] == "Content-Type"
    assert users.count_documents({}) == 0


ENCRYPTED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le")
BOOK = made(sheet_of(HEADER))


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (made(sheet_of(HEADER + " " * 40_000_000)), 413, "ZIP bomb"),
        (ENCRYPTED, 400, "encrypted"),
        (made(sheet_of(HEADER), **{"xl/vbaProject.bin": "x"}), 400, "macros"),
        (BOOK[: len(BOOK) // 2], 400, "cut off"),
        (made(ENTITY + sheet_of(HEADER)), 400, "entities"),
        (made(BOMB + sheet_of(HEADER)), 400, "entities"),
        (made(sheet_of(HEADER)[:-30]), 400, "cut off"),
        (made(sheet_of("")), 400, "first row is empty"),
        (made(sheet_of(HEADER.replace(">b<", ">a<"))), 400, "same title"),
    ],
)
@pytest.mark.parametrize("form", [False, True])
def test_a_workbook_that_cannot_be_read(
    http: httpx.Client, users: Any, content: bytes, status: int, words: str, form: bool
) -> None:
    if form:
        answer = http.post(PATH, files={"file": ("people.xlsx", content)})
    else:
        answer = send(http, content, "", XLSX)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert users.count_documents({}) == 0


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("mode=replace", "mode"),
        ("on_error=ignore", "on_error"),
        ("dry_run=1", "dry_run"),
        ("key=name&mode=upsert", "key"),
        ("mode=upsert&key=_id", "key"),
        ("sheet=x", "sheet"),
        ("formulas=x", "formulas"),
        ("timezone=Mars", "timezone"),
        ("columns=nmae:N", "columns"),
        ("limit=5", "limit"),
        ("name=Ada", "name"),
        ("mode=insert&mode=insert", "mode"),
    ],
)
def test_a_parameter_that_cannot_be(
    http: httpx.Client, users: Any, query: str, parameter: str
) -> None:
    answer = send(http, GOOD, query)
    assert answer.status_code == 422, answer.text
    assert parameter in [one["parameter"] for one in answer.json()["errors"]]
    assert users.count_documents({}) == 0


@pytest.mark.parametrize("columns", ["name:N,email", "nmae", "name,profile.addresses.city"])
def test_columns_that_documents_cannot_have(http: httpx.Client, users: Any, columns: str) -> None:
    document = '{"name":"Ada","email":"ada@example.com"}'
    answer = send(http, document, f"columns={columns}", "application/x-ndjson")
    assert [one["parameter"] for one in answer.json()["errors"]] == ["columns"]
    assert (answer.status_code, users.count_documents({})) == (422, 0)


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"files": {"other": ("x.csv", GOOD)}}, 422),
        ({"files": {"file": ("x.csv", GOOD)}, "data": {"mode": "upsert"}}, 422),
        ({"files": {"file": ("x.pdf", GOOD)}}, 415),
        ({"files": {"file": ("x.csv", b"")}}, 400),
        (
            {"content": b"--x\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}},
            400,
        ),
        ({"content": b"--x\r\n", "headers": {"content-type": "multipart/form-data"}}, 400),
        ({"content": b"", "headers": {"content-type": CSV, "content-encoding": "br"}}, 415),
        ({"content": b"x", "headers": {"content-type": CSV, "content-encoding": "gzip"}}, 400),
        (
            {"content": GOOD, "headers": {"content-type": CSV, "origin": "https://evil.example"}},
            403,
        ),
    ],
)
def test_a_form_that_cannot_be(
    http: httpx.Client, users: Any, form: dict[str, Any], status: int
) -> None:
    answer = http.post(PATH, **form)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if status in (415, 422):
        assert answer.json()["errors"]
    assert users.count_documents({}) == 0


def test_a_header_without_rows_is_no_error(http: httpx.Client) -> None:
    for mode in ("insert", "upsert", "update"):
        assert counts(send(http, "name,email\r\n", f"mode={mode}")) == (0, 0, 0, 0, 0)


def test_the_name_counts_more_than_the_media_type(http: httpx.Client) -> None:
    files = {"file": ("People.CSV", GOOD.encode(), "application/vnd.ms-excel")}
    assert counts(http.post(PATH, files=files)) == (2, 2, 0, 0, 0)


def test_only_a_document_is_at_the_address_of_imports(http: httpx.Client) -> None:
    answer = http.get(PATH)
    assert answer.status_code == 404
    assert f"{PATH}/xlsx" in answer.json()["detail"]
    assert http.put(PATH, json={}).status_code == 422
    assert http.get("/users/import/csv?x=1").status_code == 422


# --- keys, empty cells, lists ---------------------------------------------------------------------


def test_an_empty_cell_empties_what_may_be_empty(http: httpx.Client, users: Any) -> None:
    users.insert_one({"name": "A", "email": "a@x.com", "age": 5, "profile": {"bio": "", "age": 7}})
    text = "email,name,age,profile.bio,profile.age\na@x.com,A,,,\n"
    assert counts(send(http, text, "mode=update")) == (1, 0, 1, 0, 0)
    [stored] = users.find({}, {"_id": 0})
    assert stored["profile"] == {"bio": "", "age": None} or stored["profile"] == {"bio": ""}
    assert stored.get("age") is None
    assert counts(send(http, text, "mode=update")) == (1, 0, 0, 1, 0)
    answer = send(http, "email,name\na@x.com,\n", "mode=update")
    assert counts(answer, 422) == (1, 0, 0, 0, 1)
    assert answer.json()["errors"][0]["column"] == "name"


def test_numbered_columns_change_one_element(http: httpx.Client, users: Any) -> None:
    addresses = [{"city": "Ulm", "street": "s"}, {"city": "Köln"}]
    users.insert_one({"name": "A", "email": "a@x.com", "profile": {"addresses": addresses}})
    header = "email,profile.addresses.0.city,profile.addresses.0.street\n"
    assert counts(send(http, f"{header}a@x.com,Ulm,s\n", "mode=update")) == (1, 0, 0, 1, 0)
    assert users.find_one()["profile"]["addresses"] == addresses
    assert counts(send(http, f"{header}a@x.com,Bonn,\n", "mode=update")) == (1, 0, 1, 0, 0)
    first, second = users.find_one()["profile"]["addresses"]
    assert (first["city"], first.get("street"), second["city"]) == ("Bonn", None, "Köln")


def test_one_key_twice_names_both_rows(http: httpx.Client, users: Any) -> None:
    text = "email,name\na@x.com,A\nb@x.com,B\na@X.com,C\n"
    answer = send(http, text, "mode=upsert&on_error=skip")
    assert counts(answer) == (3, 2, 0, 0, 1)
    [error] = answer.json()["errors"]
    assert (error["row"], error["column"]) == (4, "email")
    assert "Row 2" in error["detail"]


def test_a_key_of_id_and_a_row_without_one(http: httpx.Client, users: Any) -> None:
    key = users.insert_one({"name": "A", "email": "a@x.com"}).inserted_id
    text = f"_id,name,email\n{key},Ada,a@x.com\n,Bob,b@x.com\n{'0' * 24},Cid,c@x.com\n"
    assert counts(send(http, text, "mode=upsert")) == (3, 2, 1, 0, 0)
    assert {one["name"] for one in users.find()} == {"Ada", "Bob", "Cid"}
    answer = send(http, "_id,name\n,X\nnoid,Y\n", "mode=update&on_error=skip")
    assert [one["row"] for one in answer.json()["errors"]] == [2, 3]
    assert counts(answer) == (2, 0, 0, 0, 2)


def test_foreign_titles_by_columns(http: httpx.Client, users: Any) -> None:
    text = "Vorname;E-Mail\nAda;ada@x.com\n"
    assert counts(send(http, text, "columns=name:Vorname,email:E-Mail")) == (1, 1, 0, 0, 0)


# --- others at the same time ----------------------------------------------------------------------


def people(count: int) -> str:
    rows = (f"N{number},n{number}@x.com,{number % 90}" for number in range(count))
    return "name,email,age\n" + "\n".join(rows) + "\n"


@pytest.mark.slow
def test_two_imports_of_one_file_end_as_one(http: httpx.Client, users: Any) -> None:
    text = people(3000)
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda _: send(http, text, "mode=upsert"), range(2)))
    for answer in answers:
        body = report(answer)
        assert (body["rows"], body["failed"]) == (3000, 0)
        assert body["inserted"] + body["updated"] + body["unchanged"] == 3000
    assert sum(answer.json()["inserted"] for answer in answers) == 3000
    assert users.count_documents({}) == 3000
    assert counts(send(http, text, "mode=upsert")) == (3000, 0, 0, 3000, 0)


def test_a_client_that_leaves_in_mid_upload_writes_nothing(
    server: LiveServer, http: httpx.Client, users: Any
) -> None:
    body = people(2000).encode()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    for _ in range(3):  # more than there are places
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + body[: len(body) // 2])
    assert counts(send(http, GOOD)) == (2, 2, 0, 0, 0)
    assert users.count_documents({}) == 2


async def test_the_mock_imports_too(mock_http: httpx.AsyncClient) -> None:
    for query, expected in (("", (2, 2, 0, 0, 0)), ("?mode=upsert", (2, 0, 0, 2, 0))):
        answer = await mock_http.post(
            f"{PATH}{query}", content=GOOD.encode(), headers={"content-type": CSV}
        )
        assert counts(answer) == expected
    changed = GOOD.replace("Ada", "Eva").encode()
    answer = await mock_http.post(
        f"{PATH}?mode=update", content=changed, headers={"content-type": CSV}
    )
    assert counts(answer) == (2, 0, 1, 1, 0)


# --- links ----------------------------------------------------------------------------------------


def test_links_are_found_by_id_and_by_a_unique_field(http: httpx.Client, database: Any) -> None:
    for name in ("students", "courses", "classes"):
        database[name].delete_many({})
    first = database["classes"].insert_one({"name": "1A"}).inserted_id
    math = database["courses"].insert_one({"name": "Math"}).inserted_id
    path = "/students/import"
    text = f"sno,name,clas\n1001,Ada,{first}\n1002,Bob,{'0' * 24}\n"
    answer = http.post(path, content=text.encode(), headers={"content-type": CSV})
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["row"], error["column"]) == (422, 3, "clas")
    assert error["value"] == "0" * 24
    text = "sno,name,clas.name,courses\n1001,Ada,1A,\n1002,Bob,9Z,\n"
    answer = http.post(path, content=text.encode(), headers={"content-type": CSV})
    [error] = answer.json()["errors"]
    assert (error["row"], error["column"], error["value"]) == (3, "clas.name", "9Z")
    text = f'sno,name,clas.name,courses\n1001,Ada,1A,"[""{math}""]"\n1002,Bob,,\n'
    for expected in ((2, 2, 0, 0, 0), (2, 0, 0, 2, 0)):
        answer = http.post(
            f"{path}?mode=upsert", content=text.encode(), headers={"content-type": CSV}
        )
        assert counts(answer) == expected
    [ada, bob] = database["students"].find({}, {"_id": 0, "clas": 1, "courses": 1})
    assert (ada["clas"].id, ada["courses"][0].id, bob["clas"]) == (first, math, None)
    exported = http.get("/students/export/csv?columns=sno,name,clas.name").content
    answer = http.post(f"{path}?mode=upsert", content=exported, headers={"content-type": CSV})
    assert counts(answer) == (2, 0, 0, 2, 0)
    answer = http.post(path, content=b"sno,clas.teacher\n", headers={"content-type": CSV})
    assert answer.status_code == 422
    assert "clas.name" in answer.json()["detail"]
    for name in ("students", "courses", "classes"):
        database[name].delete_many({})


async def test_what_is_only_read_takes_no_file_and_a_key_may_be_import() -> None:
    chosen = Settings(DB_NAME="test", MODELS="tests.support.every_type", _env_file=None)  # type: ignore[call-arg]
    app = create_app(chosen, AsyncMongoMockClient())
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        sent = {"content-type": CSV}
        answer = await client.post("/fixed/import", content=b"name\nA\n", headers=sent)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
        assert (await client.get("/fixed/import/csv")).status_code == 404
        assert (await client.post("/fixed/", json=[])).status_code == 405
        assert (await client.delete("/fixed/?name=A&max_affected=1")).status_code == 405
        answer = await client.post("/named/import", content=b"_id,name\nimport,A\n", headers=sent)
        assert counts(answer) == (1, 1, 0, 0, 0)
        assert (await client.get("/named/import")).json()["name"] == "A"
        assert (await client.patch("/named/import", json={"name": "B"})).json()["name"] == "B"
        assert (await client.delete("/named/import")).status_code == 204
