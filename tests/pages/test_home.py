"""The first screen."""

from typing import Any

import httpx
from playwright.async_api import Page, expect


def test_browsers_see_the_collections_and_programs_get_json(http: httpx.Client) -> None:
    seen = http.get("/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert seen.headers["content-type"] == "text/html; charset=utf-8"
    assert 'href="/ui/users/"' in seen.text
    assert http.get("/").json()["resources"]["users"]["documents"] == "/users/"


async def test_search_shows_the_collections_with_such_a_name(page: Page) -> None:
    await page.goto("/")
    await page.get_by_label("Search by name").press_sequentially("teach")
    await expect(page.locator("#collections li")).to_have_count(1)
    await expect(page.locator("#collections")).to_contain_text("teachers")


async def test_what_was_looked_at_last_comes_first(page: Page, users: Any) -> None:
    users.insert_one({"name": "Ada", "email": "ada@example.com"})
    await page.goto("/ui/users/")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.goto("/")
    await expect(page.locator("main")).to_contain_text("Looked at last")


async def test_language_and_theme_are_remembered(page: Page) -> None:
    await page.goto("/ui/users/")
    await page.get_by_role("button", name="中文").click()
    await expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    dark, light = (page.get_by_role("button", name=name) for name in ("深色", "浅色"))
    await page.emulate_media(color_scheme="dark")  # only the other theme is offered
    await expect(dark).to_be_hidden()
    await expect(light).to_be_visible()
    await page.emulate_media(color_scheme="light")
    await expect(light).to_be_hidden()
    await dark.click()
    await expect(dark).to_be_hidden()
    await expect(light).to_be_visible()
    await page.goto("/")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
