"""Two servers behind one set: tokens, ETags and records are the same on both."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.servers.replica_set import ReplicaSet
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = [*needs_mongod, pytest.mark.replica_set]


@pytest.fixture
def other(http: httpx.Client, replica_set: ReplicaSet, users: Any) -> Iterator[httpx.Client]:
    with (
        LiveServer(MONGO_URI=replica_set.uri(), DB_NAME=users.database.name) as live,
        httpx.Client(base_url=live.address, timeout=60) as client,
    ):
        yield client


def test_what_one_server_gave_out_the_other_takes(http: httpx.Client, other: httpx.Client) -> None:
    for number in range(5):
        http.post(
            "/users/", json={"name": f"n{number}", "email": f"n{number}@example.com"}
        ).raise_for_status()
    first = http.get("/users/", params={"limit": 3, "sort": "-name"})
    following = httpx.URL(first.links["next"]["url"])
    assert [user["name"] for user in other.get(f"/users/?{following.query.decode()}").json()] == [
        "n1",
        "n0",
    ]

    user = first.json()[0]
    tags = [client.get(f"/users/{user['_id']}").headers["ETag"] for client in (http, other)]
    assert tags[0] == tags[1]
    patched = other.patch(f"/users/{user['_id']}", json={"age": 1}, headers={"If-Match": tags[0]})
    assert patched.status_code == 200
    assert (
        http.patch(
            f"/users/{user['_id']}", json={"age": 2}, headers={"If-Match": tags[0]}
        ).status_code
        == 412
    )

    exported = http.get("/users/export/csv")
    record = other.get(f"/exports/{exported.headers['X-Export-Id']}").json()
    assert (record["state"], record["documents"]) == ("complete", 5)
