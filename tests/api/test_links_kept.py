"""Documents that may be deleted though others link to them: `on_delete = "keep"`."""

from collections.abc import Iterator
from typing import Any

import bson
import httpx
import pytest

from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = needs_mongod
DATABASE = "links_kept"
SOURCE = '''
from beanie import Document, Link
from pydantic import Field


class Label(Document):
    """May go whoever has it."""

    id: int = Field(alias="_id")
    name: str

    class Settings:
        name = "labels"

    class Resource:
        on_delete = "keep"


class Song(Document):
    """Has labels."""

    id: int = Field(alias="_id")
    label: Link[Label]
    labels: list[Link[Label]] = []

    class Settings:
        name = "songs"
'''


@pytest.fixture(scope="module")
def server(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("kept")
    (folder / "kept.py").write_text(SOURCE)
    with LiveServer(folder, MONGO_URI=mongo_uri, DB_NAME=DATABASE, MODELS="kept") as live:
        yield live


@pytest.fixture
def http(server: LiveServer, database: Any) -> Iterator[httpx.Client]:
    """Two labels, two songs; the second label is deleted."""
    for name in ("labels", "songs"):
        database.client[DATABASE][name].delete_many({})
    with httpx.Client(base_url=server.address, timeout=30) as client:
        for number, name in enumerate(("a", "b"), 1):
            client.post("/labels/", json={"_id": number, "name": name}).raise_for_status()
        for body in (
            {"_id": 1, "label": 1, "labels": [1, 2]},
            {"_id": 2, "label": 2, "labels": [2]},
        ):
            client.post("/songs/", json=body).raise_for_status()
        assert client.delete("/labels/2").status_code == 204
        yield client


def test_the_links_stay_and_lead_nowhere(http: httpx.Client, database: Any) -> None:
    stored = database.client[DATABASE]["songs"].find_one({"_id": 2})
    assert (stored["label"], stored["labels"]) == (
        bson.DBRef("labels", 2),
        [bson.DBRef("labels", 2)],
    )
    assert http.get("/songs/2").json() == {"_id": 2, "label": 2, "labels": [2]}
    a = {"_id": 1, "name": "a"}
    assert http.get("/songs/?expand=label,labels").json() == [
        {"_id": 1, "label": a, "labels": [a, 2]},
        {"_id": 2, "label": 2, "labels": [2]},
    ]


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("label=2", [2]),
        ("labels=2", [1, 2]),
        ("label.name=a", [1]),
        ("label.name=b", []),
        ("label.name__ne=b", [1, 2]),
        ("label.name__exists=false", [2]),
        ("labels.name=a", [1]),
        ("label__exists=true", [1, 2]),
    ],
)
def test_filters_go_on(http: httpx.Client, query: str, keys: list[int]) -> None:
    assert [one["_id"] for one in http.get(f"/songs/?{query}").json()] == keys


def test_what_lists_led_there_is_gone(http: httpx.Client) -> None:
    assert http.get("/labels/2/songs.label").status_code == 404


def test_writes_go_on(http: httpx.Client) -> None:
    assert http.patch("/songs/2", json={"labels": [2, 1]}).json()["labels"] == [2, 1]
    refused = http.patch("/songs/1", json={"label": 2, "labels": [9]})
    assert [fault["pointer"] for fault in refused.json()["errors"]] == ["#/label", "#/labels/0"]
    body = {"label": 2, "labels": [2]}
    assert http.put("/songs/2", json=body).json() == {"_id": 2, **body}
    assert http.post("/songs/", json={"_id": 3, "label": 2}).status_code == 422
    assert http.delete("/songs/2").status_code == 204
