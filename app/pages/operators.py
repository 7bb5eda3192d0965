"""What the filter operators are called by people: in a list to choose from, and in a condition."""

from dataclasses import dataclass

from app.pages.languages import N_, Language
from app.query.names import Lookup
from app.query.operators import OPERATORS, Operator
from app.resources.fields import Field

_TIMES = ("datetime", "date")
_OF_BOOLEANS = ("eq", "ne", "exists")


@dataclass(frozen=True)
class Wording:
    """The words of an operator: those to choose it by, others for times, and its sign."""

    words: str
    of_times: str = ""
    sign: str = ""


WORDINGS = {
    "eq": Wording(N_("is (=)"), sign="="),
    "ne": Wording(N_("is not (≠)"), sign="≠"),
    "gt": Wording(N_("is more than (>)"), N_("is after (>)"), ">"),
    "gte": Wording(N_("is at least (≥)"), N_("is not before (≥)"), "≥"),
    "lt": Wording(N_("is less than (<)"), N_("is before (<)"), "<"),
    "lte": Wording(N_("is at most (≤)"), N_("is not after (≤)"), "≤"),
    "in": Wording(N_("is one of")),
    "nin": Wording(N_("is none of")),
    "exists": Wording(N_("has a value")),
    "contains": Wording(N_("contains")),
    "startswith": Wording(N_("begins with")),
    "regex": Wording(N_("matches the pattern")),
}
WITHOUT_VALUE = N_("has no value")


def list_operators(field: Field) -> list[Operator]:
    """The operators that are offered for a field."""
    return [one for one in OPERATORS.values() if one.fits(field) and _is_offered(field, one)]


def _is_offered(field: Field, operator: Operator) -> bool:
    if field.kind == "bool":
        return operator.name in _OF_BOOLEANS
    return not field.choices or operator.takes not in ("literal", "pattern")


def describe_choice(words: Language, field: Field, operator: Operator) -> str:
    """The operator in a list to choose from: `is at least (≥)`."""
    wording = WORDINGS[operator.name]
    is_of_times = field.kind in _TIMES and wording.of_times
    return words.gettext(wording.of_times if is_of_times else wording.words)


def describe_condition(words: Language, asked: Lookup, text: str) -> str:
    """The operator between a field and its value: `≥`, `is one of`."""
    wording = WORDINGS[asked.operator.name]
    if asked.operator.takes == "presence" and text.lower() == "false":
        return words.gettext(WITHOUT_VALUE)
    return wording.sign or words.gettext(wording.words)
