"""One snapshot: a file's sums are those of one instant, whatever is written meanwhile.

What ends the snapshot.
"""

import csv
import io
import json
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openpyxl
import pytest
from pymongo import MongoClient

from app.servers.embedded import EmbeddedDatabase
from tests.support.exports import BIG, download, record, serving, slow_client
from tests.support.filling import fill, large_users
from tests.support.mongod import needs_mongod, require_mongod

pytestmark = [*needs_mongod, pytest.mark.slow]
ACCOUNTS, START = 12_000, 100


@contextmanager
def writing(client: "MongoClient[Any]", users: Any) -> Iterator[None]:
    """Moves amounts between documents at random, in transactions, from the start to the end."""
    begun, end = threading.Event(), threading.Event()
    source = random.Random(1)

    def move() -> None:
        with client.start_session() as session:
            while not end.is_set():
                first, second = source.sample(range(ACCOUNTS), 2)
                with session.start_transaction():
                    for key, amount in ((first, -7), (second, 7)):
                        users.update_one({"_id": key}, {"$inc": {"age": amount}}, session=session)
                begun.set()

    thread = threading.Thread(target=move)
    thread.start()
    try:
        assert begun.wait(60)
        yield
    finally:
        end.set()
        thread.join()


def _ages_of_csv(content: bytes) -> list[int]:
    return [int(age) for (age,) in list(csv.reader(io.StringIO(content.decode())))[1:]]


def _ages_of_xlsx(content: bytes) -> list[int]:
    sheet = openpyxl.load_workbook(io.BytesIO(content), read_only=True).worksheets[0]
    return [int(str(age)) for (age,) in list(sheet.iter_rows(values_only=True))[1:]]


def _ages_of_ndjson(content: bytes) -> list[int]:
    return [json.loads(line)["age"] for line in content.splitlines()]


@pytest.mark.parametrize(
    ("format_", "ages"),
    [("csv", _ages_of_csv), ("xlsx", _ages_of_xlsx), ("ndjson", _ages_of_ndjson)],
)
@pytest.mark.parametrize("sort", ["", "-_id", "email", "name"])
def test_the_sum_is_that_of_one_instant(
    http: httpx.Client, users: Any, format_: str, ages: Callable[[bytes], list[int]], sort: str
) -> None:
    users.insert_many(
        [{"_id": n, "age": START, "email": str(n), "name": str(n % 99)} for n in range(ACCOUNTS)]
    )
    with writing(users.database.client, users):
        for _ in range(2):
            answer = http.get(f"/users/export/{format_}?columns=age&sort={sort}")
            found = ages(answer.content)
            assert (len(found), sum(found)) == (ACCOUNTS, ACCOUNTS * START)
            assert set(found) != {START}


def test_a_snapshot_that_is_too_old_breaks_the_transfer_and_none_goes_on() -> None:
    require_mongod()
    with (
        tempfile.TemporaryDirectory(prefix="docsheet-") as folder,
        EmbeddedDatabase.open(Path(folder), 256, 0) as embedded,
        MongoClient[dict[str, Any]](embedded.uri) as client,
    ):
        fill(client[BIG]["users"], large_users())
        with serving(embedded.uri) as live, slow_client(live.address) as http:
            with (
                download(http, "csv") as snapshot,
                download(http, "csv?consistency=none") as current,
            ):
                old, new = snapshot.iter_raw(), current.iter_raw()
                next(old)
                first = next(new)
                until = time.monotonic() + 6
                while time.monotonic() < until:  # the window moves as the history grows
                    client[BIG]["users"].update_one({"_id": 1}, {"$inc": {"age": 1}})
                    time.sleep(0.01)
                with pytest.raises(httpx.RemoteProtocolError):
                    list(old)
                assert len((first + b"".join(new)).splitlines()) == 30_001
            found = record(http, snapshot)
            assert found["state"] == "failed"
            assert "minSnapshotHistoryWindowInSeconds" in found["detail"]
            assert live.logged("minSnapshotHistoryWindowInSeconds")
            assert record(http, current)["state"] == "complete"
