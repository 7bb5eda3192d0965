"""What every request passes: its id, who may call, one line in the log. Pure ASGI: a broken transfer stays broken."""

import itertools
import logging
import os
import re
import time
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem
from app.errors import BadRequest, Fault, Forbidden, RequestError
from app.settings import Settings

EXPOSED = (
    "ETag", "Link", "Location", "Content-Disposition", "Retry-After", "X-Total-Count", "X-Count-Strategy",
    "X-Export-Id", "X-Request-ID",
)  # fmt: skip
_WRITES = ("POST", "PUT", "PATCH", "DELETE")
_log = logging.getLogger("docsheet.access")
_usable_id = re.compile(rb"[A-Za-z0-9._:-]{1,64}").fullmatch


class Gate:
    """The outermost layer: `X-Request-ID`, `nosniff`, the Host and Origin rules, the log."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._hosts = frozenset(
            host.lower() for host in settings.ALLOWED_HOSTS if not host.startswith("*")
        )
        self._suffixes = tuple(
            host[1:].lower() for host in settings.ALLOWED_HOSTS if host.startswith("*")
        )
        self._origins = frozenset(settings.CORS_ORIGINS)
        self._prefix = (
            os.urandom(4).hex().encode()
        )  # of this process; a number for each request behind it
        self._number = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        headers = dict(
            scope["headers"]
        )  # the last of each name; repeats don't matter to what is asked of them here
        request_id = headers.get(b"x-request-id", b"")
        if not _usable_id(request_id):
            request_id = self._prefix + b"%08x" % next(self._number)
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"], (b"x-content-type-options", b"nosniff"), (b"x-request-id", request_id)
                ]  # fmt: skip
            await send(message)

        try:
            await self._answer(scope, headers, receive, send_marked)
        finally:
            milliseconds = (time.perf_counter() - begin) * 1000
            path = scope["path"] if scope["path"].isprintable() else ascii(scope["path"])
            _log.info(
                "%s %s %d %.1f ms %s",
                scope["method"],
                path,
                status,
                milliseconds,
                request_id.decode(),
            )

    async def _answer(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send
    ) -> None:
        try:
            self._check_host(headers)
            if scope["method"] in _WRITES:
                self._check_origin(headers)
        except RequestError as error:
            await problem(error, scope["path"])(scope, receive, send)
            return
        _keep_encoded_slashes(scope)
        await self._app(scope, receive, send)

    def _check_host(self, headers: dict[bytes, bytes]) -> None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
        if name in self._hosts or (self._suffixes and name.endswith(self._suffixes)):
            return
        detail = f"This server does not answer to the host {host!r}; ALLOWED_HOSTS names those that it does."
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


def _keep_encoded_slashes(scope: Scope) -> None:
    """A `%2F` in the path belongs to a name, so it must not look like a step when routes are matched."""
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
        return problem(Forbidden(detail, Fault(detail, header="Origin")), "*")
