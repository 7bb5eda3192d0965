"""Many documents at once where they link to each other, on a replica set and on a single server."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.deployments import EITHER, Served, serve_on_either
from tests.support.mongod import needs_mongod

pytestmark = needs_mongod
MODELS = """
from typing import Annotated
from beanie import Document, Indexed, Link
from pydantic import Field

class Part(Document):
    id: int = Field(alias="_id")
    name: Annotated[str, Indexed(unique=True)]
    whole: Link["Part"] | None = None
    others: list[Link["Part"]] = []

    class Settings:
        name = "parts"
"""


@pytest.fixture(scope="module", params=EITHER)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("parts")
    for http, database in serve_on_either(request, folder, MODELS):
        yield http, database["parts"]


@pytest.fixture
def shop(served: Served) -> Served:
    """An HTTP client and the collection, of which 1 is the whole of 2 and 3, and 4 is alone."""
    _, parts = served
    parts.delete_many({})
    parts.insert_many(
        {
            "_id": key,
            "name": f"part {key}",
            "whole": {"$ref": "parts", "$id": 1} if key in (2, 3) else None,
            "others": [],
        }
        for key in (1, 2, 3, 4)
    )
    return served


def keys(parts: Any) -> list[int]:
    return [one["_id"] for one in parts.find({}, {"_id": 1}).sort("_id", 1)]


def test_documents_of_an_array_may_link_to_each_other(shop: Served) -> None:
    http, parts = shop
    bodies = [
        {"_id": 10, "name": "ten", "whole": 11},
        {"_id": 11, "name": "eleven", "whole": 10, "others": [1, 11]},
    ]
    answer = http.post("/parts/", json=bodies)
    assert answer.status_code == 201, answer.text
    assert [one["whole"] for one in answer.json()] == [11, 10]
    assert keys(parts) == [1, 2, 3, 4, 10, 11]


@pytest.mark.parametrize(
    ("bodies", "status", "pointers"),
    [
        ([{"_id": 10, "name": "a"}, {"_id": 11, "name": "b", "whole": 99}], 422, ["#/1/whole"]),
        ([{"_id": 10, "name": "a"}, {"_id": 11, "name": "a"}], 409, ["#/1/name"]),
        ([{"_id": 10, "name": "a"}, {"_id": 10, "name": "b"}], 409, ["#/1/_id"]),
        ([{"_id": 10, "name": "a"}, {"_id": 11, "name": "part 2"}], 409, ["#/1/name"]),
        (
            [{"_id": 10, "name": "a", "others": [1, 98]}, {"_id": 11, "name": 5, "whole": 1}],
            422,
            ["#/1/name"],
        ),
    ],
)
def test_an_array_of_which_one_fails_writes_nothing(
    shop: Served, bodies: list[dict[str, Any]], status: int, pointers: list[str]
) -> None:
    http, parts = shop
    answer = http.post("/parts/", json=bodies)
    assert answer.status_code == status, answer.text
    assert [one["pointer"] for one in answer.json()["errors"]] == pointers
    assert keys(parts) == [1, 2, 3, 4]


def test_a_patch_of_many_names_each_link_that_leads_nowhere(shop: Served) -> None:
    http, parts = shop
    answer = http.patch("/parts/?whole=1&max_affected=10", json={"whole": 99})
    assert answer.status_code == 200, answer.text
    outcome = answer.json()
    assert (outcome["matched"], outcome["changed"], outcome["failed"]) == (2, 0, 2)
    assert [one["_id"] for one in outcome["errors"]] == [2, 3]
    assert all("'parts' with the _id 99" in one["detail"] for one in outcome["errors"])
    answer = http.patch("/parts/?whole=1&max_affected=10", json={"whole": 4, "others": [1, 2]})
    assert answer.json() == {"matched": 2, "changed": 2, "failed": 0, "errors": []}
    assert [one["whole"].id for one in parts.find({"_id": {"$in": [2, 3]}})] == [4, 4]


def test_a_patch_of_many_by_what_a_link_leads_to(shop: Served) -> None:
    http, parts = shop
    answer = http.patch("/parts/?whole.name=part 1&max_affected=10", json={"whole": None})
    assert answer.json() == {"matched": 2, "changed": 2, "failed": 0, "errors": []}
    assert parts.count_documents({"whole": {"$ne": None}}) == 0


def test_a_delete_of_many_keeps_what_is_linked_to(shop: Served) -> None:
    http, parts = shop
    answer = http.delete("/parts/?_id__in=1,4&max_affected=10")
    assert answer.status_code == 200, answer.text
    outcome = answer.json()
    assert (outcome["matched"], outcome["changed"], outcome["failed"]) == (2, 1, 1)
    [error] = outcome["errors"]
    assert error["_id"] == 1
    assert "2 documents of 'parts' (in whole) link to this document" in error["detail"]
    assert keys(parts) == [1, 2, 3]
    outcome = http.delete("/parts/?_id__gte=2&max_affected=10").json()
    assert (outcome["changed"], outcome["failed"]) == (2, 0)
    assert http.delete("/parts/?_id=1&max_affected=1").json()["changed"] == 1
    assert keys(parts) == []
