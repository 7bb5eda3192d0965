"""Accounts and roles as resources: who may change them, and what must be true after it."""

import asyncio
import datetime
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.auth.documents import now
from tests.support.accounts import (
    ACCOUNTS,
    KEYS,
    PASSWORD,
    Served,
    answers,
    basic,
    serve,
    serve_again,
)

RULES = {"users": {"read": {"where": "name={account.name}"}, "export": True}}


@pytest.fixture
async def root(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the administrator."""
    identifier = served.database[ACCOUNTS].find_one({"name": "root"})["_id"]
    async with served.client(**served.key(identifier)) as client:
        yield client


def key_of(served: Served, name: str) -> str:
    return str(served.database[ACCOUNTS].find_one({"name": name})["_id"])


def pointers(answer: httpx.Response) -> list[str]:
    return [one["pointer"] for one in answer.json()["errors"]]


async def test_an_account_is_made_shown_changed_and_deleted(
    served: Served, root: httpx.AsyncClient
) -> None:
    sent = {
        "name": "ann",
        "role": "viewer",
        "attributes": {"clas": "1a", "classes": ["1a", "1b"]},
        "password": PASSWORD,
    }
    made = await root.post("/auth/accounts/", json=sent)
    assert made.status_code == 201
    shown = made.json()
    assert shown.pop("created").endswith("Z")
    assert shown == {
        "_id": key_of(served, "ann"),
        "name": "ann",
        "role": "viewer",
        "attributes": {"clas": "1a", "classes": ["1a", "1b"]},
        "disabled": False,
        "last_seen": None,
    }
    path = made.headers["location"]
    assert path == f"/auth/accounts/{shown['_id']}"
    async with served.client(**basic("ann")) as ann:
        assert (await ann.get("/users/")).status_code == 200
        assert (await ann.post("/users/", json={})).status_code == 403
    changed = await root.patch(path, json={"role": "editor"}, headers={"If-Match": "*"})
    assert (changed.status_code, changed.json()["role"]) == (200, "editor")
    listed = await root.get("/auth/accounts/?role=editor&fields=name&count=exact")
    assert [one["name"] for one in listed.json()] == ["ann"]
    assert listed.headers["x-total-count"] == "1"
    assert (await root.delete(path)).status_code == 204
    assert (await root.get(path)).status_code == 404
    async with served.client(**basic("ann")) as ann:
        await answers(ann, "/users/", 401)


async def test_a_password_is_written_and_never_shown(
    served: Served, root: httpx.AsyncClient
) -> None:
    sent = {"name": "ann", "role": "viewer", "password": PASSWORD}
    path = (await root.post("/auth/accounts/", json=sent)).headers["location"]
    stored = served.database[ACCOUNTS].find_one({"name": "ann"})["password"]
    assert stored.startswith("$argon2id$")
    for address in (path, "/auth/accounts/", "/auth/accounts/export/ndjson"):
        shown = (await root.get(address)).text
        assert "ann" in shown
        assert "password" not in shown
        assert "argon2" not in shown
    for query in ("password__exists=true", "sort=password", "fields=password"):
        assert (await root.get(f"/auth/accounts/?{query}")).status_code == 422
    assert (await root.get("/auth/accounts/export/csv?columns=password")).status_code == 422
    put = await root.put(path, json={"name": "ann", "role": "viewer"})
    assert put.status_code == 200
    assert served.database[ACCOUNTS].find_one({"name": "ann"})["password"] == stored
    short = await root.patch(path, json={"password": "short"})
    assert (short.status_code, pointers(short)) == (422, ["#/password"])
    assert "short" not in short.text.replace("shorter", "")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"role": "nobody"}, "#/role"),
        ({"role": "Admin"}, "#/role"),
        ({"role": None}, "#/role"),
        ({"name": "a:b"}, "#/name"),
        ({"name": "key_1"}, "#/name"),
        ({"name": ""}, "#/name"),
        ({"nmae": "x"}, "#/nmae"),
        ({"disabled": "perhaps"}, "#/disabled"),
        ({"attributes": []}, "#/attributes"),
    ],
)
async def test_what_an_account_can_not_be(
    served: Served, root: httpx.AsyncClient, change: dict[str, Any], pointer: str
) -> None:
    served.add("ann")
    answer = await root.patch(f"/auth/accounts/{key_of(served, 'ann')}", json=change)
    assert (answer.status_code, pointers(answer)) == (422, [pointer])
    answer = await root.post("/auth/accounts/", json={"name": "bob", "role": "viewer", **change})
    assert answer.status_code == 422
    assert pointer in pointers(answer)


async def test_fields_that_nobody_sets_by_hand(served: Served, root: httpx.AsyncClient) -> None:
    served.add("ann")
    path = f"/auth/accounts/{key_of(served, 'ann')}"
    for change in (
        {"created": "2020-01-01T00:00:00Z"},
        {"last_seen": "2020-01-01T00:00:00Z"},
    ):
        name = next(iter(change))
        body = {"name": "bob", "role": "viewer", **change}
        for refused in (
            await root.patch(path, json=change),
            await root.put(path, json=body),
            await root.post("/auth/accounts/", json=body),
        ):
            assert (refused.status_code, pointers(refused)) == (422, [f"#/{name}"])


async def test_what_was_read_can_be_sent_back_though_it_was_seen_meanwhile(
    served: Served, root: httpx.AsyncClient
) -> None:
    ann = served.add("ann", created=now() - datetime.timedelta(hours=1))
    headers = served.key(ann, expires=now() + datetime.timedelta(hours=1))
    identifier = headers["Authorization"].split()[1].partition(".")[0]
    paths = {f"/auth/accounts/{ann}": "last_seen", f"/auth/keys/{identifier}": "last_used"}
    read = {path: (await root.get(path)).json() for path in paths}
    async with served.client(**headers) as client:
        assert (await client.get("/auth/me")).status_code == 200
    for path, noted in paths.items():
        assert read[path].get(noted) is None
        seen = (await root.get(path)).json()
        assert seen[noted] is not None
        old = {**read[path], noted: "2999-01-01T00:00:00Z"}
        for whole in (read[path], {**read[path], noted: None}, seen):
            send = [root.patch] if "keys" in path else [root.patch, root.put]
            for method in send:
                answer = await method(path, json={**whole, "name": "anna"})
                assert answer.status_code == 200, answer.text
                assert answer.json() == {**seen, "name": "anna"}
        for method in send:
            answer = await method(path, json=old)
            assert (answer.status_code, pointers(answer)) == (422, [f"#/{noted}"])
    for change in ({"scopes": ["read"]}, {"account": "0" * 24}, {"digest": "x"}):
        answer = await root.patch(f"/auth/keys/{identifier}", json=change)
        assert (answer.status_code, pointers(answer)) == (422, [f"#/{next(iter(change))}"])


async def test_two_names_are_the_same_without_regard_to_case(real: Served) -> None:
    real.add("Ann")
    identifier = real.database[ACCOUNTS].find_one({"name": "root"})["_id"]
    async with real.client(**real.key(identifier)) as root:
        answer = await root.post("/auth/accounts/", json={"name": "aNN", "role": "viewer"})
        assert answer.status_code == 409
        answer = await root.patch(f"/auth/accounts/{key_of(real, 'root')}", json={"name": "ANN"})
        assert answer.status_code == 409


# --- who may -------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["viewer", "editor", "everything"])
async def test_only_administrators_see_or_change_accounts_and_roles(
    served: Served, root: httpx.AsyncClient, role: str
) -> None:
    every = dict.fromkeys(("read", "create", "update", "delete", "export", "import"), True)
    served.database["docsheet.roles"].insert_one(
        {
            "name": "everything",
            "rules": {"*": every, "auth/accounts": every, "docsheet.accounts": every},
        }
    )
    ann = served.add("ann", role)
    path = f"/auth/accounts/{ann}"
    made = await root.post("/auth/roles/", json={"name": "other", "rules": RULES})
    asked = [
        ("GET", "/auth/accounts/", None),
        ("GET", path, None),
        ("GET", "/auth/accounts/export/csv", None),
        ("POST", "/auth/accounts/", {"name": "bob", "role": "admin"}),
        ("PUT", path, {"name": "ann", "role": "admin"}),
        ("PATCH", path, {"role": "admin"}),
        ("PATCH", path, {"attributes": {"clas": "all"}}),
        ("PATCH", path, {"name": "ann"}),
        ("DELETE", path, None),
        ("GET", "/auth/roles/", None),
        ("POST", "/auth/roles/", {"name": "mine", "rules": {"*": {"read": True}}}),
        ("PATCH", made.headers["location"], {"rules": {"*": {"read": True}}}),
        ("DELETE", made.headers["location"], None),
        ("GET", "/auth/audit/", None),
        ("GET", "/auth/audit/export/csv", None),
    ]
    async with served.client(**served.key(ann)) as client:
        for method, address, body in asked:
            answer = await client.request(method, address, json=body)
            assert answer.status_code == 403, (method, address)
            assert "the scope admin" in answer.json()["detail"]
    assert served.database[ACCOUNTS].find_one({"name": "ann"})["role"] == role


async def test_a_key_of_an_administrator_with_fewer_scopes_is_none(served: Served) -> None:
    identifier = served.database[ACCOUNTS].find_one({"name": "root"})["_id"]
    async with served.client(**served.key(identifier, "read", "write")) as client:
        assert (await client.get("/users/")).status_code == 200
        assert (await client.get("/auth/accounts/")).status_code == 403
        answer = await client.patch(f"/auth/accounts/{identifier}", json={"disabled": True})
        assert answer.status_code == 403


async def test_accounts_are_not_written_many_at_once_nor_imported(
    served: Served, root: httpx.AsyncClient
) -> None:
    served.add("ann")
    query = "?name__startswith=a&max_affected=9"
    for method in ("PATCH", "DELETE"):
        answer = await root.request(method, f"/auth/accounts/{query}", json={"role": "admin"})
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    answer = await root.post("/auth/accounts/import", files={"file": ("a.csv", b"name\nx\n")})
    assert answer.status_code == 405
    answer = await root.post("/auth/accounts/", json=[{"name": "bob", "role": "viewer"}])
    assert answer.status_code == 422
    assert served.database[ACCOUNTS].count_documents({}) == 2


# --- roles ---------------------------------------------------------------------------------------


async def test_a_role_is_a_document_that_can_be_true(
    served: Served, root: httpx.AsyncClient
) -> None:
    made = await root.post("/auth/roles/", json={"name": "self", "rules": RULES})
    assert made.status_code == 201
    assert made.json() == {"_id": made.json()["_id"], "name": "self", "rules": RULES}
    path = made.headers["location"]
    wrong = {"users": {"read": {"where": "nmae={account.name}"}}}
    for answer in (
        await root.patch(path, json={"rules": wrong}),
        await root.put(path, json={"name": "self", "rules": wrong}),
        await root.post("/auth/roles/", json={"name": "other", "rules": wrong}),
    ):
        assert answer.status_code == 422
        assert pointers(answer) == ["#/rules/users/read/where"]
    for name in ("admin", "Viewer", "EDITOR"):
        answer = await root.post("/auth/roles/", json={"name": name, "rules": {}})
        assert (answer.status_code, pointers(answer)) == (422, ["#/name"])
    people = [{"name": name, "email": f"{name}@example.com"} for name in ("ann", "bob")]
    served.database["users"].insert_many(people)
    ann = served.add("ann", "self")
    async with served.client(**served.key(ann)) as client:
        assert [one["name"] for one in (await client.get("/users/")).json()] == ["ann"]
        assert (await client.get("/students/")).status_code == 403


async def test_a_role_has_no_pattern_that_mongodb_refuses(real: Served) -> None:
    async with real.client(**await real.bearer("root")) as root:
        fine = {"users": {"read": {"where": "name__regex=^a(b|c)", "hide": ["age"]}}}
        made = await root.post("/auth/roles/", json={"name": "self", "rules": fine})
        assert made.status_code == 201
        path = made.headers["location"]
        for where in ("keyword=(", "name__regex=[a", "clas.name__regex=*", "name=x&keyword=a{2,1}"):
            resource = "students" if "clas" in where else "users"
            wrong = {resource: {"update": {"where": where}}}
            for answer in (
                await root.patch(path, json={"rules": wrong}),
                await root.put(path, json={"name": "self", "rules": wrong}),
                await root.post("/auth/roles/", json={"name": "other", "rules": wrong}),
            ):
                assert answer.status_code == 422
                assert pointers(answer) == [f"#/rules/{resource}/update/where"]
                assert "MongoDB refuses this regular expression (" in answer.json()["detail"]
        assert (await root.get(path)).json()["rules"] == fine


async def test_a_role_that_accounts_have_stays(served: Served, root: httpx.AsyncClient) -> None:
    made = await root.post("/auth/roles/", json={"name": "self", "rules": RULES})
    path = made.headers["location"]
    ann = served.add("ann", "self")
    for answer in (
        await root.delete(path),
        await root.patch(path, json={"name": "selves"}),
        await root.put(path, json={"name": "selves", "rules": RULES}),
    ):
        assert answer.status_code == 409
        assert answer.json()["detail"].startswith("1 account has this role")
    assert (await root.patch(path, json={"rules": {"*": {}}})).status_code == 200
    assert (await root.delete(path, headers={"If-Match": '"x"'})).status_code == 412
    await root.patch(f"/auth/accounts/{ann}", json={"role": "viewer"})
    assert (await root.delete(path)).status_code == 204


async def test_a_change_counts_at_once_where_it_is_made(
    served: Served, root: httpx.AsyncClient
) -> None:
    rules = {"users": {"read": True, "export": True}}
    role = await root.post("/auth/roles/", json={"name": "other", "rules": rules})
    ann = served.add("ann", "other")
    account = f"/auth/accounts/{ann}"
    async with served.client(**served.key(ann)) as client:
        assert (await client.get("/users/")).status_code == 200
        await root.patch(role.headers["location"], json={"rules": {"users": None}})
        assert (await client.get("/users/")).status_code == 403
        await root.patch(account, json={"role": "viewer"})
        assert (await client.get("/users/")).status_code == 200
        key = (await client.post("/auth/keys/", json={"name": "k"})).json()
        bearer = {"Authorization": f"Bearer {key['id']}.{key['secret']}"}
        assert (await client.get("/users/", headers=bearer)).status_code == 200
        await client.delete(f"/auth/keys/{key['id']}")
        assert (await client.get("/users/", headers=bearer)).status_code == 401
        await root.patch(account, json={"disabled": True})
        assert (await client.get("/users/")).status_code == 401
        await root.patch(account, json={"disabled": False})
        assert (await client.get("/users/")).status_code == 200
        await root.delete(account)
        assert (await client.get("/users/")).status_code == 401


@pytest.mark.mongod
async def test_a_rule_that_is_not_true_any_more_is_closed_and_the_start_says_so(
    mongo_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    rule = {"delete": True, "export": True}
    rules = {"users": {"read": {"hide": ["gone"]}, **rule}}
    others = {"users": {"read": {"where": "keyword=("}, **rule}}
    async with serve(mongo_uri) as one:
        stored = [{"name": "old", "rules": rules}, {"name": "odd", "rules": others}]
        one.database["docsheet.roles"].insert_many(stored)
        ann, bob = one.add("ann", "old"), one.add("bob", "odd")
        async with serve_again(one, mongo_uri) as two:
            for headers in (one.key(ann), one.key(bob)):
                async with two.client(**headers) as client:
                    assert (await client.get("/users/")).status_code == 403
                    assert (await client.get("/users/export/csv")).status_code == 403
                    me = (await client.get("/auth/me")).json()
                    assert me["scopes"] == ["users:delete"]
    old, odd = [one.getMessage() for one in caplog.records if one.name == "docsheet.auth"]
    assert old == "The role 'old' is closed at #/rules/users/read/hide/0: There is no field 'gone'."
    said = "The role 'odd' is closed at #/rules/users/read/where: MongoDB refuses this regular"
    assert odd.startswith(said)


# --- the last administrator ----------------------------------------------------------------------


async def test_the_last_administrator_stays(served: Served, root: httpx.AsyncClient) -> None:
    path = f"/auth/accounts/{key_of(served, 'root')}"
    served.add("off", "admin", disabled=True)  # a disabled one is none
    for answer in (
        await root.delete(path),
        await root.patch(path, json={"disabled": True}),
        await root.patch(path, json={"role": "editor"}),
        await root.put(path, json={"name": "root", "role": "viewer"}),
    ):
        assert answer.status_code == 409
        assert "the last administrator" in answer.json()["detail"]
    assert (await root.patch(path, json={"attributes": {"a": 1}})).status_code == 200
    served.add("second", "admin")
    assert (await root.patch(path, json={"role": "editor"})).status_code == 200
    stored = served.database[ACCOUNTS]
    assert [one["name"] for one in stored.find({"role": "admin", "disabled": False})] == ["second"]


@pytest.mark.mongod
async def test_two_administrators_at_once_can_not_remove_each_other(mongo_uri: str) -> None:
    async with serve(mongo_uri) as one, serve_again(one, mongo_uri) as two:
        accounts = one.database[ACCOUNTS]
        for attempt in range(4):
            accounts.update_many({}, {"$set": {"role": "admin", "disabled": False}})
            for name in ("root", "second"):
                if accounts.find_one({"name": name}) is None:
                    one.add(name, "admin")
            ids = {name: accounts.find_one({"name": name})["_id"] for name in ("root", "second")}
            headers = {name: one.key(key) for name, key in ids.items()}
            async with (
                one.client(**headers["root"]) as root,
                two.client(**headers["second"]) as second,
            ):
                answers = await asyncio.gather(
                    _remove(root, ids["second"], attempt), _remove(second, ids["root"], attempt)
                )
            won, lost = sorted(one.status_code for one in answers)
            assert won in (200, 204)
            assert lost in (409, 401, 403)  # 401 and 403 where it is no administrator by then
            assert accounts.count_documents({"role": "admin", "disabled": False}) == 1


async def _remove(client: httpx.AsyncClient, key: Any, attempt: int) -> httpx.Response:
    path = f"/auth/accounts/{key}"
    if attempt == 0:
        return await client.delete(path)
    changes = [{"role": "viewer"}, {"disabled": True}, {"role": "editor"}]
    return await client.patch(path, json=changes[attempt - 1])


@pytest.mark.mongod
async def test_a_role_does_not_go_while_an_account_gets_it(mongo_uri: str) -> None:
    async with serve(mongo_uri) as one, serve_again(one, mongo_uri) as two:
        identifier = one.database[ACCOUNTS].find_one({"name": "root"})["_id"]
        ann = one.add("ann")
        header = one.key(identifier)
        async with one.client(**header) as first, two.client(**header) as second:
            for _ in range(4):
                made = await first.post("/auth/roles/", json={"name": "self", "rules": RULES})
                given, deleted = await asyncio.gather(
                    first.patch(f"/auth/accounts/{ann}", json={"role": "self"}),
                    second.delete(made.headers["location"]),
                )
                there = one.database["docsheet.roles"].find_one({"name": "self"}) is not None
                has = one.database[ACCOUNTS].find_one({"_id": ann})["role"] == "self"
                statuses = (given.status_code, deleted.status_code)
                assert (statuses, there, has) in (
                    ((200, 409), True, True),
                    ((422, 204), False, False),
                )
                await first.patch(f"/auth/accounts/{ann}", json={"role": "viewer"})
                await first.delete(made.headers["location"])


# --- what goes with an account -------------------------------------------------------------------


async def test_keys_and_shares_go_with_their_account(
    served: Served, root: httpx.AsyncClient
) -> None:
    ann, bob = served.add("ann"), served.add("bob")
    async with served.client(**served.key(ann)) as client:
        shared = await client.post("/auth/shares/", json={"address": "/users/export/csv"})
        url = shared.json()["url"]
    served.key(bob)
    async with served.client() as anyone:
        assert (await anyone.get(url)).status_code == 200
        assert (await root.delete(f"/auth/accounts/{ann}")).status_code == 204
        assert (await anyone.get(url)).status_code == 410
    owners = {one["account"].id for one in served.database[KEYS].find({})}
    assert ann not in owners
    assert bob in owners
    assert served.database["docsheet.shares"].count_documents({}) == 0
