"""Every route and every kind of caller: who gets in, who is refused, and how.

A request without a body or with a key that isn't there comes as far as its rights let it: 401 and
403 are the doors, whatever else is answered lies behind them.
"""

import base64
import datetime
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import bson
import httpx
import jwt
import pytest

from app.api.routing import Route
from app.auth.keys import digest, make_id
from app.auth.sessions import COOKIE
from app.resources.moments import now
from tests.support.accounts import ADDRESS, Served, answers, basic, serve

MISSING = "0123456789abcdef01234567"
READ, CREATE, UPDATE, DELETE, EXPORT, IMPORT = (
    "read", "create", "update", "delete", "export", "import",
)  # fmt: skip
EVERY = frozenset((READ, CREATE, UPDATE, DELETE, EXPORT, IMPORT))
OPEN, ANYONE, ADMIN, FULL, PASSWORD = "open", "anyone", "admin", "full", "password"
OF_METHOD = {"GET": READ, "HEAD": READ, "PUT": UPDATE, "PATCH": UPDATE, "DELETE": DELETE}
RESOURCES = ("users", "classes", "teachers", "courses", "students")
OTHERS = {  # every other path, and what it needs by method, `*` for all of them
    "/": {"*": ANYONE},
    "/docs": {"*": OPEN},
    "/redoc": {"*": OPEN},
    "/openapi.json": {"*": OPEN},
    "/docs/problems/{problem}": {"*": OPEN},
    "/docs/assets/{file}": {"*": OPEN},
    "/livez": {"*": OPEN},
    "/readyz": {"*": OPEN},
    "/exports/{export_id}": {"*": ANYONE},
    "/auth/token": {"*": OPEN},
    "/auth/revoke": {"*": ANYONE},
    "/auth/me": {"*": ANYONE},
    "/auth/me/password": {"*": PASSWORD},
    "/ui": {"*": ANYONE},
    "/ui/": {"*": ANYONE},
    "/ui/preferences": {"*": OPEN},
    "/ui/static/{file}": {"*": OPEN},
    "/ui/me": {"*": ANYONE},
    "/ui/me/password": {"*": PASSWORD},
    "/ui/me/keys/new": {"*": ANYONE},
    "/ui/me/keys/{key}/delete": {"*": FULL},
    "/ui/me/shares/new": {"*": ANYONE},
    "/ui/me/shares/{key}/delete": {"*": FULL},
    "/ui/admin": {"*": ADMIN},
    "/ui/admin/": {"*": ADMIN},
    "/ui/sign-in": {"*": OPEN},
    "/ui/sign-out": {"*": OPEN},
    "/shared/{token}/{file}": {"*": OPEN},
    "/views": {"*": ANYONE},
    "/views/": {"*": ANYONE},
    "/views/{slug}": {"*": ANYONE, "PATCH": FULL, "DELETE": FULL},
    "/views/{slug}/{format}": {"*": ANYONE},
}
OF_ADMINISTRATORS = ("accounts", "roles", "audit")
OF_ONES_OWN = ("keys", "shares")


@dataclass(frozen=True)
class Kind:
    """A kind of caller: its headers, and what it may do; nothing of it where it is refused."""

    headers: dict[str, str]
    scopes: frozenset[str] = frozenset()
    known: bool = True
    admin: bool = False
    full: bool = True  # it has all the scopes of its account
    is_key: bool = False


def needs(path: str, method: str) -> set[str]:
    """What a route needs, one of these; raises `LookupError` for a route that nobody thought of."""
    if path in OTHERS:
        of_path = OTHERS[path]
        return {of_path.get(method) or of_path["*"]}
    steps = path.strip("/").split("/")
    if steps[0] == "auth" and steps[1] in OF_ADMINISTRATORS:
        return {ADMIN}
    if steps[0] == "auth" and steps[1] in OF_ONES_OWN:
        return {FULL} if method in ("PATCH", "DELETE") else {ANYONE}
    if steps[:2] == ["ui", "admin"]:
        return {_need_of_administration(*steps[2:])}
    if steps[0] == "ui" and steps[1] in RESOURCES:
        return {_need_of_page(steps[2:], method)}
    if steps[0] not in RESOURCES:
        raise LookupError(f"{method} {path} is not in this table")
    return {_need_of_resource(steps[1:], method)}


def _need_of_administration(resource: str, *steps: str) -> str:
    """What a screen of one of our own resources needs; with no steps its table."""
    if resource in OF_ADMINISTRATORS:
        return ADMIN
    return FULL if steps and steps[-1] in ("edit", "delete") else ANYONE


def _need_of_page(steps: list[str], method: str) -> str:
    """What a screen of a resource needs; with no steps its table."""
    if not steps or steps[0] in ("table", "pick"):
        return READ
    if steps[0] == "import":
        return IMPORT
    if steps[0] == "bulk":
        return {"change": UPDATE, "delete": DELETE}[steps[1]] if len(steps) > 1 else READ
    if steps[0] == "download":
        return EXPORT
    if steps[0] == "views":
        return READ if len(steps) == 1 else FULL
    if steps in (["new"], ["{key}"], ["{key}", "edit"], ["{key}", "delete"]):
        return {"new": CREATE, "{key}": READ, "edit": UPDATE, "delete": DELETE}[steps[-1]]
    raise LookupError(f"{method} …/{'/'.join(steps)} is not in this table")


def _need_of_resource(steps: list[str], method: str) -> str:
    if len(steps) == 2 and steps[0] == "import":
        return IMPORT
    if "export" in steps:
        return EXPORT
    if method == "POST":
        return IMPORT if steps == ["import"] else CREATE
    return OF_METHOD[method]


def may(kind: Kind, need: str) -> bool:
    if need == OPEN:
        return True
    if not kind.known:
        return False
    if need == PASSWORD:
        return kind.full and not kind.is_key
    if need == FULL:
        return kind.full
    return need == ANYONE or kind.admin or need in kind.scopes


def methods_of(route: Route) -> Iterator[str]:
    yield from sorted(route._handlers)


def address_of(path: str) -> str:
    """An address of the path; of whatever it names there is nothing."""
    names = {"format": "csv", "key": MISSING, "export_id": secrets.token_hex(16)}
    names |= {"problem": "not-found", "file": "none.js", "token": secrets.token_urlsafe(32)}
    names |= {"slug": "nothing", "id": secrets.token_hex(16), "step": "match"}
    return path.format(**names)


def forge(token: str) -> Iterator[tuple[str, str]]:
    """Tokens that nobody signed, made of a right one."""
    claims = jwt.decode(token, options={"verify_signature": False})
    kid = jwt.get_unverified_header(token)["kid"]
    yield "forged", jwt.encode(claims, "x" * 32, "HS256", headers={"kid": kid})
    yield "of another kid", jwt.encode(claims, "x" * 32, "HS256", headers={"kid": "another"})
    none = [{"alg": "none", "typ": "JWT", "kid": kid}, claims]
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in none]
    yield "of no algorithm", b".".join([*parts, b""]).decode()
    yield "of another algorithm", jwt.encode(claims, "x" * 64, "HS512", headers={"kid": kid})
    payload = token.split(".")
    widened = base64.urlsafe_b64encode(
        json.dumps({**claims, "scope": "admin", "exp": time.time() + 9e6}).encode()
    )
    yield "widened", ".".join([payload[0], widened.rstrip(b"=").decode(), payload[2]])


def add_key(served: Served, account: Any, scopes: list[str], **more: Any) -> str:
    secret, identifier = secrets.token_urlsafe(32), make_id()
    served.database["docsheet.keys"].insert_one(
        {
            "_id": identifier,
            "name": "a key",
            "account": bson.DBRef("docsheet.accounts", account),
            "scopes": scopes,
            "digest": digest(secret),
            "created": now(),
            **more,
        }
    )
    return f"{identifier}.{secret}"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def make_kinds(served: Served) -> dict[str, Kind]:
    """Every kind of caller."""
    rules = {
        "users": {"read": {"where": "age__gte=18"}, "export": True},
        "students": {"read": {"hide": ["name"]}, "update": {"hide": ["name"]}},
    }
    served.database["docsheet.roles"].insert_one({"name": "grown-ups", "rules": rules})
    viewer = served.add("viewer", "viewer")
    editor = served.add("editor", "editor")
    served.add("odd", "grown-ups")
    gone = served.add("gone", "admin")
    writing = frozenset(EVERY)
    kinds = {
        "an administrator": Kind(await served.bearer("root"), writing, admin=True),
        "an editor": Kind(await served.bearer("editor"), writing),
        "a viewer": Kind(await served.bearer("viewer"), frozenset((READ, EXPORT))),
        "a name and a password": Kind(basic("viewer"), frozenset((READ, EXPORT))),
        "a token for reading": Kind(
            await served.bearer("editor", scope="read"), frozenset((READ,)), full=False
        ),
        "a key": Kind(bearer(add_key(served, editor, [])), writing, is_key=True),
        "a key for exports": Kind(
            bearer(add_key(served, viewer, [EXPORT])), frozenset((EXPORT,)), full=False
        ),
        "an old key": Kind(
            bearer(add_key(served, editor, [], expires=now() - datetime.timedelta(seconds=1))),
            known=False,
        ),
        "nobody": Kind({}, known=False),
        "a share's token": Kind(bearer(secrets.token_urlsafe(32)), known=False),
    }
    token = (await served.sign_in("root"))["access_token"]
    for word, forged in forge(token):
        kinds[f"a token {word}"] = Kind(bearer(forged), known=False)
    kinds["a disabled account"] = Kind(await served.bearer("gone"), known=False)
    await disable(served, gone, kinds["a disabled account"])
    kinds["a revoked token"] = Kind(await revoked(served), known=False)
    return kinds


async def disable(served: Served, account: Any, kind: Kind) -> None:
    """Disables an account, and waits until that counts."""
    async with served.client(**basic("root")) as client:
        answer = await client.patch(f"/auth/accounts/{account}", json={"disabled": True})
    assert answer.status_code == 200
    async with served.client(**kind.headers) as client:
        await answers(client, "/auth/me", 401)


async def revoked(served: Served) -> dict[str, str]:
    tokens = await served.sign_in("root")
    async with served.client(**bearer(tokens["access_token"])) as client:
        answer = await client.post("/auth/revoke", data={"token": tokens["refresh_token"]})
    assert answer.status_code == 200
    return bearer(tokens["access_token"])


@pytest.fixture
async def mock() -> AsyncIterator[Served]:
    async with serve() as served:
        yield served


async def test_every_route_for_every_caller(mock: Served) -> None:
    kinds = await make_kinds(mock)
    clients = {word: mock.client(Origin=ADDRESS, **kind.headers) for word, kind in kinds.items()}
    wrong = []
    for route in mock.app.paths.routes:
        for method in methods_of(route):
            (need,) = needs(route.path, method)
            for word, kind in kinds.items():
                clients[word].cookies.clear()
                answer = await clients[word].request(method, address_of(route.path))
                expected = may(kind, need)
                refused = answer.status_code in (401, 403)
                right = refused is not expected
                if refused and not expected:
                    right = answer.status_code == (403 if kind.known else 401)
                if not right or answer.status_code >= 500:
                    wrong.append((method, route.path, word, need, answer.status_code))
    for client in clients.values():
        await client.aclose()
    assert not wrong, "\n".join(map(str, wrong))


async def test_a_role_with_rules_gets_what_they_say(mock: Served) -> None:
    """Of a resource that its rules don't name it has nothing, not even the name of a field."""
    await make_kinds(mock)
    headers = await mock.bearer("odd")
    async with mock.client(**headers) as client:
        expected = {
            ("GET", "/users/"): 200,
            ("GET", "/users/export/csv"): 200,
            ("POST", "/users/"): 403,
            ("DELETE", f"/users/{MISSING}"): 403,
            ("GET", "/users/import/csv"): 403,
            ("GET", "/students/"): 200,
            ("GET", "/students/?name=x"): 422,
            ("GET", "/students/export/csv"): 403,
            ("GET", "/courses/"): 403,
            ("GET", f"/courses/{MISSING}/students"): 403,
            ("GET", "/auth/accounts/"): 403,
            ("GET", "/auth/keys/"): 200,
        }
        for (method, path), status in expected.items():
            answer = await client.request(method, path)
            assert (method, path, answer.status_code) == (method, path, status)


async def test_every_refusal_names_the_scope_that_is_needed(mock: Served) -> None:
    headers = await mock.bearer("root", scope="users:read")
    cases = {
        ("POST", "/users/"): "users:create",
        ("PATCH", f"/users/{MISSING}"): "users:update",
        ("DELETE", "/users/?age=1&max_affected=1"): "users:delete",
        ("GET", "/users/export/csv"): "users:export",
        ("POST", "/users/import"): "users:import",
        ("GET", "/courses/"): "courses:read",
    }
    async with mock.client(**headers) as client:
        for (method, path), scope in cases.items():
            answer = await client.request(method, path)
            assert answer.status_code == 403
            assert scope in answer.json()["detail"]


async def test_the_cookie_is_a_caller_as_any_other(mock: Served) -> None:
    mock.add("viewer", "viewer")
    async with mock.client(Origin=ADDRESS) as client:
        form = {"username": "viewer", "password": "correct horse"}
        assert (await client.post("/ui/sign-in", data=form)).status_code == 303
        assert COOKIE in client.cookies
        found: list[httpx.Response] = [
            await client.get("/users/"),
            await client.post("/users/", json={}),
            await client.get("/auth/accounts/"),
        ]
    assert [answer.status_code for answer in found] == [200, 403, 403]
