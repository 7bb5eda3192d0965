"""Endpoints of a user's own: in FastAPI's way, with our rules around them."""

import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mongomock_motor import AsyncMongoMockClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from app.application import Application, create_app
from app.errors import DeclarationError
from app.settings import Settings
from tests.support.mongod import require_mongod
from tests.support.server import ROOT, LiveServer

DOCUMENTED = (ROOT / "docs" / "routes.md").read_text()
ROUTES = """
from typing import Annotated, AsyncIterator
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel

router = APIRouter(prefix="/extra", tags=["extra"])
closed = []


class User(BaseModel):
    nick: str
    tags: list[int] = []


async def opened() -> AsyncIterator[str]:
    yield "open"
    closed.append(True)


@router.get("/depends")
async def depends(
    word: Annotated[str, Depends(opened)], x_level: Annotated[int, Header()] = 1
) -> dict[str, object]:
    return {"word": word, "level": x_level, "closed": len(closed)}


@router.post("/users")
def users(user: User, limit: int = 1) -> User:
    return user


@router.get("/secret")
def secret(token: Annotated[object, Depends(HTTPBearer())]) -> str:
    return "told"


@router.get("/events")
async def events() -> StreamingResponse:
    async def each() -> AsyncIterator[str]:
        for number in range(3):
            yield f"data: {number}\\n\\n"
    return StreamingResponse(each(), media_type="text/event-stream")


@router.get("/gone")
def gone() -> None:
    raise HTTPException(410, "It was here once.", {"X-Since": "2026"})


@router.get("/teapot")
def teapot() -> None:
    raise HTTPException(418, {"brew": ["tea"]})


@router.get("/broken")
def broken() -> None:
    raise RuntimeError("a secret of the endpoint")


@router.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close()


beside = APIRouter()


@beside.get("/users/{key}/card")
def card(key: str) -> str:
    return f"card of {key}"


router_of_users = beside
"""
BESIDE = "from extra_routes.main import beside as router\n"


def package(folder: Path, name: str, **modules: str) -> str:
    """A package of these modules on the path."""
    (folder / name).mkdir()
    for module, text in {"__init__": "", **modules}.items():
        (folder / name / f"{module}.py").write_text(text)
    return name


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("extra_routes", "documented_routes"):
            del sys.modules[name]


def make(routes: str, **settings: Any) -> Application:
    chosen = Settings(DB_NAME="test", ROUTES=routes, _env_file=None, **settings)  # type: ignore[call-arg]
    return create_app(chosen, AsyncMongoMockClient())


@pytest.fixture
async def http(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = make(package(folder, "extra_routes", main=ROUTES, users=BESIDE, helper="X = 1\n"))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client


def check(answer: httpx.Response, status: int) -> Any:
    """The problem document that the answer is."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["instance"]) == (status, answer.request.url.path)
    assert answer.headers["x-request-id"]
    return body


async def test_dependencies_streams_and_validation_are_fastapi_s(http: httpx.AsyncClient) -> None:
    first = await http.get("/extra/depends", headers={"X-Level": "7"})
    assert first.json() == {"word": "open", "level": 7, "closed": 0}
    assert (await http.get("/extra/depends")).json()["closed"] == 1
    assert (await http.get("/extra/events")).text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
    sent = await http.post("/extra/users", json={"nick": "Ada", "tags": ["1"]})
    assert sent.json() == {"nick": "Ada", "tags": [1]}
    assert (await http.get("/users/5/card")).json() == "card of 5"
    assert "x-content-type-options" in first.headers


async def test_resources_keep_their_paths(http: httpx.AsyncClient) -> None:
    created = await http.post("/users/", json={"name": "Ada", "email": "ada@example.com"})
    assert (created.status_code, (await http.get("/users")).json()) == (201, [created.json()])
    for path in ("/", "/docs", "/openapi.json", "/livez", "/users/export/csv"):
        assert (await http.get(path)).status_code == 200


async def test_refusals_are_problems_with_faults(http: httpx.AsyncClient) -> None:
    body = check(await http.post("/extra/users", json={"tags": ["a"], "nick": 5}), 422)
    assert [fault["pointer"] for fault in body["errors"]] == ["#/nick", "#/tags/0"]
    assert check(await http.post("/extra/users?limit=x", json={"nick": "a"}), 422)["errors"] == [
        {
            "detail": (
                "limit: Input should be a valid integer, unable to parse string as an integer."
            ),
            "parameter": "limit",
        }
    ]
    level = await http.get("/extra/depends", headers={"X-Level": "high"})
    assert check(level, 422)["errors"][0]["header"] == "x-level"
    broken = await http.post(
        "/extra/users", content=b"{", headers={"Content-Type": "application/json"}
    )
    assert check(broken, 400)["detail"].startswith("The body is not JSON: ")


async def test_what_an_endpoint_raises_is_a_problem(http: httpx.AsyncClient) -> None:
    gone = await http.get("/extra/gone")
    assert check(gone, 410)["detail"] == "It was here once."
    assert gone.headers["x-since"] == "2026"
    assert check(await http.get("/extra/teapot"), 418)["detail"] == '{"brew":["tea"]}'
    assert check(await http.get("/extra/none"), 404)["title"] == "Not Found"
    assert check(await http.get("/extra/users"), 405)["detail"].startswith(
        "GET is not possible here"
    )
    assert check(await http.get("/extra/secret"), 401)["title"] == "Unauthorized"
    broken = await http.get("/extra/broken")
    check(broken, 500)
    assert "secret" not in broken.text
    assert broken.headers["connection"] == "close"


async def test_host_and_origin_are_checked_for_them(http: httpx.AsyncClient) -> None:
    assert check(await http.get("/extra/depends", headers={"Host": "evil.example"}), 400)
    foreign = {"Origin": "https://evil.example"}
    assert check(await http.post("/extra/users", json={"nick": "a"}, headers=foreign), 403)


async def test_openapi_has_both(http: httpx.AsyncClient) -> None:
    described = (await http.get("/openapi.json")).json()
    assert {"/users/", "/extra/users", "/extra/secret", "/users/{key}/card"} <= set(
        described["paths"]
    )
    schemas = described["components"]["schemas"]
    assert {"name", "email"} <= set(schemas["User"]["properties"])
    assert set(schemas["UserInRoutes"]["properties"]) == {"nick", "tags"}
    operation = described["paths"]["/extra/users"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/UserInRoutes"}
    assert list(operation["responses"]["422"]["content"]) == ["application/problem+json"]
    assert "HTTPBearer" in described["components"]["securitySchemes"]
    assert "HTTPValidationError" not in str(described)
    references = set(re.findall(r"#/components/(\w+)/([\w-]+)", str(described)))
    assert all(name in described["components"][kind] for kind, name in references)


@pytest.mark.parametrize(
    "path", ["/users", "/users/", "/users/{key}", "/users/export/{word}", "/users/export/csv", "/",
    "/docs",
             "/docs/mine", "/openapi.json", "/exports/{id}", "/exports/a/b", "/livez",
             "/auth/login", "/jobs"],
)  # fmt: skip
def test_a_path_of_ours_stops_the_start(folder: Path, path: str) -> None:
    text = (
        "from fastapi import APIRouter\nrouter = APIRouter()\n"
        f"@router.get({path!r})\ndef mine() -> None: ...\n"
    )
    name = package(folder, "extra_routes", main=text)
    with pytest.raises(DeclarationError) as caught:
        make(name)
    assert str(caught.value) == (
        f"extra_routes.main.mine: the path {path!r} is taken; choose another one."
    )


@pytest.mark.parametrize(
    "path", ["/{page}", "/{page:path}", "/users/{key}/card", "/reports", "/doc"]
)
def test_other_paths_are_free(folder: Path, path: str) -> None:
    text = (
        "from fastapi import APIRouter\nrouter = APIRouter()\n"
        f"@router.get({path!r})\ndef mine() -> None: ...\n"
    )
    make(package(folder, "extra_routes", main=text))


def test_a_router_that_is_none_is_named(folder: Path) -> None:
    name = package(folder, "extra_routes", main="router = 5\n")
    with pytest.raises(
        DeclarationError, match=r"extra_routes\.main\.router: must be a fastapi\.APIRouter"
    ):
        make(name)
    with pytest.raises(DeclarationError, match="ROUTES: there is no package 'nowhere_routes'"):
        make("nowhere_routes")


def test_a_mistake_in_a_module_with_a_router_is_one_line(folder: Path) -> None:
    name = package(folder, "extra_routes", main="import json\n\nrouter = APIRoutr()\n")
    words = r"extra_routes/main\.py, line 3: NameError: name 'APIRoutr' is not defined\."
    with pytest.raises(DeclarationError, match=words):
        make(name)
    with pytest.raises(DeclarationError, match=r"ROUTES: there is no package '\./routes'"):
        make("./routes")


async def test_a_path_that_is_added_later_stops_the_start_too() -> None:
    app = make("")

    @app.get("/users/{key}")
    def mine() -> None: ...

    with pytest.raises(DeclarationError, match="taken"):
        async with app.router.lifespan_context(app):
            pass


async def test_an_endpoint_added_to_the_application_works() -> None:
    app = make("")

    @app.get("/mine")
    def mine(number: int) -> int:
        return number

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        assert (await client.get("/mine?number=5")).json() == 5
        assert "/mine" in (await client.get("/openapi.json")).json()["paths"]


async def test_the_documented_example_works(folder: Path) -> None:
    found = re.search(r"```python\n# routes/(\w+)\.py\n(.*?)```", DOCUMENTED, re.DOTALL)
    assert found is not None
    assert len(found[2].splitlines()) <= 10
    app = make(package(folder, "documented_routes", **{found[1]: found[2]}))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        for age in (20, 30, 40):
            user = {"name": "Ada", "email": f"{age}@example.com", "age": age}
            (await client.post("/users/", json=user)).raise_for_status()
        assert (await client.get("/ages/30")).json() == 1
        assert (await client.get("/ages/30?at_least=true")).json() == 2
        assert (await client.get("/ages/old")).json()["errors"][0]["parameter"] == "age"
        assert "/ages/{age}" in (await client.get("/openapi.json")).json()["paths"]


def test_a_websocket_passes_the_gate(folder: Path, mongo_uri: str) -> None:
    require_mongod()
    package(folder, "extra_routes", main=ROUTES)
    (folder / "models").symlink_to(ROOT / "models")
    with LiveServer(folder, MONGO_URI=mongo_uri, DB_NAME="test", ROUTES="extra_routes") as live:
        address = live.address.replace("http", "ws") + "/extra/echo"
        origin: Any = live.address
        with connect(address, origin=origin) as socket:
            socket.send("hello")
            assert socket.recv() == "hello"
        assert socket.response is not None
        assert socket.response.headers["X-Request-ID"]
        with connect(address) as socket:
            socket.send("no page")
            assert socket.recv() == "no page"
        for words in (
            {"origin": "https://evil.example"},
            {"additional_headers": {"Sec-Fetch-Site": "cross-site"}},
        ):
            with pytest.raises(InvalidStatus) as caught:
                connect(address, **words)  # type: ignore[arg-type]
            refused = caught.value.response
            assert refused.status_code == 403
            assert refused.headers["Content-Type"] == "application/problem+json"
        assert live.logged("WEBSOCKET /extra/echo 101")
        assert live.logged("WEBSOCKET /extra/echo 403")
        answer = httpx.post(f"{live.address}/extra/users?token=hush&limit=x", json={"nick": "a"})
        assert answer.status_code == 422
        line = live.logged("POST /extra/users 422")
        assert "?token=…&limit=x limit: Input should be a valid integer" in line
        assert "hush" not in live.log
