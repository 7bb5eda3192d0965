"""docs/models.md: its examples are real, and it has every option and every refusal's word."""

import dataclasses
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import bson
import pytest

from app.api.routing import list_reserved_steps
from app.application import create_app
from app.commands.seed_samples import QuickFaker
from app.errors import Invalid
from app.resources.codec import decode
from app.resources.documents import read_document, read_replacement
from app.resources.options import Options
from app.resources.patches import read_patch
from app.resources.registry import Resource, discover
from app.settings import Settings
from tests.support.compilers import compiler_of

SERVED = set(discover("models"))
TEXT = (Path(__file__).parents[1] / "docs" / "models.md").read_text()
EXAMPLES = re.findall(r"```python\n# models/(\w+)\.py\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Resource]]:
    folder = tmp_path_factory.mktemp("docs")
    package = folder / "documented"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for name, source in EXAMPLES:
        (package / f"{name}.py").write_text(source)
    sys.path.insert(0, str(folder))
    yield discover("documented")
    sys.path.remove(str(folder))


def test_every_python_block_is_a_file_of_models() -> None:
    assert len(EXAMPLES) == TEXT.count("```python") == 5


def test_examples_are_served(resources: dict[str, Resource]) -> None:
    assert set(resources) == {"books", "members", "films", "events", "orders"}
    for resource in resources.values():
        compiler_of(resource)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("books", {"title": "红楼梦", "isbn": "978-7-02-000220-7", "published": "1996-12-01",
         "price": "59.70"}),
        ("members", {"name": "Ada"}),
        ("films", {"title": "M", "year": 1931, "cast": [{"actor": "Peter Lorre"}]}),
        ("events", {"kind": "talk", "startsAt": "2026-01-02T03:04:05Z", "lasts": "PT1H",
         "doorCode": "7",
                    "program": {"title": "a", "parts": [{"title": "b"}]}, "poster": "AA=="}),
    ],
)  # fmt: skip
def test_examples_take_documents(
    resources: dict[str, Resource], name: str, body: dict[str, object]
) -> None:
    stored = read_document(resources[name], body)
    assert set(body) < set(stored)


def test_rules_about_changes_hold(resources: dict[str, Resource]) -> None:
    orders = resources["orders"]
    document = read_document(orders, {"item": "tea", "code": "7"})
    raw = bson.encode(document)
    assert document["code"].endswith(":7")
    assert read_patch(orders, {"item": "tea", "state": "paid"}, raw).set == {"state": "paid"}
    with pytest.raises(Invalid, match="an order that is new can't become sent"):
        read_patch(orders, {"state": "sent"}, raw)
    replacement = decode(read_replacement(orders, {"item": "ink"}, raw))
    assert replacement["code"] == document["code"]


def test_sample_of_the_example_makes_documents(resources: dict[str, Resource]) -> None:
    fake = QuickFaker(1)
    films = resources["films"]
    assert films.options.sample is not None
    for number in range(10):
        read_document(films, films.options.sample(fake, number))


@pytest.mark.parametrize("word", [field.name for field in dataclasses.fields(Options)])
def test_every_option_is_there(word: str) -> None:
    assert f"| `{word}` |" in TEXT


@pytest.mark.parametrize(
    "word",
    [
        *sorted(list_reserved_steps(create_app(Settings(_env_file=None)).paths.routes) - SERVED),  # type: ignore[call-arg]
        "use_revision",
        "is_root",
        "union_doc",
        "timeseries",
        "motor_db",
        "motor_collection",
        "datetime.time",
    ],
)
def test_every_refusal_is_there(word: str) -> None:
    assert f"`{word}`" in TEXT
