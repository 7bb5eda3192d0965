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
LONGEST = 30_000  # milliseconds: whatever takes longer does not happen at all
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
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
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


@asynccontextmanager
async def hold(page: Page, pattern: str | re.Pattern[str]) -> AsyncIterator[None]:
    """What is asked for at such addresses is answered when the block has ended, not before."""
    is_over = asyncio.Event()

    async def wait(route: Route) -> None:
        await is_over.wait()
        await route.continue_()

    await page.route(pattern, wait)
    try:
        yield
    finally:
        is_over.set()


def _complain(line: Any, complaints: list[str]) -> None:
    # A refused form is an error in the console by chromium's way of telling, not by ours; so is
    # whatever else htmx is answered with an error.
    is_answer = any(words in line.text for words in ("status of 4", "status of 503", HTMX_ERROR))
    if line.type == "error" and not is_answer and line.text not in ABORTED:
        complaints.append(line.text)
