"""Our errors as answers: `application/problem+json` (RFC 9457), the one place that makes them."""

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.api.media_types import PROBLEM
from app.api.pages import is_for_readers, takes_html
from app.errors import BadRequest, Fault, Invalid, RequestError, Unauthorized
from app.resources.faults import pointer

ShowProblem = Callable[[Scope, Mapping[str, Any], Mapping[str, str]], Response]
SHOW = "show_problem"  # in the scope: what makes a page of an error, for readers of pages
REASON = "reason"  # of an error, in the request's state, for the log
_TITLES = {kind.status: kind.title for kind in RequestError.__subclasses__()}
_TOLD = ("detail", "pointer", "parameter", "header")  # members of a fault in an answer
_log = logging.getLogger("docsheet.error")


def problem(error: RequestError, scope: Scope) -> Response:
    """The answer that a `RequestError` is; the log of the request gets its reason."""
    scope.setdefault("state", {})[REASON] = error.detail
    body = _describe(error, scope)
    show: ShowProblem | None = scope.get(SHOW)
    if show is not None and is_for_readers(scope) and takes_html(scope):
        response = show(scope, body, error.headers)
    else:
        response = Response(_json(body), error.status, error.headers, PROBLEM)
    if isinstance(error, Unauthorized):
        for challenge in error.challenges:
            response.headers.append("WWW-Authenticate", challenge)
    return response


def _describe(error: RequestError, scope: Scope) -> dict[str, Any]:
    """The problem document (RFC 9457, section 3.1)."""
    page = "about:blank"
    if error.problem:
        page = f"{scope.get('root_path', '')}/docs/problems/{error.problem}"
    body: dict[str, Any] = {
        "type": page,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": scope["path"],
    }
    if error.faults:
        body["errors"] = [
            {name: value for name in _TOLD if (value := getattr(fault, name)) is not None}
            for fault in error.faults
        ]
    return body | error.members


async def on_request_error(request: Request, error: Exception) -> Response:
    """Starlette's handler for `RequestError`."""
    assert isinstance(error, RequestError)
    return problem(error, request.scope)


async def on_validation_error(request: Request, error: Exception) -> Response:
    """FastAPI's handler for what its own routes refuse."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if found[0]["type"] == "json_invalid":
        reason = found[0]["ctx"]["error"]
        return problem(BadRequest(f"The body is not JSON: {reason}."), request.scope)
    return problem(make_invalid(error), request.scope)


def make_invalid(error: RequestValidationError) -> Invalid:
    """FastAPI's error as ours."""
    faults = [_fault(one) for one in error.errors()]
    return Invalid(faults[0].detail, *faults)


def _fault(one: Any) -> Fault:
    """One of pydantic's errors, by the part of the request that it is about."""
    place, *steps = one["loc"]
    name = ".".join(map(str, steps))
    text = _sentence(one)
    if place == "body":
        return Fault(text, pointer=pointer(steps))
    if place == "header":
        return Fault(f"{name}: {text}", header=name)
    if place == "cookie":
        return Fault(f"{name}: {text}", header="Cookie")
    return Fault(f"{name}: {text}", parameter=name)


def _sentence(one: Any) -> str:
    text: str = one["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return text.rstrip(".") + "."


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's handler for its own 404 and 405, and for what a user's endpoint raises."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code < HTTPStatus.BAD_REQUEST:  # 304, or a redirection
        return Response(None, error.status_code, headers)
    detail = error.detail if isinstance(error.detail, str) else _text(error.detail)
    if detail == _phrase(error.status_code):
        detail = _make_detail(request, error.status_code, headers)
    ours = RequestError(detail, headers=headers)
    ours.status, ours.title = error.status_code, _title(error.status_code)
    return problem(ours, request.scope)


def _title(status: int) -> str:
    if status in _TITLES:
        return _TITLES[status]
    return _phrase(status)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # a number of the user's own
        return "Error"


def _text(detail: Any) -> str:
    try:
        return orjson.dumps(detail).decode()
    except TypeError:
        return str(detail)


def _make_detail(request: Request, status: int, headers: dict[str, str]) -> str:
    path = request.scope["path"]
    if status == HTTPStatus.NOT_FOUND:
        home = f"{request.scope.get('root_path', '')}/"
        return f"There is nothing at {path}; GET {home} names what is there."
    if status == HTTPStatus.METHOD_NOT_ALLOWED and "Allow" in headers:
        return f"{request.method} is not possible here; {headers['Allow']} is."
    return f"{_title(status)}: {request.method} {path}."


async def on_exception(request: Request, error: Exception) -> Response:
    """Starlette's handler for what nobody expected: logged with its trace, told without.

    The server closes the connection after it.
    """
    _log.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
    detail = (
        "Something went wrong in the server; its log, by the X-Request-ID of this answer, "
        "says what."
    )
    return problem(RequestError(detail, headers={"Connection": "close"}), request.scope)


def _json(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # a lone surrogate of the request, repeated in a sentence
        return orjson.dumps({key: _simplify(value) for key, value in body.items()})


def _simplify(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [{key: _simplify(inner) for key, inner in one.items()} for one in value]
    return value
