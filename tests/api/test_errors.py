"""One shape for every error: each route, each wrong method, unknown paths, and what nobody expected."""

import json
import socket
from typing import Any

import httpx
import pytest

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
    }
    paths = []
    for route in app.paths.routes:
        path = route.path
        for parameter, value in parameters.items():
            path = path.replace(parameter, value)
        assert "{" not in path
        paths.append(path)
    return paths


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
                check(answer, path)
                if answer.status_code == 405:
                    assert method not in answer.headers["allow"].split(", ")
            else:
                raise AssertionError(f"{method} {path} takes a parameter that it doesn't know")


def test_unknown_parameter_is_422_on_every_route(http: httpx.Client) -> None:
    for path in ("/", "/users/", "/users/5f43a1b2c3d4e5f60718293a", "/users/export/csv", "/livez", "/readyz", "/docs",
                 "/redoc", "/openapi.json", "/exports/none", "/docs/problems/invalid"):  # fmt: skip
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
    [b"nonsense\r\n\r\n", b"GET /users/ HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n",
     b"POST /users/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n"],
)  # fmt: skip
def test_what_is_no_http_is_a_problem_too(server: LiveServer, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(sent)
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert b"application/problem+json" in head.lower()
    assert json.loads(body)["status"] == 400


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
