"""What a model says of a field besides its type: its limits, and whether it must be there.

For people who fill something in, on a sheet or on a page; what is sent is checked by pydantic.
"""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen, MultipleOf
from pydantic.fields import FieldInfo

MIN_LENGTH = "at least {} long"
_LIMITS: tuple[tuple[type, str, str], ...] = (
    (Ge, "ge", "≥ {}"),
    (Gt, "gt", "> {}"),
    (Le, "le", "≤ {}"),
    (Lt, "lt", "< {}"),
    (MultipleOf, "multiple_of", "a multiple of {}"),
    (MinLen, "min_length", MIN_LENGTH),
    (MaxLen, "max_length", "at most {} long"),
)
PATTERN = "as {}"


def list_limits(info: FieldInfo) -> Iterator[tuple[str, Any]]:
    """The limits of a field: words with a place for the number, and the number.

    >>> list(list_limits(User.model_fields["name"]))
    [("at least {} long", 1), ("at most {} long", 200)]
    """
    for rule in _list_rules(info):
        for known, attribute, words in _LIMITS:
            if isinstance(rule, known):
                yield words, getattr(rule, attribute)
        pattern = getattr(rule, "pattern", None)
        if pattern:
            yield PATTERN, pattern


def _list_rules(info: FieldInfo) -> Iterator[Any]:
    """What pydantic was told of the field, also where that is one side of `… | None`."""
    yield from info.metadata
    for member in _list_members(info.annotation):
        if get_origin(member) is Annotated:
            for rule in get_args(member)[1:]:
                yield from rule.metadata if isinstance(rule, FieldInfo) else (rule,)


def takes_null(info: FieldInfo) -> bool:
    """Whether null is a value of the field."""
    return info.annotation is Any or NoneType in _list_members(info.annotation)


def _list_members(annotation: Any) -> tuple[Any, ...]:
    is_union = get_origin(annotation) in (Union, UnionType)
    return get_args(annotation) if is_union else ()
