"""How often one may ask: RATE_LIMIT, for each caller, else for each address.

The requests of a window are counted in the database for all servers together, by the library
`limits`; the window begins with the first of them. Hardly a request waits for that: each process
counts its own, and reports them in the background, a fortieth of the limit at a time. It has a
twentieth unreported at most, then it waits. So with P processes as many may pass as the limit says,
and at most a twentieth of it more for each process but one.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field

from limits import RateLimitItem, parse
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.callers import Caller
from app.api.health import PROBES
from app.api.middleware import refuse
from app.api.parts import Part
from app.api.proxies import client_address, network_of
from app.errors import RequestError, TooManyRequests
from app.settings import Settings
from app.store.client import Database
from app.store.counters import LocalStorage, MongoStorage

COLLECTION = "docsheet.rates"
SHARES = 20  # parts of the limit: one of them is what a process may have unreported
WAIT_SECONDS = 1.0  # that a request waits for a report
MAX_WINDOWS = 50_000  # callers of whom a process knows how often they asked


@dataclass
class Window:
    """The requests of one caller, as far as this process knows."""

    ends: float  # of the monotonic clock
    counted: int = 0  # by all processes together
    pending: int = 0  # of this one, that are not reported yet
    is_begun: bool = False  # by all processes, so that they agree when it ends
    reporting: "asyncio.Task[None] | None" = field(default=None, repr=False)


class Limits(Part):
    """The limit of one server process."""

    def __init__(self, settings: Settings) -> None:
        self._limit: RateLimitItem = parse(settings.RATE_LIMIT)
        self._seconds = self._limit.get_expiry()
        self._share = max(1, self._limit.amount // SHARES)
        self._root = settings.ROOT_PATH
        self._windows: dict[str, Window] = {}
        self._database: Database
        self._storage: MongoStorage | LocalStorage

    async def open(self, database: Database) -> None:
        """Counts in this database, of a mock in this process."""
        self._database = database
        shared = bool(database.uri)
        self._storage = MongoStorage(database, COLLECTION) if shared else LocalStorage()

    def layer(self) -> Middleware:
        """The layer around the routes, within the one that knows who calls."""
        return Middleware(Limited, limits=self)

    async def prepare(self) -> bool:
        """Makes the index by which counts are forgotten, as the library does before it reads."""
        await self._database.run(self._storage.get, "")
        return True

    async def choose_refusal(self, scope: Scope, error: RequestError) -> RequestError:
        """The answer to a request that is refused for another reason: it counts all the same."""
        try:
            await self.admit(scope)
        except TooManyRequests as too_many:
            return too_many
        return error

    async def admit(self, scope: Scope) -> None:
        """Counts a request; raises `TooManyRequests` where it is one too many."""
        if scope["path"].removeprefix(self._root) in PROBES:
            return
        key = _name_caller(scope)
        now = time.monotonic()
        window = self._windows.get(key)
        if window is None or now >= window.ends:
            window = self._begin(key, now)
        while window.pending >= self._share and window.reporting is not None:
            if not (await asyncio.wait((window.reporting,), timeout=WAIT_SECONDS))[0]:
                break
        if window.counted + window.pending >= self._limit.amount:
            raise self._refuse(window.ends - now)
        window.pending += 1
        if window.reporting is None and (2 * window.pending >= self._share or not window.is_begun):
            window.reporting = asyncio.create_task(self._report(key, window))

    def _begin(self, key: str, now: float) -> Window:
        """A new window; the oldest goes where there are too many."""
        self._windows.pop(key, None)
        if len(self._windows) >= MAX_WINDOWS:
            self._windows.pop(next(iter(self._windows)))
        window = self._windows[key] = Window(now + self._seconds)
        return window

    async def _report(self, key: str, window: Window) -> None:
        """Adds what is pending to the count of all, and learns that count.

        Where the database is away, this process goes on with what it knows.
        """
        try:
            if self._database.has_primary():
                with suppress(RequestError):
                    await self._add(self._limit.key_for(key), window)
        finally:
            window.reporting = None

    async def _add(self, name: str, window: Window) -> None:
        pending = window.pending
        window.counted, left = await self._database.run(
            self._storage.add, name, self._seconds, pending, writing=True
        )
        window.pending -= pending
        if not window.is_begun:
            if window.counted > pending:  # another process began it
                window.ends = min(window.ends, time.monotonic() + left)
            window.is_begun = True

    def _refuse(self, seconds: float) -> TooManyRequests:
        return TooManyRequests(
            f"One may ask {self._limit.amount} times a {self._limit.GRANULARITY.name} "
            "(RATE_LIMIT).",
            seconds,
        )


class Limited:
    """The layer that refuses what is too much."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it with 429; the lifespan always."""
        try:
            if scope["type"] != "lifespan":
                await self._limits.admit(scope)
        except RequestError as error:
            await refuse(error, scope, receive, send)
            return
        await self._app(scope, receive, send)


def _name_caller(scope: Scope) -> str:
    """What is counted: the account, or where none is known the address."""
    caller: Caller | None = scope.get("caller")
    if caller is not None and caller.id is not None:
        return f"account {caller.id}"
    return f"address {network_of(client_address(scope))}"
