"""MongoDB's Extended JSON (v2, canonical and relaxed, as mongoexport writes it) → plain JSON.

`{"$oid": "…"}` → `"…"`, `{"$date": …}` → `"2026-01-02T03:04:05Z"`, `{"$numberLong": "5"}` → `5`:
what the API shows for such a value, so that one validation serves all. What has no plain form
(`$timestamp`, `$regularExpression`, a date past the year 9999) stays as it is.

An object may also only look so: the API takes and shows one with a key `$oid` as what it is. Where
the model's field takes no object, an object is Extended JSON; where it takes anything, its document
has to tell (`ExtendedDocument`).
"""

import base64
import binascii
import datetime
import math
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from app.resources.fields import Field, Shape
from app.resources.kinds import INT64, write_datetime

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MILLISECOND = datetime.timedelta(milliseconds=1)
_UUIDS = ("03", "04")  # subtypes of a binary (bsonspec.org)
_BYTES = ("00", "0", 0)


def unwrap(value: Any) -> Any:
    """The value without Extended JSON, at any depth; a value without any is itself, unchanged."""
    if type(value) is dict:
        return _object(value)
    if type(value) is list:
        return [unwrap(inner) for inner in value]
    return value


class ExtendedDocument(dict[str, Any]):
    """A document without Extended JSON, and `came`, as which it came, with some."""

    def __init__(self, came: dict[str, Any], plain: dict[str, Any]) -> None:
        super().__init__(plain)
        self.came = came

    def read_as(self, shape: Shape) -> dict[str, Any]:
        """The document; objects that only look like Extended JSON are themselves.

        Which they are is told by the `_id`, plain or not, else by the fields that take no object.
        Raises `Ambiguous` where nothing tells.
        """
        typed = _unwrap_fields(self.came, shape)
        if typed == self:
            return dict(self)
        key = self.came.get("_id")
        if type(key) is dict:
            return dict(self)
        if key is not None and shape.fields["_id"].kind in _WRAPPED:
            return typed
        if typed != self.came:
            return dict(self)
        raise Ambiguous(typed, ".".join(_find_difference(typed, self)))


class Ambiguous(Exception):
    """Nobody can tell what is at `path` of a document, which is here as the API would read it."""

    def __init__(self, document: dict[str, Any], path: str) -> None:
        self.document = document
        self.path = path
        super().__init__(EXPLAIN_AMBIGUOUS)


def unwrap_field(value: Any, field: Field | None) -> Any:
    """The value without Extended JSON where the field, None for any, takes no object."""
    if field is None or field.kind in _FREE:
        return value
    if type(value) is list and (field.many or field.kind == "lists"):
        inner = field.single if field.many else field
        return [unwrap_field(one, inner) for one in value]
    if type(value) is not dict:
        return value
    if field.shape is not None:
        return _unwrap_fields(value, field.shape)
    if field.values is not None:
        return {name: unwrap_field(inner, field.values) for name, inner in value.items()}
    return unwrap(value)


def _unwrap_fields(value: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """The object of a model without Extended JSON in fields that take no object."""
    fields = shape.fields
    return {name: unwrap_field(inner, fields.get(name)) for name, inner in value.items()}


def _find_difference(one: Any, other: Any) -> list[str]:
    """The steps to the first place where two values, of which the second is unwrapped, differ."""
    if type(one) is dict and isinstance(other, dict) and one.keys() == other.keys():
        pairs = [(name, one[name], other[name]) for name in one]
    elif type(one) is list and type(other) is list:
        pairs = [(str(n), *both) for n, both in enumerate(zip(one, other, strict=True))]
    else:
        return []
    name, first, second = next(pair for pair in pairs if pair[1] != pair[2])
    return [name, *_find_difference(first, second)]


def key_of(link: Any) -> Any:
    """The `_id` of a link that is a DBRef (`{"$ref": …, "$id": …}`); any other value as it is."""
    if type(link) is list:
        return [key_of(inner) for inner in link]
    return unwrap(link["$id"]) if type(link) is dict and "$ref" in link and "$id" in link else link


def has_extended(raw: bytes | str) -> bool:
    """Whether some JSON may have Extended JSON in it; quick, where it has none."""
    return '"$' in raw if isinstance(raw, str) else b'"$' in raw


def _object(value: dict[str, Any]) -> Any:
    if 0 < len(value) <= 3:
        word = next(iter(value))
        read = _READERS.get(word)
        if read is not None and (len(value) == 1 or word in _OF_TWO):
            try:
                return read(value)
            except (ValueError, TypeError, KeyError, OverflowError, AttributeError):
                return value
        if word[:1] == "$":  # of a rarer type, which stays as the export shows it
            return value
    return {name: unwrap(inner) for name, inner in value.items()}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _read_whole(text: str) -> int:
    number = int(text)
    if number not in INT64:
        raise ValueError(text)
    return number


def _read_double(text: str) -> Any:
    number = float(text)
    return number if math.isfinite(number) else _WORDS[text]


def _date(value: Any) -> str:
    if isinstance(value, str):
        moment = datetime.datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
        return write_datetime(moment.astimezone(datetime.UTC))
    milliseconds = int(value["$numberLong"]) if isinstance(value, dict) else int(value)
    return write_datetime(_EPOCH + milliseconds * _MILLISECOND)


def _binary(value: dict[str, Any]) -> str:
    inner = value["$binary"]
    if isinstance(inner, dict):
        text, subtype = inner["base64"], inner["subType"]
    else:  # as before version 2
        text, subtype = inner, value["$type"]
    try:
        data = base64.b64decode(_text(text), validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error
    if subtype in _UUIDS and len(data) == 16:
        return str(uuid.UUID(bytes=data))
    if subtype in _BYTES:
        return base64.b64encode(data).decode()
    raise ValueError(subtype)


EXPLAIN_AMBIGUOUS = (
    'may be a value in Extended JSON or an object whose key begins with "$": the field takes both, '
    'and nothing else in the document tells. Send the plain value, such as "2026-01-02T03:04:05Z", '
    "or write the object by POST or PATCH."
)
_FREE = ("any",)
# Kinds of keys that mongoexport never writes plain.
_WRAPPED = ("objectid", "datetime", "date", "decimal", "uuid", "bytes")
_WORDS = {"NaN": "NaN", "Infinity": "Infinity", "-Infinity": "-Infinity"}
_READERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "$oid": lambda value: _text(value["$oid"]),
    "$date": lambda value: _date(value["$date"]),
    "$numberInt": lambda value: _read_whole(value["$numberInt"]),
    "$numberLong": lambda value: _read_whole(value["$numberLong"]),
    "$numberDouble": lambda value: _read_double(value["$numberDouble"]),
    "$numberDecimal": lambda value: _text(value["$numberDecimal"]),
    "$uuid": lambda value: str(uuid.UUID(_text(value["$uuid"]))),
    "$binary": _binary,
}
_OF_TWO = ("$binary",)  # with `$type`, before version 2
