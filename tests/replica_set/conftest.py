"""A live server on the real set of three."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from app.servers.replica_set import ReplicaSet
from tests.support.server import LiveServer

DATABASE = "docsheet"


@pytest.fixture
def users(members: ReplicaSet) -> Iterator[Any]:
    """The collection `users` as PyMongo sees it, empty."""
    with MongoClient[dict[str, Any]](members.uri(), tz_aware=True) as client:
        client[DATABASE].users.delete_many({})
        yield client[DATABASE].users


@pytest.fixture(scope="module")
def server(replica_set: ReplicaSet) -> Iterator[LiveServer]:
    replica_set.start_members()
    replica_set.wait_until_whole()
    with LiveServer(MONGO_URI=replica_set.uri(), DB_NAME=DATABASE) as live:
        yield live


@pytest.fixture
def http(server: LiveServer, users: Any) -> Iterator[httpx.Client]:
    """An HTTP client of a server on the whole set, whose users are none."""
    with httpx.Client(base_url=server.address, timeout=60) as client:
        yield client
