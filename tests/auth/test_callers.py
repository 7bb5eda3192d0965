"""Who calls: by Basic, by a key, by a cookie; and what is open to everyone."""

import asyncio
import base64
import datetime
from typing import Any

import bson
import httpx
import pytest

from app.auth.keys import digest, make_id, make_secret
from app.auth.sessions import COOKIE
from app.resources.moments import now
from tests.support.accounts import ADDRESS, PASSWORD, Served, basic

ORIGIN = {"Origin": ADDRESS}


@pytest.mark.parametrize("path", ["/users/", "/", "/nowhere", "/users/export/csv", "/auth/me"])
async def test_nobody_gets_in_without_an_account(served: Served, path: str) -> None:
    async with served.client() as client:
        answer = await client.get(path)
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers.get_list("WWW-Authenticate") == [
        'Bearer realm="docsheet"',
        'Basic realm="docsheet", charset="UTF-8"',
    ]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/docs", "/openapi.json", "/ui/sign-in"])
async def test_what_is_open_needs_no_caller(served: Served, path: str) -> None:
    async with served.client() as client:
        assert (await client.get(path)).status_code == 200
        answer = await client.get(path, headers={"Authorization": "Bearer nonsense"})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("mode", "schemes"), [("navigate", ["Bearer", "Basic"]), ("cors", ["Bearer"])]
)
async def test_a_script_is_not_asked_for_basic(
    served: Served, mode: str, schemes: list[str]
) -> None:
    """A browser would open its own window for the password."""
    async with served.client() as client:
        answer = await client.get("/users/", headers={"Sec-Fetch-Mode": mode})
    challenges = answer.headers.get_list("WWW-Authenticate")
    assert [challenge.split()[0] for challenge in challenges] == schemes


@pytest.mark.parametrize(
    "given",
    [
        "Basic", "Basic !!!", "Basic " + base64.b64encode(b"\xff:x").decode(), "Bearer",
        "Bearer ..", "Digest x", "nonsense", "Bearer key_1", "Bearer key_1.x",
        "Basic " + base64.b64encode(b"root").decode(),
    ],
)  # fmt: skip
async def test_broken_credentials_are_refused(served: Served, given: str) -> None:
    async with served.client() as client:
        answer = await client.get("/users/", headers={"Authorization": given})
    assert answer.status_code == 401


async def test_a_name_and_a_password_serve_by_basic(served: Served) -> None:
    async with served.client() as client:
        assert (await client.get("/users/", headers=basic("root"))).status_code == 200
        assert (await client.get("/users/", headers=basic("Root"))).status_code == 200
        wrong = await client.get("/users/", headers=basic("root", "wrong horse"))
        assert wrong.status_code == 401
        shown = (await client.get("/auth/me", headers=basic("root"))).json()
    assert shown["name"] == "root"
    assert shown["means"] == "password"


async def test_a_right_password_is_checked_once_a_minute(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    monkeypatch.setattr("app.auth.sign_in.is_right", counting(checked))
    async with served.client() as client:
        asked = [client.get("/users/", headers=basic("root")) for _ in range(20)]
        answers = await asyncio.gather(*asked)
        assert {answer.status_code for answer in answers} == {200}
        assert len(checked) == 1
        await client.get("/users/", headers=basic("root", "wrong horse"))
        await client.get("/users/", headers=basic("root", "wrong horse"))
        assert len(checked) == 3


def counting(checked: list[str]) -> Any:
    from app.auth.passwords import is_right

    async def check(password: str, stored: str | None) -> bool:
        checked.append(password)
        return await is_right(password, stored)

    return check


# --- keys ---


def add_key(served: Served, account: Any, **more: Any) -> tuple[str, str]:
    identifier, secret = make_id(), make_secret()
    link = bson.DBRef("docsheet.accounts", account)
    document = {"_id": identifier, "name": "a key", "account": link, "digest": digest(secret)}
    served.database["docsheet.keys"].insert_one({**document, "scopes": [], **more})
    return identifier, secret


def ways_of(identifier: str, secret: str) -> list[dict[str, str]]:
    bearer = {"Authorization": f"Bearer {identifier}.{secret}"}
    return [basic(identifier, secret), bearer]


async def test_a_key_serves_by_basic_and_as_a_bearer(served: Served) -> None:
    identifier, secret = add_key(served, served.add("anna"))
    async with served.client() as client:
        for header in ways_of(identifier, secret):
            shown = await client.get("/auth/me", headers=header)
            assert shown.status_code == 200
            assert (shown.json()["name"], shown.json()["means"]) == ("anna", "key")
        for header in ways_of(identifier, secret + "x") + ways_of(make_id(), secret):
            assert (await client.get("/users/", headers=header)).status_code == 401
    used = served.database["docsheet.keys"].find_one({"_id": identifier})["last_used"]
    assert used is not None


async def test_a_key_has_the_scopes_that_it_was_made_with(served: Served) -> None:
    root = served.database["docsheet.accounts"].find_one({"name": "root"})["_id"]
    key = add_key(served, root, scopes=["users:read"])
    async with served.client() as client:
        shown = await client.get("/auth/me", headers=ways_of(*key)[0])
    assert shown.json()["scopes"] == ["users:read"]


async def test_a_key_that_is_over_or_of_a_disabled_account_serves_not(served: Served) -> None:
    past = now() - datetime.timedelta(seconds=1)
    over = add_key(served, served.add("anna"), expires=past)
    disabled = add_key(served, served.add("bert", disabled=True))
    orphan = add_key(served, bson.ObjectId())
    async with served.client() as client:
        for key in (over, disabled, orphan):
            answer = await client.get("/users/", headers=ways_of(*key)[0])
            assert answer.status_code == 401


# --- the cookie ---


async def sign_in(
    client: httpx.AsyncClient, name: str = "root", password: str = PASSWORD
) -> httpx.Response:
    form = {"username": name, "password": password}
    return await client.post("/ui/sign-in", data=form, headers=ORIGIN)


async def test_the_page_signs_in_and_out(served: Served) -> None:
    async with served.client() as client:
        assert "<form" in (await client.get("/ui/sign-in?next=/users/")).text
        answer = await sign_in(client)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/")
        cookie = answer.headers["Set-Cookie"]
        assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
        assert "Secure" not in cookie
        assert (await client.get("/users/")).status_code == 200
        kept = dict(client.cookies)
        out = await client.post("/ui/sign-out", headers=ORIGIN)
        assert (out.status_code, out.headers["Location"]) == (303, "/ui/sign-in")
        client.cookies.update(kept)
        assert (await client.get("/users/")).status_code == 401


async def test_the_cookie_is_secure_over_https(served: Served) -> None:
    async with served.client() as client:
        client.base_url = httpx.URL("https://localhost")
        answer = await client.post(
            "/ui/sign-in",
            data={"username": "root", "password": PASSWORD},
            headers={"Origin": "https://localhost"},
        )
    assert "Secure" in answer.headers["Set-Cookie"].split("; ")


async def test_a_wrong_password_shows_the_form_again(served: Served) -> None:
    async with served.client() as client:
        answer = await sign_in(client, '"><script>', "wrong horse")
    assert answer.status_code == 400
    assert "There is no account with this name and this password." in answer.text
    assert "<script>" not in answer.text
    assert "horse" not in answer.text
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("origin", [{}, {"Origin": "https://evil.example"}, {"Origin": "null"}])
async def test_a_write_by_the_cookie_needs_a_page_of_our_own(
    served: Served, origin: dict[str, str]
) -> None:
    async with served.client() as client:
        await sign_in(client)
        user = {"name": "A", "email": "a@example.com"}
        assert (await client.post("/users/", json=user, headers=ORIGIN)).status_code == 201
        for method, path in (("POST", "/users/"), ("PATCH", "/users/?name=A")):
            answer = await client.request(method, path, json=user, headers=origin)
            assert answer.status_code == 403
            assert answer.json()["errors"][0]["header"] == "Origin"
        foreign = await client.post("/ui/sign-out", headers=origin)
        assert foreign.status_code == 403
        assert (await client.get("/users/", headers=origin)).status_code == 200
        form = {"username": "root", "password": PASSWORD}
        assert (await client.post("/ui/sign-in", data=form, headers=origin)).status_code == 403


async def test_a_page_that_cors_allows_does_not_write_by_the_cookie(mongo_uri: str) -> None:
    from tests.support.accounts import serve

    async with serve(CORS_ORIGINS="https://app.example") as served, served.client() as client:
        await sign_in(client)
        origin = {"Origin": "https://app.example"}
        answer = await client.post("/users/", json={}, headers=origin)
        assert answer.status_code == 403
        refused = await client.get("/users/", headers={**origin, "Cookie": ""})
        assert refused.headers["Access-Control-Allow-Origin"] == "https://app.example"
        wish = {**origin, "Access-Control-Request-Method": "POST"}
        client.cookies.clear()
        assert (await client.options("/users/", headers=wish)).status_code == 200


async def test_a_session_that_was_idle_for_long_is_over(served: Served) -> None:
    sessions = served.database["docsheet.sessions"]
    async with served.client() as client:
        await sign_in(client)
        hours = datetime.timedelta(hours=11, minutes=59)
        sessions.update_many({}, {"$set": {"used": now() - hours}})
        assert (await client.get("/users/")).status_code == 200
        used = sessions.find_one()["used"].replace(tzinfo=datetime.UTC)
        assert now() - used < datetime.timedelta(minutes=1)
        sessions.update_many({}, {"$set": {"used": now() - hours - hours}})
        assert (await client.get("/users/")).status_code == 401


async def test_the_database_has_no_cookie_and_no_token(served: Served) -> None:
    tokens = await served.sign_in("root")
    async with served.client() as client:
        await sign_in(client)
        cookie = client.cookies[COOKIE]
    stored = str(
        [list(served.database[name].find()) for name in served.database.list_collection_names()]
    )
    for secret in (
        cookie,
        PASSWORD,
        tokens["access_token"],
        *tokens["refresh_token"].split(".")[1:],
    ):
        assert secret not in stored


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "https://evil.example", "x"])
async def test_the_page_goes_on_within_this_server(served: Served, path: str) -> None:
    async with served.client() as client:
        answer = await client.get("/ui/sign-in", params={"next": path})
        assert answer.status_code == 422
        form = {"username": "root", "password": PASSWORD}
        there = await client.post("/ui/sign-in?next=/users/%3Fa=b", data=form, headers=ORIGIN)
        assert there.headers["Location"] == "/users/?a=b"


# --- one's own password ---


async def test_another_password_ends_all_the_others(served: Served) -> None:
    served.add("anna")
    other = await served.bearer("anna")
    async with served.client() as client, served.client() as page, served.client() as elsewhere:
        mine = await served.bearer("anna")
        await sign_in(page, "anna")
        await sign_in(elsewhere, "anna")
        change = {"old": PASSWORD, "new": "another horse"}
        answer = await page.put("/auth/me/password", json=change, headers=ORIGIN)
        assert answer.status_code == 204
        assert (await page.get("/users/")).status_code == 200
        assert (await elsewhere.get("/users/")).status_code == 401
        for header in (other, mine, basic("anna")):
            assert (await client.get("/users/", headers=header)).status_code == 401
        new = basic("anna", "another horse")
        assert (await client.get("/users/", headers=new)).status_code == 200


async def test_a_token_changes_the_password_and_serves_on(served: Served) -> None:
    served.add("anna")
    mine = await served.bearer("anna")
    async with served.client() as client:
        change = {"old": PASSWORD, "new": "another horse"}
        answer = await client.put("/auth/me/password", json=change, headers=mine)
        assert answer.status_code == 204
        assert (await client.get("/users/", headers=mine)).status_code == 200


@pytest.mark.parametrize(
    ("change", "status", "pointer"),
    [
        ({"old": "wrong horse", "new": "another horse"}, 422, "#/old"),
        ({"old": PASSWORD, "new": "short"}, 422, "#/new"),
        ({"old": PASSWORD, "new": "x" * 129}, 422, "#/new"),
        ({"old": PASSWORD}, 422, "#/new"),
        ({"old": PASSWORD, "new": "another horse", "name": "x"}, 422, "#/name"),
        ({"old": 1, "new": "another horse"}, 422, "#/old"),
        ([], 422, "#"),
    ],
)
async def test_a_change_of_the_password_is_checked(
    served: Served, change: Any, status: int, pointer: str
) -> None:
    async with served.client() as client:
        header = basic("root")
        answer = await client.put("/auth/me/password", json=change, headers=header)
    assert answer.status_code == status
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert "horse" not in answer.text


async def test_a_key_and_fewer_scopes_change_no_password(served: Served) -> None:
    account = served.add("anna", "editor")
    change = {"old": PASSWORD, "new": "another horse"}
    key = ways_of(*add_key(served, account))[0]
    less = await served.bearer("anna", scope="read")
    async with served.client() as client:
        for header in (key, less):
            answer = await client.put("/auth/me/password", json=change, headers=header)
            assert answer.status_code == 403


async def test_me_says_what_the_caller_may_do_and_sees(served: Served) -> None:
    rules = {"users": {"read": {"hide": ["email", "profile"]}, "export": True}}
    served.database["docsheet.roles"].insert_one({"name": "reader", "rules": rules})
    served.add("anna", "reader")
    async with served.client() as client:
        shown = (await client.get("/auth/me", headers=basic("anna"))).json()
        everything = (await client.get("/auth/me", headers=basic("root"))).json()
    assert shown["role"] == "reader"
    assert shown["scopes"] == ["users:export", "users:read"]
    mine = {name: one for name, one in shown["resources"].items() if not name.startswith("auth/")}
    assert mine == {"users": {"may": ["read", "export"], "fields": ["_id", "name", "age"]}}
    actions = ["read", "create", "update", "delete", "export", "import"]
    assert everything["resources"]["users"]["may"] == actions
    assert "email" in everything["resources"]["users"]["fields"]
    assert "password" not in everything["resources"]["auth/accounts"]["fields"]
