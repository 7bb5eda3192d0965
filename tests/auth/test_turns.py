"""The turn to change accounts and roles: one has it at a time, and a dead one's is over."""

import asyncio
import datetime

import pytest

from app.auth.documents import now
from app.auth.turns import ACCOUNTS, COLLECTION, Turns, take_turn
from app.errors import Unavailable
from tests.auth.databases import open_database, settings_of


@pytest.mark.mongod
async def test_one_has_the_turn_at_a_time_also_of_two_servers(mongo_uri: str) -> None:
    settings = settings_of()
    inside, most = 0, 0
    async with open_database(mongo_uri, settings) as one, open_database(mongo_uri, settings) as two:

        async def work(turns: Turns) -> None:
            nonlocal inside, most
            async with turns.take():
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.01)
                inside -= 1

        turns = [Turns(one), Turns(two)]
        await asyncio.gather(*(work(turns[number % 2]) for number in range(12)))
        assert most == 1
        assert await one.run(one.collection(COLLECTION).find_one, {}) is None


@pytest.mark.parametrize("kind", ["mock", pytest.param("mongod", marks=pytest.mark.mongod)])
async def test_a_turn_that_is_taken_is_waited_for_then_refused(
    kind: str, request: pytest.FixtureRequest
) -> None:
    uri = request.getfixturevalue("mongo_uri") if kind == "mongod" else ""
    async with open_database(uri, settings_of(PRIMARY_WAIT_SECONDS=0.3)) as database:
        async with Turns(database).take():
            with pytest.raises(Unavailable, match="Others are changing accounts"):
                async with Turns(database).take():
                    pass
        async with Turns(database).take():
            pass


async def test_the_turn_of_a_killed_server_is_over_after_a_while() -> None:
    async with open_database() as database:
        collection = database.collection(COLLECTION)
        past = now() - datetime.timedelta(seconds=1)
        collection.insert_one({"_id": ACCOUNTS, "token": "of a killed one", "until": past})
        async with Turns(database).take():
            assert collection.find_one({})["token"] != "of a killed one"  # type: ignore[index]
        assert collection.find_one({}) is None


async def test_a_turn_is_given_back_where_the_work_fails() -> None:
    async with open_database() as database:
        with pytest.raises(ZeroDivisionError):
            async with Turns(database).take():
                raise ZeroDivisionError
        with take_turn(database):  # the same for a command
            assert database.collection(COLLECTION).find_one({}) is not None
        assert database.collection(COLLECTION).find_one({}) is None
