"""Downloads whose columns reach through links, on the real mongod: one snapshot, few queries."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bson
import httpx
import openpyxl
import pytest

from app.query.plan import make_plan
from app.resources.registry import discover
from app.settings import Settings
from app.spreadsheets.chunks import Tally
from app.store.indexes import read_indexes
from app.transfers.exports import read_export
from app.transfers.production import produce
from tests.support.compilers import compiler_of
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = needs_mongod
NAMES = ("students", "courses", "teachers", "classes")
COURSES = 20


def to(collection: str, key: Any) -> bson.DBRef:
    return bson.DBRef(collection, key)


@pytest.fixture
def school(server: LiveServer, database: Any) -> Iterator[httpx.Client]:
    """An HTTP client; the school is empty."""
    for name in NAMES:
        database[name].delete_many({})
    with httpx.Client(base_url=server.address, timeout=120) as client:
        yield client
    for name in NAMES:
        database[name].delete_many({})


def fill(database: Any, students: int, classes: int = 10) -> None:
    """A school: each student in a class and in three courses, each course with a teacher."""
    database["teachers"].insert_many(
        [{"_id": n, "name": f"T{n}", "tno": n, "pwd": "secret"} for n in range(5)]
    )
    database["courses"].insert_many(
        [{"_id": n, "name": f"C{n}", "teacher": to("teachers", n % 5)} for n in range(COURSES)]
    )
    database["classes"].insert_many([{"_id": n, "name": f"K{n}"} for n in range(classes)])
    database["students"].insert_many(
        [
            {
                "_id": n,
                "sno": n,
                "name": f"S{n}",
                "clas": to("classes", n % classes),
                "courses": [to("courses", (n + more) % COURSES) for more in range(3)],
            }
            for n in range(students)
        ]
    )


def rows(answer: httpx.Response) -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.text)))


@contextmanager
def counted(database: Any) -> Iterator[dict[str, int]]:
    """Counts the finds and aggregations of each collection meanwhile."""
    counts: dict[str, int] = {}
    database.command("profile", 2)
    try:
        yield counts
    finally:
        database.command("profile", 0)
        for entry in database["system.profile"].find({"op": {"$in": ["query", "getmore"]}}):
            name = entry["ns"].partition(".")[2]
            counts[name] = counts.get(name, 0) + 1
        database["system.profile"].drop()


AWAY = to("courses", 99)
ODD = [
    {"_id": 1, "sno": 1, "name": "bare", "clas": 0, "courses": [1, to("courses", 2)]},
    {"_id": 2, "sno": 2, "name": "dangling", "clas": to("classes", 99), "courses": [AWAY, 1]},
    {"_id": 3, "sno": 3, "name": "elsewhere", "clas": to("teachers", 1), "courses": "text"},
    {"_id": 4, "sno": 4, "name": "none", "clas": None},
]  # fmt: skip


def test_tables_have_what_is_behind_links(school: httpx.Client, database: Any) -> None:
    fill(database, 1)
    database["students"].insert_many(ODD)
    asked = "columns=name,clas.name:Class,courses.name,courses.teacher.name"
    expected = [
        ["name", "Class", "courses.name", "courses.teacher.name"],
        ["S0", "K0", '["C0","C1","C2"]', '["T0","T1","T2"]'],
        ["bare", "K0", '["C1","C2"]', '["T1","T2"]'],
        ["dangling", "", '[null,"C1"]', '[null,"T1"]'],
        ["elsewhere", "", "", ""],
        ["none", "", "", ""],
    ]
    assert rows(school.get(f"/students/export/csv?{asked}")) == expected
    book = school.get(f"/students/export/xlsx?{asked}")
    sheet = openpyxl.load_workbook(io.BytesIO(book.content)).worksheets[0]
    assert [[cell or "" for cell in row] for row in sheet.iter_rows(values_only=True)] == expected


def test_documents_have_what_is_behind_links_in_place(school: httpx.Client, database: Any) -> None:
    fill(database, 1)
    database["students"].insert_many(ODD[:2])
    asked = "columns=name,clas.name,courses.teacher.name"
    expected = [
        {
            "name": "S0",
            "clas": {"name": "K0"},
            "courses": [{"teacher": {"name": f"T{n}"}} for n in range(3)],
        },
        {
            "name": "bare",
            "clas": {"name": "K0"},
            "courses": [{"teacher": {"name": f"T{n}"}} for n in (1, 2)],
        },
        {"name": "dangling", "clas": None, "courses": [None, {"teacher": {"name": "T1"}}]},
    ]
    assert school.get(f"/students/export/json?{asked}").json() == expected
    lines = school.get(f"/students/export/ndjson?{asked}").text.splitlines()
    assert list(map(json.loads, lines)) == expected


def test_links_are_unwound_to_a_row_each(school: httpx.Client, database: Any) -> None:
    fill(database, 2)
    answer = school.get("/students/export/csv?columns=name,courses.name,courses&unwind=courses")
    assert rows(answer)[1:] == [
        [f"S{n}", f"C{n + more}", str(n + more)] for n in range(2) for more in range(3)
    ]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("columns=clas.nme", "Did you mean 'clas.name'?"),
        ("columns=courses.teacher.pwd", "'courses.teacher.pwd' is no field."),
        ("columns=courses.0.name", "one element of a list has no place of its own"),
    ],
)
def test_what_is_not_there_is_refused(school: httpx.Client, query: str, detail: str) -> None:
    answer = school.get(f"/students/export/json?{query}")
    assert answer.status_code == 422
    assert detail in answer.json()["detail"]


def test_conditions_and_columns_through_links_together(school: httpx.Client, database: Any) -> None:
    fill(database, 40)
    answer = school.get("/students/export/csv?clas.name=K3&columns=name,clas.name&sort=-name")
    assert rows(answer)[1:] == [[f"S{n}", "K3"] for n in (33, 3, 23, 13)]
    answer = school.get("/classes/3/students/export/csv?columns=clas.name&limit=1")
    assert rows(answer)[1:] == [["K3"]]


def test_few_linked_documents_are_read_once(school: httpx.Client, database: Any) -> None:
    fill(database, 3_000)
    asked = "columns=name,clas.name,courses.name,courses.teacher.name,courses.teacher.tno"
    with counted(database) as counts:
        found = rows(school.get(f"/students/export/csv?{asked}"))
    assert len(found) == 3_001
    assert (counts["classes"], counts["courses"], counts["teachers"]) == (1, 1, 1)


def test_many_linked_documents_are_read_a_batch_at_a_time(
    school: httpx.Client, database: Any
) -> None:
    fill(database, 10_000, classes=10_000)
    with counted(database) as counts:
        found = rows(school.get("/students/export/csv?columns=name,clas.name"))
    assert found[1:] == [[f"S{n}", f"K{n}"] for n in range(10_000)]
    assert counts["classes"] < 30


def test_a_list_of_1000_is_expanded_by_a_query_for_each_level(
    school: httpx.Client, database: Any
) -> None:
    fill(database, 1_000, classes=1_000)
    with counted(database) as counts:
        found = school.get("/students/?limit=1000&expand=clas,courses.teacher&count=none").json()
    assert len(found) == 1_000
    assert found[999]["courses"][0]["teacher"] == {"_id": 4, "name": "T4", "tno": 4}
    assert counts == {"students": 1, "classes": 1, "courses": 1, "teachers": 1}


@pytest.mark.parametrize(("consistency", "last"), [("snapshot", "K4999"), ("none", "renamed")])
@pytest.mark.parametrize("format_", ["csv", "ndjson"])
def test_linked_documents_are_of_the_same_snapshot(
    school: httpx.Client, database: Any, format_: str, consistency: str, last: str
) -> None:
    fill(database, 5_000, classes=5_000)
    resources = discover("models")
    compiler = compiler_of(resources["students"], resources.values())
    students = database["students"]
    indexes = read_indexes(students)
    export = read_export(
        format_,
        [("columns", "clas.name"), ("consistency", consistency)],
        compiler,
        lambda query: make_plan(query, indexes, Settings(_env_file=None)),  # type: ignore[call-arg]
        True,
    )
    with database.client.start_session(snapshot=export.snapshot) as session:
        chunks = produce(export, students, session, Tally())
        found = next(chunks)
        database["classes"].update_one({"_id": 4_999}, {"$set": {"name": "renamed"}})
        found += b"".join(chunks)
    lines = found.decode().splitlines()
    shown = json.loads(lines[-1])["clas"]["name"] if format_ == "ndjson" else lines[-1]
    assert shown == last


async def test_the_same_on_a_mock(mock_http: httpx.AsyncClient) -> None:
    clas = (await mock_http.post("/classes/", json={"name": "K"})).json()["_id"]
    for number, link in enumerate((clas, None)):
        body = {"sno": 1001 + number, "name": "x", "clas": link}
        assert (await mock_http.post("/students/", json=body)).status_code == 201
    found = await mock_http.get("/students/export/csv?columns=sno,clas.name")
    assert found.text.splitlines() == ["sno,clas.name", "1001,K", "1002,"]
    found = await mock_http.get("/students/export/ndjson?columns=sno,clas.name&clas.name=K")
    assert found.text == '{"sno":1001,"clas":{"name":"K"}}\n'
