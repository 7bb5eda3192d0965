"""Whose word on a request counts: the client's address, the scheme and the host behind proxies."""

from typing import Any

import httpx
import pytest
from mongomock_motor import AsyncMongoMockClient

from app.api.proxies import Proxies, client_address, network_of
from app.application import create_app
from app.errors import SettingError
from app.settings import Settings, read_settings

PROXY = "10.0.0.1"


def believed(trusted: str, peer: str, kind: str = "http", **headers: str) -> dict[str, Any]:
    """What is in the scope of a request from `peer` once the proxies were looked at."""
    raw = [(b"host", b"inside:8000")]
    raw += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "scheme": "http", "client": (peer, 4711), "headers": raw}
    Proxies(trusted.split(",")).believe(scope)
    return {**scope, "host": dict(scope["headers"])[b"host"].decode()}


@pytest.mark.parametrize(
    ("trusted", "peer", "chain", "client"),
    [
        (PROXY, PROXY, "203.0.113.7", "203.0.113.7"),
        (PROXY, "203.0.113.9", "198.51.100.1", "203.0.113.9"),  # any client may send it
        ("10.0.0.0/8", "10.9.9.9", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.0/8", "11.0.0.1", "203.0.113.7", "11.0.0.1"),
        (PROXY, PROXY, "1.1.1.1, 203.0.113.7", "203.0.113.7"),  # the first is the client's own
        (f"{PROXY},10.0.0.2", PROXY, "1.1.1.1, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
        (PROXY, PROXY, "203.0.113.7, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.0/8", PROXY, "10.0.0.3, 10.0.0.2", "10.0.0.3"),  # all of them trusted
        (PROXY, PROXY, "203.0.113.7:5000", "203.0.113.7"),
        (PROXY, PROXY, "[2001:db8::1]:5000", "2001:db8::1"),
        (PROXY, PROXY, "2001:db8::1", "2001:db8::1"),
        (PROXY, PROXY, "::ffff:203.0.113.7", "203.0.113.7"),
        (PROXY, f"::ffff:{PROXY}", "203.0.113.7", "203.0.113.7"),
        ("2001:db8::/32", "2001:db8::5", "203.0.113.7", "203.0.113.7"),
        (PROXY, PROXY, "unix:", PROXY),
        (PROXY, PROXY, "unknown", PROXY),
        (PROXY, PROXY, "", PROXY),
        (PROXY, PROXY, "203.0.113.7, <script>", PROXY),
    ],
)
def test_the_client_is_the_last_that_is_no_trusted_proxy(
    trusted: str, peer: str, chain: str, client: str
) -> None:
    assert client_address(believed(trusted, peer, x_forwarded_for=chain)) == client


def test_a_chain_in_several_headers_is_one() -> None:
    headers = [(b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"203.0.113.7")]
    scope = {"type": "http", "scheme": "http", "client": (PROXY, 1), "headers": headers}
    Proxies([PROXY]).believe(scope)
    assert client_address(scope) == "203.0.113.7"


@pytest.mark.parametrize(
    ("peer", "kind", "said", "scheme"),
    [
        (PROXY, "http", "https", "https"),
        (PROXY, "http", "HTTPS", "https"),
        (PROXY, "websocket", "https", "wss"),
        (PROXY, "http", "http, https", "https"),
        (PROXY, "http", "javascript", "http"),
        ("10.0.0.2", "http", "https", "http"),
    ],
)
def test_the_scheme_is_what_the_nearest_proxy_got(
    peer: str, kind: str, said: str, scheme: str
) -> None:
    assert believed(PROXY, peer, kind, x_forwarded_proto=said)["scheme"] == scheme


@pytest.mark.parametrize(
    ("peer", "host"), [(PROXY, "docs.example.org"), ("10.0.0.2", "inside:8000")]
)
def test_the_host_is_what_a_trusted_proxy_was_asked_for(peer: str, host: str) -> None:
    assert believed(PROXY, peer, x_forwarded_host="docs.example.org")["host"] == host


@pytest.mark.parametrize(
    ("client", "network"),
    [
        (("203.0.113.7", 1), "203.0.113.7"),
        (("::ffff:203.0.113.7", 1), "203.0.113.7"),
        (("2001:db8:1:2:3:4:5:6", 1), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 1), "fe80::/64"),
        (None, ""),
    ],
)
def test_a_client_has_all_addresses_of_its_network(client: Any, network: str) -> None:
    assert network_of(client_address({"client": client})) == network


@pytest.mark.parametrize("value", ["proxy", "10.0.0.0/33", "*", "10.0.0.1:80"])
def test_what_is_no_address_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", f"10.0.0.5, {value}")
    with pytest.raises(SettingError, match=r"TRUSTED_PROXIES: .* is no address and no network"):
        read_settings()


async def ask(trusted: str, peer: str, headers: dict[str, str]) -> httpx.Response:
    """The answer to a list of one user of two, for a request that comes from `peer`."""
    settings = Settings(
        TRUSTED_PROXIES=trusted,  # type: ignore[arg-type]
        ALLOWED_HOSTS="localhost,docs.example.org",  # type: ignore[arg-type]
        _env_file=None,  # type: ignore[call-arg]
    )
    app = create_app(settings, AsyncMongoMockClient())
    transport = httpx.ASGITransport(app, client=(peer, 1))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        for number in range(2):
            user = {"name": "Ada", "email": f"{number}@example.com"}
            (await client.post("/users/", json=user)).raise_for_status()
        return await client.get("/users/?limit=1", headers=headers)


FORWARDED = {
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "docs.example.org",
}


async def test_links_and_the_log_are_of_what_the_proxy_was_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO", "docsheet.access"):
        answer = await ask(PROXY, PROXY, FORWARDED)
    assert answer.links["next"]["url"].startswith("https://docs.example.org/users/?limit=1&after=")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert caplog.messages[-1].endswith(" from 203.0.113.7")


@pytest.mark.parametrize(("trusted", "peer"), [("", PROXY), (PROXY, "203.0.113.9")])
async def test_nobody_else_is_believed(
    trusted: str, peer: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "docsheet.access"):
        answer = await ask(trusted, peer, FORWARDED)
    assert answer.links["next"]["url"].startswith("http://localhost/users/?limit=1&after=")
    assert "strict-transport-security" not in answer.headers
    assert caplog.messages[-1].endswith(f" from {peer}")


async def test_the_host_of_a_trusted_proxy_must_be_allowed_as_well() -> None:
    answer = await ask(PROXY, PROXY, {"X-Forwarded-Host": "evil.example"})
    assert (answer.status_code, answer.json()["errors"][0]["header"]) == (400, "Host")
