"""Imports that the database, the disk or another writer stops: what was written is said exactly."""

import itertools
import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from app.servers.process import Mongod, find_mongod
from app.store.codes import Code
from app.transfers.import_writing import SENDERS
from tests.api.test_imports import CSV, PATH, counts, people
from tests.api.test_imports_broken import begin
from tests.support.exports import export_processes
from tests.support.faulty import CACHE, faulty_mongod, initiate, wait_for_primary
from tests.support.mongod import needs_mongod
from tests.support.ports import free_ports
from tests.support.processes import family
from tests.support.server import LiveServer
from tests.support.waiting import wait_for

pytestmark = needs_mongod
DATABASE = "imports_failing"
ROWS = 5_000
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with (
        faulty_mongod(tmp_path_factory.mktemp("faulty")) as uri,
        MongoClient[dict[str, Any]](uri) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def live(client: Any) -> Iterator[LiveServer]:
    host, port = client.address
    uri = f"mongodb://{host}:{port}/?directConnection=true"
    with LiveServer(MONGO_URI=uri, DB_NAME=DATABASE, PRIMARY_WAIT_SECONDS=2) as live:
        yield live


@pytest.fixture
def users(client: Any, live: LiveServer) -> Any:
    client[DATABASE]["users"].delete_many({})
    return client[DATABASE]["users"]


def post(live: LiveServer, text: str, query: str = "") -> httpx.Response:
    sent = {"content-type": CSV}
    address = f"{live.address}{PATH}?{query}"
    return httpx.post(address, content=text.encode(), headers=sent, timeout=60)


@contextmanager
def inserts_fail(client: Any, after: int, **how: Any) -> Iterator[None]:
    """After so many commands `insert` all others fail in this way."""
    data = {"failCommands": ["insert"], **how}
    client.admin.command(
        {"configureFailPoint": "failCommand", "mode": {"skip": after}, "data": data}
    )
    try:
        yield
    finally:
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


REFUSED, CLOSED = {"errorCode": int(Code.ExceededTimeLimit)}, {"closeConnection": True}
QUICK = [
    (REFUSED, 0, "abort", "insert"),
    (CLOSED, 2, "abort", "insert"),
    (REFUSED, 2, "skip", "upsert"),
]
OTHERS = [
    one
    for one in itertools.product((REFUSED, CLOSED), (0, 2), ("abort", "skip"), ("insert", "upsert"))
    if one not in QUICK
]


@pytest.mark.parametrize(
    ("how", "after", "on_error", "mode"),
    [*QUICK, *(pytest.param(*one, marks=pytest.mark.slow) for one in OTHERS)],
)
def test_a_database_that_goes_away_while_rows_are_written(
    live: LiveServer,
    client: Any,
    users: Any,
    how: dict[str, Any],
    after: int,
    on_error: str,
    mode: str,
) -> None:
    query = f"mode={mode}&on_error={on_error}"
    with inserts_fail(client, after, **how):
        answer = post(live, people(ROWS), query)
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    rows, inserted, updated, unchanged, failed = counts(answer, 503)
    assert (rows, updated, unchanged, failed) == (ROWS, 0, 0, 0)
    assert inserted == after * 1000 == users.count_documents({})
    detail = answer.json()["detail"]
    assert f"{inserted:,} rows were written for certain" in detail
    assert "mode=upsert does the rest" in detail
    assert counts(post(live, people(ROWS), "mode=upsert")) == (
        ROWS, ROWS - inserted, 0, inserted, 0,
    )  # fmt: skip


@contextmanager
def sending(live: LiveServer, client: Any, text: str, query: str) -> Iterator[list[httpx.Response]]:
    """An import whose rows are all checked, and whose first bulks wait; its answer, at the end."""
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(post(live, text, query)))
    data = {"failCommands": ["insert"], "blockConnection": True, "blockTimeMS": 3000}
    point = {"configureFailPoint": "failCommand", "mode": {"times": SENDERS}, "data": data}
    times = client.admin.command(point)["count"] + 1
    thread.start()
    try:
        words = {"waitForFailPoint": "failCommand", "timesEntered": times, "maxTimeMS": 60_000}
        client.admin.command(words)
        yield answers
    finally:
        thread.join()
        client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


@contextmanager
def held(client: Any, command: str) -> Iterator[dict[str, Any]]:
    """The next of these commands is not answered before the end; what waits until it has come."""
    data = {"failCommands": [command], "blockConnection": True, "blockTimeMS": 600_000}
    point = {"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": data}
    times = client.admin.command(point)["count"] + 1
    try:
        yield {"waitForFailPoint": "failCommand", "timesEntered": times, "maxTimeMS": 60_000}
    finally:
        match = {f"command.{command}": {"$exists": True}}
        for one in client.admin.aggregate([{"$currentOp": {}}, {"$match": match}]):
            client.admin.command("killOp", op=one["opid"])


@pytest.mark.parametrize("query", ["", "mode=upsert"])
def test_a_client_that_leaves_during_the_check_writes_nothing(
    live: LiveServer, client: Any, users: Any, query: str
) -> None:
    body = people(ROWS).encode()
    with held(client, "find") as until_it_came:
        with begin(live, body, len(body), query):
            client.admin.command(until_it_came)
            assert export_processes(live)
        wait_for(lambda: not export_processes(live))
    assert users.count_documents({}) == 0
    assert counts(post(live, people(3))) == (3, 3, 0, 0, 0)


def store(users: Any, number: int) -> None:
    """What another writer stores, by a command other than `insert`."""
    email = f"n{number}@x.com"
    users.update_one({"email": email}, {"$set": {"name": "Other", "email": email}}, upsert=True)


def test_another_writer_takes_a_value_while_rows_are_written(
    live: LiveServer, client: Any, users: Any
) -> None:
    with sending(live, client, people(ROWS), "") as answers:
        store(users, 10)
    [answer] = answers
    body = answer.json()
    rows, inserted, updated, unchanged, failed = counts(answer, 409)
    assert (rows, updated, unchanged, failed) == (ROWS, 0, 0, 1)
    assert inserted == users.count_documents({}) - 1
    assert 999 <= inserted < ROWS
    [error] = body["errors"]
    assert (error["row"], error["column"]) == (12, "email")
    assert "row 12" in body["detail"]
    assert f"{inserted:,} rows were written" in body["detail"]
    again = post(live, people(ROWS), "mode=upsert&key=email")
    assert counts(again) == (ROWS, ROWS - inserted - 1, 1, inserted, 0)


@pytest.mark.slow
def test_skip_goes_on_past_what_another_writer_took(
    live: LiveServer, client: Any, users: Any
) -> None:
    with sending(live, client, people(ROWS), "on_error=skip") as answers:
        store(users, 10)
    assert counts(answers[0]) == (ROWS, ROWS - 1, 0, 0, 1)
    assert answers[0].json()["errors"][0]["row"] == 12
    assert users.count_documents({}) == ROWS


@pytest.mark.slow
def test_upsert_changes_what_another_writer_inserted_meanwhile(
    live: LiveServer, client: Any, users: Any
) -> None:
    with sending(live, client, people(ROWS), "mode=upsert") as answers:
        store(users, 10)
    assert counts(answers[0]) == (ROWS, ROWS - 1, 1, 0, 0)
    assert users.find_one({"email": "n10@x.com"})["name"] == "N10"
    assert users.count_documents({}) == ROWS


@pytest.mark.slow
def test_a_killed_mongod_is_503_with_what_was_written(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    mongod = Mongod(tmp_path / "data", f"127.0.0.1:{port}", *CACHE, "--replSet", "rs0")
    mongod.start(find_mongod())
    uri = f"mongodb://127.0.0.1:{port}/?directConnection=true"
    answers: list[httpx.Response] = []
    try:
        with MongoClient[dict[str, Any]](uri) as client:
            initiate(client)
            with LiveServer(MONGO_URI=uri, DB_NAME=DATABASE, PRIMARY_WAIT_SECONDS=2) as live:
                users = client[DATABASE]["users"]
                text = people(20_000)
                thread = threading.Thread(target=lambda: answers.append(post(live, text)))
                thread.start()
                while users.estimated_document_count() < 2_000 and thread.is_alive():
                    time.sleep(0.002)
                mongod.kill()
                thread.join()
                mongod.start(find_mongod())
                rows, inserted, _, _, failed = counts(answers[0], 503)
                assert (rows, failed) == (20_000, 0)
                # The bulks that were under way may have been written, and nobody can say so.
                wait_for_primary(client)
                assert inserted <= users.count_documents({}) <= inserted + 2_000
                wait_for(lambda: httpx.get(f"{live.address}/readyz").status_code == 200)
                left = counts(post(live, text, "mode=upsert"))
                assert left[0] == left[1] + left[3] == 20_000
    finally:
        mongod.stop()


# --- a full disk ----------------------------------------------------------------------------------


@contextmanager
def small_files(server: LiveServer, size: int) -> Iterator[None]:
    """No file of the server and its children may become larger, as on a disk that is full."""
    processes = {server.process.pid, *family(server.process.pid)}
    before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in processes}
    for pid, (_, hard) in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        for pid, limits in before.items():
            with suppress(ProcessLookupError):  # the one of an import has ended
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("form", [False, True])
def test_a_disk_that_is_full_while_the_file_comes(live: LiveServer, users: Any, form: bool) -> None:
    data = people(100_000).encode()
    sent: dict[str, Any] = {"content": data, "headers": {"content-type": CSV}}
    if form:
        sent = {"files": {"file": ("people.csv", data)}}
    with small_files(live, MIB):
        answer = httpx.post(f"{live.address}{PATH}", **sent, timeout=60)
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "can't keep the file" in answer.json()["detail"]
    assert os.fspath(live.folder) not in answer.text
    assert users.count_documents({}) == 0
    assert counts(post(live, people(3))) == (3, 3, 0, 0, 0)


@pytest.mark.parametrize("query", ["", "on_error=skip"])
def test_a_disk_that_is_full_while_rows_are_checked(
    live: LiveServer, users: Any, query: str
) -> None:
    text = people(30_000)
    assert counts(post(live, people(1))) == (1, 1, 0, 0, 0)  # the processes are there
    assert len(text) < MIB
    with small_files(live, MIB):
        answer = post(live, text, query)
    assert answer.status_code == 503, answer.text
    assert "can't keep" in answer.json()["detail"]
    assert users.count_documents({}) == 1
