"""Many documents at once: arrays stored whole or not at all, writes of all that match."""

from typing import Any

import httpx
import pytest

from tests.support.mongod import needs_mongod

pytestmark = needs_mongod
TWO = [{"name": "A", "email": "a@example.com"}, {"name": "B", "email": "b@example.com"}]


def faults(answer: httpx.Response, status: int = 422) -> list[str]:
    """The places of the faults of a problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    named = ("pointer", "parameter", "header")
    return [one[name] for one in answer.json()["errors"] for name in named if name in one]


def test_an_array_is_stored_in_its_order(http: httpx.Client, users: Any) -> None:
    answer = http.post("/users/", json=TWO)
    assert answer.status_code == 201
    assert [one["name"] for one in answer.json()] == ["A", "B"]
    assert [str(one["_id"]) for one in users.find()] == [one["_id"] for one in answer.json()]


@pytest.mark.parametrize(
    ("bodies", "status", "places"),
    [
        ([], 422, ["#"]),
        ([*TWO, {"name": "", "email": "x"}], 422, ["#/2/name", "#/2/email"]),
        ([*TWO, {"name": "C", "email": "c@example.com", "nmae": 1}], 422, ["#/2/nmae"]),
        ([*TWO, 5], 422, ["#/2"]),
        ([*TWO, {"name": "C", "email": "a@example.com"}], 409, ["#/2/email"]),
        ([*TWO, {"name": "C", "email": "old@example.com"}], 409, ["#/2/email"]),
    ],
)
def test_where_one_fails_nothing_is_written(
    http: httpx.Client, users: Any, bodies: list[Any], status: int, places: list[str]
) -> None:
    users.insert_one({"name": "Old", "email": "old@example.com"})
    assert faults(http.post("/users/", json=bodies), status) == places
    assert users.count_documents({}) == 1


def test_an_array_has_at_most_1000_documents(http: httpx.Client, users: Any) -> None:
    many = [{"name": "A", "email": f"a{number}@example.com"} for number in range(1001)]
    assert faults(http.post("/users/", json=many)) == ["#"]
    assert http.post("/users/", json=many[:1000]).status_code == 201
    assert users.count_documents({}) == 1000


def fill(users: Any, count: int = 5) -> None:
    """People of the ages 0, 1, 2, …"""
    users.insert_many(
        {"name": f"N{age}", "email": f"n{age}@example.com", "age": age} for age in range(count)
    )


def test_a_patch_of_all_that_match(http: httpx.Client, users: Any) -> None:
    fill(users)
    answer = http.patch("/users/?age__gte=2&max_affected=10", json={"profile": {"bio": "x"}})
    assert answer.status_code == 200
    assert answer.json() == {"matched": 3, "changed": 3, "failed": 0, "errors": []}
    assert users.count_documents({"profile.bio": "x"}) == 3
    again = http.patch("/users?age__gte=2&max_affected=10", json={"profile": {"bio": "x"}})
    assert again.json() == {"matched": 3, "changed": 0, "failed": 0, "errors": []}


def test_what_the_model_refuses_is_counted_and_named(http: httpx.Client, users: Any) -> None:
    fill(users, 2)
    answer = http.patch("/users/?age__gte=0&max_affected=10", json={"age": 200})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["matched"], body["changed"], body["failed"]) == (2, 0, 2)
    assert {one["_id"] for one in body["errors"]} == {str(one["_id"]) for one in users.find()}
    assert "150" in body["errors"][0]["detail"]


def test_a_unique_value_for_two_fails_for_one(http: httpx.Client, users: Any) -> None:
    fill(users, 2)
    body = http.patch("/users/?age__gte=0&max_affected=2", json={"email": "x@example.com"}).json()
    assert (body["matched"], body["changed"], body["failed"]) == (2, 1, 1)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("query", "places"),
    [
        ("", ["max_affected", "keyword"]),
        ("max_affected=5", ["keyword"]),
        ("age=1", ["max_affected"]),
        ("age=1&max_affected=0", ["max_affected"]),
        ("age=1&max_affected=100001", ["max_affected"]),
        ("age=1&max_affected=5&limit=5", ["limit"]),
        ("agee=1&max_affected=5", ["agee", "keyword"]),
        ("age=&max_affected=5", ["keyword"]),
    ],
)
def test_conditions_and_max_affected_are_required(
    http: httpx.Client, users: Any, method: str, query: str, places: list[str]
) -> None:
    fill(users, 2)
    body = {"json": {"name": "Y"}} if method == "PATCH" else {}
    answer = http.request(method, f"/users/?{query}", **body)  # type: ignore[arg-type]
    assert faults(answer) == places
    assert users.count_documents({"name": {"$ne": "Y"}}) == 2


@pytest.mark.parametrize(
    ("name", "place"),
    [("sort", "lists and exports"), ("fields", "lists"), ("columns", "exports, such as …")],
)
def test_a_parameter_of_others_says_whose_it_is(http: httpx.Client, name: str, place: str) -> None:
    answer = http.delete(f"/users/?age=1&max_affected=5&{name}=name")
    assert faults(answer) == [name]
    assert f"{name}: this is for {place}" in answer.json()["detail"]


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_where_more_match_nothing_is_written(http: httpx.Client, users: Any, method: str) -> None:
    fill(users)
    body = {"json": {"name": "Y"}} if method == "PATCH" else {}
    answer = http.request(method, "/users/?age__gte=1&max_affected=3", **body)  # type: ignore[arg-type]
    assert faults(answer, 409) == ["max_affected"]
    assert answer.json()["detail"].startswith("4 documents match")
    assert users.count_documents({"name": {"$ne": "Y"}}) == 5


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_dry_run_only_counts(http: httpx.Client, users: Any, method: str) -> None:
    fill(users)
    body = {"json": {"name": "Y"}} if method == "PATCH" else {}
    answer = http.request(method, "/users/?age__gte=1&max_affected=9&dry_run=true", **body)  # type: ignore[arg-type]
    assert answer.json() == {"matched": 4, "changed": 0, "failed": 0, "errors": []}
    assert users.count_documents({"name": {"$ne": "Y"}}) == 5


@pytest.mark.parametrize(
    ("body", "places"),
    [({"_id": "x"}, ["#/_id"]), ({"nmae": 1}, ["#/nmae"]), ([], ["#"])],
)
def test_what_is_wrong_for_all_is_refused(
    http: httpx.Client, users: Any, body: Any, places: list[str]
) -> None:
    fill(users, 1)
    assert faults(http.patch("/users/?age=0&max_affected=1", json=body)) == places


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_collection_has_no_tag_to_match(http: httpx.Client, users: Any, method: str) -> None:
    fill(users)
    body = {"json": {"age": 9}} if method == "PATCH" else {}

    def write(header: str, value: str, query: str = "age__lt=2&max_affected=5") -> httpx.Response:
        return http.request(method, f"/users/?{query}", headers={header: value}, **body)  # type: ignore[arg-type]

    assert faults(write("If-Match", '"x"'), 412) == ["If-Match"]
    assert faults(write("If-None-Match", "*"), 412) == ["If-None-Match"]
    assert faults(write("If-Match", "x")) == ["If-Match"]
    assert faults(write("If-Match", '"x"', "age__lt=2")) == ["max_affected"]
    assert users.count_documents({"age": {"$lt": 2}}) == 2
    assert write("If-Match", "*").json()["changed"] == 2
    assert write("If-None-Match", '"x"').status_code == 200


def test_a_delete_of_all_that_match(http: httpx.Client, users: Any) -> None:
    fill(users)
    answer = http.delete("/users/?keyword=N[01]&max_affected=2")
    assert answer.json() == {"matched": 2, "changed": 2, "failed": 0, "errors": []}
    assert sorted(one["age"] for one in users.find()) == [2, 3, 4]


async def test_the_mock_does_the_same(mock_http: httpx.AsyncClient) -> None:
    assert (await mock_http.post("/users/", json=TWO)).status_code == 201
    taken = [{"name": "C", "email": "c@example.com"}, TWO[0]]
    answer = await mock_http.post("/users/", json=taken)
    assert faults(answer, 409) == ["#/1/email"]
    assert len((await mock_http.get("/users/")).json()) == 2
    answer = await mock_http.patch("/users/?name=A&max_affected=1", json={"age": 3})
    assert answer.json()["changed"] == 1
    answer = await mock_http.delete("/users/?name=A&max_affected=1")
    assert answer.json()["changed"] == 1
    assert [one["name"] for one in (await mock_http.get("/users/")).json()] == ["B"]
