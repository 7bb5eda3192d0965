"""The filter operators, one line each: what they ask of a stored value, for which kinds.

An operator's test is MongoDB's `{"$op": value}`
(https://www.mongodb.com/docs/manual/reference/operator/query/).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from app.resources.fields import Field
from app.resources.kinds import Filters

Test = dict[str, Any]
Takes = Literal["value", "values", "presence", "literal", "pattern"]
MAX_PATTERN = 200  # characters of a regular expression
MAX_LITERAL = 10_000  # characters; MongoDB refuses what PCRE compiles to 64 KiB and more


@dataclass(frozen=True)
class Operator:
    """One operator; `takes` says how the text of the query string is read.

    Fields of the kinds that have filters up to `level` have it.
    `many` is the operator that takes its place where the text may stand for several values.
    `rounds_up`: a date-time that is finer than MongoDB's milliseconds is rounded up to the next
    one, else down, so that the comparison is exact. `opposite` is the operator that is true of
    just the other documents, of one that says what is not.
    """

    name: str
    takes: Takes
    level: Filters
    test: Callable[[Any], Test]
    description: str
    many: str = ""
    rounds_up: bool = False
    opposite: str = ""

    def fits(self, field: Field) -> bool:
        """Whether the field can be filtered by this operator."""
        return field.filters >= self.level


def escape(text: str) -> str:
    """A text as the regular expression that finds just it, whatever characters it has."""
    return re.escape(text).replace("\0", "\\x00")


def ignore_case(pattern: str) -> Test:
    """The regular expression, with upper and lower case taken as the same."""
    return {"$regex": pattern, "$options": "i"}


def _contains(text: str) -> Test:
    return ignore_case(escape(text))


def _starts(text: str) -> Test:
    return ignore_case("^" + escape(text))


def _exists(there: bool) -> Test:
    return {"$ne": None} if there else {"$eq": None}


def _mongo(name: str) -> Callable[[Any], Test]:
    return lambda value: {name: value}


_PRESENCE, _EQUALITY, _ORDER, _TEXT = Filters

# fmt: off
_OPERATORS = (
    Operator("eq", "value", _EQUALITY, _mongo("$eq"), "equal to", many="in"),
    Operator("ne", "value", _EQUALITY, _mongo("$ne"),
             "not equal to (missing counts as not equal)", many="nin", opposite="eq"),
    Operator("gt", "value", _ORDER, _mongo("$gt"), "greater than"),
    Operator("gte", "value", _ORDER, _mongo("$gte"), "greater than or equal to", rounds_up=True),
    Operator("lt", "value", _ORDER, _mongo("$lt"), "less than", rounds_up=True),
    Operator("lte", "value", _ORDER, _mongo("$lte"), "less than or equal to"),
    Operator("in", "values", _EQUALITY, _mongo("$in"), "one of (comma-separated, or repeated)"),
    Operator("nin", "values", _EQUALITY, _mongo("$nin"), "none of (comma-separated, or repeated)",
             opposite="in"),
    Operator("exists", "presence", _PRESENCE, _exists, "there and not null"),
    Operator("contains", "literal", _TEXT, _contains, "contains this text"),
    Operator("startswith", "literal", _TEXT, _starts, "begins with"),
    Operator("regex", "pattern", _TEXT, ignore_case,
             "matches this regular expression, ignoring case"),
)
# fmt: on

OPERATORS: dict[str, Operator] = {operator.name: operator for operator in _OPERATORS}
