"""Links that are declared in other ways: to what may be deleted, in unions of models, in dicts."""

from collections.abc import Iterator
from typing import Any

import bson
import httpx
import pytest

from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = needs_mongod
DATABASE = "links_declared"
SOURCE = '''
from typing import Annotated, Literal

from beanie import Document, Link
from pydantic import BaseModel, Field


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


class Owner(Document):
    """Stays where something is owned."""

    id: int = Field(alias="_id")
    name: str = "n"

    class Settings:
        name = "owners"


class Owned(BaseModel):
    kind: Literal["owned"] = "owned"
    by: Link[Owner]


class Rented(BaseModel):
    kind: Literal["rented"] = "rented"
    by: int
    days: int = 0


class House(BaseModel):
    kind: Literal["house"] = "house"
    rooms: int = 1
    owner: Link[Owner] | None = None


class Boat(BaseModel):
    kind: Literal["boat"] = "boat"
    name: str = ""


class Estate(Document):
    """What it has is one of two models."""

    id: int = Field(alias="_id")
    main: Annotated[House | Boat, Field(discriminator="kind")] | None = None
    others: list[House | Boat] = []
    named: dict[str, House | Boat] = {}
    hold: Owned | Rented | None = None

    class Settings:
        name = "estates"


class Pledge(Document):
    """Has its links in a dict and nowhere else."""

    id: int = Field(alias="_id")
    owners: dict[str, Link[Owner]] = {}

    class Settings:
        name = "pledges"
'''


@pytest.fixture(scope="module")
def server(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("declared")
    (folder / "declared.py").write_text(SOURCE)
    with LiveServer(folder, MONGO_URI=mongo_uri, DB_NAME=DATABASE, MODELS="declared") as live:
        yield live


@pytest.fixture
def http(server: LiveServer, database: Any) -> Iterator[httpx.Client]:
    """Two labels, two songs; the second label is deleted."""
    for name in ("labels", "songs"):
        database.client[DATABASE][name].delete_many({})
    with httpx.Client(base_url=server.address, timeout=60) as client:
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


@pytest.fixture
def estate(server: LiveServer, database: Any) -> Iterator[httpx.Client]:
    """An estate with a house of owner 1, and others: a house of owner 2, and a boat."""
    stored = database.client[DATABASE]
    for name in ("owners", "estates", "pledges"):
        stored[name].delete_many({})
    stored["owners"].insert_many({"_id": number, "name": "n"} for number in (1, 2, 3))
    first, second, third = (
        {"kind": "house", "rooms": 3, "owner": bson.DBRef("owners", number)} for number in (1, 2, 3)
    )
    others = [second, {"kind": "boat", "name": "Argo"}]
    stored["estates"].insert_one({"_id": 1, "main": first, "others": others, "named": {"a": third}})
    with httpx.Client(base_url=server.address, timeout=60) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("estates", {"main": {"kind": "house", "owner": 9}}, "#/main/owner"),
        ("estates", {"others": [{"kind": "boat"}, {"owner": 9}]}, "#/others/1/owner"),
        ("estates", {"named": {"b": {"owner": 9}}}, "#/named/b/owner"),
        ("pledges", {"owners": {"a": 9}}, "#/owners/a"),
    ],
)
def test_a_link_in_a_union_or_a_dict_must_lead_somewhere(
    estate: httpx.Client, path: str, body: dict[str, Any], pointer: str
) -> None:
    sent = {"_id": 5, **body}
    answers = [
        estate.post(f"/{path}/", json=sent),
        estate.post(f"/{path}/import", json=[sent]),
    ]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert [fault["pointer"] for fault in answers[0].json()["errors"]] == [pointer]
    assert estate.get(f"/{path}/5").status_code == 404


def test_a_number_that_another_model_of_the_union_has_is_no_link(estate: httpx.Client) -> None:
    rented = {"_id": 5, "hold": {"kind": "rented", "by": 9}}
    assert estate.post("/estates/", json=rented).status_code == 201
    owned = {"_id": 6, "hold": {"kind": "owned", "by": 9}}
    assert estate.post("/estates/", json=owned).status_code == 422


def test_what_is_linked_to_from_a_union_stays(estate: httpx.Client) -> None:
    assert [estate.delete(f"/owners/{number}").status_code for number in (1, 2)] == [409, 409]
    assert "'estates' (in main.owner)" in estate.delete("/owners/1").json()["detail"]
    reverse = estate.get("/owners/2/estates.others.owner").json()
    assert [one["_id"] for one in reverse] == [1]


def test_links_in_unions_are_expanded(estate: httpx.Client) -> None:
    shown = estate.get("/estates/1?expand=main.owner,others.owner").json()
    assert shown["main"]["owner"] == {"_id": 1, "name": "n"}
    assert shown["others"] == [
        {"kind": "house", "rooms": 3, "owner": {"_id": 2, "name": "n"}},
        {"kind": "boat", "name": "Argo"},
    ]


@pytest.mark.parametrize(
    ("query", "status", "found"),
    [
        ("main.owner=1", 200, 1),
        ("main.owner=2", 200, 0),
        ("others.owner.name=n", 200, 1),
        ("named.a.owner=3", 200, 1),
        ("main.rooms__gte=3&sort=-main.rooms&fields=main.kind", 200, 1),
        ("others.name=Argo", 200, 1),
        ("named.a.rooms=3", 200, 1),
        ("main__exists=true", 200, 1),
        ("main.rooms=three", 422, "main.rooms: must be a whole number"),
        ("main.room=3", 422, "main.room: there is no such parameter here. Did you mean 'main.ro"),
        ("named.a.room=3", 422, "named.a.room: there is no such parameter here."),
        ("main=1", 422, "main: 'main' holds objects; filter by one of its fields"),
        ("sort=main.room", 422, "sort: there is no field 'main.room'. Did you mean 'main.rooms'?"),
        ("fields=main.room", 422, "fields: there is no field 'main.room'."),
    ],
)
def test_filters_know_the_models_of_a_union(
    estate: httpx.Client, query: str, status: int, found: int | str
) -> None:
    answer = estate.get(f"/estates/?{query}")
    assert answer.status_code == status
    if status == 200:
        assert len(answer.json()) == found
    else:
        assert str(found) in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("query", "lines"),
    [
        ("columns=main.rooms,main.owner,main.name", ["main.rooms,main.owner,main.name", "3,1,"]),
        ("columns=main.owner.name,others.1.name", ["main.owner.name,others.1.name", "n,Argo"]),
        ("columns=others.kind&unwind=others", ["others.kind", "house", "boat"]),
    ],
)
def test_columns_lead_into_unions(estate: httpx.Client, query: str, lines: list[str]) -> None:
    assert estate.get(f"/estates/export/csv?{query}").text.splitlines() == lines


def test_a_column_of_a_union_is_read_back(estate: httpx.Client) -> None:
    exported = estate.get("/estates/export/csv?columns=_id,main.kind,main.rooms").text
    form = {"content": exported.replace(",3", ",4"), "headers": {"Content-Type": "text/csv"}}
    report = estate.post("/estates/import?mode=upsert", **form).json()  # type: ignore[arg-type]
    assert (report["updated"], report["failed"]) == (1, 0)
    main = estate.get("/estates/1").json()["main"]
    assert main == {"kind": "house", "rooms": 4, "owner": 1}


def test_openapi_has_the_filters_of_the_models_of_a_union(estate: httpx.Client) -> None:
    document = estate.get("/openapi.json").json()
    names = {one.get("name") for one in document["paths"]["/estates/"]["get"]["parameters"]}
    assert {"main.rooms__gte", "main.owner", "others.name", "main.owner.name"} <= names
    assert "main" not in names
