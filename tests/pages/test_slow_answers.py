"""Readers who are quicker than the answers: what they asked for last is what is shown."""

import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.support.browser import hold, travel, wait_in_page

LISTS = re.compile(r"/ui/users/(table/\w+)?\?")  # the table, whatever is asked for
# Writes down of each form that is submitted whether it would be sent, or is kept by a script;
# it is answered never.
SHOW_SUBMITS = """() => {
  const shown = document.documentElement.dataset;
  shown.submits = "";
  document.addEventListener("submit", (event) => {
    shown.submits += event.defaultPrevented ? " kept" : " sent";
    event.preventDefault();
  });
}"""
# The page's clock shows ten seconds more than before, and stands still.
LATER = "() => { const moment = Date.now() + 10_000; Date.now = () => moment; }"
# What would be done after 300 ms or later is done when `go()` is called.
STOP_TIMERS = """() => {
  const { setTimeout, clearTimeout } = window;
  const late = new Map();
  let last = 0;
  window.setTimeout = (work, time, ...words) => {
    if (!(time >= 300)) return setTimeout(work, time, ...words);
    late.set(--last, () => work(...words));
    return last;
  };
  window.clearTimeout = (id) => late.delete(id) || clearTimeout(id);
  window.go = () => {
    Object.assign(window, { setTimeout, clearTimeout });
    for (const work of late.values()) work();
  };
}"""


@pytest.fixture
def people(users: Any) -> Any:
    rows = [("Ada", 30), ("Adam", 40), ("Bea", 30), ("Cai", 40)]
    users.insert_many({"name": n, "email": f"{n}@example.com", "age": age} for n, age in rows)
    return users


@pytest.fixture
async def table(page: Page, people: Any) -> Page:
    """The table of the people, with the lists beside it."""
    await open_with_lists(page, "/ui/users/?fields=name%2Cage")
    return page


@pytest.fixture
async def filter_form(table: Page) -> Page:
    """A form in which the value of a filter is missing."""
    address = "/ui/users/table/filter?back=fields%3Dname,age&field=age"
    await open_with_lists(table, address)
    return table


async def open_with_lists(page: Page, address: str) -> None:
    """Goes there; all that a table asks for by itself is answered."""
    await page.goto(address)
    await expect(page.locator("#facets li").first).to_be_visible()


async def sees_rows(page: Page, query: str, *names: str) -> None:
    """The address, the rows and the box of the search say the same."""
    pairs = query.split("&")
    each = "".join(f"(?=.*[?&]{re.escape(pair)}(&|$))" for pair in pairs)
    await expect(page).to_have_url(re.compile(rf"{each}[^?]*\?([^&]*&?){{{len(pairs)}}}$"))
    await expect(page.locator("tbody th + td")).to_have_text([*names])
    keyword = re.search(r"keyword=(\w+)", query)
    await expect(page.locator("#keyword")).to_have_value(keyword[1] if keyword else "")


async def sees(page: Page, query: str, *names: str) -> None:
    """The same, and the count."""
    await sees_rows(page, query, *names)
    await expect(page.locator("#count")).to_contain_text(f"{len(names)} document")


def facet(page: Page, name: str) -> Locator:
    return page.locator("#facets").get_by_role("link", name=name, exact=True)


async def test_a_sort_keeps_what_was_typed_just_before(table: Page) -> None:
    async with hold(table, LISTS):
        await table.locator("#keyword").fill("ada")
        await table.locator("#sort-name").click()
        await table.locator("#sort-name").click()
    await sees(table, "fields=name%2Cage&keyword=ada&sort=name", "Ada", "Adam")
    await travel(table, "back")
    await sees(table, "fields=name%2Cage", "Ada", "Adam", "Bea", "Cai")


async def test_a_search_keeps_the_sort_and_the_filter_that_are_under_way(table: Page) -> None:
    async with hold(table, LISTS):
        await table.locator("#sort-name").click()
        await facet(table, "Adam").click()
        async with table.expect_request(re.compile("keyword=a")):
            await table.locator("#keyword").fill("a")
    query = "fields=name%2Cage&sort=name&name=Adam&keyword=a"
    await sees(table, query, "Adam")
    await expect(table.locator(".pill")).to_have_count(1)
    await expect(table.locator("#facets [aria-current]")).to_have_text(["Adam"])
    await table.locator("#sort-name").click()
    await sees(table, query.replace("sort=", "sort=-"), "Adam")


async def test_a_second_press_of_next_is_no_other_page(table: Page) -> None:
    await table.goto("/ui/users/?fields=name&sort=name&limit=2")
    async with hold(table, LISTS):
        for _ in range(2):
            await table.get_by_role("link", name="Next").click()
    await expect(table.locator("tbody th + td")).to_have_text(["Bea", "Cai"])
    async with hold(table, LISTS):  # whose place is none once it is searched
        await table.locator("#keyword").fill("ada")
        await table.get_by_role("link", name="Previous").click()
    await sees(table, "fields=name&sort=name&limit=2&keyword=ada", "Ada", "Adam")


async def test_lists_that_are_still_those_of_before_lose_nothing(table: Page) -> None:
    async with hold(table, "**/table/facets?*"):
        await table.locator("#sort-name").click()
        await expect(table).to_have_url("/ui/users/?fields=name%2Cage&sort=name")
        await facet(table, "Bea").click()
        await sees(table, "fields=name%2Cage&sort=name&name=Bea", "Bea")
    await expect(table.locator("#facets [aria-current]")).to_have_text(["Bea"])


async def test_enter_at_once_is_one_search_and_one_step_back(table: Page) -> None:
    asked: list[str] = []
    table.on("request", lambda request: asked.append(request.url))
    await table.evaluate(STOP_TIMERS)
    await table.locator("#keyword").fill("ada")
    await table.keyboard.press("Enter")
    await sees(table, "fields=name%2Cage&keyword=ada", "Ada", "Adam")
    await table.evaluate("go()")  # of what was typed
    await table.keyboard.press("Enter")
    await table.locator("#keyword").press_sequentially("m")
    await sees(table, "fields=name%2Cage&keyword=adam", "Adam")
    assert len([one for one in asked if re.search(r"users/\?.*keyword=ada(&|$)", one)]) == 2
    await travel(table, "back")
    await sees(table, "fields=name%2Cage&keyword=ada", "Ada", "Adam")
    await travel(table, "back")
    await sees(table, "fields=name%2Cage", "Ada", "Adam", "Bea", "Cai")


async def test_a_form_comes_with_the_table_that_is_under_way(table: Page) -> None:
    async with hold(table, LISTS):
        await table.locator("#keyword").fill("ada")
        await table.locator("#open-filter").click()
    await expect(table.locator("#field")).to_be_visible()
    await expect(table.locator("tbody th + td")).to_have_text(["Ada", "Adam"])
    await table.get_by_role("link", name="Cancel").click()
    await sees(table, "fields=name%2Cage&keyword=ada", "Ada", "Adam")


async def test_going_back_forgets_what_is_under_way(table: Page) -> None:
    await table.locator("#sort-name").click()
    await expect(table).to_have_url("/ui/users/?fields=name%2Cage&sort=name")
    async with hold(table, LISTS):
        async with table.expect_request(re.compile("keyword=ada")):
            await table.locator("#keyword").fill("ada")
        async with table.expect_request("**/ui/users/?fields=name%2Cage"):
            await table.evaluate("history.back()")
    await sees(table, "fields=name%2Cage", "Ada", "Adam", "Bea", "Cai")
    await travel(table, "forward")
    await sees(table, "fields=name%2Cage&sort=name", "Ada", "Adam", "Bea", "Cai")


async def test_what_is_done_with_all_that_match_is_of_the_search_under_way(table: Page) -> None:
    async with hold(table, LISTS):
        await table.locator("#keyword").fill("bea")
        await table.get_by_role("link", name="With all documents").click()
    await expect(table.locator("h1")).to_have_text("1 document")
    await table.goto("/ui/users/")
    async with hold(table, LISTS):
        await table.locator("#keyword").fill("cai")
        await table.get_by_role("link", name="Download").click()
    await expect(table.locator("#amount")).to_have_text("1 document")


async def test_the_name_of_a_view_stays_while_the_table_comes(table: Page, people: Any) -> None:
    name = table.get_by_label("Name", exact=True)
    async with hold(table, LISTS):
        await table.locator("#sort-name").click()
        await table.locator("#views summary").click()
        await name.fill("By n")
    await sees(table, "fields=name%2Cage&sort=name", "Ada", "Adam", "Bea", "Cai")
    await expect(name).to_be_focused()
    await table.keyboard.type("ame")
    await expect(name).to_have_value("By name")
    await expect(table.locator("#views [name=query]")).to_have_value("fields=name%2Cage&sort=name")


async def test_another_language_shows_the_same_table(table: Page) -> None:
    await table.locator("#keyword").fill("ada")
    await sees(table, "fields=name%2Cage&keyword=ada", "Ada", "Adam")
    await table.get_by_role("button", name="中文").click()
    await expect(table.locator("html")).to_have_attribute("lang", "zh-CN")
    await sees_rows(table, "fields=name%2Cage&keyword=ada", "Ada", "Adam")


async def test_a_cell_that_was_opened_before_keeps_the_sort(table: Page) -> None:
    async with hold(table, LISTS):
        await table.locator("#sort-name").click()
        await table.get_by_role("cell", name="30", exact=True).first.click()
        await expect(table.locator("#cell")).to_be_visible()
    await expect(table).to_have_url("/ui/users/?fields=name%2Cage&sort=name")
    await table.get_by_role("link", name="Not these").click()
    await sees(table, "fields=name%2Cage&sort=name&age__ne=30", "Adam", "Cai")


async def test_a_column_that_is_ticked_while_another_moves_stays(table: Page) -> None:
    await table.goto("/ui/users/table/columns?back=fields%3Dname,age")
    async with hold(table, LISTS):
        await table.get_by_role("button", name="Move age up").click()
        await table.get_by_role("checkbox", name="email").check()
    await expect(table.locator("[name=order]").first).to_have_value("age")
    await expect(table.get_by_role("checkbox", name="email")).to_be_checked()


async def test_a_newer_step_replaces_one_that_is_asked_for_again(filter_form: Page) -> None:
    async with hold(filter_form, LISTS) as held:
        await filter_form.locator("#op").select_option("gte")
        await filter_form.locator("#value").fill("4")
        async with filter_form.expect_request(LISTS):
            await held.release()
        await filter_form.get_by_role("link", name="Cancel").click()
    await sees(filter_form, "fields=name%2Cage", "Ada", "Adam", "Bea", "Cai")


async def test_a_sort_and_a_search_keep_the_filter_that_is_being_applied(filter_form: Page) -> None:
    async with hold(filter_form, LISTS):
        await filter_form.locator("#value").fill("40")
        await filter_form.get_by_role("button", name="Apply").click()
        await filter_form.locator("#sort-name").click()
        async with filter_form.expect_request(re.compile("keyword%3Da")):
            await filter_form.locator("#keyword").fill("a")
    await sees(filter_form, "fields=name%2Cage&age=40&sort=name&keyword=a", "Adam", "Cai")
    await filter_form.locator("#sort-name").click()
    await sees(filter_form, "fields=name%2Cage&age=40&sort=-name&keyword=a", "Cai", "Adam")


async def test_a_sort_keeps_the_columns_that_are_being_chosen(table: Page) -> None:
    await open_with_lists(table, "/ui/users/table/columns?back=fields%3Dname,age")
    async with hold(table, LISTS):
        await table.get_by_role("checkbox", name="email").check()
        await table.get_by_role("button", name="Show these columns").click()
        await table.locator("#sort-name").click()
    await sees(table, "fields=name%2Cage%2Cemail&sort=name", "Ada", "Adam", "Bea", "Cai")


async def test_a_filter_that_is_refused_leaves_the_sort(filter_form: Page) -> None:
    async with hold(filter_form, LISTS):
        await filter_form.locator("#value").fill("old")
        await filter_form.get_by_role("button", name="Apply").click()
        await filter_form.locator("#sort-name").click()
    await expect(filter_form.locator("#value-fault")).to_be_visible()
    await expect(filter_form.locator("[aria-sort=ascending]")).to_have_text("name")
    await filter_form.locator("#sort-name").click()
    await sees(filter_form, "fields=name%2Cage&sort=-name", "Cai", "Bea", "Adam", "Ada")


async def test_a_filter_that_is_cancelled_while_it_is_applied_is_none(filter_form: Page) -> None:
    async with hold(filter_form, LISTS):
        await filter_form.locator("#value").fill("40")
        await filter_form.get_by_role("button", name="Apply").click()
        await filter_form.get_by_role("link", name="Cancel").click()
        await filter_form.locator("#sort-name").click()
    await sees(filter_form, "fields=name%2Cage&sort=name", "Ada", "Adam", "Bea", "Cai")


async def test_a_linked_document_that_is_chosen_stays_when_others_are_found(
    page: Page, database: Any
) -> None:
    database["classes"].delete_many({})
    database["classes"].insert_many([{"name": f"Grade {number}"} for number in range(3)])
    await page.goto("/ui/students/table/filter?field=clas")
    async with hold(page, "**/table/filter?*"):
        async with page.expect_request("**/table/filter?*q=Grade*"):
            await page.locator("#q").fill("Grade")
        await page.locator("#value").select_option("Grade 1")
        await page.locator("#q").fill("Grade 2")
    await expect(page.locator("#value option")).to_have_text(["Grade 1", "Grade 2"])


async def test_enter_after_the_name_of_a_linked_document_is_the_last_request(
    page: Page, database: Any
) -> None:
    database["classes"].delete_many({})
    key = database["classes"].insert_one({"name": "Grade 1"}).inserted_id
    await page.goto("/ui/students/table/filter?field=clas")
    async with hold(page, "**/table/filter?*"):
        await page.locator("#value").select_option("Grade 1")
        await page.locator("#q").press_sequentially("G")
        await page.get_by_role("button", name="Apply").click()
        await wait_in_page(page, 310)
    await expect(page).to_have_url(f"/ui/students/?clas={key}")


# --- forms of documents ---


@pytest.fixture
async def form(page: Page, people: Any) -> Page:
    """The form of a document with one address."""
    profile = {"bio": "", "addresses": [{"city": "London"}]}
    people.update_one({"name": "Ada"}, {"$set": {"profile": profile}})
    await page.goto(f"/ui/users/{people.find_one({'name': 'Ada'})['_id']}/edit")
    return page


async def test_a_button_waits_for_the_one_before_it(form: Page) -> None:
    async with hold(form, "**/edit"):
        for name in ("Add: addresses", "Remove: bio", "Remove: bio"):
            await form.get_by_role("button", name=name).click()
    await expect(form.get_by_role("button", name="Put back: bio")).to_be_visible()
    await expect(form.get_by_role("textbox", name=re.compile("^city"))).to_have_count(2)


async def test_what_is_typed_between_two_buttons_stays(form: Page) -> None:
    name = form.locator('[name="/name"]')
    async with hold(form, "**/edit"):
        await form.get_by_role("button", name="Add: addresses").click()
        await name.fill("Ada L.")
        await form.get_by_role("button", name="Remove: bio").click()
    await expect(form.get_by_role("button", name="Put back: bio")).to_be_visible()
    await expect(form.get_by_role("textbox", name=re.compile("^city"))).to_have_count(2)
    await expect(name).to_have_value("Ada L.")


async def test_saving_goes_before_a_row_that_is_under_way(form: Page, people: Any) -> None:
    async with hold(form, "**/livez"), hold(form, "**/edit"):
        await form.locator('[name="/name"]').fill("Ada L.")
        await form.get_by_role("button", name="Add: addresses").click()
        await form.get_by_role("button", name="Save", exact=True).click()
        await form.get_by_role("button", name="Remove: bio").click()
    await expect(form.locator("main")).to_contain_text("Saved.")
    assert people.find_one({"name": "Ada L."})["profile"]["addresses"] == [{"city": "London"}]


async def test_a_form_is_sent_once_however_long_it_takes(form: Page) -> None:
    await form.evaluate(SHOW_SUBMITS)
    await form.evaluate(LATER)
    submits = " kept sent"  # first it is seen whether the server is there
    for _ in range(3):
        await form.get_by_role("button", name="Save", exact=True).click()
        await expect(form.locator("html")).to_have_attribute("data-submits", submits)
        submits += " kept kept"
        await form.evaluate(LATER)


async def test_the_picks_of_the_last_letters_are_offered(page: Page, database: Any) -> None:
    database["classes"].delete_many({})
    database["classes"].insert_many([{"name": name} for name in ("Grade 1", "Class 2")])
    await page.goto("/ui/students/new")
    field = page.locator('[id="/clas"]')
    options = page.locator('[id="list:/clas"] option')
    async with hold(page, "**/pick?*q=Grade*"):
        async with page.expect_request("**/pick?*q=Grade*"):
            await field.fill("Grade")
        await field.fill("Class")
        await expect(options).to_have_text(["Class 2"])
    await page.evaluate("fetch('/ui/students/pick?q=Grade 1')")  # it is answered after that
    await expect(options).to_have_text(["Class 2"])
