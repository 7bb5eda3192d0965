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
    with httpx.Client(base_url=server.address, timeout=60) as client:
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
    assert [(fault["pointer"], fault["detail"]) for fault in answer.json()["errors"]] == [
        (place, f'There is no document in {name!r} with the _id "{NOBODY}" to link to.')
        for place, name in (("#/clas", "classes"), ("#/courses/1", "courses"))
    ]
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


GARBAGE = [
    bson.DBRef("courses", bson.ObjectId(NOBODY), "elsewhere"),
    bson.DBRef("teachers", bson.ObjectId(NOBODY)),
    bson.DBRef("courses", {"$gt": 1}),
    {"$gt": 1},
    {"a": 1},
    [bson.ObjectId(NOBODY)],
    5,
    "x",
    bson.Regex("."),
    bson.Code("x"),
    bson.MinKey(),
]


def test_what_is_no_link_breaks_nothing(school: httpx.Client, database: Any) -> None:
    course = create_course(school)
    values = [*GARBAGE, bson.ObjectId(course)]
    database["students"].insert_many(
        [
            {"sno": 1001 + number, "name": "x", "clas": value, "courses": [value, *values]}
            for number, value in enumerate(values)
        ]
    )
    plain = school.get("/students/?limit=100").json()
    shown = plain[0]["courses"][1:]
    assert shown[0]["$db"] == "elsewhere"
    assert shown[1] == {"$ref": "teachers", "$id": {"$oid": NOBODY}}
    assert shown[-1] == course

    expanded = school.get("/students/?limit=100&expand=clas,courses.teacher").json()
    assert expanded[0]["courses"][1:-1] == shown[:-1]
    assert expanded[0]["courses"][-1]["name"] == "Logic"
    assert [one["clas"] for one in expanded] == [one["clas"] for one in plain]

    for query in ("courses.name=Logic", f"courses={course}", "courses.teacher.name=王"):
        assert len(school.get(f"/students/?{query}&limit=100").json()) == len(values)
    assert school.get("/students/?clas.name=x").json() == []
    assert len(school.get("/students/?clas.name__ne=x&limit=100").json()) == len(values)
    assert len(school.get("/students/export/ndjson").text.splitlines()) == len(values)
    for one in plain:
        assert school.patch(f"/students/{one['_id']}", json={"name": "y"}).status_code == 200
    assert len(school.get(f"/courses/{course}/students?limit=100").json()) == len(values)
    assert school.delete(f"/courses/{course}").status_code == 409
    for one in plain:
        assert school.delete(f"/students/{one['_id']}").status_code == 204
    assert school.delete(f"/courses/{course}").status_code == 204


def test_if_match_holds_for_documents_with_links(school: httpx.Client) -> None:
    clas = create(school, "classes", name="1")
    course = create_course(school)
    student = f"/students/{create(school, 'students', sno=1001, name='x', clas=clas)}"
    old = school.get(student).headers["ETag"]
    linked = {"courses": [course]}
    new = school.patch(student, json=linked, headers={"If-Match": old}).headers["ETag"]
    body = {"sno": 1001, "name": "y", "clas": clas, "courses": [course]}
    for answer in (
        school.patch(student, json={"clas": None}, headers={"If-Match": old}),
        school.put(student, json=body, headers={"If-Match": old}),
        school.delete(student, headers={"If-Match": old}),
        school.delete(f"/classes/{clas}", headers={"If-Match": old}),
    ):
        assert answer.status_code == 412
    tag = school.get(f"/classes/{clas}").headers["ETag"]
    assert school.delete(f"/classes/{clas}", headers={"If-Match": tag}).status_code == 409
    answer = school.put(student, json=body, headers={"If-Match": new})
    assert (answer.status_code, answer.json()["name"]) == (200, "y")
    assert school.put(student, json={**body, "clas": NOBODY}).status_code == 422
    newest = answer.headers["ETag"]
    assert school.delete(student, headers={"If-Match": newest}).status_code == 204
    assert school.delete(f"/classes/{clas}", headers={"If-Match": tag}).status_code == 204


def test_many_writers_that_link_to_one_document_all_succeed(
    school: httpx.Client, database: Any
) -> None:
    clas = create(school, "classes", name="1")
    statuses: list[int] = []

    def link(number: int) -> None:
        body = {"sno": 1001 + number, "name": "x", "clas": clas}
        answer = httpx.post(f"{school.base_url}/students/", json=body, timeout=60)
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=link, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [201] * len(threads)
    assert database["students"].count_documents({}) == len(threads)


def test_pages_behind_a_filter_through_a_link_go_on_while_documents_change(
    school: httpx.Client, database: Any
) -> None:
    first, second = (create(school, "classes", name=f"1-{number}") for number in range(2))
    other = create(school, "classes", name="2")
    students = [
        create(school, "students", sno=1001 + number, name="x", clas=(first, second)[number % 2])
        for number in range(20)
    ]
    pages = []
    following: str | None = "/students/?clas.name__startswith=1-&sort=sno&limit=6"
    while following:
        answer = school.get(following)
        pages.append([one["sno"] for one in answer.json()])
        following = answer.links.get("next", {}).get("url")
        if len(pages) == 1:
            school.delete(f"/students/{students[7]}")
            school.patch(f"/students/{students[8]}", json={"clas": other})
            school.patch(f"/students/{students[0]}", json={"name": "y"})
            third = create(school, "classes", name="1-3")  # one more that the filter finds
            create(school, "students", sno=1500, name="x", clas=third)
            school.patch(f"/classes/{second}", json={"name": "1-new"})
    assert pages[0] == list(range(1001, 1007))
    assert pages[1:] == [
        [1007, 1010, 1011, 1012, 1013, 1014],
        [1015, 1016, 1017, 1018, 1019, 1020],
        [1500],
    ]


def test_a_token_serves_the_list_that_it_is_of(school: httpx.Client) -> None:
    clas = create(school, "classes", name="1")
    for number in range(3):
        create(school, "students", sno=1001 + number, name="x", clas=clas)
    below = school.get(f"/classes/{clas}/students?limit=2")
    following = below.links["next"]["url"]
    assert [one["sno"] for one in school.get(following).json()] == [1003]
    before = school.get(following).links["prev"]["url"]
    assert school.get(before).json() == below.json()
    reached = "/students/?limit=2&clas.name=1&sort=-sno"
    last = school.get(school.get(reached).links["next"]["url"])
    assert school.get(last.links["prev"]["url"]).json() == school.get(reached).json()
    token = httpx.URL(following).params["after"]
    assert school.get(f"/students/?limit=2&after={token}").status_code == 422
    assert school.get(f"/students/?limit=2&clas.name=1&after={token}").status_code == 422
    assert school.get(f"/classes/{clas}/students/?limit=2&count=exact").links["next"]


async def test_a_server_without_transactions_has_the_checks(mock_http: httpx.AsyncClient) -> None:
    clas = (await mock_http.post("/classes/", json={"name": "1"})).json()["_id"]
    body = {"sno": 1001, "name": "x", "clas": clas}
    wrong = await mock_http.post("/students/", json={**body, "clas": NOBODY})
    assert [fault["pointer"] for fault in wrong.json()["errors"]] == ["#/clas"]
    student = f"/students/{(await mock_http.post('/students/', json=body)).json()['_id']}"
    assert (await mock_http.patch(student, json={"clas": NOBODY})).status_code == 422
    assert (await mock_http.put(student, json={**body, "clas": NOBODY})).status_code == 422
    assert (await mock_http.delete(f"/classes/{clas}")).status_code == 409
    expanded = (await mock_http.get("/students/?expand=clas&clas.name=1")).json()
    assert [one["clas"]["name"] for one in expanded] == ["1"]
    assert len((await mock_http.get(f"/classes/{clas}/students")).json()) == 1
    assert (await mock_http.delete(student)).status_code == 204
    assert (await mock_http.delete(f"/classes/{clas}")).status_code == 204
