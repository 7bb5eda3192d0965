"""Where in a body something is wrong: pydantic's errors as our faults (RFC 6901 pointers)."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args
from urllib.parse import quote, unquote

import orjson
import pydantic
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from app.errors import Fault, Invalid, and_more
from app.resources.fields import Shape, models_in, shape_of
from app.resources.schemas import list_looking
from app.spelling import suggest_nearest

# The errors of pydantic's own checks; all others are raised by functions.
_OF_VALUES = frozenset(get_args(ErrorType)) - {"value_error", "assertion_error"}
_python_decimal = re.compile(r"Decimal\('([^']*)'\)")
Steps = tuple[str | int, ...]


def pointer(steps: Sequence[str | int]) -> str:
    """A JSON pointer as a URI fragment (RFC 6901, section 6): `#/profile/addresses/0`."""
    return "#" + "".join("/" + quote(_escape(step), safe="~!$&'()*+,;=:@") for step in steps)


def read_pointer(pointer: str) -> Steps:
    """The steps of such a pointer, those of digits as numbers of elements."""
    steps: list[str | int] = []
    for part in pointer.split("/")[1:]:
        step = unquote(part).replace("~1", "/").replace("~0", "~")
        steps.append(int(step) if step.isascii() and step.isdigit() else step)
    return tuple(steps)


def _escape(step: str | int) -> bytes:
    return str(step).replace("~", "~0").replace("/", "~1").encode(errors="replace")


def make_invalid_body(faults: list[Fault]) -> Invalid:
    """422 with everything that is wrong in a body."""
    first = faults[0]
    where = f" at {first.pointer}" if first.pointer and first.pointer != "#" else ""
    return Invalid(f"The body can't be accepted{where}: {first.detail}{and_more(faults)}", *faults)


def make_unknown_field(shape: Shape | None, steps: Steps) -> Fault:
    """What is wrong with a field that the model doesn't know, or can't take."""
    if shape is not None and shape.open:
        return Fault(
            "The name of a field can't be empty, begin with $ or have a dot.",
            pointer=pointer(steps),
        )
    names = [name for name, known in shape.fields.items() if not known.excluded] if shape else []
    return Fault(
        f"There is no field {steps[-1]!r}.{suggest_nearest(str(steps[-1]), names)}",
        pointer=pointer(steps),
    )


def faults_of(
    error: pydantic.ValidationError, body: Any, shape: Shape, prefix: Steps = ()
) -> list[tuple[Steps, Fault]]:
    """The faults that pydantic found in a body, one for each place, with the steps to it.

    `shape` is that of the model, `prefix` leads to the part of the body that was validated.
    """
    pairs: list[tuple[Steps, Fault]] = []
    for one in error.errors(include_url=False, include_context=True):
        steps = _steps(body, (*prefix, *one["loc"]), one["type"])
        if one["type"] == "extra_forbidden":
            fault = make_unknown_field(_shape_at(shape, steps[:-1]), steps)
        else:
            is_hidden = _is_hidden(shape, steps)
            detail = _sentence(one, repeat=not is_hidden)
            looked = one["type"] not in _OF_VALUES and _is_told_of_others(shape, steps)
            fault = Fault(detail, pointer=pointer(steps), looked_around=looked)
        if all(steps != known for known, _ in pairs):
            pairs.append((steps, fault))
    return pairs


def _steps(body: Any, location: Sequence[Any], kind: str) -> Steps:
    """The location without pydantic's own marks (names of union members and of validators)."""
    steps: list[str | int] = []
    for number, step in enumerate(location):
        if _has(body, step):
            body = body[step]
        elif not (kind == "missing" and number == len(location) - 1):
            continue
        steps.append(step)
    return tuple(steps)


def _has(body: Any, step: Any) -> bool:
    if isinstance(body, dict):
        return step in body
    return isinstance(body, list) and isinstance(step, int) and step < len(body)


def _shape_at(shape: Shape | None, steps: Steps) -> Shape | None:
    for step in steps:
        if shape is None:
            return None
        if isinstance(step, int) or step not in shape.fields:
            continue
        known = shape.fields[step]
        shape = (known.values or known).shape
    return shape


def _is_hidden(shape: Shape, steps: Steps) -> bool:
    """Whether this is in an excluded field, of which no message repeats anything."""
    way = _list_way(shape, steps)
    return any(inner.fields[step].excluded for inner, step in way)


def _is_told_of_others(shape: Shape, steps: Steps) -> bool:
    """Whether this is in a field whose validator is told of others as well."""
    return any(step in list_looking(inner.model) for inner, step in _list_way(shape, steps))


def _list_way(shape: Shape, steps: Steps) -> Iterator[tuple[Shape, str]]:
    """The fields that lead to a place, each with the shape that it is of."""
    shapes = [shape]
    for step in map(str, steps):
        holders = [inner for inner in shapes if step in inner.fields]
        yield from ((inner, step) for inner in holders)
        fields = [inner.fields[step] for inner in holders]
        if fields:
            shapes = [shape_of(model) for field in fields for model in models_in(field)]


def _sentence(one: ErrorDetails, *, repeat: bool) -> str:
    """What is wrong, with what was sent if it may be repeated."""
    if one["type"] == "missing":
        return "This field is required."
    if one["type"] in ("bytes_type", "bytes_invalid_encoding"):
        return "This must be bytes in base64 (RFC 4648)."
    text = (
        _write_limits(one)
        .removeprefix("Value error, ")
        .removeprefix("Assertion failed, ")
        .removesuffix(".")
    )
    given = one.get("input")
    if repeat and (isinstance(given, str | int | float | bool) or given is None):
        shown = (
            orjson.dumps(given if not isinstance(given, str) else given[:60]).decode()
            if _dumps(given)
            else "this value"
        )
        return f"{text} (what was sent: {shown})."
    return text + "."


def _write_limits(one: ErrorDetails) -> str:
    """What pydantic says; a limit of an optional decimal is Python in it: `Decimal('1.5')`."""
    is_own = one["type"] in _OF_VALUES
    return _python_decimal.sub(r"\1", one["msg"]) if is_own else one["msg"]


def _dumps(value: Any) -> bool:
    return not isinstance(value, int) or -(2**63) <= value < 2**64
