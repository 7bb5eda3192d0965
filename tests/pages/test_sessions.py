"""Signing in in a real browser, and a session that ends while one works."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect
from pymongo import MongoClient

from app.resources.moments import now
from tests.pages.test_every_screen import LOOKS, refuse_scroll, wait_for_lists
from tests.support.accounts import PASSWORD, hash_of
from tests.support.browser import open_page
from tests.support.server import LiveServer

DATABASE = "sessions"


@pytest.fixture(scope="module")
def stored(mongo_uri: str) -> Iterator[Any]:
    """The database, with an administrator and a viewer."""
    with MongoClient[dict[str, Any]](mongo_uri, tz_aware=True) as client:
        account = {"attributes": {}, "disabled": False, "created": now()}
        account["password"] = hash_of(PASSWORD)
        names = {"root": "admin", "anna": "viewer"}
        client[DATABASE]["docsheet.accounts"].insert_many(
            [{**account, "name": name, "role": role} for name, role in names.items()]
        )
        client[DATABASE]["users"].insert_one({"name": "Ada", "email": "ada@example.com"})
        yield client[DATABASE]
        client.drop_database(DATABASE)


@pytest.fixture(scope="module")
def live(mongo_uri: str, stored: Any) -> Iterator[LiveServer]:
    with LiveServer(MONGO_URI=mongo_uri, DB_NAME=DATABASE, AUTH="on") as server:
        yield server


@pytest.fixture
async def page(browser: Browser, live: LiveServer) -> AsyncIterator[Page]:
    async with open_page(browser, live.address) as opened:
        yield opened


async def sign_in(page: Page, name: str) -> None:
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()


async def test_signing_in_goes_on_to_what_was_asked_for(page: Page) -> None:
    await page.goto("/ui/users/?name=Ada")
    await expect(page).to_have_title("Sign in – Docsheet")
    await sign_in(page, "nobody")
    await expect(page.get_by_role("alert")).to_contain_text("There is no account with this name")
    await expect(page.get_by_label("Name")).to_have_value("nobody")
    await sign_in(page, "anna")
    await expect(page.locator("tbody tr")).to_have_count(1)
    assert page.url.endswith("/ui/users/?name=Ada")
    await expect(page.get_by_role("link", name="Administration")).to_have_count(0)
    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_title("Sign in – Docsheet")


@pytest.mark.slow
async def test_a_search_after_the_session_ended_leads_to_the_sign_in_and_back(
    page: Page, stored: Any
) -> None:
    await page.goto("/ui/users/")
    await sign_in(page, "anna")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.locator("#facets details")).to_have_count(1)  # nothing is asked for any more
    stored["docsheet.sessions"].delete_many({})
    await page.get_by_label("Search", exact=True).fill("Ad")  # one search, not one for each letter
    await expect(page).to_have_title("Sign in – Docsheet")
    await sign_in(page, "anna")
    await expect(page.get_by_label("Search", exact=True)).to_have_value("Ad")
    await expect(page.locator("tbody tr")).to_have_count(1)


async def test_a_form_after_the_session_ended_is_sent_again(page: Page, stored: Any) -> None:
    await page.goto("/ui/users/new")
    await sign_in(page, "root")
    await page.locator('[name="/name"]').fill("Bert")
    stored["docsheet.sessions"].delete_many({})
    await page.get_by_role("button", name="Save").last.click()
    await expect(page.locator("h1")).to_have_text("You are not signed in")
    async with page.context.expect_page() as opening:
        await page.get_by_role("link", name="Sign in in another tab").click()
    await sign_in(await opening.value, "root")
    await expect((await opening.value).locator("h1")).to_have_text("Collections")
    await page.reload()
    await expect(page.get_by_role("alert").first).to_be_visible()  # for the e-mail is missing
    await expect(page.locator('[name="/name"]')).to_have_value("Bert")


async def test_a_button_after_the_session_ended_leaves_the_form_as_it_is(
    page: Page, stored: Any
) -> None:
    await page.goto("/ui/users/new")
    await sign_in(page, "root")
    name = page.locator('[name="/name"]')
    await name.fill("Bert")
    await page.wait_for_load_state()  # with the scripts
    stored["docsheet.sessions"].delete_many({})
    await page.locator('button[value^="fill"], button[value^="add"]').first.click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("You are not signed in")
    await expect(dialog.get_by_role("link")).to_have_attribute("target", "_blank")
    await dialog.get_by_role("button", name="Close").click()
    await expect(name).to_have_value("Bert")


@pytest.mark.slow
async def test_a_new_key_is_copied(page: Page, stored: Any) -> None:
    await page.goto("/ui/me/keys/new")
    await sign_in(page, "anna")
    await page.get_by_label("What it is for").fill("Excel")
    await page.get_by_label("users: read").check()
    await page.get_by_role("button", name="Make the key").click()
    await expect(page.locator("h1")).to_have_text("The key is made")
    await expect(page.get_by_role("button", name="Copy")).to_have_count(3)
    await page.get_by_role("link", name="Done").click()
    await expect(page.get_by_role("row").filter(has_text="Excel")).to_contain_text("users:read")
    await page.locator("summary").filter(has_text="Revoke").click()
    await page.get_by_role("button", name="Revoke it now").click()
    await expect(page.locator(".done")).to_have_text("It serves no more.")
    assert stored["docsheet.keys"].count_documents({}) == 0


SCREENS = (
    "/ui/", "/ui/me", "/ui/me/keys/new", "/ui/me/shares/new", "/ui/admin/", "/ui/admin/accounts/",
    "/ui/admin/accounts/new", "/ui/admin/roles/new", "/ui/admin/audit/", "/ui/nowhere",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("look", ["en light 1280", "zh-CN dark 320"])
async def test_everyone_can_use_the_screens_of_accounts(
    browser: Browser, live: LiveServer, look: str
) -> None:
    words: dict[str, Any] = LOOKS[look]
    async with open_page(browser, live.address, **words) as page:
        await page.goto("/ui/sign-in")
        await refuse_faults(page)
        await page.locator("#username").fill("root")
        await page.locator("#password").fill(PASSWORD)
        await page.locator("main button").click()
        await expect(page.locator("#password")).to_have_count(0)  # signed in, before it goes on
        for screen in SCREENS:
            await page.goto(screen)
            await refuse_scroll(page)
            await refuse_faults(page)
        await page.goto("/ui/me/keys/new")
        await page.locator("#name").fill("x")
        await page.locator("main button.main").click()
        await expect(page.locator("#name")).to_have_count(0)
        await refuse_scroll(page)
        await refuse_faults(page)
        await page.goto("/ui/me")
        await refuse_faults(page)


async def refuse_faults(page: Page) -> None:
    await wait_for_lists(page)
    found = await Axe().run(page)
    assert [
        f"{page.url} {one['id']}: {node['html']}"
        for one in found.response["violations"]
        for node in one["nodes"]
    ] == []
