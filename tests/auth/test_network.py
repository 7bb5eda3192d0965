"""What stands around the answers of a server with accounts: headers, limits, docs, metrics, log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.support.accounts import PASSWORD, Served, serve


@asynccontextmanager
async def asking(**settings: Any) -> AsyncIterator[tuple[Served, httpx.AsyncClient]]:
    async with serve(**settings) as served:
        served.add("ada", "admin")
        served.add("bob", "viewer")
        async with served.client() as client:
            yield served, client


ADA, BOB = ("ada", PASSWORD), ("bob", PASSWORD)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/users/", 200), ("/users/none", 422), ("/", 200), ("/auth/me", 200), ("/nowhere", 404),
     ("/users/export/csv", 200), ("/auth/accounts/", 200), ("/exports/none", 404)],
)  # fmt: skip
async def test_what_rights_decide_is_kept_by_nobody(path: str, status: int) -> None:
    async with asking() as (_, client):
        for auth, expected in ((ADA, status), (None, 401)):
            answer = await client.get(path, auth=auth)
            assert answer.status_code == expected
            assert answer.headers.get_list("cache-control") == ["no-store"]


async def test_a_file_of_the_docs_is_kept_and_asked_for_again() -> None:
    async with asking() as (_, client):
        answer = await client.get("/docs/assets/favicon.png")
        assert answer.headers["cache-control"] == "no-cache"
        kept = {"If-None-Match": answer.headers["etag"]}
        assert (await client.get("/docs/assets/favicon.png", headers=kept)).status_code == 304


@pytest.mark.parametrize(
    ("docs", "of_nobody", "of_bob"),
    [("on", 200, 200), ("signed-in", 401, 200), ("off", 401, 404)],
)
async def test_who_sees_the_docs(docs: str, of_nobody: int, of_bob: int) -> None:
    async with asking(DOCS=docs) as (_, client):
        for path in ("/docs", "/redoc", "/openapi.json"):
            assert (await client.get(path)).status_code == of_nobody, path
            assert (await client.get(path, auth=BOB)).status_code == of_bob, path


async def test_each_account_has_its_limit_and_each_address_without_one() -> None:
    async with asking(RATE_LIMIT="4/minute") as (served, client):

        async def ask(times: int, auth: Any = None, address: str = "127.0.0.1") -> list[int]:
            async with served.client(address) as other:
                return [(await other.get("/users/", auth=auth)).status_code for _ in range(times)]

        assert await ask(5, ADA) == [200] * 4 + [429]
        assert await ask(1, ADA, "203.0.113.7") == [429]
        assert await ask(5, BOB) == [200] * 4 + [429]
        assert await ask(5) == [401] * 4 + [429]
        assert await ask(5, address="203.0.113.7") == [401] * 4 + [429]
        assert await ask(1, ("ada", "wrong")) == [429]
        assert (await client.get("/livez")).status_code == 200


async def test_the_metrics_are_for_their_scope() -> None:
    async with asking(METRICS="on") as (served, client):
        key = served.key(served.add("prometheus", "admin"), "metrics")
        assert (await client.get("/metrics")).status_code == 401
        refused = await client.get("/metrics", auth=BOB)
        assert (refused.status_code, "scope metrics" in refused.json()["detail"]) == (403, True)
        answer = await client.get("/metrics", headers=key)
        assert answer.status_code == 200
        assert "ada" not in answer.text
        assert (await client.get("/metrics", auth=ADA)).status_code == 200
        assert (await client.get("/users/", headers=key)).status_code == 403


async def test_the_log_names_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    async with asking() as (_, client):
        with caplog.at_level("INFO", "docsheet.access"):
            await client.get("/users/", auth=BOB)
            await client.get("/users/", auth=("bob", "wrong"))
            await client.get("/livez")
    asked, refused, probed = (message for message in caplog.messages if " ms " in message)
    assert asked.endswith(" from 127.0.0.1 by bob")
    assert " from 127.0.0.1 The credentials" in refused
    assert probed.endswith(" from 127.0.0.1")
