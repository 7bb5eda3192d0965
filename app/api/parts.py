"""What the lifespan is made of: parts, each opened with the database, prepared and closed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from app.errors import RequestError
from app.store.client import Database

RETRY_SECONDS = 5.0  # after which what could not be prepared is tried again
FIRST_SECONDS = 5.0  # that the start waits for everything to be prepared
_log = logging.getLogger("docsheet.database")


class Part:
    """Something of the server that needs the database.

    One that lacks a method has nothing to do there.
    """

    async def open(self, database: Database) -> None:
        """Takes the database, which is there until `close` has returned; asks it nothing."""

    async def prepare(self) -> bool:
        """Makes what it needs there; whether nothing is left to do, else it is called again.

        Raises `RequestError` where that is not possible yet.
        """
        return True

    def problems(self) -> list[str]:
        """Why the server is not ready, as far as it is this part's fault: a sentence each."""
        return []

    async def close(self) -> None:
        """Ends what it has under way."""


@asynccontextmanager
async def run_parts(parts: Sequence[Part], database: Database) -> AsyncIterator[None]:
    """The parts, open one after the other, closed in the other direction."""
    async with AsyncExitStack() as stack:
        for part in parts:
            await part.open(database)
            stack.push_async_callback(part.close)
        preparing = asyncio.create_task(_prepare(parts))
        stack.callback(preparing.cancel)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(preparing), FIRST_SECONDS)
        yield


async def _prepare(parts: Sequence[Part]) -> None:
    """Prepares each part, also where others fail, and tries again what can't be yet."""
    waiting = list(parts)
    while True:
        waiting = [part for part in waiting if not await _is_prepared(part)]
        if not waiting:
            return
        await asyncio.sleep(RETRY_SECONDS)


async def _is_prepared(part: Part) -> bool:
    try:
        return await part.prepare()
    except RequestError as error:
        _log.warning("the indexes can't be made yet: %s", error)
        return False
