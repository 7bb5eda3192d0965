"""Access tokens and refresh tokens: what serves, and what serves no more."""

import asyncio
import base64
import datetime
import json
import time
from functools import partial
from types import SimpleNamespace
from typing import Any

import jwt
import pytest

from app.auth import signing
from app.store.client import Connection
from tests.support.accounts import PASSWORD, Served, basic, serve
from tests.support.waiting import LONGEST

FORM = {"grant_type": "password", "username": "root", "password": PASSWORD}


async def test_a_name_and_a_password_become_tokens(served: Served) -> None:
    async with served.client() as client:
        answer = await client.post("/auth/token", data=FORM)
        tokens = answer.json()
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert tokens["token_type"] == "bearer"
        assert tokens["expires_in"] == 900
        assert tokens["scope"] == "admin"
        header = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert (await client.get("/users/", headers=header)).status_code == 200
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    assert set(claims) == {"sub", "scope", "iat", "exp", "jti", "family"}
    assert claims["exp"] - claims["iat"] == 900
    header = jwt.get_unverified_header(tokens["access_token"])
    assert header["alg"] == "HS256"
    assert header["kid"] == "1"


async def test_a_name_is_found_without_regard_to_case(served: Served) -> None:
    async with served.client() as client:
        answer = await client.post("/auth/token", data={**FORM, "username": "ROOT"})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({**FORM, "password": "wrong horse"}, "invalid_grant"),
        ({**FORM, "username": "nobody"}, "invalid_grant"),
        ({**FORM, "username": "r.*"}, "invalid_grant"),
        ({**FORM, "scope": "nonsense"}, "invalid_scope"),
        ({**FORM, "grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": "password", "username": "root"}, "invalid_request"),
        ({"x": "y"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "a.b"}, "invalid_grant"),
    ],
)
async def test_what_is_refused_is_a_problem_with_oauth2s_word(
    served: Served, form: dict[str, str], error: str
) -> None:
    async with served.client() as client:
        answer = await client.post("/auth/token", data=form)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["error"] == error
    assert "horse" not in answer.text


async def test_a_wrong_name_is_answered_as_a_wrong_password(served: Served) -> None:
    async with served.client() as client:
        one = await client.post("/auth/token", data={**FORM, "password": "wrong horse"})
        other = await client.post("/auth/token", data={**FORM, "username": "nobody"})
    served.add("gone", disabled=True)
    async with served.client() as client:
        third = await client.post("/auth/token", data={**FORM, "username": "gone"})
    assert one.json() == other.json() == third.json()
    assert one.headers.keys() == other.headers.keys() == third.headers.keys()


async def test_a_token_asks_for_fewer_scopes_never_for_more(served: Served) -> None:
    served.add("viewer", "viewer")
    async with served.client() as client:
        form = {**FORM, "username": "viewer", "scope": "read write"}
        answer = await client.post("/auth/token", data=form)
        assert answer.json()["error"] == "invalid_scope"
    less = await served.sign_in("viewer", scope="read")
    assert less["scope"] == "read"
    assert (await served.sign_in("viewer"))["scope"] == "export read"


async def test_a_refresh_token_serves_once_and_twice_ends_the_family(served: Served) -> None:
    first = await served.sign_in("root")
    async with served.client() as client:
        second = await refresh(client, first)
        assert second.status_code == 200
        assert second.json()["refresh_token"] != first["refresh_token"]
        again = await refresh(client, first)
        assert again.json()["error"] == "invalid_grant"
        assert (await refresh(client, second.json())).json()["error"] == "invalid_grant"
        header = {"Authorization": f"Bearer {second.json()['access_token']}"}
        assert (await client.get("/users/", headers=header)).status_code == 401


async def test_a_refresh_token_that_nobody_used_for_a_month_is_over(served: Served) -> None:
    """Also before the database has looked for it."""
    tokens = await served.sign_in("root")
    used = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=30, seconds=1)
    served.database["docsheet.tokens"].update_many({}, {"$set": {"used": used}})
    async with served.client() as client:
        assert (await refresh(client, tokens)).status_code == 400
    assert served.database["docsheet.tokens"].find_one() is None


async def test_of_two_uses_at_once_one_wins_and_the_family_ends(served: Served) -> None:
    first = await served.sign_in("root")
    async with served.client() as client:
        answers = await asyncio.gather(*[refresh(client, first) for _ in range(5)])
        won = [answer.json() for answer in answers if answer.status_code == 200]
        assert len(won) == 1
        assert (await refresh(client, won[0])).status_code == 400


async def test_a_renewed_token_may_have_fewer_scopes_and_never_more(served: Served) -> None:
    tokens = await served.sign_in("root", scope="read users:update")
    async with served.client() as client:
        for scope in ("read create", "admin", "nonsense"):
            answer = await refresh(client, tokens, scope=scope)
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
        for scope, granted in (
            ("users:update read", "read users:update"),  # as clients send those that they have
            ("users:read", "users:read"),
            ("", "read users:update"),
        ):
            answer = await refresh(client, tokens, scope=scope)
            tokens = answer.json()
            assert tokens["scope"] == granted
            header = {"Authorization": f"Bearer {tokens['access_token']}"}
            me = (await client.get("/auth/me", headers=header)).json()
            assert " ".join(me["scopes"]) == granted


async def refresh(client: Any, tokens: dict[str, Any], **more: str) -> Any:
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], **more}
    return await client.post("/auth/token", data=form)


async def test_a_revoked_token_serves_no_more(served: Served) -> None:
    tokens = await served.sign_in("root")
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    async with served.client() as client:
        form = {"token": tokens["refresh_token"], "token_type_hint": "refresh_token"}
        assert (await client.post("/auth/revoke", data=form, headers=header)).status_code == 200
        assert (await client.get("/users/", headers=header)).status_code == 401
        assert (await refresh(client, tokens)).status_code == 400


async def test_nobody_revokes_the_token_of_another(served: Served) -> None:
    served.add("viewer")
    tokens = await served.sign_in("root")
    header = await served.bearer("viewer")
    async with served.client() as client:
        for token in (tokens["refresh_token"], tokens["access_token"], "nonsense", "a.b.c"):
            answer = await client.post("/auth/revoke", data={"token": token}, headers=header)
            assert answer.status_code == 200
        assert (await refresh(client, tokens)).status_code == 200


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_forged_tokens_are_refused(served: Served) -> None:
    access = (await served.sign_in("root"))["access_token"]
    claims = jwt.decode(access, options={"verify_signature": False})
    secret = served.database["docsheet.secrets"].find_one()["secret"]
    old = {**claims, "iat": claims["iat"] - 2000, "exp": claims["exp"] - 2000}
    without = {name: value for name, value in claims.items() if name != "exp"}
    forged = {
        "another secret": jwt.encode(claims, b"x" * 32, "HS256", headers={"kid": "1"}),
        "another kid": jwt.encode(claims, secret, "HS256", headers={"kid": "2"}),
        "no kid": jwt.encode(claims, secret, "HS256"),
        "another algorithm": jwt.encode(claims, secret, "HS512", headers={"kid": "1"}),
        "over": jwt.encode(old, secret, "HS256", headers={"kid": "1"}),
        "without an end": jwt.encode(without, secret, "HS256", headers={"kid": "1"}),
        "no algorithm": unsigned(claims),
        "more scopes": altered(access, {**claims, "scope": "admin users:read"}),
        "nothing": "",
        "a word": "nonsense",
    }
    right = jwt.encode(claims, secret, "HS256", headers={"kid": "1"})
    async with served.client() as client:
        header = {"Authorization": f"Bearer {right}"}
        assert (await client.get("/users/", headers=header)).status_code == 200
        for what, token in forged.items():
            answer = await client.get("/users/", headers={"Authorization": f"Bearer {token}"})
            assert (what, answer.status_code) == (what, 401)


def unsigned(claims: dict[str, Any]) -> str:
    header = {"alg": "none", "typ": "JWT", "kid": "1"}
    return f"{encode(header)}.{encode(claims)}."


def altered(token: str, claims: dict[str, Any]) -> str:
    header, _, signature = token.split(".")
    return f"{header}.{encode(claims)}.{signature}"


def encode(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("passed", "shown", "status"),
    [
        (890, 890, 200),
        (910, 910, 401),
        (61, 3661, 401),  # the clock was set forward
        (61, 61 - 3600, 401),  # set back: it would serve an hour longer
    ],
)
async def test_a_token_that_served_is_over_in_its_time(
    served: Served, monkeypatch: pytest.MonkeyPatch, passed: int, shown: int, status: int
) -> None:
    """Of the seconds that pass and of those that the clock shows, the worse ones count."""
    header = await served.bearer("root")
    async with served.client() as client:
        assert (await client.get("/users/", headers=header)).status_code == 200
        clock = SimpleNamespace(
            time=partial(float, time.time() + shown),
            monotonic=partial(float, time.monotonic() + passed),
        )
        monkeypatch.setattr("app.auth.tokens.time", clock)
        monkeypatch.setattr("jwt.api_jwt.datetime", later(shown))
        assert (await client.get("/users/", headers=header)).status_code == status


def later(seconds: int) -> type[datetime.datetime]:
    """A class whose moment is that many seconds ahead."""

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.datetime.now(tz) + datetime.timedelta(seconds=seconds)

    return Later


async def test_a_disabled_account_and_a_changed_role_count_soon(served: Served) -> None:
    key = served.add("editor", "editor")
    header = await served.bearer("editor")
    accounts = served.database["docsheet.accounts"]
    async with served.client() as client:
        assert (await client.get("/auth/me", headers=header)).json()["role"] == "editor"
        accounts.update_one({"_id": key}, {"$set": {"role": "viewer"}})
        await until(lambda: shows_role(client, header, "viewer"))
        shown = (await client.get("/auth/me", headers=header)).json()
        assert shown["scopes"] == ["export", "read"]
        accounts.update_one({"_id": key}, {"$set": {"disabled": True}})
        await until(lambda: is_refused(client, header))


async def shows_role(client: Any, header: dict[str, str], role: str) -> bool:
    return bool((await client.get("/auth/me", headers=header)).json()["role"] == role)


async def is_refused(client: Any, header: dict[str, str]) -> bool:
    return bool((await client.get("/users/", headers=header)).status_code == 401)


async def until(check: Any) -> None:
    """Waits until it is so."""
    deadline = time.monotonic() + LONGEST
    while not await check():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def test_tokens_of_before_a_rotation_serve_on(served: Served) -> None:
    before = await served.bearer("root")
    connection = Connection(served.database, served.app.settings)
    assert signing.rotate(connection) == 2
    async with served.client() as client:
        assert (await client.get("/users/", headers=before)).status_code == 200
        await asyncio.sleep(signing.OLD_SECONDS + 0.1)
        after = await served.sign_in("root")
        assert jwt.get_unverified_header(after["access_token"])["kid"] == "2"
        assert (await client.get("/users/", headers=before)).status_code == 200
    old = served.database["docsheet.secrets"].find_one({"_id": 1})
    assert old["until"] is not None


async def test_a_password_that_was_changed_by_an_administrator_ends_tokens(
    served: Served,
) -> None:
    key = served.add("viewer")
    header = await served.bearer("viewer")
    accounts = served.database["docsheet.accounts"]
    async with served.client() as client:
        assert (await client.get("/users/", headers=header)).status_code == 200
        accounts.update_one({"_id": key}, {"$set": {"password": "$argon2id$other"}})
        await until(lambda: is_refused(client, header))
        answer = await client.get("/users/", headers=basic("viewer"))
        assert answer.status_code == 401


async def test_the_secret_key_signs_where_it_is_set() -> None:
    key = "x" * 32
    async with serve(SECRET_KEY=key) as served:
        tokens = await served.sign_in("root")
        jwt.decode(tokens["access_token"], key, ["HS256"])
        header = {"Authorization": f"Bearer {tokens['access_token']}"}
        async with served.client() as client:
            assert (await client.get("/users/", headers=header)).status_code == 200
        assert served.database["docsheet.secrets"].count_documents({}) == 0


async def test_a_role_that_gets_more_widens_no_token(served: Served) -> None:
    key = served.add("anna", "viewer")
    header = await served.bearer("anna")
    served.database["docsheet.accounts"].update_one({"_id": key}, {"$set": {"role": "editor"}})
    async with served.client() as client:
        await until(lambda: shows_role(client, header, "editor"))
        shown = (await client.get("/auth/me", headers=header)).json()
    assert shown["scopes"] == ["export", "read"]
