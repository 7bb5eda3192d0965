"""The log: text or JSON, to a file that several processes write and that is begun anew."""

import inspect
import json
import logging
import multiprocessing
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from uvicorn.protocols.websockets import websockets_sansio_impl

from app.errors import SettingError
from app.serving.logs import (
    REFUSED_WEBSOCKET,
    Lines,
    LogFile,
    Objects,
    configure_logging,
    is_news,
)
from app.settings import Settings, read_settings
from tests.support.server import LiveServer

CONTEXT = multiprocessing.get_context("spawn")


def record(message: object, **words: Any) -> logging.LogRecord:
    found = logging.makeLogRecord({"name": "docsheet.x", "levelname": "INFO", "msg": message})
    vars(found).update(words)
    return found


class Request:
    """As the access log's lines: a text, and values by name."""

    def __str__(self) -> str:
        return "GET / 200"

    def fields(self) -> dict[str, Any]:
        return {"method": "GET", "path": "/\udcff", "status": 200}


@pytest.fixture
def file(tmp_path: Path) -> Iterator[LogFile]:
    handler = LogFile(tmp_path / "server.log", size=100, keep=3)
    handler.setFormatter(logging.Formatter("%(message)s"))
    yield handler
    handler.close()


def lines(folder: Path) -> dict[str, list[str]]:
    """The lines of each file, but the lock."""
    return {
        path.name: path.read_text().splitlines()
        for path in sorted(folder.iterdir())
        if path.suffix != ".lock"
    }


# --- a record -------------------------------------------------------------------------------------


def test_a_line_of_text() -> None:
    line = Lines().format(record(Request(), created=0.25, msecs=250.0))
    assert line.endswith(",250 INFO docsheet.x: GET / 200")


def test_an_object_has_a_requests_values_by_name() -> None:
    said = json.loads(Objects().format(record(Request(), created=0.25)))
    assert said == {
        "time": "1970-01-01T00:00:00.250+00:00",
        "level": "INFO",
        "logger": "docsheet.x",
        "method": "GET",
        "path": "/\udcff",
        "status": 200,
    }


def test_an_object_has_the_message_and_the_trace() -> None:
    try:
        raise ValueError("odd")
    except ValueError as error:
        kept = (type(error), error, error.__traceback__)
    line = Objects().format(record("a\nb", exc_info=kept))
    assert "\n" not in line
    said = json.loads(line)
    assert said["message"] == "a\nb"
    assert said["trace"].startswith("Traceback")
    assert said["trace"].endswith("ValueError: odd")


# --- the file -------------------------------------------------------------------------------------


def test_a_full_file_is_followed_by_another_and_the_oldest_goes(
    file: LogFile, tmp_path: Path
) -> None:
    for number in range(12):
        file.handle(record(f"{number:02d} {'x' * 47}"))  # 51 bytes: two fill a file
    assert {name: [line[:2] for line in found] for name, found in lines(tmp_path).items()} == {
        "server.log": ["10", "11"],
        "server.log.1": ["08", "09"],
        "server.log.2": ["06", "07"],
        "server.log.3": ["04", "05"],
    }


def test_at_midnight_another_one_is_begun(file: LogFile, tmp_path: Path) -> None:
    now = time.time()
    file.handle(record("today", created=now))
    file.handle(record("tomorrow", created=now + 24 * 3600))
    assert lines(tmp_path) == {"server.log": ["tomorrow"], "server.log.1": ["today"]}


def test_a_file_of_yesterday_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text("yesterday\n")
    before = time.time() - 24 * 3600
    os.utime(path, (before, before))
    file = LogFile(path, size=100, keep=3)
    file.handle(record("today", created=time.time()))
    file.close()
    assert [len(found) for found in lines(tmp_path).values()] == [1, 1]
    assert (tmp_path / "server.log.1").read_text() == "yesterday\n"


def test_a_file_that_was_moved_away_is_made_again(file: LogFile, tmp_path: Path) -> None:
    file.handle(record("before"))
    (tmp_path / "server.log").rename(tmp_path / "moved")
    file.handle(record("after"))
    assert lines(tmp_path) == {"moved": ["before"], "server.log": ["after"]}


RECORDS = 2_000


def write(path: Path, name: str) -> None:
    """What one process writes."""
    file = LogFile(path, size=20_000, keep=1_000)
    file.setFormatter(logging.Formatter("%(message)s"))
    for number in range(RECORDS):
        file.handle(record(f"{name} {number}"))
    file.close()


def test_processes_lose_no_line_and_mix_none_while_files_change(tmp_path: Path) -> None:
    names = ("first", "second", "third")
    path = tmp_path / "server.log"
    processes = [CONTEXT.Process(target=write, args=(path, name)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    found = lines(tmp_path)
    assert len(found) > 3
    written = sorted(line for of_one in found.values() for line in of_one)
    assert written == sorted(f"{name} {number}" for name in names for number in range(RECORDS))


# --- the settings ---------------------------------------------------------------------------------


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    settings = Settings(LOG_FILE=str(tmp_path / "none" / "log"), _env_file=None)  # type: ignore[call-arg]
    with pytest.raises(SettingError, match=r"LOG_FILE: .*/none/log can't be written \(No such"):
        configure_logging(settings)


def test_words_of_settings_are_taken_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    monkeypatch.setenv("LOG_FORMAT", "JSON")
    settings = read_settings()
    assert (settings.LOG_LEVEL, settings.LOG_FORMAT) == ("warning", "json")


def test_a_refused_websocket_is_no_error_of_the_server() -> None:
    said = inspect.getsource(websockets_sansio_impl)
    assert f'logger.error("{REFUSED_WEBSOCKET}")' in said
    for message, is_told in ((REFUSED_WEBSOCKET, False), ("Exception in ASGI application", True)):
        assert is_news(record(message)) is is_told


@pytest.mark.mongod
@pytest.mark.slow
def test_the_servers_requests_are_objects_in_the_file(mongo_uri: str, tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    with LiveServer(
        spawn=True, MONGO_URI=mongo_uri, DB_NAME="test", LOG_FILE=path, LOG_FORMAT="json"
    ) as live:
        httpx.get(f"{live.address}/users/?limit=x&token=hush")
        errors = live.log
    found = [json.loads(line) for line in path.read_text().splitlines()]
    refused = next(one for one in found if one.get("status") == 422)
    assert re.fullmatch("[0-9a-f]{16}", refused.pop("request_id"))
    assert refused.pop("milliseconds") >= 0
    assert refused.pop("time").endswith("+00:00")
    assert "token" in refused.pop("reason")
    assert refused == {
        "level": "INFO",
        "logger": "docsheet.access",
        "method": "GET",
        "path": "/users/",
        "status": 422,
        "client": "127.0.0.1",
        "caller": "",
        "query": "limit=x&token=…",
    }
    assert errors == ""


@pytest.mark.mongod
@pytest.mark.slow
def test_a_level_above_info_has_no_requests(mongo_uri: str) -> None:
    with LiveServer(spawn=True, MONGO_URI=mongo_uri, DB_NAME="test", LOG_LEVEL="warning") as live:
        httpx.get(f"{live.address}/users/?limit=x")
        assert live.log == ""
