"""Makes the screenshots of the docs: `python -m tests.support.screenshots FOLDER`.

A database of its own is seeded with the models of this project, always alike; a browser walks
through the screens in English and Chinese.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from openpyxl import load_workbook
from playwright.async_api import Page, ViewportSize

from tests.support.browser import open_page, start_browser
from tests.support.server import ROOT, LiveServer

SIZE: ViewportSize = {"width": 1120, "height": 700}
SEEDED = {"students": 400, "users": 400}  # documents
LANGUAGES = {"en": "en", "zh": "zh-CN"}
Walk = Callable[[Page, Path, str], Awaitable[None]]


async def show_table(page: Page, folder: Path, code: str) -> None:
    """A collection, a filter, a document and its form."""
    await page.goto("/ui/")
    await take(page, folder / f"home.{code}.png")
    await page.goto("/ui/users/?age__gte=30&sort=-age")
    await take(page, folder / f"table.{code}.png")
    await page.locator("tbody th a").first.click()
    await take(page, folder / f"document.{code}.png")
    await page.goto(f"{page.url}/edit")
    await take(page, folder / f"form.{code}.png")
    await page.goto("/ui/users/download?age__gte=30")
    await take(page, folder / f"download.{code}.png")


async def show_import(page: Page, folder: Path, code: str) -> None:
    """A sheet with a changed value and a wrong one, as far as its preview."""
    sheet = folder / "users.xlsx"
    await page.goto("/ui/users/")
    answer = await page.request.get("/users/export/xlsx?columns=_id,*&limit=20")
    sheet.write_bytes(await answer.body())
    book = load_workbook(sheet)
    book.worksheets[0]["D3"] = 61
    book.worksheets[0]["C5"] = "no address"
    book.save(sheet)
    await page.goto("/ui/users/import")
    await page.locator("input[type=file]").set_input_files(sheet)
    await take(page, folder / f"import-1.{code}.png")
    for number in (2, 3):
        await page.locator("main form button.main").first.click()
        await page.wait_for_load_state("networkidle")
        await take(page, folder / f"import-{number}.{code}.png")
    sheet.unlink()


async def take(page: Page, path: Path) -> None:
    """What is on the screen, once it has come to rest."""
    await page.wait_for_load_state("networkidle")
    await page.screenshot(path=path, animations="disabled")


async def walk(address: str, folder: Path) -> None:
    """All of them."""
    async with start_browser() as browser:
        for code, locale in LANGUAGES.items():
            async with open_page(browser, address, locale=locale, viewport=SIZE) as page:
                for show in (show_table, show_import):
                    await show(page, folder, code)


def seed(data: str) -> None:
    """Stores the documents, the same ones each time."""
    for name, count in SEEDED.items():
        command = [sys.executable, "-m", "app", "seed", name, "--count", str(count), "--seed", "7"]
        subprocess.run(command, cwd=ROOT, env={**os.environ, "DATA_DIR": data}, check=True)


def main() -> None:
    """Makes them in the folder that is given."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="docsheet-") as data:
        seed(data)
        with LiveServer(DATA_DIR=data, spawn=True) as live:
            asyncio.run(walk(live.address, folder))


if __name__ == "__main__":
    main()
