"""Shares: a link downloads one export, by its maker's rights of that moment, and nothing else."""

import logging
from typing import Any

import httpx
import pytest

from tests.support.accounts import ACCOUNTS, Served, answers, serve

SHARES = "docsheet.shares"
USERS = [{"name": name, "email": f"{name}@example.com", "age": age} for name, age in
         (("ann", 30), ("bob", 40))]  # fmt: skip
CSV = "/users/export/csv?columns=name,age"


@pytest.fixture(autouse=True)
def users(request: pytest.FixtureRequest) -> None:
    if "served" in request.fixturenames:
        served: Served = request.getfixturevalue("served")
        served.database["users"].insert_many([dict(user) for user in USERS])


async def share(client: httpx.AsyncClient, address: str = CSV, **body: Any) -> dict[str, Any]:
    answer = await client.post("/auth/shares/", json={"address": address, **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_share_is_told_once_and_downloads(served: Served) -> None:
    ann = served.add("ann")
    async with served.client(**served.key(ann)) as client:
        made = await share(client, name="for the board", expires_in=3600)
        assert made["url"].startswith("http://localhost/shared/")
        assert made["url"].endswith("/users.csv")
        assert (made["name"], made["address"], made["file"]) == ("for the board", CSV, "users.csv")
        token = made["url"].split("/")[-2]
        shown = (await client.get("/auth/shares/")).text
        assert made["_id"] in shown
        assert token not in shown
        assert "digest" not in shown
    assert token not in str(list(served.database[SHARES].find()))
    async with served.client() as anyone:
        answer = await anyone.get(made["url"])
        assert (answer.status_code, answer.text) == (200, "name,age\r\nann,30\r\nbob,40\r\n")
        assert 'filename="users.csv"' in answer.headers["content-disposition"]
        assert answer.headers["cache-control"] == "no-store"
        head = await anyone.head(made["url"])
        assert (head.status_code, head.text) == (200, "")
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert (await anyone.request(method, made["url"])).status_code == 405
    assert served.database[SHARES].find_one({})["last_used"] is not None


async def test_a_share_is_for_its_export_alone(served: Served) -> None:
    ann = served.add("ann")
    async with served.client(**served.key(ann)) as client:
        made = await share(client)
    token = made["url"].split("/")[-2]
    async with served.client() as anyone:
        for path, status in (
            (f"{made['url']}?columns=email", 422),  # its own query holds
            (f"{made['url']}?limit=1", 422),
            (f"/shared/{token}/users.xlsx", 404),
            (f"/shared/{token}/", 404),
            (f"/shared/{token}", 404),
            (f"/shared/{token[:-1]}/users.csv", 404),
            ("/shared//users.csv", 404),
            ("/users/", 401),
        ):
            answer = await anyone.get(path)
            assert answer.status_code == status, path
            assert "email" not in answer.text
        for header in (
            {"Authorization": f"Bearer {token}"},
            {"Cookie": f"docsheet_session={token}"},
        ):
            assert (await anyone.get("/users/", headers=header)).status_code == 401


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"address": "/users/"}, 422, "#/address"),
        ({"address": "/users/export/"}, 422, "#/address"),
        ({"address": "/users/export/doc"}, 422, "#/address"),
        ({"address": "users/export/csv"}, 422, "#/address"),
        ({"address": "/nobody/export/csv"}, 422, "#/address"),
        ({"address": "http://localhost/users/export/csv"}, 422, "#/address"),
        ({"address": "/users/export/csv?nmae=x"}, 422, "#/address"),
        ({"address": "/users/export/csv?name=a b"}, 422, "#/address"),
        ({"address": "/users/export/csv#top"}, 422, "#/address"),
        ({"address": "/shared/x/users.csv"}, 422, "#/address"),
        ({"address": "/auth/accounts/export/csv"}, 403, None),
        ({"address": ""}, 422, "#/address"),
        ({"address": CSV, "expires_in": 0}, 422, "#/expires_in"),
        ({"address": CSV, "expires_in": 366 * 24 * 3600}, 422, "#/expires_in"),
        ({"address": CSV, "name": ""}, 422, "#/name"),
        ({"address": CSV, "account": "x"}, 422, "#/account"),
        ({"address": CSV, "digest": "x"}, 422, "#/digest"),
    ],
)
async def test_what_can_not_be_shared(
    served: Served, body: dict[str, Any], status: int, pointer: str | None
) -> None:
    ann = served.add("ann")
    async with served.client(**served.key(ann)) as client:
        answer = await client.post("/auth/shares/", json=body)
    assert answer.status_code == status, answer.text
    assert [one["pointer"] for one in answer.json().get("errors", ())] == [pointer] * bool(pointer)
    assert served.database[SHARES].count_documents({}) == 0


async def test_a_share_shows_what_its_maker_may_see_at_that_moment(served: Served) -> None:
    rules = {"users": {"read": {"where": "name={account.name}", "hide": ["age"]}, "export": True}}
    served.database["docsheet.roles"].insert_one({"name": "self", "rules": rules})
    ann = served.add("ann", "viewer")
    async with served.client(**served.key(ann)) as client:
        made = await share(client, "/users/export/csv?columns=name")
        whole = await share(client)
    async with served.client() as anyone:
        assert (await anyone.get(made["url"])).text == "name\r\nann\r\nbob\r\n"
        accounts = served.database[ACCOUNTS]
        accounts.update_one({"_id": ann}, {"$set": {"role": "self"}})
        await answers(anyone, whole["url"], 422)  # the column is there no more
        assert (await anyone.get(made["url"])).text == "name\r\nann\r\n"
        accounts.update_one({"_id": ann}, {"$set": {"role": "nothing"}})
        await answers(anyone, made["url"], 403)
        accounts.update_one({"_id": ann}, {"$set": {"role": "viewer"}})
        await answers(anyone, made["url"], 200)
        accounts.update_one({"_id": ann}, {"$set": {"disabled": True}})
        await answers(anyone, made["url"], 403)


async def test_a_share_of_a_key_is_never_beyond_its_scopes(served: Served) -> None:
    ann = served.add("ann", "editor")
    async with served.client(**served.key(ann, "users:export")) as client:
        made = await share(client)
        assert made["scopes"] == ["users:export"]
        refused = await client.post("/auth/shares/", json={"address": "/students/export/csv"})
        assert refused.status_code == 403
        assert "students:export" in refused.json()["detail"]
    async with served.client(**served.key(ann, "read")) as client:
        refused = await client.post("/auth/shares/", json={"address": CSV})
        assert refused.status_code == 403
    async with served.client() as anyone:
        assert (await anyone.get(made["url"])).status_code == 200


async def test_a_share_of_what_links_to_a_document(served: Served) -> None:
    clas = served.database["classes"].insert_one({"name": "1a"}).inserted_id
    for number, key in ((1001, clas), (1002, None)):
        served.database["students"].insert_one({"sno": number, "name": f"n{number}", "clas": key})
    ann = served.add("ann")
    async with served.client(**served.key(ann)) as client, served.client() as anyone:
        made = await share(client, f"/classes/{clas}/students/export/csv?columns=sno")
        assert made["file"] == "students.csv"
        assert (await anyone.get(made["url"])).text == "sno\r\n1001\r\n"


async def test_a_share_that_is_over_says_so(served: Served) -> None:
    ann = served.add("ann")
    async with served.client(**served.key(ann)) as client, served.client() as anyone:
        ended, expired = await share(client), await share(client)
        assert (await client.delete(f"/auth/shares/{ended['_id']}")).status_code == 204
        assert (await client.get(f"/auth/shares/{ended['_id']}")).status_code == 404
        answer = await anyone.get(ended["url"])
        assert (answer.status_code, answer.json()["type"]) == (410, "/docs/problems/gone")
        past = served.database[SHARES].find_one({})["created"]
        served.database[SHARES].update_one({}, {"$set": {"expires": past}})
        assert (await anyone.get(expired["url"])).status_code == 410


async def test_nobody_sees_or_ends_the_shares_of_others(served: Served) -> None:
    ann, bob = served.add("ann"), served.add("bob")
    async with served.client(**served.key(bob)) as client:
        made = await share(client)
    path = f"/auth/shares/{made['_id']}"
    async with served.client(**served.key(ann)) as client:
        assert (await client.get("/auth/shares/")).json() == []
        assert (await client.get(path)).status_code == 404
        assert (await client.delete(path)).status_code == 404
    async with served.client(**served.key(bob, "export")) as client:
        assert (await client.get(path)).status_code == 200
        assert (await client.delete(path)).status_code == 403
    async with served.client(**served.key(bob)) as client:
        renamed = await client.patch(path, json={"name": "other"})
        assert renamed.json()["name"] == "other"
        for change in ({"address": "/students/export/csv"}, {"expires": "2099-01-01T00:00:00Z"}):
            refused = await client.patch(path, json=change)
            assert refused.status_code == 422
            assert refused.json()["errors"][0]["pointer"] == f"#/{next(iter(change))}"
    root = served.database[ACCOUNTS].find_one({"name": "root"})["_id"]
    async with served.client(**served.key(root)) as client:
        assert (await client.delete(path)).status_code == 204


async def test_a_token_is_never_in_a_log_an_error_or_the_audit(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    ann = served.add("ann")
    with caplog.at_level(logging.DEBUG):
        async with served.client(**served.key(ann)) as client:
            made = await share(client)
        token = made["url"].split("/")[-2]
        async with served.client() as anyone:
            told = [
                (await anyone.request(method, path)).text
                for path in (
                    made["url"],
                    f"/shared/{token}/other.csv",
                    f"http://localhost//shared//{token}",
                    f"/shared/{token}/a/b/c?x=1",
                    f"/%73hared/{token}/users.csv?x=1",
                )
                for method in ("GET", "POST")
            ]
    lines = [one.getMessage() for one in caplog.records if one.name.startswith("docsheet")]
    assert any("/shared/" in line for line in lines)
    assert [line for line in lines if token in line] == []
    assert [text for text in told if token in text] == []
    assert token not in str(list(served.database["docsheet.audit"].find()))
    used = served.database["docsheet.audit"].find_one({"what": "share used"})
    assert (used["account"], used["means"], used["target"]) == ("ann", "share", "users.csv")


@pytest.mark.mongod
async def test_a_share_streams_a_real_export_below_a_prefix(mongo_uri: str) -> None:
    async with serve(mongo_uri, ROOT_PATH="/api") as served:
        served.database["users"].insert_many([dict(user) for user in USERS])
        ann = served.add("ann")
        async with served.client(**served.key(ann)) as client:
            made = await share(client, "/api/users/export/xlsx?sort=-age")
            assert made["url"].startswith("http://localhost/api/shared/")
        async with served.client() as anyone:
            answer = await anyone.get(made["url"].replace("/api/", "/"))  # as the proxy sends it
            assert answer.status_code == 200
            assert answer.content[:2] == b"PK"
