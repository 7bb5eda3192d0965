"""Values that are read again after some seconds, by one reader at a time."""

import asyncio

import pytest

from app.auth import cache
from app.auth.cache import Cache
from tests.support.clock import Clock


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which values are read again."""
    clock = Clock()
    monkeypatch.setattr(cache, "time", clock)
    return clock


class Source:
    """What is read: a number for each reading."""

    def __init__(self) -> None:
        self.readings: list[str] = []
        self.error: Exception | None = None
        self.begun = asyncio.Event()

    async def read(self, key: str) -> int:
        self.readings.append(key)
        self.begun.set()
        number = len(self.readings)
        await asyncio.sleep(0.01)
        if self.error is not None:
            raise self.error
        return number


async def test_who_asks_at_the_same_time_shares_a_reading() -> None:
    source = Source()
    values: Cache[str, int] = Cache(source.read)
    assert await asyncio.gather(*[values.get("a") for _ in range(10)]) == [1] * 10
    assert await values.get("a") == 1
    assert await values.get("b") == 2


async def test_a_value_is_read_again_after_its_seconds(clock: Clock) -> None:
    values: Cache[str, int] = Cache(Source().read, seconds=3)
    assert await values.get("a") == 1
    clock.wait(2.9)
    assert await values.get("a") == 1
    clock.wait(0.2)
    assert await values.get("a") == 2


async def test_the_seconds_count_from_before_the_reading(clock: Clock) -> None:
    source = Source()
    values: Cache[str, int] = Cache(source.read, seconds=3)
    reading = asyncio.create_task(values.get("a"))
    await source.begun.wait()
    clock.wait(2)
    await reading
    clock.wait(1.1)
    assert await values.get("a") == 2


async def test_what_is_forgotten_during_a_reading_is_read_again() -> None:
    source = Source()
    values: Cache[str, int] = Cache(source.read)
    before = asyncio.create_task(values.get("a"))
    await source.begun.wait()
    values.forget("a")
    assert await values.get("a") == 2
    assert await before == 1
    assert await values.get("a") == 2


async def test_an_error_is_for_all_who_wait_and_is_not_kept() -> None:
    source = Source()
    source.error = ValueError("away")
    values: Cache[str, int] = Cache(source.read)
    found = await asyncio.gather(*[values.get("a") for _ in range(3)], return_exceptions=True)
    assert [str(one) for one in found] == ["away"] * 3
    source.error = None
    assert await values.get("a") == 2


async def test_one_who_leaves_ends_the_reading_of_nobody() -> None:
    values: Cache[str, int] = Cache(Source().read)
    first, second = (asyncio.create_task(values.get("a")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 1


async def test_it_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_VALUES", 3)
    values: Cache[str, int] = Cache(Source().read)
    for key in "abcd":
        await values.get(key)
    assert len(values) <= 3
