"""Runs every example of docs/query.md and compares what it shows."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.query.operators import OPERATORS
from tests.support.mongod import needs_mongod

pytestmark = needs_mongod
PAGE = Path(__file__).parents[1].joinpath("docs", "query.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^(/users/\S+) +→ (.+)$", PAGE, re.MULTILINE)
_ROW = re.compile(
    r"^\| ([^|]+) \| ([^|]+@[^|]+) \| ([^|]*)\| ([^|]*)\| ([^|]*)\| ([^|]*)\|$", re.MULTILINE
)


def stored() -> list[dict[str, Any]]:
    """The documents of the page's table."""
    found = []
    for number, row in enumerate(_ROW.findall(PAGE)):
        name, email, age, profile_age, bio, addresses = (cell.strip() for cell in row)
        document: dict[str, Any] = {"_id": number, "name": name, "email": email}
        if age:
            places = (place.split(", ") for place in addresses.split("; "))
            document["age"] = int(age)
            document["profile"] = {
                "age": int(profile_age),
                "addresses": [{"city": c, "country": s} for c, s in places],
            }
        if bio:
            document["profile"]["bio"] = bio
        found.append(document)
    return found


def test_the_page_has_examples() -> None:
    assert len(stored()) == 5
    assert len(EXAMPLES) > 30
    assert PAGE.count("→") == len(EXAMPLES)
    assert all(f"`{name}`" in PAGE for name in OPERATORS)


@pytest.mark.parametrize(("address", "shown"), EXAMPLES)
def test_example(http: httpx.Client, users: Any, address: str, shown: str) -> None:
    users.insert_many(stored())
    path, _, query = address.partition("?")
    answer = http.get(f"{path}?{quote(query, safe='=&')}")
    expected, *more = (part.strip() for part in shown.split(";"))
    if expected.startswith("422 "):
        assert answer.status_code == 422
        assert [fault["parameter"] for fault in answer.json()["errors"]] == [
            expected.removeprefix("422 ")
        ]
        return
    assert answer.status_code == 200, answer.text
    documents = answer.json()
    if expected.startswith("{"):
        (document,) = documents
        del document["_id"]
        assert document == json.loads(expected)
        return
    assert [document["name"] for document in documents] == expected.split(", ")
    relations = {"next", "prev"}
    assert relations.intersection(more) == relations.intersection(answer.links)
    counted = f"{answer.headers['X-Total-Count']} {answer.headers['X-Count-Strategy']}"
    assert {*more} <= relations | {counted}
