"""Exports over HTTP, to the letter of the contract: parameters, headers, content, order."""

import csv
import gzip
import hashlib
import io
import json
import socket
import uuid
from typing import Any

import bson
import httpx
import openpyxl
import pytest

from tests.support.filling import insert_raw
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = needs_mongod
FORMATS = ("csv", "xlsx", "ndjson", "json")
ANNA = {
    "name": "Anna",
    "email": "a@example.com",
    "age": 30,
    "profile": {
        "bio": "x",
        "age": 31,
        "addresses": [{"street": "s", "city": "北京"}, {"city": "Ulm"}],
    },
}
HEADER = ["name", "email", "age", "profile.bio", "profile.age", "profile.addresses"]


def rows(answer: httpx.Response) -> list[list[str]]:
    """The records of a CSV file."""
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.text, newline="")))


def cells(answer: httpx.Response) -> list[list[Any]]:
    """The rows of a workbook's first sheet."""
    assert answer.status_code == 200, answer.text
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content), read_only=True).worksheets[0]
    return [list(row) for row in sheet.iter_rows(values_only=True)]


def documents(answer: httpx.Response) -> list[Any]:
    """The documents of an NDJSON file."""
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def problem(answer: httpx.Response, status: int, parameter: str | None = None) -> str:
    """The sentence of a problem, which names the parameter."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["instance"]) == (status, answer.request.url.path)
    if parameter is not None:
        assert parameter in [error.get("parameter") for error in body["errors"]]
    return str(body["detail"])


# --- what can't be asked --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format_", "query", "parameter", "words"),
    [
        *[
            (name, f"{word}=1", word, "for lists")
            for name in FORMATS
            for word in ("fields", "expand", "after", "count")
        ],
        *[
            (name, f"{word}=x", word, "csv")
            for name in FORMATS[1:]
            for word in ("bom", "delimiter", "formulas")
        ],
        *[
            (name, f"{word}=x", word, "xlsx")
            for name in FORMATS[2:]
            for word in ("unwind", "timezone")
        ],
        ("csv", "columns=nam", "columns", "Did you mean 'name'?"),
        ("csv", "columns=name,profile.agee", "columns", "Did you mean 'profile.age'?"),
        ("csv", "columns=name,name", "columns", "twice"),
        ("csv", f"columns=profile.addresses.{'9' * 5_000}.city", "columns", "no field"),
        ("csv", "columns=name,", "columns", "no column"),
        ("csv", "columns=name:", "columns", "no column"),
        ("csv", "columns=name&columns=age", "columns", "twice"),
        ("csv", "unwind=profile.adresses", "unwind", "Did you mean 'profile.addresses'?"),
        ("csv", "unwind=name", "unwind", "no list"),
        ("csv", "timezone=Mars/Olympus", "timezone", "Asia/Shanghai"),
        ("xlsx", "timezone=../../etc/passwd", "timezone", "no time zone"),
        ("csv", "bom=yes", "bom", "true or false"),
        ("csv", "delimiter=tabb", "delimiter", "Did you mean 'tab'?"),
        ("csv", "delimiter=,,", "delimiter", "must be one of: , ; | tab"),
        ("csv", "formulas=run", "formulas", "escape keep"),
        ("json", "consistency=nones", "consistency", "Did you mean 'none'?"),
        ("csv", "limit=0", "limit", "1"),
        ("csv", "limit=-1", "limit", "1"),
        ("csv", "skip=-1", "skip", "0"),
        ("csv", "sort=nam", "sort", "Did you mean 'name'?"),
        ("csv", "sort=profile.addresses.city", "sort", "list"),
        ("csv", "colums=name", "colums", "Did you mean 'columns'?"),
        ("csv", "name__regex=(", "name__regex", "name__contains"),
        ("ndjson", "keyword=(", "keyword", "name__contains"),
        ("xlsx", "keyword=" + "x" * 201, "keyword", "200"),
        ("ndjson", "columns=name:Name", "columns", "CSV and XLSX"),
        ("json", "columns=name:Name", "columns", "CSV and XLSX"),
        (
            "ndjson",
            "columns=profile.addresses.0.city",
            "columns",
            "'profile.addresses' is the whole list",
        ),
        ("json", "columns=profile.addresses.0", "columns", "'profile.addresses' is the whole list"),
    ],
)
def test_what_cannot_be_asked_is_422(
    http: httpx.Client, format_: str, query: str, parameter: str, words: str
) -> None:
    assert words in problem(http.get(f"/users/export/{format_}?{query}"), 422, parameter)


def test_all_faults_come_at_once(http: httpx.Client) -> None:
    answer = http.get("/users/export/ndjson?bom=true&count=exact&delimiter=;")
    problem(answer, 422)
    assert [error["parameter"] for error in answer.json()["errors"]] == [
        "bom",
        "count",
        "delimiter",
    ]


def test_empty_parameters_are_absent(http: httpx.Client) -> None:
    words = (
        "columns",
        "unwind",
        "limit",
        "skip",
        "bom",
        "delimiter",
        "formulas",
        "timezone",
        "consistency",
    )
    more = ("fields", "expand", "after", "count", "sort", "keyword")
    query = "&".join(f"{word}=" for word in (*words, *more))
    for name in FORMATS:
        assert http.get(f"/users/export/{name}?{query}").status_code == 200


def test_an_unknown_format_is_404(http: httpx.Client) -> None:
    assert "csv" in problem(http.get("/users/export/cvs?bom=1"), 404)
    problem(http.get("/users/export/"), 404)
    problem(http.get("/users/export/csv/"), 404)
    problem(http.post("/users/export/csv"), 405)


def test_http_1_0_is_505(server: LiveServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"GET /users/export/csv HTTP/1.0\r\nHost: localhost\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b" 505 " in answer.splitlines()[0]
    assert b"application/problem+json" in answer
    assert b"HTTP/1.1" in answer.partition(b"\r\n\r\n")[2]


# --- headers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format_", "media_type", "extension"),
    [
        ("csv", "text/csv; charset=utf-8", "csv"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
        ("excel", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
        ("ndjson", "application/x-ndjson", "ndjson"),
        ("json", "application/json", "json"),
    ],
)
def test_headers(
    http: httpx.Client, users: Any, format_: str, media_type: str, extension: str
) -> None:
    users.insert_many([{"name": str(number), "email": f"{number}@x.com"} for number in range(3)])
    answer = http.get(f"/users/export/{format_}")
    assert answer.headers["content-type"] == media_type
    name = f"users.{extension}"
    assert (
        answer.headers["content-disposition"]
        == f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}"
    )
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-total-count"] == "3"
    assert "content-length" not in answer.headers
    assert len(answer.headers["x-export-id"]) == 32
    head = http.head(f"/users/export/{format_}")
    assert (head.status_code, head.content) == (200, b"")
    gone = {"x-export-id", "x-request-id", "date", "transfer-encoding", "server-timing"}
    assert {k: v for k, v in head.headers.items() if k not in gone} == {
        k: v for k, v in answer.headers.items() if k not in gone
    }
    assert "x-total-count" not in http.get(f"/users/export/{format_}?name=1").headers
    problem_head = http.head(f"/users/export/{format_}?nme=1")
    assert (problem_head.status_code, problem_head.content) == (422, b"")


def test_head_runs_no_export(http: httpx.Client, database: Any) -> None:
    before = database["docsheet.exports"].count_documents({})
    http.head("/users/export/csv").raise_for_status()
    assert database["docsheet.exports"].count_documents({}) == before


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*;q=0, gzip", True),
        ("gzip;q=0, *", False),
        ("identity", False),
        ("notgzip", False),
        ("", False),
    ],
)
def test_gzip_only_where_it_is_accepted(
    http: httpx.Client, users: Any, accepted: str, packed: bool
) -> None:
    users.insert_one(dict(ANNA))
    for name in ("csv", "ndjson", "json"):
        with http.stream(
            "GET", f"/users/export/{name}", headers={"Accept-Encoding": accepted}
        ) as answer:
            raw = b"".join(answer.iter_raw())
        assert (answer.headers.get("content-encoding") == "gzip") is packed
        assert answer.headers["vary"] == "Accept-Encoding"
        plain = gzip.decompress(raw) if packed else raw
        assert b"Anna" in plain
        record = http.get(f"/exports/{answer.headers['x-export-id']}").json()
        assert (record["bytes"], record["sha256"]) == (
            len(plain),
            hashlib.sha256(plain).hexdigest(),
        )
    assert "content-encoding" not in http.get("/users/export/xlsx").headers


# --- the record -----------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", FORMATS)
def test_the_record_is_complete_when_the_last_byte_is_there(
    http: httpx.Client, users: Any, format_: str
) -> None:
    users.insert_many([{"name": "n" * 50, "email": f"{number}@x.com"} for number in range(4_500)])
    for _ in range(3):
        answer = http.get(f"/users/export/{format_}")
        record = http.get(f"/exports/{answer.headers['x-export-id']}").json()
        assert record["seconds"] > 0
        assert {key: record[key] for key in record if key != "seconds"} == {
            "state": "complete",
            "documents": 4_500,
            "rows": 4_500,
            "bytes": len(answer.content),
            "sha256": hashlib.sha256(answer.content).hexdigest(),
            "detail": None,
        }
    assert problem(http.get("/exports/no-such-export"), 404)
    assert problem(http.get("/exports/no-such-export?x=1"), 422)


def test_records_are_forgotten_after_an_hour(http: httpx.Client, database: Any) -> None:
    http.get("/users/export/csv").raise_for_status()
    index = database["docsheet.exports"].index_information()["forget"]
    assert (index["key"], index["expireAfterSeconds"]) == ([("at", 1)], 3600)


# --- what comes -----------------------------------------------------------------------------------


def test_an_empty_collection(http: httpx.Client) -> None:
    assert rows(http.get("/users/export/csv")) == [HEADER]
    assert cells(http.get("/users/export/excel")) == [HEADER]
    assert http.get("/users/export/ndjson").content == b""
    assert http.get("/users/export/json").json() == []
    assert (
        rows(http.get("/users/export/csv?unwind=profile.addresses"))[0][-1]
        == "profile.addresses.country"
    )


def test_one_document(http: httpx.Client, users: Any) -> None:
    users.insert_one(dict(ANNA))
    addresses = '[{"street":"s","city":"北京"},{"city":"Ulm"}]'
    assert rows(http.get("/users/export/csv")) == [
        HEADER,
        ["Anna", "a@example.com", "30", "x", "31", addresses],
    ]
    assert cells(http.get("/users/export/xlsx")) == [
        HEADER,
        ["Anna", "a@example.com", 30, "x", 31, addresses],
    ]
    shown = http.get("/users/").json()
    assert documents(http.get("/users/export/ndjson")) == shown
    assert http.get("/users/export/json").json() == shown


def test_columns(http: httpx.Client, users: Any) -> None:
    key = users.insert_one(dict(ANNA)).inserted_id
    assert rows(http.get("/users/export/csv?columns=_id,*"))[0] == ["_id", *HEADER]
    columns = "profile.age:Age,profile.addresses.0.city:City%252C%20%253A,name,_id"
    asked = f"/users/export/csv?columns={columns}"
    assert rows(http.get(asked)) == [
        ["Age", "City, :", "name", "_id"],
        ["31", "北京", "Anna", str(key)],
    ]
    assert rows(
        http.get("/users/export/csv?columns=profile.addresses.1.city,profile.addresses.7")
    ) == [
        ["profile.addresses.1.city", "profile.addresses.7"],
        ["Ulm", ""],
    ]
    assert documents(http.get("/users/export/ndjson?columns=name,profile.addresses.city")) == [
        {"name": "Anna", "profile": {"addresses": [{"city": "北京"}, {"city": "Ulm"}]}}
    ]
    assert documents(http.get("/users/export/ndjson?columns=profile.age,_id,profile")) == [
        {"_id": str(key), "profile": ANNA["profile"]}
    ]


def test_broken_utf_8_and_an_object_in_place_of_a_list_are_shown(
    http: httpx.Client, users: Any
) -> None:
    raw = bson.encode(
        {"_id": 1, "name": "M?ller", "email": "m", "profile": {"addresses": {"city": "Ulm"}}}
    )
    insert_raw(users, raw.replace(b"M?ller", b"M\xfcller"))
    asked = "columns=name,profile.addresses.city"
    assert rows(http.get(f"/users/export/csv?{asked}"))[1:] == [["M\ufffdller", "Ulm"]]
    assert rows(http.get(f"/users/export/csv?{asked}&unwind=profile.addresses"))[1:] == [
        ["M\ufffdller", "Ulm"]
    ]
    assert cells(http.get(f"/users/export/xlsx?{asked}"))[1:] == [["M\ufffdller", "Ulm"]]
    for format_ in ("ndjson", "json"):
        assert "M\ufffdller" in http.get(f"/users/export/{format_}").text


def test_an_index_that_another_program_dropped(http: httpx.Client, users: Any) -> None:
    users.drop_index("email_1")
    try:
        users.insert_many(
            [{"_id": number, "email": "same", "name": "x"} for number in range(1, 1_200)]
        )
        answer = http.get("/users/export/csv?sort=email&name__contains=x&columns=_id")
        assert [int(row[0]) for row in rows(answer)[1:]] == list(range(1, 1_200))
    finally:
        users.delete_many({})
        users.create_index("email", name="email_1", unique=True)


def test_unwind(http: httpx.Client, users: Any) -> None:
    users.insert_many(
        [
            {"_id": 1, **ANNA},
            {"_id": 2, "name": "B", "email": "b", "profile": {"addresses": []}},
            {"_id": 3, "name": "C", "email": "c", "profile": {"addresses": "none"}},
            {"_id": 4, "name": "D", "email": "d", "profile": 7},
            {
                "_id": 5,
                "name": "E",
                "email": "e",
                "profile": {"addresses": [None, {"city": "X"}, 3]},
            },
        ]
    )
    asked = "unwind=profile.addresses&columns=_id,profile.addresses.city,name"
    answer = http.get(f"/users/export/csv?{asked}")
    assert rows(answer)[1:] == [
        ["1", "北京", "Anna"], ["1", "Ulm", "Anna"], ["2", "", "B"], ["3", "", "C"], ["4", "", "D"],
        ["5", "", "E"], ["5", "X", "E"], ["5", "", "E"],
    ]  # fmt: skip
    record = http.get(f"/exports/{answer.headers['x-export-id']}").json()
    assert (record["documents"], record["rows"]) == (5, 8)
    assert rows(http.get(f"/users/export/csv?{asked}&limit=1&skip=4"))[1:] == [
        ["5", "", "E"], ["5", "X", "E"], ["5", "", "E"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    "query",
    [
        "keyword=n3",
        "profile.age__gte=18&profile.age__lt=30",
        "sort=-name&limit=7&skip=3",
        "sort=name,-profile.age",
        "name=N1&sort=-email",
        "profile.age__in=1,2,99",
        "email__startswith=4&sort=email",
        "skip=49",
        "skip=50",
    ],
)
def test_conditions_are_those_of_lists(http: httpx.Client, users: Any, query: str) -> None:
    users.insert_many(
        [{"_id": n, "name": f"N{n % 7}", "email": f"{n}", "profile": {"age": n}} for n in range(50)]
    )
    all_of_them = query if "limit" in query else f"limit=1000&{query}"
    listed = http.get(f"/users/?{all_of_them}").json()
    assert documents(http.get(f"/users/export/ndjson?{query}")) == listed
    exported = rows(http.get(f"/users/export/csv?columns=_id&{query}"))[1:]
    assert [row[0] for row in exported] == [str(found["_id"]) for found in listed]


def test_csv_options(http: httpx.Client, users: Any) -> None:
    users.insert_one(
        {"_id": 1, "name": "=1+1", "email": "a,b;c|d\te", "age": -5, "profile": {"bio": "'q"}}
    )
    asked = "/users/export/csv?columns=name:%3Dname,email,age,profile.bio"
    assert (
        http.get(asked).content
        == b"'=name,email,age,profile.bio\r\n'=1+1,\"a,b;c|d\te\",-5,''q\r\n"
    )
    assert http.get(asked + "&formulas=keep").content.startswith(
        b"=name,email,age,profile.bio\r\n=1+1,"
    )
    assert http.get(asked + "&bom=true").content.startswith(b"\xef\xbb\xbf'=name,")
    assert http.get(asked + "&bom=true").content.count(b"\xef\xbb\xbf") == 1
    for word, sign in ((",", ","), (";", ";"), ("|", "|"), ("tab", "\t")):
        answer = http.get(
            asked, params=httpx.QueryParams(asked.partition("?")[2]).set("delimiter", word)
        )
        read = list(csv.reader(io.StringIO(answer.text, newline=""), delimiter=sign))
        assert read[1] == ["'=1+1", "a,b;c|d\te", "-5", "''q"]


def test_foreign_documents_come_as_they_are(http: httpx.Client, users: Any) -> None:
    strange = [
        {"_id": 1, "name": ["a", {"b": 1}], "email": 5, "age": "x", "profile": [{"bio": "no"}]},
        {
            "_id": 2,
            "name": None,
            "email": 6,
            "profile": {"bio": bson.Regex("a", "i"), "age": [1], "addresses": "none"},
        },
        {
            "_id": 3,
            "email": 7,
            "name": float("nan"),
            "profile": {"bio": bson.MaxKey(), "addresses": {"city": "B"}},
        },
        {"_id": 4, "extra": {"x": [1]}, "profile": "text"},
    ]
    users.insert_many(strange)
    assert rows(http.get("/users/export/csv?columns=_id,*"))[1:] == [
        ["1", '["a",{"b":1}]', "5", "x", "", "", ""],
        ["2", "", "6", "", '{"$regularExpression":{"pattern":"a","options":"i"}}', "[1]", "none"],
        ["3", "NaN", "7", "", '{"$maxKey":1}', "", '{"city":"B"}'],
        ["4", "", "", "", "", "", ""],
    ]
    assert documents(http.get("/users/export/ndjson")) == http.get("/users/").json()


def test_ids_of_every_type_come_once(http: httpx.Client, users: Any) -> None:
    keys: list[Any] = [
        bson.MinKey(), None, 1, 1.5, bson.Int64(2**60), bson.Decimal128("1.25"), "", "a", "ä", {},
        {"a": 1}, {"a": "1"},
        b"", b"bytes", uuid.UUID(int=5), bson.ObjectId(), True, False, bson.Timestamp(1, 1),
        float("nan"),
        bson.datetime_ms.DatetimeMS(2**50), bson.Code("x"), bson.MaxKey(), *range(100, 4_100),
        *(f"text {number}" for number in range(4_100)),
    ]  # fmt: skip
    users.insert_many([{"_id": key, "email": str(number)} for number, key in enumerate(keys)])
    for query in (
        "",
        "sort=_id",
        "sort=-_id",
        "consistency=none",
        "email__ne=x",
        "email__exists=true&sort=-_id",
    ):
        found = [line["email"] for line in documents(http.get(f"/users/export/ndjson?{query}"))]
        stored = [
            one["email"]
            for one in users.find({}, {"_id": 0}, sort=[("_id", -1 if "-" in query else 1)])
        ]
        assert found == stored, query


@pytest.mark.parametrize(
    "count",
    [pytest.param(500, marks=pytest.mark.slow), pytest.param(501, marks=pytest.mark.slow), 1_501],
)
def test_page_borders(http: httpx.Client, users: Any, count: int) -> None:
    users.insert_many(
        [{"_id": number, "email": f"{number:05}", "name": "x"} for number in range(count)]
    )
    for sort, first, step in (
        ("", 0, 1),
        ("sort=-_id", count - 1, -1),
        ("sort=email", 0, 1),
        ("sort=-email", -1, -1),
    ):
        for limit in (None, 1, 499, 500, 501, 1_500, 10**20):
            query = f"{sort}&limit={limit}" if limit else sort
            found = [
                int(row[0]) for row in rows(http.get(f"/users/export/csv?columns=_id&{query}"))[1:]
            ]
            assert found == list(range(count))[::step][:limit], (query, first)
    for skip in (1, 500, count - 1, count, 2**62, 10**20):
        for name in ("name", "email", "_id"):
            answer = http.get(
                f"/users/export/csv?columns=_id&skip={skip}&limit={2**63 - 1}&sort={name}"
            )
            assert len(rows(answer)[1:]) == max(0, count - skip), (skip, name)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 9, 15])
def test_documents_that_fill_a_reply(http: httpx.Client, users: Any, size: int) -> None:
    count = 20 // size + 2  # of up to 16 MiB each a reply can be
    for number in range(count):
        users.insert_one(
            {"_id": number, "email": f"{number:03}", "name": "x", "big": "y" * (size * 2**20)}
        )
    for query in (
        "",
        "sort=-_id",
        "sort=email",
        "sort=-email",
        "consistency=none",
        "sort=name",
        "name=x",
    ):
        found = [
            line["_id"] for line in documents(http.get(f"/users/export/ndjson?{query}", timeout=60))
        ]
        assert found == list(range(count))[:: -1 if "-" in query else 1], query
