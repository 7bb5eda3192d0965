"""Errors of the pages: readers see a page that says what to do, programs get problem documents."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect
from pymongo import MongoClient

from app.application import create_app
from app.errors import DeclarationError, Unavailable
from app.pages.home import Home
from app.pages.problems import TITLES
from app.store.client import Database
from app.store.repository import Repository
from tests.support.accounts import ADDRESS, HASHER, PASSWORD, Served, basic, serve, settings_of
from tests.support.faulty import running_mongod
from tests.support.server import LiveServer
from tests.support.waiting import LONGEST

BROWSER = {"Accept": "text/html,*/*;q=0.8"}
MISSING = "0123456789abcdef01234567"


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr("app.auth.passwords._hasher", HASHER)
    async with serve() as one:
        one.add("viewer", "viewer")
        yield one


async def break_down(*_: Any) -> None:
    raise RuntimeError("a mistake of ours")


CASES: list[tuple[int, str, str, dict[str, Any]]] = [
    (400, "GET", "/ui/users/", {"headers": {"Host": "evil.example"}}),
    (403, "GET", "/ui/admin/accounts/", {}),
    (403, "POST", "/ui/preferences", {"headers": {"Origin": "https://evil.example"}}),
    (404, "GET", "/ui/nowhere", {}),
    (404, "GET", "/ui/users/none/at/all", {}),
    (404, "GET", f"/ui/users/{MISSING}", {}),
    (405, "PUT", "/ui/users/", {}),
    (413, "POST", "/ui/preferences", {"data": {"next": "/" + "a" * 70_000}}),
    (415, "POST", "/ui/preferences", {"json": {}}),
    (422, "POST", "/ui/preferences", {"data": {"next": "//evil.example"}}),
    (422, "GET", "/ui/?nope=1", {}),
    (500, "GET", "/ui/", {}),
]


@pytest.mark.parametrize(("status", "method", "path", "words"), CASES)
@pytest.mark.parametrize("language", ["en", "zh-CN"])
async def test_an_error_is_a_page_for_readers_and_a_document_for_programs(
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    method: str,
    path: str,
    words: dict[str, Any],
    language: str,
) -> None:
    if status == 500:
        monkeypatch.setattr(Home, "_count", break_down)
    words = dict(words)
    more = words.pop("headers", {})
    headers = {"Origin": ADDRESS, "Accept-Language": language, **basic("viewer"), **more}
    async with served.client() as client:
        page = await client.request(method, path, headers={**headers, **BROWSER}, **words)
        document = await client.request(method, path, headers=headers, **words)
    assert (page.status_code, document.status_code) == (status, status)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert document.headers["Content-Type"] == "application/problem+json"
    title = re.search(r"<h1>(.+)</h1>", page.text)
    assert title is not None
    assert (title[1].replace("&#39;", "'") == TITLES[status]) is (language == "en")
    assert f'<html lang="{language}"' in page.text
    assert page.headers["X-Request-ID"] in page.text
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    for name in ("Allow", "Retry-After", "Connection", "WWW-Authenticate"):
        assert page.headers.get(name) == document.headers.get(name)


async def test_too_many_requests_are_a_page_that_says_when_to_try_again(served: Served) -> None:
    async with serve(RATE_LIMIT="2/hour") as limited, limited.client(**BROWSER) as client:
        for _ in range(3):
            answer = await client.get("/ui/nowhere")
    assert answer.status_code == 429
    assert "Try again in" in answer.text
    assert int(answer.headers["Retry-After"]) > 0


async def test_with_accounts_too_a_database_that_is_away_is_a_page(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise Unavailable("The database can't be reached.")

    async with served.client(**BROWSER, Origin=ADDRESS) as client:
        form = {"username": "root", "password": PASSWORD}
        assert (await client.post("/ui/sign-in", data=form)).status_code == 303
        monkeypatch.setattr(Database, "run", fail)
        for answer in (await client.get("/ui/"), await client.post("/ui/sign-in", data=form)):
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
            assert "<h1>Not at the moment</h1>" in answer.text


async def open_whole(page: Page, address: str) -> None:
    """Until the database has answered all of it in the little time that it has."""
    whole = page.locator("#facets details")
    async with asyncio.timeout(5 * LONGEST):
        while not await whole.count():
            await page.goto(address)
            fault = page.locator("#problem[open], h1:text('Not at the moment')")
            await expect(whole.or_(fault).first).to_be_visible()


async def test_a_database_that_goes_away_leaves_the_screen_as_it_is(
    page: Page, tmp_path: Path
) -> None:
    settings = {"PRIMARY_WAIT_SECONDS": 0.3}
    with ExitStack() as stack:
        stopping = stack.enter_context(ExitStack())
        uri = stopping.enter_context(running_mongod(tmp_path))
        with MongoClient[dict[str, Any]](uri) as client:
            client.docsheet.users.insert_one({"name": "Ada", "email": "ada@example.com"})
        uri += "&heartbeatFrequencyMS=500"
        live = stack.enter_context(LiveServer(MONGO_URI=uri, DB_NAME="docsheet", **settings))
        await open_whole(page, f"{live.address}/ui/users/")
        stopping.close()
        await page.get_by_label("Search", exact=True).fill("a")
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("Not at the moment")
        await expect(dialog).to_contain_text("Try again in 5 seconds.")
        await dialog.get_by_role("button", name="Close").click()
        await expect(page.get_by_label("Search", exact=True)).to_have_value("a")
        await expect(page.locator("tbody tr")).to_have_count(1)
        async with httpx.AsyncClient(base_url=live.address, timeout=60) as http:
            answer = await http.get("/ui/users/", headers={**BROWSER, "Accept-Language": "zh"})
            document = await http.get("/ui/users/")
            home = await http.get("/ui/", headers=BROWSER)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "<h1>暂时无法使用</h1>" in answer.text
    assert document.json()["status"] == 503
    assert home.status_code == 200


@pytest.mark.parametrize("address", ["admin", "me", "static", "sign-in", "preferences", "jobs"])
def test_no_resource_takes_a_step_of_the_pages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    package = tmp_path / f"taken_{address.replace('-', '_')}"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from beanie import Document\n"
        "class Thing(Document):\n"
        f"    class Resource:\n        path = {address!r}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DeclarationError, match=f"Thing: the path '{address}' is taken"):
        create_app(settings_of(MODELS=package.name))


async def test_the_lists_beside_a_table_wait_once_for_a_database_that_is_away(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def fail(self: Any, query: Any, path: str, **_: Any) -> None:
        asked.append(path)
        raise Unavailable("The database can't be reached.")

    async with served.client(**BROWSER, Origin=ADDRESS) as client:
        form = {"username": "root", "password": PASSWORD}
        await client.post("/ui/sign-in", data=form)
        monkeypatch.setattr(Repository, "frequencies", fail)
        answer = await client.get("/ui/students/table/facets")
    assert (answer.status_code, len(asked)) == (503, 1)
