"""The probes, and what the others do while the database is away or an index can't be made."""

from typing import Any

import httpx
import pytest

from tests.support.server import LiveServer
from tests.support.waiting import wait_for

CLOSED = "mongodb://127.0.0.1:1/?replicaSet=rs0"
KEY = "5f43a1b2c3d4e5f60718293a"
USER = {"name": "Ada", "email": "ada@example.com"}


def test_probes_are_200_where_all_is_well(http: httpx.Client) -> None:
    wait_for(lambda: http.get("/readyz").status_code == 200)
    for address in ("/livez", "/readyz"):
        answer = http.get(address)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.slow
def test_unreachable_database_is_503_and_never_a_hang() -> None:
    with (
        LiveServer(MONGO_URI=CLOSED, PRIMARY_WAIT_SECONDS=0.3) as server,
        httpx.Client(base_url=server.address, timeout=60) as http,
    ):
        assert http.get("/livez").status_code == 200
        ready = http.get("/readyz")
        assert (ready.status_code, ready.json()["title"]) == (503, "Service Unavailable")
        for method, address, words in (
            ("GET", "/users/", {}),
            ("GET", f"/users/{KEY}", {}),
            ("POST", "/users/", {"json": USER}),
            ("PUT", f"/users/{KEY}", {"json": USER}),
            ("PATCH", f"/users/{KEY}", {"json": {}}),
            ("DELETE", f"/users/{KEY}", {}),
            ("GET", "/users/export/csv", {}),
        ):
            answer = http.request(method, address, **words)  # type: ignore[arg-type]
            assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True), (
                method,
                address,
            )
            assert answer.headers["content-type"] == "application/problem+json"
            assert "127.0.0.1" not in answer.text
            assert "mongodb" not in answer.text.lower()
        assert http.get("/docs").status_code == 200
        assert http.get("/openapi.json").status_code == 200


@pytest.mark.slow
def test_index_that_cannot_be_made_stops_only_what_adds_to_its_resource(
    mongo_uri: str, database: Any, tmp_path: Any
) -> None:
    package = tmp_path / "two"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from typing import Annotated\nfrom beanie import Document, Indexed\n"
        "class Broken(Document):\n    code: Annotated[str, Indexed(unique=True)]\n"
        "    class Settings:\n        name = 'broken'\n"
        "class Whole(Document):\n    code: str\n    class Settings:\n        name = 'whole'\n"
    )
    other = database.client["indexes"]
    other.client.drop_database("indexes")
    other["broken"].insert_many([{"code": "a"}, {"code": "a"}])
    with (
        LiveServer(tmp_path, MONGO_URI=mongo_uri, DB_NAME="indexes", MODELS="two") as server,
        httpx.Client(base_url=server.address, timeout=60) as http,
    ):
        ready = http.get("/readyz")
        assert ready.status_code == 503
        assert all(word in ready.json()["detail"] for word in ("code_1", "broken", "equal values"))
        assert "retry-after" in ready.headers
        refused = http.post("/broken/", json={"code": "b"})
        assert (refused.status_code, "code_1" in refused.json()["detail"]) == (503, True)
        assert http.get("/broken/export/csv").text == "code\r\na\r\na\r\n"
        assert http.post("/whole/", json={"code": "b"}).status_code == 201
        first = http.get("/broken/").json()[0]  # what adds no equal value goes on, and repairs it
        assert http.patch(f"/broken/{first['_id']}", json={"code": "b"}).status_code == 200
        wait_for(lambda: http.get("/readyz").status_code == 200)
        assert http.post("/broken/", json={"code": "c"}).status_code == 201
        for code in ("a", "b", "c"):
            assert http.post("/broken/", json={"code": code}).status_code == 409
