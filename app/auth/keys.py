"""Keys: an id and a secret of 256 random bits, of which the database has the digest alone.

A digest without a salt is enough for so many random bits; a password's would not be.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any

from app.auth.cache import Cache
from app.auth.documents import KEY_PREFIX, SEEN_SECONDS, Account, Key, is_past
from app.auth.scopes import Scopes
from app.resources.moments import now
from app.store.client import Connection, Database

COLLECTION: str = Key.Settings.name
ACCOUNTS: str = Account.Settings.name
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


@dataclass(frozen=True)
class KnownKey:
    """A key; `account` is an `_id`, `scopes` None where it has all of the account's.

    One that is over does not serve.
    """

    account: Any
    digest: str
    scopes: Scopes | None
    serves: bool


class Keys:
    """The keys of a database, as they were some seconds ago at most."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._collection = database.collection(COLLECTION)
        self._cache: Cache[str, KnownKey | None] = Cache(self._read)

    async def check(self, identifier: str, secret: str) -> KnownKey | None:
        """The key of this id and secret, unless it is over."""
        key = await self._cache.get(identifier)
        stored = key.digest if key is not None and key.serves else ""
        return key if is_right(secret, stored) else None

    async def exists(self, identifier: str) -> bool:
        """Whether there is a key of this id, be it over; just after a check nothing is read."""
        return await self._cache.get(identifier) is not None

    async def find_owner(self, identifier: str) -> str | None:
        """The name of the account of a key, also of one that is over; None where it is gone."""
        key = await self._cache.get(identifier)
        if key is None:
            return None
        return await self._database.run(_find_name, self._database, key.account)

    def forget(self, identifier: str) -> None:
        """Reads a key anew when it is asked for again."""
        self._cache.forget(identifier)

    async def _read(self, identifier: str) -> KnownKey | None:
        found = await self._database.run(self._find, identifier)
        if found is None:
            return None
        scopes = frozenset(found.get("scopes") or ())
        return KnownKey(_id_of(found["account"]), found["digest"], scopes or None, _serves(found))

    def _find(self, identifier: str) -> dict[str, Any] | None:
        """What is stored of a key; now and then with a note that it was used, where it serves."""
        found = self._collection.find_one({"_id": identifier})
        if found is not None and _serves(found) and is_past(found.get("last_used"), SEEN_SECONDS):
            self._collection.update_one({"_id": identifier}, {"$set": {"last_used": now()}})
        return found


def _serves(found: dict[str, Any]) -> bool:
    return found.get("expires") is None or not is_past(found["expires"])


def _find_name(database: Connection, account: Any) -> str | None:
    found = database.collection(ACCOUNTS).find_one({"_id": account}, {"name": 1})
    return str(found["name"]) if found is not None else None


def _id_of(account: Any) -> Any:
    """The `_id` of an account, of which Beanie stores a link."""
    return getattr(account, "id", account)
