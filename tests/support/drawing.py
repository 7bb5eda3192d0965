"""Properties with drawn examples: some in each run, many more among the slow tests."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

Check = Callable[..., Any]


def some_and_many(
    draw: Callable[[Check], Check], check: Check, some: int, many: int
) -> tuple[Check, Check]:
    """A test of `check` with some drawn examples, and a slow one with many.

    Fixtures go on from example to example: what one leaves behind, the next clears away.

        test_it, test_it_often = some_and_many(given(...), check, 20, 1_000)
    """
    unchecked = list(HealthCheck)
    test = settings(max_examples=some, suppress_health_check=unchecked)(draw(check))
    slow = settings(max_examples=many, suppress_health_check=unchecked)(draw(check))
    return test, pytest.mark.slow(slow)
