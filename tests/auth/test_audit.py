"""The audit: entries are stored beside the answer, and none is lost silently."""

import asyncio
import json
import logging
from typing import Any

import bson
import pytest

from app.api.callers import Caller
from app.auth import audit as module
from app.auth.audit import COLLECTION, FORGET, Audit
from app.errors import Unavailable
from app.store.client import Database
from tests.auth.databases import open_database, settings_of
from tests.support.waiting import LONGEST

SCOPE = {
    "type": "http",
    "caller": Caller("ann", bson.ObjectId(), frozenset(("read",)), means="token"),
    "client": ("192.0.2.7", 4711),
    "state": {"request_id": "abc"},
}


async def entries(database: Database) -> list[dict[str, Any]]:
    found = await database.run(lambda: list(database.collection(COLLECTION).find({})))
    return [{name: one[name] for name in one if name not in ("_id", "at")} for one in found]


@pytest.mark.parametrize("kind", ["mock", pytest.param("mongod", marks=pytest.mark.mongod)])
async def test_an_entry_says_who_did_what_and_from_where(
    kind: str, request: pytest.FixtureRequest
) -> None:
    uri = request.getfixturevalue("mongo_uri") if kind == "mongod" else ""
    async with open_database(uri) as database:
        audit = Audit()
        await audit.open(database)
        await audit.prepare()
        await audit.write(SCOPE, "role made", "teacher", {"fields": ["rules"]})
        await audit.write({"client": None}, "sign-in failed", account="bob")
        assert await entries(database) == [
            {
                "what": "role made",
                "account": "ann",
                "means": "token",
                "address": "192.0.2.7",
                "request": "abc",
                "target": "teacher",
                "details": {"fields": ["rules"]},
            },
            {
                "what": "sign-in failed",
                "account": "bob",
                "means": None,
                "address": None,
                "request": None,
                "target": None,
                "details": {},
            },
        ]


async def test_what_is_added_at_the_end_is_in_the_same_entry() -> None:
    async with open_database() as database:
        audit = Audit()
        await audit.open(database)
        note = audit.begin(SCOPE, "exported", "users", {"format": "csv"})
        note.add({"state": "complete", "rows": 3})
        await audit.close()
        (entry,) = await entries(database)
        assert entry["details"] == {"format": "csv", "state": "complete", "rows": 3}


@pytest.mark.mongod
async def test_entries_go_after_the_days_of_the_setting(mongo_uri: str) -> None:
    async with open_database(mongo_uri, settings_of(AUDIT_DAYS=2)) as database:
        audit = Audit()
        await audit.open(database)
        collection = database.collection(COLLECTION)
        await database.run(collection.create_index, [("at", 1)], name=FORGET, expireAfterSeconds=60)
        await audit.prepare()
        index = (await database.run(collection.index_information))[FORGET]
        assert index["expireAfterSeconds"] == 2 * 24 * 3600


class Broken(Audit):
    """An audit whose database fails some times, or for ever."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    async def _replace(self, document: dict[str, Any]) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("There is no primary.")
        await super()._replace(document)


async def test_an_entry_that_can_not_be_stored_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", (0.0, 0.0))
    async with open_database() as database:
        audit = Broken(2)
        await audit.open(database)
        await audit.write(SCOPE, "signed in")
        assert [one["what"] for one in await entries(database)] == ["signed in"]


async def test_an_entry_that_can_never_be_stored_is_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", (0.0, 0.0))
    async with open_database() as database:
        audit = Broken(99)
        await audit.open(database)
        with caplog.at_level(logging.ERROR, "docsheet.audit"):
            await audit.write(SCOPE, "role deleted", "teacher")
        assert await entries(database) == []
    reason, line = (record.getMessage() for record in caplog.records)
    assert "There is no primary." in reason
    told = json.loads(line)
    assert (told["what"], told["account"], told["target"]) == ("role deleted", "ann", "teacher")


async def test_an_answer_waits_a_moment_only_and_the_end_of_the_server_for_the_rest(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(module, "AGAIN_SECONDS", (3600.0,))
    async with open_database() as database:
        audit = Broken(99)
        await audit.open(database)
        async with asyncio.timeout(LONGEST):
            await audit.write(SCOPE, "key made", "for Excel")
            assert not caplog.records
            await audit.close()
        (record,) = caplog.records
        assert json.loads(record.getMessage())["target"] == "for Excel"
