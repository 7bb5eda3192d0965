"""Passwords: stored as argon2 hashes (RFC 9106), checked in a few threads at a time.

Nothing here shows, logs or keeps a password.
"""

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Annotated

from pwdlib import PasswordHash
from pydantic import AfterValidator, Field, ValidationInfo

SHORTEST, LONGEST = 8, 128  # characters
AT_ONCE = 2  # checks side by side, per process: each takes 64 MiB and a core
_hasher = PasswordHash.recommended()
_threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")


def hash_password(value: str, info: ValidationInfo) -> str:
    """The hash of a password that was sent; what is stored already is the hash, and stays."""
    stored = (info.context or {}).get("stored", {})
    if value == stored.get(info.field_name):
        return value
    return _hasher.hash(value)


Password = Annotated[
    str,
    Field(min_length=SHORTEST, max_length=LONGEST),
    AfterValidator(hash_password),
]


async def make_hash(password: str) -> str:
    """The hash of a password."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, _hasher.hash, password)


async def is_right(password: str, stored: str | None) -> bool:
    """Whether it is the password of this hash; without one it takes as long, and is False."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, _is_right, password, stored)


def _is_right(password: str, stored: str | None) -> bool:
    return _hasher.verify(password, stored or _of_nobody()) and stored is not None


@cache
def _of_nobody() -> str:
    """A hash that is checked where there is no account, so that the answer takes as long."""
    return _hasher.hash("the password of nobody")


def mark(stored: str | None) -> str:
    """What tells one stored hash from another: sessions and tokens end where it changes."""
    return hashlib.sha256((stored or "").encode()).hexdigest()[:16]
