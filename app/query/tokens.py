"""Where a page begins or ends, as a token: opaque, checked, made for one query."""

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from app.resources import elements

CACHE_SIZE = 1_024  # queries of which the token of the last page is kept
_DIGEST = 9  # bytes
_HELD = 1_000  # bytes of a position that a token holds; what is longer is read again by `_id`
_OF_ID = 600  # bytes of an `_id` that a token holds
_TRUE = bytes([elements.BOOLEAN, 1])


@dataclass(frozen=True)
class Place:
    """Where a page begins: behind the position of the last document of the page before.

    `shown` counts the documents at this very position that were shown, where there are more.
    `backwards`: the page that ends there, before the position; `shown` then counts the documents
    at this very position that are on that page or before it.
    """

    position: bytes
    shown: int = 0
    backwards: bool = False


@dataclass(frozen=True)
class Pointer:
    """A place that is too long for a token: the document's `_id`, and a digest of its position.

    Where `is_bound`, even the `_id` is too long: then `key` is a value just before it.
    """

    digest: bytes
    key: bytes
    is_bound: bool
    shown: int = 0
    backwards: bool = False

    def is_of(self, position: bytes) -> bool:
        """Whether this is the position that it stands for."""
        return _digest_of(position) == self.digest


END = Place(b"", backwards=True)  # of all documents: the last page ends there


def write_token(place: Place, key: bytes, fingerprint: bytes) -> str:
    """The place as an opaque text of at most 1,500 characters, of use only with that query.

    `key` is the `_id` of the document there.
    """
    position = place.position
    fields: list[tuple[str, bytes]]
    if not position:
        fields = []
    elif len(position) <= _HELD:
        fields = [("p", bytes([elements.OBJECT]) + position)]
    else:
        short = elements.find_lower_bound(key, _OF_ID)
        fields = [("d", _binary(_digest_of(position))), ("b" if short != key else "i", short)]
    if place.shown:
        fields.append(("n", bytes([elements.INT32]) + place.shown.to_bytes(4, "little")))
    if place.backwards:
        fields.append(("r", _TRUE))
    payload = elements.make_document(fields)
    return _text(_digest(payload, fingerprint) + payload)


@lru_cache(maxsize=CACHE_SIZE)
def write_end_token(fingerprint: bytes) -> str:
    """The token of the last page of a query, which is on each of its other pages."""
    return write_token(END, b"", fingerprint)


def read_token(token: str, fingerprint: bytes) -> Place | Pointer:
    """The place; raises `ValueError` for a token that is malformed, changed, or another query's."""
    try:
        return _read(token, fingerprint)
    except (ValueError, LookupError, TypeError):
        raise ValueError(
            "it is malformed, was changed, or belongs to another sort or filter"
        ) from None


def _read(token: str, fingerprint: bytes) -> Place | Pointer:
    data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    payload = data[_DIGEST:]
    # Base64 has spare bits, and two alphabets: only the very text that was handed out is taken.
    if data[:_DIGEST] != _digest(payload, fingerprint) or _text(data) != token:
        raise ValueError(token)
    found = {one.name: payload[one.value : one.end] for one in elements.elements(payload)}
    shown = int.from_bytes(found.get(b"n", b"")[:4], "little")
    backwards = b"r" in found
    if backwards and len(found) == 1:
        return END
    if (position := found.get(b"p")) is not None:
        for _ in elements.elements(position):
            pass  # whoever makes tokens of their own gets no further than this
        return Place(position, shown, backwards)
    name = "b" if b"b" in found else "i"
    key = elements.field(payload, name)
    if key is None:
        raise ValueError(token)
    return Pointer(found[b"d"][5:], key, name == "b", shown, backwards)


def _binary(data: bytes) -> bytes:
    return bytes([elements.BINARY]) + len(data).to_bytes(4, "little") + b"\0" + data


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _digest(payload: bytes, fingerprint: bytes) -> bytes:
    return hashlib.blake2b(payload, key=fingerprint, digest_size=_DIGEST).digest()


def _digest_of(position: bytes) -> bytes:
    return hashlib.blake2b(position, digest_size=16).digest()


def fingerprint(*parts: Any) -> bytes:
    """16 bytes that stand for a query: the collection, its filter, its sort."""
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
