"""Runs the examples of docs/imports.md, in their order, and reads the cells of its table."""

import datetime
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.query.parameters import MODES, ON_ERROR, parameters_of
from app.resources.fields import Field
from app.resources.kinds import KINDS
from app.settings import Settings
from app.spreadsheets.cells import EMPTY, CellReader
from app.spreadsheets.formats import FORMATS
from tests.support.mongod import needs_mongod

pytestmark = needs_mongod
PAGE = Path(__file__).parents[1].joinpath("docs", "imports.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```text\n(.*?)\n\n(POST .*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)
CELLS = re.findall(r"^\| (\w+) \| `(.+?)` \| `(.+?)` \|$", PAGE, re.MULTILINE)
MEDIA_TYPES = {name: found.media_type for name, found in FORMATS.items()}
_request = re.compile(r"POST (.+?)(?: as (\w+))? → (\d+): (.+)").fullmatch
_fault = re.compile(r"row (\d+), (\w+): (.+)").fullmatch


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == 7
    assert len(CELLS) == PAGE.count("\n| ") - 1
    assert PAGE.count("\nPOST ") == sum(requests.count("POST ") for _, requests in EXAMPLES)


def test_every_parameter_mode_and_limit_is_explained() -> None:
    every = {name for found in FORMATS.values() for name in found.reads}
    for name in parameters_of("import", every):
        assert re.search(rf"`{name}=?|[?&]{name}=", PAGE), name
    assert all(f"`mode={mode}`" in PAGE for mode in MODES)
    assert all(f"`on_error={word}`" in PAGE for word in ON_ERROR)
    for name in Settings.model_fields:
        assert not name.startswith("IMPORT") or f"`{name}`" in PAGE, name


def test_examples(http: httpx.Client, users: Any) -> None:
    for file, requests in EXAMPLES:
        answer: Any = None
        for line in requests.splitlines():
            found = _request(line)
            if found:
                answer = send(http, file, found[1], found[2] or "csv")
                assert answer.status_code == int(found[3]), answer.text
                assert counted(answer.json()) == found[4]
            elif line:
                check_row(answer.json(), line)


def send(http: httpx.Client, file: str, address: str, format: str) -> httpx.Response:
    """The answer to a file as the body."""
    return http.post(address, content=file, headers={"content-type": MEDIA_TYPES[format]})


def counted(report: dict[str, Any]) -> str:
    """What a report counts, as the page writes it."""
    words = ("inserted", "updated", "unchanged", "failed")
    return ", ".join(f"{report[word]} {word}" for word in words if report[word])


def check_row(report: dict[str, Any], line: str) -> None:
    """Finds what a line says of a row among the errors, or the changes, of a report."""
    found = _fault(line)
    assert found, line
    number, column, detail = int(found[1]), found[2], found[3]
    if "changes" in report:
        before, after = map(json.loads, detail.split(" → "))
        assert report["changes"] == [
            {"row": number, "field": column, "before": before, "after": after}
        ]
        return
    details = [
        error["detail"]
        for error in report["errors"]
        if (error["row"], error["column"]) == (number, column)
    ]
    assert any(detail in one for one in details), details


@pytest.mark.parametrize(("kind", "cell", "value"), CELLS)
def test_a_cell_is_read_as_the_table_says(kind: str, cell: str, value: str) -> None:
    assert kind in KINDS
    reader = CellReader(Field("x", kind), datetime.UTC, typed=False)
    assert reader.column([cell]) == [json.loads(value)]


@pytest.mark.parametrize(("kind", "value"), [("text", "  "), ("any", "  "), ("int", EMPTY)])
def test_blanks_are_a_text_where_a_text_may_be(kind: str, value: Any) -> None:
    reader = CellReader(Field("x", kind), datetime.UTC, typed=False)
    assert reader.column(["  ", "a" if kind != "int" else "1"])[0] == value
