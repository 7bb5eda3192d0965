"""The `where` of a rule for one account: its query string split first, placeholders filled after.

`{account.name}`, `{account._id}` and `{account.region}` stand for what the account has. What is
filled in is a value, whatever characters it has: no `&`, `=`, comma or pattern in it is read.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any
from urllib.parse import parse_qsl

import bson

from app.auth.patterns import Judge, trust
from app.errors import Fault, Invalid
from app.query.names import Lookup, Names
from app.query.parameters import Parameter, parameters_of
from app.query.reader import QueryReader

Pairs = tuple[tuple[str, str], ...]
Attributes = Mapping[str, Any]  # by the name behind `account.`
KEYWORD = "keyword"
MAX_CONDITIONS = 100  # conditions of one rule
_PATTERNS = ("pattern",)  # what operators take that is syntax
_placeholder = re.compile(r"\{([A-Za-z_][^{}]*)\}")
_of_account = re.compile(r"account(?:\.[^.,\s{}]+)+").fullmatch
_KNOWN: dict[str, Parameter] = {KEYWORD: parameters_of("list")[KEYWORD]}


class Unfilled(Exception):
    """The account has nothing that could stand for a placeholder here."""


def attributes_of(account: Mapping[str, Any]) -> Attributes:
    """What the placeholders of a stored account stand for; its `name` and `_id` are its own."""
    own = {"name": account["name"], "_id": account["_id"]}
    return {**(account.get("attributes") or {}), **own}


def split(where: str) -> Pairs:
    """The pairs of a query string, those with the same name together; raises `ValueError`."""
    try:
        pairs = parse_qsl(
            where, keep_blank_values=True, errors="strict", max_num_fields=MAX_CONDITIONS
        )
    except ValueError:
        raise ValueError(
            "must be the query string of a list, percent-encoded, with at most "
            f"{MAX_CONDITIONS} conditions"
        ) from None
    if not pairs:
        raise ValueError("must have a condition; leave it out where all documents are meant")
    names = dict.fromkeys(name for name, _ in pairs)
    return tuple((name, value) for name in names for other, value in pairs if other == name)


# --- whether it can be true ----------------------------------------------------------------------


def find_faults(names: Names, pairs: Pairs, judge: Judge = trust) -> Iterator[str]:
    """What is wrong in conditions whose placeholders are not filled yet: a sentence each.

    `judge` says which regular expressions can't be.
    """
    plain: list[tuple[str, str]] = []
    for name, value in pairs:
        reason = _refuse(names, name, value)
        if reason:
            yield f"{name}: {reason}."
        elif not _placeholder.search(value) or not _is_known(names, name):
            plain.append((name, value))
    faults = _read(names, plain)
    yield from (fault.detail for fault in faults)
    if not faults:
        yield from filter(None, (judge(*pair) for pair in plain if _is_pattern(names, pair[0])))


def _refuse(names: Names, name: str, value: str) -> str:
    """Why the placeholders can't stand where they do; nothing where they can."""
    if _placeholder.search(name):
        return "a placeholder is a value, it can't be in a name"
    words = _placeholder.findall(value)
    for word in words:
        if not _of_account(word):
            return (
                f"there is no placeholder {{{word}}}; there are {{account.name}}, {{account._id}} "
                "and {account.<attribute>}"
            )
    if words and _is_pattern(names, name):
        return "a placeholder can't be in a regular expression; use __contains or __startswith"
    return ""


def _is_known(names: Names, name: str) -> bool:
    return name == KEYWORD or names.find_lookup(name) is not None


def _is_pattern(names: Names, name: str) -> bool:
    lookup = names.find_lookup(name)
    return name == KEYWORD or (lookup is not None and lookup.operator.takes in _PATTERNS)


def _read(names: Names, pairs: Sequence[tuple[str, str]]) -> tuple[Fault, ...]:
    """What is wrong in conditions without placeholders.

    One that would vanish, as an empty value does, is refused: the rule would hold for all.
    """
    reader = QueryReader(names, pairs, _KNOWN)
    found = reader.conditions()
    try:
        reader.finish()
    except Invalid as error:
        return error.faults
    if len(found) < _count_conditions(names, pairs):
        empty = next((name for name, value in pairs if not value), pairs[0][0])
        return (Fault(f"{empty}: a value is required.", parameter=empty),)
    return ()


def _count_conditions(names: Names, pairs: Iterable[tuple[str, str]]) -> int:
    """How many conditions the pairs must make: a list is one, however often it is given."""
    lists = {name for name, _ in pairs if _takes_list(names.find_lookup(name))}
    return len(lists) + sum(name not in lists for name, _ in pairs)


def _takes_list(lookup: Lookup | None) -> bool:
    return lookup is not None and lookup.operator.takes == "values"


# --- for one account -----------------------------------------------------------------------------


def fill(names: Names, pairs: Pairs, attributes: Attributes) -> Pairs | None:
    """The conditions with the account's values; None where they can match no document.

    So it is where an attribute is missing, is a list where one value is needed, or is no value that
    the field could have.
    """
    filled: list[tuple[str, str]] = []
    try:
        for name, group in groupby(pairs, key=lambda pair: pair[0]):
            texts = [value for _, value in group]
            filled += _fill_group(names.find_lookup(name), name, texts, attributes)
    except Unfilled:
        return None
    return None if _read(names, filled) else tuple(filled)


def _fill_group(
    lookup: Lookup | None, name: str, texts: list[str], attributes: Attributes
) -> list[tuple[str, str]]:
    """The pairs of one name."""
    if not any(map(_placeholder.search, texts)):
        return [(name, text) for text in texts]
    if lookup is None or not _takes_list(lookup):
        return [(name, _fill_text(text, attributes)) for text in texts]
    parts = texts[0].split(",") if len(texts) == 1 else texts
    values = [value for part in parts for value in _fill_part(part, attributes)]
    if not values and lookup.operator.opposite:
        return []  # none of nothing: every document
    if not values:
        raise Unfilled
    if len(values) == 1:
        values *= 2  # several are taken whole, a single one would be split at its commas
    return [(name, value) for value in values]


def _fill_part(part: str, attributes: Attributes) -> list[str]:
    """The values that one part of a list stands for: several where an attribute is a list."""
    whole = _placeholder.fullmatch(part)
    value = _find(whole.group(1), attributes) if whole else None
    if isinstance(value, list):
        return [_to_text(one) for one in value]
    return [_fill_text(part, attributes)]


def _fill_text(text: str, attributes: Attributes) -> str:
    return _placeholder.sub(lambda found: _to_text(_find(found.group(1), attributes)), text)


def _find(word: str, attributes: Attributes) -> Any:
    """The value of `account.region`; of `account.office.city` in an attribute with fields."""
    value: Any = attributes
    for step in word.split(".")[1:]:
        if not isinstance(value, Mapping) or value.get(step) is None:
            raise Unfilled
        value = value[step]
    return value


def _to_text(value: Any) -> str:
    """The value as a query string has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float | bson.ObjectId | bson.Decimal128) and value != "":
        return str(value)
    raise Unfilled
