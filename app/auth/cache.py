"""Values that are read from the database again after some seconds, by one reader at a time.

What an administrator changes counts on every server once the value is read again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
SECONDS = 3.0  # that a value serves; reading it may take one or two more
MAX_VALUES = 10_000  # values


@dataclass(frozen=True)
class _Kept(Generic[V]):
    value: V
    until: float  # of the monotonic clock


class Cache(Generic[K, V]):
    """What `read` gives for a key, at most so many `seconds` old, usually `SECONDS`."""

    def __init__(self, read: Callable[[K], Awaitable[V]], seconds: float | None = None) -> None:
        self._read = read
        self._seconds = SECONDS if seconds is None else seconds
        self._kept: dict[K, _Kept[V]] = {}
        self._reading: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K) -> V:
        """The value of a key; those who ask while it is read wait for the same reading."""
        kept = self._kept.get(key)
        if kept is not None and kept.until > time.monotonic():
            return kept.value
        reading = self._reading.get(key)
        if reading is None:
            reading = asyncio.create_task(self._read_anew(key))
            self._reading[key] = reading
            reading.add_done_callback(partial(self._end, key))
        return await asyncio.shield(reading)

    async def _read_anew(self, key: K) -> V:
        until = time.monotonic() + self._seconds  # of the moment before it is read
        value = await self._read(key)
        if self._reading.get(key) is asyncio.current_task():
            self._keep(key, _Kept(value, until))
        return value

    def _keep(self, key: K, kept: _Kept[V]) -> None:
        if len(self._kept) >= MAX_VALUES:
            self._kept.clear()
        self._kept[key] = kept

    def _end(self, key: K, reading: "asyncio.Task[V]") -> None:
        if self._reading.get(key) is reading:
            del self._reading[key]
        if not reading.cancelled():
            reading.exception()  # now it counts as seen, also where nobody waits any more

    def __len__(self) -> int:
        """How many values are kept."""
        return len(self._kept)

    def forget(self, key: K) -> None:
        """Reads it anew when it is asked for again: it has just been changed here."""
        self._kept.pop(key, None)
        self._reading.pop(key, None)

    def forget_all(self) -> None:
        """Reads all of them anew: what many are made of has just been changed here."""
        self._kept.clear()
        self._reading.clear()
