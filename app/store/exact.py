"""The condition that a stored document is still the same, byte for byte.

`$eq` alone compares values: 1 equals 1.0 and the decimal 1.00, -0.0 equals 0.0, a symbol equals the
text of the same letters, and where the collection has a collation, "a" may equal "A". So the types
of numbers and symbols are compared too, and what a type doesn't tell apart as the text that MongoDB
makes of it. https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/
Integers of 32 bits need no question: no equal value of another type is as short, so the size of the
document tells that they are still what they were.

Every value that is asked for costs the server some microseconds, so texts are not asked whether
they are symbols now: a type that no program of this century writes.
"""

import datetime
import math
import struct
import uuid
from collections.abc import Collection
from typing import Any

import bson
from bson.decimal128 import Decimal128
from bson.raw_bson import RawBSONDocument

from app.resources.codec import CODEC
from app.resources.elements import (
    ARRAY,
    BINARY,
    BOOLEAN,
    CODE,
    CODE_WITH_SCOPE,
    DATE,
    DBPOINTER,
    DECIMAL,
    DOUBLE,
    INT32,
    INT64,
    MAX_KEY,
    MIN_KEY,
    NULL,
    OBJECT,
    OBJECT_ID,
    REGEX,
    STRING,
    SYMBOL,
    TIMESTAMP,
    UNDEFINED,
    elements,
)

Expression = Any  # of an aggregation

_TYPES = {  # https://www.mongodb.com/docs/manual/reference/operator/aggregation/type/
    DOUBLE: "double",
    STRING: "string",
    OBJECT: "object",
    ARRAY: "array",
    BINARY: "binData",
    UNDEFINED: "undefined",
    OBJECT_ID: "objectId",
    BOOLEAN: "bool",
    DATE: "date",
    NULL: "null",
    REGEX: "regex",
    DBPOINTER: "dbPointer",
    CODE: "javascript",
    SYMBOL: "symbol",
    CODE_WITH_SCOPE: "javascriptWithScope",
    INT32: "int",
    TIMESTAMP: "timestamp",
    INT64: "long",
    DECIMAL: "decimal",
    MAX_KEY[0]: "maxKey",
    MIN_KEY[0]: "minKey",
}
# What may hold something that has to be asked for, beside its own type.
_INNER = frozenset({OBJECT, ARRAY, DECIMAL, DOUBLE, CODE_WITH_SCOPE, SYMBOL})
_AMBIGUOUS = frozenset({DOUBLE, SYMBOL, INT64, DECIMAL})
# Types of decoded values of which the same value has no other type, or one that is longer.
_TOLD = frozenset(
    {str, int, bool, type(None), datetime.datetime, bson.ObjectId, bytes, uuid.UUID, dict, list}
)
_NESTED = frozenset({dict, list})
_double = struct.Struct("<d").unpack_from


class CannotTell(Exception):
    """No expression tells this document from every other: it must be read and compared here."""


def is_same(raw: bytes, *, collated: bool = False, most: int | None = None) -> list[Expression]:
    """The conditions that `$$ROOT` is this document; all of them must hold, in this order.

    `collated`: the collection has a collation, so texts are compared as bytes too. Raises
    `CannotTell`, also where more than `most` values would have to be asked for.
    """
    if not collated and _is_told(raw):
        return is_equal(raw)
    signature = _Signature(raw, collated)
    signature.add_object(0, "$$ROOT")
    if most is not None and len(signature.asked) + len(signature.texts) > most:
        raise CannotTell
    types = [{"$eq": [signature.asked, signature.types]}] if signature.asked else []
    return [*is_equal(raw), *types, *signature.texts]


def is_equal(raw: bytes) -> list[Expression]:
    """The conditions that `$$ROOT` has the values and the size of this document."""
    return [
        {"$eq": ["$$ROOT", {"$literal": RawBSONDocument(raw)}]},
        {"$eq": [{"$bsonSize": "$$ROOT"}, len(raw)]},
    ]


def _is_told(raw: bytes) -> bool:
    """Whether its values and its size tell a document from every other; False where in doubt.

    A document that is encoded again as it was has no two fields of one name, and no broken text.
    """
    try:
        document = bson.decode(raw, CODEC)
        return _are_told(document.values()) and bson.encode(document, codec_options=CODEC) == raw
    except (bson.errors.BSONError, OverflowError):
        return False


def _are_told(values: Collection[Any]) -> bool:
    types = set(map(type, values))
    if not types <= _TOLD:
        return False
    if types.isdisjoint(_NESTED):
        return True
    return all(
        _are_told(value.values() if type(value) is dict else value)
        for value in values
        if type(value) in _NESTED
    )


class _Signature:
    """What a document must be asked for, and what it must answer.

    `asked` are expressions of types and `types` what they must be; `texts` are conditions of their
    own.
    """

    def __init__(self, raw: bytes, collated: bool) -> None:
        self.asked: list[Expression] = []
        self.types: list[Any] = []
        self.texts: list[Expression] = []
        self._raw = raw
        self._collated = collated
        texts = {STRING} if collated else set()
        self._ambiguous = _AMBIGUOUS | texts
        self._inner = _INNER | texts

    def add_object(self, position: int, where: Expression) -> None:
        names = set()
        for kind, name, _, begin, end in elements(self._raw, position):
            if name in names:
                raise CannotTell  # two fields of one name: a path reaches only one of them
            names.add(name)
            if kind in self._ambiguous:
                self.asked.append({"$type": _field(where, name)})
                self.types.append(_TYPES[kind])
            if kind in self._inner:
                self._add(kind, begin, end, _field(where, name))

    def _add_list(self, position: int, where: Expression) -> None:
        kinds = []
        for number, (kind, _, _, begin, end) in enumerate(elements(self._raw, position)):
            kinds.append(kind)
            if kind in self._inner:
                self._add(kind, begin, end, {"$arrayElemAt": [where, number]})
        if not self._ambiguous.isdisjoint(kinds):
            self.asked.append({"$map": {"input": where, "in": {"$type": "$$this"}}})
            self.types.append([_TYPES[kind] for kind in kinds])

    def _add(self, kind: int, begin: int, end: int, where: Expression) -> None:
        """Adds what is in a value, and what its type doesn't tell."""
        if kind == OBJECT:
            self.add_object(begin, where)
        elif kind == ARRAY:
            self._add_list(begin, where)
        elif kind == DECIMAL:
            self._add_number(where, _decimal(self._raw[begin:end]))
        elif kind == DOUBLE:
            (number,) = _double(self._raw, begin)
            if math.isnan(number):
                raise CannotTell  # there are many, and all are written NaN
            if number == 0:
                self._add_number(where, number)
        elif kind == STRING and self._collated:
            self._add_text(where, self._raw[begin + 4 : end - 1])
        elif kind == CODE_WITH_SCOPE or (kind == SYMBOL and self._collated):
            raise CannotTell

    def _add_number(self, where: Expression, number: float | Decimal128) -> None:
        """Numbers of one type that are equal and differ: the text tells `1.0` from `1.00`."""
        self.texts.append({"$eq": [{"$toString": where}, {"$toString": {"$literal": number}}]})

    def _add_text(self, where: Expression, text: bytes) -> None:
        """Text as bytes: unlike `$eq`, `$indexOfBytes` knows no collation."""
        literal = {"$literal": _decode(text)}
        self.texts.append({"$eq": [{"$strLenBytes": where}, len(text)]})
        self.texts.append({"$eq": [{"$indexOfBytes": [where, literal]}, 0]})


def _field(where: Expression, name: bytes) -> Expression:
    field = _decode(name)
    if isinstance(where, str) and field and field[0] != "$" and "." not in field:
        return f"{where}.{field}"
    return {"$getField": {"field": {"$literal": field}, "input": where}}


def _decode(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise CannotTell from None


def _decimal(bid: bytes) -> Decimal128:
    found = Decimal128.from_bid(bid)
    number = found.to_decimal()
    if number.is_nan() or Decimal128(number).bid != bid:
        raise CannotTell  # one of several encodings that are written alike
    return found
