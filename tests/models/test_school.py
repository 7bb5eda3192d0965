"""The everyday requests of a school that lets its students choose courses, on a seeded database."""

import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pymongo import MongoClient
from rich.console import Console

from app.commands.seed import fill
from app.settings import Settings
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = needs_mongod
COUNT = 200
SCHOOL = ("classes", "teachers", "courses", "students")


def seed(mongo_uri: str, database: str, count: int = COUNT, number: int = 1) -> str:
    settings = Settings(MONGO_URI=mongo_uri, DB_NAME=database, _env_file=None)  # type: ignore[call-arg]
    output = io.StringIO()
    fill(settings, "students", count, number, Console(file=output))
    return output.getvalue()


@pytest.fixture(scope="module")
def client(mongo_uri: str) -> Iterator[MongoClient[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongo_uri) as made:
        yield made
        for name in made.list_database_names():
            if name.startswith("school"):
                made.drop_database(name)


@pytest.fixture(scope="module")
def http(mongo_uri: str, client: Any) -> Iterator[httpx.Client]:
    """An HTTP client of a server with 200 students."""
    seed(mongo_uri, "school")
    with (
        LiveServer(MONGO_URI=mongo_uri, DB_NAME="school") as server,
        httpx.Client(base_url=server.address, timeout=60) as made,
    ):
        yield made


def get(http: httpx.Client, address: str) -> Any:
    answer = http.get(address)
    assert answer.status_code == 200, answer.text
    return answer.json()


def every(http: httpx.Client, address: str) -> list[dict[str, Any]]:
    """All documents of a list, page after page."""
    found: list[dict[str, Any]] = []
    following: str | None = address
    while following:
        answer = http.get(following)
        found += answer.json()
        following = answer.links.get("next", {}).get("url")
    return found


def test_all_students(http: httpx.Client) -> None:
    students = every(http, "/students/?limit=60&sort=sno")
    assert [one["sno"] for one in students] == list(range(1001, 1001 + COUNT))
    assert all("pwd" not in one for one in students)


def test_who_is_in_a_class(http: httpx.Client, client: Any) -> None:
    clas = get(http, "/classes/?limit=1")[0]
    stored = client["school"]["students"].find({"clas.$id": {"$exists": True}})
    numbers = sorted(one["sno"] for one in stored if str(one["clas"].id) == clas["_id"])
    assert numbers
    for address in (
        f"/students/?clas={clas['_id']}&limit=1000",
        f"/students/?clas.name={clas['name']}&limit=1000",
        f"/classes/{clas['_id']}/students?limit=1000",
    ):
        assert sorted(one["sno"] for one in get(http, address)) == numbers


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("sno__gt=1195", [1196, 1197, 1198, 1199, 1200]),
        ("sno__gte=1100&sno__lt=1103", [1100, 1101, 1102]),
        ("sno__in=1007,1003,9999", [1003, 1007]),
    ],
)
def test_students_by_number(http: httpx.Client, query: str, numbers: list[int]) -> None:
    assert [one["sno"] for one in get(http, f"/students/?{query}&sort=sno")] == numbers


def test_name_and_class_name_of_each(http: httpx.Client) -> None:
    names = {one["_id"]: one["name"] for one in every(http, "/classes/?limit=100")}
    plain = get(http, "/students/?limit=1000&sort=sno")
    students = get(http, "/students/?limit=1000&sort=sno&expand=clas&fields=name,clas")
    assert [(one["name"], one["clas"]["name"]) for one in students] == [
        (one["name"], names[one["clas"]]) for one in plain
    ]


def test_the_courses_of_one_student_with_their_teachers(http: httpx.Client) -> None:
    plain = get(http, "/students/?sno=1001")[0]
    student = get(http, f"/students/{plain['_id']}?expand=courses.teacher")
    assert len(student["courses"]) == len(plain["courses"]) >= 1
    for course, key in zip(student["courses"], plain["courses"], strict=True):
        stored = get(http, f"/courses/{key}")
        teacher = get(http, f"/teachers/{stored['teacher']}")
        assert course == {"_id": key, "name": stored["name"], "teacher": teacher}


def test_a_student_comes_chooses_and_goes(http: httpx.Client) -> None:
    clas = get(http, "/classes/?limit=1")[0]["_id"]
    courses = [one["_id"] for one in get(http, "/courses/?limit=3")]
    body = {"sno": 9001, "name": "欧阳修", "clas": clas, "courses": courses[:2]}
    created = http.post("/students/", json=body)
    assert (created.status_code, created.json()["courses"]) == (201, courses[:2])
    item = created.headers["Location"]

    assert http.post("/students/", json=body).status_code == 409
    for wrong in ({"sno": 1000}, {"name": "R2D2"}, {"courses": ["0" * 24]}, {"clas": 5}):
        assert http.post("/students/", json={**body, "sno": 9002, **wrong}).status_code == 422

    changed = http.patch(item, json={"courses": [courses[2]]})
    assert (changed.status_code, changed.json()["courses"]) == (200, [courses[2]])
    assert [one["sno"] for one in get(http, f"/courses/{courses[2]}/students?sno=9001")] == [9001]
    assert http.delete(f"/courses/{courses[2]}").status_code == 409

    assert http.delete(item).status_code == 204
    assert http.delete(item).status_code == 404
    assert http.get(item).status_code == 404


def test_a_seeded_school_is_in_proportion_and_the_same_for_the_same_seed(
    mongo_uri: str, client: Any
) -> None:
    seed(mongo_uri, "school_first")
    seed(mongo_uri, "school_again")
    seed(mongo_uri, "school_other", number=2)
    sizes = {name: client["school_again"][name].count_documents({}) for name in SCHOOL}
    assert sizes == {"classes": 5, "teachers": 4, "courses": 8, "students": COUNT}
    for name in SCHOOL:
        one, again, other = (
            list(client[database][name].find({"_id": {"$exists": True}}).sort("_id"))
            for database in ("school_first", "school_again", "school_other")
        )
        assert one == again
        assert one != other


def test_another_seed_links_to_what_is_there(mongo_uri: str, client: Any) -> None:
    """Its teachers are skipped, for their numbers are taken; its courses aren't."""
    seed(mongo_uri, "school_mixed", 40)
    seed(mongo_uri, "school_mixed", 60, number=2)
    found = client["school_mixed"]
    teachers = {one["_id"] for one in found["teachers"].find()}
    assert {one["teacher"].id for one in found["courses"].find()} <= teachers
    assert found["courses"].count_documents({}) == 2 + 3
    courses = {one["_id"] for one in found["courses"].find()}
    students = list(found["students"].find())
    assert len(students) == 60
    assert {course.id for one in students for course in one["courses"]} <= courses


def test_a_second_run_adds_nothing(mongo_uri: str) -> None:
    seed(mongo_uri, "school_again")
    said = seed(mongo_uri, "school_again")
    assert "0 documents stored in 'students'; 200 were there already" in " ".join(said.split())
