"""`/auth/token`, `/auth/revoke`, `/auth/me` and the password of one's own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.access import Accesses
from app.api.callers import Caller, caller_of
from app.api.descriptions import Answer, Content, Description, Schema
from app.api.headers import NO_STORE
from app.api.media_types import JSON, PROBLEM
from app.api.routing import Route
from app.api.schemas import PROBLEM_DETAILS
from app.auth.accounts import KnownAccount
from app.auth.authenticator import CREDENTIAL
from app.auth.passwords import MAX_LENGTH, MIN_LENGTH
from app.auth.scopes import ACTIONS, Scopes, find_beyond
from app.auth.services import AuthServices
from app.auth.signing import TOKEN_SECONDS
from app.auth.tokens import Tokens
from app.errors import BadRequest, Fault, Forbidden, Invalid, UnsupportedMedia
from app.resources.registry import Resource

TAG = "accounts"
FORM = "application/x-www-form-urlencoded"
FORM_LIMIT = 64 * 1024  # bytes
NOT_STORED = {**NO_STORE, "Pragma": "no-cache"}  # RFC 6749, 5.1
WRONG = "There is no account with this name and this password."

Form = dict[str, str]
_TOKENS: Schema = {
    "title": "Tokens",
    "type": "object",
    "required": ["access_token", "token_type", "expires_in", "refresh_token", "scope"],
    "properties": {
        "access_token": {"type": "string", "description": "For `Authorization: Bearer`."},
        "token_type": {"type": "string", "enum": ["bearer"]},
        "expires_in": {"type": "integer", "description": "Seconds that it serves."},
        "refresh_token": {"type": "string", "description": "Serves once, for the next tokens."},
        "scope": {"type": "string", "description": "The scopes that it has, with spaces."},
    },
}
_REFUSED: Schema = {
    **PROBLEM_DETAILS,
    "title": "TokenProblem",
    "required": [*PROBLEM_DETAILS["required"], "error"],
    "properties": {
        **PROBLEM_DETAILS["properties"],
        "error": {
            "type": "string",
            "enum": [
                *("invalid_request", "invalid_grant", "invalid_scope", "unsupported_grant_type"),
            ],
            "description": "OAuth2's word for it (RFC 6749, 5.2).",
        },
    },
}
_IS_REFUSED = Answer("It is refused; `error` says why.", {PROBLEM: _REFUSED}, ("Cache-Control",))
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


def _describe_form(*required: str, **fields: str) -> Content:
    properties = {name: {"type": "string", "description": text} for name, text in fields.items()}
    return {FORM: {"type": "object", "required": list(required), "properties": properties}}


class Change(BaseModel):
    """What changes a password."""

    model_config = ConfigDict(extra="forbid")

    old: str = Field(description="The password until now.")
    new: str = Field(
        min_length=MIN_LENGTH, max_length=MAX_LENGTH, description="The password from now on."
    )


TOKEN = Description(
    "post",
    "/auth/token",
    "make_tokens",
    "Tokens for a name and a password, or for a refresh token",
    {
        200: Answer("An access token and a refresh token.", {JSON: _TOKENS}, ("Cache-Control",)),
        400: _IS_REFUSED,
    },
    (413, 415, 422, 429, 503),
    body=_describe_form(
        "grant_type",
        grant_type="`password` or `refresh_token`.",
        username="The account's name.",
        password="Its password.",
        scope="The scopes that are asked for, with spaces; none: all that the account has.",
        refresh_token="A refresh token.",
    ),
    tag=TAG,
)
REVOKE = Description(
    "post",
    "/auth/revoke",
    "revoke_token",
    "End a refresh token and the access tokens that came of it",
    {200: Answer("It serves no more.", {}, ("Cache-Control",)), 400: _IS_REFUSED},
    (401, 413, 415, 422, 503),
    body=_describe_form("token", token="A refresh token or an access token."),
    tag=TAG,
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


class Callers:
    """The handlers by which a caller gets tokens, and asks who it is."""

    def __init__(self, find_services: Callable[[], AuthServices], accesses: Accesses) -> None:
        self._find_services = find_services  # there are none before the database is opened
        self._accesses = accesses

    @property
    def _services(self) -> AuthServices:
        return self._find_services()

    def routes(self) -> list[Route]:
        """The routes of all of them."""
        return [
            Route("/auth/token", {"POST": self.make_tokens}, (TOKEN,)),
            Route("/auth/revoke", {"POST": self.revoke}, (REVOKE,)),
            Route("/auth/me", {"GET": self.show}, (ME,)),
            Route("/auth/me/password", {"PUT": self.change_password}, (PASSWORD,)),
        ]

    async def make_tokens(self, request: Request) -> Response:
        """`POST /auth/token`: tokens for a name and a password, or for a refresh token."""
        requests.refuse_parameters(request)
        form = await read_form(request)
        grant = form.get("grant_type", "password" if "username" in form else "")
        if grant == "password":
            known, tokens = await self._begin(request, form)
        elif grant == "refresh_token":
            known, tokens = await self._refresh(form)
        else:
            word = "unsupported_grant_type" if grant else "invalid_request"
            raise _refuse(word, "grant_type: must be password or refresh_token.")
        scopes = known.call("token", frozenset(tokens.family.scopes)).scopes
        answer = {
            "access_token": tokens.access,
            "token_type": "bearer",
            "expires_in": TOKEN_SECONDS,
            "refresh_token": tokens.refresh,
            "scope": " ".join(sorted(scopes)),
        }
        return Response(orjson.dumps(answer), 200, NOT_STORED, JSON)

    async def _begin(self, request: Request, form: Form) -> tuple[KnownAccount, Tokens]:
        """The tokens of a sign-in (RFC 6749, 4.3)."""
        name, password = _require(form, "username"), _require(form, "password")
        known = await self._services.sign_in.check(name, password, request.scope)
        if known is None:
            raise _refuse("invalid_grant", WRONG)
        scopes = self._read_scopes(known, form.get("scope", "").split())
        await self._services.sign_in.note(known, request.scope, "token")
        return known, await self._services.tokens.begin(known.id, scopes, known.mark)

    def _read_scopes(self, known: KnownAccount, words: list[str]) -> Scopes:
        """The scopes that are asked for, all that the account has where none are."""
        scopes = self._read_words(words)
        beyond = find_beyond(known.scopes, sorted(scopes))
        if beyond:
            raise _refuse("invalid_scope", f"scope: this account has no scope {beyond[0]!r}.")
        return scopes or known.scopes

    def _read_words(self, words: list[str]) -> Scopes:
        try:
            return self._services.accounts.read_scopes(words)
        except ValueError as error:
            raise _refuse("invalid_scope", f"scope: {error}.") from None

    async def _refresh(self, form: Form) -> tuple[KnownAccount, Tokens]:
        """The tokens in place of those before (RFC 6749, section 6)."""
        text = _require(form, "refresh_token")
        scopes = self._read_words(form.get("scope", "").split())
        if scopes:
            await self._refuse_more(text, scopes)
        tokens = await self._services.tokens.refresh(text, scopes)
        known = await self._services.accounts.get(tokens.family.account) if tokens else None
        if tokens is None or known is None or known.mark != tokens.family.mark:
            raise _refuse("invalid_grant", "The refresh token serves no more; sign in again.")
        return known, tokens

    async def _refuse_more(self, text: str, scopes: Scopes) -> None:
        """Raises `BadRequest` for scopes that a refresh token hasn't; it goes on to serve."""
        family = await self._services.tokens.find_serving(text)
        beyond = find_beyond(family.scopes, sorted(scopes)) if family is not None else ()
        if beyond:
            raise _refuse("invalid_scope", f"scope: this token has no scope {beyond[0]!r}.")

    async def revoke(self, request: Request) -> Response:
        """`POST /auth/revoke` (RFC 7009): ends a refresh token and what came of it.

        A token that serves no more, or is another's, is answered alike and left as it is.
        """
        requests.refuse_parameters(request)
        token = _require(await read_form(request), "token")
        family = await self._services.tokens.find_family(token)
        caller = caller_of(request.scope)
        if family is not None and (family.account == caller.id or caller.is_admin):
            await self._services.tokens.end(family.id)
            await self._services.audit.write(request.scope, "signed out", caller.name)
        return Response(None, 200, NOT_STORED)

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


async def read_form(request: Request, most: int = 20) -> Form:
    """The fields of a form, of which there are `most` at most.

    Raises `BadRequest` for one that is broken or has a field twice.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FORM:
        detail = f"The body must be {FORM}."
        raise UnsupportedMedia(detail, Fault(detail, header="Content-Type"))
    body = await requests.read_body(request, FORM_LIMIT)
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=most
        )
    except ValueError:
        raise _refuse("invalid_request", "The body is no form in UTF-8.") from None
    form = dict(pairs)
    if len(form) < len(pairs):
        raise _refuse("invalid_request", "A field of the form is there twice.")
    return form


def _require(form: Form, name: str) -> str:
    if not form.get(name):
        raise _refuse("invalid_request", f"{name}: this field of the form is required.")
    return form[name]


def _refuse(word: str, detail: str) -> BadRequest:
    """400 with the word that OAuth2 has for it (RFC 6749, 5.2)."""
    error = BadRequest(detail)
    error.members["error"] = word
    error.headers |= NOT_STORED
    return error


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
