"""Exports through the death of the primary: complete, each user once, as they were at the start."""

import csv
import io
import os
import time
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from python_calamine import CalamineWorkbook

from app.servers.replica_set import ReplicaSet
from tests.replica_set.load import measured
from tests.support.exports import slow_client
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer
from tests.support.waiting import wait_for

pytestmark = [*needs_mongod, pytest.mark.replica_set]

BUFFERS = 6 * 1024 * 1024  # bytes that may wait in pipes and sockets while the client reads nothing
HEADER = ["name", "email", "age", "profile.bio", "profile.age", "profile.addresses"]


def fill(users: Any, count: int) -> None:
    """Users that don't compress well, so that a file is larger than all buffers."""
    for begin in range(0, count, 5_000):
        users.insert_many(
            [
                {
                    "name": f"user {number}",
                    "email": f"u{number}@example.com",
                    "age": number % 90,
                    "profile": {"bio": os.urandom(240).hex(), "age": number % 90, "addresses": []},
                }
                for number in range(begin, begin + 5_000)
            ]
        )


def snapshot(users: Any) -> list[list[str]]:
    """The rows that an export has to have, as CSV shows them."""
    return [
        [
            user["name"],
            user["email"],
            str(user["age"]),
            user["profile"]["bio"],
            str(user["profile"]["age"]),
            "[]",
        ]
        for user in users.find(sort=[("_id", 1)])
    ]


def change(users: Any, count: int) -> None:
    """What an export of a snapshot must not show."""
    users.update_many(
        {"email": {"$regex": f"^u{count - 1}|^u{count - 9}"}}, {"$set": {"name": "changed"}}
    )
    users.delete_one({"email": f"u{count - 2}@example.com"})
    users.insert_one({"name": "new", "email": "new@example.com", "age": 1, "profile": None})


def read_rows(format: str, content: bytes) -> list[list[str]]:
    if format == "csv":
        return list(csv.reader(io.StringIO(content.decode(), newline="")))
    rows = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()
    return [
        [str(int(cell)) if isinstance(cell, float) else str(cell) for cell in row] for row in rows
    ]


def read_ended_record(http: httpx.Client, export_id: str) -> dict[str, Any]:
    """How an export ended, once the new primary has it: the file didn't wait for the election."""

    def read() -> dict[str, Any]:
        record: dict[str, Any] = http.get(f"/exports/{export_id}").json()
        return record

    wait_for(lambda: read().get("state") not in (None, "running"), otherwise="it wasn't recorded")
    return read()


def export_through_a_kill(members: ReplicaSet, users: Any, address: str, count: int) -> None:
    """CSV and XLSX, and a CSV in the order of another index, all three side by side."""
    fill(users, count)
    expected = snapshot(users)
    by_email = sorted(expected, key=lambda row: row[1], reverse=True)
    wanted = {"csv": expected, "xlsx": expected, "csv?sort=-email": by_email}
    with slow_client(address) as http:
        with ExitStack() as opened:
            answers = {
                name: opened.enter_context(http.stream("GET", f"/users/export/{name}"))
                for name in wanted
            }
            parts = {name: answer.iter_raw(65536) for name, answer in answers.items()}
            files = {name: [next(chunks)] for name, chunks in parts.items()}
            change(users, count)
            killed = members.kill("PRIMARY")
            for name, chunks in parts.items():
                files[name] += chunks
        for name, pieces in files.items():
            content = b"".join(pieces)
            rows = read_rows(name.partition("?")[0], content)
            assert rows[0] == HEADER
            assert rows[1:] == wanted[name], name
            assert len(content) > BUFFERS, "it was ready before the kill"
            record = read_ended_record(http, answers[name].headers["X-Export-Id"])
            assert (record["state"], record["documents"], record["bytes"]) == (
                "complete",
                count,
                len(content),
            )
    members.restart(killed)


@pytest.mark.slow
def test_an_export_survives_the_death_of_the_primary(
    http: httpx.Client, members: ReplicaSet, users: Any
) -> None:
    began = time.monotonic()
    export_through_a_kill(members, users, str(http.base_url), 30_000)
    measured(
        "30,000 users three times, filled, exported and compared, in "
        f"{time.monotonic() - began:.1f} s"
    )


@pytest.mark.slow
def test_a_large_export_survives_the_death_of_the_primary(
    http: httpx.Client, members: ReplicaSet, users: Any
) -> None:
    began = time.monotonic()
    export_through_a_kill(members, users, str(http.base_url), 300_000)
    measured(
        "300,000 users three times, filled, exported and compared, in "
        f"{time.monotonic() - began:.1f} s"
    )


def test_secondary_preferred_leaves_the_primary_alone(members: ReplicaSet, users: Any) -> None:
    fill(users, 5_000)
    with LiveServer(
        MONGO_URI=members.uri(),
        DB_NAME=users.database.name,
        EXPORT_READ_PREFERENCE="secondaryPreferred",
    ) as live:
        wait_for(lambda: export_past_the_primary(members, live), otherwise="it asks the primary")


def export_past_the_primary(members: ReplicaSet, live: LiveServer) -> bool:
    """Whether an export asks no primary: one that finds that member first goes on with it."""
    before = queries(members)
    text = httpx.get(f"{live.address}/users/export/csv", timeout=60).text
    assert len(text.splitlines()) > 5_000  # late writes of another test may be there
    after = queries(members)
    primary = members.primary
    more = {name: after[name] - before[name] for name in after}
    # Pages of 500 and 1,000 documents.
    return sum(more[name] for name in more if name != primary) >= 6 and more.get(primary) == 0


def queries(members: ReplicaSet) -> dict[str, int]:
    """How many queries on the users each member has answered."""
    counts = {}
    for name in members.members:
        with members._client(name) as client:
            counts[name] = client.admin.command("top")["totals"]["docsheet.users"]["queries"][
                "count"
            ]
    return counts


def test_a_client_reads_its_own_writes(http: httpx.Client) -> None:
    for number in range(50):
        stored = http.post(
            "/users/", json={"name": "a", "email": f"own{number}@example.com"}
        ).json()
        assert http.get(f"/users/{stored['_id']}").status_code == 200
        assert http.get("/users/", params={"email": stored["email"]}).json() == [stored]
    wait_for(lambda: http.get("/readyz").status_code == 200)
