"""Where a page ended, as a token: opaque, checked, of use only with the query that it was made for."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import bson

from app.query.ordering import EXACT, NOTHING, BrokenText, Sort
from app.resources.codec import CODEC

_DIGEST = 9  # bytes


def write_token(position: Sequence[Any], fingerprint: bytes) -> str:
    """The position as an opaque text for `after=`, of use only with the query of this fingerprint."""
    values = {str(number): _wrapped(value) for number, value in enumerate(position)}
    payload = bson.encode(values, codec_options=CODEC)
    return _text(_digest(payload, fingerprint) + payload)


def _wrapped(value: Any) -> dict[str, Any]:
    if value is NOTHING:
        return {}
    return {"b": value.raw} if isinstance(value, BrokenText) else {"v": value}


def read_token(token: str, sort: Sort, fingerprint: bytes) -> list[Any]:
    """The position; raises `ValueError` for a token that is malformed, was changed, or is another query's."""
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        payload = data[_DIGEST:]
        # Base64 has spare bits, and two alphabets: only the very text that was handed out is taken.
        if data[:_DIGEST] != _digest(payload, fingerprint) or _text(data) != token:
            raise ValueError(token)
        values = bson.decode(payload, EXACT)
        found = [_unwrapped(values[str(number)]) for number in range(len(sort))]
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RecursionError,
        bson.errors.BSONError,
    ):
        raise ValueError(
            "it is malformed, was changed, or belongs to another sort or filter"
        ) from None
    return found


def _unwrapped(value: Mapping[str, Any]) -> Any:
    return BrokenText(value["b"]) if "b" in value else value.get("v", NOTHING)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _digest(payload: bytes, fingerprint: bytes) -> bytes:
    return hashlib.blake2b(payload, key=fingerprint, digest_size=_DIGEST).digest()


def fingerprint(*parts: Any) -> bytes:
    """16 bytes that stand for a query: the collection, its filter, its sort."""
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
