"""Marked secrets go in at every door, right and wrong, and come out nowhere but to their owner.

What comes out: every answer but those that tell a secret this once, every line of the log as text
and as JSON, the metrics, and all that is stored.
"""

import base64
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.auth.sessions import COOKIE
from app.serving.logs import Lines, Objects
from tests.support.accounts import ADDRESS, PASSWORD, Served, basic, serve

RIGHT = "marked-right-horse"  # a password that is set
WRONG = "marked-wrong-horse"  # what is no password, key, token or cookie of anybody
TOO_LONG = "marked-long-horse" * 10
JSON_OF_PASSWORDS = (WRONG, TOO_LONG, [WRONG], {"a": WRONG}, "marked")
OWN_PAGE = {"Origin": ADDRESS}
CSV = "/users/export/csv"


class Doors:
    """The doors of one server; `heard` is what was answered, `secrets` what may not be in it."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self.heard: list[str] = []
        self.secrets = [RIGHT, WRONG, "marked-long-horse"]

    async def ask(
        self, method: str, path: str, *, tells: bool = False, **words: Any
    ) -> httpx.Response:
        """The answer to a request; `tells` says that a secret is told by it, this once."""
        words.setdefault("follow_redirects", False)
        async with self._served.client() as client:
            answer = await client.request(method, path, **words)
        if not tells:
            self.heard.append(f"{answer.headers} {answer.text}")
        return answer

    async def try_all(self) -> None:
        """Goes to every door."""
        root = basic("root")
        account = {"name": "ann", "role": "admin", "password": RIGHT}
        made = await self.ask("POST", "/auth/accounts/", json=account, headers=root)
        assert made.status_code == 201
        await self._change_accounts(made.headers["location"], root)
        await self._sign_in()
        await self._use_tokens()
        await self._use_keys()
        await self._use_the_page()
        await self._share()
        for secret in self.secrets:
            await self._put_where_it_does_not_belong(secret, root)
        for name in ("accounts", "keys", "shares", "audit", "roles"):
            answer = await self.ask("GET", f"/auth/{name}/export/json", headers=root)
            assert answer.status_code == 200
        assert (await self.ask("GET", "/metrics", headers=root)).status_code == 200

    async def _change_accounts(self, path: str, root: dict[str, str]) -> None:
        for password in JSON_OF_PASSWORDS:
            body = {"name": "bob", "role": "viewer", "password": password, "nope": 1}
            await self.ask("POST", "/auth/accounts/", json=body, headers=root)
            await self.ask("PUT", path, json=body, headers=root)
            body = {"password": password, "role": "nope"}
            await self.ask("PATCH", path, json=body, headers=root)
            body = {"old": password, "new": password}
            header = basic("ann", RIGHT)
            await self.ask("PUT", "/auth/me/password", json=body, headers=header)
        change = {"old": RIGHT, "new": RIGHT}
        answer = await self.ask("PUT", "/auth/me/password", json=change, headers=header)
        assert answer.status_code == 204

    async def _sign_in(self) -> None:
        for name, password in (("ann", WRONG), (WRONG, RIGHT), (RIGHT, "x"), (WRONG, "")):
            await self.ask("GET", "/users/?nope=1", headers=basic(name, password))
            form = {"grant_type": "password", "username": name, "password": password}
            await self.ask("POST", "/auth/token", data=form)
            await self.ask("POST", "/auth/token", data={**form, "grant_type": WRONG})
            await self.ask("POST", "/auth/token", params=form)
        form = {"grant_type": "password", "username": "ann", "password": RIGHT}
        await self.ask("POST", "/auth/token", data={**form, "scope": "nope"})
        await self.ask("POST", "/auth/token", json=form)
        await self.ask("POST", "/auth/token", content=f"password={RIGHT}")
        for text in (f"Basic {WRONG}", f"Digest {WRONG}", WRONG, f"Basic {_base64(WRONG)}"):
            await self.ask("GET", "/users/", headers={"Authorization": text})

    async def _use_tokens(self) -> None:
        form = {"grant_type": "password", "username": "ann", "password": RIGHT}
        answer = await self.ask("POST", "/auth/token", data=form, tells=True)
        tokens = answer.json()
        access, refresh = tokens["access_token"], tokens["refresh_token"]
        for token in (access, f"{access}x", WRONG, refresh):
            header = {"Authorization": f"Bearer {token}"}
            await self.ask("GET", "/users/?nope=1", headers=header)
            await self.ask("GET", "/auth/me", headers=header)
            await self.ask("POST", "/auth/revoke", data={"token": WRONG}, headers=header)
        form = {"grant_type": "refresh_token", "refresh_token": refresh}
        renewed = (await self.ask("POST", "/auth/token", data=form, tells=True)).json()
        for token in (refresh, refresh, WRONG, f"{refresh}x"):
            form["refresh_token"] = token
            assert (await self.ask("POST", "/auth/token", data=form)).status_code == 400
        header = basic("ann", RIGHT)
        form = {"token": renewed["access_token"]}
        await self.ask("POST", "/auth/revoke", data=form, headers=header)
        self.secrets += [access, refresh, refresh.partition(".")[2]]
        self.secrets += [renewed["access_token"], renewed["refresh_token"]]

    async def _use_keys(self) -> None:
        header = basic("ann", RIGHT)
        order = {"name": "a key"}
        made = await self.ask("POST", "/auth/keys/", json=order, headers=header, tells=True)
        identifier, secret = made.json()["id"], made.json()["secret"]
        self.secrets += [f"{identifier}.{secret}", secret]
        for name, password in ((identifier, secret), (identifier, WRONG), ("key_1", secret)):
            await self.ask("GET", "/users/?nope=1", headers=basic(name, password))
            bearer = {"Authorization": f"Bearer {name}.{password}"}
            await self.ask("GET", "/users/?nope=1", headers=bearer)
        for body in ({"name": "a", "secret": WRONG}, {"name": "a", "scopes": ["nope"]}):
            await self.ask("POST", "/auth/keys/", json=body, headers=header)
        path = made.headers["location"]
        await self.ask("PATCH", path, json={"digest": WRONG}, headers=header)
        await self.ask("DELETE", path, headers=header)

    async def _use_the_page(self) -> None:
        for name, password in (("ann", WRONG), (RIGHT, RIGHT), ("ann", RIGHT)):
            form = {"username": name, "password": password}
            await self.ask("POST", "/ui/sign-in", data=form)
            await self.ask("POST", "/ui/sign-in", data=form, headers={"Origin": "http://evil.test"})
            is_right = (name, password) == ("ann", RIGHT)
            tells = is_right or name == RIGHT  # the form shows what was typed as the name
            words = {"data": form, "headers": OWN_PAGE, "tells": tells}
            answer = await self.ask("POST", "/ui/sign-in", **words)
        cookie = answer.cookies[COOKIE]
        self.secrets.append(cookie)
        for value in (cookie, f"{cookie}x", WRONG):
            header = {"Cookie": f"{COOKIE}={value}"}
            await self.ask("GET", "/users/?nope=1", headers=header)
            await self.ask("POST", "/users/", json={}, headers=header)
            await self.ask("POST", "/users/", json={}, headers={**header, **OWN_PAGE})
            await self.ask("POST", "/ui/sign-out", headers={**header, **OWN_PAGE})

    async def _share(self) -> None:
        header = basic("ann", RIGHT)
        order = {"address": f"{CSV}?token={WRONG}"}
        await self.ask("POST", "/auth/shares/", json=order, headers=header)
        made = await self.ask(
            "POST", "/auth/shares/", json={"address": CSV}, headers=header, tells=True
        )
        url = made.json()["url"].removeprefix(ADDRESS)
        token = url.split("/")[2]
        self.secrets.append(token)
        paths = (url, f"{url}?limit=x", f"/shared/{token}/x", f"/shared/{token}", f"/x{url}")
        for path in (*paths, f"{ADDRESS}/{url}", f"/shared/{WRONG}/users.csv"):
            await self.ask("GET", path, tells=path == f"/x{url}")
            await self.ask("POST", path, json={}, tells=path == f"/x{url}")
        await self.ask("DELETE", made.headers["location"], headers=header)
        assert (await self.ask("GET", url)).status_code == 410

    async def _put_where_it_does_not_belong(self, secret: str, root: dict[str, str]) -> None:
        """Into addresses and parameters; the sender's own answer may repeat what was sent."""
        for path in (
            f"/users/?password={secret}",
            f"/users/?%70assword={secret}",
            f"/users/?access_token={secret}&limit=x",
            f"{CSV}?api_key={secret}",
        ):
            await self.ask("GET", path, headers=root, tells=True)
            await self.ask("GET", path, tells=True)
        if secret in (RIGHT, WRONG, "marked-long-horse"):
            return  # no word that can be told from others
        for path in (f"/users/?key={secret}", f"/users/?sort={secret}", f"/auth/keys/{secret}"):
            await self.ask("GET", path, headers=root, tells=True)
        headers = {**root, "X-Request-ID": secret}
        await self.ask("GET", f"{CSV}?limit=1", headers=headers)
        for text in (f"/shared/{secret}/users.csv", f"Bearer {secret}", f"a={secret}&b"):
            query = f"name={quote(text, safe='')}"
            await self.ask("GET", f"{CSV}?{query}", headers=root, tells=True)
            await self.ask("GET", f"/users/?{query}&limit=x", headers=root, tells=True)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def lines_of(records: list[logging.LogRecord]) -> Iterator[str]:
    """What the log says, as text and as JSON."""
    for record in records:
        # Of the others, httpx among them, a server's log has warnings alone.
        if record.name.startswith("docsheet") or record.levelno >= logging.WARNING:
            yield Lines().format(record)
            yield Objects().format(record)


def stored_in(database: Any) -> Iterator[str]:
    """All documents."""
    for name in database.list_collection_names():
        if name != "docsheet.secrets":  # which signs, and is none that anybody sends
            yield from map(str, database[name].find())


@pytest.fixture(params=["mock", pytest.param("mongod", marks=pytest.mark.mongod)])
async def measured(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    """A server with metrics."""
    uri = request.getfixturevalue("mongo_uri") if request.param == "mongod" else ""
    async with serve(uri, METRICS="on") as one:
        yield one


@pytest.fixture(autouse=True)
def _without_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of these wrong passwords come from one address."""
    for limit in ("_name_limit", "_address_limit"):
        monkeypatch.setattr(f"app.auth.throttle.{limit}.amount", 10_000)
    monkeypatch.setattr("app.auth.throttle.STEP", 0.0)


async def test_no_secret_comes_out(measured: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    doors = Doors(measured)
    await doors.try_all()
    lines = list(lines_of(caplog.records))
    stored = list(stored_in(measured.database))
    assert any("/auth/token 400" in line for line in lines)
    assert any("sign-in failed" in text for text in stored)
    assert any("docsheet_request_seconds" in text for text in doors.heard)
    for secret in (*doors.secrets, PASSWORD):
        for where in (lines, stored, doors.heard):
            assert [text for text in where if secret in text] == [], secret
