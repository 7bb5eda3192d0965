"""Keys as resources: one's own, told once, never more than their maker may do."""

import base64
import datetime
from typing import Any

import httpx
import pytest

from app.auth import documents
from app.resources.moments import now
from tests.support.accounts import KEYS, Served, answers


def basic_of(key: dict[str, Any]) -> dict[str, str]:
    """The header of HTTP Basic with a key that was just made."""
    credentials = base64.b64encode(f"{key['id']}:{key['secret']}".encode()).decode()
    return {"Authorization": f"Basic {credentials}"}


async def make(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post("/auth/keys/", json={"name": "for Excel", **body})


async def test_a_key_is_told_once_and_serves(served: Served) -> None:
    ann = served.add("ann", "editor")
    async with served.client(**served.key(ann)) as client:
        answer = await make(client)
        assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
        key = answer.json()
        assert answer.headers["location"] == f"/auth/keys/{key['id']}"
        assert key["id"].startswith("key_")
        assert key["_id"] == key["id"]
        assert (key["account"], key["scopes"], key["expires"]) == (str(ann), [], None)
        assert "digest" not in key
        shown = await client.get(answer.headers["location"])
        assert shown.headers["etag"]
        assert key["secret"] not in shown.text
        for path in ("/auth/keys/", "/auth/keys/export/ndjson"):
            text = (await client.get(path)).text
            assert key["id"] in text
            assert key["secret"] not in text
            assert "digest" not in text
        assert (await client.get("/auth/keys/?digest__exists=true")).status_code == 422
    stored = served.database[KEYS].find_one({"_id": key["id"]})
    assert key["secret"] not in str(stored)
    async with served.client(**basic_of(key)) as client:
        assert (await client.get("/users/")).status_code == 200
    bearer = {"Authorization": f"Bearer {key['id']}.{key['secret']}"}
    async with served.client(**bearer) as client:
        assert (await client.get("/users/")).status_code == 200
        last = await client.get(f"/auth/keys/{key['id']}")
        assert last.json()["last_used"] is not None


async def test_a_key_has_the_scopes_that_were_asked_for(served: Served) -> None:
    ann = served.add("ann", "editor")
    async with served.client(**served.key(ann)) as client:
        key = (await make(client, scopes=["users:read", "export", "users:read"])).json()
        assert key["scopes"] == ["users:read", "export"]  # each once
    async with served.client(**basic_of(key)) as client:
        assert (await client.get("/users/")).status_code == 200
        assert (await client.get("/students/")).status_code == 403
        assert (await client.get("/students/export/csv")).status_code == 200
        assert (await client.post("/users/", json={})).status_code == 403


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"scopes": ["raed"]}, 422, "#/scopes/0"),
        ({"scopes": ["read", "nobody:read"]}, 422, "#/scopes/1"),
        ({"scopes": ["read", "write"]}, 403, "#/scopes/1"),
        ({"scopes": ["read", "read", "write", "write"]}, 403, "#/scopes/2"),
        ({"scopes": ["read", "read", "raed"]}, 422, "#/scopes/2"),
        ({"scopes": ["admin"]}, 403, "#/scopes/0"),
        ({"scopes": ["metrics"]}, 403, "#/scopes/0"),
        ({"scopes": "read"}, 422, "#/scopes"),
        ({"name": ""}, 422, "#/name"),
        ({"expires": "2020-01-01T00:00:00Z"}, 422, "#/expires"),
        ({"expires": "soon"}, 422, "#/expires"),
        ({"digest": "00"}, 422, "#/digest"),
        ({"_id": "key_00"}, 422, "#/_id"),
        ({"created": "2020-01-01T00:00:00Z"}, 422, "#/created"),
    ],
)
async def test_what_a_key_can_not_be(
    served: Served, body: dict[str, Any], status: int, pointer: str
) -> None:
    ann = served.add("ann", "viewer")
    async with served.client(**served.key(ann)) as client:
        answer = await make(client, **body)
        assert answer.status_code == status
        assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]
    assert served.database[KEYS].count_documents({"name": "for Excel"}) == 0


async def test_a_key_writes_without_reading(served: Served) -> None:
    """What it writes is found by its `_id`, within the rules of the role, and shown as that."""
    rules = {"*": {"read": True, "create": True, "update": True, "import": True, "delete": True}}
    rules["users"] = {**rules["*"], "read": {"where": "age__lt=50"}}
    served.database["docsheet.roles"].insert_one({"name": "young", "rules": rules})
    people = [{"name": f"marked {age}", "email": f"{age}@example.com", "age": age}
              for age in (30, 40, 60)]  # fmt: skip
    young, other, old = served.database["users"].insert_many(people).inserted_ids
    clas = served.database["classes"].insert_one({"name": "marked class"}).inserted_id
    student = {"sno": 1001, "name": "Mark", "clas": str(clas)}
    ann, patch = served.add("ann", "young"), {"name": "other"}
    heard = []
    async with served.client(**served.key(ann, "write", "import")) as client:
        for method, path, body, status in (
            ("PATCH", f"/users/{young}", patch, 200),
            ("PATCH", f"/users/{young}", {"email": "40@example.com"}, 409),
            ("PATCH", f"/users/{old}", patch, 404),
            ("DELETE", f"/users/{old}", None, 404),
            ("PATCH", f"/users/?_id__in={young},{old}&max_affected=9", {"age": 31}, 200),
            ("PATCH", "/users/?name=other&max_affected=9", patch, 422),
            ("PUT", f"/users/{young}", {"name": "third"}, 200),
            ("POST", "/students/", student, 201),
            ("GET", f"/users/{young}", None, 403),
            ("GET", "/users/export/csv", None, 403),
            ("DELETE", f"/users/{other}", None, 204),
        ):
            answer = await client.request(method, path, json=body)
            assert answer.status_code == status, (method, path, answer.text)
            heard.append(answer.text)
        file = {"file": ("users.csv", f"_id,age\n{young},32\n{old},61\n", "text/csv")}
        answer = await client.post("/users/import?mode=update&on_error=skip", files=file)
        assert (answer.json()["updated"], answer.json()["failed"]) == (1, 1)
        heard.append(answer.text)
    assert heard[0] == f'{{"_id":"{young}"}}'
    assert "marked" not in "".join(heard)
    async with served.client(**served.key(ann, "students:read", "classes:write")) as client:
        assert (await client.get("/students/?expand=clas")).status_code == 422
        assert (await client.get("/students/?clas.name=x")).status_code == 422
        assert (await client.get("/students/")).json()[0]["clas"] == str(clas)
        assert (await client.get(f"/classes/{clas}/students")).status_code == 403
    stored = served.database["users"].find_one({"_id": young})
    assert (stored["name"], stored["email"], stored["age"]) == ("third", "30@example.com", 32)


async def test_a_key_with_fewer_scopes_makes_none_with_more(served: Served) -> None:
    ann = served.add("ann", "editor")
    async with served.client(**served.key(ann, "users:read", "export")) as client:
        assert (await make(client, scopes=["read"])).status_code == 403
        assert (await make(client, scopes=["users:write"])).status_code == 403
        less = (await make(client, scopes=["users:export"])).json()
        same = (await make(client)).json()
    assert less["scopes"] == ["users:export"]
    assert same["scopes"] == ["export", "users:read"]  # none asked for: those of its maker


async def test_a_key_hands_on_what_it_was_made_for_alone(served: Served) -> None:
    """Also while its account has no other scopes: it may have them again later."""
    ann = served.add("ann", "viewer")
    made_for = served.key(ann, "read", "export")
    async with served.client(**made_for) as client:
        made = (await make(client, name="another")).json()
        assert made["scopes"] == ["export", "read"]
    served.database["docsheet.accounts"].update_one({"_id": ann}, {"$set": {"role": "editor"}})
    header = {"Authorization": f"Bearer {made['id']}.{made['secret']}"}
    async with served.client(**header) as client:
        assert (await client.post("/users/", json={})).status_code == 403


async def test_a_key_of_which_nothing_is_left_makes_none(served: Served) -> None:
    """Its scopes are none by now, and none would be all that the account has."""
    viewer = served.add("ann", "viewer")
    async with served.client(**served.key(viewer, "import")) as client:
        assert (await client.get("/auth/me")).json()["scopes"] == []
        answer = await make(client, name="another")
    assert answer.status_code == 403, answer.text


async def test_a_key_is_cut_when_its_accounts_role_changes(served: Served) -> None:
    ann = served.add("ann", "editor")
    async with served.client(**served.key(ann)) as client:
        key = (await make(client, scopes=["read", "delete"])).json()
    served.database["docsheet.accounts"].update_one({"_id": ann}, {"$set": {"role": "viewer"}})
    async with served.client(**basic_of(key)) as client:
        await answers(client, "/users/", 200)
        await answers(client, "/auth/me", 200)
        answer = await client.delete("/users/6740f5b2c1f0a1b2c3d4e5f6")
        assert answer.status_code in (403, 404)


async def test_a_key_that_has_expired_serves_no_more(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = served.add("ann")
    later = now() + datetime.timedelta(hours=1)
    async with served.client(**served.key(ann)) as client:
        key = (await make(client, expires=later.isoformat())).json()
    async with served.client(**basic_of(key)) as client:
        assert (await client.get("/users/")).status_code == 200
        monkeypatch.setattr(documents, "now", lambda: later + datetime.timedelta(seconds=1))
        await answers(client, "/users/", 401)


async def test_a_key_that_expires_makes_nothing_that_lasts_longer(served: Served) -> None:
    ann = served.add("ann")
    moment = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    end = moment + datetime.timedelta(days=1)
    later = (moment + datetime.timedelta(days=2)).isoformat()
    sooner = (moment + datetime.timedelta(hours=1)).isoformat()
    header = served.key(ann, expires=end)
    identifier = header["Authorization"].removeprefix("Bearer ").partition(".")[0]
    async with served.client(**header) as client:
        same = (await make(client)).json()
        assert same["expires"] == end.isoformat().replace("+00:00", "Z")
        assert (await make(client, expires=sooner)).status_code == 201
        refused = [
            await make(client, expires=later),
            await client.patch(f"/auth/keys/{identifier}", json={"expires": later}),
            await client.patch(f"/auth/keys/{same['id']}", json={"expires": None}),
        ]
        for answer in refused:
            assert answer.status_code == 403
            assert answer.json()["errors"][0]["pointer"] == "#/expires"
        renamed = await client.patch(f"/auth/keys/{identifier}", json={"name": "other"})
        assert renamed.status_code == 200
        shared = {"address": "/users/export/csv"}
        made = (await client.post("/auth/shares/", json=shared)).json()
        assert made["expires"] == same["expires"]
        longer = await client.post("/auth/shares/", json={**shared, "expires_in": 3 * 24 * 3600})
        assert longer.status_code == 403
        assert longer.json()["errors"][0]["pointer"] == "#/expires_in"


# --- whose ---------------------------------------------------------------------------------------


async def test_nobody_sees_or_ends_the_keys_of_others(served: Served) -> None:
    ann, bob = served.add("ann", "editor"), served.add("bob", "editor")
    async with served.client(**served.key(bob)) as client:
        key = (await make(client)).json()
        path = f"/auth/keys/{key['id']}"
    async with served.client(**served.key(ann)) as client:
        listed = (await client.get("/auth/keys/?limit=100")).json()
        assert {one["account"] for one in listed} == {str(ann)}
        assert key["id"] not in (await client.get("/auth/keys/export/csv?columns=_id")).text
        assert (await client.get(f"/auth/keys/?account={bob}")).json() == []
        assert (await client.get("/auth/keys/?account.name=bob")).status_code == 422
        assert (await client.get("/auth/keys/?expand=account")).status_code == 422
        assert (await client.get(path)).status_code == 404
        assert (await client.delete(path)).status_code == 404
        assert (await client.patch(path, json={"name": "mine"})).status_code == 404
        taken = await make(client, account=str(bob))
        assert (taken.status_code, taken.json()["errors"][0]["pointer"]) == (403, "#/account")
    async with served.client(**basic_of(key)) as client:
        assert (await client.get("/users/")).status_code == 200


async def test_a_key_with_fewer_scopes_ends_and_changes_none(served: Served) -> None:
    ann = served.add("ann", "editor")
    async with served.client(**served.key(ann)) as client:
        key = (await make(client)).json()
    async with served.client(**served.key(ann, "read", "write")) as client:
        assert (await client.get(f"/auth/keys/{key['id']}")).status_code == 200
        for method in ("PATCH", "DELETE"):
            answer = await client.request(method, f"/auth/keys/{key['id']}", json={"name": "x"})
            assert answer.status_code == 403
            assert "all scopes of the account" in answer.json()["detail"]


async def test_ones_own_key_is_renamed_and_ended(served: Served) -> None:
    ann = served.add("ann")
    async with served.client(**served.key(ann)) as client:
        key = (await make(client)).json()
        path = f"/auth/keys/{key['id']}"
        assert (await client.patch(path, json={"name": "old"})).json()["name"] == "old"
        assert (await client.put(path, json={"name": "old"})).status_code == 405
        for change in ({"scopes": ["admin"]}, {"account": "f" * 24}, {"digest": "0"}):
            assert (await client.patch(path, json=change)).status_code in (403, 422), change
        assert (await client.delete(path)).status_code == 204
        assert (await client.get(path)).status_code == 404
    async with served.client(**basic_of(key)) as client:
        await answers(client, "/users/", 401)


async def test_an_administrator_makes_and_ends_the_keys_of_others(served: Served) -> None:
    ann = served.add("ann", "viewer")
    root = served.database["docsheet.accounts"].find_one({"name": "root"})["_id"]
    async with served.client(**served.key(root)) as client:
        key = (await make(client, account=str(ann))).json()
        assert (key["account"], key["scopes"]) == (str(ann), [])
        named = await client.get("/auth/keys/?account.name=ann&expand=account&fields=account")
        assert [one["account"]["name"] for one in named.json()] == ["ann"]
        for unknown in ("6740f5b2c1f0a1b2c3d4e5f6", "ann"):
            answer = await make(client, account=unknown, scopes=["read"])
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/account")
        for scope in ("users:update", "admin"):
            answer = await make(client, account=str(ann), scopes=["read", scope])
            place = answer.json()["errors"][0]["pointer"]
            assert (answer.status_code, place) == (403, "#/scopes/1")
        fewer = (await make(client, account=str(ann), scopes=["users:read"])).json()
        assert fewer["scopes"] == ["users:read"]
    async with served.client(**basic_of(key)) as client:
        assert (await client.get("/users/")).status_code == 200
        assert (await client.get("/auth/accounts/")).status_code == 403
        assert (await client.post("/users/", json={})).status_code == 403
    async with served.client(**served.key(root)) as client:
        assert (await client.delete(f"/auth/keys/{key['id']}")).status_code == 204
