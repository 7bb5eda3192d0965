"""Tasks that have to end, whatever is cancelled around them; and so many of a kind at once."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any


async def cancel(task: "asyncio.Future[Any]") -> None:
    """Ends a task whose result nobody wants any more."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # now it counts as seen


async def run_to_end(work: Coroutine[Any, Any, None]) -> None:
    """Runs what has to be done at the end, also while the server cancels everything."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait((task,))
    if not task.cancelled():
        task.result()


class Slots:
    """So many at once; whoever comes later waits for a while (a semaphore that is counted)."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.taken = 0
        self.waiting = 0  # for a slot
        self._free = asyncio.Semaphore(count)

    async def take(self, seconds: float) -> None:
        """Takes a slot; raises `TimeoutError` where none becomes free in that time."""
        if self._free.locked():
            await self._wait(seconds)
        else:
            await self._free.acquire()
        self.taken += 1

    async def _wait(self, seconds: float) -> None:
        self.waiting += 1
        try:
            await asyncio.wait_for(self._free.acquire(), seconds)
        finally:
            self.waiting -= 1

    def release(self) -> None:
        """Gives a slot back."""
        self.taken -= 1
        self._free.release()

    async def close(self, seconds: float) -> None:
        """Waits until all are given back, for so many seconds at most; nobody gets one any more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for _ in range(self.count):
                    await self._free.acquire()
