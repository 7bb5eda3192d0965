"""Waiting for what another process does; no test asserts how long that took."""

import asyncio
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
        waited = time.monotonic() - began
        assert waited < seconds, f"{otherwise} within {seconds:g} seconds"
        time.sleep(max(0.01, min(waited / 20, 0.2)))  # what takes long is asked less often
    return time.monotonic() - began


async def until(condition: Callable[[], object]) -> None:
    """Waits for what this process itself does, in its event loop."""
    async with asyncio.timeout(LONGEST):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
