"""A format is a file: one more is offered, and its failures break the transfer."""

import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import DATABASE
from tests.support.mongod import needs_mongod
from tests.support.server import ROOT, LiveServer
from tests.support.waiting import wait_for

pytestmark = needs_mongod
LIST = '''
"""LIST: the names of the columns, then a line for each row."""

from app.spreadsheets.format import Format


class ListEncoder:
    def __init__(self, columns, options, sheet_name):
        self.rows = 0

    def encode(self, batch, raw=None):
        self.rows += len(batch[0])
        if "STOP" in batch[0]:
            raise RuntimeError("an encoder's mistake")
        return "".join(f"{value}\\n" for value in batch[0]).encode()

    def finish(self):
        return b"end\\n"


FORMAT = Format(("list",), "list", "text/x-list", True, False, frozenset({"titles"}), ListEncoder)
'''


@pytest.fixture
def live(mongo_uri: str, tmp_path: Path, users: Any) -> Any:
    """A server of a copy of the program that has one more file."""
    for folder in ("app", "models"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "app" / "spreadsheets" / "formats" / "list.py").write_text(LIST)
    with LiveServer(
        tmp_path,
        spawn=True,
        PYTHONPATH=tmp_path,
        MONGO_URI=mongo_uri,
        DB_NAME=DATABASE,
        CORS_ORIGINS="https://a.example",
    ) as server:
        yield server


def test_a_new_file_is_a_new_format(live: LiveServer, users: Any) -> None:
    users.insert_one({"name": "Anna", "email": "a"})
    answer = httpx.get(f"{live.address}/users/export/list?columns=name:Name")
    assert (answer.text, answer.headers["content-type"]) == ("Anna\nend\n", "text/x-list")
    assert 'filename="users.list"' in answer.headers["content-disposition"]
    assert httpx.get(f"{live.address}/users/export/list?bom=true").status_code == 422
    assert "list" in httpx.get(f"{live.address}/users/export/lst").json()["detail"]


def test_a_mistake_of_an_encoder_breaks_the_transfer(live: LiveServer, users: Any) -> None:
    users.insert_many(
        [{"name": "STOP" if n == 9_000 else "x" * 400, "email": str(n)} for n in range(10_000)]
    )
    with (
        httpx.stream(
            "GET", f"{live.address}/users/export/list", headers={"Origin": "https://a.example"}
        ) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        list(answer.iter_raw())
    address = f"{live.address}/exports/{answer.headers['x-export-id']}"
    wait_for(lambda: httpx.get(address).json()["state"] != "running")
    record = httpx.get(address).json()
    assert record["state"] == "failed"
    assert "status 1" in record["detail"]
    assert live.logged("an encoder's mistake")
    early = httpx.get(f"{live.address}/users/export/list?name=STOP")
    assert (early.status_code, early.headers["retry-after"]) == (503, "5")
