"""The main job, end to end."""

import httpx

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
