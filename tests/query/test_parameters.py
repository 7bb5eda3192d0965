"""Parameters: one line each, read in the same way by every request that takes them."""

from typing import Any

import pytest

from app.query import parameters
from app.query.parameters import (
    MAX_NUMBER,
    Choice,
    Flag,
    Parameter,
    Text,
    WholeNumber,
    parameters_of,
)

LISTS = ("keyword", "sort", "skip", "limit", "fields", "expand", "after", "count")
EXPORTS = ("keyword", "sort", "skip", "limit", "columns", "consistency")


def test_who_takes_what() -> None:
    assert tuple(parameters_of("list")) == LISTS
    assert tuple(parameters_of("export")) == EXPORTS
    csv = parameters_of("export", ("bom", "delimiter", "titles"))
    assert tuple(csv) == (*EXPORTS, "bom", "delimiter")


def test_a_new_parameter_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    new = Parameter("page", ("list",), WholeNumber(1), "A page.", 1)
    monkeypatch.setattr(parameters, "PARAMETERS", (*parameters.PARAMETERS, new))
    assert parameters_of("list")["page"] is new
    assert "page" not in parameters_of("export")


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        (Text(), "a b", "a b"),
        (WholeNumber(1, 1000), "1", 1),
        (WholeNumber(1, 1000), "1000", 1000),
        (WholeNumber(0), "007", 7),
        (WholeNumber(0), "9" * 30, MAX_NUMBER),
        (WholeNumber(-5, 5), "-5", -5),
        (Choice(("a", "b")), "b", "b"),
        (Flag(), "true", True),
        (Flag(), "false", False),
    ],
)
def test_values(type_: Any, text: str, value: Any) -> None:
    read = type_.read(text)
    assert (type(read), read) == (type(value), value)


@pytest.mark.parametrize(
    ("type_", "text", "message"),
    [
        (WholeNumber(1, 1000), "0", "must be a whole number from 1 to 1000, not"),
        (WholeNumber(1, 1000), "1001", "must be a whole number from 1 to 1000, not"),
        (WholeNumber(0), "-1", "must be a whole number ≥ 0, not"),
        (WholeNumber(0), "1.0", "must be a whole number ≥ 0, not"),
        (WholeNumber(0), "１", "must be a whole number ≥ 0, not"),
        (WholeNumber(0), "--1", "must be a whole number ≥ 0, not"),
        (WholeNumber(0), "9" * 31, "must be a whole number ≥ 0, not"),
        (WholeNumber(0, MAX_NUMBER), "9" * 19, "must be a whole number ≥ 0, not"),
        (Choice(("a", "b")), "c", "must be one of: a b; not"),
        (Flag(), "yes", "must be true or false, not"),
    ],
)
def test_values_that_can_not_be(type_: Any, text: str, message: str) -> None:
    with pytest.raises(ValueError, match="must be") as caught:
        type_.read(text)
    assert str(caught.value).rstrip(".") == f"{message} {text[:60]!r}"


def test_a_choice_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"not 'exat'\. Did you mean 'exact'\?$"):
        Choice(("auto", "exact")).read("exat")
