"""Errors that a real mongod reports: what ends later is 503, and only our own mistakes are 500."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import bson
import httpx
import pytest
from pymongo import MongoClient

from app.store.codes import Code
from app.store.errors import LOST, MISTAKES
from tests.support.faulty import failing, faulty_mongod
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer
from tests.support.waiting import wait_for

pytestmark = needs_mongod

DATABASE = "errors"
KEY = "5f43a1b2c3d4e5f60718293a"
NUMBERS = count()
# Beside those that something here depends on, of each category of MongoDB's list some.
OTHERS = (11, 24, 43, 46, 64, 82, 96, 100, 117, 133, 134, 136, 143, 146, 202, 208, 225, 237, 246)
OTHERS += (256, 264, 267, 279, 290, 292, 301, 314, 355, 365, 379, 391, 402, 407, 433, 453, 462)
# The server can't report these without details, and reports a line of its source instead.
DETAILED = {
    Code.DocumentValidationFailure,
    Code.StaleConfig,
    Code.CannotConvertIndexToUnique,
    Code.CollectionUUIDMismatch,
}
STEPS = ("find", "count", "insert", "update", "delete", "export")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with (
        faulty_mongod(tmp_path_factory.mktemp("faulty")) as uri,
        MongoClient[dict[str, Any]](uri) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def http(client: Any) -> Iterator[httpx.Client]:
    host, port = client.address
    # A heartbeat soon: after an error that says "no primary" the next codes need it again.
    uri = f"mongodb://{host}:{port}/?directConnection=true&heartbeatFrequencyMS=500"
    with (
        LiveServer(MONGO_URI=uri, DB_NAME=DATABASE, PRIMARY_WAIT_SECONDS=1.5) as live,
        httpx.Client(base_url=live.address, timeout=60) as http,
    ):
        for number, key in enumerate((bson.ObjectId(KEY), bson.ObjectId())):
            user = {"_id": key, "name": "Ada", "email": f"{number}@example.com"}
            client[DATABASE]["users"].insert_one(user)
        yield http


def ask(http: httpx.Client, step: str) -> httpx.Response:
    user = {"name": "Bob", "email": f"bob-{next(NUMBERS)}@example.com"}
    match step:
        case "find":
            return http.get(f"/users/{KEY}")
        case "count":
            return http.get("/users/", params={"name": "Ada", "limit": 1, "count": "exact"})
        case "insert":
            return http.post("/users/", json=user)
        case "update":
            return http.patch(f"/users/{KEY}", json={"age": next(NUMBERS) % 100})
        case "delete":
            return http.delete(f"/users/{'f' * 24}")
        case _:
            return http.get("/users/export/csv")


COMMANDS = {
    "find": ["find"],
    "count": ["aggregate"],
    "insert": ["insert"],
    "update": ["findAndModify"],
    "delete": ["find", "delete"],
    "export": ["find"],
}


@pytest.mark.parametrize(
    "step",
    [pytest.param(one, marks=pytest.mark.slow) if one == "export" else one for one in STEPS],
)
def test_no_error_of_the_database_is_500_but_our_own_mistakes(
    http: httpx.Client, client: Any, step: str
) -> None:
    statuses = {}
    of_writes = {Code.DuplicateKey} if step in ("find", "count") else set()  # no read has them
    for code in sorted({*Code, *OTHERS} - LOST - DETAILED - of_writes):
        until_ready(http)  # an error before may have said that there is no primary
        with failing(client, COMMANDS[step], code):
            answer = ask(http, step)
        if code == Code.NamespaceNotFound and answer.status_code == 200:
            continue  # what isn't there has no documents
        if code == Code.MaxTimeMSExpired and step == "count":
            assert (answer.status_code, "X-Total-Count" in answer.headers) == (200, False)
            continue
        statuses[int(code)] = answer.status_code
        assert answer.status_code >= 400, code
        assert answer.headers["content-type"] == "application/problem+json"
        if answer.status_code == 503:
            assert int(answer.headers["Retry-After"]) > 0
    ours = {code for code, status in statuses.items() if status == 500}
    assert ours <= MISTAKES, statuses
    unexpected = {code for code, status in statuses.items() if status not in (500, 503)}
    if step in ("find", "count", "export"):
        # Where the request has no pattern, the rule of a role has it.
        assert unexpected == {Code.PatternDoesNotCompile}
        assert statuses[Code.PatternDoesNotCompile] == 403
    until_ready(http)
    wait_for(lambda: ask(http, step).status_code in (200, 201, 404))


def until_ready(http: httpx.Client) -> None:
    wait_for(lambda: http.get("/readyz").status_code == 200)


@pytest.mark.slow
def test_a_lost_server_is_503_in_time(http: httpx.Client, client: Any) -> None:
    for code in (Code.HostUnreachable, Code.ExceededTimeLimit):
        with failing(client, ["find", "insert"], code):
            for step in ("find", "insert"):
                answer = ask(http, step)
                assert answer.status_code == 503
                assert ("may have happened" in answer.json()["detail"]) == (step == "insert")
