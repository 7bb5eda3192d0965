"""One real set of three for all of these tests, and a live server on it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from app.servers.replica_set import ReplicaSet
from tests.support.mongod import require_mongod
from tests.support.server import LiveServer

DATABASE = "docsheet"


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    require_mongod()
    with ReplicaSet.start(tmp_path_factory.mktemp("set") / "rs", database=DATABASE) as members:
        yield members


@pytest.fixture
def members(started: ReplicaSet) -> ReplicaSet:
    """The set with all its members there, whatever the test before did to it."""
    started.start_members()
    started.wait_until_whole()
    return started


@pytest.fixture
def users(members: ReplicaSet) -> Iterator[Any]:
    """The collection `users` as PyMongo sees it, empty."""
    with MongoClient[dict[str, Any]](members.uri(), tz_aware=True) as client:
        client[DATABASE].users.delete_many({})
        yield client[DATABASE].users


@pytest.fixture(scope="module")
def server(started: ReplicaSet) -> Iterator[LiveServer]:
    started.start_members()
    started.wait_until_whole()
    with LiveServer(MONGO_URI=started.uri(), DB_NAME=DATABASE) as live:
        yield live


@pytest.fixture
def http(server: LiveServer, users: Any) -> Iterator[httpx.Client]:
    """An HTTP client of a server on the whole set, whose users are none."""
    with httpx.Client(base_url=server.address, timeout=60) as client:
        yield client
