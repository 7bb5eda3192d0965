"""`/auth/me`: who a caller is and what it may do; its password."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.access import Accesses
from app.api.callers import Caller, caller_of
from app.api.descriptions import Answer, Description, Schema
from app.api.media_types import JSON
from app.api.routing import Route
from app.auth.accounts import KnownAccount
from app.auth.authenticator import CREDENTIAL
from app.auth.forms import FORM_LIMIT, NOT_STORED
from app.auth.passwords import MAX_LENGTH, MIN_LENGTH
from app.auth.scopes import ACTIONS
from app.auth.services import AuthServices
from app.auth.token_routes import TAG
from app.errors import Fault, Forbidden, Invalid
from app.resources.registry import Resource

_WORDS: Schema = {"type": "array", "items": {"type": "string"}}
_ME: Schema = {
    "title": "Me",
    "type": "object",
    "required": ["name", "role", "scopes", "means", "resources"],
    "properties": {
        "name": {"type": "string", "description": "The account's name."},
        "role": {"type": ["string", "null"], "description": "Its role."},
        "scopes": _WORDS,
        "means": {"type": "string", "description": "What it has signed in with."},
        "resources": {
            "type": "object",
            "description": "By address, what it may do, and which fields it sees.",
            "additionalProperties": {
                "type": "object",
                "required": ["may", "fields"],
                "properties": {"may": _WORDS, "fields": _WORDS},
            },
        },
    },
}


class Change(BaseModel):
    """What changes a password."""

    model_config = ConfigDict(extra="forbid")

    old: str = Field(description="The password until now.")
    new: str = Field(
        min_length=MIN_LENGTH, max_length=MAX_LENGTH, description="The password from now on."
    )


ME = Description(
    "get",
    "/auth/me",
    "show_me",
    "Who calls, and what that may do",
    {200: Answer("The caller.", {JSON: _ME}, ("Cache-Control",))},
    (401, 422, 503),
    tag=TAG,
)
PASSWORD = Description(
    "put",
    "/auth/me/password",
    "change_password",
    "Change one's own password; whatever else is signed in has to sign in again",
    {204: Answer("It is changed.")},
    (400, 401, 403, 409, 413, 415, 422, 429, 503),
    body={JSON: Change.model_json_schema()},
    tag=TAG,
)


@dataclass(frozen=True)
class May:
    """What a caller may do with a resource, and the fields that it sees."""

    resource: Resource
    may: list[str]
    fields: list[str]


@dataclass(frozen=True)
class Me:
    """Who a caller is."""

    caller: Caller
    role: str | None
    may: list[May]
    may_change_password: bool


class ProfileRoutes:
    """The handlers by which a caller asks who it is, and changes its password."""

    def __init__(self, find_services: Callable[[], AuthServices], accesses: Accesses) -> None:
        self._find_services = find_services  # there are none before the database is opened
        self._accesses = accesses

    @property
    def _services(self) -> AuthServices:
        return self._find_services()

    def routes(self) -> list[Route]:
        """The routes of both."""
        return [
            Route("/auth/me", {"GET": self.show}, (ME,)),
            Route("/auth/me/password", {"PUT": self.change_password}, (PASSWORD,)),
        ]

    async def show(self, request: Request) -> Response:
        """`GET /auth/me`: the caller, and what it may do."""
        requests.refuse_parameters(request)
        me = await self.describe(caller_of(request.scope))
        answer = {
            "name": me.caller.name,
            "role": me.role,
            "scopes": sorted(me.caller.scopes),
            "means": me.caller.means,
            "resources": {
                one.resource.address: {"may": one.may, "fields": one.fields} for one in me.may
            },
        }
        return Response(orjson.dumps(answer), 200, NOT_STORED, JSON)

    async def describe(self, caller: Caller) -> Me:
        """Who a caller is, and what it may do."""
        known = await self._services.accounts.get(caller.id)
        role = known.role.name if known else None
        return Me(caller, role, list(self.list_rights(caller)), _may_change(caller, known))

    def list_rights(self, caller: Caller) -> Iterator[May]:
        """What the caller may do with each resource, and which fields it sees."""
        for view in self._accesses.compilers_of(caller.rights).views.values():
            may: list[str] = [action for action in ACTIONS if view.rights.may(action)]
            fields = view.resource.paths if "read" in may or "export" in may else ()
            if may:
                yield May(view.whole, may, list(fields))

    async def change_password(self, request: Request) -> Response:
        """`PUT /auth/me/password`: another password; whatever else is signed in has to again."""
        requests.refuse_parameters(request)
        known = await self.require_password(request)
        await self.change(request, known, await _read_change(request))
        return Response(None, 204)

    async def require_password(self, request: Request) -> KnownAccount:
        """The caller's account; raises `Forbidden` where it may not change its password."""
        caller = caller_of(request.scope)
        known = await self._services.accounts.get(caller.id)
        if known is None or not _may_change(caller, known):
            raise Forbidden("Only who has signed in with all scopes of the account may do this.")
        return known

    async def change(self, request: Request, known: KnownAccount, change: Change) -> None:
        """Changes the password, and ends what else is signed in with the old one.

        Raises `Invalid` for an old one that is wrong, `TooManyRequests` after too many of these.
        """
        caller = caller_of(request.scope)
        right = await self._services.sign_in.check(known.name, change.old, request.scope)
        if right is None:
            detail = "This is not the password of the account."
            raise Invalid(f"old: {detail}", Fault(detail, pointer="#/old"))
        new = await self._services.accounts.set_password(right, change.new)
        await self._end_others(caller, request.scope.get(CREDENTIAL, ""), new)
        await self._services.audit.write(request.scope, "password changed", known.name)

    async def _end_others(self, caller: Caller, credential: str, new: str) -> None:
        """Ends the sessions and tokens of an account, but for the one that asked."""
        tokens, sessions = self._services.tokens, self._services.sessions
        if caller.means == "token":
            await tokens.keep(credential, new)
        if caller.means == "session":
            await sessions.keep(credential, new)
        await tokens.end_others(caller.id, credential)
        await sessions.end_others(caller.id, credential)


def _may_change(caller: Caller, known: KnownAccount | None) -> bool:
    """Whether a caller may change the password of its account."""
    return known is not None and caller.means != "key" and caller.scopes == known.scopes


async def _read_change(request: Request) -> Change:
    requests.check_media_type(request, requests.BODIES)
    return read_change(requests.parse_json(await requests.read_body(request, FORM_LIMIT)))


def read_change(body: Any) -> Change:
    """The change that a body is; raises `RequestValidationError`."""
    try:
        return Change.model_validate(body, strict=True)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        raise RequestValidationError(
            [{**one, "loc": ("body", *one["loc"])} for one in found]
        ) from None
