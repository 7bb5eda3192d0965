"""docs/architecture.md names existing files and rooms, and tells an export's path shortly."""

import re

from tests.support.server import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
APP = ROOT / "app"
FILES = 12  # at most, on the path of an export


def files_of(text: str) -> list[str]:
    """The files named in a text, each as a path below `app`."""
    return [name.removeprefix("app/") for name in re.findall(r"`([a-z_/]+\.py)`", text)]


def test_every_file_that_is_named_exists() -> None:
    named = files_of(PAGE)
    assert len(named) > FILES
    assert [name for name in named if not (APP / name).is_file()] == []


def test_every_folder_that_is_named_exists() -> None:
    named = [name.removeprefix("app/") for name in re.findall(r"`([a-z_/]+)/`", PAGE)]
    assert [name for name in named if not ((APP / name).is_dir() or (ROOT / name).is_dir())] == []


def test_every_room_is_in_the_table() -> None:
    rooms = {f"`app/{path.parent.name}/`" for path in APP.glob("*/__init__.py")}
    assert {room for room in rooms if room not in PAGE} == set()


def test_an_exports_path_is_at_most_twelve_files() -> None:
    path = PAGE.partition("## `GET /users/export/")[2].partition("\n## ")[0]
    assert 1 < len(set(files_of(path))) <= FILES
