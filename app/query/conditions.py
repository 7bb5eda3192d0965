"""Conditions as they were asked, and the filter of MongoDB that they are rendered to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.query.operators import OPERATORS, Operator, Test, ignore_case
from app.resources.fields import FieldPath
from app.resources.links import list_stored_forms

Filter = dict[str, Any]

_OF_VALUES = [
    "double", "string", "object", "array", "binData", "objectId", "bool", "date", "regex",
    "javascript", "symbol", "int", "timestamp", "long", "decimal", "minKey", "maxKey", "dbPointer",
    "javascriptWithScope",
]  # fmt: skip


class Alternatives(tuple[Any, ...]):
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

    @property
    def is_negative(self) -> bool:
        """Whether it says what is not."""
        return bool(self.operator.opposite) or (
            self.operator.takes == "presence" and not self.value
        )

    def negate(self) -> "Condition":
        """The condition that is true of just the other documents, of a negative one."""
        if self.operator.opposite:
            return replace(self, operator=OPERATORS[self.operator.opposite])
        return replace(self, value=not self.value)

    def render(self) -> Filter:
        """MongoDB's filter; one of several values that a text may stand for has to match."""
        if not isinstance(self.value, Alternatives):
            return {self.found.path: self._test()}
        if self.operator.many:
            listed = replace(self, operator=OPERATORS[self.operator.many], value=list(self.value))
            return listed.render()
        return {"$or": [replace(self, value=value).render() for value in self.value]}

    def _test(self) -> Test:
        field = self.found.field
        if self.operator.takes == "presence" and self.found.through_list:
            return _test_elements(self.value)
        if self.operator.takes == "presence" and (field.many or field.kind == "any"):
            return _test_list(self.value)
        target = field.target
        if target is not None and self.operator.takes != "presence":
            keys = self.value if self.operator.takes == "values" else [self.value]
            forms = [form for key in keys for form in list_stored_forms(target.collection, key)]
            return {"$nin" if self.is_negative else "$in": forms}
        return self.operator.test(self.value)


@dataclass(frozen=True)
class LinkedCondition:
    """What is asked of the documents that a link leads to: `author.name=…`.

    What says what is not is true where no linked document is otherwise, also where there is none.
    Only linked documents that meet the conditions `below` are looked at; the others aren't there.
    `of_rule` says that a rule asks it, and not the caller, who need not know of it.
    """

    link: FieldPath
    asked: "Condition | LinkedCondition"
    below: "tuple[AnyCondition, ...]" = ()
    of_rule: bool = False

    def join(self) -> "Join":
        """What it takes to know which documents' links lead to such a document."""
        target = self.link.field.target
        assert target is not None
        last = self.asked
        while isinstance(last, LinkedCondition):
            last = last.asked
        inner = self.asked if not last.is_negative else _make_positive(self.asked)
        if isinstance(inner, LinkedCondition):
            inner = replace(inner, of_rule=self.of_rule)
        linked = Selection.of((inner, *self.below))
        return Join(
            self.link.path,
            target.collection,
            linked.filter,
            linked.joins,
            last.is_negative,
            self.of_rule,
        )

    def render(self) -> Filter:
        """As a part of a fingerprint only: its filter is known when the join is resolved."""
        asked = render((self.asked, *self.below))
        return {self.link.path: {"$linked": asked}}


def _make_positive(asked: "Condition | LinkedCondition") -> "Condition | LinkedCondition":
    if isinstance(asked, LinkedCondition):
        return replace(asked, asked=_make_positive(asked.asked))
    return asked.negate()


@dataclass(frozen=True)
class Join:
    """The documents whose link at `path` leads to one that is found in another collection.

    `joins` are further conditions of those; `negated` asks for all the other documents; `of_rule`
    is as above. Plain data.
    """

    path: str
    collection: str
    filter: Filter
    joins: "tuple[Join, ...]" = ()
    negated: bool = False
    of_rule: bool = False


@dataclass(frozen=True)
class Selection:
    """Conditions as plain data, for another process: a filter, and what reaches through links."""

    filter: Filter
    joins: tuple[Join, ...] = ()

    @classmethod
    def of(cls, conditions: "Sequence[AnyCondition]") -> "Selection":
        """What meets all of the conditions."""
        plain = [one for one in conditions if not isinstance(one, LinkedCondition)]
        through = (one.join() for one in conditions if isinstance(one, LinkedCondition))
        return cls(render(plain), tuple(through))


@dataclass(frozen=True)
class FilterCondition:
    """A condition as MongoDB's filter."""

    filter: Filter

    def render(self) -> Filter:
        """The filter."""
        return self.filter


@dataclass(frozen=True)
class Search:
    """A `keyword`: a regular expression that one of some fields matches."""

    paths: tuple[str, ...]
    pattern: str

    def render(self) -> Filter:
        """MongoDB's filter."""
        alternatives: list[Filter] = [{path: ignore_case(self.pattern)} for path in self.paths]
        return alternatives[0] if len(alternatives) == 1 else {"$or": alternatives}


AnyCondition = Condition | Search | LinkedCondition | FilterCondition


def render(conditions: Sequence[AnyCondition]) -> Filter:
    """MongoDB's filter for all the conditions, each on its own, ANDed."""
    return join_filters(condition.render() for condition in conditions)


def join_filters(filters: Iterable[Filter]) -> Filter:
    """The filter of what meets all of the filters; {} is met by everything."""
    some = [one for one in filters if one]
    if not some:
        return {}
    return some[0] if len(some) == 1 else {"$and": some}


def _test_list(there: bool) -> Test:
    """`exists` of what may be a list: it is there, whatever is in it; `$ne: null` looks inside."""
    nothing: Test = {"$eq": None, "$not": {"$type": "array"}}
    return {"$not": nothing} if there else nothing


def _test_elements(there: bool) -> Test:
    """`exists` of a path through a list: some element has it.

    `$ne: null` would ask that of every element, and be true of a list without any.
    """
    some: Test = {"$type": _OF_VALUES}
    return some if there else {"$not": some}
