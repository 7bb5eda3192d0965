"""Which columns a table has, in which order, and how it is sorted by them."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from playwright.async_api import Page as Browser
from playwright.async_api import expect

from app.pages.columns import list_columns
from app.query.compile import Compilers
from app.resources.registry import discover
from app.resources.views import Views
from tests.support.html import Element, Page

FORM = "/ui/users/table/columns"


def heads(page: Page) -> list[str]:
    return page.texts("th", scope="col")


def test_columns_are_those_of_the_address_in_its_order(http: httpx.Client) -> None:
    page = Page(http.get("/ui/users/?fields=profile.age,name,profile.bio").text)
    assert heads(page)[-3:] == ["age", "name", "bio"]
    assert page.texts("th", scope="colgroup") == ["profile", "profile"]


def test_what_can_be_sorted_is_what_the_compiler_sorts_by() -> None:
    for package in ("models", "tests.support.every_type"):
        resources = list(discover(package).values())
        compilers = Compilers(Views(resources))
        for resource in resources:
            for column in list_columns(resource):
                assert column.can_sort == _sorts(compilers[resource.name].names, column.path)


def _sorts(names: Any, path: str) -> bool:
    try:
        names.sort(path)
    except ValueError:
        return False
    return True


def test_a_head_sorts_ascending_then_descending_then_not_at_all(http: httpx.Client) -> None:
    seen, sort = [], ""
    for _ in range(3):
        page = Page(http.get(f"/ui/users/?age__gte=1&skip=10&sort={sort}").text)
        (head,) = [one for one in page.find("th", scope="col") if has(one, "sort-age")]
        sort = page.find("button", id="sort-age")[0]["value"]
        seen.append((head.attributes.get("aria-sort"), sort))
    assert seen == [(None, "age"), ("ascending", "-age"), ("descending", "")]
    (form,) = page.find("form", id="sorting")
    assert [(one["name"], one["value"]) for one in form.inner] == [("age__gte", "1")]


def has(element: Element, identifier: str) -> bool:
    return any(inner.attributes.get("id") == identifier for inner in element.inner)


def test_a_list_has_no_order(http: httpx.Client) -> None:
    page = Page(http.get("/ui/users/").text)
    assert not page.find("button", id="sort-profile.addresses")
    assert page.find("button", id="sort-_id")


def test_the_columns_of_an_address_are_not_there_again_in_each_head(http: httpx.Client) -> None:
    fields = "profile.bio,profile.age,profile.addresses,name,email,age"
    text = http.get(f"/ui/users/?fields={fields}").text
    assert text.count(fields) + text.count(fields.replace(",", "%2C")) < 15


def choose(http: httpx.Client, pairs: list[tuple[str, str]]) -> str:
    answer = http.get(FORM, params=pairs)
    assert answer.status_code == 303
    return str(answer.headers["location"])


def test_columns_are_chosen_and_placed_by_number(http: httpx.Client) -> None:
    placed = [("order", "name"), ("place", "2"), ("order", "age"), ("place", "1")]
    chosen = [("column", "name"), ("column", "age"), ("column", "profile.bio")]
    address = choose(http, [("back", "age=1&fields=name"), *placed, *chosen, ("show", "1")])
    assert parse_qsl(urlsplit(address).query) == [("age", "1"), ("fields", "age,name,profile.bio")]


def test_a_column_moves_up_and_down_and_nothing_is_lost(http: httpx.Client) -> None:
    pairs = [("order", one) for one in ("name", "email", "age")]
    places = [("place", one) for one in "123"]
    checked = [("column", one) for one in ("name", "email", "age")]
    page = Page(http.get(FORM, params=[*pairs, *places, *checked, ("move", "up:age")]).text)
    assert [one["value"] for one in page.find("input", name="order")] == ["name", "age", "email"]
    page = Page(http.get(FORM, params=[*pairs, *places, *checked, ("move", "down:age")]).text)
    assert [one["value"] for one in page.find("input", name="order")] == ["name", "email", "age"]


def test_the_usual_columns_need_no_word_in_the_address(http: httpx.Client) -> None:
    page = Page(http.get(FORM, params={"back": "fields=age&sort=age"}).text)
    reset = [one["href"] for one in page.find("a", class_="button") if "Reset" in one.text]
    assert reset == ["/ui/users/?sort=age"]
    usual = ["name", "email", "age", "profile.bio", "profile.age", "profile.addresses"]
    assert choose(http, [*(("column", one) for one in usual), ("show", "1")]) == "/ui/users/"


def test_no_column_at_all_is_refused(http: httpx.Client) -> None:
    answer = http.get(FORM, params={"show": "1"})
    assert answer.status_code == 422
    assert "Choose at least one column." in answer.text


def test_hidden_and_unknown_columns_are_not_there(http: httpx.Client) -> None:
    assert "pwd" not in http.get("/ui/students/table/columns").text
    address = choose(http, [("column", "pwd"), ("column", "name"), ("show", "1")])
    assert address == "/ui/users/?fields=name"


async def test_columns_are_chosen_in_a_browser(page: Browser, users: Any) -> None:
    users.insert_one({"name": "Ada", "email": "ada@example.com"})
    await page.goto("/ui/users/?fields=name,age")
    await page.get_by_role("link", name="Columns").click()
    await page.get_by_role("checkbox", name="email").check()
    await page.get_by_role("button", name="Move age up").click()
    await expect(page.locator("[name=order]").first).to_have_value("age")
    await page.get_by_role("button", name="Show these columns").click()
    await expect(page).to_have_url("/ui/users/?fields=age%2Cname%2Cemail")
    await page.locator("#sort-name").click()
    await expect(page.locator("th[aria-sort=ascending]")).to_have_text("name")
    await expect(page.locator("#sort-name")).to_be_focused()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_descriptions_of_the_model_are_shown(http: httpx.Client, language: str) -> None:
    assert http.get(FORM, headers={"Accept-Language": language}).status_code == 200
