"""How often a password may be tried: counted before it is checked, for all servers together.

Ten failures for one name from one address, or fifty from one address, within ten minutes, and then
nobody from there is answered, the right password neither. A name that is tried from many addresses
is answered more slowly, never refused: nobody can lock the owner out. The counts are those of the
library `limits` (https://limits.readthedocs.io/en/stable/strategies.html#moving-window).
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from app.api.proxies import network_of
from app.auth.documents import fold_name
from app.errors import TooManyRequests
from app.store.client import Database
from app.store.counters import MongoStorage

WINDOW = 10 * 60  # seconds
OF_NAME, OF_ADDRESS = 10, 50  # failures in a window: of one name from one address, of one address
UNHURRIED = 10  # failures of a name, wherever from, before its answers come more slowly
STEP, SLOWEST = 0.1, 2.0  # seconds: for each failure more, and at most
COLLECTION = "docsheet.throttle"
_RACES = 5  # tries where others count at the same moment
_name_limit = RateLimitItemPerSecond(OF_NAME, WINDOW, "name")
_address_limit = RateLimitItemPerSecond(OF_ADDRESS, WINDOW, "address")
_slow_limit = RateLimitItemPerSecond(UNHURRIED + int(SLOWEST / STEP), WINDOW, "everywhere")


class SharedStorage(MongoStorage):
    """The storage of all servers, where one entry can be taken back."""

    def take_back(self, key: str) -> None:
        """Removes the newest entry."""
        self.windows.update_one({"_id": key}, {"$pop": {"entries": -1}})

    def forget_future(self, key: str) -> None:
        """Removes the entries of a time that is far off: the clock was set back since then."""
        future = {"$gt": time.time() + WINDOW}
        self.windows.update_one({"_id": key}, {"$pull": {"entries": future}})


class LocalStorage(MemoryStorage):
    """The library's storage of one process, where one entry can be taken back."""

    def take_back(self, key: str) -> None:
        """Removes the newest entry."""
        with self.locks[key]:
            del self.events.get(key, [])[:1]

    def forget_future(self, key: str) -> None:
        """Removes the entries of a time that is far off: the clock was set back since then."""
        with self.locks[key]:
            entries = self.events.get(key, [])
            latest = time.time() + WINDOW
            entries[:] = [entry for entry in entries if entry.atime <= latest]


@dataclass(frozen=True)
class Attempt:
    """A password that is about to be tried; `name` and `address` are digests."""

    name: str
    address: str

    @classmethod
    def make(cls, name: str, address: str) -> "Attempt":
        """The attempt to sign in with a name from an address."""
        return cls(_digest(fold_name(name)), _digest(network_of(address)))

    def limits(self) -> Iterator[tuple[RateLimitItemPerSecond, tuple[str, ...]]]:
        """The limits that it counts for, and by what."""
        yield _name_limit, (self.name, self.address)
        yield _address_limit, (self.address,)


class Throttle:
    """The failures of all servers on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._storage = SharedStorage(database, COLLECTION) if database.uri else LocalStorage()
        self._limiter = MovingWindowRateLimiter(self._storage)

    async def find_delay(self, attempt: Attempt) -> float:
        """Seconds that an answer for this name has to wait."""
        return await self._database.run(self._find_delay, attempt)

    def _find_delay(self, attempt: Attempt) -> float:
        _, failures = self._look(_slow_limit, (attempt.name,))
        return min(SLOWEST, max(0, failures - UNHURRIED) * STEP)

    def _look(
        self, limit: RateLimitItemPerSecond, names: tuple[str, ...]
    ) -> tuple[float | None, int]:
        """When the first failure of the window was, in seconds since 1970, and how many it has."""
        key = limit.key_for(*names)
        return self._storage.get_moving_window(key, limit.amount, limit.get_expiry())

    async def count(self, attempt: Attempt) -> None:
        """Counts the attempt as a failure; raises `TooManyRequests` where there were too many."""
        await self._database.run(self._count, attempt, writing=True)

    def _count(self, attempt: Attempt) -> None:
        counted: list[str] = []
        for limit, names in attempt.limits():
            if not self._hit(limit, names):
                for earlier in counted:
                    self._storage.take_back(earlier)
                raise self._refuse(limit, names)
            counted.append(limit.key_for(*names))
        self._limiter.hit(_slow_limit, attempt.name)

    def _hit(self, limit: RateLimitItemPerSecond, names: tuple[str, ...]) -> bool:
        """Counts one; False where the window is full.

        The library takes another that counts the first one at the same moment for a full window.
        """
        for _ in range(_RACES):
            if self._limiter.hit(limit, *names):
                return True
            self._storage.forget_future(limit.key_for(*names))
            if not self._limiter.test(limit, *names):
                return False
        return False

    def _refuse(self, limit: RateLimitItemPerSecond, names: tuple[str, ...]) -> TooManyRequests:
        moment = time.time()
        first, _ = self._look(limit, names)
        return TooManyRequests(
            "Too many passwords were tried from here; the right one is refused too.",
            (first or moment) + WINDOW - moment,
        )

    async def forgive(self, attempt: Attempt) -> None:
        """Takes an attempt back that was none: the password was right."""
        await self._database.run(self._forgive, attempt, writing=True)

    def _forgive(self, attempt: Attempt) -> None:
        for limit, names in attempt.limits():
            self._storage.take_back(limit.key_for(*names))
        self._storage.take_back(_slow_limit.key_for(attempt.name))


def _digest(text: str) -> str:
    """What stands for a name: people type passwords where names belong."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
