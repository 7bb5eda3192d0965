"""A validated instance → the document that is stored, and its BSON."""

import datetime
import decimal
import enum
import math
from collections.abc import Container, Iterator, Mapping
from typing import Any

import bson
import pydantic
from beanie import Link
from beanie.odm.utils.encoder import Encoder

from app.errors import Fault, Invalid
from app.resources.annotations import is_stored
from app.resources.codec import CODEC
from app.resources.faults import Steps, make_invalid_body, pointer
from app.resources.fields import once
from app.resources.kinds import INT64
from app.resources.registry import Resource
from app.resources.texts import UNKNOWN_TO_BEANIE

MAX_DOCUMENT = 16 * 1024 * 1024  # bytes of BSON that MongoDB takes
UNSTORABLE = (OverflowError, UnicodeEncodeError, RecursionError, bson.errors.BSONError)
Document = dict[str, Any]
_TOO_MANY_DIGITS = "MongoDB holds decimal numbers of up to 34 digits and exponents to 6111."
_PLAIN = frozenset(
    {str, int, float, bool, type(None), datetime.datetime, bson.ObjectId, bson.Decimal128}
)


def encode(
    resource: Resource, instance: pydantic.BaseModel, names: Container[str] | None = None
) -> Document:
    """The instance as Beanie would store it, of `names` only these fields.

    Raises `Invalid` for a decimal number that MongoDB can't hold.
    """
    try:
        return _encode(resource, instance, names)
    except decimal.DecimalException:
        raise make_invalid_body([_find_decimal(instance.model_dump(by_alias=True))]) from None


def _encode(
    resource: Resource, instance: pydantic.BaseModel, names: Container[str] | None
) -> Document:
    encoder = encoder_of(resource.model)
    document = {}
    for attribute, name in _list_stored_names(resource.model):
        if names is not None and name not in names:
            continue
        value = getattr(instance, attribute)
        if value is not None or encoder.keep_nulls:
            document[name] = encoder.encode(value)
    for name, value in (instance.model_extra or {}).items():
        if names is None or name in names:
            document[name] = encoder.encode(value)
    return document


@once
def _list_stored_names(model: type[pydantic.BaseModel]) -> tuple[tuple[str, str], ...]:
    fields = model.model_fields.items()
    return tuple((name, info.alias or name) for name, info in fields if is_stored(name, info))


def encoder_of(model: type[pydantic.BaseModel]) -> Encoder:
    """What encodes the values of a model's instances."""
    settings = getattr(model, "Settings", None)
    custom = getattr(settings, "bson_encoders", {})
    return _Encoder(
        custom_encoders=custom, to_db=True, keep_nulls=getattr(settings, "keep_nulls", True)
    )


class _Encoder(Encoder):
    """Beanie's encoder with a short way for most values, and one order for a set's elements."""

    def encode(self, obj: Any) -> Any:
        """The value as BSON holds it."""
        custom = _find_custom_encoder(obj, self.custom_encoders)
        if custom is not None:
            return custom(obj)
        kind = type(obj)
        if kind in _PLAIN:
            return obj
        if kind is list:
            return [self.encode(inner) for inner in obj]
        if isinstance(obj, pydantic.Secret):
            return self.encode(obj.get_secret_value())
        if isinstance(obj, bson.ObjectId):
            return bson.ObjectId(obj)  # Beanie has a class of its own for them
        if isinstance(obj, Link):
            return bson.DBRef(obj.ref.collection, self.encode(obj.ref.id))
        if isinstance(obj, set | frozenset):
            return sorted(map(self.encode, obj), key=repr)
        if isinstance(obj, pydantic.BaseModel) and not isinstance(obj, pydantic.RootModel):
            return self._model(obj)
        if isinstance(obj, Mapping):
            return {_name_key(key): self.encode(value) for key, value in obj.items()}
        if isinstance(obj, UNKNOWN_TO_BEANIE):
            return str(obj)
        return super().encode(obj)

    def _model(self, obj: pydantic.BaseModel) -> Document:
        pairs = [
            (name, getattr(obj, attribute)) for attribute, name in _list_stored_names(type(obj))
        ]
        pairs += (obj.model_extra or {}).items()
        return {
            name: self.encode(value)
            for name, value in pairs
            if value is not None or self.keep_nulls
        }


def _name_key(key: Any) -> str:
    """A map's key as the name of a field, as in `dict[Color, int]`."""
    return str(key.value if isinstance(key, enum.Enum) else key)


def _find_custom_encoder(obj: Any, encoders: Mapping[Any, Any]) -> Any:
    """The model's own encoder (`Settings.bson_encoders`) of a value, by its class or a base."""
    if not encoders:
        return None
    exact = encoders.get(type(obj))
    if exact is not None:
        return exact
    return next((encode for base, encode in encoders.items() if isinstance(obj, base)), None)


def to_bson(document: Mapping[str, Any]) -> bytes:
    """The document as BSON; raises `Invalid` naming the field that MongoDB can't hold."""
    try:
        raw = bson.encode(document, codec_options=CODEC)
    except UNSTORABLE:
        raise make_invalid_body([find_unstorable(document)]) from None
    return check_size(raw)


def check_size(raw: bytes) -> bytes:
    """The BSON of a document; raises `Invalid` where it outgrows what MongoDB takes."""
    if len(raw) > MAX_DOCUMENT:
        detail = f"The document would have {len(raw):,} bytes; MongoDB holds {MAX_DOCUMENT:,}."
        raise Invalid(detail, Fault(detail, pointer="#"))
    return raw


def find_unstorable(document: Any, above: Steps = ()) -> Fault:
    """The first value that MongoDB can't hold, and why; `above` leads to what is looked at."""
    for steps, value in _leaves(document, above):
        reason = _reason(value)
        if reason:
            return Fault(reason, pointer=pointer(steps))
    return Fault("MongoDB can't hold this document.", pointer=pointer(above))


def _find_decimal(document: Document) -> Fault:
    """The first decimal number that MongoDB can't hold."""
    for steps, value in _leaves(document, ()):
        if isinstance(value, decimal.Decimal) and not _is_decimal128(value):
            return Fault(_TOO_MANY_DIGITS, pointer=pointer(steps))
    return Fault(_TOO_MANY_DIGITS, pointer="#")


def _reason(value: Any) -> str | None:
    if isinstance(value, _Name):
        return "The name of a field can't have a NUL character." if "\0" in value else None
    if isinstance(value, int) and not INT64.start <= value < INT64.stop:
        return "MongoDB holds integers of 64 bits; this one is larger."
    if isinstance(value, float) and math.isinf(value):
        return "This number is larger than a double can be."
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        return "This text has a lone surrogate, which UTF-8 can't hold."
    try:
        bson.encode({"": value}, codec_options=CODEC)
    except UNSTORABLE:
        return "MongoDB can't hold this value."
    return None


def _is_decimal128(value: decimal.Decimal) -> bool:
    try:
        bson.Decimal128(value)
    except decimal.DecimalException:
        return False
    return True


class _Name(str):
    """A field's name, among the values that `_leaves` gives."""

    __slots__ = ()


def _leaves(value: Any, steps: Steps) -> Iterator[tuple[Steps, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield steps, _Name(key)
            yield from _leaves(inner, (*steps, key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*steps, number))
    else:
        yield steps, value


def is_step(name: str) -> bool:
    """Whether a name can stand in the dotted path of an update."""
    return bool(name) and "." not in name and not name.startswith("$")
