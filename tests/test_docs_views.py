"""Runs every example of docs/views.md and compares what it shows."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.mongod import needs_mongod

pytestmark = needs_mongod
PAGE = Path(__file__).parents[1].joinpath("docs", "views.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(
    r"^(GET|POST|PATCH|DELETE) (/views/\S*)(?: (\{.*\}))? +→ (.+)$", PAGE, re.MULTILINE
)
ROWS = re.findall(r"^\| (\S+) \| (\d+) \|$", PAGE, re.MULTILINE)


@pytest.fixture
def saved(http: httpx.Client, users: Any, database: Any) -> Iterator[httpx.Client]:
    """A client of a server with the page's documents, and the views that the page saves."""
    views = database["docsheet.views"]
    views.delete_many({})
    users.insert_many(
        [{"name": name, "email": f"{age}@example.com", "age": int(age)} for name, age in ROWS]
    )
    yield http
    views.delete_many({})


def test_the_page_has_examples() -> None:
    assert len(ROWS) == 3
    assert PAGE.count("→") == len(EXAMPLES) > 15


@pytest.mark.parametrize(("method", "address", "body", "shown"), EXAMPLES)
def test_example(saved: httpx.Client, method: str, address: str, body: str, shown: str) -> None:
    for earlier, path, sent, _ in EXAMPLES[:2]:
        if (method, body) != (earlier, sent):
            assert send(saved, earlier, path, sent).status_code == 201
    answer = send(saved, method, address, body)
    first, _, rest = shown.partition(" ")
    if re.fullmatch(r"\d{3}", first):
        assert answer.status_code == int(first), answer.text
        if answer.status_code == 201:
            assert answer.headers["location"] == rest
        elif rest:
            fault = answer.json()["errors"][0]
            assert fault.get("pointer", fault.get("parameter")) == rest
        return
    assert answer.status_code == 200, answer.text
    if "/csv" in address:
        assert answer.text.splitlines() == shown.split("; ")
    else:
        assert [document["name"] for document in answer.json()] == shown.split(", ")


def send(http: httpx.Client, method: str, path: str, body: str) -> httpx.Response:
    headers = {"Content-Type": "application/json"} if body else {}
    return http.request(method, path, content=body.encode(), headers=headers)
