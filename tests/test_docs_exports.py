"""The addresses of docs/exports.md are downloads, which have the columns that its programs name."""

import ast
import csv
import io
import re
from typing import Any

import httpx
import pytest

from tests.support.mongod import needs_mongod
from tests.support.server import ROOT

pytestmark = needs_mongod
PAGE = (ROOT / "docs" / "exports.md").read_text(encoding="utf-8")
ADDRESSES = re.findall(r"http://127\.0\.0\.1:8000(/users/export/[^\s'\"]+)", PAGE)
QUERIES = sorted(set(re.findall(r"`((?:csv|xlsx|ndjson|json)\?[^`]+)`", PAGE)))
ADA = {"name": "Ada", "email": "ada@example.com", "profile": {"age": 36, "addresses": []}}


@pytest.mark.parametrize("address", [*ADDRESSES, *(f"/users/export/{one}" for one in QUERIES)])
def test_an_address_is_a_download(http: httpx.Client, address: str) -> None:
    answer = http.get(address)
    assert answer.status_code == 200, answer.text
    assert "x-export-id" in answer.headers


def test_pandas_finds_the_columns_whose_types_it_is_told(http: httpx.Client, users: Any) -> None:
    users.insert_one(ADA)
    (call,) = re.findall(r"read_csv\(\s*\"[^\"]+8000(/[^\"]+)\",\s*dtype=(\{.*?\}),\n", PAGE)
    address, types = call
    named = {key.value for key in ast.parse(types, mode="eval").body.keys}  # type: ignore[attr-defined]
    (header, row) = csv.reader(io.StringIO(http.get(address).text))
    assert named <= set(header)
    assert len(row) == len(header)
