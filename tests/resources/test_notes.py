"""What is declared and not served, or has no effect, is told in a line each."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.resources.notes import describe_unserved

HEAD = """
from typing import Generic, TypeVar
from beanie import Document, View
from pydantic import BaseModel, Field
T = TypeVar("T")
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "told").mkdir()
    (tmp_path / "told" / "__init__.py").touch()
    yield tmp_path / "told"
    for name in [name for name in sys.modules if name.split(".")[0] == "told"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("class Lost(BaseModel):\n    x: int",
         ["told/a.py, line 6: Lost is a pydantic BaseModel that no document uses; "
          "a beanie.Document is served"]),
        ("class A(Document):\n    x: int\n"
         "class V(View):\n    x: int\n    class Settings:\n        source = A",
         ["told/a.py, line 8: V is a Beanie View: views aren't served"]),
        ("from models.user import User",
         ["told.a imports User from models.user: only what told itself declares is served"]),
        ("class A(Document):\n    x: int\n    class Settings:\n        nmae = 'as'",
         ["told/a.py, line 6: A.Settings.nmae has no effect: Beanie has no such setting. "
          "Did you mean 'name'?"]),
        ("class A(Document):\n    name: str\n"
         "    class Settings:\n        indexes = ['nmae', [('name', -1)]]",
         ["told/a.py, line 6: A has an index on 'nmae', which is no field of it. "
          "Did you mean 'name'?"]),
        ("class A(Document):\n    x: int\n    class settings:\n        name = 'as'\n"
         "    class Resources:\n        limit = 5\n    class Other:\n        pass",
         ["told/a.py, line 6: A.settings has no effect. Did you mean 'Settings'?",
          "told/a.py, line 6: A.Resources has no effect. Did you mean 'Resource'?"]),
        # what is served, or used, needs no word
        ("class In(BaseModel):\n    x: int\n"
         "class A(Document):\n    ins: dict[str, list[In]] | None = None", []),
        ("class In(BaseModel):\n    x: int\nclass Box(BaseModel, Generic[T]):\n    v: T\n"
         "class A(Document):\n    box: Box[In]", []),
        ("class Shared(BaseModel):\n    x: int\nclass A(Document, Shared):\n    pass", []),
        ("class A(Document):\n    made: int\n    class Resource:\n        abstract = True", []),
        ("class A(Document):\n    d: dict[str, int]\n"
         "    s: str = Field('', exclude=True)\n    class Settings:\n"
         "        indexes = ['d.x', 's', '_id', '$**', [('s', 'text')]]", []),
    ],
)  # fmt: skip
def test_each_is_told(package: Path, text: str, notes: list[str]) -> None:
    (package / "a.py").write_text(HEAD + text + "\n")
    assert describe_unserved("told") == notes


def test_a_class_that_another_file_of_the_package_imports_needs_no_word(package: Path) -> None:
    (package / "a.py").write_text(HEAD + "class A(Document):\n    x: int\n")
    (package / "b.py").write_text("from told.a import A\n")
    assert describe_unserved("told") == []


def test_our_own_models_need_no_word() -> None:
    assert describe_unserved("models") == []
