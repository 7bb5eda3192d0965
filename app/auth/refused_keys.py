"""Keys that were refused, in the audit: wrong secrets, and keys that serve no more.

One entry an hour for each key from each network, for a script goes on with a key that has ended.
Ids that no key has count as one, since anybody can invent them.
"""

import math
import time

from starlette.types import Scope

from app.api.proxies import client_address, network_of
from app.auth.audit import Audit
from app.auth.keys import Keys

NOTED_SECONDS = 3600.0  # between two entries of the audit for the same key from one network
MAX_NOTED = 10_000  # keys and networks that are remembered


class RefusedKeys:
    """The entries of one server process."""

    def __init__(self, keys: Keys, audit: Audit) -> None:
        self._keys = keys
        self._audit = audit
        self._noted: dict[tuple[str, str], float] = {}

    async def note(self, identifier: str, scope: Scope) -> None:
        """Writes that a key was refused, unless that was written a moment ago."""
        target = identifier if await self._keys.exists(identifier) else None
        if self._is_due((target or "", network_of(client_address(scope)))):
            owner = await self._keys.find_owner(identifier)
            await self._audit.write(scope, "sign-in failed", target, {"with": "key"}, owner)

    def _is_due(self, source: tuple[str, str]) -> bool:
        moment = time.monotonic()
        if moment < self._noted.get(source, -math.inf) + NOTED_SECONDS:
            return False
        if len(self._noted) >= MAX_NOTED:
            self._noted.clear()
        self._noted[source] = moment
        return True
