"""Passwords: stored as argon2 hashes (RFC 9106), checked in a few threads at a time.

Nothing here shows, logs or keeps a password.
"""

import asyncio
import hashlib
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Annotated

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pydantic import AfterValidator, Field, ValidationInfo

MIN_LENGTH, MAX_LENGTH = 8, 128  # characters
AT_ONCE = 2  # checks side by side, per process: each takes 64 MiB and a core
_hasher = PasswordHash.recommended()
_threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")


def hash_password(value: str, info: ValidationInfo) -> str:
    """The hash of a password that was sent; what is stored already is the hash, and stays."""
    stored = (info.context or {}).get("stored", {})
    if value == stored.get(info.field_name):
        return value
    return _hasher.hash(_encode(value))


Password = Annotated[
    str,
    Field(min_length=MIN_LENGTH, max_length=MAX_LENGTH),
    AfterValidator(hash_password),
]


async def make_hash(password: str) -> str:
    """The hash of a password."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, _hasher.hash, _encode(password))


async def is_right(password: str, stored: str | None) -> bool:
    """Whether it is the password of this hash; without one it takes as long, and is False."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, _is_right, password[: MAX_LENGTH + 1], stored)


def _is_right(password: str, stored: str | None) -> bool:
    try:
        right = _hasher.verify(_encode(password), stored or _of_nobody())
    except UnknownHashError:  # another program wrote it
        return False
    return right and bool(stored)


@cache
def _of_nobody() -> str:
    """A hash that is checked where there is no account, so that the answer takes as long."""
    return _hasher.hash("the password of nobody")


def _encode(password: str) -> bytes:
    """The bytes of a password: however it was typed, a letter is the same (RFC 8265, 4.2)."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "replace")


def mark(stored: str | None) -> str:
    """What tells one stored hash from another: sessions and tokens end where it changes."""
    return hashlib.sha256((stored or "").encode()).hexdigest()[:16]
