"""Lists on the real database: keyword, sort, fields, limits, counts, the time limit."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from mongomock_motor import AsyncMongoMockClient
from pymongo import MongoClient

from app.settings import Settings
from app.store.mock import make_database
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer
from tests.support.waiting import LONGEST, wait_for

pytestmark = needs_mongod
CATASTROPHIC = "(a+)+$"


def user(n: int, **fields: Any) -> dict[str, Any]:
    return {"_id": n, "name": f"n{n}", "email": f"{n}@x.org", **fields}


def keys(http: httpx.Client, query: str) -> list[Any]:
    answer = http.get(f"/users/?{query}")
    assert answer.status_code == 200, answer.text
    return [document["_id"] for document in answer.json()]


def refused(http: httpx.Client, query: str, parameter: str) -> str:
    """The sentence of the 422 that names this parameter."""
    answer = http.get(f"/users/?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert [fault["parameter"] for fault in problem["errors"]] == [parameter]
    assert problem["instance"] == "/users/"
    assert "_id" not in answer.headers
    detail: str = problem["errors"][0]["detail"]
    return detail


def test_every_parameter_may_be_empty(http: httpx.Client, users: Any) -> None:
    users.insert_many([user(n) for n in range(12)])
    answer = http.get("/users/?keyword=&skip=0&limit=10&sort=&fields=&expand=&after=&count=")
    assert [document["_id"] for document in answer.json()] == list(range(10))
    assert keys(
        http, "keyword=&skip=&limit=&sort=&fields=&expand=&after=&count=&age=&name__regex="
    ) == list(range(10))


def test_an_empty_list_is_an_array(http: httpx.Client) -> None:
    for address in ("/users/", "/users"):
        answer = http.get(address, follow_redirects=False)
        assert (answer.status_code, answer.text) == (200, "[]")
        assert answer.headers["Content-Type"] == "application/json"
        assert "Link" not in answer.headers


def test_head_is_a_list_without_its_body(http: httpx.Client, users: Any) -> None:
    users.insert_many([user(n) for n in range(3)])
    head, answer = http.head("/users/?limit=2"), http.get("/users/?limit=2")
    assert head.status_code == 200
    assert head.content == b""
    for name in ("Content-Length", "Link", "X-Total-Count", "X-Count-Strategy", "Content-Type"):
        assert head.headers[name] == answer.headers[name]
    assert http.head("/users/?limit=x").status_code == 422


# --- keyword --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyword", "found"),
    [
        ("an", [0, 1, 2]), ("^AN", [0, 1]), ("小", [3]), (r"\.", [4]), ("a.n", [0, 2, 4]),
        ("n{2}", [0, 2]), ("x|王", [3]), ("%", [5]), ("@x.org", []), ("(?=h)", [2]),
    ],
)  # fmt: skip
def test_keyword_is_a_pattern_over_the_search_fields_ignoring_case(
    http: httpx.Client, users: Any, keyword: str, found: list[int]
) -> None:
    names = ["Anna", "anton", "Hanna", "王小明", "a.n", "50%"]
    users.insert_many(
        [{**user(n), "name": name, "profile": {"bio": "anna"}} for n, name in enumerate(names)]
    )
    answer = http.get("/users/", params={"keyword": keyword})
    assert [document["_id"] for document in answer.json()] == found


@pytest.mark.parametrize(
    "pattern", ["(", "[", "*", "a{2,1}", "(?<=a+)b", r"\k<x>", "(?P<n>a)(?P<n>b)", "[z-a]"]
)
@pytest.mark.parametrize("name", ["keyword", "name__regex"])
def test_a_bad_pattern_is_refused_with_what_finds_literal_text(
    http: httpx.Client, name: str, pattern: str
) -> None:
    for path in ("/users/", "/users/export/csv"):
        answer = http.get(path, params={name: pattern, "email__contains": "x"})
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["parameter"] == name
        assert len(answer.json()["errors"]) == 1
        assert "name__contains=" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["keyword", "name__regex"])
def test_a_pattern_has_at_most_200_characters(http: httpx.Client, name: str) -> None:
    assert http.get("/users/", params={name: "王" * 200}).status_code == 200
    assert "200" in refused(http, f"{name}={'x' * 201}", name)
    assert "NUL" in refused(http, f"{name}=a%00b", name)


def test_what_is_no_utf8_is_refused(http: httpx.Client, server: LiveServer) -> None:
    for query, name in (
        ("limit=1&keyword=%FF", "keyword"),
        ("name=%ED%A0%80", "name"),
        ("%FF=1", "\ufffd"),
    ):
        assert "UTF-8" in refused(http, query, name)


# --- sort -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("", [0, 1, 2, 3, 4]), ("age", [2, 3, 0, 1, 4]), ("-age", [4, 0, 1, 2, 3]),
        ("-_id", [4, 3, 2, 1, 0]), ("-profile.age,name", [1, 2, 0, 3, 4]),
        ("age,-_id", [3, 2, 1, 0, 4]), (" -age , name", [4, 0, 1, 2, 3]),
        ("%2Bage", [2, 3, 0, 1, 4]), ("_id,age", [0, 1, 2, 3, 4]),
    ],
)  # fmt: skip
def test_sort(http: httpx.Client, users: Any, sort: str, found: list[int]) -> None:
    users.insert_many([
        user(0, age=5, profile={"age": 1}), user(1, age=5, profile={"age": 2}),
        user(2, profile={"age": 2}),
        user(3, age=None), user(4, age="text"),
    ])  # fmt: skip
    assert keys(http, f"sort={sort}") == found


@pytest.mark.parametrize(
    ("sort", "says"),
    [
        ("agee", "Did you mean 'age'"), ("profile.addresses.city", "list"),
        ("profile.addresses", "list"),
        ("profile", "objects"), ("age,,name", "empty"), (",", "empty"), ("age,age", "twice"),
        ("age,-age", "twice"),
        ("--age", "there is no field '-age'. Did you mean 'age'?"),
        ("$natural", "no field"), ("age desc", "no field"),
        ("age:1", "no field"),
        ("profile.$age", "no field"), ("name%00", "no field"), ('{"age":1}', "no field"),
        ("profile.addresses.0.city", "no"),
    ],
)  # fmt: skip
def test_a_sort_that_can_not_be(http: httpx.Client, sort: str, says: str) -> None:
    assert says in refused(http, f"sort={sort}", "sort")


# --- fields ---------------------------------------------------------------------------------------


PROFILE = {"age": 7, "bio": "b", "addresses": [{"city": "c", "street": "s"}]}
RICH = user(1, age=5, profile=PROFILE, extra=1)


@pytest.mark.parametrize("sort", ["", "-age,email"])
@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ("name", {"name": "n1"}),
        ("name,profile.age", {"name": "n1", "profile": {"age": 7}}),
        ("profile,profile.age", {"profile": PROFILE}),
        ("profile.age,profile", {"profile": PROFILE}),
        ("profile.addresses.city", {"profile": {"addresses": [{"city": "c"}]}}),
        ("_id", {}),
        ("name,name", {"name": "n1"}),
        (" name , age ", {"name": "n1", "age": 5}),
        ("", RICH),
    ],
)
def test_fields(
    http: httpx.Client, users: Any, fields: str, shown: dict[str, Any], sort: str
) -> None:
    users.insert_one(RICH)
    answer = http.get("/users/", params={"fields": fields, "sort": sort})
    assert answer.json() == [{"_id": 1, **shown}]


@pytest.mark.parametrize(
    "fields", ["nmae", "extra", "profile.addresses.0.city", "$name", "-name", "name.x", "name%00"]
)
def test_a_field_that_can_not_be(http: httpx.Client, fields: str) -> None:
    assert "no field" in refused(http, f"fields={fields}", "fields")


def test_a_field_in_another_case_is_suggested(http: httpx.Client) -> None:
    assert "Did you mean 'name'?" in refused(http, "fields=NAME", "fields")


@pytest.mark.parametrize("text", [",", "name,", "name,,age"])
@pytest.mark.parametrize("parameter", ["fields", "sort", "expand"])
def test_a_list_of_names_has_no_empty_one(http: httpx.Client, parameter: str, text: str) -> None:
    assert "is empty" in refused(http, f"{parameter}={text}", parameter)


# --- limit and skip -------------------------------------------------------------------------------


def test_limit_and_skip(http: httpx.Client, users: Any) -> None:
    users.insert_many([user(n) for n in range(1005)])
    assert keys(http, "") == list(range(10))
    assert keys(http, "limit=1") == [0]
    assert keys(http, "limit=1000") == list(range(1000))
    assert keys(http, "skip=1000&limit=7") == list(range(1000, 1005))
    assert keys(http, "skip=2000") == []
    assert keys(http, "skip=9223372036854775807") == []


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "-1",
        "1001",
        "x",
        "1.0",
        "1e2",
        "--5",
        "٣",
        "1_0",
        "0x1",
        "9" * 40,
        "%20",
        "null",
        "true",
        "1,2",
    ],
)
def test_a_limit_that_can_not_be(http: httpx.Client, value: str) -> None:
    assert "1 to 1000" in refused(http, f"limit={value}", "limit")


@pytest.mark.parametrize("value", ["-1", "x", "1.0", "--5", "9223372036854775808", "9" * 400])
def test_a_skip_that_can_not_be(http: httpx.Client, value: str) -> None:
    assert "≥ 0" in refused(http, f"skip={value}", "skip")


def test_every_fault_is_named(http: httpx.Client) -> None:
    answer = http.get(
        "/users/?limit=0&skip=-1&nmae=x&age=x&sort=y&after=z&count=w&fields=v&expand=u"
    )
    named = {fault["parameter"] for fault in answer.json()["errors"]}
    assert named == {"limit", "skip", "nmae", "age", "sort", "after", "count", "fields", "expand"}


@pytest.mark.parametrize("skip", ["0", "1"])
def test_after_together_with_skip_is_refused(http: httpx.Client, users: Any, skip: str) -> None:
    users.insert_many([user(n) for n in range(3)])
    token = httpx.URL(http.get("/users/?limit=1").links["next"]["url"]).params["after"]
    assert "skip" in refused(http, f"after={token}&skip={skip}", "after")


# --- count ----------------------------------------------------------------------------------------


def count(http: httpx.Client, query: str) -> tuple[str | None, str | None]:
    headers = http.get(f"/users/?{query}").headers
    return headers.get("X-Total-Count"), headers.get("X-Count-Strategy")


def test_count_of_an_empty_collection(http: httpx.Client) -> None:
    assert count(http, "") == ("0", "estimated")
    assert count(http, "age=1") == ("0", "exact")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ("30", "estimated")),
        ("count=", ("30", "estimated")),
        ("count=auto", ("30", "estimated")),
        ("count=exact", ("30", "exact")),
        ("count=none", (None, None)),
        ("age=1", ("15", "exact")),
        ("keyword=n1", ("11", "exact")),
        ("age=1&limit=3&skip=2", ("15", "exact")),
        ("age=1&skip=100", ("15", "exact")),
        ("age=1&count=exact&limit=1", ("15", "exact")),
        ("age=1&count=none", (None, None)),
        ("limit=100", ("30", "estimated")),
        ("skip=25&count=exact", ("30", "exact")),
    ],
)
def test_count(
    http: httpx.Client, users: Any, query: str, shown: tuple[str | None, str | None]
) -> None:
    users.insert_many([user(n, age=n % 2) for n in range(30)])
    assert count(http, query) == shown


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("keyword=n", ("1000", "capped")),
        ("name__contains=n", ("1000", "capped")),
        ("name__startswith=n", ("1000", "capped")),
        ("name__regex=n&age=1", ("1000", "capped")),
        ("keyword=n&count=exact", ("1500", "exact")),
        ("age=1", ("1500", "exact")),
        ("keyword=n1499", ("1", "exact")),
    ],
)
def test_a_search_is_counted_up_to_a_thousand(
    http: httpx.Client, users: Any, query: str, shown: Any
) -> None:
    users.insert_many([user(n, age=1) for n in range(1500)])
    assert count(http, query) == shown


def test_a_count_that_can_not_be(http: httpx.Client) -> None:
    assert "auto exact none" in refused(http, "count=true", "count")


def test_auto_counts_up_to_ten_thousand(http: httpx.Client, users: Any) -> None:
    users.insert_many([user(n, age=1) for n in range(10_000)])
    assert count(http, "age=1") == ("10000", "exact")
    users.insert_one(user(10_000, age=1))
    assert count(http, "age=1") == ("10000", "capped")
    assert count(http, "age=1&count=exact") == ("10001", "exact")
    assert count(http, "") == ("10001", "estimated")


# --- limits ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slow(mongo_uri: str) -> Iterator[httpx.Client]:
    """A client of a server with short limits, and 3,000 names that hold a pattern up."""
    with MongoClient[dict[str, Any]](mongo_uri) as mongo:
        mongo["slow"]["users"].insert_many(
            {"name": f"{'a' * 28}{n}!", "email": f"{n}@x.org", "age": n} for n in range(3000)
        )
    with (
        LiveServer(
            MONGO_URI=mongo_uri, DB_NAME="slow", QUERY_TIME_LIMIT_SECONDS=0.3,
            COUNT_TIME_LIMIT_SECONDS=0.05,
            SEARCHES_AT_ONCE=2,
        ) as live,
        httpx.Client(base_url=live.address, timeout=60) as client,
    ):  # fmt: skip
        yield client


@pytest.mark.parametrize("pattern", [CATASTROPHIC, "^(a|a)*$", "(.*a){12}$"])
@pytest.mark.parametrize("name", ["keyword", "name__regex"])
def test_a_catastrophic_pattern_ends_at_the_time_limit(
    slow: httpx.Client, name: str, pattern: str
) -> None:
    answer = slow.get("/users/", params={name: pattern, "count": "none"})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    problem = answer.json()
    assert problem["type"] == "/docs/problems/time-limit"
    assert "index" in problem["detail"]
    assert slow.get(problem["type"]).status_code == 200


def test_where_counting_takes_too_long_the_list_comes_without_a_count(slow: httpx.Client) -> None:
    asked = {"name__regex": f"(?:^a+[01]!)|(?:{CATASTROPHIC})", "limit": "1"}
    answer = answer_of(slow, asked)
    assert len(answer.json()) == 1
    assert "X-Total-Count" not in answer.headers
    assert "X-Count-Strategy" not in answer.headers


def answer_of(slow: httpx.Client, asked: dict[str, str]) -> httpx.Response:
    """The answer within the short limit; a machine that stands still as long is asked again."""
    answers: list[httpx.Response] = []

    def is_found() -> bool:
        answers.append(slow.get("/users/", params=asked))
        return answers[-1].status_code == 200

    wait_for(is_found, otherwise="nothing is found in time")
    return answers[-1]


def test_other_requests_go_on_beside_many_searches(slow: httpx.Client) -> None:
    stop = threading.Event()

    def search(number: int) -> set[int]:
        asked, found = {"keyword": CATASTROPHIC, "count": "none"}, set()
        with httpx.Client(base_url=slow.base_url) as client:
            while not (found and stop.is_set()):
                found.add(client.get("/users/", params=asked).status_code)
        return found

    with ThreadPoolExecutor(12) as threads:
        searching = [threads.submit(search, number) for number in range(12)]
        try:
            for _ in range(30):
                answer_of(slow, {"limit": "1"})
        finally:
            stop.set()
        assert set().union(*(one.result() for one in searching)) == {503}


async def test_no_more_searches_than_the_setting_says_are_worked_on() -> None:
    settings = Settings(SEARCHES_AT_ONCE=2, _env_file=None)  # type: ignore[call-arg]
    database = make_database(AsyncMongoMockClient(), settings)
    begun: list[int] = []
    may_end = threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        may_end.wait(LONGEST)

    searches = [
        asyncio.create_task(database.run(work, number, patterns=("x",))) for number in range(6)
    ]
    await asyncio.to_thread(wait_for, lambda: len(begun) >= 2)
    assert await database.run(lambda: "another") == "another"
    at_once = len(begun)
    may_end.set()
    await asyncio.gather(*searches)
    await database.close()
    assert (at_once, sorted(begun)) == (2, list(range(6)))
