"""What every request passes: its id, the headers of every answer, who may call, the log.

Pure ASGI: a broken transfer stays broken.
"""

import asyncio
import itertools
import logging
import os
import re
import time
from functools import lru_cache
from urllib.parse import quote

from starlette.datastructures import Headers as RequestHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from app.api.failures import STATUS
from app.api.headers import Headers
from app.api.log_lines import LogLine
from app.api.observers import Observer
from app.api.problems import problem
from app.api.proxies import Proxies
from app.api.redaction import HIDDEN, has_credentials
from app.api.routing import decode_path
from app.errors import BadRequest, Fault, Forbidden, NotFound, RequestError, Unavailable
from app.settings import Settings
from app.store.errors import MAY_HAVE_HAPPENED
from app.transfers.traffic import Traffic

SWITCHING_PROTOCOLS, FORBIDDEN = 101, 403
EXPOSED = (
    "ETag", "Link", "Location", "Content-Disposition", "Retry-After", "X-Total-Count",
    "X-Count-Strategy",
    "X-Export-Id", "X-Request-ID",
)  # fmt: skip
HOSTS_CACHE_SIZE = 64  # `Host` headers of which is kept whether they are served
_WRITES = ("POST", "PUT", "PATCH", "DELETE")
_log = logging.getLogger("docsheet.access")
_DENIAL = "websocket.http.response"  # the extension of ASGI, and the beginning of its messages
_STARTS = ("http.response.start", f"{_DENIAL}.start", "websocket.accept")
_usable_id = re.compile(rb"[A-Za-z0-9._:-]{1,64}").fullmatch
# A name or an IPv6 address, with or without a port (RFC 9110, 7.2): what follows a colon would be
# a password in an address, and the name behind it another server's.
_host = re.compile(r"(?:\[(?P<address>[^]]*)\]|(?P<name>[^:\[]*))(?::[0-9]*)?").fullmatch

_shared = re.compile(r"/+shared/+(?P<token>[^/]+)(?P<rest>.*)", re.DOTALL).fullmatch
TOKEN = "docsheet.share"  # the key in the scope of a shared download's token


class Gate:
    """The outermost layer: what a proxy says, the headers of all answers, Host, Origin, the log.

    WebSockets pass it as well: whatever page they are opened by, they can write.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        traffic: Traffic,
        observer: Observer | None = None,
    ) -> None:
        self._app = app
        self._traffic = traffic
        self._observer = observer
        self._hosts = frozenset(
            host.lower() for host in settings.ALLOWED_HOSTS if not host.startswith("*")
        )
        self._suffixes = tuple(
            host[1:].lower() for host in settings.ALLOWED_HOSTS if host.startswith("*")
        )
        self._origins = frozenset(settings.CORS_ORIGINS)
        self._root = settings.ROOT_PATH
        self._proxies = Proxies(settings.TRUSTED_PROXIES) if settings.TRUSTED_PROXIES else None
        self._headers = Headers(settings)
        self._serves = lru_cache(maxsize=HOSTS_CACHE_SIZE)(self._serves_host)
        # The ids of this process have a beginning in common, and a number for each request.
        self._beginning = os.urandom(4).hex().encode()
        self._number = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin = time.perf_counter()
        span = self._traffic.begin()
        if self._proxies is not None:
            self._proxies.believe(scope)
        # The last of each name: repeats don't matter to what is asked of them here.
        asked = dict(scope["headers"])
        request_id = asked.get(b"x-request-id", b"")
        if not _usable_id(request_id) or has_credentials(request_id.decode()):
            request_id = self._beginning + b"%08x" % next(self._number)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id.decode()
        state[STATUS] = 0
        if "/shared/" in scope["path"]:
            _hide_token(scope)

        async def send_marked(message: Message) -> None:
            kind = message["type"]
            if kind == "websocket.close" and not state[STATUS]:  # it was never accepted
                if _DENIAL in scope.get("extensions", {}):
                    await refuse(_why_closed(scope, message), scope, receive, send_marked)
                    return
                state[STATUS] = FORBIDDEN
            elif kind in _STARTS:
                self._traffic.end(span)
                state[STATUS] = message.get("status", SWITCHING_PROTOCOLS)
                headers = self._headers.complete(message.get("headers", ()), scope["scheme"])
                headers.append((b"x-request-id", request_id))
                milliseconds = (time.perf_counter() - begin) * 1000
                headers.append((b"server-timing", b"app;dur=%.1f" % milliseconds))
                message["headers"] = headers
            await send(message)

        try:
            await self._answer(scope, asked, receive, send_marked)
        except asyncio.CancelledError:  # by the server, after the grace time
            if state[STATUS]:
                raise
            await refuse(_make_stopped(scope), scope, receive, send_marked)
        finally:
            status = state[STATUS]
            if not status:
                self._traffic.end(span)
            seconds = time.perf_counter() - begin
            _log.info(LogLine(scope, status, seconds * 1000))
            if self._observer is not None:
                self._observer.see_request(scope, status, seconds)

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send
    ) -> None:
        _keep_encoded_slashes(scope)
        if self._root:
            _put_under(self._root, scope)
        try:
            if len(headers) < len(scope["headers"]):  # some name is there twice
                _refuse_second_host(scope)
            self._check_host(headers)
            if scope["type"] == "websocket" or scope["method"] in _WRITES:
                self._check_origin(headers)
        except RequestError as error:
            await refuse(error, scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check_host(self, headers: dict[bytes, bytes]) -> None:
        sent = headers.get(b"host", b"")
        if self._serves(sent):
            return
        host = sent.decode("latin-1").lower()
        detail = (
            f"This server does not answer to the host {host!r}; ALLOWED_HOSTS names those that "
            "it does."
        )
        raise BadRequest(detail, Fault(detail, header="Host"))

    def _serves_host(self, sent: bytes) -> bool:
        found = _host(sent.decode("latin-1").lower())
        name = (found["address"] or found["name"] or "") if found else ""
        return name in self._hosts or bool(self._suffixes and name.endswith(self._suffixes))

    def _check_origin(self, headers: dict[bytes, bytes]) -> None:
        origin = headers.get(b"origin")
        if origin is not None:
            text = origin.decode("latin-1")
            if text in self._origins or "*" in self._origins:
                return
            if (
                text.partition("://")[2].lower()
                != headers.get(b"host", b"").decode("latin-1").lower()
            ):
                detail = (
                    f"Pages of {text} may not write here; CORS_ORIGINS names the origins that may."
                )
                raise Forbidden(detail, Fault(detail, header="Origin"))
        if headers.get(b"sec-fetch-site") == b"cross-site":
            detail = "Another site's page may not write here."
            raise Forbidden(detail, Fault(detail, header="Sec-Fetch-Site"))


def _refuse_second_host(scope: Scope) -> None:
    """Raises `BadRequest` for two `Host` lines, of which one would pass (RFC 9112, section 3.2)."""
    if sum(name == b"host" for name, _ in scope["headers"]) > 1:
        detail = "Host: it is given twice; a request has one."
        raise BadRequest(detail, Fault(detail, header="Host"))


def _why_closed(scope: Scope, message: Message) -> RequestError:
    """The error that a WebSocket is which is closed before it was accepted."""
    if "endpoint" not in scope:  # no route took it
        return NotFound(f"No WebSocket can be opened at {scope['path']}.")
    return Forbidden(message.get("reason") or "This WebSocket may not be opened.")


async def refuse(error: RequestError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request, or a WebSocket that is to be opened, with an error."""
    if scope["type"] == "http":
        await problem(error, scope)(scope, receive, send)
    elif _DENIAL in scope.get("extensions", {}):
        await WebSocket(scope, receive, send).send_denial_response(problem(error, scope))
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": error.title})


def _make_stopped(scope: Scope) -> Unavailable:
    detail = "The server is stopping, so this was broken off; try again soon."
    if scope.get("method") in _WRITES:
        detail += MAY_HAVE_HAPPENED
    return Unavailable(detail)


def _hide_token(scope: Scope) -> None:
    """Takes the token of a shared download out of the path, for its handler alone.

    So no log, no error and nothing else that repeats a path can show it.
    """
    found = _shared(scope["path"])
    if found is not None:
        scope[TOKEN] = found["token"]
        scope["path"] = f"/shared/{HIDDEN}{found['rest']}"
        scope["raw_path"] = quote(scope["path"]).encode()


def _put_under(root: str, scope: Scope) -> None:
    """The path as it was before a proxy took its prefix off, as ASGI has it (`root_path`)."""
    scope["root_path"] = root
    scope["path"] = root + scope["path"]
    if "raw_path" in scope:
        scope["raw_path"] = root.encode() + scope["raw_path"]


def _keep_encoded_slashes(scope: Scope) -> None:
    """Keeps a `%2F` in the path, which ASGI's servers decode."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" in raw.lower():
        scope["path"] = decode_path(raw)


class Cors(CORSMiddleware):
    """Starlette's CORS, with refusals as problems."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        super().__init__(
            app,
            allow_origins=settings.CORS_ORIGINS,
            allow_methods=("GET", "HEAD", *_WRITES),
            allow_headers=("*",),
            expose_headers=EXPOSED,
            max_age=600,
        )

    def preflight_response(self, request_headers: RequestHeaders) -> Response:
        """The answer to a preflight: 200, or 403 as a problem."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        detail = f"This cross-origin request is not allowed: {bytes(answer.body).decode()}."
        return problem(Forbidden(detail, Fault(detail, header="Origin")), {"path": "*"})
