"""From page to page of a table, and how many there are."""

from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.support.browser import travel


@pytest.fixture
def people(users: Any) -> list[str]:
    """The names of 25 people in the order of a sort by their age, which many have alike."""
    names = [f"{number:02}" for number in range(25)]
    users.insert_many(
        {"_id": number, "name": name, "email": f"{name}@example.com", "age": number // 9}
        for number, name in enumerate(names)
    )
    return names


async def sees(page: Page, names: list[str]) -> None:
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(len(names))
    await expect(rows).to_contain_text([f"{name}@example.com" for name in names])


async def test_to_the_last_page_and_back(page: Page, people: list[str]) -> None:
    pager = page.get_by_role("navigation", name="Pages")
    await page.goto("/ui/users/?sort=age")
    await sees(page, people[:10])
    await expect(pager.get_by_role("link")).to_have_text(["Next", "Last"])
    first = page.url
    await pager.get_by_text("Next").click()
    await sees(page, people[10:20])
    await expect(pager.get_by_role("link")).to_have_text(["First", "Previous", "Next", "Last"])
    second = page.url
    assert "after=" in second
    await pager.get_by_text("Next").click()
    await sees(page, people[20:])
    await expect(pager.get_by_role("link")).to_have_text(["First", "Previous"])
    await pager.get_by_text("Previous").click()
    await sees(page, people[10:20])
    await pager.get_by_text("Previous").click()
    await sees(page, people[:10])
    await expect(pager.get_by_role("link")).to_have_text(["Next", "Last"])
    await pager.get_by_text("Last").click()
    await sees(page, people[15:])
    await pager.get_by_text("First").click()
    await expect(page).to_have_url(first)
    await sees(page, people[:10])


async def test_the_back_button_leads_back_through_the_pages(page: Page, people: list[str]) -> None:
    await page.goto("/ui/users/?sort=-age&keyword=.")
    await expect(page.locator("tbody tr")).to_have_count(10)
    await page.get_by_role("link", name="Next").click()
    await sees(page, [*people[12:18], *people[:4]])
    await page.get_by_label("Rows on a page").select_option("20")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator("tbody tr")).to_have_count(15)
    await travel(page, "back")
    await sees(page, [*people[12:18], *people[:4]])
    await travel(page, "back")
    await sees(page, [*people[18:], *people[9:12]])
    await travel(page, "forward")
    await sees(page, [*people[12:18], *people[:4]])
    await expect(page.get_by_label("Rows on a page")).to_have_value("10")


async def test_count_all_counts_exactly_and_says_so(page: Page, people: list[str]) -> None:
    await page.goto("/ui/users/?limit=20")
    await expect(page.locator("caption")).to_contain_text("about 25 documents")
    await page.get_by_role("link", name="Count all").click()
    await expect(page).to_have_url("/ui/users/?limit=20&count=exact")
    await expect(page.locator("#status")).to_have_text("25 documents")
    await expect(page.locator("caption")).to_have_text("users: 25 documents")
    await expect(page.get_by_label("Rows on a page")).to_have_value("20")


def test_without_scripts_pages_are_links_and_their_size_a_form(
    http: httpx.Client, people: list[str]
) -> None:
    page = http.get("/ui/users/?age__gte=0&skip=15&limit=7&sort=-name")
    assert page.status_code == 200
    for relation, skip in (("prev", "&amp;skip=8"), ("first", "")):
        address = f"/ui/users/?age__gte=0&amp;limit=7&amp;sort=-name{skip}"
        assert f'rel="{relation}" href="{address}"' in page.text
    assert '<input type="hidden" name="skip" value="15">' in page.text
    assert '<input type="hidden" name="sort" value="-name">' in page.text
    assert '<option value="7" selected>7</option>' in page.text
    assert '<option value="1000">1,000</option>' in page.text
    assert "Count all" not in page.text
