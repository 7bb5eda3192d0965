"""An `_id` ↔ one step of a path, so that every stored document has an address that reads it back.

A key is its plain text where that text reads as this key again, else Extended JSON (v2),
percent-encoded: `/things/%7B%22a%22%3A1%7D`. A text is read as the model's type first, then as
whatever else may be stored.
"""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

import bson
from bson import json_util
from bson.binary import UuidRepresentation

from app.resources.codec import CODEC
from app.resources.fields import Field
from app.resources.kinds import KINDS, anything, writers

NO_STEPS = ("", ".", "..")  # what can't be a step of a path (RFC 3986, section 5.2.4)
MAX_KEY_LENGTH = (
    8_000  # characters of a step; servers and clients take addresses so long (RFC 9110, 4.1)
)
_WRITTEN = json_util.RELAXED_JSON_OPTIONS.with_options(
    uuid_representation=UuidRepresentation.STANDARD
)
_READ = _WRITTEN.with_options(
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=CODEC.datetime_conversion,
    tz_aware=True,
    tzinfo=CODEC.tzinfo,
)
_JSON_BEGINS = ('"', "{")
_ENCODING_ERRORS = (OverflowError, UnicodeEncodeError, ValueError, bson.errors.BSONError)


def write_key(field: Field, key: Any) -> str:
    """The key as one step of a path, percent-encoded."""
    if type(key) is bson.ObjectId and field.kind == "objectid":
        return str(key)  # as below, which takes longer for a table of them
    for text in _write_plain_texts(field, key):
        if text not in NO_STEPS and _is_same(next(iter(read_key(field, text)[0])), key):
            return quote(text, safe="")
    return quote(json_util.dumps(key, json_options=_WRITTEN, separators=(",", ":")), safe="")


def read_key(field: Field, text: str) -> tuple[Iterable[Any], ValueError | None]:
    """The `_id`s that a text may stand for, the likeliest first.

    With them the error, if the text is none of the model's type.
    """
    read = KINDS[field.kind].read
    if read is None:
        return _others(text), None
    try:
        first = read(text)
    except ValueError as error:
        return _others(text), error
    return _Keys(text, first), None


def refusal(key: Any) -> str | None:
    """Why MongoDB takes no such `_id`, or no path leads to it; None where it can be stored."""
    if isinstance(key, str) and key in NO_STEPS:
        return "An _id can't be empty, '.' or '..': no path leads to such a document."
    if isinstance(key, list | tuple):
        return "An _id can't be a list."
    if isinstance(key, dict) and any(name.startswith("$") for name in key):
        return "The names in an _id can't begin with $."
    if isinstance(key, bson.Regex):
        return "An _id can't be a regular expression."
    return None


def is_too_long(field: Field, key: Any) -> bool:
    """Whether the key is longer in an address than all servers and clients take."""
    if isinstance(key, str) and len(key) * 12 <= MAX_KEY_LENGTH:  # 4 bytes each, percent-encoded
        return False
    return isinstance(key, str | bytes | dict) and len(write_key(field, key)) > MAX_KEY_LENGTH


class _Keys:
    """The model's type first; the others are read when they are asked for."""

    def __init__(self, text: str, first: Any) -> None:
        self._text = text
        self._first = first

    def __iter__(self) -> Iterator[Any]:
        yield self._first
        for key in _others(self._text):
            if type(key) is not type(self._first) or key in NO_STEPS:
                yield key


def _others(text: str) -> list[Any]:
    keys = anything(text)
    if text == "null":
        keys.append(None)
    if text.startswith(_JSON_BEGINS):
        keys += _read_extended(text)
    return keys


def _read_extended(text: str) -> list[Any]:
    """What the text is as Extended JSON.

    Never what MongoDB would take for an operator or a pattern.
    """
    try:
        key = json_util.loads(text, json_options=_READ)
    except (ValueError, TypeError, KeyError, RecursionError, bson.errors.BSONError):
        return []
    if refusal(key) is not None and key not in NO_STEPS:
        return []
    return [key] if _is_storable(key) else []


def _write_plain_texts(field: Field, key: Any) -> Iterator[str]:
    kind = KINDS[field.kind]
    shown = field.show(key) if field.show is not None else key
    for value in (shown, key):
        write = kind.write if isinstance(value, kind.shown) else writers().get(type(value))
        if write is not None:
            yield write(value)


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, int) and isinstance(other, int):
        return type(one) is not bool and type(other) is not bool and int(one) == int(other)
    try:
        return _encode(one) == _encode(other)
    except _ENCODING_ERRORS:
        return False


def _is_storable(key: Any) -> bool:
    try:
        _encode(key)
    except _ENCODING_ERRORS:
        return False
    return True


def _encode(key: Any) -> bytes:
    return bson.encode({"": key}, codec_options=CODEC)
