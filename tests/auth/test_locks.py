"""The lock on changes of accounts and roles: one holds it at a time, and a dead one's expires."""

import asyncio
import datetime

import pytest

from app.auth.locks import ACCOUNTS, COLLECTION, ChangeLock, hold_lock
from app.errors import Unavailable
from app.resources.moments import now
from tests.auth.databases import open_database, settings_of


@pytest.mark.mongod
async def test_one_holds_the_lock_at_a_time_also_of_two_servers(mongo_uri: str) -> None:
    settings = settings_of()
    inside, most = 0, 0
    async with open_database(mongo_uri, settings) as one, open_database(mongo_uri, settings) as two:

        async def work(lock: ChangeLock) -> None:
            nonlocal inside, most
            async with lock.hold():
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.01)
                inside -= 1

        locks = [ChangeLock(one), ChangeLock(two)]
        await asyncio.gather(*(work(locks[number % 2]) for number in range(12)))
        assert most == 1
        assert await one.run(one.collection(COLLECTION).find_one, {}) is None


@pytest.mark.parametrize("kind", ["mock", pytest.param("mongod", marks=pytest.mark.mongod)])
async def test_a_lock_that_is_held_is_waited_for_then_refused(
    kind: str, request: pytest.FixtureRequest
) -> None:
    uri = request.getfixturevalue("mongo_uri") if kind == "mongod" else ""
    async with open_database(uri) as database:
        async with ChangeLock(database).hold():
            impatient = ChangeLock(database)
            impatient._wait = 0.3
            with pytest.raises(Unavailable, match="Others are changing accounts"):
                async with impatient.hold():
                    pass
        async with ChangeLock(database).hold():
            pass


async def test_the_lock_of_a_killed_server_expires() -> None:
    async with open_database() as database:
        collection = database.collection(COLLECTION)
        past = now() - datetime.timedelta(seconds=1)
        collection.insert_one({"_id": ACCOUNTS, "token": "of a killed one", "until": past})
        async with ChangeLock(database).hold():
            assert collection.find_one({})["token"] != "of a killed one"  # type: ignore[index]
        assert collection.find_one({}) is None


async def test_the_lock_is_released_where_the_work_fails() -> None:
    async with open_database() as database:
        with pytest.raises(ZeroDivisionError):
            async with ChangeLock(database).hold():
                raise ZeroDivisionError
        with hold_lock(database):  # the same for a command
            assert database.collection(COLLECTION).find_one({}) is not None
        assert database.collection(COLLECTION).find_one({}) is None
