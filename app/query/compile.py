"""A query string, checked against a resource, as a `Query`: filter, sort, page, projection.

Input is the pairs of the query string in their order; whatever is wrong in them is collected, and raised together as
one `Invalid` with a fault for each parameter. The grammar of the parameters is the contract's; docs/query.md shows it.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from app.errors import DeclarationError, Fault, Invalid
from app.query import ordering, tokens
from app.query.operators import (
    MAX_LITERAL,
    MAX_PATTERN,
    OPERATORS,
    Condition,
    Operator,
    ignoring_case,
    in_list,
)
from app.query.ordering import Sort
from app.resources.fields import Field, FieldPath
from app.resources.kinds import INT64, Filters, read_bool
from app.resources.options import MAX_LIMIT
from app.resources.registry import Resource, nearest

Pairs = Sequence[tuple[str, str]]
Count = Literal["auto", "exact", "none"]
COUNTS: tuple[Count, ...] = ("auto", "exact", "none")
SEARCH = ("keyword", "sort", "skip", "limit")
LIST = (*SEARCH, "fields", "expand", "after", "count")
_LONG = 200  # characters of a parameter's name, past which it is neither remembered nor compared
_SUGGESTED = 10  # unknown parameters of one request for which the nearest name is looked for
_whole_number = re.compile(r"-?[0-9]{1,30}").fullmatch


@dataclass(frozen=True)
class Query:
    """What was asked of one collection; `patterns` names the parameters that are regular expressions.

    `limit` is None where all documents are wanted, `fields` where whole ones are. `sort` is what
    was asked; `after` is a position in `ordering.whole(sort)`.
    """

    filter: Condition
    sort: Sort
    skip: int
    limit: int | None
    fields: tuple[str, ...] | None = None
    after: tuple[Any, ...] | None = None
    count: Count = "auto"
    patterns: tuple[str, ...] = ()
    fingerprint: bytes = b""


@dataclass(frozen=True)
class Asked:
    """A condition as a parameter names it: a declared path and an operator."""

    found: FieldPath
    operator: Operator


class Compiler:
    """Reads query strings for one resource."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self._asked = lru_cache(maxsize=1024)(self._find)
        self._sorts = lru_cache(maxsize=256)(self._read_sort)
        self._paths = lru_cache(maxsize=1024)(resource.shape.find)
        self._declared = frozenset(resource.paths)
        self.default_sort = self._declared_sort()

    def list(self, pairs: Pairs) -> Query:
        """The query of a list; raises `Invalid`."""
        reading = Reading(self, pairs, LIST)
        limit = reading.number("limit", 1, MAX_LIMIT, self.resource.options.limit)
        skip = reading.number("skip", 0, INT64.stop - 1, 0)
        fields = reading.fields()
        count = reading.choice("count", COUNTS, "auto")
        reading.no_links()
        filter_ = reading.filter()
        keys = reading.sort(self.default_sort)
        order = ordering.whole(keys)
        fingerprint = tokens.fingerprint(self.resource.name, _in_any_order(filter_), order)
        after = reading.after(order, fingerprint)
        reading.finish()
        return Query(
            filter_, keys, skip, limit, fields, after, count, tuple(reading.patterns), fingerprint
        )

    def conditions(self, pairs: Pairs, others: Iterable[str]) -> tuple[Query, dict[str, str]]:
        """The query of an export, and the values of the `others` parameters; raises `Invalid`."""
        reading = Reading(self, pairs, (*SEARCH, *others))
        limit = reading.size("limit", 1, None)
        skip = reading.size("skip", 0, 0)
        filter_ = reading.filter()
        sort = reading.sort(())
        reading.finish()
        query = Query(filter_, sort, skip, limit, patterns=tuple(reading.patterns))
        return query, {name: value for name in others if (value := reading.one(name)) is not None}

    def asked(self, name: str) -> Asked | None:
        """The condition that a parameter of this name is, or None."""
        return self._asked(name) if len(name) <= _LONG else self._find(name)

    def sort(self, text: str) -> Sort:
        """The keys of a `sort`; raises `ValueError` with a sentence."""
        return self._sorts(text) if len(text) <= _LONG else self._read_sort(text)

    def path(self, path: str) -> FieldPath | None:
        """What a dotted path leads to, or None."""
        return self._paths(path) if len(path) <= _LONG else self.resource.shape.find(path)

    def conditions_by_name(self) -> dict[str, Asked]:
        """Every filter parameter with its condition, for describing them."""
        every: dict[str, Asked] = {}
        for found in self.resource.shape.walk():
            for operator in OPERATORS.values():
                if not operator.fits(found.field):
                    continue
                if operator.name == "eq" and found.path not in LIST:
                    every[found.path] = Asked(found, operator)
                if operator.name != "eq" or found.path in LIST:
                    every[f"{found.path}__{operator.name}"] = Asked(found, operator)
        return every

    def _find(self, name: str) -> Asked | None:
        if name in LIST:
            return None
        if name in self._declared:
            return self._condition(name, "eq")
        path, separator, word = name.rpartition("__")
        if separator and word in OPERATORS and (asked := self._condition(path, word)):
            return asked
        return self._condition(
            name, "eq"
        )  # a key of a map has any name; declared names and operators go first

    def _condition(self, path: str, word: str) -> Asked | None:
        operator, found = OPERATORS[word], self.resource.shape.find(path)
        if found is None or not operator.fits(found.field):
            return None
        return Asked(found, operator)

    def _read_sort(self, text: str) -> Sort:
        return tuple(read_sort(self.resource, text))

    def _declared_sort(self) -> Sort:
        try:
            return self.sort(self.resource.options.sort)
        except ValueError as error:
            raise DeclarationError(
                f"{self.resource.model.__name__}.Resource.sort: {error}"
            ) from None


class Reading:
    """One query string being read; faults are kept until `finish`."""

    def __init__(self, compiler: Compiler, pairs: Pairs, known: Sequence[str]) -> None:
        self._compiler = compiler
        self._resource = compiler.resource
        self._known = known
        self._faults: list[Fault] = []
        self._values: dict[str, str] = {}
        self._conditions: dict[str, tuple[Asked, list[str]]] = {}
        self.patterns: list[str] = []
        for name, value in pairs:
            self._sort_in(name, value)

    def _sort_in(self, name: str, value: str) -> None:
        if name in self._known:
            if name in self._values:
                self._fault(name, "it is given twice; one value is wanted")
            self._values[name] = value
        elif (asked := self._compiler.asked(name)) is not None:
            self._conditions.setdefault(name, (asked, []))[1].append(value)
        else:
            self._fault(name, self._unknown(name))

    def _unknown(self, name: str) -> str:
        path, _, word = name.rpartition("__")
        if self._resource.shape.find(name):
            return f"{name!r} holds objects; filter by one of its fields, or by {name}__exists"
        if path and (found := self._resource.shape.find(path)):
            fitting = [
                operator.name for operator in OPERATORS.values() if operator.fits(found.field)
            ]
            close = nearest(word.lower(), fitting).replace("'", f"'{path}__", 1)
            return f"{path!r} has no operator {word!r}; it has {', '.join(fitting)}.{close}".rstrip(
                "."
            )
        return f"there is no such parameter here.{self._nearest(name)}".rstrip(".")

    def _nearest(self, name: str) -> str:
        """The known name that is nearest, as a sentence: a parameter, or a field with the operator that was given."""
        if len(name) > _LONG or len(self._faults) >= _SUGGESTED:
            return ""
        path, separator, word = name.rpartition("__")
        operator = f"__{word}" if separator and word in OPERATORS else ""
        names = {known.lower(): known for known in reversed((*self._known, *self._resource.paths))}
        asked = (path if operator else name).lower()
        found = difflib.get_close_matches(asked, names, 1, 0.0)
        if not found:
            return ""
        close = difflib.SequenceMatcher(None, asked, found[0]).ratio() >= 0.6
        suggested = names[found[0]] + (operator if names[found[0]] in self._resource.paths else "")
        return (
            f" Did you mean {suggested!r}?"
            if close
            else f" The nearest known name is {suggested!r}."
        )

    def _fault(self, name: str, detail: str) -> None:
        self._faults.append(Fault(f"{name}: {detail}.".replace("?.", "?"), parameter=name))

    def finish(self) -> None:
        """Raises `Invalid` with every fault that was found."""
        if self._faults:
            more = f" (and {len(self._faults) - 1} more)" if len(self._faults) > 1 else ""
            raise Invalid(
                f"The query can't be accepted: {self._faults[0].detail}{more}", *self._faults
            )

    def one(self, name: str) -> str | None:
        """The value of a parameter, None where it is absent or empty."""
        return self._values.get(name) or None

    def number(self, name: str, least: int, most: int, default: Any) -> Any:
        """A whole number within bounds."""
        text = self.one(name)
        if text is None:
            return default
        if _whole_number(text) and least <= int(text) <= most:
            return int(text)
        self._fault(
            name,
            f"a whole number from {least} to {most} is wanted"
            if most < 10**9
            else f"a whole number ≥ {least} is wanted",
        )
        return default

    def size(self, name: str, least: int, default: Any) -> Any:
        """A whole number of any size; one that MongoDB has no room for counts as the greatest for which it has."""
        found = self.number(name, least, 10**30, default)
        return found if found is None else min(found, INT64.stop - 1)

    def choice(self, name: str, choices: Sequence[Any], default: Any) -> Any:
        """One of a few words."""
        text = self.one(name)
        if text is None or text in choices:
            return text or default
        self._fault(name, f"one of {', '.join(choices)} is wanted")
        return default

    def fields(self) -> tuple[str, ...] | None:
        """The paths of `fields`, without those that a wider one holds."""
        text = self.one("fields")
        if text is None:
            return None
        paths = [part.strip() for part in text.split(",") if part.strip()]
        for path in paths:
            if self._compiler.path(path) is None:
                self._fault(
                    "fields",
                    f"there is no field {path!r}{self._resource.nearest(path) or '.'}".rstrip("."),
                )
        return tuple(
            path
            for path in dict.fromkeys(paths)
            if not any(path.startswith(f"{wider}.") for wider in paths)
        )

    def sort(self, default: Sort) -> Sort:
        """The keys of `sort`, without the `_id` that decides between equals."""
        text = self.one("sort")
        if text is None:
            return default
        try:
            return self._compiler.sort(text)
        except ValueError as error:
            self._fault("sort", str(error).rstrip("."))
            return default

    def no_links(self) -> None:
        """`expand` puts linked documents in place; no document has links yet."""
        if (text := self.one("expand")) is not None:
            self._fault(
                "expand",
                f"{text[:60]!r} is no link to another document, and only links can be expanded",
            )

    def after(self, sort: Sort, fingerprint: bytes) -> tuple[Any, ...] | None:
        """The position of `after`."""
        token = self.one("after")
        if token is None:
            return None
        if self.one("skip") is not None:
            self._fault("after", "it can't be used together with skip")
        try:
            return tuple(tokens.read_token(token, sort, fingerprint))
        except ValueError as error:
            self._fault("after", f"this token can't be used: {error}")
            return None

    def filter(self) -> Condition:
        """All conditions and the keyword, each on its own, ANDed."""
        conditions: list[Condition] = []
        keyword = self.one("keyword")
        if keyword is not None and self._is_pattern("keyword", keyword):
            conditions.append(self._search(keyword))
        for name, (asked, texts) in self._conditions.items():
            operator = asked.operator
            if asked.found.field.kind == "any" and operator.name in ("eq", "ne"):
                operator = OPERATORS[
                    "in" if operator.name == "eq" else "nin"
                ]  # the text may stand for several values
            condition = operator.condition
            if operator.name == "exists" and asked.found.through_list:
                condition = in_list
            path = asked.found.path
            conditions.extend({path: condition(value)} for value in self._read(name, asked, texts))
        return conditions[0] if len(conditions) == 1 else {"$and": conditions} if conditions else {}

    def _search(self, keyword: str) -> Condition:
        paths = self._resource.options.search
        if not paths:
            self._fault("keyword", "this resource has no text field to search; use a filter")
        alternatives: list[Condition] = [{path: ignoring_case(keyword)} for path in paths]
        return alternatives[0] if len(alternatives) == 1 else {"$or": alternatives}

    def _is_pattern(self, name: str, pattern: str) -> bool:
        if len(pattern) > MAX_PATTERN:
            self._fault(name, f"a regular expression of at most {MAX_PATTERN} characters is wanted")
        elif "\0" in pattern:
            self._fault(name, "a regular expression can't have a NUL character")
        else:
            self.patterns.append(name)
            return True
        return False

    def _is_literal(self, name: str, text: str) -> bool:
        if len(text) > MAX_LITERAL:
            self._fault(name, f"a text of at most {MAX_LITERAL:,} characters is wanted")
            return False
        self.patterns.append(name)
        return True

    def _read(self, name: str, asked: Asked, texts: list[str]) -> Iterable[Any]:
        field, takes = asked.found.field, asked.operator.takes
        if field.kind != "text" or takes in ("presence", "pattern"):
            texts = [text for text in texts if text]  # an empty value is an absent one
        try:
            if takes == "values":
                parts = texts[0].split(",") if len(texts) == 1 else texts
                yield from (
                    [[value for part in parts for value in field.readings(part)]] if parts else []
                )
            for text in texts if takes != "values" else ():
                if takes == "pattern":
                    yield from [text] if self._is_pattern(name, text) else []
                elif takes == "literal":
                    yield from [text] if self._is_literal(name, text) else []
                else:
                    yield read_bool(text) if takes == "presence" else _reading(field, text)
        except ValueError as error:
            shown = ", ".join(repr(text[:60]) for text in texts[:3])
            self._fault(name, f"{error}, not {shown}")


def _reading(field: Field, text: str) -> Any:
    """One value, or where the model says no type a list of those that the text may stand for."""
    values = field.readings(text)
    return values if field.kind == "any" else values[0]


def _in_any_order(filter_: Condition) -> object:
    """The same for the same conditions in another order."""
    return sorted(map(repr, filter_.get("$and", [filter_])))


def read_sort(resource: Resource, text: str) -> Iterable[tuple[str, int]]:
    """The keys of `-profile.age,name`; raises `ValueError` with a sentence."""
    seen = set()
    for part in text.split(","):
        path = part.strip()
        downwards = path.startswith("-")
        path = path[1:].strip() if path[:1] in ("+", "-") else path
        if not path:
            if text.strip():
                raise ValueError("an empty key; it looks like -profile.age,name")
            return
        found = resource.shape.find(path)
        if found is None:
            raise ValueError(f"there is no field {path!r}{resource.nearest(path)}")
        if found.through_list or found.field.many:
            raise ValueError(f"{path!r} goes through a list, which has no one place in an order")
        if found.field.filters == Filters.PRESENCE:
            raise ValueError(f"{path!r} holds objects; sort by one of its fields")
        if path in seen:
            raise ValueError(f"{path!r} is given twice")
        seen.add(path)
        if len(seen) == ordering.MAX_KEYS:
            raise ValueError(f"MongoDB sorts by at most {ordering.MAX_KEYS - 1} keys, and `_id`")
        yield path, -1 if downwards else 1
