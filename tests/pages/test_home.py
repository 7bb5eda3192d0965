"""The first screen."""

from typing import Any

import httpx
from playwright.sync_api import Page, expect


def test_browsers_see_the_collections_and_programs_get_json(http: httpx.Client) -> None:
    seen = http.get("/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert seen.headers["content-type"] == "text/html; charset=utf-8"
    assert 'href="/ui/users/"' in seen.text
    assert http.get("/").json()["resources"]["users"]["documents"] == "/users/"


def test_search_shows_the_collections_with_such_a_name(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Search by name").press_sequentially("teach")
    expect(page.locator("#collections li")).to_have_count(1)
    expect(page.locator("#collections")).to_contain_text("teachers")


def test_what_was_looked_at_last_comes_first(page: Page, users: Any) -> None:
    users.insert_one({"name": "Ada", "email": "ada@example.com"})
    page.goto("/ui/users/")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.goto("/")
    expect(page.locator("main")).to_contain_text("Looked at last")


def test_language_and_theme_are_remembered(page: Page) -> None:
    page.goto("/ui/users/")
    page.get_by_role("button", name="中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.get_by_role("button", name="Dark").or_(page.get_by_role("button", name="深色")).click()
    page.goto("/")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
