"""Several rows ticked, or all that match: downloaded, one field changed, deleted, with a report."""

import html
import re
from collections.abc import AsyncIterator
from typing import Any

import bson
import httpx
import pytest
from playwright.async_api import Page, expect

from tests.support.accounts import Served, serve
from tests.support.mongod import needs_mongod

pytestmark = needs_mongod


def people(count: int) -> list[dict[str, Any]]:
    return [
        {"name": f"N{number:03}", "email": f"{number}@example.com", "age": number}
        for number in range(count)
    ]


def report(answer: httpx.Response) -> dict[str, str]:
    """The numbers of a report."""
    assert answer.status_code == 200, answer.text
    return dict(re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", answer.text))


def heading(answer: httpx.Response) -> str:
    found = re.search(r"<h1>(.*?)</h1>", answer.text, re.DOTALL)
    assert found is not None
    return found[1].strip()


def change(http: httpx.Client, query: str, **form: str) -> httpx.Response:
    words = {"do": "change", "shown": form.get("field", ""), **form}
    return http.post(f"/ui/users/bulk/change?{query}", data=words)


async def test_ticked_rows_are_changed(page: Page, users: Any) -> None:
    users.insert_many(people(5))
    await page.goto("/ui/users/?sort=name&fields=name,age")
    await expect(page.get_by_role("button", name="With the ticked rows…")).to_be_disabled()
    keys = [row["_id"] for row in users.find({}, sort=[("name", 1)])]
    for number in (1, 3):
        await page.get_by_label(f"Tick {keys[number]}").check()
    await page.get_by_role("button", name="With the ticked rows (2)…").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("2 documents")
    await page.get_by_label("Field", exact=True).select_option("age")
    await page.get_by_role("button", name="Choose").click()
    await page.get_by_label("New value of age").fill("70")
    await page.get_by_role("button", name="Change 2 documents").click()
    await expect(page.locator("main")).to_contain_text("Changed2")
    ages = [row["age"] for row in users.find({}, sort=[("name", 1)])]
    assert ages == [0, 70, 2, 70, 4]


async def test_one_box_ticks_all_rows_of_the_page(page: Page, users: Any) -> None:
    users.insert_many(people(12))
    await page.goto("/ui/users/?limit=10")
    every = page.get_by_label("Tick all rows of this page")
    await every.check()
    await expect(page.get_by_role("button", name="With the ticked rows (10)…")).to_be_enabled()
    await every.uncheck()
    await expect(page.get_by_role("button", name="With the ticked rows…")).to_be_disabled()


def test_all_that_match_are_said_and_downloaded(http: httpx.Client, users: Any) -> None:
    users.insert_many(people(30))
    table = http.get("/ui/users/?age__gte=10&sort=-age&limit=5&fields=name").text
    assert 'href="/ui/users/bulk?age__gte=10"' in table
    screen = http.get("/ui/users/bulk?age__gte=10")
    assert heading(screen) == "20 documents"
    assert 'href="/ui/users/download?age__gte=10"' in screen.text
    assert "To confirm" not in screen.text
    assert 'href="/ui/users/bulk?_id__exists=true"' in http.get("/ui/users/").text
    assert heading(http.get("/ui/users/bulk?_id__exists=true")) == "30 documents"


def test_ticked_rows_are_those_with_one_of_these_keys(http: httpx.Client, users: Any) -> None:
    users.insert_many(people(5))
    keys = [str(row["_id"]) for row in users.find({}, limit=3)]
    query = "&".join(f"_id={key}" for key in keys)
    assert heading(http.get(f"/ui/users/bulk?{query}")) == "3 documents"
    assert heading(http.get(f"/ui/users/bulk?_id={keys[0]}")) == "1 document"
    download = re.search(
        r'href="(/ui/users/download[^"]*)"', http.get(f"/ui/users/bulk?{query}").text
    )
    assert download is not None
    assert "3 documents" in http.get(html.unescape(download[1])).text


@pytest.mark.parametrize("query", ["", "keyword=", "sort=name&limit=5", "_id="])
def test_without_a_choice_nothing_is_done(http: httpx.Client, users: Any, query: str) -> None:
    users.insert_many(people(3))
    screen = http.get(f"/ui/users/bulk?{query}")
    assert screen.status_code == 422
    assert "tick some rows first" in screen.text
    for action in ("change", "delete"):
        form = {"number": "3", "field": "age", "do": "change", "shown": "age", "value": "1"}
        assert http.post(f"/ui/users/bulk/{action}?{query}", data=form).status_code == 422
    assert [row["age"] for row in users.find()] == [0, 1, 2]


def test_many_are_confirmed_by_their_number(http: httpx.Client, users: Any) -> None:
    users.insert_many(people(150))
    query = "age__gte=20"
    screen = http.get(f"/ui/users/bulk?{query}")
    assert "type the number of documents: 130" in screen.text
    for confirm in ("", "13", "yes"):
        form = {"number": "130", "confirm": confirm}
        refused = http.post(f"/ui/users/bulk/delete?{query}", data=form)
        assert refused.status_code == 422
        assert "Type the number of documents to confirm." in refused.text
    assert users.count_documents({}) == 150
    form = {"number": "130", "confirm": " 1,30 "}
    done = http.post(f"/ui/users/bulk/delete?{query}", data=form)
    assert report(done) == {"Matched": "130", "Deleted": "130", "Failed": "0"}
    assert users.count_documents({}) == 20


def test_no_more_are_written_than_were_seen(http: httpx.Client, users: Any) -> None:
    users.insert_many(people(5))
    refused = http.post("/ui/users/bulk/delete?age__gte=0", data={"number": "4"})
    assert refused.status_code == 409
    assert heading(refused) == "5 documents"
    assert "There are more of them by now" in refused.text
    assert users.count_documents({}) == 5


def test_what_the_model_refuses_is_reported(http: httpx.Client, users: Any) -> None:
    users.insert_many([*people(3), {"name": "x", "email": "x@example.com", "age": 7}])
    done = change(http, "age__gte=1", number="3", field="email", value="same@example.com")
    assert report(done) == {
        "Matched": "3",
        "Changed": "1",
        "Not changed, for they were so already": "0",
        "Failed": "2",
    }
    assert done.text.count("it must be unique") == 2
    again = change(http, "email=same@example.com", number="1", field="age", value="old")
    assert report(again)["Failed"] == "1"
    assert "must be a whole number" in again.text or "integer" in again.text
    assert "<td>age: Input should be" in again.text
    chinese = http.post(
        "/ui/users/bulk/change?age__gte=1",
        data={"number": "3", "do": "change", "shown": "email", "field": "email", "value": "x"},
        headers={"Accept-Language": "zh"},
    )
    assert "失败" in chinese.text


def test_a_value_is_of_the_fields_type(http: httpx.Client, users: Any) -> None:
    users.insert_many(people(1))
    query = "age=0"
    for field, value, stored in (
        ("profile.bio", "a\r\nb", "a\nb"),
        ("profile.age", "33", 33),
        ("profile.addresses", '[{"city": "北京"}]', [{"city": "北京"}]),
        ("name", "007", "007"),
    ):
        done = change(http, query, number="1", field=field, value=value)
        assert report(done)["Changed"] == "1", field
        found = users.find_one({"age": 0})
        for step in field.split("."):
            found = found[step]
        shown = [{"city": one["city"]} for one in found] if isinstance(found, list) else found
        assert shown == stored
    same = change(http, query, number="1", field="profile.age", value="33")
    assert report(same)["Not changed, for they were so already"] == "1"
    wrong = change(http, query, number="1", field="profile.addresses", value="{")
    assert wrong.status_code == 422
    assert "This must be JSON" in wrong.text
    assert ">\n{</textarea>" in wrong.text


@pytest.mark.parametrize("value", ["<b>", "100%", "%(x)s", "{{7*7}}"])
def test_what_is_typed_is_text_in_what_is_said_of_it(
    http: httpx.Client, users: Any, value: str
) -> None:
    users.insert_many(people(1))
    for field in ("age", "profile"):
        answer = change(http, "age=0", field=field, value=value, number="1")
        assert answer.status_code in (200, 422)
        assert "<b>" not in answer.text
        assert ">49<" not in answer.text


def test_a_field_is_removed(http: httpx.Client, users: Any) -> None:
    users.insert_many([{**one, "profile": {"bio": "x"}} for one in people(2)])
    done = change(http, "age__gte=0", number="2", field="profile.bio", do="remove")
    assert report(done)["Changed"] == "2"
    assert [row["profile"].get("bio") for row in users.find()] == [None, None]
    required = change(http, "age__gte=0", number="2", field="name", do="remove")
    assert report(required)["Failed"] == "2"


def test_a_field_is_asked_for_first(http: httpx.Client, users: Any) -> None:
    users.insert_many(people(1))
    for field in ("", "_id", "nothing", "profile"):
        refused = change(http, "age=0", number="1", field=field, value="1")
        assert refused.status_code == 422, field
        assert "Choose a field." in refused.text
    empty = change(http, "age=0", number="1", field="age", value=" ")
    assert empty.status_code == 422
    assert "Type a value, or remove the field." in empty.text
    other = change(http, "age=0", number="1", field="age", value="5", shown="name")
    assert other.status_code == 422  # it was typed for another field
    assert users.find_one()["age"] == 0


def test_a_wrong_condition_is_no_wider_choice(http: httpx.Client, users: Any) -> None:
    users.insert_many(people(3))
    for query in ("age__gte=x&name=N001", "size=3&name=N001"):
        assert http.get(f"/ui/users/bulk?{query}").status_code == 422
        refused = http.post(f"/ui/users/bulk/delete?{query}", data={"number": "3"})
        assert refused.status_code == 422
    assert http.get("/ui/users/bulk?name=").status_code == 200
    assert heading(http.get("/ui/users/bulk?name=")) == "0 documents"
    assert users.count_documents({}) == 3


def test_odd_keys_are_not_offered(http: httpx.Client, users: Any) -> None:
    odd = ['a"><script>alert(1)</script>', "a,b", bson.ObjectId()]
    users.insert_many([{"_id": key, **one} for key, one in zip(odd, people(3), strict=True)])
    table = http.get("/ui/users/").text
    assert "<script>alert" not in table
    assert table.count('form="bulk" name="_id"') == 1  # the others can't be asked for by a filter


# --- with accounts ---


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve() as found:
        found.database["users"].insert_many(people(20))
        rules = {
            "users": {
                "read": {"where": "age__lt=10"},
                "update": {"where": "age__lt=5", "fields": ["age"]},
            }
        }
        found.database["docsheet.roles"].insert_one({"name": "some", "rules": rules})
        found.add("so", "some")
        found.add("vi", "viewer")
        yield found


async def test_only_what_is_allowed_is_offered_and_done(served: Served) -> None:
    async with served.client(**await served.bearer("so")) as client:
        screen = await client.get("/ui/users/bulk?age__gte=0")
        assert heading(screen) == "10 documents"
        assert 'value="age"' in screen.text
        assert 'value="name"' not in screen.text
        assert "bulk/delete" not in screen.text
        assert "download" not in screen.text
        form = {"number": "10", "field": "age", "shown": "age", "value": "1", "do": "change"}
        done = await client.post("/ui/users/bulk/change?age__gte=0", data=form)
        assert (report(done)["Matched"], report(done)["Failed"]) == ("10", "5")
        named = await client.post(
            "/ui/users/bulk/change?age__gte=0", data={**form, "field": "name", "shown": "name"}
        )
        assert named.status_code == 422
        delete = await client.post("/ui/users/bulk/delete?age__gte=0", data={"number": "10"})
        assert delete.status_code == 403
    ages = sorted(row["age"] for row in served.database["users"].find())
    assert ages[:6] == [1, 1, 1, 1, 1, 5]
    assert ages[-1] == 19


async def test_rows_are_ticked_where_something_can_be_done(served: Served) -> None:
    for name, ticks in (("so", True), ("vi", True), ("root", True)):
        async with served.client(**await served.bearer(name)) as client:
            assert ('form="bulk"' in (await client.get("/ui/users/")).text) == ticks
    reader = served.database["docsheet.roles"]
    reader.insert_one({"name": "reader", "rules": {"users": {"read": True}}})
    served.add("re", "reader")
    async with served.client(**await served.bearer("re")) as client:
        assert 'form="bulk"' not in (await client.get("/ui/users/")).text
    async with served.client(**await served.bearer("root")) as client:
        assert 'form="bulk"' not in (await client.get("/ui/admin/accounts/")).text
