"""Searching in a collection, as one types."""

from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.support.browser import hold, travel, wait_in_page

NAMES = ("Ada", "Adam", "Bea")


@pytest.fixture(autouse=True)
def people(users: Any) -> None:
    users.insert_many({"name": name, "email": f"{name}@example.com"} for name in NAMES)


def test_without_scripts_it_is_a_form(http: httpx.Client) -> None:
    page = http.get("/ui/users/", params={"sort": "-name", "keyword": "ada"}).text
    assert 'action="/ui/users/"' in page
    assert 'form="search" name="sort" value="-name"' in page
    assert page.index("Adam") < page.index(">Ada<")
    assert "Bea" not in page


def test_a_pattern_that_is_none_is_said_beside_the_field_and_the_table_stays(
    http: httpx.Client,
) -> None:
    answer = http.get("/ui/users/", params={"keyword": "(", "age__gte": "x", "sort": "name"})
    assert answer.status_code == 422
    assert 'value="("' in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert "regular expression" in answer.text
    assert "age__gte: must be a whole number" in answer.text
    assert answer.text.index(">Adam<") < answer.text.index(">Bea<")


def test_typing_does_not_count(http: httpx.Client) -> None:
    answer = http.get("/ui/users/?keyword=a", headers={"Docsheet-Typing": "true"})
    assert "not counted" in answer.text
    assert "count=none" not in answer.text


async def test_typing_shows_what_matches_and_counts_when_it_rests(page: Page) -> None:
    await page.goto("/ui/users/")
    await page.keyboard.press("/")
    await page.keyboard.type("ada", delay=20)
    await expect(page.locator("tbody tr")).to_have_count(2)
    await expect(page).to_have_url("/ui/users/?keyword=ada")
    await expect(page.locator("#status")).to_have_text("2 documents")
    await expect(page.locator("#keyword")).to_be_focused()
    await page.keyboard.type("m")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await travel(page, "back")  # one step back for all that was typed
    await expect(page).to_have_url("/ui/users/")
    await expect(page.locator("#keyword")).to_have_value("")
    await expect(page.locator("tbody tr")).to_have_count(3)


async def test_typing_what_is_no_pattern_leaves_the_table(page: Page) -> None:
    await page.goto("/ui/users/")
    await page.locator("#keyword").press_sequentially("ada")
    await expect(page.locator("tbody tr")).to_have_count(2)
    await page.locator("#keyword").press_sequentially("(")
    await expect(page.locator("#faults")).to_contain_text("regular expression")
    await expect(page.locator("#keyword")).to_have_attribute("aria-invalid", "true")
    await expect(page.locator("tbody tr")).to_have_count(2)
    await page.keyboard.press("Backspace")
    await expect(page.locator("#faults")).to_be_empty()
    await expect(page.locator("#keyword")).to_have_attribute("aria-invalid", "false")


async def test_a_late_answer_never_replaces_a_newer_one(page: Page) -> None:
    await page.goto("/ui/users/")
    async with hold(page, "**/ui/users/?keyword=ada"):
        async with page.expect_request("**/ui/users/?keyword=ada"):
            await page.locator("#keyword").press_sequentially("ada")
        await page.locator("#keyword").fill("bea")
        await expect(page.locator("tbody tr")).to_contain_text(["Bea"])
    await page.evaluate("fetch('/ui/users/?keyword=ad')")  # it is answered after that
    await expect(page.locator("tbody tr")).to_contain_text(["Bea"])
    await expect(page).to_have_url("/ui/users/?keyword=bea")


async def test_what_is_being_composed_is_not_searched_for_before_it_is_done(page: Page) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    await page.goto("/ui/users/")
    field = page.locator("#keyword")
    compose = "new InputEvent('input', { bubbles: true, isComposing: true })"
    await field.evaluate(f"one => {{ one.value = 'be'; one.dispatchEvent({compose}); }}")
    await wait_in_page(page, 310)
    assert not [url for url in requests if "keyword=be" in url]
    await field.dispatch_event("compositionend")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page).to_have_url("/ui/users/?keyword=be")
