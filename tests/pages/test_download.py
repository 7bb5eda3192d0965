"""A download is known before the click: how large, how long; then its progress, and the proof."""

import ast
import csv
import hashlib
import html
import io
import re
import secrets
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import openpyxl
import pytest
from mongomock_motor import AsyncMongoMockClient
from playwright.async_api import Page, expect

from app.application import create_app
from app.pages.copies import list_copies
from app.settings import Settings
from tests.support.accounts import Served, serve
from tests.support.mongod import needs_mongod

pytestmark = needs_mongod
HARD = 'O\'Neil "the" 王 & #(lf) $HOME `x` \\ %41'


def people(count: int) -> list[dict[str, Any]]:
    return [
        {"name": f"N{number}", "email": f"{number}@example.com", "age": number % 90}
        for number in range(count)
    ]


def offers(text: str) -> dict[str, tuple[str, str]]:
    """The address of each kind of file, and what is said of its size."""
    rows = re.findall(r'href="([^"]+)" data-known="[^"]+">([^<]+)</a></th>\n<td>([^<]*)</td>', text)
    return {title: (html.unescape(address), size) for address, title, size in rows}


def amount(text: str) -> str:
    found = re.search(r'<p id="amount">\s*(.*?)\s*(?:·|</p>)', text, re.DOTALL)
    assert found is not None
    return found[1].strip()


async def test_a_workbook_is_downloaded_with_its_progress_and_proof(
    page: Page, users: Any, tmp_path: Path
) -> None:
    users.insert_many([*people(30), {"name": "=1+1", "email": "x@example.com", "age": 99}])
    await page.goto("/ui/users/?age__gte=10&sort=-age&fields=name,age")
    await page.get_by_role("link", name="Download").click()
    await expect(page.locator("#amount")).to_have_text("21 documents")
    told = page.get_by_text("begins like a formula")
    await expect(told).to_be_visible()
    assert await told.evaluate("cell => cell.scrollWidth <= cell.clientWidth")  # all of it
    await page.wait_for_load_state()  # with the scripts
    async with page.expect_download() as started:
        await page.get_by_role("link", name="Excel workbook").click()
    download = await started.value
    file = tmp_path / download.suggested_filename
    await download.save_as(file)
    rows = list(openpyxl.load_workbook(file).active.values)
    assert (rows[0], rows[1], len(rows)) == (("name", "age"), ("=1+1", 99), 22)
    assert file.name == "users.xlsx"
    await expect(page.locator("#progress")).to_contain_text("Complete: 21 rows")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    await expect(page.locator("[data-sha256]")).to_have_text(digest)


def test_what_is_said_before_is_what_comes(http: httpx.Client, users: Any) -> None:
    users.insert_many(people(80))
    screen = http.get("/ui/users/download?age__lt=50&sort=-name")
    assert amount(screen.text) == "50 documents"
    found = offers(screen.text)
    assert len(found) == 5
    for title, (address, size) in found.items():
        answer = http.get(address)
        assert answer.status_code == 200, title
        number, unit = size.split()
        exact = len(answer.content) / {"B": 1, "KiB": 1024}[unit]
        assert float(number) == pytest.approx(exact, rel=0.05), title
    assert http.get(found["CSV for Excel"][0]).content.startswith(b"\xef\xbb\xbfname,")
    assert "formulas=keep" in found["CSV for programs"][0]


def test_many_are_estimated_by_the_first(http: httpx.Client, users: Any) -> None:
    users.insert_many([{**one, "profile": {"bio": "x" * 200}} for one in people(3_000)])
    screen = http.get("/ui/users/download?age__gte=0")
    assert amount(screen.text) == "3,000 documents"
    for title, (address, size) in offers(screen.text).items():
        word, number, unit = size.split()
        exact = len(http.get(address).content) / {"KiB": 1024, "MiB": 1024**2}[unit]
        assert word == "about"
        assert float(number) == pytest.approx(exact, rel=0.25), title


def test_texts_that_will_be_changed_are_counted(http: httpx.Client, users: Any) -> None:
    odd = [
        {"name": "=1", "email": "1@example.com", "profile": {"bio": "-x"}},
        {"name": "-5", "email": "2@example.com", "age": -5},
        {"name": "a", "email": "3@example.com", "profile": {"bio": "长" * 40_000}},
        {"name": "b", "email": "4@example.com", "profile": {"bio": "😀" * 20_000}},
    ]
    users.insert_many(odd)
    text = http.get("/ui/users/download").text
    assert "3 texts of the first 4 documents begin like a formula" in html.unescape(text)
    assert "2 texts of the first 4 documents are longer than a cell" in text
    chinese = http.get("/ui/users/download", headers={"Accept-Language": "zh"}).text
    assert "前 4 个文档中有 3 处文本以公式符号开头" in chinese


def test_an_id_that_is_chosen_serves_once(http: httpx.Client, users: Any) -> None:
    users.insert_many(people(5))
    chosen = secrets.token_hex(16)
    assert http.get(f"/exports/{chosen}").status_code == 404
    answer = http.get(f"/ui/users/download/{chosen}/csv?columns=name&limit=3")
    assert answer.headers["x-export-id"] == chosen
    record = http.get(f"/exports/{chosen}").json()
    assert (record["state"], record["rows"]) == ("complete", 3)
    assert record["sha256"] == hashlib.sha256(answer.content).hexdigest()
    again = http.get(f"/ui/users/download/{chosen}/csv")
    assert again.status_code == 409
    assert http.get(f"/exports/{chosen}").json() == record
    for wrong in ("x", chosen.upper().replace("0", "A"), chosen + "0"):
        assert http.get(f"/ui/users/download/{wrong}/csv").status_code == 404
    refused = secrets.token_hex(16)
    assert http.get(f"/ui/users/download/{refused}/csv?nothing=1").status_code == 422
    assert http.get(f"/exports/{refused}").status_code == 404


async def test_what_failed_before_the_first_byte_is_known_by_its_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.transfers.production.read_pages", fail)
    settings = Settings(DB_NAME="test", _env_file=None)  # type: ignore[call-arg]
    app = create_app(settings, AsyncMongoMockClient())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        chosen = secrets.token_hex(16)
        answer = await http.get(f"/ui/users/download/{chosen}/csv")
        assert answer.status_code == 503
        record = (await http.get(f"/exports/{chosen}")).json()
    assert (record["state"], record["detail"]) == ("failed", "the database is away")


def fail(*_: object) -> Any:
    from app.errors import Unavailable

    raise Unavailable("the database is away")


def test_columns_titles_and_zone_are_chosen(http: httpx.Client, users: Any) -> None:
    users.insert_many(people(2))
    form = {
        "column": ["name", "age", "profile.bio"],
        "title:name": "Name, 名: 100%",
        "title:age": "age",
        "title:email": "unused",
        "zone": "Asia/Shanghai",
    }
    answer = http.post("/ui/users/download?sort=-age", data=form)
    assert answer.status_code == 303
    address = answer.headers["location"]
    assert dict(parse_qsl(urlsplit(address).query)) == {
        "sort": "-age",
        "columns": "name:Name%2C 名%3A 100%25,age,profile.bio",
        "timezone": "Asia/Shanghai",
    }
    found = offers(http.get(address).text)
    assert all("timezone=Asia%2FShanghai" in found[title][0] for title in list(found)[:3])
    sheet = http.get(found["CSV for programs"][0]).text
    assert next(csv.reader(io.StringIO(sheet))) == ["Name, 名: 100%", "age", "profile.bio"]
    assert http.get(found["JSON"][0]).json()[0].keys() == {"name", "age"}
    usual = http.post("/ui/users/download", data={"column": list(DEFAULT)})
    assert usual.headers["location"] == "/ui/users/download"


DEFAULT = ("name", "email", "age", "profile.bio", "profile.age", "profile.addresses")


def test_the_key_is_taken_along_to_import_it_again(http: httpx.Client, users: Any) -> None:
    users.insert_many(people(2))
    for query, columns in (("sort=name", ["_id", *DEFAULT]), ("fields=age", ["_id", "age"])):
        text = http.get(f"/ui/users/download?{query}").text
        found = re.search(r'href="([^"]+)">take the column _id along', text)
        assert found is not None
        screen = http.get(html.unescape(found[1])).text
        assert "take the column _id along" not in screen
        sheet = http.get(offers(screen)["CSV for Excel"][0]).text
        assert sheet.removeprefix("\ufeff").splitlines()[0].split(",") == columns


def test_the_zone_of_the_reader_is_for_excel_alone(http: httpx.Client, users: Any) -> None:
    users.insert_many(people(1))
    text = http.get("/ui/users/download", headers={"Cookie": "zone=Asia/Shanghai"}).text
    zones = {title: "Asia%2FShanghai" in address for title, (address, _) in offers(text).items()}
    assert [title for title, there in zones.items() if there] == ["Excel workbook", "CSV for Excel"]


def test_a_wrong_parameter_is_said_and_the_rest_stays(http: httpx.Client, users: Any) -> None:
    users.insert_many(people(20))
    screen = http.get("/ui/users/download?age__lt=10&size=3&timezone=Nowhere&bom=true")
    assert screen.status_code == 422
    assert amount(screen.text) == "10 documents"
    for name in ("size", "timezone", "bom"):
        assert f"<p>{name}: " in screen.text
    assert http.post("/ui/users/download?size=3", data={"column": "name"}).status_code == 422


def test_a_list_that_is_no_column_is_said_beside_its_kind(http: httpx.Client, users: Any) -> None:
    users.insert_many(people(1))
    text = http.get("/ui/users/download?columns=name,profile.addresses.0.city").text
    assert list(offers(text)) == ["Excel workbook", "CSV for Excel", "CSV for programs"]
    assert text.count("one element of a list has no place of its own") == 2


# --- for other programs ---


def copies(address: str, *, has_accounts: bool = False) -> dict[str, str]:
    listed = list_copies(address, "http://x/users/", has_accounts=has_accounts)
    return {one.title: one.text for one in listed}


@pytest.mark.parametrize("has_accounts", [False, True])
def test_addresses_are_one_word_in_every_language(has_accounts: bool) -> None:
    address = f"https://example.com/a/users/export/csv?name={quote(HARD, safe='')}&formulas=keep"
    texts = copies(address, has_accounts=has_accounts)
    words = shlex.split(texts["curl"])
    assert words[-1] == address
    assert ("Authorization: Bearer YOUR_KEY" in words) == has_accounts
    for library in ("pandas", "polars"):
        strings = [
            node.value
            for node in ast.walk(ast.parse(texts[library]))
            if isinstance(node, ast.Constant)
        ]
        assert address in strings
        assert ("Bearer YOUR_KEY" in strings) == has_accounts
    assert f'Web.Contents("{address}"' in texts["Power Query"]
    assert texts["Power Query"].count('"') % 2 == 0
    assert "#(" not in texts["Power Query"]
    assert ("Google Sheets" in texts) != has_accounts


def test_the_copied_address_answers(http: httpx.Client, users: Any) -> None:
    users.insert_many([{"name": HARD, "email": "x@example.com"}, *people(3)])
    text = http.get("/ui/users/download", params={"name": HARD}).text
    found = re.findall(r'<pre id="copy-\d+"[^>]*>(.*?)</pre>', text, re.DOTALL)
    csv_address, list_address = (html.unescape(one) for one in found[:2])
    assert http.get(csv_address).text.count("\r\n") == 2
    assert [one["name"] for one in http.get(list_address).json()] == [HARD]
    assert shlex.split(html.unescape(found[2]))[-1] == csv_address


async def test_behind_a_prefix_every_address_has_it() -> None:
    settings = Settings(DB_NAME="test", ROOT_PATH="/a", _env_file=None)  # type: ignore[call-arg]
    app = create_app(settings, AsyncMongoMockClient())
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        text = (await http.get("/ui/users/download?name=x")).text
        for address, _ in offers(text).values():
            assert address.startswith("/a/users/export/")
            assert (await http.get(address.removeprefix("/a"))).status_code == 200
    assert 'data-records="/a/exports/"' in text
    assert text.count("http://localhost/a/users/export/csv?name=x&amp;formulas=keep") >= 4
    assert text.count('data-known="/a/ui/users/download/{id}/') == 5


# --- with accounts ---


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve() as found:
        found.database["users"].insert_many(people(20))
        read = {"where": "age__lt=5", "hide": ["email"]}
        rules = {"users": {"read": read, "export": True}, "classes": {"read": True}}
        found.database["docsheet.roles"].insert_one({"name": "some", "rules": rules})
        found.add("so", "some")
        yield found


async def test_only_what_may_be_read_is_counted_and_offered(served: Served) -> None:
    async with served.client(**await served.bearer("so")) as client:
        text = (await client.get("/ui/users/download")).text
        assert amount(text) == "5 documents"
        assert "email" not in text
        assert "/ui/me/shares/new?address=%2Fusers%2Fexport%2Fcsv" in text
        assert (await client.get("/ui/users/download?email=x")).status_code == 422
        assert (await client.get("/ui/classes/download")).status_code == 403
        assert "/ui/users/download" in (await client.get("/ui/users/")).text
        assert "download" not in (await client.get("/ui/classes/")).text


async def test_a_download_is_known_to_its_owner_alone(served: Served) -> None:
    chosen = secrets.token_hex(16)
    async with served.client(**await served.bearer("so")) as client:
        assert (await client.get(f"/ui/users/download/{chosen}/csv")).status_code == 200
        assert (await client.get(f"/exports/{chosen}")).status_code == 200
    served.add("other", "editor")
    async with served.client(**await served.bearer("other")) as client:
        assert (await client.get(f"/exports/{chosen}")).status_code == 404
