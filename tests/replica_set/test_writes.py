"""What was confirmed is kept, whatever dies: the primary twice, all members, the server.

Hand-overs go unnoticed.
"""

import signal
import time
from typing import Any

import httpx
import pytest

from app.servers.replica_set import ReplicaSet
from tests.replica_set.load import Load, assert_kept, measured
from tests.support.members import wait_for_primary
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer
from tests.support.waiting import LONGEST, wait_for

pytestmark = [*needs_mongod, pytest.mark.replica_set]


@pytest.mark.parametrize("times", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_every_confirmed_write_is_kept_once_when_the_primary_is_killed(
    http: httpx.Client, members: ReplicaSet, users: Any, record_property: Any, times: int
) -> None:
    with Load(str(http.base_url)) as load:
        for _ in range(times):
            time.sleep(1)
            killed = members.kill("PRIMARY")
            wait_for_primary(members)
            time.sleep(1)
            members.restart(killed)
            members.wait_until_whole()
        time.sleep(1)
    assert_kept(load, users)
    assert set(load.statuses()) <= {200, 201, 503}, load.statuses()
    for failed in load.failures():
        assert failed.retry_after
        assert failed.method == "GET" or "may have happened" in failed.detail
    record_property("unavailable", f"{load.longest_gap():.1f} s")
    slowest = max(answer.seconds for answer in load.answers)
    measured(
        f"{len(load.answers)} answers {load.statuses()}, the slowest after {slowest:.1f} s, "
        f"no write for {load.longest_gap():.1f} s at the longest"
    )


def test_a_planned_hand_over_makes_no_error_at_all(
    http: httpx.Client, members: ReplicaSet, users: Any
) -> None:
    with Load(str(http.base_url), name="planned") as load:
        for _ in range(2):
            time.sleep(1)
            stepped = members.step_down(10)
            wait_for_primary(members, other_than=stepped)
        time.sleep(1)
    assert load.failures() == []
    assert_kept(load, users)
    measured(f"{len(load.answers)} answers, no write for {load.longest_gap():.2f} s at the longest")


@pytest.mark.slow
def test_without_any_member_answers_are_503_in_time_and_it_recovers_by_itself(
    members: ReplicaSet, users: Any
) -> None:
    with LiveServer(
        MONGO_URI=members.uri(), DB_NAME=users.database.name, PRIMARY_WAIT_SECONDS=1
    ) as short:
        with httpx.Client(base_url=short.address, timeout=60) as http:
            lose_all(http, members)
        members.start_members()
        wait_for_primary(members)
        with httpx.Client(
            base_url=short.address, timeout=60
        ) as http:  # the other connection was idle for long
            took = wait_for(
                lambda: http.get("/readyz").status_code == 200,
                otherwise="the server does not see the primary",
            )
            assert (
                http.post("/users/", json={"name": "b", "email": "b@example.com"}).status_code
                == 201
            )
            assert [user["name"] for user in http.get("/users/").json()] == ["a", "b"]
    measured(f"back {took:.1f} s after the primary")


def lose_all(http: httpx.Client, members: ReplicaSet) -> None:
    """Kills every member, and asks the server for what it can't do then."""
    assert http.post("/users/", json={"name": "a", "email": "a@example.com"}).status_code == 201
    for member in members.members:
        members.kill(member)
    for method, path in (("GET", "/users/"), ("POST", "/users/"), ("GET", "/users/export/csv")):
        answer = http.request(
            method, path, json={"name": "b", "email": "b@example.com"} if method == "POST" else None
        )
        assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "5"), path
        assert ("may have happened" in answer.json()["detail"]) == (method == "POST")
    ready = http.get("/readyz")
    assert ready.status_code == 503
    assert "primary" in ready.json()["detail"].lower()
    assert http.get("/livez").status_code == 200


def test_a_server_killed_in_mid_writes_leaves_nothing_half_written(
    members: ReplicaSet, users: Any
) -> None:
    settings: dict[str, object] = {"MONGO_URI": members.uri(), "DB_NAME": users.database.name}
    before = count_connections(members)
    with LiveServer(**settings) as first, Load(first.address, name="killed") as load:
        wait_for(lambda: load.statuses()[201] > 20)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
    # What the killed server had sent already may still be under way in the database.
    wait_for(lambda: count_connections(members) <= before)
    assert_kept(load, users)
    with LiveServer(**settings) as second:
        wait_for(lambda: httpx.get(f"{second.address}/readyz").status_code == 200)
        # The collection's own count, which `auto` shows, is off on members that other tests killed
        # with -9.
        listed = httpx.get(
            f"{second.address}/users/", params={"limit": 1000, "count": "exact"}, timeout=60
        )
        assert int(listed.headers["X-Total-Count"]) == users.count_documents({})
        assert all(
            {"name", "email", "age", "profile"} <= document.keys() for document in listed.json()
        )


def count_connections(members: ReplicaSet) -> int:
    """How many connections of our servers there are at all members."""
    ours = {"clientMetadata.application.name": "docsheet"}
    stages = [{"$currentOp": {"allUsers": True, "idleConnections": True}}, {"$match": ours}]
    count = 0
    for name in members.members:
        with members._client(name) as client:
            count += len(list(client.admin.aggregate(stages)))
    return count


def test_sigterm_under_load_finishes_what_is_under_way_and_ends_in_time(
    members: ReplicaSet, users: Any
) -> None:
    grace = 8
    settings = {
        "MONGO_URI": members.uri(),
        "DB_NAME": users.database.name,
        "SHUTDOWN_GRACE_SECONDS": grace,
    }
    with LiveServer(**settings) as live, Load(live.address, name="term") as load:
        wait_for(lambda: load.statuses()[201] > 20)
        live.process.send_signal(signal.SIGTERM)
        told = time.monotonic()
        assert live.process.wait(LONGEST) == 0
        took = time.monotonic() - told
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{live.address}/livez")
    assert set(load.statuses()) <= {0, 200, 201}, load.statuses()
    assert load.statuses()[201] > 10
    for refused in load.failures():  # refused, or told on a kept connection before it was read
        assert refused.detail.startswith(
            ("ConnectError", "RemoteProtocolError: Server disconnected", "ReadError")
        )
        assert refused.ended > told
    assert_kept(load, users)
    unsure = sum(
        users.count_documents({"email": email}) for one in load.told for email in one.unsure
    )
    assert unsure == 0, "a request was carried out, and its answer withheld"
    measured(f"ended {took:.1f} s after SIGTERM; {load.statuses()}")
