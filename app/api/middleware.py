"""What every request passes: its id, who may call, one line in the log.

Pure ASGI: a broken transfer stays broken.
"""

import itertools
import logging
import os
import re
import time
from urllib.parse import quote, unquote_plus, unquote_to_bytes

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from app.api.problems import REASON, problem
from app.errors import BadRequest, Fault, Forbidden, RequestError
from app.settings import Settings

SWITCHING_PROTOCOLS, BAD_REQUEST, FORBIDDEN = 101, 400, 403
EXPOSED = (
    "ETag", "Link", "Location", "Content-Disposition", "Retry-After", "X-Total-Count",
    "X-Count-Strategy",
    "X-Export-Id", "X-Request-ID",
)  # fmt: skip
_WRITES = ("POST", "PUT", "PATCH", "DELETE")
_log = logging.getLogger("docsheet.access")
_STARTS = ("http.response.start", "websocket.http.response.start", "websocket.accept")
HIDDEN = "…"  # in the log, in place of a value that may be secret
_LONG = 500  # characters of a query and of a reason in the log, at most
_usable_id = re.compile(rb"[A-Za-z0-9._:-]{1,64}").fullmatch
# Parameters whose values may be secret, by what is in their names.
_secrets = re.compile(
    r"(?P<name>(?:^|(?<=&))[^&=]*"
    r"(?:pass|pwd|secret|token|api[_-]?key|auth|credential|signature|session)[^&=]*=)(?P<value>[^&]*)",
    re.IGNORECASE,
)


_shared = re.compile(r"/+shared/+(?P<token>[^/]+)(?P<rest>.*)", re.DOTALL).fullmatch
TOKEN = "docsheet.share"  # the key in the scope of a shared download's token


class Gate:
    """The outermost layer: `X-Request-ID`, `nosniff`, the Host and Origin rules, the log.

    WebSockets pass it as well: whatever page they are opened by, they can write.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._hosts = frozenset(
            host.lower() for host in settings.ALLOWED_HOSTS if not host.startswith("*")
        )
        self._suffixes = tuple(
            host[1:].lower() for host in settings.ALLOWED_HOSTS if host.startswith("*")
        )
        self._origins = frozenset(settings.CORS_ORIGINS)
        self._root = settings.ROOT_PATH
        # The ids of this process have a beginning in common, and a number for each request.
        self._beginning = os.urandom(4).hex().encode()
        self._number = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin = time.perf_counter()
        # The last of each name: repeats don't matter to what is asked of them here.
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id", b"")
        if not _usable_id(request_id):
            request_id = self._beginning + b"%08x" % next(self._number)
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        _hide_token(scope)
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            kind = message["type"]
            if kind in _STARTS:
                status = message.get("status", SWITCHING_PROTOCOLS)
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"x-request-id", request_id),
                ]
            elif kind == "websocket.close" and not status:
                status = FORBIDDEN  # what a server makes of one that was never accepted
            await send(message)

        try:
            await self._answer(scope, headers, receive, send_marked)
        finally:
            _log.info(_line(scope, status, (time.perf_counter() - begin) * 1000))

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send
    ) -> None:
        _keep_encoded_slashes(scope)
        if self._root:
            _put_under(self._root, scope)
        try:
            self._check_host(headers)
            if scope["type"] == "websocket" or scope["method"] in _WRITES:
                self._check_origin(headers)
        except RequestError as error:
            await refuse(error, scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check_host(self, headers: dict[bytes, bytes]) -> None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
        if name in self._hosts or (self._suffixes and name.endswith(self._suffixes)):
            return
        detail = (
            f"This server does not answer to the host {host!r}; ALLOWED_HOSTS names those that "
            "it does."
        )
        raise BadRequest(detail, Fault(detail, header="Host"))

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


async def refuse(error: RequestError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request, or a WebSocket that is to be opened, with an error."""
    if scope["type"] == "http":
        await problem(error, scope)(scope, receive, send)
    elif "websocket.http.response" in scope.get("extensions", {}):
        await WebSocket(scope, receive, send).send_denial_response(problem(error, scope))
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": error.title})


def _line(scope: Scope, status: int, milliseconds: float) -> str:
    """A request in the log: what was asked, the answer's status, how long it took, its id.

    One that was refused has its query and the reason as well, so that nobody need guess.
    """
    method = scope.get("method", "WEBSOCKET")
    line = f"{method} {scope['path']} {status} {milliseconds:.1f} ms {scope['state']['request_id']}"
    if status >= BAD_REQUEST:
        line = f"{line} {_why(scope)}".rstrip()
    return line if line.isprintable() else "".join(map(_make_printable, line))


def _make_printable(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]


def _why(scope: Scope) -> str:
    """The query and the reason, without values that may be secret."""
    query = scope["query_string"].decode("latin-1")
    reason: str = scope["state"].get(REASON, "")
    for found in _secrets.finditer(query):
        value = unquote_plus(found["value"])
        reason = reason.replace(value, HIDDEN) if value else reason
    query = _secrets.sub(rf"\g<name>{HIDDEN}", query)
    return f"{'?' if query else ''}{query[:_LONG]} {reason[:_LONG]}".strip()


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
    """A `%2F` in the path belongs to a name.

    It must not look like a step when routes are matched.
    """
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" in raw.lower():
        steps = [unquote_to_bytes(step).decode("utf-8", "replace") for step in raw.split(b"/")]
        scope["path"] = "/".join(step.replace("/", "%2F") for step in steps)


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

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a preflight: 200, or 403 as a problem."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        detail = f"This cross-origin request is not allowed: {bytes(answer.body).decode()}."
        return problem(Forbidden(detail, Fault(detail, header="Origin")), {"path": "*"})
