"""docs/accounts.md: its commands are those that there are, its example of a token works."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pymongo import MongoClient
from typer.main import get_command

from app.commands.accounts import actions
from app.resources.moments import now
from tests.support.accounts import PASSWORD, hash_of
from tests.support.server import ROOT, LiveServer

PAGE = (ROOT / "docs" / "accounts.md").read_text()


def test_every_action_has_its_row() -> None:
    rows = re.findall(r"^\| `docsheet accounts ([^|]+?) \|", PAGE, re.MULTILINE)
    named = {word for row in rows for word in re.findall(r"(?:^|`)([a-z-]+)", row)}
    assert named == set(get_command(actions).commands)  # type: ignore[attr-defined]


@pytest.mark.mongod
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_example_of_a_token_works(mongo_uri: str, tmp_path: Path) -> None:
    (command,) = re.findall(r"^\$ (tr -d .*?)\n\{", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "password.txt").write_text(f"{PASSWORD}\n")
    account = {"name": "anna", "role": "admin", "password": hash_of(PASSWORD), "created": now()}
    with MongoClient[dict[str, object]](mongo_uri) as client:
        client.drop_database("test_docs")
        client["test_docs"]["docsheet.accounts"].insert_one(account)
        with LiveServer(MONGO_URI=mongo_uri, DB_NAME="test_docs", AUTH="on") as live:
            here = command.replace("\\\n> ", "").replace("http://127.0.0.1:8000", live.address)
            done = subprocess.run(
                here, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=300
            )
        client.drop_database("test_docs")
    tokens = json.loads(done.stdout)
    shown = json.loads(re.findall(r"^\{\"access_token.*\}$", PAGE, re.MULTILINE)[0])
    assert set(tokens) == set(shown)
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", shown["expires_in"])
