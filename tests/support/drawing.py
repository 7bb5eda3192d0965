"""Properties with drawn examples: the same few in each run, many new ones in the slow tests."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

Check = Callable[..., Any]


def some_and_many(
    draw: Callable[[Check], Check], check: Check, some: int, many: int
) -> tuple[Check, Check]:
    """A test of `check` with some drawn examples, always the same, and a slow one with many.

    Fixtures go on from example to example: what one leaves behind, the next clears away.

        test_it, test_it_often = some_and_many(given(...), check, 20, 1_000)
    """
    lenient = settings(suppress_health_check=list(HealthCheck))
    test = settings(lenient, max_examples=some)(draw(check))
    slow = settings(lenient, max_examples=many, derandomize=False)(draw(check))
    return test, pytest.mark.slow(slow)
