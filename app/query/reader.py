"""One query string being read: parameters and filters, and the faults of them all."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import bson

from app.errors import Fault
from app.query import tokens
from app.query.conditions import Alternatives, AnyCondition, Search
from app.query.expansions import Expansion, read_expand
from app.query.names import Lookup, Names
from app.query.operators import MAX_LITERAL, MAX_PATTERN, Operator
from app.query.ordering import Sort
from app.query.parameters import PARAMETERS, Parameter, fault_of, make_invalid_query
from app.query.tokens import Place, Pointer
from app.query.unknown import explain
from app.resources.kinds import read_bool
from app.resources.moments import to_milliseconds
from app.spelling import show, suggest_nearest

_SUGGESTED = 10  # unknown parameters of one request for which the nearest name is looked for
_OF_LISTS, _OF_EXPORTS = (
    frozenset(one.name for one in PARAMETERS if taker in one.takers) for taker in ("list", "export")
)


class QueryReader:
    """The parameters of one request; faults are kept until `finish`."""

    def __init__(
        self,
        names: Names,
        pairs: Sequence[tuple[str, str]],
        known: Mapping[str, Parameter],
        foreign: Mapping[str, str] | None = None,
        *,
        takes_conditions: bool = True,
    ) -> None:
        self.patterns: list[str] = []
        self._names = names
        self._resource = names.resource
        self._known = known
        self._foreign = foreign or {}
        self._takes_conditions = takes_conditions
        self._faults: list[Fault] = []
        self._values: dict[str, str] = {}
        self._filters: dict[str, tuple[Lookup, list[str]]] = {}
        for name, value in pairs:
            self._take(name, value)

    def _take(self, name: str, value: str) -> None:
        if name in self._known:
            if name in self._values:
                self._fault(name, "it is given twice; it can have one value only")
            self._values[name] = value
        elif name in self._foreign:
            if value:
                self._fault(name, self._foreign[name])
        elif not self._takes_conditions:
            suggestion = suggest_nearest(name, self._known)
            self._fault(name, f"there is no such parameter here.{suggestion}")
        elif (lookup := self._names.find_lookup(name)) is not None:
            self._filters.setdefault(name, (lookup, []))[1].append(value)
        elif name in _OF_LISTS and name in _OF_EXPORTS:
            self._fault(name, "this is for lists and exports")
        elif name in _OF_LISTS:
            self._fault(name, "this is for lists")
        elif name in _OF_EXPORTS:
            self._fault(name, "this is for exports, such as …/export/csv")
        else:
            suggest = len(self._faults) < _SUGGESTED
            self._fault(name, explain(self._names, name, self._known, suggest=suggest))

    def _fault(self, name: str, detail: str) -> None:
        self._faults.append(fault_of(name, detail))

    def refuse(self, name: str, detail: str) -> None:
        """Adds a fault of a parameter, found by who reads the values."""
        self._fault(name, detail)

    def finish(self) -> None:
        """Raises `Invalid` with every fault that was found."""
        if self._faults:
            raise make_invalid_query(self._faults)

    # --- parameters ---

    def has(self, name: str) -> bool:
        """Whether a parameter was sent with a value, right or wrong."""
        return self.text(name) is not None

    def text(self, name: str) -> str | None:
        """The text of a parameter, None where it is absent or empty."""
        return self._values.get(name) or None

    def value(self, name: str) -> Any:
        """The value of a parameter, or its default."""
        parameter, text = self._known[name], self.text(name)
        if text is not None:
            try:
                return parameter.type.read(text)
            except ValueError as error:
                self._fault(name, str(error))
        return parameter.default_of(self._resource.options)

    def fields(self) -> tuple[str, ...] | None:
        """The paths of `fields`, without those that a wider one holds."""
        text = self.text("fields")
        if text is None:
            return None
        paths = dict.fromkeys(part.strip() for part in text.split(","))
        if "" in paths:
            self._fault("fields", "one path is empty; fields look like name,profile.age")
        for path in filter(None, paths):
            if self._names.path(path) is None:
                self._fault(
                    "fields", f"there is no field {path!r}.{self._resource.suggest_nearest(path)}"
                )
        return tuple(path for path in paths if not _is_held(path, paths))

    def sort(self, default: Sort) -> Sort:
        """The keys of `sort`, without the `_id` that decides between equals."""
        text = self.text("sort")
        if text is None:
            return default
        try:
            return self._names.sort(text)
        except ValueError as error:
            self._fault("sort", str(error))
            return default

    def expand(self) -> tuple[Expansion, ...]:
        """The links in whose place the linked documents stand."""
        text = self.text("expand")
        if text is None:
            return ()
        try:
            return read_expand(self._names, text)
        except ValueError as error:
            self._fault("expand", str(error))
            return ()

    def after(self, fingerprint: bytes) -> Place | Pointer | None:
        """The place of `after`."""
        token = self.text("after")
        if token is None:
            return None
        if self.text("skip") is not None:
            self._fault("after", "it can't be used together with skip")
        try:
            return tokens.read_token(token, fingerprint)
        except ValueError as error:
            self._fault("after", f"this token can't be used: {error}")
            return None

    # --- conditions ---

    def conditions(self) -> tuple[AnyCondition, ...]:
        """The keyword, and all filters."""
        conditions: list[AnyCondition] = []
        keyword = self.text("keyword")
        if keyword is not None and self._is_pattern("keyword", keyword):
            conditions.append(self._search(keyword))
        for name, (lookup, texts) in self._filters.items():
            values = self._read(name, lookup, texts)
            conditions += [lookup.condition(value) for value in values]
        return tuple(conditions)

    def _search(self, keyword: str) -> Search:
        paths = self._resource.options.search
        if not paths:
            self._fault("keyword", "this resource has no text field to search; use a filter")
        return Search(paths, keyword)

    def _read(self, name: str, lookup: Lookup, texts: list[str]) -> list[Any]:
        """The values of a filter; none of those that are at fault."""
        takes = lookup.operator.takes
        is_text = lookup.found.field.kind == "text" and takes not in ("presence", "pattern")
        if not is_text and takes != "literal":
            texts = [text for text in texts if text]  # an empty value is an absent one
        try:
            if takes == "pattern":
                return [text for text in texts if self._is_pattern(name, text)]
            if takes == "literal":
                return [text for text in texts if self._is_literal(name, text)]
            if takes == "presence":
                return [read_bool(text) for text in texts]
            if takes == "values":
                return self._split_list(lookup, texts)
            return [self._value(lookup, text) for text in texts]
        except ValueError as error:
            shown = ", ".join(map(show, texts[:3]))
            self._fault(name, f"{error}, not {shown}")
            return []

    def _split_list(self, lookup: Lookup, texts: list[str]) -> list[list[Any]]:
        """The one value of `in`: a text is split at its commas, several are taken whole."""
        if not texts:
            return []
        parts = texts[0].split(",") if len(texts) == 1 else texts
        return [[value for part in parts for value in _list_values(lookup, part)]]

    def _value(self, lookup: Lookup, text: str) -> Any:
        found = list(_list_values(lookup, text))
        if lookup.found.field.kind == "text" and not lookup.operator.many:
            return found[0]  # an order has one place for a text: that of how it is stored
        return found[0] if len(found) == 1 else Alternatives(found)

    def _is_pattern(self, name: str, pattern: str) -> bool:
        if len(pattern) > MAX_PATTERN:
            self._fault(name, f"a regular expression has at most {MAX_PATTERN} characters")
        elif "\0" in pattern:
            self._fault(name, "a regular expression can't have a NUL character")
        else:
            self.patterns.append(name)
            return True
        return False

    def _is_literal(self, name: str, text: str) -> bool:
        if len(text) > MAX_LITERAL:
            self._fault(name, f"the text can have at most {MAX_LITERAL:,} characters")
            return False
        self.patterns.append(name)
        return True


def _is_held(path: str, paths: Mapping[str, Any]) -> bool:
    """Whether a wider one of the paths holds this one."""
    steps = path.split(".")
    return any(".".join(steps[:number]) in paths for number in range(1, len(steps)))


def _list_values(lookup: Lookup, text: str) -> Iterator[Any]:
    """The values that a text may stand for; raises `ValueError` where it is none of the kind."""
    for value in lookup.found.field.readings(text):
        yield _round_up(value, lookup.operator)


def _round_up(value: Any, operator: Operator) -> Any:
    """The value; of a date-time that MongoDB would round the one that compares as it does."""
    if not isinstance(value, datetime.datetime) or not value.microsecond % 1000:
        return value
    whole = to_milliseconds(value)
    if not operator.rounds_up:
        return whole
    return bson.DatetimeMS(int(bson.DatetimeMS(whole)) + 1)
