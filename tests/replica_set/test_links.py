"""A link and the deletion of its target never both succeed, on three members and two servers."""

import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import bson
import httpx
import pytest
from pymongo import MongoClient

from app.servers.replica_set import ReplicaSet
from tests.replica_set.conftest import DATABASE
from tests.replica_set.load import measured
from tests.support.members import wait_for_primary
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = [*needs_mongod, pytest.mark.replica_set, pytest.mark.slow]
ROUNDS = 40
LINKERS = 3  # clients that link to one document while it is deleted
EITHER = {409: {201}, 204: {422}}  # how links end where a delete ends so


@pytest.fixture
def database(members: ReplicaSet) -> Iterator[Any]:
    """The database as PyMongo sees it, without classes and students."""
    with MongoClient[dict[str, Any]](members.uri()) as client:
        for name in ("students", "classes"):
            client[DATABASE][name].delete_many({})
        yield client[DATABASE]


@pytest.fixture
def schools(members: ReplicaSet, database: Any) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """HTTP clients of two servers."""
    words: dict[str, object] = {"MONGO_URI": members.uri(), "DB_NAME": DATABASE}
    with (
        LiveServer(**words) as one,
        LiveServer(**words) as other,
        httpx.Client(base_url=one.address, timeout=60) as first,
        httpx.Client(base_url=other.address, timeout=60) as second,
    ):
        yield first, second


def play(schools: tuple[httpx.Client, httpx.Client], numbers: Iterator[int]) -> tuple[int, Any]:
    """Links to a new class by several clients while it is deleted: how each ended."""
    deleting, linking = schools
    clas = deleting.post("/classes/", json={"name": str(bson.ObjectId())}).json()["_id"]
    statuses: list[int] = []
    start = threading.Barrier(LINKERS + 1)

    def link(number: int) -> None:
        body = {"sno": number, "name": "x", "clas": clas}
        start.wait()
        statuses.append(linking.post("/students/", json=body).status_code)

    threads = [threading.Thread(target=link, args=(next(numbers),)) for _ in range(LINKERS)]
    for thread in threads:
        thread.start()
    start.wait()
    deleted = deleting.delete(f"/classes/{clas}").status_code
    for thread in threads:
        thread.join()
    return deleted, statuses


def find_dangling(database: Any) -> list[Any]:
    """The classes that students link to and that are not there."""
    there = set(database["classes"].distinct("_id"))
    return [one.id for one in database["students"].distinct("clas") if one.id not in there]


def test_of_a_link_and_the_deletion_of_its_target_one_is_refused(
    schools: tuple[httpx.Client, httpx.Client], database: Any
) -> None:
    numbers = itertools.count(1001)
    outcomes = [play(schools, numbers) for _ in range(ROUNDS)]
    for deleted, linked in outcomes:
        assert set(linked) == EITHER[deleted], (deleted, linked)
    assert find_dangling(database) == []
    measured(f"deletes ended so: {Counter(deleted for deleted, _ in outcomes)}")


def test_a_hand_over_in_between_lets_no_link_dangle(
    schools: tuple[httpx.Client, httpx.Client], members: ReplicaSet, database: Any
) -> None:
    numbers = itertools.count(5001)
    stopped = threading.Event()
    outcomes: list[tuple[int, Any]] = []

    def play_on() -> None:
        while not stopped.is_set():
            outcomes.append(play(schools, numbers))

    player = threading.Thread(target=play_on)
    player.start()
    for _ in range(2):
        stepped = members.step_down(10)
        wait_for_primary(members, other_than=stepped)
    stopped.set()
    player.join()
    assert outcomes
    assert find_dangling(database) == []
    statuses = Counter(status for deleted, linked in outcomes for status in (deleted, *linked))
    assert set(statuses) <= {201, 204, 409, 422, 503}
    measured(f"ended so: {statuses}")
