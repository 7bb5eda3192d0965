"""One document in a real browser: with scripts and without, by the keyboard, and two at once."""

import re
from typing import Any

import bson
from playwright.async_api import Browser, Dialog, Locator, Page, expect

from tests.support.browser import hold, open_page
from tests.support.server import LiveServer

KEY = bson.ObjectId("5f43a1b2c3d4e5f60718293a")
ADA = {"_id": KEY, "name": "Ada", "email": "ada@example.com", "age": 36}
SHOWN, EDITED = f"/ui/users/{KEY}", f"/ui/users/{KEY}/edit"
NO_ADDRESS = {"street": None, "city": None, "zipcode": None, "country": None}


def box(page: Page, label: str) -> Locator:
    """The control with a label that begins with this word."""
    return page.get_by_role("textbox", name=re.compile(rf"^{label}\b"))


async def fill_in_lists(page: Page) -> None:
    """Types, adds two addresses, puts the second one first, and removes the other."""
    await page.goto(EDITED)
    await box(page, "name").fill("Ada L.")
    await page.get_by_role("button", name="Fill in: profile").click()
    await box(page, "bio").fill("counts\nengines")
    add = page.get_by_role("button", name="Add: addresses")
    await add.click()
    await box(page, "city").fill("London")
    await add.click()
    await expect(box(page, "city")).to_have_count(2)
    await box(page, "city").last.fill("Paris")
    await page.get_by_role("button", name="Up: addresses 2").click()
    await expect(box(page, "city").first).to_have_value("Paris")
    await page.get_by_role("button", name="Remove this one: addresses 2").click()
    await expect(box(page, "city")).to_have_count(1)
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator("main")).to_contain_text("Saved.")


EXPECTED = {
    **ADA,
    "name": "Ada L.",
    "profile": {
        "bio": "counts\nengines",
        "age": None,
        "addresses": [{**NO_ADDRESS, "city": "Paris"}],
    },
}


async def test_nested_lists_are_filled_in_and_nothing_typed_is_lost(page: Page, users: Any) -> None:
    users.insert_one(ADA)
    await fill_in_lists(page)
    await expect(page.locator("#status")).to_have_text("Saved.")
    assert users.find_one() == EXPECTED


async def test_without_scripts_it_is_the_same(
    browser: Browser, server: LiveServer, users: Any
) -> None:
    users.insert_one(ADA)
    async with open_page(browser, server.address, java_script_enabled=False) as page:
        await fill_in_lists(page)
        await expect(page.get_by_text("Copy as JSON")).to_be_hidden()  # that scripts would do
        await page.goto("/ui/users/")
        await expect(page.locator("[data-tick-all]")).to_be_hidden()
    assert users.find_one() == EXPECTED


async def test_the_new_row_has_the_focus_and_the_page_stays(page: Page, users: Any) -> None:
    users.insert_one({**ADA, "profile": {"addresses": [{"city": "London"}]}})
    await page.goto(EDITED)
    await page.evaluate("window.same = true")
    await page.get_by_role("button", name="Add: addresses").click()
    await expect(page.locator('[id="/profile/addresses/1/street"]')).to_be_focused()
    await page.get_by_role("button", name="Up: addresses 2").click()
    await expect(page.get_by_role("button", name="Down: addresses 1")).to_be_visible()
    assert await page.evaluate("window.same")


async def test_what_is_typed_before_the_new_row_is_there_stays(page: Page, users: Any) -> None:
    users.insert_one({**ADA, "profile": {"addresses": [{"city": "London"}]}})
    await page.goto(EDITED)
    async with hold(page, "**/edit"):
        await page.get_by_role("button", name="Add: addresses").click()
        await box(page, "name").fill("Ada L.")
    await expect(box(page, "city")).to_have_count(2)
    await expect(box(page, "name")).to_be_focused()
    await expect(box(page, "name")).to_have_value("Ada L.")


async def test_two_people_at_once_and_one_of_them_picks(
    page: Page, browser: Browser, server: LiveServer, users: Any
) -> None:
    users.insert_one(ADA)
    async with open_page(browser, server.address) as other:
        await page.goto(EDITED)
        await other.goto(EDITED)
        await box(page, "name").fill("Ada One")
        await box(page, "age").fill("37")
        await box(other, "name").fill("Ada Two")
        await other.get_by_role("button", name="Save", exact=True).click()
        await expect(other.locator("main")).to_contain_text("Saved.")
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.locator("h1")).to_have_text("Somebody else has changed it")
        await page.get_by_label("name: Theirs, stored now").check()
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.locator("main")).to_contain_text("Saved.")
    assert users.find_one() == {**ADA, "name": "Ada Two", "age": 37}


async def test_by_the_keyboard_alone(page: Page, users: Any) -> None:
    """Enter saves; the first field with an error has the focus, and says what is wrong."""
    users.insert_one(ADA)
    await page.goto(SHOWN)
    await page.get_by_role("link", name="Edit").focus()
    await page.keyboard.press("Enter")
    age = box(page, "age")
    await age.focus()
    await page.keyboard.press("ControlOrMeta+A")
    await page.keyboard.type("old")
    await page.keyboard.press("Enter")
    await expect(age).to_have_attribute("aria-invalid", "true")
    await expect(age).to_have_accessible_description(
        "whole number · ≥ 0 · ≤ 150 Input should be a valid integer, unable to parse string as an "
        'integer (what was sent: "old").'
    )
    await expect(age).to_be_focused()  # on the page that came
    await page.keyboard.press("ControlOrMeta+A")
    await page.keyboard.type("37")
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_contain_text("Saved.")
    assert users.find_one() == {**ADA, "age": 37}


async def test_a_form_that_the_server_would_not_read_is_not_sent(page: Page, users: Any) -> None:
    users.insert_one(ADA)
    await page.goto(EDITED)
    await box(page, "name").fill("Ada L.")
    await page.locator("#form").evaluate("form => { form.dataset.most = '100' }")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_role("dialog")).to_contain_text("larger than what the server accepts")
    await page.get_by_role("button", name="Close").click()
    await expect(box(page, "name")).to_have_value("Ada L.")


async def test_a_server_that_is_away_leaves_the_form(page: Page, users: Any) -> None:
    users.insert_one(ADA)
    await page.goto(EDITED)
    await box(page, "name").fill("Ada L.")
    save = page.get_by_role("button", name="Save", exact=True)
    await page.evaluate(
        "() => { kept = fetch; fetch = async () => { throw new TypeError('gone') } }"
    )
    await save.click()
    await expect(page.get_by_role("dialog")).to_contain_text("The server does not answer.")
    await page.evaluate("() => { fetch = kept }")
    await page.get_by_role("button", name="Close").click()
    await expect(box(page, "name")).to_have_value("Ada L.")
    await save.click()
    await expect(page.locator("main")).to_contain_text("Saved.")
    assert users.find_one() == {**ADA, "name": "Ada L."}


async def test_what_is_not_saved_is_not_left_by_a_click(page: Page, users: Any) -> None:
    """Neither what the server refused, nor what was removed by a button."""
    asked: list[str] = []

    async def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.dismiss()

    page.on("dialog", stay)
    users.insert_one({**ADA, "profile": {"bio": "counts"}})
    await page.goto(EDITED)
    await page.get_by_role("button", name="Remove: bio").click()
    await expect(page.get_by_role("button", name="Put back: bio")).to_be_focused()
    async with page.expect_event("dialog"):
        await page.get_by_role("link", name="Docsheet").click()
    assert asked == ["beforeunload"]
    await box(page, "email").fill("ada")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(box(page, "email")).to_have_attribute("aria-invalid", "true")
    await page.wait_for_load_state()  # with its scripts
    async with page.expect_event("dialog"):
        await page.get_by_role("link", name="Docsheet").click()
    assert asked == ["beforeunload"] * 2
    await expect(box(page, "email")).to_have_value("ada")


async def test_a_document_is_copied_and_deleted(page: Page, users: Any) -> None:
    users.insert_one(ADA)
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.goto(SHOWN)
    await page.get_by_role("button", name="Copy as JSON").click()
    await expect(page.locator("#status")).to_contain_text(str(KEY))  # it is copied
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert '"email": "ada@example.com"' in copied
    await page.get_by_role("link", name="Delete").click()
    await page.get_by_role("button", name="Delete").click()
    await expect(page.locator("main")).to_contain_text("The document is deleted.")
    assert users.find_one() is None
