"""What the form of a page sends (`application/x-www-form-urlencoded`), read into pairs."""

import asyncio
from urllib.parse import parse_qsl

from starlette.requests import Request

from app.api import requests
from app.errors import BadRequest

FORM = ("application/x-www-form-urlencoded",)
LIMIT = 64 * 1024  # bytes of a form that holds no document


async def read_form(request: Request, limit: int = LIMIT) -> dict[str, str]:
    """The fields of a form, the last of each name; raises as `read_pairs`."""
    return dict(await read_pairs(request, limit))


async def read_pairs(request: Request, limit: int = LIMIT) -> list[tuple[str, str]]:
    """The fields of a form in their order.

    Raises `UnsupportedMedia`, `TooLarge` past `limit` bytes, or `BadRequest`.
    """
    requests.check_media_type(request, FORM)
    body = await requests.read_body(request, limit)
    return await asyncio.to_thread(_parse, body) if len(body) > LIMIT else _parse(body)


def _parse(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50_000
        )
    except ValueError:
        raise BadRequest("The body is no form in UTF-8.") from None
