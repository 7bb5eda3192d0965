"""A real browser: Debian's chromium, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str:
    """Its path; skips the test where there is none, which under CI is a failure."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is not None:
        return found
    sentence = "no chromium; on Debian: apt-get install chromium"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


@contextmanager
def start_browser() -> Iterator[Browser]:
    """A browser without a window."""
    path = find_chromium()
    with sync_playwright() as playwright:
        # Who runs as root in a container has no sandbox.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(browser: Browser, address: str, **words: Any) -> Iterator[Page]:
    """A page of a new reader; whatever its scripts complain of is an error in the end."""
    options = {"locale": "en", "timezone_id": "Asia/Shanghai", "viewport": VIEWPORT} | words
    context = browser.new_context(base_url=address, **options)
    context.set_default_timeout(10_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: _complain(line, complaints))
    try:
        yield page
    finally:
        context.close()
    assert not complaints


def _complain(line: Any, complaints: list[str]) -> None:
    # A refused form is an error in the console by chromium's way of telling, not by ours.
    if line.type == "error" and "status of 4" not in line.text:
        complaints.append(line.text)


VIEWPORT = {"width": 1280, "height": 900}
