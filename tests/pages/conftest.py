"""The pages in a real browser, on the live server of all tests.

Tests await what the page does: `await page.goto("/ui/users/")`, `await expect(…).to_have_count(1)`.
"""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page

from tests.support.browser import open_page, start_browser
from tests.support.server import LiveServer


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser for the whole session."""
    async with start_browser() as started:
        yield started


@pytest.fixture
async def page(browser: Browser, server: LiveServer) -> AsyncIterator[Page]:
    """A new reader's page, in English, 1,280 px wide."""
    async with open_page(browser, server.address) as opened:
        yield opened
