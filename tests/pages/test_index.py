"""Addresses that people try who look for a page: `/users/index.html`, `/ui/users`."""

from pathlib import Path

import httpx
import pytest

from app.application import create_app
from app.settings import Settings
from tests.support.accounts import basic, serve


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_index_of_a_collection_leads_to_its_page(
    mock_http: httpx.AsyncClient, method: str
) -> None:
    answer = await mock_http.request(method, "/students/index.html")
    assert (answer.status_code, answer.headers["Location"]) == (307, "/ui/students/")
    assert (await mock_http.delete("/students/index.html")).status_code == 422


async def test_a_page_is_found_without_its_slash(mock_http: httpx.AsyncClient) -> None:
    answer = await mock_http.get("/ui/students?sort=name")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/ui/students/?sort=name")


async def test_a_document_that_is_called_so_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from mongomock_motor import AsyncMongoMockClient

    (tmp_path / "sites.py").write_text(
        "from beanie import Document\nfrom pydantic import Field\n"
        "class Site(Document):\n    id: str = Field(alias='_id')\n    title: str\n"
        "    class Settings:\n        name = 'sites'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    app = create_app(Settings(MODELS="sites", _env_file=None), AsyncMongoMockClient())  # type: ignore[call-arg]
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as http,
    ):
        assert (await http.get("/sites/index.html")).headers["Location"] == "/ui/sites/"
        await http.post("/sites/", json={"_id": "index.html", "title": "A"})
        assert (await http.get("/sites/index.html")).json()["title"] == "A"


async def test_with_accounts_it_takes_the_right_to_read() -> None:
    async with serve() as served:
        served.database["docsheet.roles"].insert_one(
            {"name": "clerk", "rules": {"users": {"read": True}}}
        )
        served.add("clerk", "clerk")
        async with served.client(**basic("clerk")) as client:
            users = await client.get("/users/index.html")
            assert (users.status_code, users.headers["Location"]) == (307, "/ui/users/")
            assert (await client.get("/students/index.html")).status_code == 403
        async with served.client(**basic("root")) as client:
            accounts = await client.get("/auth/accounts/index.html")
            assert accounts.headers["Location"] == "/ui/admin/accounts/"
