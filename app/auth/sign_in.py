"""Names and passwords, checked: seldom enough, in equal time, and a few at a time.

Every place where a password is tried comes here: tokens, Basic, the sign-in page, a change of
password.
"""

import asyncio
import hashlib
import hmac
import math
import os
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.types import Scope

from app.api.callers import Means
from app.api.proxies import client_address
from app.auth.accounts import Accounts, KnownAccount
from app.auth.audit import Audit
from app.auth.passwords import AT_ONCE, is_right
from app.auth.throttle import Attempt, Throttle
from app.resources.storing import Document

REMEMBERED_SECONDS = 60.0  # that a right password need not be checked again
NOTED_SECONDS = 3600.0  # between two entries of the audit for the same name from one address
MAX_REMEMBERED = 10_000  # right passwords that are remembered


class SignIn:
    """The door for names and passwords, of one server process."""

    def __init__(self, accounts: Accounts, throttle: Throttle, audit: Audit) -> None:
        self._accounts = accounts
        self._throttle = throttle
        self._audit = audit
        # No more are counted at a time than are checked, so that many who sign in at once from one
        # address are not taken for many failures.
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def check(self, name: str, password: str, scope: Scope) -> KnownAccount | None:
        """The account of this name and password, or None, whichever of the two is wrong.

        A failure is in the audit. Raises `TooManyRequests`.
        """
        found = await self._accounts.find(name)
        # However a name is written by which an account is found, it is one name.
        attempt = Attempt.make(str(found["name"]) if found else name, client_address(scope))
        delay = await self._throttle.find_delay(attempt)
        if delay:
            await asyncio.sleep(delay)
        async with self._turns:
            await self._throttle.count(attempt)
            known = await self._compare(found, password)
            if known is not None:
                await self._throttle.forgive(attempt)
        if known is None:
            # People type passwords where names belong.
            name_if_known = str(found["name"]) if found else None
            await self._audit.write(scope, "sign-in failed", account=name_if_known)
        return known

    async def _compare(self, found: Document | None, password: str) -> KnownAccount | None:
        """The account that was found, if the password is its own and it may sign in."""
        stored = found.get("password") if found and not found.get("disabled") else None
        if not await is_right(password, stored) or found is None:
            return None
        self._accounts.forget(found["_id"])
        known = await self._accounts.get(found["_id"])
        return known if known is not None and known.password == stored else None

    async def note(self, known: KnownAccount, scope: Scope, means: Means) -> None:
        """Writes into the audit that an account has signed in."""
        await self._audit.write(scope, "signed in", known.name, {"with": means}, known.name)


@dataclass(frozen=True)
class _Right:
    """That a password was right: its digest, whose it is, and until when we trust it."""

    password: bytes
    account: Any
    mark: str
    until: float  # of the monotonic clock


class RememberedPasswords:
    """Sign-ins by HTTP Basic, which sends the password with each request.

    A right one is checked once a minute for each caller. What is kept is a digest under a key that
    this process alone has, never the password. Another password for the same name from the same
    address ends that: who guesses would else be told of the right one however often he guessed.
    """

    def __init__(self, accounts: Accounts, sign_in: SignIn) -> None:
        self._accounts = accounts
        self._sign_in = sign_in
        self._secret = os.urandom(32)
        self._right: dict[bytes, _Right] = {}  # by the digest of name and address
        self._noted: dict[bytes, float] = {}
        self._checking: dict[bytes, asyncio.Task[KnownAccount | None]] = {}

    async def check(self, name: str, password: str, scope: Scope) -> KnownAccount | None:
        """The same as `SignIn.check`; those who send the same at the same time share one check."""
        caller = self._digest(name.casefold(), client_address(scope))
        digest = self._digest(password)
        known = await self._recall(caller, digest)
        if known is not None:
            return known
        both = caller + digest
        checking = self._checking.get(both)
        if checking is None:
            checking = asyncio.create_task(self._check(caller, digest, name, password, scope))
            self._checking[both] = checking
            checking.add_done_callback(partial(self._end, both))
        return await asyncio.shield(checking)

    def _end(self, both: bytes, checking: "asyncio.Task[KnownAccount | None]") -> None:
        del self._checking[both]
        if not checking.cancelled():
            checking.exception()  # now it counts as seen, also where nobody waits any more

    def _digest(self, *texts: str) -> bytes:
        digest = hashlib.blake2b(key=self._secret)
        for text in texts:
            encoded = text.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(encoded) + encoded)
        return digest.digest()

    async def _recall(self, caller: bytes, password: bytes) -> KnownAccount | None:
        """The account, where the password was right a moment ago and is still the same."""
        right = self._right.get(caller)
        if right is None:
            return None
        is_same = hmac.compare_digest(right.password, password)
        if is_same and right.until > time.monotonic():
            known = await self._accounts.get(right.account)
            if known is not None and known.mark == right.mark:
                return known
        self._right.pop(caller, None)
        return None

    async def _check(
        self, caller: bytes, digest: bytes, name: str, password: str, scope: Scope
    ) -> KnownAccount | None:
        moment = time.monotonic()
        known = await self._sign_in.check(name, password, scope)
        if known is not None:
            if len(self._right) >= MAX_REMEMBERED:
                self._right.clear()
                self._noted.clear()
            until = moment + REMEMBERED_SECONDS
            self._right[caller] = _Right(digest, known.id, known.mark, until)
            both = caller + digest
            if moment > self._noted.get(both, -math.inf) + NOTED_SECONDS:
                self._noted[both] = moment
                await self._sign_in.note(known, scope, "password")
        return known
