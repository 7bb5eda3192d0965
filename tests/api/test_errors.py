"""One shape for every error: each route, each wrong method, unknown paths, bugs."""

import json
import re
import socket
import time
from typing import Any

import httpx
import pytest
from fastapi import HTTPException
from mongomock_motor import AsyncMongoMockClient

from app.api.log_lines import LogLine
from app.application import create_app
from app.settings import Settings
from tests.support.server import LiveServer

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
SECRETS = ("Traceback", "mongodb://", ".py", "/work", "site-packages", "sock")


def check(answer: httpx.Response, path: str) -> None:
    """The answer is a problem document as the contract has it."""
    assert answer.headers["content-type"] == "application/problem+json"
    if answer.request.method == "HEAD":
        return
    body = answer.json()
    assert list(body)[:5] == ["type", "title", "status", "detail", "instance"]
    assert set(body) <= {"type", "title", "status", "detail", "instance", "errors"}
    assert (body["status"], body["instance"]) == (answer.status_code, path)
    assert body["type"] == "about:blank" or body["type"].startswith("/docs/problems/")
    assert body["detail"].endswith((".", "?", ")"))
    for fault in body.get("errors", ()):
        assert set(fault) in ({"detail", "pointer"}, {"detail", "parameter"}, {"detail", "header"})
    assert not [secret for secret in SECRETS if secret in answer.text]


def every_path() -> list[str]:
    """The paths of all our routes, with something in place of their parameters."""
    app = create_app(Settings(_env_file=None))  # type: ignore[call-arg]
    parameters = {
        "{key}": "5f43a1b2c3d4e5f60718293a",
        "{format}": "csv",
        "{export_id}": "none",
        "{problem}": "none",
        "{file}": "none",
        "{slug}": "none",
        "{token}": "none",
        "{step}": "match",
    }
    paths = []
    for route in app.paths.routes:
        if "{id}" in route.path:  # a download under an id, which serves once
            continue
        path = route.path
        for parameter, value in parameters.items():
            path = path.replace(parameter, value)
        assert "{" not in path
        paths.append(path)
    return paths


def is_screen(answer: httpx.Response, path: str) -> bool:
    """Whether it is a screen for people, which says beside its controls what is wrong."""
    return path.startswith("/ui/") and answer.headers["content-type"].startswith("text/html")


async def test_all_routes_have_the_one_error_shape(http: httpx.Client) -> None:
    paths = every_path()
    assert {"/", "/users/", "/users", "/readyz", "/docs", "/openapi.json"} <= set(paths)
    for path in [
        *paths,
        "/nowhere",
        "/users/x/y",
        "/users/export/",
        "/docs/assets/none.js",
        "/docs/problems/none",
    ]:
        for method in METHODS:
            answer = http.request(method, path, params={"nonsense": "1"})
            if answer.status_code >= 400:
                if not is_screen(answer, path):
                    check(answer, path)
                if answer.status_code == 405:
                    assert method not in answer.headers["allow"].split(", ")
            else:
                raise AssertionError(f"{method} {path} takes a parameter that it doesn't know")


def test_unknown_parameter_is_422_on_every_route(http: httpx.Client) -> None:
    for path in (
        "/",
        "/users/",
        "/users/5f43a1b2c3d4e5f60718293a",
        "/users/export/csv",
        "/livez",
        "/readyz",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/exports/none",
        "/docs/problems/invalid",
    ):
        answer = http.get(path, params={"nonsense": "1"})
        assert (path, answer.status_code, answer.json()["errors"][0]["parameter"]) == (
            path,
            422,
            "nonsense",
        )


def test_type_of_a_problem_leads_to_a_page(http: httpx.Client) -> None:
    kind = http.post("/users/", json={}).json()["type"]
    page = http.get(kind)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    "sent",
    [b"nonsense\r\n\r\n", b"GET /users/ HTTP/9.9\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n",
     b"POST /users/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n"],
)  # fmt: skip
def test_what_is_no_http_is_a_problem_too(server: LiveServer, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(sent)
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert b"application/problem+json" in head.lower()
    assert json.loads(body)["status"] == 400
    (request_id,) = re.findall(rb"x-request-id: (\S+)", head)
    assert server.logged(request_id.decode())


def test_an_address_that_is_too_long_says_so(server: LiveServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(b"GET /users/?name=" + b"x" * 66_000)  # its end is not waited for
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 414 URI Too Long\r\n")
    assert "65,535 characters" in json.loads(body)["detail"]


async def test_what_nobody_expected_is_told_without_its_trace(
    mock_http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a secret of line 7")

    monkeypatch.setattr("app.store.repository.Repository._read", fail)
    answer = await mock_http.get("/users/5f43a1b2c3d4e5f60718293a")
    assert answer.status_code == 500
    check(answer, "/users/5f43a1b2c3d4e5f60718293a")
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in answer.text or "X-Request-ID" in answer.text
    assert "a secret of line 7" in caplog.text
    assert answer.headers["connection"] == "close"


async def test_head_is_where_get_is(mock_http: httpx.AsyncClient) -> None:
    created = await mock_http.post("/users/", json={"name": "Ada", "email": "ada@example.com"})
    for path in (*every_path(), created.headers["location"], "/docs/assets/swagger-ui.css"):
        got, head = await mock_http.get(path), await mock_http.head(path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers.get("content-type") == got.headers.get("content-type"), path


@pytest.mark.parametrize(
    "path", ["/users/{key}/", "/users/{key}/x", "/users//", "//users/", "/users/export/", "/livez/",
    "/docs/"],
)  # fmt: skip
async def test_a_slash_more_is_404(mock_http: httpx.AsyncClient, path: str) -> None:
    created = await mock_http.post("/users/", json={"name": "Ada", "email": "ada@example.com"})
    path = path.format(key=created.json()["_id"])
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "POST"):
        answer = await mock_http.request(method, f"http://localhost{path}", json={})
        assert answer.status_code == 404, method
        check(answer, path)


async def test_a_download_without_a_format_says_how_it_is_asked_for(
    mock_http: httpx.AsyncClient,
) -> None:
    answer = await mock_http.get("/users/export")
    assert answer.status_code == 404
    check(answer, "/users/export")
    assert "/users/export/csv, /users/export/" in answer.json()["detail"]


async def test_the_log_says_what_was_refused_and_why(
    mock_http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "docsheet.access"):
        await mock_http.get("/users/?limit=x&my_token=hush%21&Password=&api-key=k9k9&a=%0Ab%1B")
        await mock_http.get("/users/?limit=5")
        await mock_http.get("/users/none", headers={"X-Request-ID": "r-1"})
        await mock_http.get("/livez", headers={"Host": "evil.example"})
    refused, listed, malformed, foreign = [record.getMessage() for record in caplog.records]
    assert refused.startswith("GET /users/ 422 ")
    assert "?limit=x&my_token=…&Password=…&api-key=…&a=%0Ab" in refused
    assert "there is no such parameter here" in refused
    assert "hush" not in refused
    assert "k9k9" not in refused
    assert all(line.isprintable() for line in caplog.messages)
    assert re.fullmatch(r"GET /users/ 200 [0-9.]+ ms [0-9a-f]{16} from 127\.0\.0\.1", listed)
    assert " ms r-1 from 127.0.0.1 _id: " in malformed
    assert "does not answer to the host" in foreign


async def test_a_secret_value_is_hidden_in_the_reason_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = create_app(Settings(_env_file=None), AsyncMongoMockClient())  # type: ignore[call-arg]

    @app.get("/mine")
    def mine(session: str) -> None:
        raise HTTPException(403, f"There is no session {session!r}\x1b[31m.")

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        with caplog.at_level("INFO", "docsheet.access"):
            answer = await client.get("/mine?session=hush%20hush")
    assert "hush hush" in answer.text
    assert "There is no session '…'\\x1b[31m." in caplog.messages[-1]
    assert "hush" not in caplog.text


@pytest.mark.parametrize("method", ["PUT", "PATCH", "POST"])
async def test_order_of_what_is_wrong_in_a_write(mock_http: httpx.AsyncClient, method: str) -> None:
    path = "/users/" if method == "POST" else "/users/5f43a1b2c3d4e5f60718293a"

    async def status(address: str, media: str, body: str) -> int:
        headers = {"Content-Type": media}
        return (await mock_http.request(method, address, content=body, headers=headers)).status_code

    assert await status(f"{path}?x=1", "text/plain", "{") == 422
    assert await status(path, "text/plain", "{") == 415
    assert await status(path, "application/json", "{" + " " * 3_000_000) == 413
    assert await status(path, "application/json", "{") == 400
    assert await status(path, "application/json", "[1]") == (422 if method == "POST" else 404)


def test_a_long_query_is_written_in_one_pass() -> None:
    """Whatever it has in it: the log is written before the next request is answered.

    Each takes a twentieth of a second at most; what goes through it again and again, minutes.
    """
    scope = {"method": "GET", "path": "/users/", "state": {"request_id": "1"}}
    for text in ("pass", "pwd", "token", "key_", "eyJ", "eyJ.", "a-", "&pass=", "&token"):
        query = (text * 100_000).encode()
        line = LogLine({**scope, "query_string": query}, 422, 1.0)
        began = time.process_time()
        assert " ?" in str(line)
        assert time.process_time() - began < 30, text
