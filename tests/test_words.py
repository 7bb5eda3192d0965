"""Messages, docstrings and pages use the words that people search for."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import ROOT

INSTEAD = {  # an old word, and the plain one
    r"(is|are) wanted": "must be",
    r"(down|up)wards": "descending, ascending",
    r"pictures?": "snapshot",
    r"mend(s|ed|ing)?": "fix",
    r"(left|leaves?|leaving) out": "skipped, omitted",
    r"standing": "existing",
    r"hinders?": "prevents",
}


def read_files() -> Iterator[Path]:
    yield ROOT / "README.md"
    for folder, ending in (("app", "py"), ("models", "py"), ("docs", "md")):
        yield from (ROOT / folder).rglob(f"*.{ending}")


@pytest.mark.parametrize(("old", "plain"), INSTEAD.items())
def test_old_words_are_gone(old: str, plain: str) -> None:
    find = re.compile(rf"\b{old}\b", re.IGNORECASE).search
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in read_files()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if find(line)
    ]
    assert not found, f"{plain!r} instead:\n" + "\n".join(found)


def test_files_of_every_folder_are_read() -> None:
    folders = {path.relative_to(ROOT).parts[0] for path in read_files()}
    assert folders == {"README.md", "app", "models", "docs"}
