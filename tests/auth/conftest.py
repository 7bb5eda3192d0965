"""A server with accounts for each test: on a mock, and on a real mongod."""

from collections.abc import AsyncIterator

import pytest

from app.auth import cache, passwords, signing
from tests.support.accounts import HASHER, Served, serve


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is changed counts sooner than for people, where a test has to wait for it."""
    monkeypatch.setattr(cache, "SECONDS", 0.3)
    monkeypatch.setattr(signing, "OLD_SECONDS", 0.3)


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed with less work than for people."""
    monkeypatch.setattr(passwords, "_hasher", HASHER)


@pytest.fixture(params=["mock", pytest.param("mongod", marks=pytest.mark.mongod)])
async def served(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    """A server whose one account is the administrator `root`."""
    uri = request.getfixturevalue("mongo_uri") if request.param == "mongod" else ""
    async with serve(uri) as one:
        yield one


@pytest.fixture
async def real(mongo_uri: str) -> AsyncIterator[Served]:
    """The same on a real mongod alone."""
    async with serve(mongo_uri) as one:
        yield one
