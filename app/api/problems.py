"""Our errors as answers: `application/problem+json` (RFC 9457), the one place that makes them."""

import http
import logging
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.errors import Fault, RequestError

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger("docsheet.error")


def problem(error: RequestError, path: str) -> Response:
    """The answer that a `RequestError` is."""
    page = f"/docs/problems/{error.problem}" if error.problem else "about:blank"
    return _response(
        error.status, error.title, error.detail, path, error.faults, error.headers, page
    )


async def on_request_error(request: Request, error: Exception) -> Response:
    """Starlette's handler for `RequestError`."""
    assert isinstance(error, RequestError)
    return problem(error, request.url.path)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's handler for its own 404 and 405."""
    assert isinstance(error, HTTPException)
    title = http.HTTPStatus(error.status_code).phrase
    detail = (
        str(error.detail)
        if error.detail != title
        else f"{title}: {request.method} {request.url.path}."
    )
    if error.status_code == http.HTTPStatus.NOT_FOUND:
        detail = f"There is nothing at {request.url.path}; GET / names what is there."
    return _response(
        error.status_code, title, detail, request.url.path, (), dict(error.headers or {})
    )


async def on_exception(request: Request, error: Exception) -> Response:
    """Starlette's handler for what nobody expected: logged with its trace, told without."""
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    detail = "Something went wrong in the server; its log, by the X-Request-ID of this answer, says what."
    return _response(500, "Internal Server Error", detail, request.url.path)


def _response(
    status: int,
    title: str,
    detail: str,
    path: str,
    faults: tuple[Fault, ...] = (),
    headers: dict[str, str] | None = None,
    page: str = "about:blank",
) -> Response:
    body: dict[str, Any] = {
        "type": page,
        "title": title,
        "status": status,
        "detail": detail,
        "instance": path,
    }
    if faults:
        body["errors"] = [
            {key: value for key, value in vars(fault).items() if value is not None}
            for fault in faults
        ]
    return Response(_json(body), status, headers, MEDIA_TYPE)


def _json(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # a lone surrogate of the request, repeated in a sentence
        return orjson.dumps({key: _plain(value) for key, value in body.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [{key: _plain(inner) for key, inner in one.items()} for one in value]
    return value
