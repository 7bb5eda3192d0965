"""Every screen in both languages, light and dark, narrow and wide: it fits, axe finds nothing."""

from collections.abc import Iterator
from typing import Any

import bson
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.support.browser import open_page
from tests.support.server import LiveServer

KEY = "64b000000000000000000001"
MARKUP = "<script>alert(1)</script>{{7*7}}"
RIGHT_TO_LEFT = "\u202eabc\u2066\u05d0"
PERSON = {"bio": "喜欢爬山", "addresses": [{"city": "北京"}]}
ODD = {"name": 7, "age": "thirty", "profile": "none", "extra": {"a": [1, {"b": None}]}}
DOCUMENTS: list[dict[str, Any]] = [
    {"name": "王小明", "email": "xiaoming@example.com", "age": 30, "profile": PERSON},
    {"name": MARKUP, "email": "markup@example.com", "age": None, "profile": {"bio": RIGHT_TO_LEFT}},
    {"name": "", "email": "long@example.com", "profile": {"bio": "长" * 10_000, "addresses": []}},
    {**ODD, "email": "odd@example.com"},
]
SCREENS = {
    "home": "/ui/",
    "table": "/ui/users/",
    "wrong filter": "/ui/users/?age__gte=old&limit=2",
    "no match": "/ui/users/?keyword=nobody",
    "empty table": "/ui/classes/",
    "views": "/ui/users/views?sort=name",
    "filter": "/ui/users/table/filter?field=age&op=gte&value=old&shown=number&add=1",
    "columns": "/ui/users/table/columns?back=fields%3Dage,name",
    "lists of values": "/ui/users/table/facets?name__contains=x&age=1",
    "download": "/ui/users/download?sort=name",
    "several": f"/ui/users/bulk?_id={KEY}",
    "document": f"/ui/users/{KEY}",
    "form": f"/ui/users/{KEY}/edit",
    "new document": f"/ui/users/new?from={KEY}",
    "deleting": f"/ui/users/{KEY}/delete",
    "import": "/ui/users/import",
    "problem": "/ui/nothing",
}
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 320, "height": 640}
LOOKS = {
    f"{locale} {scheme} {size['width']}": {
        "locale": locale,
        "color_scheme": scheme,
        "viewport": size,
    }
    for locale in ("en", "zh-CN")
    for scheme in ("light", "dark")
    for size in (WIDE, NARROW)
}
USUAL = "zh-CN dark 320"  # the look in which most can go wrong; the others are slow
# What has no control of its own is slow in this look, too.
ALIKE = ("no match", "empty table", "several", "deleting", "problem", "views", "wrong filter")


def cases() -> Iterator[Any]:
    for look in LOOKS:
        for screen in SCREENS:
            is_usual = look == USUAL and screen not in ALIKE
            marks = () if is_usual else pytest.mark.slow
            yield pytest.param(screen, look, id=f"{screen}, {look}", marks=marks)


@pytest.fixture
def documents(users: Any) -> Any:
    key = int(KEY, 16)
    rows = [{"_id": _key(key + number), **one} for number, one in enumerate(DOCUMENTS)]
    users.insert_many(rows)
    return users


def _key(number: int) -> Any:
    return bson.ObjectId(f"{number:024x}")


@pytest.mark.parametrize(("screen", "look"), [*cases()])
async def test_it_fits_and_everyone_can_use_it(
    screen: str, look: str, browser: Browser, server: LiveServer, documents: Any
) -> None:
    words: dict[str, Any] = LOOKS[look]
    async with open_page(browser, server.address, **words) as page:
        await page.goto(SCREENS[screen])
        await wait_for_lists(page)
        await refuse_scroll(page)
        found = await Axe().run(page)
        wrong = [
            f"{one['id']}: {node['html']}"
            for one in found.response["violations"]
            for node in one["nodes"]
        ]
        assert wrong == []


async def wait_for_lists(page: Page) -> None:
    """Until those beside a table are there."""
    await expect(page.locator("#facets[hx-trigger^=load]")).to_have_count(0)


async def refuse_scroll(page: Page) -> None:
    """What is too wide scrolls inside itself, never the whole page."""
    width = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert width <= 0


async def test_paper_has_the_table_and_its_filters_alone(page: Page, documents: Any) -> None:
    await page.goto("/ui/users/?age__gte=30")
    await page.emulate_media(media="print", color_scheme="dark")
    for place in ("#search", "#actions", "#facets", "#bulk", ".tick", ".pager", ".remove"):
        await expect(page.locator(place).first).to_be_hidden()
    for place in (".pill", "thead th", "tbody th", "#count"):
        await expect(page.locator(place).first).to_be_visible()
    white = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert white == "rgb(255, 255, 255)"
