"""The steps of an import on the page: Upload, Match, Preview, Import, Report."""

import asyncio
import csv
import datetime
import gzip
import io
import re
import socket
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import openpyxl
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect
from pymongo import MongoClient

from tests.support.accounts import ADDRESS, serve, serve_again
from tests.support.browser import VIEWPORT, open_page
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer
from tests.support.waiting import until, wait_for

pytestmark = needs_mongod
START = "/ui/users/import"
UNDER_WAY = 'hx-trigger="every 1s"'  # of the screen that shows how far it is, in each language
UPLOADS, CHUNKS = "docsheet.uploads", "docsheet.uploads.chunks"
PEOPLE = (
    "Full name,E-mail,Age (years),Remarks\nAda,ada@example.com,36,x\nBob,bob@example.com,17,y\n"
)
WRONG = "name,email,age\nAda,ada@example.com,36\n,bob@example.com,200\n"
find_version = re.compile(r'name="version" value="(\d+)"').search
find_text = re.compile(r"<[^>]+>").sub


class Wizard:
    """A reader without scripts: forms are sent as the screens have them."""

    def __init__(self, client: httpx.Client, start: str = START) -> None:
        self._client = client
        self._start = start
        self.page: httpx.Response

    def upload(self, name: str, body: bytes | str, media_type: str = "text/csv") -> "Wizard":
        files = {"file": (name, body, media_type)}
        self.page = self._client.post(self._start, files=files, follow_redirects=True)
        return self

    def do(self, step: str, **words: str) -> "Wizard":
        found = find_version(self.page.text)
        form = {"version": found[1] if found else "", **words}
        address = f"{self.address}/{step}"
        self.page = self._client.post(address, data=form, follow_redirects=True)
        while UNDER_WAY in self.page.text:
            self.page = self._client.get(self.page.url, follow_redirects=True)
        return self

    def see(self, step: str) -> "Wizard":
        self.page = self._client.get(f"{self.address}/{step}", follow_redirects=True)
        return self

    @property
    def address(self) -> str:
        return str(self.page.url).rpartition("/")[0]

    @property
    def step(self) -> str:
        """The step of the screen, by its address."""
        return str(self.page.url).rpartition("/")[2]

    @property
    def token(self) -> str:
        return self.address.rpartition("/")[2]

    @property
    def text(self) -> str:
        main = self.page.text.partition("<main")[2].partition("</main>")[0]
        return " ".join(unescape(find_text(" ", main)).split())

    def chosen(self) -> dict[str, str]:
        """The fields that are chosen for columns, by the title of the column."""
        rows = re.findall(
            r'<label for="column-\d+">(.*?)</label>.*?</tr>', self.page.text, re.DOTALL
        )
        selects = re.findall(
            r"<select[^>]*name=\"column\.\d+\".*?</select>", self.page.text, re.DOTALL
        )
        return {
            unescape(title): (re.search(r'value="([^"]*)" selected', select) or ["", ""])[1]
            for title, select in zip(rows, selects, strict=True)
        }


@pytest.fixture
def wizard(http: httpx.Client, database: Any) -> Wizard:
    """A reader who has uploaded nothing yet."""
    database[UPLOADS].delete_many({})
    http.headers["Accept"] = "text/html"
    return Wizard(http)


def workbook(*sheets: tuple[str, list[list[Any]]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


# --- the way through ------------------------------------------------------------------------------


def test_a_file_is_matched_previewed_and_imported(wizard: Wizard, users: Any) -> None:
    users.insert_one({"name": "Ada", "email": "ada@example.com", "age": 35})
    wizard.upload("people.csv", PEOPLE)
    assert (wizard.page.status_code, wizard.step) == (200, "match")
    assert wizard.chosen() == {
        "Full name": "name", "E-mail": "email", "Age (years)": "age", "Remarks": "",
    }  # fmt: skip
    assert "Ada Bob" in wizard.text  # examples
    wizard.do("preview")
    assert wizard.step == "preview"
    assert "Rows 2 To be added 1 To be changed 1 The same as before 0 Wrong 0" in wizard.text
    assert "2 age 35 36" in wizard.text
    assert users.count_documents({}) == 1
    assert users.find_one()["age"] == 35
    wizard.do("import")
    assert wizard.step == "report"
    assert "The import has ended: 1 added, 1 changed, 0 wrong." in wizard.text
    assert [one["age"] for one in users.find().sort("email")] == [36, 17]


def test_what_is_sent_twice_is_done_once(wizard: Wizard, http: httpx.Client, users: Any) -> None:
    wizard.upload("a.csv", "name,email\nAda,ada@example.com\n").do("preview", mode="insert")
    version = find_version(wizard.page.text)
    assert version is not None
    for _ in range(3):
        answer = http.post(f"{wizard.address}/import", data={"version": version[1]})
        assert answer.status_code == 303
    wizard.do("preview").do("match")
    assert wizard.step == "report"  # nothing begins again
    assert "1 added" in wizard.text
    assert users.count_documents({}) == 1


def test_columns_are_chosen_and_left_out_by_the_reader(wizard: Wizard, users: Any) -> None:
    wizard.upload("a.csv", "a,b,c\nAda,ada@example.com,nonsense\n")
    assert set(wizard.chosen().values()) == {""}
    assert (
        "No column is for these fields, which new documents must have: name, email" in wizard.text
    )
    words = {"column.0": "name", "column.1": "email", "column.2": "", "mode": "insert"}
    wizard.do("preview", **words).do("import")
    assert (users.find_one() or {})["email"] == "ada@example.com"
    assert "nonsense" not in str(users.find_one())


def test_wrong_choices_are_told_beside_what_was_chosen(wizard: Wizard) -> None:
    wizard.upload("a.csv", "a,b\nAda,ada@example.com\n")
    wizard.do("preview", **{"column.0": "name", "column.1": "name", "mode": "insert"})
    assert wizard.page.status_code == 422
    assert "The columns 'a' and 'b' are the same field 'name'." in wizard.text
    assert wizard.chosen() == {"a": "name", "b": "name"}
    wizard.page = wizard.upload("a.csv", "a,b\nAda,ada@example.com\n").page
    wizard.do("preview", **{"column.0": "name", "column.1": "", "mode": "upsert", "key": "email"})
    assert wizard.page.status_code == 422
    assert "the file has no column 'email'" in wizard.text
    wizard.see("match").do("preview", timezone="Mars/Olympus", **{"column.0": "name"})
    assert wizard.page.status_code == 422
    assert "is no time zone" in wizard.text
    wizard.see("match").do("preview", mode="replace")
    assert "mode: must be one of: insert upsert update" in wizard.text


def test_rows_that_fail_are_told_and_nothing_would_be_written(wizard: Wizard, users: Any) -> None:
    wizard.upload("a.csv", WRONG).do("preview")
    assert "1 row is wrong, so nothing would be written." in wizard.text
    assert "This would happen: Rows 2 Wrong 1 1 row" in wizard.text  # no counts of what isn't done
    assert f'href="{START}">Upload the fixed sheet</a>' in wizard.page.text
    assert "3 name “” empty text name: This field is required." in wizard.text
    assert "3 age 200 age: Input should be less than or equal to 150" in wizard.text
    assert ">Import</button>" not in wizard.page.text
    wizard.do("preview", on_error="skip")
    assert "1 row is wrong and would be skipped." in wizard.text
    wizard.do("import")
    assert "1 added, 0 changed, 1 wrong" in wizard.text
    assert users.count_documents({}) == 1


def test_the_sheet_to_fix_is_kept_beside_the_file(wizard: Wizard, http: httpx.Client) -> None:
    wizard.upload("a.csv", WRONG).do("preview")
    sheet = http.get(f"{wizard.address}/sheet")
    assert sheet.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="users-errors.csv"' in sheet.headers["content-disposition"]
    rows = list(csv.reader(io.StringIO(sheet.content.decode("utf-8-sig"))))
    assert [row[1] for row in rows] == ["email", "ada@example.com", "bob@example.com"]  # all rows
    assert rows[0][3] == "error"
    rows[2][0], rows[2][2] = "Bob", "20"
    fixed = "\n".join(",".join([*row[:3], "still here"]) for row in rows[1:])
    wizard.upload("fixed.csv", f"{','.join(rows[0])}\n{fixed}\n").do("preview").do("import")
    assert "2 added, 0 changed, 0 wrong" in wizard.text
    assert http.get(f"{wizard.address}/sheet").status_code == 404  # no row was wrong


def test_the_sheet_to_fix_is_in_the_language_of_the_reader(
    wizard: Wizard, http: httpx.Client
) -> None:
    http.headers["Accept-Language"] = "zh"
    twice = "name,email\nAda,a@example.com\nBob,a@example.com\n"
    for name, file in (
        ("a.csv", twice.encode()),
        ("a.xlsx", workbook(("a", [line.split(",") for line in twice.split()]))),
    ):
        wizard.upload(name, file).do("preview")
        assert "第 2 行 有相同的 email" in wizard.text
        sheet = http.get(f"{wizard.address}/sheet").content
        if name == "a.csv":
            cell = list(csv.reader(io.StringIO(sheet.decode("utf-8-sig"))))[2][2]
        else:
            cell = openpyxl.load_workbook(io.BytesIO(sheet)).worksheets[0]["C3"].value
        assert "第 2 行 有相同的 email；" in cell


def test_the_same_columns_are_matched_as_before(wizard: Wizard) -> None:
    wizard.upload("a.csv", "a,b\nAda,ada@example.com\n")
    words = {"column.0": "name", "column.1": "email", "mode": "insert", "on_error": "skip"}
    wizard.do("preview", **words)
    wizard.upload("b.csv", "a,b,error\nAda,ada@example.com,Why\n")
    assert wizard.chosen() == {"a": "name", "b": "email", "error": ""}
    assert 'value="insert" checked' in wizard.page.text
    assert 'value="abort" checked' in wizard.page.text  # that is chosen each time
    wizard.upload("c.csv", "b,a\nAda,ada@example.com\n")
    assert wizard.chosen() == {"b": "", "a": ""}


def test_the_file_is_forgotten_once_it_is_imported(wizard: Wizard, database: Any) -> None:
    database[CHUNKS].delete_many({})
    wizard.upload("a.csv", "name,email\nAda,ada@example.com\n")
    assert database[CHUNKS].count_documents({}) == 1
    wizard.do("preview").do("import")
    assert database[CHUNKS].count_documents({}) == 0
    wizard.upload("a.csv", "name,email\nBob,bob@example.com\n").do("forget")
    assert database[CHUNKS].count_documents({}) == 0
    assert str(wizard.page.url).endswith(START)


def test_addresses_lead_to_the_step_that_is_due(wizard: Wizard, http: httpx.Client) -> None:
    wizard.upload("a.csv", WRONG)
    for step in ("preview", "import", "report"):
        assert wizard.see(step).step == "match"
    wizard.do("preview")
    assert wizard.see("report").step == "preview"
    assert wizard.see("match").step == "match"
    assert wizard.see("preview").step == "preview"
    wizard.page = http.get(wizard.address, follow_redirects=True)
    assert wizard.step == "preview"
    assert wizard.see("preview").see("nothing").page.status_code == 404


# --- what a file may be ---------------------------------------------------------------------------


def test_files_that_nothing_can_be_made_of_are_told_on_the_page(
    wizard: Wizard, database: Any
) -> None:
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le") + bytes(600)
    before = database[UPLOADS].count_documents({})
    for name, body, status, sentence in (
        ("empty.csv", b"", 400, "The file is empty"),
        ("a.xlsx", ole, 400, "encrypted"),
        ("a.xlsx", workbook(("a", [["name"]]))[:500], 400, "The workbook is broken or was cut off"),
        ("a.xlsx", workbook(("a", [])), 400, "The first row is empty"),
        ("a.csv.gz", gzip.compress(b"name\nAda\n")[:-9], 400, "The gzip file is broken"),
        ("a.docx", b"x", 415, "A file .docx is not read here"),
        ("", b"", 400, "No file was chosen."),
    ):
        wizard.upload(name, body, "application/octet-stream")
        assert (wizard.page.status_code, sentence in wizard.text) == (status, True), wizard.text
        assert 'type="file"' in wizard.page.text
    assert database[UPLOADS].count_documents({}) == before


def test_a_form_without_a_file_is_told(wizard: Wizard, http: httpx.Client) -> None:
    answer = http.post(START, files={"other": b"x"})
    assert (answer.status_code, "The form may have one part" in unescape(answer.text)) == (
        422,
        True,
    )
    assert http.post(START, content=b"x", headers={"Content-Type": "text/csv"}).status_code == 415


def test_packed_files_and_other_encodings_are_understood(wizard: Wizard, users: Any) -> None:
    body = "name;email\n王芳;wang@example.com\n".encode("gb18030")
    wizard.upload("a.csv.gz", gzip.compress(body), "application/gzip")
    assert "gb18030 (as found)" in wizard.page.text
    assert "semicolon (as found)" in wizard.page.text
    wizard.do("preview").do("import")
    assert (users.find_one() or {})["name"] == "王芳"


def test_how_a_file_is_read_can_be_corrected(wizard: Wizard, users: Any) -> None:
    body = "name|email,email|name\n王|a@example.com,b\n".encode("big5")
    wizard.upload("a.csv", body).do("match", encoding="big5", delimiter="|")
    assert wizard.chosen() == {"name": "name", "email,email": "email", "name (2)": ""} or (
        "same title" in wizard.text
    )
    body = "name|email,x\n王|a@example.com\n".encode("big5")
    wizard.upload("a.csv", body).do("match", encoding="big5", delimiter="|")
    assert wizard.chosen() == {"name": "name", "email,x": "email"}
    assert "王" in wizard.text
    wizard.do("preview").do("import")
    assert (users.find_one() or {})["name"] == "王"


def test_a_way_of_reading_that_fails_is_told_and_can_be_left_again(wizard: Wizard) -> None:
    wizard.upload("a.csv", PEOPLE).do("match", format="xlsx")
    assert wizard.page.status_code == 400
    assert "no XLSX workbook" in wizard.text or "broken" in wizard.text
    assert wizard.see("match").chosen()["E-mail"] == "email"
    wizard.do("match", encoding="hex")
    assert wizard.page.status_code == 422
    wizard.see("match").do("match", encoding="utf-16")
    assert "The file can't be read in this way:" in wizard.text
    assert ">Preview</button>" not in wizard.page.text
    wizard.do("match", encoding="")
    assert wizard.chosen()["E-mail"] == "email"


def test_a_sheet_is_chosen_and_a_cover_is_passed_over(wizard: Wizard, users: Any) -> None:
    book = workbook(
        ("Cover", [[None, None], [None, "A list"]]),
        ("List", [["name", "email"], ["Ada", "ada@example.com"]]),
        ("Old", [["name", "email"], ["Bob", "bob@example.com"]]),
    )
    wizard.upload("a.xlsx", book, XLSX)
    assert '<option value="List" selected>' in wizard.page.text
    wizard.do("match", sheet="Old")
    assert "bob@example.com" in wizard.text
    wizard.do("preview").do("import")
    assert [one["name"] for one in users.find()] == ["Bob"]


def test_documents_have_no_columns_to_match(wizard: Wizard, users: Any) -> None:
    key = users.insert_one({"name": "Ada", "email": "ada@example.com"}).inserted_id
    line = f'{{"_id": "{key}", "name": "Ada", "email": "ada@example.com", "age": 40}}\n'
    wizard.upload("a.ndjson", line, "application/x-ndjson")
    assert "there are no columns to match" in wizard.text
    wizard.do("preview")
    assert "age missing 40" in wizard.text or "age null 40" in wizard.text
    wizard.do("import")
    assert (users.find_one() or {})["age"] == 40


def test_names_of_files_and_columns_are_never_markup(wizard: Wizard) -> None:
    body = '<script>alert(1)</script>,"{{7*7}}",name,email\n<b>x</b>,<i>y</i>,<u>z</u>,no\n'
    wizard.upload("<img src=x>.csv", body).do("preview")
    for _ in range(2):
        for markup in ("<script>alert", "<b>x", "<i>y", "<u>z", "<img src=x>"):
            assert markup not in wizard.page.text
        assert "49" not in wizard.text
        wizard.see("match")
    assert "{{7*7}}" in wizard.text


def test_the_time_zone_is_the_readers(wizard: Wizard, http: httpx.Client) -> None:
    http.cookies.set("zone", "Asia/Shanghai")
    wizard.upload("a.csv", PEOPLE)
    assert 'name="timezone" value="Asia/Shanghai"' in wizard.page.text
    page = http.get(START)
    assert "timezone=Asia%2FShanghai" in page.text


# --- templates ------------------------------------------------------------------------------------


def test_a_template_has_what_matches(http: httpx.Client, wizard: Wizard, users: Any) -> None:
    users.insert_one({"name": "Ada", "email": "ada@example.com", "age": 36})
    users.insert_one({"name": "Bob", "email": "bob@example.com", "age": 17})
    table = http.get("/ui/users/?age__gte=18&limit=5&fields=name")
    (link,) = re.findall(r'href="(/ui/users/import[^"]*)"', table.text)
    page = http.get(unescape(link))
    assert page.status_code == 200
    links = list(map(unescape, re.findall(r'href="(/users/[^"]+)"', page.text)))
    assert links[:2] == ["/users/import/xlsx", "/users/import/csv"]
    rows = list(csv.DictReader(io.StringIO(http.get(links[3]).text)))
    assert [row["name"] for row in rows] == ["Ada"]
    assert list(rows[0])[:2] == ["_id", "name"]
    rows[0]["age"] = "37"
    changed = ",".join(rows[0]) + "\n" + ",".join(f'"{cell}"' for cell in rows[0].values()) + "\n"
    wizard.upload("users.csv", changed).do("preview").do("import")
    assert "0 added, 1 changed, 0 wrong" in wizard.text
    assert (users.find_one({"name": "Ada"}) or {})["age"] == 37


def test_a_wrong_condition_is_told(http: httpx.Client) -> None:
    headers = {"Accept": "text/html"}
    assert http.get(f"{START}?agee=1", headers=headers).status_code == 422


# --- runs that take their time --------------------------------------------------------------------


def test_progress_survives_a_reload(http: httpx.Client, wizard: Wizard, database: Any) -> None:
    wizard.upload("a.csv", PEOPLE)
    heard = now() + datetime.timedelta(hours=1)  # of it for the last time
    run = {
        "id": 1, "what": "import", "state": "running", "began": now(), "at": heard,
        "checked": 10_000, "due": 8_000, "written": 2_000,
    }  # fmt: skip
    database[UPLOADS].update_one({"_id": wizard.token}, {"$set": {"run": run}})
    for _ in range(2):
        wizard.see("import")
        assert "2,000 of 8,000 documents are written." in wizard.text
    assert 'hx-trigger="every 1s"' in wizard.page.text
    assert '<noscript><meta http-equiv="refresh"' in wizard.page.text
    assert wizard.see("match").step == "import"  # nothing can be changed meanwhile
    run |= {"due": 0, "what": "preview"}
    database[UPLOADS].update_one({"_id": wizard.token}, {"$set": {"run": run}})
    assert "10,000 rows are checked." in wizard.see("preview").text
    database[UPLOADS].update_one({"_id": wizard.token}, {"$set": {"run.rows": 20_000}})
    assert "10,000 of 20,000 rows are checked." in wizard.see("preview").text


def test_a_server_that_died_leaves_an_unknown_end(wizard: Wizard, database: Any) -> None:
    wizard.upload("a.csv", PEOPLE)
    long_ago = now() - datetime.timedelta(minutes=5)
    run = {
        "id": 1, "what": "import", "state": "running", "began": long_ago, "at": long_ago,
        "checked": 2, "due": 2, "written": 1,
    }  # fmt: skip
    database[UPLOADS].update_one({"_id": wizard.token}, {"$set": {"run": run}})
    wizard.see("import")
    assert wizard.step == "report"
    assert "It is not known how this import ended" in wizard.text
    assert "At least 1 of 2 documents were written." in wizard.text
    wizard.see("match").do("preview", mode="upsert", key="email").do("import")
    assert "2 added, 0 changed, 0 wrong" in wizard.text


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def test_nothing_is_kept_of_a_client_that_leaves(server: LiveServer, database: Any) -> None:
    before = database[CHUNKS].count_documents({}), database[UPLOADS].count_documents({})
    head = (
        f"POST {START} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 100000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nname,email\r\n'
    )
    line = f"POST {START} 400"
    logged = server.log.count(line)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode())
    wait_for(lambda: server.log.count(line) > logged, otherwise="its leaving was not noticed")
    assert (database[CHUNKS].count_documents({}), database[UPLOADS].count_documents({})) == before


def test_an_import_goes_on_without_its_client(
    server: LiveServer, wizard: Wizard, users: Any
) -> None:
    lines = "".join(f"Person {n},person{n}@example.com\n" for n in range(5_000))
    wizard.upload("a.csv", f"name,email\n{lines}").do("preview")
    found = find_version(wizard.page.text)
    assert found is not None
    body = f"version={found[1]}"
    path = httpx.URL(f"{wizard.address}/import").path
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode())
    wait_for(lambda: wizard.see("report").step == "report", otherwise="it has not ended")
    assert "5,000 added, 0 changed, 0 wrong" in wizard.text
    assert users.count_documents({}) == 5_000


def test_a_page_of_another_origin_can_do_nothing(http: httpx.Client, wizard: Wizard) -> None:
    headers = {"Origin": "https://evil.example"}
    files = {"file": ("a.csv", PEOPLE, "text/csv")}
    assert http.post(START, files=files, headers=headers).status_code == 403
    wizard.upload("a.csv", PEOPLE)
    answer = http.post(f"{wizard.address}/preview", data={"version": "0"}, headers=headers)
    assert answer.status_code == 403


# --- accounts, and several servers ----------------------------------------------------------------


@pytest.fixture
def rules() -> dict[str, Any]:
    hidden = {"hide": ["age"]}
    return {"users": {"read": hidden, "update": hidden, "import": True}}


async def test_uploads_are_shared_by_servers_and_by_nobody_else(mongo_uri: str) -> None:
    async with serve(mongo_uri) as one, serve_again(one, mongo_uri) as other:
        ada, bob = one.add("ada", "editor"), one.add("bob", "editor")
        headers = {"Accept": "text/html", "Origin": ADDRESS}
        async with one.client(**headers, **one.key(ada)) as http:
            answer = await http.post(START, files={"file": ("a.csv", PEOPLE, "text/csv")})
        assert answer.status_code == 303
        base = answer.headers["location"].removesuffix("/match")
        async with other.client(**headers, **one.key(ada)) as http:
            page = await http.get(f"{base}/match")
            assert (page.status_code, "E-mail" in page.text) == (200, True)
            answer = await http.post(f"{base}/preview", data={"version": "0"})
            assert answer.headers["location"] == f"{base}/preview"
        async with one.client(**headers, **one.key(ada)) as http:
            text = (await until_ended(http, f"{base}/preview")).text
            found = find_version(text)
            assert found is not None
            answers = await asyncio.gather(
                *[http.post(f"{base}/import", data={"version": found[1]}) for _ in range(3)]
            )
            assert {answer.status_code for answer in answers} == {303}
            page = await until_ended(http, f"{base}/import", follow_redirects=True)
            assert "2 added" in page.text
        assert one.database["users"].count_documents({}) == 2
        audit, ended = one.database["docsheet.audit"], {"what": "imported", "details.inserted": 2}
        await until(lambda: audit.count_documents(ended) == 2)
        assert {entry["details"]["dry_run"] for entry in audit.find(ended)} == {True, False}
        async with one.client(**headers, **one.key(bob)) as http:
            for step in ("", "/match", "/preview", "/sheet"):
                page = await http.get(f"{base}{step}")
                assert (page.status_code, "no such upload" in page.text) == (404, True)
            assert (await http.post(f"{base}/match", data={"version": "0"})).status_code == 404


async def until_ended(http: httpx.AsyncClient, path: str, **words: Any) -> httpx.Response:
    for _ in range(600):
        page = await http.get(path, **words)
        if UNDER_WAY not in page.text:
            return page
        await asyncio.sleep(0.1)
    raise AssertionError("it has not ended")


async def test_rights_hold_on_every_step(mongo_uri: str, rules: dict[str, Any]) -> None:
    async with serve(mongo_uri) as served:
        served.database["docsheet.roles"].insert_one({"name": "clerk", "rules": rules})
        served.database["users"].insert_one({"name": "Ada", "email": "ada@example.com", "age": 36})
        clerk, viewer = served.add("clerk", "clerk"), served.add("viewer", "viewer")
        headers = {"Accept": "text/html", "Origin": ADDRESS}
        async with served.client(**headers, **served.key(clerk)) as http:
            body = "email,name,age\nada@example.com,Ada L.,99\n"
            answer = await http.post(START, files={"file": ("a.csv", body, "text/csv")})
            base = answer.headers["location"].removesuffix("/match")
            page = await http.get(f"{base}/match")
            assert '"age"' not in page.text  # a hidden field is no choice
            assert 'value="insert"' not in page.text  # nor what may not be done
            words = {"version": "0", "column.2": "age"}
            answer = await http.post(f"{base}/preview", data=words)
            assert (answer.status_code, "age" in answer.text) == (422, True)
            await http.post(f"{base}/preview", data={"version": "0"})
            page = await until_ended(http, f"{base}/preview")
            assert "Ada L." in page.text
            assert ">36<" not in page.text
        async with served.client(**headers, **served.key(viewer)) as http:
            for address in (START, base, f"{base}/match"):
                assert (await http.get(address)).status_code == 403
            assert "/import" not in (await http.get("/ui/users/")).text


async def test_what_has_expired_has_a_page_of_its_own(mongo_uri: str) -> None:
    async with serve(mongo_uri, UPLOAD_SECONDS=3600) as served:
        headers = {"Accept": "text/html", "Origin": ADDRESS}
        async with served.client(**headers, **served.key(served.add("ada", "editor"))) as http:
            answer = await http.post(START, files={"file": ("a.csv", PEOPLE, "text/csv")})
            past = {"$set": {"expires": now() - datetime.timedelta(seconds=1)}}
            served.database[UPLOADS].update_many({}, past)
            page = await http.get(answer.headers["location"])
            assert page.status_code == 404
            assert "Files are kept for 1 hour." in page.text
            assert f'href="{START}"' in page.text


async def test_a_file_past_the_limit_is_refused_on_the_page(mongo_uri: str) -> None:
    async with serve(mongo_uri, IMPORT_LIMIT_MIB=1, IMPORT_ROWS=1) as served:
        headers = {"Accept": "text/html", "Origin": ADDRESS}
        async with served.client(**headers, **served.key(served.add("ada", "editor"))) as http:
            large = "name\n" + "x" * 2**20
            answer = await http.post(START, files={"file": ("a.csv", large, "text/csv")})
            assert answer.status_code == 413
            assert "larger than the 1 MiB" in answer.text
            answer = await http.post(START, files={"file": ("a.csv", PEOPLE, "text/csv")})
            page = await http.get(answer.headers["location"])
            assert "more than 1 rows" in page.text


@pytest.mark.slow
def test_a_server_that_stops_says_so_of_what_it_had_under_way(mongo_uri: str) -> None:
    lines = "".join(f"Person {n},person{n}@example.com\n" for n in range(400_000))
    words = {"MONGO_URI": mongo_uri, "DB_NAME": "test_stopped"}
    with LiveServer(**words) as first, httpx.Client(base_url=first.address, timeout=60) as client:
        wizard = Wizard(client)
        wizard.upload("a.csv", f"name,email\n{lines}").do("preview")
        found = find_version(wizard.page.text)
        assert found is not None
        client.post(f"{wizard.address}/import", data={"version": found[1]})
        wait_for(lambda: "are written" in wizard.see("import").text, otherwise="it has not begun")
        path = httpx.URL(wizard.address).path
    with LiveServer(**words) as second, httpx.Client(base_url=second.address, timeout=60) as client:
        page = client.get(path, follow_redirects=True)
        assert "It is not known how this import ended" in page.text
    with MongoClient[dict[str, Any]](mongo_uri) as mongo:
        assert 0 < mongo["test_stopped"]["users"].count_documents({}) < 400_000
        mongo.drop_database("test_stopped")


# --- in a browser ---------------------------------------------------------------------------------


async def test_from_choosing_a_file_to_done(
    page: Page, server: LiveServer, users: Any, tmp_path: Path
) -> None:
    users.insert_one({"name": "Ada", "email": "ada@example.com", "age": 35})
    rows = [
        ["Who", "Address of mail", "Age"],
        ["Ada", "ada@example.com", 36],
        ["Bob", "bob@example.com", 200],
        ["Cleo", "cleo@example", 22],
    ]
    file = tmp_path / "people.xlsx"
    file.write_bytes(workbook(("People", rows)))
    await page.goto("/ui/users/?age__gte=18")
    await page.get_by_role("link", name="Import", exact=True).click()
    await page.get_by_label("Choose a file").set_input_files(file)
    await page.get_by_role("button", name="Upload").click()
    await page.get_by_label("Who").select_option("name")
    await page.get_by_label("Address of mail").select_option("email")
    await page.get_by_label("Add new documents, and change those that are there").check()
    await page.get_by_label("A document is found by its").select_option("email")
    await page.get_by_role("button", name="Preview").click()
    await expect(page.locator("main")).to_contain_text("2 rows are wrong, so nothing would be")
    await refuse_barriers(page)
    async with page.expect_download() as coming:
        await page.get_by_role("link", name="Download the sheet to fix (Excel)").click()
    sheet = tmp_path / "fixed.xlsx"
    await (await coming.value).save_as(sheet)
    fix(sheet)
    await page.locator(".wizard").get_by_role("link", name="Upload").click()
    await page.get_by_label("Choose a file").set_input_files(sheet)
    await page.get_by_role("button", name="Upload").click()
    await expect(page.get_by_label("Address of mail")).to_have_value("email")  # as before
    await refuse_barriers(page)
    await page.get_by_role("button", name="Preview").click()
    await expect(page.get_by_role("region", name="What changes")).to_contain_text("age3536")
    await page.get_by_role("button", name="Import").click()
    await expect(page.locator("main")).to_contain_text("2 added, 1 changed, 0 wrong")
    await page.reload()
    await expect(page.locator("main")).to_contain_text("2 added, 1 changed, 0 wrong")
    await page.get_by_role("link", name="See the documents").click()
    await expect(page.locator("tbody tr")).to_have_count(3)
    assert [one["age"] for one in users.find().sort("email")] == [36, 20, 22]


async def refuse_barriers(page: Page) -> None:
    """Fails where axe finds something, or a narrow screen has to be moved sideways."""
    await page.set_viewport_size({"width": 320, "height": 640})
    whole = page.locator("html")
    await expect(whole).to_have_js_property("clientWidth", 320)
    await expect(whole).to_have_js_property("scrollWidth", 320)
    await page.set_viewport_size(VIEWPORT)
    found = await Axe().run(page)
    assert [f"{one['id']}: {one['help']}" for one in found.response["violations"]] == []


def fix(path: Path) -> None:
    """What a person does with the sheet: reads its column `error`, corrects two cells."""
    book = openpyxl.load_workbook(path)
    sheet = book["users"]
    assert "less than or equal to 150" in sheet["D3"].value
    assert "email" in sheet["D4"].value.lower() or "Address of mail" in sheet["D4"].value
    sheet["C3"], sheet["B4"] = 20, "cleo@example.com"
    book.save(path)


@pytest.mark.slow
async def test_without_scripts_a_file_comes_as_far(
    browser: Browser, server: LiveServer, users: Any, tmp_path: Path
) -> None:
    file = tmp_path / "people.csv"
    file.write_text(PEOPLE)
    async with open_page(browser, server.address, java_script_enabled=False) as page:
        await page.goto(START)
        await page.get_by_label("Choose a file").set_input_files(file)
        await page.get_by_role("button", name="Upload").click()
        await page.set_viewport_size({"width": 320, "height": 640})
        await page.get_by_role("button", name="Preview").click()
        await page.get_by_role("button", name="Import").click()
        await expect(page.locator("main")).to_contain_text("2 added, 0 changed, 0 wrong")
    assert users.count_documents({}) == 2


@pytest.mark.slow
async def test_progress_is_shown_until_the_report_is_there(
    page: Page, http: httpx.Client, wizard: Wizard, database: Any
) -> None:
    wizard.upload("a.csv", PEOPLE)
    run = {
        "id": 1, "what": "import", "state": "running", "began": now(), "at": now(),
        "checked": 9, "due": 8, "written": 2,
    }  # fmt: skip
    uploads = database[UPLOADS]
    uploads.update_one({"_id": wizard.token}, {"$set": {"run": run}})
    await page.goto(f"{START}/{wizard.token}")
    await expect(page.locator("main")).to_contain_text("2 of 8 documents are written")
    uploads.update_one({"_id": wizard.token}, {"$set": {"run.written": 7, "run.at": now()}})
    await expect(page.locator("main")).to_contain_text("7 of 8 documents are written")
    result = '{"status": 200, "rows": 9, "inserted": 8, "failed": 1}'
    ended = {"run.state": "ended", "run.result": result, "done": True}
    uploads.update_one({"_id": wizard.token}, {"$set": ended})
    await expect(page.locator("main")).to_contain_text("8 added, 0 changed, 1 wrong")
    await expect(page.locator("#status")).to_contain_text("8 added, 0 changed, 1 wrong")
    assert page.url.endswith("/report")
