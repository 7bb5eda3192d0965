"""The filter operators, one line each: what they do to a stored value, and for which kinds of field.

An operator's condition is `{path: {"$op": value}}` (https://www.mongodb.com/docs/manual/reference/operator/query/).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from app.resources.fields import Field
from app.resources.kinds import Filters

Condition = dict[str, Any]
Takes = Literal["value", "values", "presence", "literal", "pattern"]
MAX_PATTERN = 200  # characters of a regular expression
MAX_LITERAL = 10_000  # characters of `contains` and `startswith`; MongoDB refuses what PCRE compiles to 64 KiB and more


@dataclass(frozen=True)
class Operator:
    """`takes` says how the text of the query string is read; `condition` makes MongoDB's part of it.

    Fields of the kinds that have filters up to `level` take it.
    """

    name: str
    takes: Takes
    level: Filters
    condition: Callable[[Any], Condition]
    description: str

    def fits(self, field: Field) -> bool:
        """Whether the field can be filtered by this operator."""
        return field.filters >= self.level


def literal(text: str) -> str:
    """A text as the regular expression that finds just it, whatever characters it has."""
    return re.escape(text).replace("\0", "\\x00")


def ignoring_case(pattern: str) -> Condition:
    """The regular expression, with upper and lower case taken as the same."""
    return {"$regex": pattern, "$options": "i"}


_OF_VALUES = [
    "double", "string", "object", "array", "binData", "objectId", "bool", "date", "regex", "javascript", "symbol",
    "int", "timestamp", "long", "decimal", "minKey", "maxKey", "dbPointer", "javascriptWithScope",
]  # fmt: skip


def in_list(there: bool) -> Condition:
    """`exists` of a path through a list: some element has it (`$ne: null` wants it of every one, even of none)."""
    some = {"$type": _OF_VALUES}
    return some if there else {"$not": some}


OPERATORS: dict[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator("eq", "value", Filters.EQUALITY, lambda value: {"$eq": value}, "equal to"),
        Operator(
            "ne",
            "value",
            Filters.EQUALITY,
            lambda value: {"$ne": value},
            "not equal to (missing counts as not equal)",
        ),
        Operator("gt", "value", Filters.ORDER, lambda value: {"$gt": value}, "greater than"),
        Operator(
            "gte", "value", Filters.ORDER, lambda value: {"$gte": value}, "greater than or equal to"
        ),
        Operator("lt", "value", Filters.ORDER, lambda value: {"$lt": value}, "less than"),
        Operator(
            "lte", "value", Filters.ORDER, lambda value: {"$lte": value}, "less than or equal to"
        ),
        Operator(
            "in",
            "values",
            Filters.EQUALITY,
            lambda values: {"$in": values},
            "one of (comma-separated, or repeated)",
        ),
        Operator(
            "nin",
            "values",
            Filters.EQUALITY,
            lambda values: {"$nin": values},
            "none of (comma-separated, or repeated)",
        ),
        Operator(
            "exists",
            "presence",
            Filters.PRESENCE,
            lambda there: {"$ne" if there else "$eq": None},
            "there and not null",
        ),
        Operator(
            "contains",
            "literal",
            Filters.TEXT,
            lambda text: ignoring_case(literal(text)),
            "contains this text",
        ),
        Operator(
            "startswith",
            "literal",
            Filters.TEXT,
            lambda text: ignoring_case("^" + literal(text)),
            "begins with",
        ),
        Operator(
            "regex",
            "pattern",
            Filters.TEXT,
            ignoring_case,
            "matches this regular expression, ignoring case",
        ),
    )
}
