"""Keys: an id and a secret of 256 random bits, of which the database has the digest alone.

A digest without a salt is enough for so many random bits; a password's would not be.
"""

import hashlib
import hmac
import secrets

from app.auth.documents import KEY_PREFIX

BYTES = 32  # of a secret


def make_id() -> str:
    """The id of a new key, which is no secret."""
    return KEY_PREFIX + secrets.token_hex(8)


def make_secret() -> str:
    """The secret of a new key; it has no dot, by which it could be cut."""
    return secrets.token_urlsafe(BYTES)


def digest(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def is_right(secret: str, stored: str) -> bool:
    """Whether a secret is the one of this digest; takes as long for any."""
    return hmac.compare_digest(digest(secret), stored)
