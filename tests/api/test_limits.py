"""RATE_LIMIT: so many requests of each caller in a time, for all servers together."""

import asyncio
import datetime
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from mongomock_motor import AsyncMongoMockClient
from pymongo import MongoClient
from starlette.types import Scope

from app.api import limits as module
from app.api.callers import Caller
from app.api.limits import COLLECTION, Limits
from app.application import create_app
from app.errors import SettingError, TooManyRequests
from app.settings import Settings, read_settings
from app.store.client import Database, connect
from app.store.counters import LocalStorage, MongoStorage
from app.store.mock import make_database
from tests.support.clock import Clock
from tests.support.server import LiveServer
from tests.support.waiting import LONGEST


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of all that counts in this process."""
    clock = Clock()
    for counting in ("app.api.limits", "app.store.counters", "limits.storage.memory"):
        monkeypatch.setattr(f"{counting}.time", clock)
    return clock


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests wait for a report however long it takes."""
    monkeypatch.setattr(module, "WAIT_SECONDS", LONGEST)


def settings(rate: str) -> Settings:
    return Settings(RATE_LIMIT=rate, _env_file=None)  # type: ignore[call-arg]


@asynccontextmanager
async def serving(rate: str) -> AsyncIterator[Any]:
    """A function that asks a server on a mock, from an address, and gives the answer."""
    app = create_app(settings(rate), AsyncMongoMockClient())

    async def ask(path: str = "/users/", address: str = "203.0.113.7") -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path)

    async with app.router.lifespan_context(app):
        yield ask


async def test_one_too_many_is_refused_with_the_time_to_wait(clock: Clock) -> None:
    async with serving("3/minute") as ask:
        assert [(await ask()).status_code for _ in range(3)] == [200] * 3
        clock.wait(5)
        refused = await ask()
        assert refused.status_code == 429
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["retry-after"] == "55"
        assert refused.json()["type"] == "/docs/problems/too-many-requests"
        assert refused.json()["detail"] == "One may ask 3 times a minute (RATE_LIMIT)."
        assert (await ask("/nowhere")).status_code == 429
        assert [(await ask(path)).status_code for path in ("/livez", "/readyz")] == [200, 200]


async def test_each_address_has_its_own_and_a_network_of_ipv6_has_one() -> None:
    async with serving("1/hour") as ask:
        found = {
            address: (await ask(address=address)).status_code
            for address in (
                "203.0.113.7",
                "203.0.113.8",
                "::ffff:203.0.113.8",
                "2001:db8:1:2::1",
                "2001:db8:1:2::2",
                "2001:db8:1:3::1",
            )
        }
    assert list(found.values()) == [200, 200, 429, 200, 429, 200]


async def test_the_next_time_begins_anew(clock: Clock) -> None:
    async with serving("2/second") as ask:
        assert [(await ask()).status_code for _ in range(3)] == [200, 200, 429]
        clock.wait(1.1)
        assert [(await ask()).status_code for _ in range(3)] == [200, 200, 429]


async def admitted(limits: Limits, scope: Scope, times: int) -> int:
    """How many of so many requests are let in, one after the other."""
    count = 0
    for _ in range(times):
        try:
            await limits.admit(scope)
            count += 1
        except TooManyRequests:
            pass
        await asyncio.sleep(0)
    return count


async def reported(limits: Limits) -> None:
    """Waits for the reports that are under way."""
    for window in limits._windows.values():
        if window.reporting is not None:
            await window.reporting


def request(name: str = "", key: Any = None) -> Scope:
    caller = Caller(name=name, id=key)
    return {"type": "http", "path": "/x", "client": ("203.0.113.7", 1), "caller": caller}


async def test_an_account_is_counted_wherever_it_calls_from() -> None:
    limits = Limits(settings("5/minute"))
    await limits.open(make_database(AsyncMongoMockClient(), settings("5/minute")))
    first, second = request("ada", 1), request("bob", 2)
    assert await admitted(limits, first, 9) == 5
    assert await admitted(limits, {**first, "client": ("203.0.113.9", 1)}, 9) == 0
    assert await admitted(limits, second, 9) == 5
    assert await admitted(limits, request(), 9) == 5


async def test_most_requests_ask_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fortieth of the limit is told at once."""
    limits = Limits(settings("1000/minute"))
    database = make_database(AsyncMongoMockClient(), settings("1000/minute"))
    await limits.open(database)
    calls = []
    run = database.run

    async def count(*args: Any, **words: Any) -> Any:
        calls.append(args)
        return await run(*args, **words)

    monkeypatch.setattr(database, "run", count)
    scope = request()
    for _ in range(100):
        assert await admitted(limits, scope, 5) == 5
        await reported(limits)
    assert len(calls) == 20


async def test_however_many_come_at_once_no_more_are_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two processes with a database that takes its time."""
    client = AsyncMongoMockClient()
    both = [Limits(settings("40/minute")) for _ in range(2)]
    for limits in both:
        database = make_database(client, settings("40/minute"))
        await limits.open(database)
        run = database.run

        async def slowly(*args: Any, run: Any = run, **words: Any) -> Any:
            await asyncio.sleep(0.005)
            return await run(*args, **words)

        monkeypatch.setattr(database, "run", slowly)
    both[1]._storage = both[0]._storage
    counts = await asyncio.gather(
        *(admitted(limits, request(), 3) for _ in range(40) for limits in both)
    )
    assert 40 <= sum(counts) <= 42


async def test_without_a_database_each_process_counts_for_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = Limits(settings("5/minute"))
    database = make_database(AsyncMongoMockClient(), settings("5/minute"))
    await limits.open(database)
    monkeypatch.setattr(database, "has_primary", lambda: False)
    assert await admitted(limits, request(), 9) == 5


async def test_openapi_says_that_it_may_be_too_often() -> None:
    async with serving("3/minute") as ask:
        paths = (await ask("/openapi.json")).json()["paths"]
    too_often = {
        path: "429" in operation["responses"]
        for path, item in paths.items()
        for operation in item.values()
    }
    assert {path for path, there in too_often.items() if not there} == {"/livez", "/readyz"}


@pytest.mark.mongod
def test_servers_count_together(mongo_uri: str) -> None:
    words = {"MONGO_URI": mongo_uri, "DB_NAME": "rates", "RATE_LIMIT": "40/hour"}
    try:
        with LiveServer(**words) as one, LiveServer(**words) as other, httpx.Client() as client:
            statuses = [
                client.get(f"{live.address}/users/?limit=1").status_code
                for _ in range(60)
                for live in (one, other)
            ]
        passed = statuses.count(200)
        assert set(statuses) == {200, 429}
        # A share of 2 more, and one for each report that takes longer than a request waits for it.
        assert 40 <= passed < 60
        with MongoClient[dict[str, Any]](mongo_uri) as found:
            counters = found["rates"][f"{COLLECTION}.counters"]
            (counted,) = counters.find()
            assert passed - 8 <= counted["count"] <= passed  # each has a share unreported
            indexes = counters.index_information()
        assert indexes["expireAt_1"]["expireAfterSeconds"] == 0
    finally:
        with MongoClient[dict[str, Any]](mongo_uri) as client_:
            client_.drop_database("rates")


@pytest.mark.mongod
async def test_a_count_lasts_no_longer_than_its_time(mongo_uri: str, database: Any) -> None:
    """What ends later was begun before the database's clock was set back."""
    chosen = Settings(DB_NAME=database.name, _env_file=None)  # type: ignore[call-arg]
    opened = Database(connect(chosen, mongo_uri), chosen, mongo_uri)
    storage = MongoStorage(opened, "rates")
    counters = database["rates.counters"]
    try:
        assert storage.add("x", 60, 5) == (5, 60.0)
        count, left = storage.add("x", 60, 5)
        assert count == 10
        assert 0 < left < 60
        for seconds in (3660, -1):
            moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
            counters.update_one({"_id": "x"}, {"$set": {"expireAt": moment}})
            assert storage.add("x", 60, 2) == (2, 60.0)
    finally:
        counters.drop()
        await opened.close()


async def test_a_clock_that_is_set_back_lets_a_window_end(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    limits = Limits(settings("2/second"))
    await limits.open(make_database(AsyncMongoMockClient(), settings("2/second")))
    assert await admitted(limits, request(), 3) == 2
    clock.turn(-3600)
    clock.wait(1.1)
    monkeypatch.setattr(limits, "_storage", LocalStorage())  # a mock's has the clock of before
    assert await admitted(limits, request(), 3) == 2


@pytest.mark.parametrize("value", ["600", "0/minute", "600/fortnight", "-1/minute", "1/minute;x"])
def test_what_is_no_rate_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("RATE_LIMIT", value)
    with pytest.raises(SettingError, match=r"RATE_LIMIT: .* is no rate; one looks like 600/minute"):
        read_settings()
