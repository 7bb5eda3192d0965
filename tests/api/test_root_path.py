"""Behind a proxy that takes a prefix off, every address that we write has it again."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import Request
from mongomock_motor import AsyncMongoMockClient

from app.application import create_app
from app.errors import SettingError
from app.settings import Settings, read_settings

USER = {"name": "Ada", "email": "ada@example.com"}


@pytest.fixture(params=["/api", "/users", "/a/b.c"])
async def prefixed(request: pytest.FixtureRequest) -> AsyncIterator[tuple[str, httpx.AsyncClient]]:
    """A prefix, and a client of a server that has it; the proxy sends it paths without."""
    settings = Settings(DB_NAME="test", ROOT_PATH=request.param, _env_file=None)  # type: ignore[call-arg]
    app = create_app(settings, AsyncMongoMockClient())

    @app.get("/mine/{number}")
    def mine(request: Request, number: int) -> str:
        return str(request.url_for("mine", number=number))

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield request.param, client


Prefixed = tuple[str, httpx.AsyncClient]


async def test_location_and_link(prefixed: Prefixed) -> None:
    root, http = prefixed
    for number in range(3):
        created = await http.post("/users/", json=USER | {"email": f"{number}@example.com"})
        location = created.headers["location"]
        assert location == f"{root}/users/{created.json()['_id']}"
        assert (await http.get(location.removeprefix(root))).json() == created.json()
    for path in ("/users/", "/users"):
        address = (await http.get(f"{path}?limit=2")).links["next"]["url"]
        assert address.startswith(f"http://localhost{root}{path}?limit=2&after=")
        following = await http.get(address.replace(f"localhost{root}", "localhost", 1))
        assert len(following.json()) == 1


async def test_what_links_to_a_document(prefixed: Prefixed) -> None:
    _, http = prefixed
    made = (await http.post("/teachers/", json={"tno": 1001, "name": "Ada"})).json()
    for path in ("courses", "courses/export/json"):
        answer = await http.get(f"/teachers/{made['_id']}/{path}")
        assert (answer.status_code, answer.json()) == (200, [])


async def test_saved_views(prefixed: Prefixed) -> None:
    root, http = prefixed
    for number in range(2):
        await http.post("/users/", json=USER | {"email": f"{number}@example.com"})
    view = {"name": "a", "address": f"{root}/users/?limit=1"}
    made = await http.post("/views/", json=view)
    assert made.headers["location"] == f"{root}/views/a"
    assert made.json()["address"] == f"{root}/users/?limit=1"
    assert made.json()["page"] == f"{root}/ui/users/?limit=1"
    address = (await http.get("/views/a")).links["next"]["url"]
    assert address.startswith(f"http://localhost{root}/users/?limit=1&after=")


async def test_pages(prefixed: Prefixed) -> None:
    root, http = prefixed
    home = (await http.get("/", headers={"Accept": "application/json"})).json()
    assert home["resources"]["users"]["documents"] == f"{root}/users/"
    assert home["resources"]["users"]["exports"]["csv"] == f"{root}/users/export/csv"
    assert (home["docs"], home["openapi"]) == (f"{root}/docs", f"{root}/openapi.json")
    for page in ("/", "/docs", "/redoc"):
        text = (await http.get(page, headers={"Accept": "text/html"})).text
        addresses = re.findall(r"""(?:href|src|url:|spec-url=)\s*=?\s*['"](/[^'"]*)""", text)
        assert addresses, page
        assert [one for one in addresses if not one.startswith(f"{root}/")] == []
        for address in addresses:
            assert (await http.get(address.removeprefix(root))).status_code == 200, address


async def test_problems(prefixed: Prefixed) -> None:
    root, http = prefixed
    problem = (await http.get("/users/?limit=x")).json()
    assert (problem["type"], problem["instance"]) == (
        f"{root}/docs/problems/invalid",
        f"{root}/users/",
    )
    assert (await http.get(problem["type"].removeprefix(root))).status_code == 200
    lost = (await http.get("/nowhere")).json()
    assert (lost["instance"], f"GET {root}/ names" in lost["detail"]) == (f"{root}/nowhere", True)


async def test_openapi_and_endpoints_of_a_user(prefixed: Prefixed) -> None:
    root, http = prefixed
    described = (await http.get("/openapi.json")).json()
    assert described["servers"] == [{"url": root}]
    assert {"/users/", "/mine/{number}"} <= set(described["paths"])
    assert (await http.get("/mine/5")).json() == f"http://localhost{root}/mine/5"
    assert (await http.get("/mine/x")).json()["instance"] == f"{root}/mine/x"


async def test_encoded_slash_in_a_key(prefixed: Prefixed) -> None:
    _, http = prefixed
    assert (await http.get("/users/a%2Fb")).status_code == 422
    assert (await http.get("/users/a/b")).status_code == 404


@pytest.mark.parametrize("value", ["api", "/a b", "//", "/a//b", "/a?b", "http://x/api", "/ü"])
def test_what_is_no_prefix_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ROOT_PATH", value)
    if value == "//":
        assert read_settings().ROOT_PATH == ""
        return
    with pytest.raises(SettingError, match=r"ROOT_PATH: .* one looks like /api"):
        read_settings()


def test_a_slash_at_the_end_is_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOT_PATH", "/api/")
    assert read_settings().ROOT_PATH == "/api"
