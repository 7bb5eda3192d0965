"""Conditions as they were asked, and the filter of MongoDB that they are rendered to."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.query.operators import OPERATORS, Operator, Test, ignoring_case
from app.resources.fields import FieldPath

Filter = dict[str, Any]

_OF_VALUES = [
    "double", "string", "object", "array", "binData", "objectId", "bool", "date", "regex",
    "javascript", "symbol", "int", "timestamp", "long", "decimal", "minKey", "maxKey", "dbPointer",
    "javascriptWithScope",
]  # fmt: skip


class Readings(tuple[Any, ...]):
    """The values that one text may stand for, where the field has no type."""


@dataclass(frozen=True)
class Condition:
    """What is asked of one field: `profile.age__gte=18`.

    >>> Condition(age, OPERATORS["gte"], 18).render()
    {"profile.age": {"$gte": 18}}
    """

    found: FieldPath
    operator: Operator
    value: Any

    def render(self) -> Filter:
        """MongoDB's filter; one of several values that a text may stand for has to match."""
        if not isinstance(self.value, Readings):
            return {self.found.path: self._test()}
        if self.operator.many:
            listed = replace(self, operator=OPERATORS[self.operator.many], value=list(self.value))
            return listed.render()
        return {"$or": [replace(self, value=value).render() for value in self.value]}

    def _test(self) -> Test:
        if self.operator.takes == "presence" and self.found.through_list:
            return _in_list(self.value)
        return self.operator.test(self.value)


@dataclass(frozen=True)
class Search:
    """A `keyword`: a regular expression that one of some fields matches."""

    paths: tuple[str, ...]
    pattern: str

    def render(self) -> Filter:
        """MongoDB's filter."""
        alternatives: list[Filter] = [{path: ignoring_case(self.pattern)} for path in self.paths]
        return alternatives[0] if len(alternatives) == 1 else {"$or": alternatives}


def render(conditions: Sequence[Condition | Search]) -> Filter:
    """MongoDB's filter for all the conditions, each on its own, ANDed."""
    rendered = [condition.render() for condition in conditions]
    if not rendered:
        return {}
    return rendered[0] if len(rendered) == 1 else {"$and": rendered}


def _in_list(there: bool) -> Test:
    """`exists` of a path through a list: some element has it.

    `$ne: null` would ask that of every element, and be true of a list without any.
    """
    some: Test = {"$type": _OF_VALUES}
    return some if there else {"$not": some}
