"""A server with accounts as it is started: two processes, a port, a log."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from app.resources.moments import now
from tests.support.accounts import PASSWORD, basic, hash_of
from tests.support.fuzzing import fuzz
from tests.support.server import LiveServer

pytestmark = pytest.mark.mongod
FORM = {"grant_type": "password", "username": "root", "password": PASSWORD}
ASKED = 20  # times, so that both processes answer


@pytest.fixture
def accounts(mongo_uri: str) -> Iterator[Any]:
    """The accounts of a database of its own: an administrator."""
    with MongoClient[dict[str, Any]](mongo_uri, tz_aware=True) as client:
        client.drop_database("test_live")
        found = client["test_live"]["docsheet.accounts"]
        root = {"name": "root", "role": "admin", "password": hash_of(PASSWORD), "created": now()}
        found.insert_one(root)
        yield found
        client.drop_database("test_live")


@pytest.fixture
def live(mongo_uri: str, accounts: Any) -> Iterator[LiveServer]:
    with LiveServer(MONGO_URI=mongo_uri, DB_NAME="test_live", AUTH="on", WORKERS=2) as started:
        yield started


def statuses(live: LiveServer, headers: dict[str, str]) -> set[int]:
    """What many connections are answered, so that no process is missed."""
    return {
        httpx.get(f"{live.address}/users/", headers=headers, timeout=60).status_code
        for _ in range(ASKED)
    }


def refused_soon(live: LiveServer, headers: dict[str, str]) -> bool:
    """Whether no process lets it in, after the five seconds in which a change counts."""
    time.sleep(5)
    return statuses(live, headers) <= {401, 429}


@pytest.mark.slow
def test_all_processes_know_a_token_and_that_it_has_ended(live: LiveServer, accounts: Any) -> None:
    tokens = httpx.post(f"{live.address}/auth/token", data=FORM, timeout=60).json()
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert statuses(live, {}) == {401}
    assert statuses(live, header) == {200}
    form = {"token": tokens["refresh_token"]}
    httpx.post(f"{live.address}/auth/revoke", data=form, headers=header).raise_for_status()
    assert refused_soon(live, header)
    assert statuses(live, basic("root")) == {200}
    viewer = {"name": "anna", "role": "viewer", "password": hash_of(PASSWORD), "created": now()}
    accounts.insert_one(viewer)
    assert statuses(live, basic("anna")) == {200}
    accounts.update_one({"name": "anna"}, {"$set": {"disabled": True}})
    assert refused_soon(live, basic("anna"))
    for secret in (PASSWORD, tokens["access_token"], tokens["refresh_token"]):
        assert secret not in live.log
    assert "GET /users/ 401" in live.log


@pytest.mark.slow
def test_a_fuzzer_that_has_signed_in_finds_nothing_undocumented(
    live: LiveServer, tmp_path: Path
) -> None:
    tokens = httpx.post(f"{live.address}/auth/token", data=FORM, timeout=60).json()
    fuzz(live, tmp_path, Authorization=f"Bearer {tokens['access_token']}")
