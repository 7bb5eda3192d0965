"""The engine knows no domain: the words of one stand in `models/` alone."""

import re
from pathlib import Path

import pytest

APP = Path(__file__).parents[1] / "app"
WORDS = re.compile(r"\b(students?|courses?|teachers?|clas)\b", re.IGNORECASE)
FILES = sorted(path for path in APP.rglob("*") if path.suffix in {".py", ".html", ".css", ".js"})


def test_there_are_files() -> None:
    assert len(FILES) > 100


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(APP)))
def test_no_file_has_a_word_of_a_domain(path: Path) -> None:
    assert WORDS.findall(path.read_text(encoding="utf-8")) == []
