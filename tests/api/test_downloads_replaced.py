"""The collection is another one in mid-export: the file is whole, or the transfer breaks."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from tests.support.exports import BIG, slow_client
from tests.support.filling import fill, large_users
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = needs_mongod
DOCUMENTS = 12_000
SECONDS = 60  # that one transfer may take


@pytest.fixture(scope="module")
def replaceable(mongo_uri: str) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        yield client[f"{BIG}_replaced"]
        client.drop_database(f"{BIG}_replaced")


@pytest.fixture(scope="module")
def server(mongo_uri: str, replaceable: Any) -> Iterator[LiveServer]:
    with LiveServer(MONGO_URI=mongo_uri, DB_NAME=replaceable.name) as live:
        yield live


def drop(database: Any) -> None:
    database.drop_collection("users")


def rename(database: Any) -> None:
    database["users"].rename("elsewhere", dropTarget=True)


def convert(database: Any) -> None:
    database.command("convertToCapped", "users", size=100_000_000)


def fill_anew(database: Any) -> None:
    database.drop_collection("users")
    database["users"].insert_many([{"_id": 50_000 + n, "name": "another"} for n in range(5)])


# How a collection goes is MongoDB's matter, how a file breaks that of its format.
WAYS = [("csv", way) for way in (drop, rename, convert, fill_anew)]
WAYS += [(format_, drop) for format_ in ("xlsx", "ndjson", "json")]
OTHER_WAYS = [(format_, way) for format_ in ("xlsx", "ndjson", "json") for _, way in WAYS[1:4]]


@pytest.mark.parametrize(
    ("format_", "replace"),
    [*WAYS, *(pytest.param(*way, marks=pytest.mark.slow) for way in OTHER_WAYS)],
)
@pytest.mark.parametrize("consistency", ["snapshot", "none"])
def test_a_file_of_a_replaced_collection_is_whole_or_breaks(
    server: LiveServer,
    replaceable: Any,
    format_: str,
    replace: Callable[[Any], None],
    consistency: str,
) -> None:
    replaceable.drop_collection("users")
    fill(replaceable["users"], large_users(DOCUMENTS))
    columns = "_id,name"
    asked = {"columns": columns, "consistency": consistency}
    received = bytearray()
    with slow_client(server.address) as http:
        http.timeout = httpx.Timeout(SECONDS)
        with http.stream("GET", f"/users/export/{format_}", params=asked) as answer:
            assert answer.status_code == 200
            chunks = answer.iter_raw(64 * 1024)
            received += next(chunks)
            replacing = threading.Thread(target=replace, args=(replaceable,))
            replacing.start()
            replacing.join(SECONDS)
            try:
                for chunk in chunks:
                    received += chunk
            except httpx.RemoteProtocolError:
                export_id = answer.headers["X-Export-Id"]
                record = http.get(f"/exports/{export_id}").json()
                assert record["state"] == "failed"
                return
        record = http.get(f"/exports/{answer.headers['X-Export-Id']}").json()
    assert record["state"] == "complete"
    assert record["documents"] == DOCUMENTS
    assert b"another" not in received
