"""What the forms and lists beside a table show of what the caller may not see: nothing."""

from collections.abc import AsyncIterator

import bson
import httpx
import pytest

from tests.support.accounts import Served, basic
from tests.support.html import Page

RULES = {
    "users": {"read": {"where": "age__gte=18", "hide": ["email", "profile"]}},
    "students": {"read": True},
}
KEY = bson.ObjectId()


@pytest.fixture
async def client(real: Served) -> AsyncIterator[httpx.AsyncClient]:
    """A client that may read adults without their addresses, and no classes."""
    database = real.database
    database["docsheet.roles"].insert_one({"name": "reader", "rules": RULES})
    real.add("anna", "reader")
    rows = [("Ada", 30), ("Ada", 40), ("Bea", 50), ("Kid", 9), ("Kid", 8), ("Kid", 7)]
    database["users"].insert_many(
        {"name": name, "age": age, "email": f"{number}@example.com", "profile": {"bio": "x"}}
        for number, (name, age) in enumerate(rows)
    )
    database["classes"].insert_one({"_id": KEY, "name": "Grade 1"})
    database["students"].insert_one({"sno": 1001, "name": "Cai", "clas": KEY})
    async with real.client(**basic("anna")) as one:
        yield one


async def read(client: httpx.AsyncClient, path: str, status: int = 200) -> Page:
    answer = await client.get(path)
    assert answer.status_code == status, answer.text
    return Page(answer.text)


async def test_lists_of_values_are_those_of_documents_that_may_be_read(
    client: httpx.AsyncClient,
) -> None:
    page = await read(client, "/ui/users/table/facets")
    assert page.texts("ul", aria_labelledby="facet-name") == ["All Ada 2 Bea 1"]
    assert not page.find("ul", aria_labelledby="facet-profile.bio")


async def test_hidden_fields_are_in_no_form_and_in_no_answer(client: httpx.AsyncClient) -> None:
    page = await read(client, "/ui/users/table/filter")
    assert page.choices("field") == ["", "_id", "name", "age"]
    page = await read(client, "/ui/users/table/filter?field=email&op=eq&value=1&add=1", 422)
    assert not page.find("select", name="op")
    page = await read(client, "/ui/users/table/columns")
    assert [one["value"] for one in page.find("input", name="column")] == ["name", "age"]
    page = await read(client, "/ui/users/?email__contains=0&profile.bio=x", 422)
    assert len(page.find("th", scope="row")) == 3
    assert not page.find("li", class_="pill")


async def test_linked_documents_that_may_not_be_read_have_no_names(
    client: httpx.AsyncClient,
) -> None:
    page = await read(client, "/ui/students/table/filter?field=clas&q=Grade")
    assert page.find("input", id="value")
    assert "clas.name" not in page.choices("field")
    page = await read(client, f"/ui/students/table/facets?clas={KEY}")
    assert page.texts("ul", aria_labelledby="facet-clas") == [f"All {KEY} 1"]
    assert f"clas = {KEY}" in page.texts("li", class_="pill")[0]


async def test_who_may_read_nothing_of_a_collection_has_no_table_of_it(
    client: httpx.AsyncClient,
) -> None:
    for path in ("filter", "columns", "facets"):
        await read(client, f"/ui/teachers/table/{path}", 403)
