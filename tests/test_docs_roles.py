"""Runs every example of docs/roles.md and compares what it shows."""

import base64
import io
import json
import re
import sys
import types
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from app.__main__ import cli
from tests.support.accounts import ACCOUNTS, Served
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer
from tests.support.waiting import wait_for

pytestmark = needs_mongod
DATABASE = "docs_roles"
PAGE = Path(__file__).parents[1].joinpath("docs", "roles.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# models/(\w+)\.py\n(.*?)```", PAGE, re.DOTALL))
ROLES = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
EXAMPLES = re.findall(
    r"^(\w+): (GET|POST|PATCH|DELETE) (\S+)(?: (\{.*\}))? +→ (\d+)(?: (.+))?$", PAGE, re.MULTILINE
)
ASKED_ALONE = re.findall(r"^(\w+): GET (\S+)$", PAGE, re.MULTILINE)
HOST = "https://docs.example.org"


def rows(*first: str) -> list[list[str]]:
    """The cells of the page's table that begins with these columns."""
    head = r" \| ".join(map(re.escape, first))
    table = re.search(rf"^\| {head} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert table is not None
    lines = table[1].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture(scope="module")
def served(database: Any) -> Served:
    """The documents and accounts of the page, as a server finds them."""
    found = database.client[DATABASE]
    database.client.drop_database(DATABASE)
    found["docsheet.roles"].insert_many([dict(role) for role in ROLES])
    made = Served(None, found)  # type: ignore[arg-type] - it is another process
    for name, role, attributes in rows("name", "role", "attributes"):
        made.add(name, role, attributes=json.loads(attributes))
    return made


@pytest.fixture(scope="module")
def server(
    served: Served, mongo_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("documented")
    (folder / "models").mkdir()
    (folder / "models" / "__init__.py").touch()
    for name, source in FILES.items():
        (folder / "models" / f"{name}.py").write_text(source)
    with LiveServer(folder, MONGO_URI=mongo_uri, DB_NAME=DATABASE, AUTH="on") as live:
        yield live


@pytest.fixture(scope="module")
def headers(served: Served) -> dict[str, dict[str, str]]:
    """A key of each account, as a header."""
    return {one["name"]: served.key(one["_id"]) for one in served.database[ACCOUNTS].find()}


@pytest.fixture
def http(
    server: LiveServer, served: Served, headers: dict[str, dict[str, str]]
) -> Iterator[httpx.Client]:
    """A client of the server, whose documents are those of the page."""
    for name in ("regions", "customers"):
        served.database[name].delete_many({})
    with httpx.Client(base_url=server.address, timeout=60) as client:
        for key, name in rows("_id", "region"):
            body = {"_id": int(key), "name": name}
            assert client.post("/regions/", json=body, headers=headers["ada"]).status_code == 201
        for key, name, region, discount in rows("_id", "customer"):
            body = {
                "_id": int(key),
                "name": name,
                "region": int(region),
                "discount": int(discount),
            }
            assert client.post("/customers/", json=body, headers=headers["ada"]).status_code == 201
        yield client


def test_there_are_examples() -> None:
    assert len(ROLES) == 3
    assert len(EXAMPLES) > 25
    assert len(ASKED_ALONE) == 2


@pytest.mark.parametrize(
    ("name", "method", "path", "body", "status", "shown"),
    EXAMPLES,
    ids=[" ".join(example[:3]) + example[3][:40] for example in EXAMPLES],
)
def test_an_example_is_answered_as_the_page_says(
    http: httpx.Client,
    headers: dict[str, dict[str, str]],
    name: str,
    method: str,
    path: str,
    body: str,
    status: str,
    shown: str,
) -> None:
    content = json.loads(body) if body else None
    if name == "ines" and method == "GET":  # the document of the example before
        whole = {"_id": 5, "name": "Elm", "region": 3}
        assert http.post("/customers/", json=whole, headers=headers["ines"]).status_code == 201
    answer = http.request(method, path, json=content, headers=headers[name])
    assert answer.status_code == int(status), answer.text
    if shown.startswith(("{", "[")):
        assert answer.json() == json.loads(shown)
    elif shown:
        assert answer.text.splitlines()[0] == shown


@pytest.mark.parametrize(("rules", "place"), rows("rules", "pointer"))
def test_what_a_role_can_not_be(
    http: httpx.Client, headers: dict[str, dict[str, str]], rules: str, place: str
) -> None:
    body = {"name": "other", "rules": json.loads(rules)}
    answer = http.post("/auth/roles/", json=body, headers=headers["ada"])
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [place]


def test_the_audit_is_asked_as_the_page_says(
    http: httpx.Client, headers: dict[str, dict[str, str]]
) -> None:
    exported = http.get("/customers/export/csv", headers=headers["nora"])
    assert len(exported.text.splitlines()) == 3
    (_, listed), (_, sheet) = ASKED_ALONE
    read = lambda: http.get(listed, headers=headers["ada"]).json()  # noqa: E731 - again and again
    # How it ended is written after its last byte.
    has_ended = lambda: any("rows" in one["details"] for one in read())  # noqa: E731
    wait_for(has_ended, otherwise="an export's end is not written")
    (entry,) = read()
    assert entry["target"] == "customers"
    assert entry["details"]["rows"] == 2
    assert http.get(sheet, headers=headers["ada"]).content[:2] == b"PK"


def make_key(http: httpx.Client, header: dict[str, str]) -> dict[str, Any]:
    body = {"name": "report", "scopes": ["customers:export", "regions:read"]}
    made: dict[str, Any] = http.post("/auth/keys/", json=body, headers=header).json()
    return made


def test_pandas_reads_with_a_key(
    http: httpx.Client,
    headers: dict[str, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The page's program runs; as pandas does, its `read_csv` hands the options on as headers."""
    (source,) = re.findall(r"```python\n(import pandas.*?)```", PAGE, re.DOTALL)
    key = make_key(http, headers["nora"])

    def read_csv(address: str, storage_options: dict[str, str]) -> list[str]:
        request = urllib.request.Request(address, headers=storage_options)
        with urllib.request.urlopen(request) as answer:
            return io.TextIOWrapper(answer, "utf-8").read().splitlines()

    stand_in = types.ModuleType("pandas")
    stand_in.read_csv = read_csv  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", stand_in)
    source = source.replace(HOST, str(http.base_url).rstrip("/"))
    source = source.replace("key_0123456789abcdef.the-secret", f"{key['id']}.{key['secret']}")
    found: dict[str, Any] = {}
    exec(source, found)
    assert found["customers"] == [
        "_id,name,region.name",
        "1,Alder Ltd,north",
        "2,Birch & Sons,north",
    ]


def test_power_query_asks_for_an_export(
    http: httpx.Client, headers: dict[str, dict[str, str]]
) -> None:
    (source,) = re.findall(r"```powerquery\n(.*?)```", PAGE, re.DOTALL)
    path = re.search(r'RelativePath = "(.+?)"', source)
    asked = re.search(r"Query = \[(.+?)\]", source)
    assert path is not None
    assert asked is not None
    parameters = dict(re.findall(r'(\w+) = "(.+?)"', asked[1]))
    assert set(parameters) == {"columns", "sort"}
    key = make_key(http, headers["nora"])
    credentials = base64.b64encode(f"{key['id']}:{key['secret']}".encode()).decode()
    # Excel asks without anything first, and sends the credentials where Basic is offered.
    first = http.get(f"/{path[1]}", params=parameters)
    assert first.status_code == 401
    assert any(one.startswith("Basic") for one in first.headers.get_list("www-authenticate"))
    basic = {"Authorization": f"Basic {credentials}"}
    answer = http.get(f"/{path[1]}", params=parameters, headers=basic)
    assert answer.text.splitlines()[1:] == ["1,Alder Ltd,north", "2,Birch & Sons,north"]


def test_importdata_downloads_a_share(
    http: httpx.Client, headers: dict[str, dict[str, str]]
) -> None:
    (written,) = re.findall(r'=IMPORTDATA\("(.+?)"\)', PAGE)
    body = {"address": "/customers/export/csv?columns=name"}
    url = http.post("/auth/shares/", json=body, headers=headers["nora"]).json()["url"]
    token = url.split("/")[-2]
    assert url == written.replace(HOST, str(http.base_url).rstrip("/")).replace("the-token", token)
    assert http.get(url).text.splitlines() == ["name", "Alder Ltd", "Birch & Sons"]


def test_the_commands_of_the_page_run(
    mongo_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: Any
) -> None:
    (block,) = re.findall(r"```console\n(\$ docsheet accounts add nora.*?)```", PAGE, re.DOTALL)
    lines = re.findall(r"^\$ docsheet (.+)$", block, re.MULTILINE)
    assert len(lines) == 8
    monkeypatch.chdir(tmp_path)
    rules = {"students": {"read": {"where": "name={account.name}"}, "export": True}}
    Path("lead.json").write_text(json.dumps({"name": "region lead", "rules": rules}))
    environment = {"MONGO_URI": mongo_uri, "DB_NAME": "docs_commands"}
    try:
        for line in lines:
            words = [text.strip("\"'") for text in re.findall(r"\"[^\"]*\"|'[^']*'|\S+", line)]
            words = [word.replace("customers", "students") for word in words]  # of our own models
            done = CliRunner().invoke(cli, words, input="correct horse\n", env=environment)
            assert done.exit_code == 0, (line, done.output)
        assert "/shared/" not in done.output  # the list
        assert "/students/export/csv?columns=name" in done.output
    finally:
        database.client.drop_database("docs_commands")
