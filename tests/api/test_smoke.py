"""The main job, end to end."""

import httpx
import pytest

USER = {"name": "王小明", "email": "wang@example.com"}


async def test_mock_create_and_list(mock_http: httpx.AsyncClient) -> None:
    created = await mock_http.post("/users/", json=USER)
    assert created.status_code == 201, created.text
    listed = await mock_http.get("/users/?keyword=小")
    assert listed.json() == [created.json()]
    assert (await mock_http.get("/users/export/csv")).text.startswith("name,email")


def test_real_create_and_list(http: httpx.Client) -> None:
    created = http.post("/users/", json=USER)
    assert created.status_code == 201, created.text
    assert http.get("/users/?keyword=小").json() == [created.json()]
    assert http.get("/users/export/csv").text.startswith("name,email")


@pytest.mark.parametrize(
    "sort", ["", "name", "-name", "age", "-age,name", "profile.age,-_id", "-email", "age,-name"]
)
async def test_mock_pages_by_token(mock_http: httpx.AsyncClient, sort: str) -> None:
    for number in range(12):
        profile = {"bio": "", "age": number % 2} if number % 5 else None
        user = {
            "name": "王李张"[number % 3],
            "email": f"{number}@example.com",
            "age": number % 4 or None,
        }
        (await mock_http.post("/users/", json={**user, "profile": profile})).raise_for_status()
    whole = [
        user["email"] for user in (await mock_http.get(f"/users/?limit=100&sort={sort}")).json()
    ]
    pages, address = [], f"/users/?limit=1&fields=email&sort={sort}"
    while address and len(pages) <= len(whole):
        page = await mock_http.get(address)
        pages += [user["email"] for user in page.json()]
        address = page.links.get("next", {}).get("url", "")
    assert (len(whole), pages) == (12, whole)
