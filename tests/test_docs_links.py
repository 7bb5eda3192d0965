"""Runs every example of docs/links.md and compares what it shows."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = needs_mongod
DATABASE = "docs_links"
PAGE = Path(__file__).parents[1].joinpath("docs", "links.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# models/(\w+)\.py\n(.*?)```", PAGE, re.DOTALL))
EXAMPLES = re.findall(r"^(GET|POST|PATCH|DELETE) (\S+)(?: (\{.*\}))? +→ (.+)$", PAGE, re.MULTILINE)


def rows(first: str) -> list[list[str]]:
    """The cells of the page's table that begins with this column."""
    table = re.search(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert table is not None
    lines = table[1].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    """The documents of the page's tables, each with its collection, linked ones first."""
    for key, name in rows("authors"):
        yield "authors", {"_id": int(key), "name": name}
    for key, title, author, editors, sequel in reversed(rows("books")):
        listed = [int(editor) for editor in editors.split(",") if editor]
        body = {"_id": int(key), "title": title, "author": int(author), "editors": listed}
        yield "books", {**body, "sequel": int(sequel)} if sequel else body


@pytest.fixture(scope="module")
def server(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("documented")
    (folder / "models").mkdir()
    (folder / "models" / "__init__.py").touch()
    for name, source in FILES.items():
        (folder / "models" / f"{name}.py").write_text(source)
    with LiveServer(folder, MONGO_URI=mongo_uri, DB_NAME=DATABASE) as live:
        yield live


@pytest.fixture
def http(server: LiveServer, database: Any) -> Iterator[httpx.Client]:
    for name in ("authors", "books"):
        database.client[DATABASE][name].delete_many({})
    with httpx.Client(base_url=server.address, timeout=60) as client:
        for collection, body in bodies():
            assert client.post(f"/{collection}/", json=body).status_code == 201
        yield client


def test_the_page_has_examples() -> None:
    assert len(list(bodies())) == 6
    assert set(FILES) == {"author", "book"}
    assert PAGE.count("```python") == len(FILES)
    assert PAGE.count("→") == len(EXAMPLES) > 30


@pytest.mark.parametrize(("method", "address", "body", "shown"), EXAMPLES)
def test_example(http: httpx.Client, method: str, address: str, body: str, shown: str) -> None:
    kind = "merge-patch+json" if method == "PATCH" else "json"
    answer = http.request(
        method,
        quote(address, safe="/?=&,"),
        content=body.encode() or None,
        headers={"Content-Type": f"application/{kind}"} if body else {},
    )
    status = re.fullmatch(r"(\d{3})(?: (.+))?", shown)
    if status is not None:
        assert answer.status_code == int(status[1]), answer.text
        if answer.status_code == 422:
            (fault,) = answer.json()["errors"]
            assert status[2] in (fault.get("pointer"), fault.get("parameter"))
        elif status[2]:
            assert answer.json()["detail"].startswith(status[2])
        return
    assert answer.status_code == 200, answer.text
    if "/export/csv" in address:
        assert answer.text.splitlines() == shown.split(" / ")
    elif shown[0] in "{[":
        assert answer.json() == json.loads(shown)
    else:
        keys = [] if shown == "nothing" else [int(key) for key in shown.split(", ")]
        assert [one["_id"] for one in answer.json()] == keys
