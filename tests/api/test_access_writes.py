"""What a caller writes by its rights: which fields, which documents, what no answer gives away."""

import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import bson
import httpx
import pytest
from pymongo import MongoClient

from app.api.callers import EVERYONE, Caller
from app.resources.extents import Extent, extent_of
from app.resources.registry import discover
from app.resources.views import WHOLE, Rights, Rule
from app.store.reach import Reach
from tests.support.callers import Server, caller_with, serve
from tests.support.packages import served

MODELS = """
import typing

from beanie import Document, Indexed, Link
from pydantic import BaseModel, Field
from pymongo import IndexModel


class Team(Document):
    name: typing.Annotated[str, Indexed(unique=True)]

    class Settings:
        name = "teams"


class Home(BaseModel):
    city: str = ""
    street: str = ""


class About(BaseModel):
    bio: str = ""
    age: int | None = Field(None, ge=0)
    homes: list[Home] = []


class Person(Document):
    name: str
    number: typing.Annotated[int, Indexed(unique=True)]
    badge: typing.Annotated[int | None, Indexed(unique=True, sparse=True)] = None
    grade: int = 1
    about: About | None = None
    team: Link[Team] | None = None
    password: str = Field("", exclude=True)

    class Settings:
        name = "people"
        indexes = [IndexModel([("name", 1), ("grade", 1)], unique=True)]
"""
RED, BLUE = bson.ObjectId("a" * 24), bson.ObjectId("b" * 24)  # of teams
A, B, C = (bson.ObjectId(letter * 24) for letter in "cde")  # of people
NOBODY = "f" * 24


def person(key: bson.ObjectId, name: str, number: int, team: bson.ObjectId) -> dict[str, Any]:
    return {
        "_id": key, "name": name, "number": number, "badge": 880700 + number, "grade": number,
        "about": {"bio": f"bio-{name}", "age": 970040 + number,
                  "homes": [{"city": f"city-{name}", "street": f"street-{name}"}]},
        "team": bson.DBRef("teams", team), "password": f"password-{name}",
        "foreign": f"foreign-{name}",
    }  # fmt: skip


ANN, BEN, CAT = person(A, "Ann", 1, RED), person(B, "Ben", 2, RED), person(C, "Cat", 3, BLUE)
PEOPLE = [ANN, BEN, CAT]
NEW = {"name": "Dan", "number": 9}
SHOWN = {  # of Ann, by the API
    "name": "Ann", "number": 1, "badge": 880701, "grade": 1,
    "about": ANN["about"], "team": str(RED),
}  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("access_writes")
    for _ in served(folder, "models_of_access_writes", {"people": MODELS}):
        yield "models_of_access_writes"


@pytest.fixture(params=["mock", pytest.param("mongod", marks=pytest.mark.mongod)])
async def server(models: str, request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    uri = request.getfixturevalue("mongo_uri") if request.param == "mongod" else ""
    async with serve(models, uri) as one:
        await fill(one)
        yield one


@pytest.fixture
async def real(models: str, mongo_uri: str) -> AsyncIterator[Server]:
    async with serve(models, mongo_uri) as one:
        await fill(one)
        yield one


async def fill(server: Server) -> None:
    await server.store("teams", {"_id": RED, "name": "red"}, {"_id": BLUE, "name": "blue"})
    await server.store("people", *PEOPLE)


def writer(teams: Rights | None = None, **rights: Any) -> Caller:
    """Who may do so much with people, and read teams."""
    return caller_with({"people": Rights(**rights), "teams": teams or Rights(read=WHOLE)})


def only(*paths: str) -> Rule:
    return Rule(fields=paths)


def hide(*paths: str) -> Rule:
    return Rule(hide=paths)


def where(**conditions: str) -> Rule:
    return Rule(where=tuple((name.replace("___", "."), of) for name, of in conditions.items()))


async def stored(server: Server) -> dict[Any, dict[str, Any]]:
    found = await server.app.state.mongo["people"].find({}).to_list(None)
    return {one["_id"]: one for one in found}


async def unchanged(server: Server) -> bool:
    return await stored(server) == {one["_id"]: one for one in PEOPLE}


def pointers(answer: httpx.Response) -> list[str | None]:
    return [fault.get("pointer") for fault in answer.json().get("errors", [])]


# --- actions -------------------------------------------------------------------------------------

ACTIONS = [
    ("POST", "/people/", NEW, "create"),
    ("POST", "/people/", [NEW], "create"),
    ("PUT", f"/people/{A}", SHOWN, "update"),
    ("PATCH", f"/people/{A}", {"grade": 2}, "update"),
    ("PATCH", "/people/?grade=1&max_affected=9", {"grade": 2}, "update"),
    ("DELETE", f"/people/{A}", None, "delete"),
    ("DELETE", "/people/?grade=1&max_affected=9", None, "delete"),
    ("POST", "/people/import", [NEW], "import"),
    ("GET", "/people/import/csv", None, "import"),
]


@pytest.mark.parametrize(("method", "address", "body", "action"), ACTIONS)
async def test_what_is_not_allowed_is_refused_with_its_scope(
    server: Server, method: str, address: str, body: Any, action: str
) -> None:
    words = {"json": body} if body is not None else {}
    answer = await server.ask(writer(read=WHOLE), address, method, **words)
    assert answer.status_code == 403
    assert f"people:{action}" in answer.json()["detail"]
    assert await unchanged(server)


MODES = [("insert", "create"), ("update", "update"), ("upsert", "create")]


@pytest.mark.parametrize(("mode", "action"), MODES)
async def test_an_import_needs_the_right_to_what_its_mode_does(
    server: Server, mode: str, action: str
) -> None:
    caller = writer(read=WHOLE, import_=True)
    answer = await server.ask(caller, f"/people/import?mode={mode}", "POST", json=[NEW])
    assert answer.status_code == 403
    assert f"people:{action}" in answer.json()["detail"]


# --- fields --------------------------------------------------------------------------------------


async def test_a_new_document_has_only_what_may_be_created(server: Server) -> None:
    caller = writer(read=WHOLE, create=only("name", "number"))
    answer = await server.ask(caller, "/people/", "POST", json={**NEW, "grade": 5, "password": "x"})
    assert (answer.status_code, pointers(answer)) == (403, ["#/grade", "#/password"])
    answer = await server.ask(caller, "/people/", "POST", json={**NEW, "_id": NOBODY})
    assert (answer.status_code, pointers(answer)) == (403, ["#/_id"])
    assert await unchanged(server)
    answer = await server.ask(caller, "/people/", "POST", json=NEW)
    assert answer.status_code == 201
    assert answer.json()["grade"] == 1  # the model's own


async def test_a_patch_writes_only_what_may_be_updated(server: Server) -> None:
    caller = writer(read=WHOLE, update=only("name", "about.bio"))
    for patch, place in (
        ({"grade": 9}, "#/grade"),
        ({"about": {"age": 1}}, "#/about/age"),
        ({"about": None}, "#/about"),
        ({"about": {"homes": []}}, "#/about/homes"),
        ({"password": "password-Ann"}, "#/password"),
        ({"foreign": None}, "#/foreign"),
    ):
        answer = await server.ask(caller, f"/people/{A}", "PATCH", json=patch)
        assert (answer.status_code, pointers(answer)) == (403, [place]), patch
    assert await unchanged(server)
    whole = {**SHOWN, "_id": str(A), "about": {**ANN["about"], "bio": "new"}}
    answer = await server.ask(caller, f"/people/{A}", "PATCH", json=whole)
    assert answer.status_code == 200
    assert (await stored(server))[A] == {**ANN, "about": {**ANN["about"], "bio": "new"}}


async def test_a_replacement_keeps_what_is_not_seen(server: Server) -> None:
    caller = writer(read=hide("about.age", "badge"), update=WHOLE)
    body = {"name": "New", "number": 1, "about": {"bio": "new", "homes": []}}
    answer = await server.ask(caller, f"/people/{A}", "PUT", json=body)
    assert answer.status_code == 200
    assert "age" not in answer.json()["about"]
    assert (await stored(server))[A] == {
        "_id": A, "name": "New", "number": 1, "badge": 880701, "grade": 1, "team": None,
        "about": {"bio": "new", "age": 970041, "homes": []}, "password": "password-Ann",
    }  # fmt: skip


async def test_a_replacement_keeps_what_may_not_be_written(server: Server) -> None:
    caller = writer(read=WHOLE, update=only("name", "about.bio"))
    answer = await server.ask(caller, f"/people/{A}", "PUT", json={"name": "New"})
    assert answer.status_code == 200
    about = {**ANN["about"], "bio": ""}
    assert (await stored(server))[A] == {**ANN, "name": "New", "about": about}
    answer = await server.ask(caller, f"/people/{A}", "PUT", json={"name": "New", "grade": 2})
    assert (answer.status_code, pointers(answer)) == (403, ["#/grade"])


async def test_a_list_with_hidden_members_is_not_replaced(server: Server) -> None:
    caller = writer(read=hide("about.homes.city"), update=WHOLE)
    seen = (await server.ask(caller, f"/people/{A}")).json()
    del seen["foreign"]  # which is no field of the model
    for homes in ([], [{"street": "new"}], [{"city": "x", "street": "street-Ann"}]):
        patch = {"about": {"homes": homes}}
        answer = await server.ask(caller, f"/people/{A}", "PATCH", json=patch)
        assert (answer.status_code, pointers(answer)) == (403, ["#/about/homes"])
        body = {**seen, "about": {**seen["about"], "homes": homes}}
        answer = await server.ask(caller, f"/people/{A}", "PUT", json=body)
        assert (answer.status_code, pointers(answer)) == (403, ["#/about/homes"])
    answer = await server.ask(caller, f"/people/{A}", "PUT", json={**seen, "name": "New"})
    assert answer.status_code == 200  # as it is shown
    assert (await stored(server))[A]["about"] == ANN["about"]


async def test_who_may_not_read_gets_the_id_of_what_it_created(server: Server) -> None:
    answer = await server.ask(writer(create=WHOLE), "/people/", "POST", json=NEW)
    assert answer.status_code == 201
    assert list(answer.json()) == ["_id"]
    assert "ETag" not in answer.headers
    many = [{"name": "Eve", "number": 10, "badge": 1}, {"name": "Fay", "number": 11, "badge": 2}]
    answer = await server.ask(writer(create=WHOLE), "/people/", "POST", json=many)
    assert [list(one) for one in answer.json()] == [["_id"], ["_id"]]
    caller = writer(create=WHOLE, read=where(grade="5"))
    other = {"name": "Gus", "number": 12, "badge": 3}
    answer = await server.ask(caller, "/people/", "POST", json=other)
    assert list(answer.json()) == ["_id"]
    answer = await server.ask(
        caller, "/people/", "POST", json={**NEW, "number": 13, "badge": 4, "grade": 5}
    )
    assert answer.json()["name"] == "Dan"
    assert "ETag" in answer.headers


async def test_a_fault_of_what_is_not_seen_says_no_more(server: Server) -> None:
    caller = writer(create=only("name"), read=only("name"))
    answer = await server.ask(caller, "/people/", "POST", json={"name": "Dan"})
    assert (answer.status_code, pointers(answer)) == (422, ["#"])
    assert "number" not in answer.text
    assert "a field that you can't see" in answer.text.lower()
    answer = await server.ask(caller, "/people/", "POST", json={"name": "Dan", "numbr": 1})
    assert answer.status_code == 403
    assert "number" not in answer.text


async def test_a_body_that_is_no_object_is_told_so(server: Server) -> None:
    caller = writer(read=only("name"), create=WHOLE, update=WHOLE)
    for method, address in (("PUT", f"/people/{A}"), ("PATCH", f"/people/{A}")):
        answer = await server.ask(caller, address, method, json=[1])
        assert answer.json()["detail"] == "The body must be a JSON object."
    answer = await server.ask(caller, "/people/", "POST", json=1)
    assert answer.json()["detail"] == "The body must be a JSON object."


@pytest.mark.mongod
async def test_a_rule_of_the_collection_names_no_field_that_is_not_seen(real: Server) -> None:
    rules = {"$jsonSchema": {"properties": {"badge": {"minimum": 880000}, "grade": {"maximum": 9}}}}
    await real.app.state.mongo.command("collMod", "people", validator=rules)
    caller = writer(read=hide("badge"), create=WHOLE, update=hide("badge"))
    answer = await real.ask(caller, "/people/", "POST", json={**NEW, "badge": 1})
    assert (answer.status_code, pointers(answer)) == (422, ["#/badge"])  # which it may write
    await real.app.state.mongo["people"].update_one(
        {"_id": A}, {"$set": {"badge": 1}}, bypass_document_validation=True
    )
    await real.app.state.mongo.command("collMod", "people", validationLevel="strict")
    answer = await real.ask(caller, f"/people/{A}", "PATCH", json={"name": "New"})
    assert (answer.status_code, pointers(answer)) == (422, ["#"])
    assert "badge" not in answer.text
    answer = await real.ask(caller, f"/people/{B}", "PATCH", json={"grade": 10})
    assert (answer.status_code, pointers(answer)) == (422, ["#/grade"])


async def test_a_taken_value_that_is_not_seen_is_a_conflict_without_a_name(server: Server) -> None:
    caller = writer(read=hide("badge"), create=WHOLE, update=WHOLE)
    answers = [
        await server.ask(caller, "/people/", "POST", json={**NEW, "badge": 880702}),
        await server.ask(caller, "/people/", "POST", json=[{**NEW, "badge": 880702}]),
        await server.ask(caller, f"/people/{A}", "PATCH", json={"badge": 880702}),
        await server.ask(caller, f"/people/{A}", "PUT", json={**SHOWN, "badge": 880702}),
    ]
    for answer in answers:
        assert answer.status_code == 409
        assert "badge" not in answer.text
        assert "880702" not in answer.text
    answer = await server.ask(caller, f"/people/{A}", "PATCH", json={"number": 2})
    assert (answer.status_code, pointers(answer)) == (409, ["#/number"])


@pytest.mark.parametrize(
    ("hidden", "places"), [(("grade",), ["#/name"]), (("name", "grade"), ["#"])]
)
async def test_a_taken_pair_names_what_is_seen_of_it(
    real: Server, hidden: tuple[str, ...], places: list[str]
) -> None:
    caller = writer(read=hide(*hidden), create=WHOLE, update=WHOLE, import_=True)
    pair = {"name": "Ann", "grade": 1}
    new, taken = {**pair, "number": 9, "badge": 9}, {**pair, "number": 2, "badge": 880702}
    rows = [{"name": "Eve", "grade": 5, "number": n, "badge": n} for n in (10, 11)]
    sheet = "name,grade,number,badge\nEve,5,10,10\nEve,5,11,11\n"
    answers = [
        await real.ask(caller, "/people/", "POST", json=new),
        await real.ask(caller, "/people/", "POST", json=[new]),
        await real.ask(caller, f"/people/{B}", "PATCH", json=pair),
        await real.ask(caller, f"/people/{B}", "PUT", json={**SHOWN, **taken}),
    ]
    for answer in answers:
        assert answer.status_code == 409
        assert [str(place).replace("/0", "") for place in pointers(answer)] == places
    answers += [
        await real.ask(caller, f"/people/?_id={B}&max_affected=9", "PATCH", json=pair),
        await load(real, caller, json.dumps(new), "", "application/x-ndjson"),
        await load(real, caller, "\n".join(map(json.dumps, rows)), "", "application/x-ndjson"),
        await load(real, caller, sheet),
    ]
    for answer in answers:
        text = str([fault["detail"] for fault in answer.json()["errors"]])
        assert "field that you can't see; it must be unique" in text
        assert not [name for name in hidden if name in text]
    (row,) = answers[-1].json()["errors"]
    assert row["column"] == (None if "name" in hidden else "name")


# --- documents -----------------------------------------------------------------------------------


async def test_a_document_that_may_not_be_read_is_not_there(server: Server) -> None:
    for read in (where(grade="1"), where(team___name="blue"), Rule(nothing=True), None):
        caller = writer(read=read, update=WHOLE, delete=WHOLE)
        for method, body in (("PUT", SHOWN), ("PATCH", {"grade": 2}), ("DELETE", None)):
            words = {"json": body} if body is not None else {}
            answer = await server.ask(caller, f"/people/{B}", method, **words)
            missing = await server.ask(caller, f"/people/{NOBODY}", method, **words)
            assert answer.status_code == missing.status_code == 404
            assert answer.json()["detail"] == missing.json()["detail"]
    assert await unchanged(server)


async def test_a_document_that_may_be_read_and_not_written_is_refused(server: Server) -> None:
    rule = where(team___name="blue")
    caller = writer(read=WHOLE, update=rule, delete=rule)
    for method, body in (("PUT", SHOWN), ("PATCH", {"grade": 2}), ("DELETE", None)):
        words = {"json": body} if body is not None else {}
        answer = await server.ask(caller, f"/people/{A}", method, **words)
        assert answer.status_code == 403, method
        headers = {"If-Match": '"other"'}
        answer = await server.ask(caller, f"/people/{A}", method, headers=headers, **words)
        assert answer.status_code == 403, method
    assert await unchanged(server)
    assert (await server.ask(caller, f"/people/{C}", "DELETE")).status_code == 204


@pytest.mark.parametrize("rule", [where(grade__lte="3"), where(team___name__in="red,blue")])
async def test_a_document_may_not_leave_the_rule(server: Server, rule: Rule) -> None:
    caller = writer(read=WHOLE, create=rule, update=rule)
    for patch in ({"grade": 4, "team": None}, {"grade": 9, "name": "x", "team": None}):
        answer = await server.ask(caller, f"/people/{A}", "PATCH", json=patch)
        assert (answer.status_code, pointers(answer)) == (403, ["#"])
        answer = await server.ask(caller, f"/people/{A}", "PUT", json={**SHOWN, **patch})
        assert (answer.status_code, pointers(answer)) == (403, ["#"])
        answer = await server.ask(caller, "/people/", "POST", json={**NEW, **patch})
        assert (answer.status_code, pointers(answer)) == (403, ["#"])
    good = {**NEW, "team": str(BLUE)}
    answer = await server.ask(caller, "/people/", "POST", json=[good, {**NEW, "grade": 4}])
    assert (answer.status_code, pointers(answer)) == (403, ["#/1"])
    assert await unchanged(server)
    answer = await server.ask(caller, f"/people/{A}", "PATCH", json={"grade": 3, "name": "x"})
    assert answer.status_code == 200
    assert (await server.ask(caller, "/people/", "POST", json=[good])).status_code == 201


async def test_a_rule_may_use_what_is_not_seen(server: Server) -> None:
    rule = where(badge__lte="880702")
    caller = writer(read=hide("badge"), update=rule)
    answer = await server.ask(caller, f"/people/{C}", "PATCH", json={"grade": 5})
    assert answer.status_code == 403
    assert "badge" not in answer.text
    answer = await server.ask(caller, f"/people/{A}", "PATCH", json={"badge": 990000})
    assert answer.status_code == 403
    assert (await server.ask(caller, f"/people/{A}", "PUT", json=SHOWN)).status_code == 200


async def test_a_link_to_what_may_not_be_read_leads_nowhere(server: Server) -> None:
    teams = Rights(read=where(name="red"))
    caller = writer(teams, read=WHOLE, create=WHOLE, update=WHOLE)
    for method, address, make in (
        ("POST", "/people/", lambda key: {**NEW, "team": key}),
        ("POST", "/people/", lambda key: [{**NEW, "team": key}]),
        ("PATCH", f"/people/{A}", lambda key: {"team": key}),
        ("PUT", f"/people/{A}", lambda key: {**SHOWN, "team": key}),
    ):
        answers = [
            await server.ask(caller, address, method, json=make(key)) for key in (str(BLUE), NOBODY)
        ]
        assert [answer.status_code for answer in answers] == [422, 422]
        text = answers[0].text.replace(str(BLUE), NOBODY)  # all that is said is what was sent
        assert json.loads(text)["errors"] == answers[1].json()["errors"]
    assert await unchanged(server)
    answer = await server.ask(caller, f"/people/{C}", "PATCH", json={"team": str(BLUE), "grade": 5})
    assert answer.status_code == 200  # which is stored there already


LINKED = [  # what may be read of people, what a delete of the red team says of who links to it
    (WHOLE, "2 documents of 'people' (in team) link to"),
    (where(grade="1"), "1 document of 'people' (in team) and others link to"),
    (where(grade="3"), "Others link to"),
    (hide("team"), "Others link to"),
    (None, "Others link to"),
]


@pytest.mark.parametrize(("read", "words"), LINKED)
async def test_a_delete_that_is_refused_names_only_what_is_seen(
    server: Server, read: Rule | None, words: str
) -> None:
    caller = caller_with({"people": Rights(read=read), "teams": Rights(read=WHOLE, delete=WHOLE)})
    answer = await server.ask(caller, f"/teams/{RED}", "DELETE")
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith(words)
    if words.startswith("Others"):
        assert "people" not in answer.text
        assert "2" not in answer.json()["detail"]


# --- another writer in between -------------------------------------------------------------------


@pytest.mark.mongod
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(("moved", "status"), [("read", 404), ("write", 403)])
async def test_a_document_that_another_writer_moves_out_of_the_rule_stays(
    real: Server, monkeypatch: pytest.MonkeyPatch, mongo_uri: str, method: str, moved: str,
    status: int,
) -> None:  # fmt: skip
    rule = where(grade="1")
    caller = writer(read=rule if moved == "read" else WHOLE, update=rule, delete=rule)
    find = Reach.find
    name = real.app.settings.DB_NAME

    def find_and_move(*args: Any) -> Any:
        found = find(*args)
        with MongoClient[dict[str, Any]](mongo_uri) as client:
            client[name]["people"].update_one({"_id": A}, {"$set": {"grade": 8}})
        return found

    monkeypatch.setattr(Reach, "find", find_and_move)
    body = {"PUT": {**SHOWN, "name": "x"}, "PATCH": {"name": "x"}}.get(method)
    words = {"json": body} if body is not None else {}
    answer = await real.ask(caller, f"/people/{A}", method, **words)
    assert answer.status_code == status
    assert (await stored(real))[A] == {**ANN, "grade": 8}


# --- many at once --------------------------------------------------------------------------------


async def test_each_of_many_obeys(server: Server) -> None:
    caller = writer(read=where(grade__lte="2"), update=where(grade__in="1,5"))
    address = "/people/?number__gte=1&max_affected=9"
    answer = await server.ask(caller, f"{address}&dry_run=true", "PATCH", json={"name": "x"})
    assert answer.json()["matched"] == 2
    answer = await server.ask(caller, address, "PATCH", json={"grade": 5})
    report = answer.json()
    assert (report["matched"], report["changed"], report["failed"]) == (2, 1, 1)
    assert report["errors"][0]["_id"] == str(B)
    answer = await server.ask(
        writer(read=WHOLE, update=where(grade__in="2,5")), address, "PATCH", json={"grade": 3}
    )
    report = answer.json()  # who may be changed would leave, who is there already stays
    assert (report["matched"], report["changed"], report["failed"]) == (3, 0, 3)
    after = await stored(server)
    assert [after[key]["grade"] for key in (A, B, C)] == [5, 2, 3]


async def test_a_patch_of_many_writes_only_what_may_be_updated(server: Server) -> None:
    address = "/people/?number__gte=1&max_affected=9"
    caller = writer(read=hide("about.homes.city"), update=hide("grade"))
    answer = await server.ask(caller, address, "PATCH", json={"grade": 1, "name": "x"})
    assert (answer.status_code, pointers(answer)) == (403, ["#/grade"])
    answer = await server.ask(caller, address, "PATCH", json={"about": {"homes": []}})
    assert answer.json()["failed"] == 3
    assert await unchanged(server)
    answer = await server.ask(caller, address, "PATCH", json={"number": 1})
    assert answer.json()["failed"] == 2
    hidden = writer(read=hide("badge"), update=WHOLE)
    answer = await server.ask(hidden, address, "PATCH", json={"badge": 880701})
    assert answer.json()["failed"] == 2
    assert "badge" not in answer.text


async def test_each_of_many_deletes_obeys(server: Server) -> None:
    caller = writer(read=where(grade__lte="2"), delete=where(team___name="red", grade="1"))
    answer = await server.ask(caller, "/people/?number__gte=1&max_affected=9", "DELETE")
    report = answer.json()
    assert (report["matched"], report["changed"], report["failed"]) == (2, 1, 1)
    assert set(await stored(server)) == {B, C}


# --- imports -------------------------------------------------------------------------------------


async def load(
    server: Server, caller: Caller, text: str, query: str = "", media_type: str = "text/csv"
) -> httpx.Response:
    headers = {"Content-Type": media_type}
    address = f"/people/import?{query}"
    return await server.ask(caller, address, "POST", content=text.encode(), headers=headers)


async def test_rows_are_inserted_within_the_rules(server: Server) -> None:
    caller = writer(
        read=hide("badge"), import_=True,
        create=Rule(where=(("grade__lte", "3"),), fields=("name", "number", "grade")),
    )  # fmt: skip
    good = "name,number,grade\nDan,10,1\n"
    for text, column in (
        ("name,number,grade\nDan,10,4\n", None),
        ("name,number,about.bio\nDan,10,b\n", "about.bio"),
        ("name,number,_id\nDan,10,ffffffffffffffffffffffff\n", "_id"),
    ):
        answer = await load(server, caller, text)
        assert (answer.status_code, answer.json()["failed"]) == (422, 1), text
        assert answer.json()["errors"][0]["column"] == column
        dry = await load(server, caller, text, "dry_run=true")
        assert (dry.status_code, dry.json()["failed"]) == (200, 1)
    answer = await load(server, caller, "name,number,badge\nDan,10,1\n")
    assert answer.status_code == 422  # no column of that name
    assert await unchanged(server)
    answer = await load(server, caller, good)
    assert answer.json()["inserted"] == 1
    taken = await load(server, caller, "name,number\nDan,3\n")
    assert "must be unique" in taken.json()["errors"][0]["detail"]


async def test_the_scope_of_an_import_is_enough(server: Server) -> None:
    caller = writer(read=WHOLE, create=WHOLE, update=WHOLE, import_=True, only=("import", "export"))
    answer = await load(server, caller, "number,name\n1,New\n10,Dan\n", "mode=upsert&key=number")
    assert (answer.json()["updated"], answer.json()["inserted"]) == (1, 1)
    for method, address, body in (
        ("POST", "/people/", NEW), ("PATCH", f"/people/{A}", {"grade": 2}),
    ):  # fmt: skip
        assert (await server.ask(caller, address, method, json=body)).status_code == 403


async def test_rows_are_updated_within_the_rules(server: Server) -> None:
    caller = writer(
        read=where(grade__lte="2"), import_=True,
        update=Rule(where=(("grade__in", "1,5"),), hide=("name",)),
    )  # fmt: skip
    for text, detail in (
        ("number,grade\n3,1\n", "There is no document with this number."),
        ("number,grade\n77,1\n", "There is no document with this number."),
        ("number,grade\n2,1\n", "may be read"),
        ("number,grade\n1,4\n", "would be one"),
        ("number,name\n1,New\n", "may not write"),
    ):
        answer = await load(server, caller, text, "mode=update&key=number")
        assert answer.json()["failed"] == 1, text
        assert detail in answer.json()["errors"][0]["detail"]
    assert await unchanged(server)
    text = "number,name,grade\n1,Ann,5\n2,Ben,2\n"  # what isn't changed isn't written
    answer = await load(server, caller, text, "mode=update&key=number")
    assert (answer.json()["updated"], answer.json()["unchanged"]) == (1, 1)
    assert (await stored(server))[A] == {**ANN, "grade": 5}


async def test_an_upsert_of_what_is_not_seen_finds_its_value_taken(server: Server) -> None:
    caller = writer(read=where(grade__lte="2"), create=WHOLE, update=WHOLE, import_=True)
    for text, query in (
        ("number,name,badge\n3,New,900\n", "mode=upsert&key=number"),
        (f"_id,number,name\n{C},900,New\n", "mode=upsert"),
    ):
        for dry in ("", "&dry_run=true"):
            answer = await load(server, caller, text, query + dry)
            report = answer.json()
            assert (report["failed"], report["updated"], report["inserted"]) == (1, 0, 0)
            assert "must be unique" in report["errors"][0]["detail"]
            assert "Cat" not in answer.text
    assert await unchanged(server)
    text = "number,name\n1,New\n10,Dan\n"
    answer = await load(server, caller, text, "mode=upsert&key=number")
    assert (answer.json()["updated"], answer.json()["inserted"]) == (1, 1)


async def test_an_upsert_does_what_may_be_done(server: Server) -> None:
    text = "number,name\n1,New\n10,Dan\n"
    query = "mode=upsert&key=number&on_error=skip&dry_run=true"
    updater = writer(read=WHOLE, update=WHOLE, import_=True)
    answer = await load(server, updater, text, query)
    assert (answer.json()["updated"], answer.json()["failed"]) == (1, 1)
    assert "people:create" in answer.json()["errors"][0]["detail"]
    creator = writer(read=WHOLE, create=WHOLE, import_=True)
    answer = await load(server, creator, text, query)
    assert (answer.json()["inserted"], answer.json()["failed"]) == (1, 1)
    assert "people:update" in answer.json()["errors"][0]["detail"]


async def test_changes_and_counts_tell_nothing_of_what_is_not_seen(server: Server) -> None:
    caller = writer(read=hide("badge", "about.age"), create=WHOLE, update=hide("badge"),
                    import_=True)  # fmt: skip
    query = "mode=update&key=number&dry_run=true"
    reports = []
    for badge in ("880701", "5"):  # the stored one, another
        answer = await load(server, caller, f"number,badge\n1,{badge}\n", query)
        reports.append(answer.json())
    assert reports[0]["failed"] == reports[1]["failed"] == 1
    for about in (
        '{"bio":"bio-Ann","age":970041,"homes":[]}',
        '{"bio":"bio-Ann","age":5,"homes":[]}',
    ):
        row = f'{{"number":1,"about":{about}}}'
        answer = await load(server, caller, row, query, "application/x-ndjson")
        assert answer.json()["failed"] == 0
        shown = answer.json()["changes"]
        assert [one["field"] for one in shown if "age" in one["field"]] == []
        assert "970041" not in str(shown)


@pytest.mark.parametrize(
    ("hidden", "row", "known"),
    [
        ("badge", "number,badge\n1,{}\n", 880701),
        ("badge", '{{"number": 1, "badge": {}}}', 880701),
        ("about.age", "number,about.age\n1,{}\n", 970041),
        ("about.age", '{{"number": 1, "about": {{"age": {}}}}}', 970041),
        ("", '{{"number": 1, "password": "{}"}}', "password-Ann"),  # nobody sees an excluded field
    ],
)
async def test_whether_a_value_that_is_not_seen_is_the_stored_one_is_not_told(
    server: Server, hidden: str, row: str, known: Any
) -> None:
    caller = EVERYONE
    if hidden:
        caller = writer(read=hide(hidden), update=WHOLE, import_=True)
    media_type = "application/x-ndjson" if row.startswith("{") else "text/csv"
    counts = []
    for value, query in ((known, "&dry_run=true"), (known, ""), (5, "&dry_run=true"), (5, "")):
        address = f"mode=update&key=number{query}"
        answer = await load(server, caller, row.format(value), address, media_type)
        counts.append([answer.json()[word] for word in ("updated", "unchanged", "failed")])
    assert counts == [[1, 0, 0]] * 4


async def test_a_sheet_with_whole_parents_gives_no_hidden_value_away(server: Server) -> None:
    caller = writer(read=hide("about.age"), create=WHOLE, update=hide("about.age"), import_=True)
    query = "mode=update&key=number&dry_run=true"
    homes = '""homes"":[{""city"":""city-Ann"",""street"":""street-Ann""}]'
    counts = []
    for age in ("970041", "5"):
        cell = f'"{{""bio"":""bio-Ann"",""age"":{age},{homes}}}"'
        answer = await load(server, caller, f"number,about\n1,{cell}\n", query)
        report = answer.json()
        counts.append([report[word] for word in ("updated", "unchanged", "failed")])
    assert counts == [[0, 0, 1], [0, 0, 1]]


async def test_numbered_columns_of_a_list_with_hidden_members_are_refused(server: Server) -> None:
    caller = writer(read=hide("about.homes.city"), update=WHOLE, create=WHOLE, import_=True)
    query = "mode=update&key=number"
    for column, value in (("about.homes.0.street", "x"), ("about.homes.0.city", "city-Ann")):
        answer = await load(server, caller, f"number,{column}\n1,{value}\n", query)
        assert answer.json()["failed"] == 1, column
    assert await unchanged(server)
    answer = await load(server, caller, "number,about.homes.0.street\n1,street-Ann\n", query)
    assert answer.json()["unchanged"] == 1


async def test_a_link_by_name_leads_to_what_may_be_read(server: Server) -> None:
    teams = Rights(read=where(name="red"))
    caller = writer(teams, read=WHOLE, create=WHOLE, import_=True)
    details = []
    for name in ("blue", "none"):
        answer = await load(server, caller, f"name,number,team.name\nDan,10,{name}\n")
        assert answer.status_code == 422
        details.append(answer.json()["errors"][0]["detail"].replace(name, "…"))
    assert details[0] == details[1]
    answer = await load(server, caller, f"name,number,team\nDan,10,{BLUE}\n")
    assert answer.json()["failed"] == 1
    answer = await load(server, caller, "name,number,team.name\nDan,10,red\n")
    assert answer.json()["inserted"] == 1
    blind = writer(Rights(), read=WHOLE, create=WHOLE, import_=True)
    answer = await load(server, blind, "name,number,team.name\nDan,11,red\n")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "columns"


async def test_a_sheet_to_correct_has_the_rows_as_they_came(server: Server) -> None:
    caller = writer(read=where(grade__lte="2"), create=WHOLE, update=WHOLE, import_=True)
    headers = {"Content-Type": "text/csv", "Accept": "text/csv"}
    address = "/people/import?mode=upsert&key=number"
    text = b"number,name\n3,New\n"
    answer = await server.ask(caller, address, "POST", content=text, headers=headers)
    assert answer.status_code == 422
    assert answer.text.splitlines()[1].startswith("3,New,")
    assert "Cat" not in answer.text


async def test_a_form_has_what_may_be_written(server: Server) -> None:
    caller = writer(read=WHOLE, create=only("name", "number"), update=only("about.bio"),
                    import_=True)  # fmt: skip
    answer = await server.ask(caller, "/people/import/csv")
    assert answer.text == "name,number,about.bio\r\n"
    whole = await server.ask(EVERYONE, "/people/import/csv")
    assert whole.text == "name,number,badge,grade,about.bio,about.age,about.homes,team\r\n"


# --- whatever the rights, whatever is sent -------------------------------------------------------

PATHS = [
    "name", "number", "badge", "grade", "about", "about.bio", "about.age", "about.homes",
    "about.homes.city", "team", "password",
]  # fmt: skip
LEAVES = [*PATHS, "about.homes.street", "foreign"]
MARKS = {
    "name": '"Ben"', "badge": "880702", "about.bio": "bio-Ben", "about.age": "970042",
    "about.homes.city": "city-Ben", "about.homes.street": "street-Ben", "password": "password-Ben",
    "foreign": "foreign-Ben",
}  # fmt: skip
WHERES = [(), (), (("grade__lte", "2"),), (("team.name", "red"),), (("about.bio", "bio-Ben"),)]


def any_rule(chance: random.Random) -> Rule:
    paths = tuple(chance.sample(PATHS, chance.randint(0, 4)))
    kept = chance.choice(WHERES)
    return Rule(kept, fields=paths) if chance.random() < 0.5 else Rule(kept, hide=paths)


def any_body(chance: random.Random) -> dict[str, Any]:
    values: dict[str, list[Any]] = {
        "_id": [str(B), str(A), None],
        "name": ["Ben", "new", None],
        "number": [2, 5, None],
        "badge": [880702, 880703, None],
        "grade": [2, 4],
        "about": [None, {}, {"age": 970042}, {"age": 5}, {"bio": "new"}, {"homes": []},
                  BEN["about"], {"bio": "bio-Ben", "age": None, "homes": [{"street": "s"}]}, "x"],
        "team": [str(RED), str(BLUE), NOBODY, None],
        "password": ["password-Ben", "new", None],
        "foreign": ["foreign-Ben", None],
    }  # fmt: skip
    whole = {
        **SHOWN,
        "name": "Ben",
        "number": 2,
        "badge": 880702,
        "grade": 2,
        "about": BEN["about"],
    }
    begin = dict(whole) if chance.random() < 0.4 else {}
    names = chance.sample(list(values), chance.randint(1, 3))
    return {**begin, **{name: chance.choice(values[name]) for name in names}}


def as_row(body: dict[str, Any]) -> str:
    """A sheet with this as its one row, without what no cell can be."""
    cells = {name: value for name, value in body.items() if not isinstance(value, dict | list)}
    shown = ["" if value is None else str(value) for value in cells.values()]
    return f"{','.join(['number', *(n for n in cells if n != 'number')])}\n" + ",".join(
        ["2", *(text for name, text in zip(cells, shown, strict=True) if name != "number")]
    )


async def send(server: Server, caller: Caller, chance: random.Random) -> httpx.Response:
    body = any_body(chance)
    line = json.dumps({**body, "_id": str(B), "number": 2})
    ask: list[Callable[[], Any]] = [
        lambda: server.ask(caller, f"/people/{B}", "PATCH", json=body),
        lambda: server.ask(caller, f"/people/{B}", "PUT", json=body),
        lambda: server.ask(caller, "/people/?max_affected=9&_id=" + str(B), "PATCH", json=body),
        lambda: load(server, caller, as_row(body), "mode=upsert&key=number"),
        lambda: load(server, caller, as_row(body), "mode=update&key=number&dry_run=true"),
        lambda: load(server, caller, line, "mode=upsert&key=number", "application/x-ndjson"),
        lambda: load(server, caller, line, "mode=update&dry_run=true", "application/x-ndjson"),
    ]
    answer: httpx.Response = await chance.choice(ask)()
    return answer


def at(value: Any, path: str) -> bytes:
    for name in path.split("."):
        listed = value if isinstance(value, list) else [value]
        value = [one[name] for one in listed if isinstance(one, dict) and name in one]
        value = value[0] if len(value) == 1 and isinstance(value[0], list) else value
    return bson.encode({"": value})


def _list_said(request: httpx.Request) -> str:
    """What was sent, also with the cells of a sheet as JSON repeats them."""
    sent = request.content.decode()
    cells = "".join(f'"{cell}"' for line in sent.splitlines() for cell in line.split(","))
    return f"{request.url} {sent} {cells}"


def covers(extent: Extent, path: str) -> bool:
    return not extent.at(tuple(path.split("."))).is_none


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(number, marks=pytest.mark.slow) for number in range(1, 4))]
)
async def test_whatever_is_sent_obeys(server: Server, seed: int) -> None:
    chance = random.Random(seed)
    written = 0
    collection = server.app.state.mongo["people"]
    shape = discover(server.app.settings.MODELS)["people"].shape
    for _ in range(80):
        read, update = any_rule(chance), chance.choice((WHOLE, any_rule(chance)))
        caller = writer(read=read, update=update, create=WHOLE, import_=True)
        await collection.replace_one({"_id": B}, BEN)
        answer = await send(server, caller, chance)
        assert answer.status_code < 500, answer.text
        after = (await stored(server))[B]
        written += after != BEN
        seen, may_write = extent_of(read, shape), extent_of(update, shape)
        for path in LEAVES:
            if not covers(may_write, path):
                assert at(after, path) == at(BEN, path), (path, read, update, answer.request)
        said = _list_said(answer.request)
        for path, mark in MARKS.items():
            if not covers(seen, path) and mark not in said:
                assert mark not in answer.text, (path, read, update, answer.text)
        others = await stored(server)
        assert (others[A], others[C]) == (ANN, CAT)
    assert written
