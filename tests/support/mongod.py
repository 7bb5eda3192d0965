"""Tests that need a real mongod: skipped, with the reason, where none runs.

Under `CI` they fail instead. pytestmark = needs_mongod
"""

import os
import subprocess

import pytest

from app.errors import StartError
from app.servers.process import find_mongod


def why_not() -> str:
    """Why no mongod runs here; empty when one does."""
    try:
        shown = subprocess.run(
            [find_mongod(), "--version"], capture_output=True, text=True, check=False
        )
    except (StartError, OSError) as error:
        return str(error)
    return shown.stderr.strip() if shown.returncode else ""


_reason = why_not()
needs_mongod = [
    pytest.mark.mongod,
    pytest.mark.skipif(
        bool(_reason) and not os.environ.get("CI"), reason=f"no mongod runs here: {_reason}"
    ),
]


def require_mongod() -> None:
    """The same within a fixture."""
    if _reason and not os.environ.get("CI"):
        pytest.skip(f"no mongod runs here: {_reason}")
