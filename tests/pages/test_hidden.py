"""Nothing that a caller may not see is on any screen that leads from the first one, or below it."""

import html
import io
import re
import secrets
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urljoin, urlsplit

import bson
import httpx
import pytest

from tests.support.accounts import ADDRESS, HASHER, Served, basic, serve
from tests.support.forms import TYPE, encode, read_form

MODELS = """
from enum import Enum
from beanie import Document, Link
from pydantic import BaseModel, Field

class Grade(Enum):
    HIDDENCHOICE = "HIDDENCHOICE"
    OTHER = "other"

class Vault(Document):
    code: str
    class Settings:
        name = "vaults"
    model_config = {"title": "TITLEVAULT"}

class Team(Document):
    name: str
    budget: int = Field(0, title="HIDDENTITLE")
    class Settings:
        name = "teams"

class Profile(BaseModel):
    city: str = ""
    ssn: str = Field("", title="HIDDENTITLE", description="HIDDENTITLE")

class Person(Document):
    name: str
    age: int = 0
    district: str = Field("", title="HIDDENTITLE", description="HIDDENTITLE")
    wage: int = Field(0, title="HIDDENTITLE", ge=0)
    grade: Grade = Field(Grade.OTHER, title="HIDDENTITLE")
    flag: bool = Field(False, title="HIDDENTITLE")
    profile: Profile = Profile()
    tags: list[str] = []
    team: Link[Team] | None = None
    vault: Link[Vault] | None = None
    class Settings:
        name = "people"
        indexes = ["district", "wage"]
    class Resource:
        search = ["name", "district"]
        columns = ["name", "district", "profile.ssn", "team.budget", "vault.code"]
        sort = "wage"
"""
HIDE = ["district", "wage", "grade", "flag", "profile.ssn"]
PERSON = {"where": "district=REGIONVALUE", "hide": HIDE}
RULES = {
    "people": {
        "read": PERSON, "create": {"hide": HIDE}, "update": PERSON,
        "delete": {"where": "district=REGIONVALUE"}, "export": True, "import": True,
    },
    "teams": {"read": {"hide": ["budget"]}, "export": True},
}  # fmt: skip
# Values, names and titles that are for others.
MARKS = (
    "REGIONVALUE", "SSNVALUE", "OUTSIDE", "VAULTCODE", "HIDDENTITLE", "HIDDENCHOICE", "TITLEVAULT",
    "918273", "564738", "HIDDENVIEW",
)  # fmt: skip
NAMES = ("district", "wage", "grade", "flag", "ssn", "budget", "vaults")
MOST = 400  # screens
BROWSER = {"Accept": "text/html", "Origin": ADDRESS}


@pytest.fixture
async def served(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mongo_uri: str
) -> AsyncIterator[Served]:
    monkeypatch.setattr("app.auth.passwords._hasher", HASHER)
    (tmp_path / "hidden_models.py").write_text(MODELS)
    monkeypatch.syspath_prepend(str(tmp_path))
    async with serve(mongo_uri, MODELS="hidden_models") as one:
        await fill(one)
        yield one


async def fill(served: Served) -> None:
    """Documents that the clerk may see in part, and others that it may not see at all."""
    database = served.database
    vault = database["vaults"].insert_one({"code": "VAULTCODE"}).inserted_id
    team = database["teams"].insert_one({"name": "blue", "budget": 564738}).inserted_id
    person = {
        "age": 30,
        "district": "REGIONVALUE",
        "wage": 918273,
        "grade": "HIDDENCHOICE",
        "flag": True,
        "profile": {"city": "Oslo", "ssn": "SSNVALUE"},
        "tags": ["a", "b"],
        "team": bson.DBRef("teams", team),
        "vault": bson.DBRef("vaults", vault),
    }
    others = [
        {**person, "_id": bson.ObjectId(), "name": f"OUTSIDE {number}", "district": "elsewhere"}
        for number in range(3)
    ]
    mine = [{**person, "_id": bson.ObjectId(), "name": f"Ada {number}"} for number in range(3)]
    database["people"].insert_many([*others, *mine])
    database["docsheet.roles"].insert_one({"name": "clerk", "rules": RULES})
    served.add("clerk", "clerk")
    async with served.client(**basic("root")) as client:
        for number, address in enumerate(("/vaults/?code=VAULTCODE", "/people/?wage=918273")):
            view = {"name": f"HIDDENVIEW {number}", "address": address, "for_all": True}
            assert (await client.post("/views/", json=view)).status_code == 201


def list_addresses(text: str, base: str) -> Iterator[str]:
    """What a screen leads to by links and by scripts."""
    for found in re.findall(r'(?:href|hx-get|action|data-[a-z]+)="([/?][^"]*)"', text):
        address = urljoin(base, html.unescape(found))
        yield address.replace("{id}", secrets.token_hex(16))  # which a script makes up


def name_kind(address: str) -> tuple[str, ...]:
    """The same for addresses whose screens differ in values, or in how many parameters, alone."""
    path, _, query = address.partition("?")
    names = {f"{name}={value}" if name == "field" else name for name, value in parse_qsl(query)}
    path = re.sub("[0-9a-f]{24,32}", "{key}", path)
    if "/export/" in path or "/download/" in path:  # a file, whatever it is of
        return (path,)
    return path, *sorted(name for name in names if len(names) == 1 or "=" in name)


def list_texts(answer: httpx.Response) -> Iterator[str]:
    """What is in an answer, that of packed files as well."""
    if answer.content[:2] != b"PK":
        yield answer.text
        return
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        for name in archive.namelist():
            yield archive.read(name).decode("utf-8", "replace")


def find_marks(address: str, answer: httpx.Response) -> Iterator[tuple[str, str]]:
    """What an answer shows that it should not; a name that was asked with may be said again."""
    for text in list_texts(answer):
        for mark in MARKS:
            if mark in text:
                yield address, mark
        for name in NAMES:
            if name not in address and re.search(rf"\b{name}\b", text):
                yield address, name


async def test_no_screen_shows_what_its_reader_may_not_see(served: Served) -> None:
    waiting = ["/ui/", "/ui/people/?keyword=Ada&sort=-age&limit=1", "/ui/teams/pick?q=b"]
    waiting += [f"/people/import/{word}" for word in ("csv", "xlsx")]
    seen: dict[tuple[str, ...], str] = {}
    leaks: list[tuple[str, str]] = []
    async with served.client(**BROWSER, **basic("clerk")) as client:
        while waiting and len(seen) < MOST:
            address = waiting.pop(0)
            kind = name_kind(address)
            if kind in seen or kind[0].startswith(("/docs", "/redoc", "/ui/static")):
                continue
            seen[kind] = address
            answer = await client.get(address)
            assert answer.status_code in (200, 303, 307, 404, 405, 422), (address, answer.text)
            leaks += list(find_marks(address, answer))
            if answer.headers["Content-Type"].startswith("text/html"):
                waiting += list_addresses(answer.text, urlsplit(address).path)
    assert not leaks
    paths = {path for path, *_ in seen}
    assert {
        "/ui/people/",
        "/ui/people/{key}",
        "/ui/people/{key}/edit",
        "/ui/people/{key}/delete",
        "/ui/people/new",
        "/ui/people/import",
        "/ui/people/table/filter",
        "/ui/people/table/columns",
        "/ui/people/table/facets",
        "/ui/people/download",
        "/ui/teams/{key}",
        "/ui/me",
    } <= paths, sorted(seen.values())


async def test_what_is_counted_is_what_may_be_seen(served: Served) -> None:
    """Three of the six people are those of the clerk."""
    team = served.database["teams"].find_one()["_id"]
    async with served.client(**BROWSER, **basic("clerk")) as client:
        pages = {
            address: re.sub(r"<[^>]+>", " ", (await client.get(address)).text)
            for address in (
                "/ui/",
                "/ui/people/",
                "/ui/people/?count=exact",
                "/ui/people/table/facets",
                "/ui/people/download",
                f"/ui/teams/{team}",
                f"/ui/teams/{team}/delete",
            )
        }
    for address, words in pages.items():
        assert not re.search(r"\b6\b", words), address
    for address in ("/ui/people/", "/ui/people/table/facets", f"/ui/teams/{team}"):
        assert re.search(r"\b3\b", pages[address]), address


@pytest.mark.parametrize("name", ["district", "wage", "profile.ssn", "grade", "team.budget"])
async def test_a_hidden_field_is_none_on_screens_too(served: Served, name: str) -> None:
    """It can't be told from one that isn't there."""
    async with served.client(**BROWSER, **basic("clerk")) as client:
        for query in ("{}=1", "{}__gte=1", "sort={}", "fields=name,{}"):
            answers = [
                await client.get(f"/ui/people/?{query.format(one)}") for one in (name, "qqqq")
            ]
            assert [answer.status_code for answer in answers] == [422, 422], query
            for mark in MARKS:
                assert mark not in answers[0].text


async def test_nothing_is_offered_of_what_is_not_allowed(served: Served) -> None:
    served.add("reader", "viewer")
    async with served.client(**BROWSER, **basic("reader")) as client:
        for path in ("/ui/people/", "/ui/teams/"):
            page = await client.get(path)
            assert page.status_code == 200
            for word in ("/new", "/edit", "/delete", "/import", "/ui/admin/"):
                assert word not in page.text, (path, word)
    async with served.client(**BROWSER, **basic("clerk")) as client:
        assert (await client.get("/ui/vaults/")).status_code == 403
        page = await client.get("/ui/teams/")
        for word in ("/ui/teams/new", "/edit", "/delete", "/ui/teams/import", "/ui/vaults/"):
            assert word not in page.text


async def test_forms_neither_write_nor_tell_what_is_hidden(served: Served) -> None:
    people = served.database["people"]
    mine = people.find_one({"name": "Ada 0"})
    assert mine is not None
    address = f"/ui/people/{mine['_id']}"
    async with served.client(**BROWSER, **basic("clerk")) as client:
        form = read_form(await client.get(f"{address}/edit"))
        pairs = [*form.set("/name", "Eve").pairs, ("state:/wage", "value"), ("/wage", "1")]
        pairs += [("/district", "elsewhere"), ("/profile/ssn", "1"), ("do", "save")]
        saved = await client.post(f"{address}/edit", content=encode(pairs), headers=TYPE)
        answers = [saved]
        for field in ("wage", "district", "profile.ssn", "name"):
            words = {"do": "choose", "field": field}
            answers.append(await client.post("/ui/people/bulk/change?name=Eve", data=words))
        text = "name,age,wage,district\nZed,1,5,elsewhere\n"
        file = {"file": ("people.csv", text, "text/csv")}
        upload = await client.post("/ui/people/import", files=file)
        assert (saved.status_code, upload.status_code) == (303, 303)
        answers += [upload, await client.get(upload.headers.get("Location", "/ui/people/"))]
        other = people.find_one({"name": "OUTSIDE 0"})["_id"]
        for step in ("", "/edit", "/delete"):
            outside = await client.get(f"/ui/people/{other}{step}")
            assert outside.status_code == 404
            answers.append(outside)
    for answer in answers:
        assert answer.status_code < 500
        for mark in MARKS:
            assert mark not in answer.text, (answer.request.url, mark)
    assert people.find_one({"_id": mine["_id"]}) == {**mine, "name": "Eve"}
