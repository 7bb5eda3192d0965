"""Tasks that have to end, whatever is cancelled around them."""

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
