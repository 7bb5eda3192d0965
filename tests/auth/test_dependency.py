"""The caller in a user's own routes, and what OpenAPI says of signing in."""

import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mongomock_motor import AsyncMongoMockClient
from openapi_spec_validator import validate

from app.application import create_app
from app.settings import Settings
from tests.support.accounts import ADDRESS, Served, basic, serve
from tests.support.server import ROOT

DOCUMENTED = (ROOT / "docs" / "routes.md").read_text()
OTHER = """
from typing import Annotated

from fastapi import APIRouter, Depends, Security, WebSocket

from app.auth import Caller, caller

router = APIRouter()


@router.get("/who")
async def tell(who: Annotated[Caller, Depends(caller)]) -> str:
    return f"{who.name} by {who.means}"


@router.get("/plain")
async def plain() -> str:
    return "plain"


@router.websocket("/socket")
async def answer(
    socket: WebSocket, who: Annotated[Caller, Security(caller, scopes=["users:read"])]
) -> None:
    await socket.accept()
    await socket.send_text(who.name)
    await socket.close()


@router.get("/{first}/{rest:path}")
async def catch(first: str, rest: str) -> str:
    return "caught"


@router.websocket("/{first}/{rest:path}")
async def catch_socket(socket: WebSocket, first: str, rest: str) -> None:
    await socket.accept()
    await socket.send_text("caught")
    await socket.close()
"""


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (code,) = re.findall(r"```python\n(# routes/visits\.py\n.*?)```", DOCUMENTED, re.DOTALL)
    folder = tmp_path / "routes_of_callers"
    folder.mkdir()
    for name, text in {"__init__": "", "visits": code, "other": OTHER}.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder.name
    for name in [name for name in sys.modules if name.startswith(folder.name)]:
        del sys.modules[name]


@pytest.fixture
async def with_routes(routes: str) -> AsyncIterator[Served]:
    async with serve(ROUTES=routes, ROOT_PATH="/api") as served:
        served.add("anna", "viewer")
        yield served


async def test_the_documented_route_is_for_administrators_only(with_routes: Served) -> None:
    async with with_routes.client() as client:
        assert (await client.get("/visits")).status_code == 401
        refused = await client.get("/visits", headers=basic("anna"))
        assert refused.status_code == 403
        assert "'admin'" in refused.json()["detail"]
        answer = await client.get("/visits", headers=basic("root"))
        assert answer.json() == {"asked by root": 0}
        less = await with_routes.bearer("root", scope="read")
        assert (await client.get("/visits", headers=less)).status_code == 403


async def test_every_route_of_a_user_needs_a_caller(with_routes: Served) -> None:
    async with with_routes.client() as client:
        assert (await client.get("/plain")).status_code == 401
        assert (await client.get("/plain", headers=basic("anna"))).text == '"plain"'
        assert (await client.get("/who", headers=basic("anna"))).text == '"anna by password"'


@pytest.mark.parametrize(
    "path",
    [
        "/docs/mine",
        "/docs/problems/a/b",
        "/shared/a",
        "/shared/a/b/c",
        "/auth/token/",
        "/any/where",
    ],
)
async def test_a_route_that_takes_every_path_needs_a_caller(with_routes: Served, path: str) -> None:
    """Also where the path begins as one that is open."""
    async with with_routes.client() as client:
        assert (await client.get(path)).status_code in (401, 404)
        assert (await client.get("/any/where", headers=basic("anna"))).text == '"caught"'
    assert await open_socket(with_routes, {}, path) == "close"


@pytest.mark.parametrize("path", ["/auth/token", "/ui/sign-in", "/shared/a/b", "/docs/assets/a"])
async def test_a_websocket_is_open_nowhere(with_routes: Served, path: str) -> None:
    assert await open_socket(with_routes, {}, path) == "close"
    assert await open_socket(with_routes, basic("anna"), "/any/where") == "caught"


async def test_a_websocket_needs_a_caller_with_the_scope(with_routes: Served) -> None:
    assert await open_socket(with_routes, {}) == "close"
    assert await open_socket(with_routes, basic("anna")) == "anna"
    less = await with_routes.bearer("anna", scope="export")
    assert await open_socket(with_routes, less) == "close"


async def open_socket(served: Served, headers: dict[str, str], path: str = "/socket") -> str:
    """What a WebSocket gets: a text, or that it is closed."""
    sent: list[Any] = []
    given = [(b"host", b"localhost")]
    given += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": given,
        "scheme": "ws",
        "client": ("127.0.0.1", 1),
        "subprotocols": [],
    }

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await served.app(scope, receive, send)
    texts = [message["text"] for message in sent if message["type"] == "websocket.send"]
    return texts[0] if texts else sent[-1]["type"].partition(".")[2]


async def test_without_accounts_everyone_is_the_caller(routes: str) -> None:
    settings = Settings(ROUTES=routes, _env_file=None)  # type: ignore[call-arg]
    app = create_app(settings, AsyncMongoMockClient())
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client,
    ):
        assert (await client.get("/who")).text == '" by off"'
        assert (await client.get("/visits")).status_code == 200


@pytest.mark.slow
async def test_openapi_says_how_to_sign_in_and_which_scope_is_needed(with_routes: Served) -> None:
    async with with_routes.client() as client:
        described = (await client.get("/openapi.json")).json()
    validate(described)
    schemes = described["components"]["securitySchemes"]
    assert set(schemes) == {"password", "basic", "bearer"}
    flow = schemes["password"]["flows"]["password"]
    assert flow["tokenUrl"] == "/api/auth/token"
    assert {"read", "admin", "users:read"} <= set(flow["scopes"])
    paths = described["paths"]
    assert required(paths["/users/"]["get"]) == ["users:read"]
    assert required(paths["/users/"]["patch"]) == ["users:update"]
    assert required(paths["/users/export/csv"]["get"]) == ["users:export"]
    assert required(paths["/users/import"]["post"]) == ["users:import"]
    assert required(paths["/auth/accounts/"]["get"]) == ["admin"]
    assert required(paths["/visits"]["get"]) == ["admin"]
    assert required(described) == []
    for path in ("/livez", "/auth/token"):
        (operation,) = paths[path].values()
        assert operation["security"] == []
    assert {"401", "403", "429"} <= set(paths["/users/"]["get"]["responses"])


async def test_every_scope_that_openapi_names_may_be_asked_for() -> None:
    async with serve(METRICS="on") as served, served.client() as client:
        described = (await client.get("/openapi.json")).json()
        schemes = described["components"]["securitySchemes"]
        scopes = sorted(schemes["password"]["flows"]["password"]["scopes"])
        tokens = await served.sign_in("root", scope=" ".join(scopes))
        assert tokens["scope"].split() == scopes
    paths = described["paths"]
    assert required(paths["/auth/audit/"]["get"]) == ["admin"]
    assert required(paths["/auth/audit/export/csv"]["get"]) == ["admin"]
    assert required(paths["/metrics"]["get"]) == ["metrics"]
    names = [one["operationId"] for path in paths.values() for one in path.values()]
    assert "list_auth_audit" in names
    assert not [name for name in names if not name.isidentifier()]


def required(described: Any) -> list[str]:
    with_token, *others = described["security"]
    assert [list(one) for one in others] == [["basic"], ["bearer"]]
    scopes: list[str] = with_token["password"]
    return scopes


async def test_without_accounts_openapi_has_no_security(mock_http: httpx.AsyncClient) -> None:
    described = (await mock_http.get("/openapi.json")).json()
    assert "securitySchemes" not in described["components"]
    assert described["security"] == []
    assert "security" not in described["paths"]["/users/"]["get"]
    assert not [path for path in described["paths"] if path.startswith("/auth")]
