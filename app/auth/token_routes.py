"""`/auth/token` and `/auth/revoke` (RFC 6749, RFC 7009)."""

from collections.abc import Callable

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.callers import caller_of
from app.api.descriptions import Answer, Content, Description, Schema
from app.api.media_types import JSON, PROBLEM
from app.api.routing import Route
from app.api.schemas import PROBLEM_DETAILS
from app.auth.accounts import KnownAccount
from app.auth.forms import FORM, NOT_STORED, Form, oauth_error, read_form, require_field
from app.auth.scopes import Scopes, find_beyond
from app.auth.services import AuthServices
from app.auth.signing import TOKEN_SECONDS
from app.auth.tokens import Tokens

TAG = "accounts"
WRONG = "There is no account with this name and this password."

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


def _describe_form(*required: str, **fields: str) -> Content:
    properties = {name: {"type": "string", "description": text} for name, text in fields.items()}
    return {FORM: {"type": "object", "required": list(required), "properties": properties}}


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


class TokenRoutes:
    """The handlers by which a caller gets tokens, and ends them."""

    def __init__(self, find_services: Callable[[], AuthServices]) -> None:
        self._find_services = find_services  # there are none before the database is opened

    @property
    def _services(self) -> AuthServices:
        return self._find_services()

    def routes(self) -> list[Route]:
        """The routes of both."""
        return [
            Route("/auth/token", {"POST": self.make_tokens}, (TOKEN,)),
            Route("/auth/revoke", {"POST": self.revoke}, (REVOKE,)),
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
            raise oauth_error(word, "grant_type: must be password or refresh_token.")
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
        name, password = require_field(form, "username"), require_field(form, "password")
        known = await self._services.sign_in.check(name, password, request.scope)
        if known is None:
            raise oauth_error("invalid_grant", WRONG)
        scopes = self._read_scopes(known, form.get("scope", "").split())
        await self._services.sign_in.note(known, request.scope, "token")
        return known, await self._services.tokens.begin(known.id, scopes, known.mark)

    def _read_scopes(self, known: KnownAccount, words: list[str]) -> Scopes:
        """The scopes that are asked for, all that the account has where none are."""
        scopes = self._read_words(words)
        beyond = find_beyond(known.scopes, sorted(scopes))
        if beyond:
            raise oauth_error("invalid_scope", f"scope: this account has no scope {beyond[0]!r}.")
        return scopes or known.scopes

    def _read_words(self, words: list[str]) -> Scopes:
        try:
            return self._services.accounts.read_scopes(words)
        except ValueError as error:
            raise oauth_error("invalid_scope", f"scope: {error}.") from None

    async def _refresh(self, form: Form) -> tuple[KnownAccount, Tokens]:
        """The tokens in place of those before (RFC 6749, section 6)."""
        text = require_field(form, "refresh_token")
        scopes = self._read_words(form.get("scope", "").split())
        if scopes:
            await self._refuse_more(text, scopes)
        tokens = await self._services.tokens.refresh(text, scopes)
        known = await self._services.accounts.get(tokens.family.account) if tokens else None
        if tokens is None or known is None or known.mark != tokens.family.mark:
            raise oauth_error("invalid_grant", "The refresh token serves no more; sign in again.")
        return known, tokens

    async def _refuse_more(self, text: str, scopes: Scopes) -> None:
        """Raises `BadRequest` for scopes that a refresh token hasn't; it goes on to serve."""
        family = await self._services.tokens.find_serving(text)
        beyond = find_beyond(family.scopes, sorted(scopes)) if family is not None else ()
        if beyond:
            raise oauth_error("invalid_scope", f"scope: this token has no scope {beyond[0]!r}.")

    async def revoke(self, request: Request) -> Response:
        """`POST /auth/revoke` (RFC 7009): ends a refresh token and what came of it.

        A token that serves no more, or is another's, is answered alike and left as it is.
        """
        requests.refuse_parameters(request)
        token = require_field(await read_form(request), "token")
        family = await self._services.tokens.find_family(token)
        caller = caller_of(request.scope)
        if family is not None and (family.account == caller.id or caller.is_admin):
            await self._services.tokens.end(family.id)
            await self._services.audit.write(request.scope, "signed out", caller.name)
        return Response(None, 200, NOT_STORED)
