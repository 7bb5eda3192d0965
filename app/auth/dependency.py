"""The caller as a dependency of FastAPI, for a user's own routes.

Who calls is known before a route is found, so nothing is checked here but scopes; the security
schemes are there for the description, by which Swagger's Authorize and generated clients work.
"""

from typing import Annotated

from fastapi import Depends, WebSocketException
from fastapi.security import HTTPBasic, HTTPBearer, OAuth2PasswordBearer, SecurityScopes
from starlette.requests import HTTPConnection

from app.api.callers import Caller, caller_of
from app.auth.scopes import covers
from app.auth.security import BASIC, BEARER, GENERAL_SCOPES, PASSWORD, TOKEN_URL
from app.errors import Forbidden

POLICY_VIOLATION = 1008  # of a WebSocket (RFC 6455, 7.4.1)


class _Password(OAuth2PasswordBearer):
    """The sign-in, described."""

    async def __call__(self) -> None:  # type: ignore[override]
        """Asks for nothing."""


class _Basic(HTTPBasic):
    """HTTP Basic, described."""

    async def __call__(self) -> None:  # type: ignore[override]
        """Asks for nothing."""


class _Bearer(HTTPBearer):
    """A key as a bearer, described."""

    async def __call__(self) -> None:  # type: ignore[override]
        """Asks for nothing."""


_password = _Password(TOKEN_URL, scheme_name=PASSWORD, scopes=GENERAL_SCOPES, auto_error=False)
_basic = _Basic(scheme_name=BASIC, auto_error=False)
_bearer = _Bearer(scheme_name=BEARER, auto_error=False)


async def caller(
    connection: HTTPConnection,
    needed: SecurityScopes,
    _with_token: Annotated[None, Depends(_password)],
    _with_name: Annotated[None, Depends(_basic)],
    _with_key: Annotated[None, Depends(_bearer)],
) -> Caller:
    """Who calls, if that has the scopes that the route asks for; everyone where accounts are off.

    Raises `Forbidden` with the scope that is needed.

    >>> @router.get("/report")
    ... async def report(who: Annotated[Caller, Security(caller, scopes=["admin"])]) -> str: ...
    """
    found = caller_of(connection.scope)
    for scope in needed.scopes:
        if not covers(found.scopes, scope):
            detail = f"This needs the scope {scope!r}, which the caller does not have."
            if connection.scope["type"] == "websocket":
                raise WebSocketException(POLICY_VIOLATION, detail)
            raise Forbidden(detail)
    return found
