"""Who may call: Host, Origin, Sec-Fetch-Site, CORS; and what stands on every answer."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.api.middleware import EXPOSED
from tests.support.mongod import needs_mongod
from tests.support.server import LiveServer

pytestmark = needs_mongod

USER = {"name": "Ada", "email": "ada@example.com"}
APP = "https://app.example.org"


@pytest.fixture(scope="module")
def cors_server(mongo_uri: str) -> Iterator[LiveServer]:
    hosts = "localhost,127.0.0.1,*.example.org"
    with LiveServer(
        MONGO_URI=mongo_uri, DB_NAME="test", CORS_ORIGINS=APP, ALLOWED_HOSTS=hosts
    ) as live:
        yield live


@pytest.fixture
def cors(cors_server: LiveServer, users: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=cors_server.address, timeout=60) as client:
        yield client


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8000"]
)
def test_loopback_names_may_be_asked_for(http: httpx.Client, host: str) -> None:
    assert http.get("/users/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "evil.example:8000",
        "192.168.0.1",
        "[::2]",
        "0.0.0.0",
        "localhost:x@evil.example",  # of which an address would lead elsewhere
        "localhost:80/x",
        "[::1]@evil.example",
        "[::1",
    ],
)
def test_foreign_host_is_400(http: httpx.Client, host: str) -> None:
    for address in ("/users/", "/livez", "/nowhere", "/docs"):
        answer = http.get(address, headers={"Host": host})
        assert (answer.status_code, answer.json()["errors"][0]["header"]) == (400, "Host")


@pytest.mark.parametrize("hosts", [("evil.example", "localhost"), ("localhost", "localhost")])
async def test_two_hosts_are_400(mock_http: httpx.AsyncClient, hosts: tuple[str, str]) -> None:
    answer = await mock_http.get("/livez", headers=[("Host", host) for host in hosts])
    assert (answer.status_code, answer.json()["errors"][0]["header"]) == (400, "Host")
    twice = [("Accept", "text/html"), ("Accept", "application/json")]
    assert (await mock_http.get("/livez", headers=twice)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://localhost:1"},
     {"Origin": "http://localhost.evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
)  # fmt: skip
def test_foreign_page_may_read_and_not_write(
    http: httpx.Client, users: Any, headers: dict[str, str]
) -> None:
    created = http.post("/users/", json=USER).json()
    item = f"/users/{created['_id']}"
    for method, address in (
        ("POST", "/users/"),
        ("PUT", item),
        ("PATCH", item),
        ("DELETE", item),
        ("POST", "/nope"),
    ):
        answer = http.request(method, address, json=USER, headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["header"]) == (
            403,
            next(iter(headers)),
        )
    read = http.get("/users/", headers=headers)
    assert (read.status_code, read.headers.get("access-control-allow-origin")) == (200, None)
    assert users.count_documents({}) == 1


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none"])
def test_own_page_may_write(http: httpx.Client, site: str) -> None:
    origin = str(http.base_url).rstrip("/")
    answer = http.post("/users/", json=USER, headers={"Origin": origin, "Sec-Fetch-Site": site})
    assert answer.status_code == 201


def test_named_origin_may_write_and_read_the_headers(cors: httpx.Client) -> None:
    headers = {"Origin": APP, "Sec-Fetch-Site": "cross-site"}
    for answer in (
        cors.post("/users/", json=USER, headers=headers),
        cors.get("/users/", headers=headers),
        cors.get("/nowhere", headers=headers),
        cors.post("/users/", json={}, headers=headers),
    ):
        assert answer.headers["access-control-allow-origin"] == APP
        assert set(answer.headers["access-control-expose-headers"].split(", ")) == set(EXPOSED)
    assert (
        cors.post("/users/", json=USER, headers={"Origin": "https://evil.example"}).status_code
        == 403
    )


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_preflight_of_a_named_origin(cors: httpx.Client, method: str) -> None:
    asked = {"Origin": APP, "Access-Control-Request-Method": method,
             "Access-Control-Request-Headers": "content-type,if-match"}  # fmt: skip
    for address in ("/users/", "/users/5f43a1b2c3d4e5f60718293a"):
        answer = cors.options(address, headers=asked)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == APP
        assert method in answer.headers["access-control-allow-methods"]
        assert "if-match" in answer.headers["access-control-allow-headers"].lower()


def test_preflight_of_another_origin_is_a_problem(cors: httpx.Client) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = cors.options("/users/", headers=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert "access-control-allow-origin" not in answer.headers


def test_pattern_of_hosts(cors: httpx.Client) -> None:
    assert cors.get("/livez", headers={"Host": "api.example.org:80"}).status_code == 200
    assert cors.get("/livez", headers={"Host": "example.org"}).status_code == 400
    assert cors.get("/livez", headers={"Host": "evilexample.org"}).status_code == 400


def test_every_answer_has_its_id_and_nosniff(http: httpx.Client) -> None:
    for address in ("/", "/users/", "/nowhere", "/users/none", "/docs", "/openapi.json", "/livez"):
        answer = http.get(address)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"])
    assert (
        http.get("/livez", headers={"X-Request-ID": "mine-1"}).headers["x-request-id"] == "mine-1"
    )
    assert (
        http.get("/livez", headers={"X-Request-ID": "a\tb" * 99}).headers["x-request-id"]
        != "a\tb" * 99
    )
