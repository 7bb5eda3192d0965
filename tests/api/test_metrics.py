"""GET /metrics: what Prometheus' own parser reads of it."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from mongomock_motor import AsyncMongoMockClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_text

from app.api.callers import Caller
from app.application import Application, create_app
from app.concurrency import Slots
from app.settings import Settings
from tests.support.server import LiveServer
from tests.support.waiting import wait_for

LABELS = ("route", "method", "status", "format", "end", "what")
Numbers = dict[tuple[str, ...], float]


def make_app(**settings: Any) -> Application:
    return create_app(
        Settings(METRICS="on", _env_file=None, **settings),  # type: ignore[call-arg]
        AsyncMongoMockClient(),
    )


@asynccontextmanager
async def asking(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client


def read(text: str) -> Numbers:
    """Each number by its name and the values of its labels, but the buckets and when it began."""
    return {
        (sample.name, *(sample.labels[name] for name in LABELS if name in sample.labels)): (
            sample.value
        )
        for family in read_text(text)
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    }


async def numbers(client: httpx.AsyncClient) -> Numbers:
    answer = await client.get("/metrics")
    answer.raise_for_status()
    return read(answer.text)


async def test_requests_are_counted_by_pattern_method_and_status() -> None:
    app = make_app()
    router = APIRouter(prefix="/extra")

    @router.get("/{number}")
    def extra(number: int) -> int:
        return number

    app.include_router(router)
    async with asking(app) as client:
        created = await client.post("/users/", json={"name": "Ada", "email": "a@example.com"})
        for key in (created.json()["_id"], "a", "b"):
            await client.get(f"/users/{key}")
        await client.get("/extra/7")
        await client.get("/nowhere/at/all")
        await client.request("BREW", "/users/")
        await client.get("/livez", headers={"Host": "evil.example"})
        found = await numbers(client)
    name = "docsheet_request_seconds_count"
    assert {key[1:]: value for key, value in found.items() if key[0] == name} == {
        ("/users/", "POST", "201"): 1,
        ("/users/{key}", "GET", "200"): 1,
        ("/users/{key}", "GET", "422"): 2,
        ("/extra/{number}", "GET", "200"): 1,
        ("none", "GET", "404"): 1,
        ("/users/", "other", "405"): 1,
        ("none", "GET", "400"): 1,
    }
    seconds = found["docsheet_request_seconds_sum", "/users/", "POST", "201"]
    assert 0 < seconds < 30


async def test_exports_are_counted_by_format_and_end() -> None:
    async with asking(make_app()) as client:
        for number in range(3):
            user = {"name": "Ada", "email": f"{number}@example.com"}
            (await client.post("/users/", json=user)).raise_for_status()
        size = len((await client.get("/users/export/csv")).content)
        await client.get("/users/export/ndjson")
        assert (await client.get("/users/export/csv?limit=x")).status_code == 422
        found = await numbers(client)
    assert found["docsheet_export_seconds_count", "csv", "complete"] == 1
    assert found["docsheet_export_seconds_count", "ndjson", "complete"] == 1
    assert found["docsheet_export_documents_total", "csv"] == 3
    assert found["docsheet_export_rows_total", "csv"] == 3
    assert found["docsheet_export_bytes_total", "csv"] == size
    assert found["docsheet_export_documents_total", "ndjson"] == 3


CSV = "name,email\nAda,a@example.com\nBob,b@example.com\n"


async def test_imports_are_counted_by_format_and_end() -> None:
    async with asking(make_app()) as client:

        async def send(text: str, query: str = "") -> int:
            file = io.BytesIO(text.encode())
            files = {"file": ("users.csv", file, "text/csv")}
            return (await client.post(f"/users/import{query}", files=files)).status_code

        assert await send(CSV, "?dry_run=true") == 200
        assert await send(CSV) == 200
        assert await send(f"{CSV},\n") == 422
        assert await send("nmae\nx\n") == 422
        found = await numbers(client)
    name = "docsheet_import_seconds_count"
    assert {key[1:]: value for key, value in found.items() if key[0] == name} == {
        ("csv", "checked"): 1,
        ("csv", "written"): 1,
        ("csv", "refused"): 2,
    }
    assert found["docsheet_import_documents_total", "csv"] == 2
    sizes = 2 * len(CSV) + len(f"{CSV},\n") + len("nmae\nx\n")
    assert found["docsheet_import_bytes_total", "csv"] == sizes


async def test_what_is_under_way_and_what_waits() -> None:
    app = make_app()
    busy = {"under way": 3, "waiting": 2}
    app.observer.watch("things", lambda: busy["under way"], lambda: busy["waiting"])
    app.observer.watch_connections(lambda: 7)
    async with asking(app) as client:
        found = await numbers(client)
        assert found["docsheet_connections",] == 7
        assert found["docsheet_under_way", "things"] == 3
        assert found["docsheet_waiting", "things"] == 2
        for what in ("exports", "imports", "database calls"):
            assert found["docsheet_under_way", what] == found["docsheet_waiting", what] == 0
        busy["waiting"] = 0
        assert (await numbers(client))["docsheet_waiting", "things"] == 0


async def test_it_needs_its_scope() -> None:
    app = make_app()
    statuses = {}

    async def ask(scopes: tuple[str, ...]) -> httpx.Response:
        async def call(scope: Any, receive: Any, send: Any) -> None:
            scope["caller"] = Caller(name="ada", scopes=frozenset(scopes))
            await app._gate(scope, receive, send)

        transport = httpx.ASGITransport(call)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/metrics")

    async with app.router.lifespan_context(app):
        for scopes in ((), ("read",), ("metrics",), ("admin",)):
            answer = await ask(scopes)
            statuses[scopes] = answer.status_code
            assert answer.status_code == 200 or "the scope metrics" in answer.json()["detail"]
    assert list(statuses.values()) == [403, 403, 200, 200]


async def test_openmetrics_for_who_asks_for_it() -> None:
    async with asking(make_app()) as client:
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        answer = await client.get("/metrics", headers=accept)
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert "docsheet_request_seconds" in {family.name for family in read_open(answer.text)}
        assert (await client.get("/metrics?x=1")).status_code == 422


async def test_without_the_setting_there_is_nothing(mock_http: httpx.AsyncClient) -> None:
    assert (await mock_http.get("/metrics")).status_code == 404
    described: Any = (await mock_http.get("/openapi.json")).json()
    assert "/metrics" not in described["paths"]


@pytest.mark.mongod
def test_a_live_server_counts_its_connections(mongo_uri: str) -> None:
    words = {"MONGO_URI": mongo_uri, "DB_NAME": "test", "METRICS": "on"}
    with LiveServer(**words) as live, httpx.Client() as first, httpx.Client() as second:
        first.get(f"{live.address}/livez")

        def shows_them() -> bool:
            """An answer may be there before it is counted, and its connection be gone later."""
            found = read(second.get(f"{live.address}/metrics").text)
            of_probe = found["docsheet_request_seconds_count", "/livez", "GET", "200"]
            return (found["docsheet_connections",], of_probe) == (2, 2)

        wait_for(shows_them)


async def test_waiting_for_a_place_is_counted() -> None:
    slots = Slots(1)
    await slots.take(1)
    waiting = asyncio.create_task(slots.take(1))
    await asyncio.sleep(0)
    assert (slots.taken, slots.waiting) == (1, 1)
    with pytest.raises(TimeoutError):
        await slots.take(0.01)
    slots.release()
    await waiting
    assert (slots.taken, slots.waiting) == (1, 0)
    slots.release()
    await slots.close(1)
    assert (slots.taken, slots.waiting) == (0, 0)
