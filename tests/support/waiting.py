"""Waiting for what another process does; no test asserts how long that took."""

import time
from collections.abc import Callable

LONGEST = 60.0  # seconds: whatever takes longer does not happen at all


def wait_for(
    condition: Callable[[], object],
    seconds: float = LONGEST,
    otherwise: str = "it did not happen",
) -> float:
    """The seconds until the condition was true; fails with a sentence where it never is."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"{otherwise} within {seconds:g} seconds"
        time.sleep(0.02)
    return time.monotonic() - began
