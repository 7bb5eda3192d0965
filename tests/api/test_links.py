"""Links through the API, on the school of `models/`: what must exist, what may be deleted."""

import threading
from collections.abc import Iterator
from typing import Any

import bson
import httpx
import pytest

from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = needs_mongod
NOBODY = "0" * 24


@pytest.fixture
def school(server: LiveServer, database: Any) -> Iterator[httpx.Client]:
    """An HTTP client; there is a class, a teacher and two courses."""
    for name in ("students", "courses", "teachers", "classes"):
        database[name].delete_many({})
    with httpx.Client(base_url=server.address, timeout=30) as client:
        yield client


def create(school: httpx.Client, path: str, **body: Any) -> str:
    answer = school.post(f"/{path}/", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["_id"])


def create_course(school: httpx.Client, name: str = "Logic") -> str:
    number = int(school.get("/teachers/?count=exact").headers["X-Total-Count"])
    return create(
        school, "courses", name=name, teacher=create(school, "teachers", name="王", tno=number + 1)
    )


def test_a_link_is_sent_and_shown_as_the_id_and_stored_as_a_reference(
    school: httpx.Client, database: Any
) -> None:
    clas, course = create(school, "classes", name="1"), create_course(school)
    sent = {"sno": 1001, "name": "王小明", "clas": clas, "courses": [course]}
    answer = school.post("/students/", json=sent)
    assert answer.json() == {"_id": answer.json()["_id"], **sent}
    assert school.get(answer.headers["Location"]).json() == answer.json()
    assert school.get("/students/").json() == [answer.json()]
    stored = database["students"].find_one()
    assert stored["clas"] == bson.DBRef("classes", bson.ObjectId(clas))
    assert stored["courses"] == [bson.DBRef("courses", bson.ObjectId(course))]


def test_every_link_to_nothing_is_named(school: httpx.Client, database: Any) -> None:
    course = create_course(school)
    body = {"sno": 1001, "name": "x", "clas": NOBODY, "courses": [course, NOBODY]}
    answer = school.post("/students/", json=body)
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["#/clas", "#/courses/1"]
    assert database["students"].count_documents({}) == 0


def test_only_what_a_write_adds_must_exist(school: httpx.Client, database: Any) -> None:
    course = create_course(school)
    student = create(school, "students", sno=1001, name="x", courses=[course])
    database["courses"].delete_many({})  # by another program
    assert school.patch(f"/students/{student}", json={"name": "y"}).status_code == 200
    same = {"sno": 1002, "name": "z", "courses": [course]}
    assert school.put(f"/students/{student}", json=same).status_code == 200
    answer = school.patch(f"/students/{student}", json={"courses": [course, NOBODY]})
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["#/courses/1"]


def test_what_others_link_to_stays(school: httpx.Client) -> None:
    course = create_course(school)
    students = [
        create(school, "students", sno=1001 + number, name="x", courses=[course])
        for number in range(2)
    ]
    answer = school.delete(f"/courses/{course}")
    assert answer.status_code == 409
    assert "2 documents of 'students' (in courses) link to this document" in answer.json()["detail"]
    school.patch(f"/students/{students[0]}", json={"courses": []})
    school.delete(f"/students/{students[1]}")
    assert school.delete(f"/courses/{course}").status_code == 204


def test_a_bare_id_of_another_program_counts_and_is_shown(
    school: httpx.Client, database: Any
) -> None:
    clas = create(school, "classes", name="1")
    key = bson.ObjectId(clas)
    database["students"].insert_one({"sno": 1001, "name": "x", "clas": key, "courses": [key, 5]})
    assert school.get("/students/").json()[0]["clas"] == clas
    assert school.get("/students/").json()[0]["courses"] == [clas, 5]
    assert school.delete(f"/classes/{clas}").status_code == 409


def test_a_link_and_the_deletion_of_its_target_never_both_succeed(school: httpx.Client) -> None:
    outcomes = []
    for number in range(20):
        clas = create(school, "classes", name=str(number))
        body = {"sno": 1001 + number, "name": "x", "clas": clas}
        statuses: dict[str, int] = {}

        def link(body: Any = body, statuses: Any = statuses) -> None:
            statuses["link"] = school.post("/students/", json=body).status_code

        thread = threading.Thread(target=link)
        thread.start()
        statuses["delete"] = school.delete(f"/classes/{clas}").status_code
        thread.join()
        outcomes.append((statuses["link"], statuses["delete"]))
    assert set(outcomes) <= {(201, 409), (422, 204)}
