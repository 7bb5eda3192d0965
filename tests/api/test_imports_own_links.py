"""Imports of rows that link to other rows of the same file, wherever in it these are."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import bson
import httpx
import openpyxl
import pytest

from tests.api.test_imports import CSV, XLSX, counts
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

    class Settings:
        name = "parts"

class Member(Document):
    name: Annotated[str, Indexed(unique=True)]
    age: int | None = None
    boss: Link["Member"] | None = None
    friends: list[Link["Member"]] = []

    class Settings:
        name = "members"

    class Resource:
        columns = ["name:Name", "age", "boss.name:Boss", "friends.name"]
"""


@pytest.fixture(scope="module", params=EITHER)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("members")
    yield from serve_on_either(request, folder, MODELS)


@pytest.fixture
def club(served: Served) -> Served:
    """An HTTP client and the database, in which part 1 and the member Old are."""
    _, database = served
    database["parts"].delete_many({})
    database["members"].delete_many({})
    database["parts"].insert_one({"_id": 1, "name": "one", "whole": None})
    database["members"].insert_one({"name": "Old", "age": None, "boss": None, "friends": []})
    return served


def send(http: httpx.Client, text: str, query: str = "", name: str = "parts") -> httpx.Response:
    headers = {"content-type": CSV}
    return http.post(f"/{name}/import?{query}", content=text.encode(), headers=headers)


def wholes(database: Any) -> dict[int, int | None]:
    """The parts, each with what it is a part of."""
    found = database["parts"].find()
    return {one["_id"]: one["whole"].id if one["whole"] else None for one in found}


def bosses(database: Any) -> dict[str, str | None]:
    """The members' names, each with that of the boss."""
    found = list(database["members"].find())
    names = {one["_id"]: one["name"] for one in found}
    return {one["name"]: names[one["boss"].id] if one["boss"] else None for one in found}


TREE = "_id,name,whole\n2,two,3\n3,three,4\n4,four,1\n5,five,5\n6,six,7\n7,seven,6\n"


@pytest.mark.parametrize("query", ["", "mode=upsert", "on_error=skip", "mode=upsert&key=name"])
def test_rows_link_by_id_to_rows_before_and_after_and_in_circles(club: Served, query: str) -> None:
    http, database = club
    for left in (6, 0):
        answer = send(http, TREE, query if left else "mode=upsert")
        assert counts(answer) == (6, left, 0, 6 - left, 0), answer.text
    assert wholes(database) == {1: None, 2: 3, 3: 4, 4: 1, 5: 5, 6: 7, 7: 6}


def test_a_dry_run_finds_the_rows_too(club: Served) -> None:
    http, database = club
    assert counts(send(http, TREE, "dry_run=true")) == (6, 6, 0, 0, 0)
    assert counts(send(http, TREE + "8,eight,9\n", "dry_run=true")) == (7, 0, 0, 0, 1)
    assert wholes(database) == {1: None}


def errors_of(answer: httpx.Response) -> list[tuple[int, str, str]]:
    return [(one["row"], one["column"], one["detail"]) for one in answer.json()["errors"]]


def test_a_row_fails_with_the_row_that_it_links_to(club: Served) -> None:
    http, database = club
    text = "_id,name,whole\n2,two,3\n3,three,4\n4,,1\n5,five,99\n6,six,1\n7,seven,6\n8,eight,2\n"
    expected = [
        (2, "whole", "whole: Row 3, to which this one links, can't be imported."),
        (3, "whole", "whole: Row 4, to which this one links, can't be imported."),
        (4, "name", "name: This field is required."),
        (5, "whole", "whole: There is no document in 'parts' with the _id 99 to link to."),
        (8, "whole", "whole: Row 2, to which this one links, can't be imported."),
    ]
    answer = send(http, text)
    assert counts(answer, 422) == (7, 0, 0, 0, 5)
    assert errors_of(answer) == expected
    assert wholes(database) == {1: None}
    answer = send(http, text, "on_error=skip")
    assert counts(answer) == (7, 2, 0, 0, 5)
    assert errors_of(answer) == expected
    assert wholes(database) == {1: None, 6: 1, 7: 6}


def test_update_writes_no_row_that_another_could_link_to(club: Served) -> None:
    http, database = club
    answer = send(http, "_id,name,whole\n1,one,2\n2,two,\n", "mode=update")
    assert counts(answer, 422) == (2, 0, 0, 0, 2)
    assert wholes(database) == {1: None}


def test_a_stored_document_may_link_to_a_row_that_is_inserted(club: Served) -> None:
    http, database = club
    answer = send(http, "_id,name,whole\n1,one,2\n2,two,1\n", "mode=upsert")
    assert counts(answer) == (2, 1, 1, 0, 0)
    assert wholes(database) == {1: 2, 2: 1}


@pytest.mark.parametrize("query", ["", "mode=upsert"])
def test_rows_name_rows_before_and_after_and_in_circles(club: Served, query: str) -> None:
    http, database = club
    text = "name,boss.name\nEva,Dan\nDan,Ada\nAda,\nBob,Ada\nCid,Old\nFay,Gus\nGus,Fay\nHal,Hal\n"
    answer = send(http, text, query, "members")
    assert counts(answer) == (8, 8, 0, 0, 0), answer.text
    assert bosses(database) == {
        "Old": None, "Eva": "Dan", "Dan": "Ada", "Ada": None, "Bob": "Ada", "Cid": "Old",
        "Fay": "Gus", "Gus": "Fay", "Hal": "Hal",
    }  # fmt: skip
    assert counts(send(http, text, "mode=upsert", "members")) == (8, 0, 0, 8, 0)


def test_rows_name_rows_that_have_an_id(club: Served) -> None:
    http, database = club
    keys = [str(bson.ObjectId()) for _ in range(3)]
    text = f"_id,name,boss.name\n{keys[0]},Ada,Bob\n{keys[1]},Bob,\n{keys[2]},Cid,Ada\n"
    assert counts(send(http, text, "mode=upsert", "members")) == (3, 3, 0, 0, 0)
    assert bosses(database) == {"Old": None, "Ada": "Bob", "Bob": None, "Cid": "Ada"}
    assert {str(one["_id"]) for one in database["members"].find({"name": {"$ne": "Old"}})} == {
        *keys
    }
    exported = http.get("/members/export/csv?columns=_id,name,boss.name").text
    database["members"].delete_many({})
    assert counts(send(http, exported, "", "members")) == (4, 4, 0, 0, 0)
    assert bosses(database) == {"Old": None, "Ada": "Bob", "Bob": None, "Cid": "Ada"}


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_what_an_export_shows_through_links_changes_nothing(club: Served, format: str) -> None:
    http, database = club
    old, gone, nameless = database["members"].find_one()["_id"], bson.ObjectId(), bson.ObjectId()
    links = [old, gone, nameless]
    stored: list[Any] = [None, "x", 5, [], *(bson.DBRef("members", one) for one in links), old]
    stored += [[one] for one in stored] + [stored[3:]]
    database["members"].insert_one({"_id": nameless})
    for number, one in enumerate(stored):
        database["members"].insert_one({"name": f"m{number}", "boss": one, "friends": one})
    before = list(database["members"].find(sort=[("_id", 1)]))
    exported = http.get(f"/members/export/{format}?columns=_id,*").content
    for key in ("_id", "name"):
        headers = {"content-type": CSV if format == "csv" else XLSX}
        query = f"mode=upsert&key={key}&on_error=skip"
        answer = http.post(f"/members/import?{query}", content=exported, headers=headers)
        assert answer.json()["updated"] == answer.json()["inserted"] == 0, answer.text
        assert answer.json()["unchanged"] >= len(before) - 1, answer.text
        assert list(database["members"].find(sort=[("_id", 1)])) == before
    emptied = "Name,Boss\nm4,\nm5,\n"
    assert counts(send(http, emptied, "mode=update&key=name", "members")) == (2, 0, 1, 1, 0)
    assert database["members"].find_one({"name": "m4"}).get("boss") is None
    assert database["members"].find_one({"name": "m5"})["boss"].id == gone


def test_a_list_names_several(club: Served) -> None:
    http, database = club
    text = 'name,friends.name\nAda,"[""Old"",""Bob""]"\nBob,"[""Ada""]"\n'
    assert counts(send(http, text, "", "members")) == (2, 2, 0, 0, 0)
    names = {one["_id"]: one["name"] for one in database["members"].find()}
    ada = database["members"].find_one({"name": "Ada"})
    assert [names[link.id] for link in ada["friends"]] == ["Old", "Bob"]


def test_a_name_of_nobody_and_a_name_of_a_wrong_row(club: Served) -> None:
    http, database = club
    text = "name,age,boss.name\nAda,1,Nobody\nBob,old,\nCid,2,Bob\nDan,3,Ada\nEva,4,Old\n"
    answer = send(http, text, "on_error=skip", "members")
    assert counts(answer) == (5, 1, 0, 0, 4)
    found = errors_of(answer)
    assert [row for row, _, _ in found] == [2, 3, 4, 5]
    assert "with the name 'Nobody' to link to" in found[0][2]
    assert "with the name 'Bob' to link to" in found[2][2]
    assert found[3][2] == "boss.name: Row 2, to which this one links, can't be imported."
    assert bosses(database) == {"Old": None, "Eva": "Old"}


def test_the_sheet_to_correct_has_its_rows_in_order(club: Served) -> None:
    http, _ = club
    text = "name,age,boss.name\nAda,1,Nobody\nBob,old,\nCid,2,Ada\nDan,3,Old\n"
    sent = {"content-type": CSV, "accept": CSV}
    answer = http.post("/members/import", content=text.encode(), headers=sent)
    assert answer.status_code == 422
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert [row["name"] for row in rows] == ["Ada", "Bob", "Cid", "Dan"]
    assert [bool(row["error"]) for row in rows] == [True, True, True, False]
    assert "Row 2" in rows[2]["error"]


def test_a_workbook_whose_rows_wait_keeps_its_cells(club: Served) -> None:
    http, database = club
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in (["name", "age", "boss.name"], ["Ada", 30, "Bob"], ["Bob", "=1+1", None]):
        sheet.append(row)
    sheet["B2"].number_format = "0.00"
    file = io.BytesIO()
    book.save(file)
    sent = {"content-type": XLSX}
    answer = http.post("/members/import", content=file.getvalue(), headers=sent)
    assert [row for row, _, _ in errors_of(answer)] == [2, 3]  # Bob's formula has no value
    sheet["B3"] = 31
    file = io.BytesIO()
    book.save(file)
    answer = http.post("/members/import", content=file.getvalue(), headers=sent)
    assert counts(answer) == (2, 2, 0, 0, 0)
    assert bosses(database) == {"Old": None, "Ada": "Bob", "Bob": None}


def test_many_rows_that_link_far_ahead(club: Served) -> None:
    http, database = club
    last = 4_001
    rows = [{"_id": key, "name": f"n{key}", "whole": key + 1} for key in range(2, last)]
    rows.append({"_id": last, "name": "last", "whole": 2})
    text = "\n".join(map(json.dumps, rows))
    headers = {"content-type": "application/x-ndjson"}
    answer = http.post("/parts/import", content=text.encode(), headers=headers)
    assert counts(answer) == (4_000, 4_000, 0, 0, 0)
    assert database["parts"].count_documents({"whole": {"$ne": None}}) == 4_000
    rows[-1]["whole"] = 0
    database["parts"].delete_many({"_id": {"$ne": 1}})
    text = "\n".join(map(json.dumps, rows))
    answer = http.post("/parts/import?on_error=skip", content=text.encode(), headers=headers)
    assert counts(answer) == (4_000, 0, 0, 0, 4_000)
    assert wholes(database) == {1: None}
