"""Who makes a request: found by its token, key, password or cookie, before it is routed.

Nobody gets past without an account, but to the few paths that are open.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.callers import NOBODY, Caller
from app.api.middleware import refuse
from app.auth.documents import KEY_PREFIX
from app.auth.public import DOCS, is_public
from app.auth.redirects import redirect_to_sign_in
from app.auth.services import AuthServices
from app.auth.sessions import COOKIE
from app.errors import Fault, Forbidden, NotFound, RequestError, Unauthorized
from app.settings import Settings

if TYPE_CHECKING:
    from app.api.limits import Limits

BEARER, BASIC = 'Bearer realm="docsheet"', 'Basic realm="docsheet", charset="UTF-8"'
SAFE = ("GET", "HEAD", "OPTIONS")  # methods that change nothing (RFC 9110, 9.2.1)
FindCaller = Callable[[Scope], Awaitable[Caller]]
CREDENTIAL = "credential"  # in the scope: the id of the family, key or session that was sent
_NOT_VALID = "The credentials that were sent are not valid."


class Authenticator:
    """Finds the caller of a request."""

    def __init__(self, checks: AuthServices) -> None:
        self._services = checks

    async def find(self, scope: Scope) -> Caller:
        """The caller; raises `Unauthorized`, `TooManyRequests`, or `Forbidden` for a foreign page.

        What a program sends goes before the browser's cookie.
        """
        headers = dict(scope["headers"])
        given = headers.get(b"authorization")
        if given is not None:
            caller = await self._find_by_header(given.decode("latin-1"), scope)
        else:
            cookies = cookie_parser(headers.get(b"cookie", b"").decode("latin-1"))
            if COOKIE not in cookies:
                raise _refuse(scope, "This needs an account: a token, a key or a password.")
            refuse_foreign_page(scope)
            caller = await self._find_by_cookie(cookies[COOKIE], scope)
        if caller is None:
            raise _refuse(scope, _NOT_VALID)
        return caller

    async def _find_by_header(self, given: str, scope: Scope) -> Caller | None:
        """The caller of an `Authorization` header (RFC 9110, 11.6.2)."""
        scheme, _, credentials = given.strip().partition(" ")
        credentials = credentials.strip()
        if scheme.lower() == "bearer":
            return await self._find_by_bearer(credentials, scope)
        if scheme.lower() == "basic":
            return await self._find_by_basic(credentials, scope)
        return None

    async def _find_by_basic(self, credentials: str, scope: Scope) -> Caller | None:
        """The caller of a name and a password, or of a key (RFC 7617)."""
        try:
            text = base64.b64decode(credentials, validate=True).decode()
        except (binascii.Error, ValueError):
            return None
        name, _, password = text.partition(":")
        if name.startswith(KEY_PREFIX):
            return await self._find_by_key(name, password, scope)
        if not name or not password:
            return None
        known = await self._services.remembered.check(name, password, scope)
        return known.call("password") if known else None

    async def _find_by_bearer(self, token: str, scope: Scope) -> Caller | None:
        if token.startswith(KEY_PREFIX):
            identifier, _, secret = token.partition(".")
            return await self._find_by_key(identifier, secret, scope)
        claims = await self._services.tokens.check(token)
        family = await self._services.tokens.find(claims.family) if claims else None
        if claims is None or family is None:
            return None
        known = await self._services.accounts.get(family.account)
        if known is None or known.mark != family.mark:
            return None
        scope[CREDENTIAL] = family.id
        return known.call("token", claims.scopes)

    async def _find_by_key(self, identifier: str, secret: str, scope: Scope) -> Caller | None:
        key = await self._services.keys.check(identifier, secret)
        known = await self._services.accounts.get(key.account) if key else None
        if key is None or known is None:
            await self._services.refused_keys.note(identifier, scope)
            return None
        scope[CREDENTIAL] = identifier
        return known.call("key", key.scopes)

    async def _find_by_cookie(self, value: str, scope: Scope) -> Caller | None:
        session = await self._services.sessions.find(value)
        known = await self._services.accounts.get(session.account) if session else None
        if session is None or known is None or known.mark != session.mark:
            return None
        scope[CREDENTIAL] = session.id
        return known.call("session")


def _refuse(scope: Scope, detail: str) -> Unauthorized:
    """401 with what may be sent; Basic, for which a browser asks in a window, to no script."""
    mode = dict(scope["headers"]).get(b"sec-fetch-mode", b"navigate")
    return Unauthorized(detail, *([BEARER, BASIC] if mode == b"navigate" else [BEARER]))


def refuse_foreign_page(scope: Scope) -> None:
    """Raises `Forbidden` where a write does not come from a page of this server.

    A browser sends the cookie whatever page asks, and the page's `Origin` with every write.
    """
    if scope.get("method") in SAFE:
        return
    headers = dict(scope["headers"])
    origin = headers.get(b"origin", b"").decode("latin-1").lower()
    host = headers.get(b"host", b"").decode("latin-1").lower()
    if origin.partition("://")[2] != host or not host:
        detail = "With the cookie of the page, only pages of this server may write."
        raise Forbidden(detail, Fault(detail, header="Origin"))


class Authentication:
    """The layer around all routes that puts the caller into the scope, or refuses the request."""

    def __init__(
        self, app: ASGIApp, find: FindCaller, settings: Settings, limits: "Limits | None" = None
    ) -> None:
        self._app = app
        self._limits = limits
        self._find_caller = find
        self._root = settings.ROOT_PATH
        self._docs = DOCS if settings.DOCS == "on" else frozenset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through with its caller, and the lifespan without one."""
        try:
            if scope["type"] != "lifespan":
                scope["caller"] = await self._find(scope)
        except RequestError as error:
            if self._limits is not None:
                error = await self._limits.choose_refusal(scope, error)
            response = redirect_to_sign_in(error, scope)
            if response is not None:
                await response(scope, receive, send)
                return
            await refuse(error, scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _find(self, scope: Scope) -> Caller:
        path = scope["path"].removeprefix(self._root)
        # A route of a user's own may take every path there is, and needs a caller.
        is_ours = "endpoint" in scope
        if is_public(path):
            if not is_ours:
                raise NotFound(f"There is nothing at {scope['path']}.")
            return NOBODY
        try:
            return await self._find_caller(scope)
        except Unauthorized:
            if is_ours and (path in self._docs or path.startswith("/docs/")):
                return NOBODY
            raise
