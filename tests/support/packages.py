"""Packages of models that tests write."""

import sys
from collections.abc import Iterator
from pathlib import Path

from app.resources.registry import Resource, discover


def served(folder: Path, name: str, files: dict[str, str]) -> Iterator[dict[str, Resource]]:
    """The resources of a package of these modules, which can be imported meanwhile."""
    package = folder / name
    package.mkdir()
    (package / "__init__.py").touch()
    for module, source in files.items():
        (package / f"{module}.py").write_text(source)
    sys.path.insert(0, str(folder))
    try:
        yield discover(name)
    finally:
        sys.path.remove(str(folder))
