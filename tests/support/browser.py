"""A real browser: Debian's chromium, driven by Playwright's asynchronous interface.

The synchronous one keeps an event loop running, and no asynchronous test could run beside it.
"""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, ViewportSize, async_playwright, expect

VIEWPORT: ViewportSize = {"width": 1280, "height": 900}
ABORTED = ("htmx:sendAbort", "htmx:afterRequest")  # of a request that a newer one replaced
HTMX_ERROR = "Response Status Error Code"  # the beginning of what htmx writes into the console
LONGEST = 60_000  # milliseconds: whatever takes longer does not happen at all
NAMES = ("chromium", "chromium-browser", "google-chrome")

expect.set_options(timeout=LONGEST)


def find_chromium() -> str:
    """Its path; skips the test where there is none, which under CI is a failure."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is not None:
        return found
    sentence = "no chromium; on Debian: apt-get install chromium"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


@asynccontextmanager
async def start_browser() -> AsyncIterator[Browser]:
    """A browser without a window."""
    path = find_chromium()
    async with async_playwright() as playwright:
        # Who runs as root in a container has no sandbox.
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"], timeout=2 * LONGEST
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def open_page(browser: Browser, address: str, **words: Any) -> AsyncIterator[Page]:
    """A page of a new reader; whatever its scripts complain of is an error in the end."""
    options = {"locale": "en", "timezone_id": "Asia/Shanghai", "viewport": VIEWPORT} | words
    context = await browser.new_context(base_url=address, **options)
    context.set_default_timeout(LONGEST)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: _complain(line, complaints))
    try:
        yield page
    finally:
        await context.close()
    assert not complaints, complaints


async def wait_in_page(page: Page, milliseconds: int) -> None:
    """Until what the page has begun before, to be done after a shorter time, is done."""
    await page.evaluate("(time) => new Promise((done) => setTimeout(done, time))", milliseconds)


async def travel(page: Page, way: str) -> None:
    """One step `back` or `forward`, as the browser's button does it; htmx loads the address anew.

    Before the scripts of a page are there nobody would, and on the page of before nothing is true
    of the one that comes.
    """
    await page.wait_for_load_state()
    async with page.expect_event("load"):
        await page.evaluate(f"setTimeout(() => history.{way}())")


class Held:
    """Requests whose answers wait."""

    def __init__(self) -> None:
        self._gates: asyncio.Queue[asyncio.Event] = asyncio.Queue()
        self._is_over = False

    async def wait(self, route: Route) -> None:
        """Goes on when it is let go."""
        if not self._is_over:
            gate = asyncio.Event()
            self._gates.put_nowait(gate)
            await gate.wait()
        await route.continue_()

    async def release(self) -> None:
        """Lets the oldest one go, as soon as there is one."""
        (await self._gates.get()).set()

    def release_all(self) -> None:
        """Lets them go, and whatever comes later."""
        self._is_over = True
        while not self._gates.empty():
            self._gates.get_nowait().set()


@asynccontextmanager
async def hold(page: Page, pattern: str | re.Pattern[str]) -> AsyncIterator[Held]:
    """What is asked for at such addresses is answered when the block has ended, not before."""
    held = Held()
    await page.route(pattern, held.wait)
    try:
        yield held
    finally:
        held.release_all()


def _complain(line: Any, complaints: list[str]) -> None:
    # A refused form is an error in the console by chromium's way of telling, not by ours; so is
    # whatever else htmx is answered with an error.
    is_answer = any(words in line.text for words in ("status of 4", "status of 503", HTMX_ERROR))
    if line.type == "error" and not is_answer and line.text not in ABORTED:
        complaints.append(line.text)
