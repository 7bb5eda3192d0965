"""Imports over HTTP, to the letter of the contract: reports, modes, keys, faults, sheets."""

import csv
import gzip
import io
import json
from typing import Any

import httpx
import openpyxl
import pytest

from tests.support.mongod import needs_mongod

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


def test_a_form_with_a_file_is_the_same(http: httpx.Client, users: Any) -> None:
    answer = http.post(PATH, files={"file": ("x.csv", GOOD.encode(), "application/octet-stream")})
    assert counts(answer) == (2, 2, 0, 0, 0)
    assert users.count_documents({}) == 2


def test_where_one_row_is_wrong_nothing_is_written(http: httpx.Client, users: Any) -> None:
    text = "name,email,age\nAda,ada@example.com,36\n,nobody,old\nEve,ada@example.com,1\n"
    answer = send(http, text)
    assert counts(answer, 422) == (3, 0, 0, 0, 2)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"] == [
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
    fixed = answer.content.replace(b"nobody", b"bob@example.com")
    assert counts(send(http, fixed)) == (2, 2, 0, 0, 0)
    answer = send(http, text, "on_error=skip&mode=upsert", accept=CSV)
    assert answer.status_code == 200
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert [row[0] for row in rows] == ["name", "Bob"]


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
    before = list(users.aggregate([{"$sort": {"_id": 1}}]))
    columns = "columns=_id,*" if format in ("csv", "xlsx") else ""
    file = http.get(f"/users/export/{format}?{columns}")
    media_type = file.headers["content-type"]
    answer = send(http, file.content, "mode=upsert", media_type)
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
