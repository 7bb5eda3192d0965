"""The pages for people: they work with no internet."""

import re
from typing import Any

import httpx
import pytest
from mongomock_motor import AsyncMongoMockClient

from app.api.problem_texts import PROBLEMS
from app.application import create_app
from app.errors import RequestError
from app.settings import Settings
from tests.support.mongod import needs_mongod

pytestmark = needs_mongod
_addresses = re.compile(r"""(?:src|href)\s*=\s*["']([^"']+)["']|url\(\s*["']?([^"')]+)""").findall


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_documentation_needs_no_internet(http: httpx.Client, page: str) -> None:
    answer = http.get(page)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "/openapi.json" in answer.text
    assert not re.search(r"https?://|[\"']//", answer.text)
    found = [first or second for first, second in _addresses(answer.text)]
    assert any(address.endswith(".js") for address in found)
    for address in found:
        assert address.startswith("/docs/assets/")
        asset = http.get(address)
        assert asset.status_code == 200, address
        assert len(asset.content) > 500
        if address.endswith(".css"):
            assert all(inner.startswith("data:") for _, inner in _addresses(asset.text) if inner)


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (BROWSER, "text/html"),
        ("text/html", "text/html"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("", "application/json"),
        ("application/json, text/html;q=0.5", "application/json"),
        ("text/*", "text/html"),
        ("text/html;q=0.1, application/json", "application/json"),
        ("application/json;q=0.2, text/html;q=0.9", "text/html"),
        ("TEXT/HTML", "text/html"),
        ("text/html;q=0, */*", "application/json"),
        ("text/html;q=0", "application/json"),
        ("image/png", "application/json"),
    ],
)
def test_the_resources_as_json_or_html_as_accept_says(
    http: httpx.Client, accept: str, media_type: str
) -> None:
    answer = http.get("/", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(media_type)
    assert "accept" in answer.headers["Vary"].lower().split(", ")
    assert "users" in answer.text
    assert "/docs" in answer.text


def test_the_resources_name_addresses_that_answer(http: httpx.Client) -> None:
    shown: Any = http.get("/").json()
    assert shown["resources"]["users"]["documents"] == "/users/"
    for address in (
        *shown["resources"]["users"]["exports"].values(),
        shown["docs"],
        shown["redoc"],
        shown["openapi"],
    ):
        assert http.get(address).status_code == 200


def test_every_problem_type_has_its_page(http: httpx.Client) -> None:
    def problems(error: type[RequestError]) -> set[str]:
        own = {error.problem} if error.problem else set()
        return own.union(*(problems(below) for below in error.__subclasses__()))

    assert problems(RequestError) <= set(PROBLEMS)
    for name, (title, _) in PROBLEMS.items():
        answer = http.get(f"/docs/problems/{name}")
        assert answer.status_code == 200
        assert title.replace("'", "&#x27;") in answer.text
    missing = http.get("/docs/problems/none")
    assert missing.status_code == 404
    assert missing.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/redoc", "/openapi.json", "/docs/problems/invalid"]
)
def test_pages_take_no_parameters_and_answer_head(http: httpx.Client, path: str) -> None:
    assert http.get(path, params={"x": "1"}).status_code == 422
    head = http.head(path)
    assert head.status_code == 200
    assert head.content == b""
    refused = http.post(path)
    assert refused.status_code == 405
    assert refused.headers["Allow"] == "GET, HEAD"
    assert refused.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    ["/docs/assets/none.js", "/docs/assets/../pages.py", "/docs/assets/%2e%2e/x", "/docs/assets/"],
)
def test_what_is_no_asset_is_a_problem(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_the_documentation_may_be_off() -> None:
    settings = Settings(DOCS="off", _env_file=None)  # type: ignore[call-arg]
    app = create_app(settings, AsyncMongoMockClient())
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        for path in ("/docs", "/redoc", "/openapi.json", "/docs/assets/swagger-ui.css"):
            answer = await client.get(path)
            assert answer.status_code == 404, path
            assert answer.headers["Content-Type"] == "application/problem+json"
        assert (await client.get("/docs/problems/invalid")).status_code == 200
        assert "docs" not in (await client.get("/")).json()
        assert '"/docs"' not in (await client.get("/", headers={"Accept": "text/html"})).text
