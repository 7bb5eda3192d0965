"""Exports, imports and changes are in the audit, which is read as any list and never written."""

from typing import Any

import pytest

from tests.support.accounts import ACCOUNTS, PASSWORD, Served
from tests.support.waiting import until

AUDIT = "docsheet.audit"
USERS = [{"name": name, "email": f"{name}@example.com", "age": age} for name, age in
         (("ann", 30), ("bob", 40))]  # fmt: skip


async def entries(served: Served, what: str, number: int = 1) -> list[dict[str, Any]]:
    """The entries of a kind, as an administrator is shown them, once so many have ended."""
    ended = {"what": what, "details.state": {"$ne": "running"}}
    await until(lambda: served.database[AUDIT].count_documents(ended) >= number)
    root = served.database[ACCOUNTS].find_one({"name": "root"})["_id"]
    async with served.client(**served.key(root)) as client:
        answer = await client.get("/auth/audit/", params={"what": what, "sort": "_id"})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def test_an_export_is_written_down_with_what_was_taken(served: Served) -> None:
    served.database["users"].insert_many([dict(user) for user in USERS])
    ann = served.add("ann", "viewer")
    async with served.client(**served.key(ann)) as client:
        path = "/users/export/csv?age__gte=35&columns=name,age&api_key__eq="
        refused = await client.get(path)
        assert refused.status_code == 422
        path = "/users/export/csv?age__gte=35&columns=name,age"
        answer = await client.get(path, headers={"X-Request-ID": "mine"})
        head = await client.head(path)
        record = (await client.get(f"/exports/{answer.headers['x-export-id']}")).json()
    assert (answer.text, head.status_code) == ("name,age\r\nbob,40\r\n", 200)
    (entry,) = await entries(served, "exported")
    details = entry.pop("details")
    assert details.pop("seconds") > 0
    assert details == {
        "path": "/users/export/csv",
        "query": "age__gte=35&columns=name,age",
        "format": "csv",
        "columns": ["name", "age"],
        "state": "complete",
        "documents": 1,
        "rows": 1,
        "bytes": len(answer.content),
        "sha256": record["sha256"],
        "detail": None,
    }
    assert entry.pop("at").endswith("Z")
    del entry["_id"]
    assert entry == {
        "what": "exported",
        "account": "ann",
        "means": "key",
        "address": "127.0.0.1",
        "request": "mine",
        "target": "users",
    }


async def test_an_import_is_written_down_with_what_came_of_it(served: Served) -> None:
    ann = served.add("ann", "editor")
    file = b"name,email\nann,ann@example.com\nbob,\n"
    async with served.client(**served.key(ann)) as client:
        for query in ("on_error=skip&dry_run=true", "on_error=skip", ""):
            files = {"file": ("users.csv", file, "text/csv")}
            await client.post(f"/users/import?{query}", files=files)
    tried, done, refused = [one["details"] for one in await entries(served, "imported", 3)]
    assert (tried["state"], tried["dry_run"], tried["inserted"]) == ("checked", True, 1)
    assert done.pop("seconds") > 0
    assert done == {
        "query": "on_error=skip",
        "format": "csv",
        "dry_run": False,
        "state": "written",
        "bytes": len(file),
        "rows": 2,
        "inserted": 1,
        "updated": 0,
        "unchanged": 0,
        "failed": 1,
    }
    assert refused["state"] == "refused"


async def test_writes_of_many_are_written_down_with_how_many_these_were(served: Served) -> None:
    served.database["users"].insert_many([dict(user) for user in USERS])
    ann = served.add("ann", "editor")
    path = "/users/?age__gte=30&max_affected="
    async with served.client(**served.key(ann)) as client:
        for query, status in (("9&dry_run=true", 200), ("1", 409), ("9", 200)):
            answer = await client.patch(f"{path}{query}", json={"age": 41})
            assert answer.status_code == status
        assert (await client.delete(f"{path}9&name=bob&api_key__eq=marked")).status_code == 422
        assert (await client.delete(f"{path}9&name=bob")).json()["changed"] == 1
    async with served.client(Accept="text/html", Origin="http://localhost") as browser:
        await browser.post("/ui/sign-in", data={"username": "ann", "password": PASSWORD})
        answer = await browser.post("/ui/users/bulk/delete?name=ann", data={"number": "1"})
        assert answer.status_code == 200
    (changed,) = await entries(served, "documents changed")
    assert changed["details"].pop("seconds") > 0
    counts = {"matched": 2, "changed": 2, "failed": 0}
    query = "age__gte=30&max_affected=9"
    assert changed["details"] == {"query": query, "fields": ["age"], "state": "written", **counts}
    assert (changed["account"], changed["means"], changed["target"]) == ("ann", "key", "users")
    first, second = await entries(served, "documents deleted", 2)
    assert (first["means"], first["details"]["query"]) == ("key", f"{query}&name=bob")
    assert (second["means"], second["details"]["query"]) == ("session", "name=ann")
    for one in (first["details"], second["details"]):
        assert (one["state"], one["matched"], one["changed"], one["failed"]) == ("written", 1, 1, 0)
    assert "marked" not in str(list(served.database[AUDIT].find()))


async def test_changes_of_accounts_are_written_down_without_secrets(served: Served) -> None:
    root = served.database[ACCOUNTS].find_one({"name": "root"})["_id"]
    async with served.client(**served.key(root)) as client:
        body = {"name": "ann", "role": "viewer", "password": "a marked secret"}
        path = (await client.post("/auth/accounts/", json=body)).headers["location"]
        await client.patch(path, json={"role": "editor", "password": "another marked one"})
        await client.patch(path, json={"role": "editor"})  # which changes nothing
        await client.patch(path, json={"role": "nobody"})  # which is refused
        key = (await client.post("/auth/keys/", json={"name": "k", "scopes": ["read"]})).json()
        await client.delete(path)
    identifier = path.rpartition("/")[2]
    (made,) = await entries(served, "account made")
    details = {"id": identifier, "disabled": False, "role": "viewer"}
    assert (made["target"], made["details"]) == ("ann", details)
    (changed,) = await entries(served, "account changed")
    assert changed["details"] == {
        "id": identifier,
        "fields": ["password", "role"],
        "role": "editor",
    }
    assert [one["target"] for one in await entries(served, "account deleted")] == ["ann"]
    (told,) = await entries(served, "key made")
    assert told["details"] == {"id": key["id"], "scopes": ["read"]}
    stored = str(list(served.database[AUDIT].find()))
    for secret in ("marked", key["secret"], "argon2", "digest"):
        assert secret not in stored


async def test_the_audit_is_read_as_any_list_and_never_written(served: Served) -> None:
    root = served.database[ACCOUNTS].find_one({"name": "root"})["_id"]
    ann = served.add("ann", "viewer")
    async with served.client(**served.key(ann)) as client:
        await client.post("/auth/keys/", json={"name": "one"})
        await client.post("/auth/keys/", json={"name": "two"})
    async with served.client(**served.key(root)) as client:
        first = await client.get("/auth/audit/?account=ann&limit=1&count=exact")
        assert [one["target"] for one in first.json()] == ["two"]  # the newest first
        assert first.headers["x-total-count"] == "2"
        following = first.links["next"]["url"]
        assert [one["target"] for one in (await client.get(following)).json()] == ["one"]
        path = f"/auth/audit/{first.json()[0]['_id']}"
        assert (await client.get(path)).headers["etag"]
        sheet = await client.get("/auth/audit/export/csv?what=key+made&columns=account,target")
        assert sheet.text == "account,target\r\nann,one\r\nann,two\r\n"
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            for address in ("/auth/audit/", path):
                answer = await client.request(method, address, json={})
                assert answer.status_code == 405, (method, address)
    assert served.database[AUDIT].count_documents({"account": "ann"}) == 2


@pytest.mark.mongod
async def test_an_export_that_breaks_or_is_left_is_written_down(real: Served) -> None:
    real.database["users"].insert_many([dict(user) for user in USERS])
    ann = real.add("ann", "viewer")
    async with real.client(**real.key(ann)) as client:
        answer = await client.get("/users/export/csv?keyword=(")
        assert answer.status_code == 422
    (entry,) = await entries(real, "exported")
    assert entry["details"]["state"] == "failed"
    assert entry["details"]["sha256"] is None
