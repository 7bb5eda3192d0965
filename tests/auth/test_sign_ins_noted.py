"""What the audit says of sign-ins, and that no secret is in it, in the database or in the log."""

import datetime
import logging
from typing import Any

import pytest

from app.auth.keys import Keys
from app.auth.sessions import COOKIE
from tests.support.accounts import ADDRESS, Served, basic

MARKED = "marked-secret-horse"
ORIGIN = {"Origin": ADDRESS}


def entries(served: Served) -> list[tuple[Any, ...]]:
    found = served.database["docsheet.audit"].find(sort=[("at", 1), ("_id", 1)])
    return [(one["what"], one["account"], one["details"]) for one in found]


async def test_a_failure_has_the_name_only_of_an_account(served: Served) -> None:
    served.add("anna")
    served.add("gone", disabled=True)
    async with served.client("10.0.0.9") as client:
        for name in ("anna", MARKED, "gone", "r.*"):
            form = {"grant_type": "password", "username": name, "password": "wrong horse"}
            assert (await client.post("/auth/token", data=form)).status_code == 400
        await client.get("/users/", headers=basic("ANNA", "wrong horse"))
    failed = "sign-in failed"
    names = ["anna", None, "gone", None, "anna"]
    assert entries(served) == [(failed, name, {}) for name in names]
    (entry, *_) = served.database["docsheet.audit"].find()
    assert entry["address"] == "10.0.0.9"
    assert entry["request"]


async def test_sign_ins_by_every_means_are_noted(served: Served) -> None:
    served.add("anna")
    tokens = await served.sign_in("anna")
    async with served.client() as client:
        for _ in range(3):
            await client.get("/users/", headers=basic("anna"))
        form = {"username": "anna", "password": "correct horse"}
        await client.post("/ui/sign-in", data=form, headers=ORIGIN)
        change = {"old": "correct horse", "new": "another horse"}
        answer = await client.put("/auth/me/password", json=change, headers=ORIGIN)
        assert answer.status_code == 204
        await client.post("/ui/sign-out", headers=ORIGIN)
        client.cookies.clear()
        header = basic("anna", "another horse")
        form = {"token": tokens["refresh_token"]}
        await client.post("/auth/revoke", data=form, headers=header)  # it has ended already
    assert entries(served) == [
        ("signed in", "anna", {"with": "token"}),
        ("signed in", "anna", {"with": "password"}),
        ("signed in", "anna", {"with": "session"}),
        ("password changed", "anna", {}),
        ("signed out", "anna", {}),
        ("signed in", "anna", {"with": "password"}),
    ]


async def test_a_refused_key_is_noted_once_for_each_network(served: Served) -> None:
    anna = served.add("anna")
    gone = served.key(anna, expires=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    (ended,) = served.database["docsheet.keys"].find()
    served.key(anna)
    live = served.database["docsheet.keys"].find_one({"_id": {"$ne": ended["_id"]}})
    wrong = basic(live["_id"], MARKED)
    for address in ("10.0.0.9", "10.0.0.9", "2001:db8::1", "2001:db8::2"):
        async with served.client(address) as client:
            for headers in (wrong, {"Authorization": f"Bearer {live['_id']}.{MARKED}"}):
                assert (await client.get("/users/", headers=headers)).status_code == 401
    async with served.client(**gone) as client:
        assert (await client.get("/users/")).status_code == 401
        for number in range(3):
            await client.get("/users/", headers=basic(f"key_{MARKED}{number}", "x"))
    found = served.database["docsheet.audit"].find(sort=[("at", 1), ("_id", 1)])
    shown = [(one["what"], one["account"], one["target"], one["details"]) for one in found]
    details = {"with": "key"}
    assert shown == [
        ("sign-in failed", "anna", live["_id"], details),
        ("sign-in failed", "anna", live["_id"], details),
        ("sign-in failed", "anna", ended["_id"], details),
        ("sign-in failed", None, None, details),
    ]


async def test_many_wrong_keys_cost_no_more_reads(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.key(served.add("anna"))
    (live,) = served.database["docsheet.keys"].find()
    asked = []
    find_owner = Keys.find_owner

    async def count(self: Keys, identifier: str) -> str | None:
        asked.append(identifier)
        return await find_owner(self, identifier)

    monkeypatch.setattr(Keys, "find_owner", count)
    async with served.client() as client:
        for number in range(3):
            for identifier in (f"key_{number}", live["_id"]):
                answer = await client.get("/users/", headers=basic(identifier, "x"))
                assert answer.status_code == 401
    assert asked == ["key_0", live["_id"]]


async def test_no_secret_is_logged_or_stored(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "docsheet")
    tokens = await served.sign_in("root")
    secrets = [MARKED, tokens["access_token"], tokens["refresh_token"]]
    async with served.client() as client:
        form = {"username": "root", "password": "correct horse"}
        await client.post("/ui/sign-in", data=form, headers=ORIGIN)
        secrets.append(client.cookies[COOKIE])
        await client.get("/users/?nonsense=1")
        client.cookies.clear()
        for header in (
            {"Authorization": f"Bearer {tokens['access_token']}"},
            {"Authorization": f"Bearer {tokens['access_token']}x"},
            {"Authorization": f"Bearer {MARKED}"},
            {"Authorization": f"Bearer key_1.{MARKED}"},
            {"Cookie": f"{COOKIE}={MARKED}"},
            basic("root", MARKED),
            basic(MARKED, MARKED),
            basic("key_1", MARKED),
        ):
            await client.get("/users/?nonsense=1", headers=header)
        for form in (
            {"grant_type": MARKED},
            {"grant_type": "password", "username": "root", "password": MARKED},
            {"grant_type": "password", "username": MARKED, "password": MARKED},
            {"grant_type": "refresh_token", "refresh_token": MARKED},
            {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]},
            {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]},
        ):
            await client.post("/auth/token", data=form)
        change = {"old": MARKED, "new": MARKED}
        header = basic("root", "correct horse")
        await client.put("/auth/me/password", json=change, headers=header)
        await client.post("/auth/revoke", data={"token": MARKED}, headers=header)
    log = "\n".join(record.getMessage() for record in caplog.records)
    assert "/auth/token" in log
    names = served.database.list_collection_names()
    stored = str([list(served.database[name].find()) for name in names])
    for secret in secrets:
        assert secret not in log
        assert secret not in stored
