"""The pages in a real browser, on the live server of all tests."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import open_page, start_browser
from tests.support.server import LiveServer


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for the whole session."""
    with start_browser() as started:
        yield started


@pytest.fixture
def page(browser: Browser, server: LiveServer) -> Iterator[Page]:
    """A new reader's page, in English, 1,280 px wide."""
    with open_page(browser, server.address) as opened:
        yield opened
