"""Of many writers with one ETag exactly one succeeds, also where what they write is only equal."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bson
import httpx
import pytest

from tests.support.deployments import EITHER, Served, serve_on_either
from tests.support.mongod import needs_mongod

pytestmark = needs_mongod

MODELS = """
from decimal import Decimal
from typing import Any
from beanie import DecimalAnnotation, Document

class Price(Document):
    amount: DecimalAnnotation = Decimal("0")
    name: str = ""
    ratio: float = 0.0
    data: dict[str, Any] = {}
    class Settings:
        name = "prices"
"""
WRITERS = 30


@pytest.fixture(scope="module", params=EITHER)
def prices(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("prices")
    yield from serve_on_either(request, folder, MODELS, BODY_LIMIT_MIB=16)


def race(http: httpx.Client, path: str, bodies: list[dict[str, Any]]) -> list[int]:
    """The statuses of PATCHes sent at once, all with the ETag of the document before."""
    etag = http.get(path).headers["ETag"]
    with ThreadPoolExecutor(len(bodies)) as pool:
        answers = pool.map(
            lambda body: http.patch(path, json=body, headers={"If-Match": etag}), bodies
        )
        return sorted(answer.status_code for answer in answers)


@pytest.mark.parametrize(
    "repeat", [0, *(pytest.param(number, marks=pytest.mark.slow) for number in range(1, 10))]
)
def test_decimals_that_are_only_equal(prices: tuple[httpx.Client, Any], repeat: int) -> None:
    http, _ = prices
    path = f"/prices/{http.post('/prices/', json={'amount': '1'}).json()['_id']}"
    bodies = [{"amount": "1." + "0" * number} for number in range(1, WRITERS + 1)]
    assert race(http, path, bodies) == [200] + [412] * (WRITERS - 1)


def test_numbers_of_other_types(prices: tuple[httpx.Client, Any]) -> None:
    http, database = prices
    key = bson.ObjectId()
    values: list[Any] = [bson.Int64(2**40), 2.0**40, bson.Decimal128(str(2**40))]
    database["prices"].insert_one({"_id": key, "data": {"n": values[0]}, "name": "a"})
    etag = http.get(f"/prices/{key}").headers["ETag"]
    for value in values[1:]:
        database["prices"].update_one({"_id": key}, {"$set": {"data.n": value}})
        headers = {"If-Match": etag}
        assert http.patch(f"/prices/{key}", json={"name": "b"}, headers=headers).status_code == 412
        assert http.delete(f"/prices/{key}", headers=headers).status_code == 412
    assert database["prices"].find_one({"_id": key})["name"] == "a"


def test_texts_under_a_collation(prices: tuple[httpx.Client, Any]) -> None:
    http, database = prices
    database.drop_collection("prices")
    database.create_collection("prices", collation={"locale": "en", "strength": 1})
    for key in (bson.ObjectId(), "Key"):
        database["prices"].insert_one({"_id": key, "name": "name"})
        bodies = [
            {"name": "".join(c.upper() if number >> i & 1 else c for i, c in enumerate("name"))}
            for number in range(1, 16)
        ]
        assert race(http, f"/prices/{key}", bodies) == [200] + [412] * 14
    database.drop_collection("prices")


@pytest.mark.parametrize(
    "mebibytes", [6, *(pytest.param(size, marks=pytest.mark.slow) for size in (8, 14))]
)
def test_large_document(prices: tuple[httpx.Client, Any], mebibytes: int) -> None:
    http, database = prices
    key = bson.ObjectId()
    large = {"_id": key, "name": "a", "data": {"blob": b"x" * mebibytes * 1024 * 1024}}
    database["prices"].insert_one(large)
    bodies = [{"ratio": float(number)} for number in range(1, 4)]
    assert race(http, f"/prices/{key}", bodies) == [200, 412, 412]
    etag = http.get(f"/prices/{key}").headers["ETag"]
    headers = {"If-Match": etag}
    replaced = http.put(f"/prices/{key}", json={"name": "b"}, headers=headers)
    assert replaced.status_code == 200
    assert http.delete(f"/prices/{key}", headers=headers).status_code == 412
    assert (
        http.delete(f"/prices/{key}", headers={"If-Match": replaced.headers["ETag"]}).status_code
        == 204
    )


def test_too_large_to_be_compared_without_transactions_is_said(
    prices: tuple[httpx.Client, Any],
) -> None:
    http, database = prices
    key = bson.ObjectId()
    database["prices"].insert_one({"_id": key, "data": {"blob": "x" * 9 * 1024 * 1024}})
    body = {"data": {"blob": "y" * 9 * 1024 * 1024}}
    etag = http.get(f"/prices/{key}").headers["ETag"]
    answer = http.put(f"/prices/{key}", json=body, headers={"If-Match": etag})
    if "setName" in database.client.admin.command("hello"):
        assert answer.status_code == 200
    else:
        assert answer.status_code == 501
        assert "replica set" in answer.json()["detail"]
        assert http.put(f"/prices/{key}", json=body).status_code == 200
    database["prices"].delete_one({"_id": key})
