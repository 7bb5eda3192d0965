"""Saved views: an address under a name, as JSON, as a download, and on the page."""

import csv
import io
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from app.api.saved_views import make_slug
from tests.support.accounts import Served, serve
from tests.support.mongod import needs_mongod

PEOPLE = [
    {"name": "Ada", "email": "ada@example.com", "age": 36, "profile": {"bio": "α"}},
    {"name": "Bob", "email": "bob@example.com", "age": 17},
    {"name": "王芳", "email": "wang@example.com", "age": 52},
]
ADULTS = {"name": "Adults", "address": "/users/?age__gte=18&sort=-age&fields=name,age&limit=1"}


@pytest.fixture
def saved(http: httpx.Client, users: Any, database: Any) -> Iterator[httpx.Client]:
    """A client of a server with three users and no view."""
    database["docsheet.views"].delete_many({})
    users.insert_many([dict(person) for person in PEOPLE])
    yield http
    database["docsheet.views"].delete_many({})


def save(http: httpx.Client, **words: Any) -> Any:
    answer = http.post("/views/", json=words)
    assert answer.status_code == 201, answer.text
    return answer


def rows(answer: httpx.Response) -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.text)))


pytestmark = needs_mongod


def test_a_view_is_a_list_and_a_download(saved: httpx.Client) -> None:
    made = save(saved, **ADULTS)
    assert made.headers["location"] == "/views/adults"
    view = made.json()
    assert (view["slug"], view["resource"], view["mine"], view["for_all"], view["problem"]) == (
        "adults",
        "users",
        True,
        False,
        None,
    )
    assert (view["address"], view["page"]) == (ADULTS["address"], f"/ui{ADULTS['address']}")
    page = saved.get("/views/adults")
    assert [(one["name"], one["age"]) for one in page.json()] == [("王芳", 52)]
    assert page.headers["x-total-count"] == "2"
    following = saved.get(page.links["next"]["url"])
    assert [one["name"] for one in following.json()] == ["Ada"]
    assert rows(saved.get("/views/adults/csv")) == [["name", "age"], ["王芳", "52"], ["Ada", "36"]]
    assert [one["name"] for one in saved.get("/views/adults/json").json()] == ["王芳", "Ada"]
    assert saved.get("/views/").json() == [view]
    assert saved.get("/views").json() == [view]


def test_a_download_has_the_name_of_the_view_and_a_record(saved: httpx.Client) -> None:
    save(saved, **{**ADULTS, "name": "成年人"})
    answer = saved.get("/views/成年人/csv")
    name = "filename*=UTF-8''%E6%88%90%E5%B9%B4%E4%BA%BA.csv"
    assert name in answer.headers["content-disposition"]
    record = saved.get(f"/exports/{answer.headers['x-export-id']}").json()
    assert (record["state"], record["rows"]) == ("complete", 2)
    assert saved.head("/views/成年人/xlsx").status_code == 200


def test_where_a_page_begins_may_be_added(saved: httpx.Client) -> None:
    save(saved, **ADULTS)
    assert len(saved.get("/views/adults?limit=5").json()) == 2
    assert [one["name"] for one in saved.get("/views/adults?skip=1").json()] == ["Ada"]
    refused = saved.get("/views/adults?age__lt=40&limt=3")
    assert refused.status_code == 422
    faults = refused.json()["errors"]
    assert [fault["parameter"] for fault in faults] == ["age__lt", "limt"]
    assert "Did you mean 'limit'?" in faults[1]["detail"]


def test_options_of_the_format_may_be_added(saved: httpx.Client) -> None:
    save(saved, **ADULTS)
    answer = saved.get("/views/adults/csv?columns=name:Who&limit=1&bom=true&delimiter=tab")
    assert answer.content == "\ufeffWho\r\n王芳\r\n".encode()
    assert saved.get("/views/adults/csv?age=3").status_code == 422
    assert saved.get("/views/adults/csv?sort=age").status_code == 422
    assert saved.get("/views/adults/xlsx?bom=true").json()["errors"][0]["parameter"] == "bom"
    assert saved.get("/views/adults/pdf").status_code == 404
    assert saved.get("/views/nobody/csv").status_code == 404


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Adults", "adults"),
        ("  Ａdults — in\tBerlin!", "adults-in-berlin"),
        ("北京 2026年", "北京-2026年"),
        ("O'Neil_& Söhne", "o-neil-söhne"),
        ("!!!", ""),
    ],
)
def test_the_slug_is_made_of_the_name(name: str, slug: str) -> None:
    assert make_slug(name) == slug


def test_a_slug_is_there_once(saved: httpx.Client) -> None:
    save(saved, **ADULTS)
    again = saved.post("/views/", json={**ADULTS, "slug": "Adults"})
    assert (again.status_code, again.json()["errors"][0]["pointer"]) == (409, "#/slug")
    assert save(saved, **ADULTS, slug="grown-ups").headers["location"] == "/views/grown-ups"
    assert saved.get("/views/Grown-Ups").status_code == 200


@pytest.mark.parametrize(
    ("words", "pointer"),
    [
        ({"address": "/users/?age__gt=x"}, "#/address"),
        ({"address": "/users/?agee=3"}, "#/address"),
        ({"address": "/users/?name__regex=("}, "#/address"),
        ({"address": "/users/?after=abc"}, "#/address"),
        ({"address": "/users/export/csv"}, "#/address"),
        ({"address": "/nothing/"}, "#/address"),
        ({"address": "/views/"}, "#/address"),
        ({"address": "https://example.com/users/"}, "#/address"),
        ({"address": "/users/?name=王"}, "#/address"),
        ({"address": "/users/?name=%FF"}, "#/address"),
        ({"address": "/users/0123456789abcdef01234567"}, "#/address"),
        ({"address": ""}, "#/address"),
        ({"name": ""}, "#/name"),
        ({"name": "a\nb"}, "#/name"),
        ({"name": "!"}, "#/slug"),
        ({"slug": "a b"}, "#/slug"),
        ({"slug": "-a"}, "#/slug"),
        ({"for_all": "perhaps"}, "#/for_all"),
        ({"owner": "me"}, "#/owner"),
    ],
)
def test_what_cannot_be_saved(saved: httpx.Client, words: Any, pointer: str) -> None:
    answer = saved.post("/views/", json={**ADULTS, **words})
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]
    assert saved.get("/views/").json() == []


def test_a_screens_address_is_one_as_well(saved: httpx.Client) -> None:
    view = save(saved, name="x", address="/ui/users/?name__in=Ada,Bob").json()
    assert view["address"] == "/users/?name__in=Ada,Bob"
    assert save(saved, name="y", address="/users").json()["address"] == "/users/"


def test_a_view_is_changed_and_deleted(saved: httpx.Client) -> None:
    save(saved, **ADULTS)
    changed = saved.patch("/views/adults", json={"name": "All", "address": "/users/"})
    assert changed.status_code == 200
    assert (changed.json()["name"], changed.json()["address"]) == ("All", "/users/")
    assert changed.json()["slug"] == "adults"
    assert len(saved.get("/views/adults").json()) == 3
    for body, pointer in (({"slug": "b"}, "#/slug"), ({"name": None}, "#/name")):
        refused = saved.patch("/views/adults", json=body)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)
    assert saved.delete("/views/adults").status_code == 204
    for answer in (saved.delete("/views/adults"), saved.get("/views/adults")):
        assert answer.status_code == 404
    assert saved.patch("/views/adults", json={"name": "x"}).status_code == 404


def test_a_view_whose_field_went_says_so(saved: httpx.Client, database: Any) -> None:
    save(saved, **ADULTS)
    gone = {"address": "/users/?size__gte=3", "resource": "users"}
    database["docsheet.views"].update_one({"_id": "adults"}, {"$set": gone})
    (listed,) = saved.get("/views/").json()
    assert listed["problem"].startswith("size__gte: there is no such parameter here.")
    for path in ("/views/adults", "/views/adults/csv"):
        answer = saved.get(path)
        assert answer.status_code == 422
        assert "'adults' can't be used any more: size__gte:" in answer.json()["detail"]
    lost = {"address": "/boats/", "resource": "boats"}
    database["docsheet.views"].update_one({"_id": "adults"}, {"$set": lost})
    assert saved.get("/views/").json()[0]["problem"] == "There is no collection 'boats' any more."
    assert saved.get("/views/adults").status_code == 422


# --- with accounts ---


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve() as found:
        found.database["users"].insert_many([dict(person) for person in PEOPLE])
        found.database["docsheet.roles"].insert_one(
            {
                "name": "young",
                "rules": {
                    "users": {
                        "read": {"where": "age__lt=40", "hide": ["email", "profile"]},
                        "export": True,
                    }
                },
            }
        )
        found.add("ed", "editor")
        found.add("vi", "viewer")
        found.add("yo", "young")
        yield found


async def post(served: Served, who: str, /, **words: Any) -> httpx.Response:
    async with served.client(**await served.bearer(who)) as client:
        return await client.post("/views/", json=words)


async def test_each_sees_the_own_views_and_those_for_all(served: Served) -> None:
    assert (await post(served, "ed", **ADULTS)).status_code == 201
    shared = {"name": "Everybody", "address": "/users/?sort=name", "for_all": True}
    assert (await post(served, "ed", **shared)).status_code == 201
    async with served.client(**await served.bearer("vi")) as client:
        listed = (await client.get("/views/")).json()
        assert [(view["slug"], view["mine"]) for view in listed] == [("everybody", False)]
        for method in ("GET", "PATCH", "DELETE"):
            words = {"json": {"name": "mine"}} if method == "PATCH" else {}
            answer = await client.request(method, "/views/adults", **words)
            assert answer.status_code == 404, method
        assert (await client.get("/views/adults/csv")).status_code == 404
        assert (await client.patch("/views/everybody", json={"name": "x"})).status_code == 403
        assert (await client.delete("/views/everybody")).status_code == 403
    async with served.client(**await served.bearer("root")) as client:
        assert (await client.delete("/views/adults")).status_code == 204


async def test_a_view_gives_nobody_more_than_its_address(served: Served) -> None:
    shared = {"name": "Everybody", "address": "/users/?sort=name", "for_all": True}
    await post(served, "ed", **shared)
    by_email = {"name": "Mail", "address": "/users/?email__contains=a", "for_all": True}
    await post(served, "ed", **by_email)
    teams = {"name": "Others", "address": "/courses/", "for_all": True}
    await post(served, "ed", **teams)
    async with served.client(**await served.bearer("yo")) as client:
        assert [one["slug"] for one in (await client.get("/views/")).json()] == ["everybody"]
        shown = (await client.get("/views/everybody")).json()
        assert [sorted(one) for one in shown] == [["_id", "age", "name"]] * 2
        assert rows(await client.get("/views/everybody/csv"))[0] == ["name", "age"]
        for slug in ("mail", "others"):
            assert (await client.get(f"/views/{slug}")).status_code == 404
        hidden = await client.post("/views/", json=by_email)
        assert hidden.status_code == 422
        assert (await client.post("/views/", json=teams)).status_code == 403


async def test_a_key_for_some_scopes_uses_views_and_changes_none(served: Served) -> None:
    editor = served.database["docsheet.accounts"].find_one({"name": "ed"})["_id"]
    await post(served, "ed", **ADULTS)
    async with served.client(**served.key(editor, "export")) as client:
        assert len(rows(await client.get("/views/adults/csv"))) == 3
        assert (await client.get("/views/adults")).status_code == 403
        assert (await client.delete("/views/adults")).status_code == 403
    async with served.client(**served.key(editor)) as client:
        assert (await client.delete("/views/adults")).status_code == 204


async def test_the_own_views_of_a_deleted_account_go_with_it(served: Served) -> None:
    await post(served, "ed", **ADULTS)
    await post(served, "ed", **ADULTS, slug="for-all", for_all=True)
    editor = served.database["docsheet.accounts"].find_one({"name": "ed"})["_id"]
    async with served.client(**await served.bearer("root")) as client:
        assert (await client.delete(f"/auth/accounts/{editor}")).status_code == 204
        assert [one["slug"] for one in (await client.get("/views/")).json()] == ["for-all"]


# --- on the page ---


async def test_a_table_is_saved_and_opened_again(page: Page, saved: httpx.Client) -> None:
    await page.goto("/ui/users/?age__gte=18&sort=-age&skip=1")
    await page.locator("#views summary").click()
    await page.get_by_label("Name", exact=True).fill("Grown-ups")
    await page.get_by_role("button", name="Save this view").click()
    await expect(page.locator("#views summary")).to_have_text("View: Grown-ups")
    await expect(page.locator(".done")).to_have_text("The view is saved.")
    await page.goto("/ui/")
    await page.get_by_role("link", name="Grown-ups").click()
    await expect(page).to_have_url(re.compile(r"/ui/users/\?age__gte=18&sort=-age$"))
    await expect(page.locator("tbody tr")).to_have_count(2)
    assert [one["name"] for one in saved.get("/views/grown-ups").json()] == ["王芳", "Ada"]
    assert [row[0] for row in rows(saved.get("/views/grown-ups/csv"))] == ["name", "王芳", "Ada"]


def save_by_form(http: httpx.Client, **form: str) -> httpx.Response:
    return http.post("/ui/users/views", data=form)


def test_names_may_be_equal_on_the_page(saved: httpx.Client) -> None:
    for query in ("age=36", "age=17"):
        answer = save_by_form(saved, name="One", query=query)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/ui/users/?{query}")
    assert save_by_form(saved, name="？", query="").status_code == 303
    assert {view["slug"] for view in saved.get("/views/").json()} == {"one", "one-2", "view"}


def test_what_is_wrong_is_said_and_what_was_typed_stays(saved: httpx.Client) -> None:
    answer = save_by_form(saved, name="a\x07<b>", query="agee=1")
    assert answer.status_code == 422
    assert 'value="a\x07&lt;b&gt;"' in answer.text
    assert save_by_form(saved, name="<b>", query="agee=1").status_code == 422
    assert saved.get("/views/").json() == []


def test_a_view_is_renamed_and_deleted_on_the_page(saved: httpx.Client) -> None:
    save_by_form(saved, name="<i>x</i>", query="sort=name")
    screen = saved.get("/ui/users/views")
    assert "&lt;i&gt;x&lt;/i&gt;" in screen.text
    assert 'href="/views/i-x-i/csv"' in screen.text
    renamed = saved.post("/ui/users/views/i-x-i", data={"name": "Y"})
    assert (renamed.status_code, renamed.headers["location"]) == (303, "/ui/users/views")
    assert saved.get("/views/").json()[0]["name"] == "Y"
    assert saved.post("/ui/users/views/i-x-i", data={"name": ""}).status_code == 422
    assert saved.post("/ui/users/views/i-x-i/delete").status_code == 303
    assert saved.get("/views/").json() == []


def test_a_view_that_no_longer_fits_is_marked(saved: httpx.Client, database: Any) -> None:
    save(saved, **ADULTS)
    gone = {"address": "/users/?size__gte=3"}
    database["docsheet.views"].update_one({"_id": "adults"}, {"$set": gone})
    for path in ("/ui/", "/ui/users/", "/ui/users/views"):
        screen = saved.get(path, headers={"Accept-Language": "zh"})
        assert "已不适用" in screen.text or "size__gte：" in screen.text
    assert saved.get("/ui/users/views?size=3").status_code == 422


async def test_only_the_own_views_can_be_changed_on_the_page(served: Served) -> None:
    shared = {"name": "Everybody", "address": "/users/?sort=name", "for_all": True}
    await post(served, "ed", **shared)
    for name, may in (("ed", True), ("vi", False), ("root", True)):
        async with served.client(**await served.bearer(name)) as client:
            screen = await client.get("/ui/users/views")
            assert "Everybody" in screen.text
            assert ("Change or delete" in screen.text) == may
            if not may:
                refused = await client.post("/ui/users/views/everybody/delete")
                assert refused.status_code == 403
