"""A JSON value in a hidden control of a form: what the form was made of, when it comes back."""

import base64
import binascii
import json
import zlib
from typing import Any

from app.errors import BadRequest
from app.resources.exact_json import BeyondDouble

MAX_UNPACKED = 64 * 1024 * 1024  # bytes that are unpacked


def pack(value: Any) -> str:
    """The value as a short text; numbers keep all their digits."""
    return base64.b64encode(zlib.compress(json.dumps(value).encode())).decode()


def unpack(text: str) -> Any:
    """The value of such a text; raises `BadRequest`."""
    try:
        inflate = zlib.decompressobj()
        data = inflate.decompress(base64.b64decode(text), MAX_UNPACKED)
        if inflate.unconsumed_tail:
            raise BadRequest("The form is too large.")
        return json.loads(data, parse_constant=lambda word: BeyondDouble(word))
    except (binascii.Error, ValueError, zlib.error, RecursionError):
        raise BadRequest("The form is not one of this server.") from None
