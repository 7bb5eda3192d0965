"""The headers of every answer, whoever makes it; and what a page may load."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, PlainTextResponse
from mongomock_motor import AsyncMongoMockClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from app.api.media_types import PROBLEM
from app.application import create_app
from app.settings import Settings
from tests.support.server import LiveServer

ROUTES = """
from fastapi import APIRouter, WebSocket
router = APIRouter(prefix="/extra")

@router.get("/text")
def text() -> str:
    return "x"

@router.get("/fails")
def fails() -> None:
    raise ValueError("x")

@router.websocket("/closed")
async def closed(socket: WebSocket) -> None:
    await socket.close()
"""

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # of a WebSocket's handshake (RFC 6455, section 1.2)


def check(headers: Any) -> None:
    """The headers of every answer are there, once."""
    for name, value in (
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("x-request-id", "[0-9a-f]{16}"),
        ("server-timing", r"app;dur=[0-9]+\.[0-9]"),
    ):
        found = headers.get_list(name) if isinstance(headers, httpx.Headers) else [headers[name]]
        assert len(found) == 1, name
        assert re.fullmatch(value, found[0]), name
    assert "strict-transport-security" not in headers


@pytest.fixture(scope="module")
def extended(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("extended")
    (folder / "extra.py").write_text(ROUTES)
    with LiveServer(
        folder, MONGO_URI=mongo_uri, DB_NAME="test", ROUTES="extra", DATA_DIR="data"
    ) as live:
        yield live


@pytest.mark.mongod
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/livez", 200),
        ("GET", "/users/", 200),
        ("HEAD", "/users/", 200),
        ("GET", "/users/export/csv", 200),
        ("HEAD", "/users/export/csv", 200),
        ("GET", "/users/import/xlsx", 200),
        ("GET", "/users/nobody", 422),
        ("GET", "/users/?limit=x", 422),
        ("POST", "/users/", 415),
        ("GET", "/nowhere", 404),
        ("PUT", "/users/", 405),
        ("GET", "/docs/assets/favicon.png", 200),
        ("GET", "/docs/assets/none", 404),
        ("GET", "/extra/text", 200),
        ("GET", "/extra/none", 404),
        ("POST", "/extra/text", 405),
        ("GET", "/extra/fails", 500),
    ],
)
def test_they_stand_on_every_answer(
    extended: LiveServer, method: str, path: str, status: int
) -> None:
    answer = httpx.request(method, extended.address + path)
    assert answer.status_code == status
    check(answer.headers)
    assert "content-security-policy" not in answer.headers or path == "/"


@pytest.mark.mongod
@pytest.mark.parametrize(
    ("path", "words", "status"),
    [
        ("/extra/closed", {}, 403),
        ("/nowhere", {}, 404),
        ("/extra/closed", {"origin": "https://evil.example"}, 403),
        ("/extra/closed", {"additional_headers": {"Sec-Fetch-Site": "cross-site"}}, 403),
    ],
)
def test_they_stand_on_a_refused_websocket(
    extended: LiveServer, path: str, words: dict[str, Any], status: int
) -> None:
    with pytest.raises(InvalidStatus) as caught:
        connect(extended.address.replace("http", "ws") + path, **words)
    refused = caught.value.response
    check(refused.headers)
    assert refused.headers["Content-Type"] == PROBLEM
    assert refused.status_code == status == json.loads(refused.body)["status"]


@pytest.mark.mongod
@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {"Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13"}),
        ("GET", {"Sec-WebSocket-Version": "13"}),
        ("GET", {"Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "7"}),
    ],
)
def test_they_stand_on_the_answer_to_what_is_no_handshake(
    extended: LiveServer, method: str, headers: dict[str, str]
) -> None:
    asked = {"Connection": "Upgrade", "Upgrade": "websocket", **headers}
    answer = httpx.request(method, extended.address + "/nowhere", headers=asked)
    check(answer.headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, PROBLEM)


@pytest.mark.mongod
def test_they_stand_on_the_answer_to_what_is_no_http(extended: LiveServer) -> None:

    with socket.create_connection(("127.0.0.1", extended.port)) as connection:
        connection.sendall(b"GET / HTTP/9\r\n\r\n")
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    assert status == "HTTP/1.1 400 Bad Request"
    pairs = [tuple(line.split(": ", 1)) for line in lines]
    check(httpx.Headers(pairs))  # type: ignore[arg-type]
    assert dict(pairs)["content-length"] == str(len(body))


def make_app(**settings: Any) -> FastAPI:
    app = create_app(Settings(_env_file=None, **settings), AsyncMongoMockClient())

    @app.get("/page", response_class=HTMLResponse)
    def page() -> str:
        return "<script>alert(1)</script>"

    @app.get("/own")
    def own() -> PlainTextResponse:
        return PlainTextResponse(
            "x", headers={"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
        )

    @app.get("/own-page")
    def own_page() -> HTMLResponse:
        return HTMLResponse("x", headers={"Content-Security-Policy": "default-src *"})

    return app


async def ask(app: FastAPI, path: str, address: str = "http://localhost") -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=address) as client,
    ):
        return await client.get(path, headers={"Accept": "text/html"})


async def test_an_endpoints_own_headers_are_kept() -> None:
    answer = await ask(make_app(), "/own")
    assert answer.headers.get_list("referrer-policy") == ["no-referrer"]
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    page = await ask(make_app(), "/own-page")
    assert page.headers.get_list("content-security-policy") == ["default-src *"]


def directives(answer: httpx.Response) -> dict[str, str]:
    (policy,) = answer.headers.get_list("content-security-policy")
    return dict(part.strip().split(" ", 1) for part in policy.split(";"))


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/problems/invalid"])
async def test_a_page_runs_only_what_was_put_there(path: str) -> None:
    app = make_app()
    answer, again = await ask(app, path), await ask(app, path)
    found = directives(answer)
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert found["frame-ancestors"] == "'none'"
    nonce = re.fullmatch(r"'self' 'nonce-(.+)'", found["script-src"])
    assert nonce
    assert found["style-src"] == found["script-src"]
    marked = re.findall(r"<(?:script|style)\b([^>]*)>", answer.text)
    assert marked
    assert all(f'nonce="{nonce[1]}"' in attributes for attributes in marked)
    assert directives(again)["script-src"] != found["script-src"]  # nobody can guess the next one
    assert not re.search(r"\son\w+=|javascript:", answer.text)


async def test_a_page_of_an_endpoint_runs_nothing_inline() -> None:
    found = directives(await ask(make_app(), "/page"))
    assert (found["default-src"], found["frame-ancestors"]) == ("'self'", "'none'")
    assert "script-src" not in found


async def test_https_is_kept_to() -> None:
    answer = await ask(make_app(), "/livez", "https://localhost")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


CHROMIUM = shutil.which("chromium")


@pytest.mark.mongod
@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is missing")
@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", "<h1>Collections</h1>"),
        ("/docs", 'class="opblock-tag'),
        ("/redoc", "Download OpenAPI specification"),
    ],
)
def test_a_browser_shows_the_pages(
    server: LiveServer, tmp_path: Path, path: str, shown: str
) -> None:
    """With nothing refused by the policy but the image that Redoc has on the internet."""
    done = subprocess.run(
        [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu",
         "--disable-dev-shm-usage", f"--user-data-dir={tmp_path}", "--virtual-time-budget=8000",
         "--enable-logging=stderr", "--dump-dom", server.address + path],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert shown in done.stdout
    refused = [line for line in done.stderr.splitlines() if "Security Policy" in line]
    assert [line for line in refused if "logo-mini.svg" not in line] == []
