"""A stored value as JSON, as the contract's table says: the one rendering for answers, cells and downloads.

Documents come from `codec.decode`; what JSON has no word for is canonical Extended JSON (v2).
"""

import base64
import datetime
import math
from dataclasses import dataclass
from typing import Any

import bson
import orjson
from bson import json_util
from bson.datetime_ms import DatetimeMS

from app.resources.fields import Shape

_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
_MIDNIGHT = datetime.time(0)


def to_json(value: Any, raw: bytes | None = None) -> bytes:
    """The value as compact UTF-8 JSON; `raw`, its BSON where at hand, spares the search for NaN and Infinity."""
    text = orjson.dumps(value, default=_other, option=_OPTIONS)
    if b"null" not in text or (raw is not None and not may_hold_not_finite(raw)):
        return text  # orjson writes null for a double that is not finite
    return orjson.dumps(_without_not_finite(value), default=_other, option=_OPTIONS)


def may_hold_not_finite(raw: bytes) -> bool:
    """Whether the two last bytes of such a double are there, which may be others: F0 to FF, then 7F or FF."""
    for last in (b"\x7f", b"\xff"):
        at = raw.find(last, 1)
        while at > 0:
            if raw[at - 1] >= 0xF0:
                return True
            at = raw.find(last, at + 1)
    return False


def timestamp(value: datetime.datetime) -> str:
    """An aware UTC datetime as RFC 3339 with `Z`, with milliseconds only where there are some."""
    text = value.isoformat()
    return text[:23] + "Z" if value.microsecond else text[:19] + "Z"


def _other(value: Any) -> Any:
    if isinstance(value, bson.ObjectId):
        return str(value)
    if isinstance(value, datetime.datetime):
        return timestamp(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, bson.Int64):
        return int(value)
    if isinstance(value, bson.Decimal128):
        return str(value)
    if type(value) is bytes:
        return base64.b64encode(value).decode()
    return extended(value)


def extended(value: Any) -> Any:
    """A value of a rarer BSON type as canonical Extended JSON: a dict of plain values."""
    if isinstance(value, DatetimeMS):
        return {"$date": {"$numberLong": str(int(value))}}
    return json_util.default(value, json_util.CANONICAL_JSON_OPTIONS)


def _without_not_finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else word(value)
    if type(value) is dict:
        return {key: _without_not_finite(inner) for key, inner in value.items()}
    if type(value) is list:
        return [_without_not_finite(inner) for inner in value]
    return value


def word(value: float) -> str:
    """What stands for a double that JSON has no number for: NaN, Infinity, -Infinity."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


_EXCLUDED, _DATE = "excluded", "date"


@dataclass(frozen=True)
class Presenter:
    """Makes a decoded document presentable, in place: excluded fields out, a model's dates without a time."""

    tree: dict[str, Any]

    def __call__(self, document: dict[str, Any]) -> None:
        _present(document, self.tree)


def presenter(shape: Shape, *, excluded: bool = True) -> Presenter | None:
    """The presenter of a shape's documents, None where there is nothing to do.

    `excluded=False` leaves the excluded fields in.
    """
    tree = _tree(shape, excluded, ())
    return Presenter(tree) if tree else None


def _tree(shape: Shape, excluded: bool, above: tuple[type, ...]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, field in shape.fields.items():
        if field.excluded and excluded:
            tree[name] = _EXCLUDED
        elif (field.values or field).kind == "date":
            tree[name] = _DATE
        elif (inner := (field.values or field).shape) is not None and above.count(inner.model) < 8:
            branch = _tree(inner, excluded, (*above, inner.model))
            if branch:
                tree[name] = branch if field.values is None else {"*": branch}
    return tree


def _present(document: dict[str, Any], tree: dict[str, Any]) -> None:
    for name, action in tree.items():
        if name == "*":
            for value in document.values():
                _into(value, action)
        elif name not in document:
            continue
        elif action == _EXCLUDED:
            del document[name]
        elif action == _DATE:
            document[name] = _date(document[name])
        else:
            _into(document[name], action)


def _into(value: Any, tree: dict[str, Any]) -> None:
    if type(value) is dict:
        _present(value, tree)
    elif type(value) is list:
        for inner in value:
            _into(inner, tree)


def _date(value: Any) -> Any:
    if isinstance(value, datetime.datetime) and value.time() == _MIDNIGHT:
        return value.date()
    if type(value) is list:
        return [_date(inner) for inner in value]
    if type(value) is dict:
        return {key: _date(inner) for key, inner in value.items()}
    return value
