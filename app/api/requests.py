"""What a request says, read and checked: parameters, the `_id` in the path, a JSON body."""

import json
from collections.abc import Collection, Iterable
from typing import Any, NoReturn
from urllib.parse import parse_qsl, unquote, unquote_to_bytes

import orjson
from starlette.requests import ClientDisconnect, Request

from app.api import media_types
from app.errors import BadRequest, Fault, Invalid, TooLarge, UnsupportedMedia
from app.resources.exact_json import has_long_integer, read_float, read_integer
from app.resources.fields import Field
from app.resources.keys import read_key

BODIES = (media_types.JSON,)
PATCHES = (media_types.MERGE_PATCH, media_types.JSON)
# What orjson refuses, though it is JSON: the model's check says where it stands.
_JSON_ALL_THE_SAME = ("surrogate", "infinity")


def pairs(request: Request) -> list[tuple[str, str]]:
    """The pairs of the query string, in their order; raises `Invalid` where they are not UTF-8."""
    raw: bytes = request.scope["query_string"]
    return parse_pairs(raw) if raw else []


def parse_pairs(query: bytes) -> list[tuple[str, str]]:
    """The same of a query string that somebody kept."""
    try:
        return parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=5000
        )
    except ValueError:
        raise _make_query_error(query) from None


def _make_query_error(query: bytes) -> Invalid:
    """422 for a query string that can't be read; it names the parameter that isn't UTF-8."""
    for pair in query.split(b"&"):
        try:
            unquote_to_bytes(pair).decode()
        except UnicodeDecodeError:
            name = unquote_to_bytes(pair.partition(b"=")[0]).decode(errors="replace")
            detail = f"{name}: must be percent-encoded UTF-8."
            return Invalid(detail, Fault(detail, parameter=name))
    detail = "The query string must be percent-encoded UTF-8, with at most 5,000 parameters."
    return Invalid(detail, Fault(detail, parameter=""))


def refuse_parameters(request: Request, known: Collection[str] = ()) -> None:
    """Raises `Invalid` where the query string has any parameter but the `known` ones."""
    faults = [
        Fault(f"{name}: there is no such parameter here.", parameter=name)
        for name, _ in pairs(request)
        if name not in known
    ]
    if faults:
        raise Invalid(faults[0].detail, *faults)


def keys(request: Request, field: Field, step: int = -1) -> tuple[Iterable[Any], ValueError | None]:
    """The `_id`s that a step of the path, the last one, may stand for, the model's type first.

    With them the error, if the text is none of these.
    """
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    raw = raw.removeprefix(request.scope.get("root_path", "").encode())
    try:
        text = unquote(raw.split(b"/")[step].decode("ascii"), errors="strict")
    except UnicodeDecodeError as error:
        return [], error
    return read_key(field, text)


def make_key_error(error: ValueError) -> Invalid:
    """422 for an `_id` in the path that is none."""
    detail = (
        f"_id: {error}." if not isinstance(error, UnicodeDecodeError) else "_id: must be UTF-8."
    )
    return Invalid(detail, Fault(detail, parameter="_id"))


def check_media_type(request: Request, accepted: tuple[str, ...]) -> None:
    """Raises `UnsupportedMedia` unless the body has one of these media types, as it is."""
    given = request.headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() in accepted:
        _check_encoding(request)
        return
    detail = f"The body must be {' or '.join(accepted)}, not {given or 'without a media type'}."
    headers = {"Accept-Patch": ", ".join(PATCHES)} if accepted is PATCHES else None
    raise UnsupportedMedia(detail, Fault(detail, header="Content-Type"), headers=headers)


def _check_encoding(request: Request) -> None:
    """Raises `UnsupportedMedia` for a compressed body (RFC 9110, section 8.4)."""
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        detail = f"A JSON body is read as it is, not with Content-Encoding {encoding}."
        raise UnsupportedMedia(
            detail,
            Fault(detail, header="Content-Encoding"),
            headers={"Accept-Encoding": "identity"},
        )


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body; raises `TooLarge` past `limit` bytes, without reading on."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise _make_too_large(limit)
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise _make_too_large(limit)
            parts.append(part)
    except ClientDisconnect:
        raise BadRequest("The body ended early.") from None
    return b"".join(parts)


def _make_too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The body is larger than the {limit / 1024 / 1024:g} MiB that are accepted "
        "(BODY_LIMIT_MIB).",
        headers={"Connection": "close"},
    )


def parse_json(body: bytes) -> Any:
    """The JSON value of a body, integers with all their digits.

    Raises `BadRequest` for what is not JSON.
    """
    try:
        if not has_long_integer(body):
            return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if not any(word in str(error) for word in _JSON_ALL_THE_SAME):
            raise BadRequest(f"The body is not JSON: {error}.") from None
    try:
        return json.loads(
            body, parse_constant=_refuse_constant, parse_int=read_integer, parse_float=read_float
        )
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not JSON: {error}.") from None


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number in JSON")
