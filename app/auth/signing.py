"""The secrets that sign access tokens: SECRET_KEY, or one that is kept in the database.

Each has a number, its `kid` (RFC 7515, 4.1.4). The one with the highest signs; the others verify
until the tokens that they signed are over.
"""

import asyncio
import datetime
import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import Any

from pymongo import DESCENDING
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from app.auth.documents import is_past
from app.resources.moments import now
from app.store.client import Connection, Database

COLLECTION = "docsheet.secrets"
TOKEN_SECONDS = 900  # that an access token serves
BYTES = 32  # of a secret (RFC 7518, 3.2)
AGAIN_SECONDS = 1.0  # between two looks for a secret that isn't known
OLD_SECONDS = 3.0  # after which the newest is looked for again
MAX_AGE_SECONDS = 60.0  # after which a secret may be over


@dataclass(frozen=True)
class Secret:
    """One secret; `kid` is its name in a token's header."""

    kid: str
    value: bytes


def of_setting(text: str) -> Secret:
    """The secret that the setting SECRET_KEY is."""
    value = text.encode()
    return Secret(hashlib.sha256(b"kid" + value).hexdigest()[:8], value)


class Signing:
    """The secrets, as this process knows them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._setting = database.settings.SECRET_KEY
        self._known: dict[str, Secret] = {}
        self._newest: Secret
        self._read_at = float("-inf")  # of the monotonic clock
        self._reading = asyncio.Lock()
        if self._setting:
            self._newest = of_setting(self._setting)
            self._known = {self._newest.kid: self._newest}

    async def newest(self) -> Secret:
        """The secret that signs."""
        await self._read(OLD_SECONDS)
        return self._newest

    async def find(self, kid: str) -> Secret | None:
        """The secret of this name, unless its tokens are over."""
        await self._read(AGAIN_SECONDS if kid not in self._known else MAX_AGE_SECONDS)
        return self._known.get(kid)

    async def _read(self, seconds: float) -> None:
        """Reads them, unless that was done within these seconds."""
        if self._setting or time.monotonic() < self._read_at + seconds:
            return
        async with self._reading:
            began = time.monotonic()
            if began < self._read_at + seconds:
                return  # by another, for whom this one has waited
            found = await self._database.run(read_secrets, self._database, writing=True)
            self._known = {one.kid: one for one in found}
            self._newest = found[0]
            self._read_at = began


def read_secrets(database: Connection) -> list[Secret]:
    """Those that serve, the newest first; makes the first one where there is none."""
    collection = database.collection(COLLECTION)
    found = list(collection.find(sort=[("_id", DESCENDING)]))
    if not found:
        make_secret(collection, 1)
        found = list(collection.find(sort=[("_id", DESCENDING)]))
    serving = [one for one in found if one.get("until") is None or not is_past(one["until"])]
    return [Secret(str(one["_id"]), bytes(one["secret"])) for one in serving]


def make_secret(collection: Collection[Any], number: int) -> None:
    """Stores a secret with this number, unless another server has just done so."""
    document = {"_id": number, "secret": secrets.token_bytes(BYTES), "created": now()}
    try:
        collection.insert_one(document)
    except DuplicateKeyError:
        return


def rotate(database: Connection) -> int:
    """Makes a new secret that signs from now on; its number.

    Those before it verify until the tokens that they signed are over.
    """
    collection = database.collection(COLLECTION)
    newest = collection.find_one(sort=[("_id", DESCENDING)])
    number = newest["_id"] + 1 if newest else 1
    make_secret(collection, number)
    # A server may sign with the old one as long as it takes it for the newest.
    seconds = TOKEN_SECONDS + 10 * OLD_SECONDS
    until = now() + datetime.timedelta(seconds=seconds)
    old = {"_id": {"$lt": number}, "until": None}
    collection.update_many(old, {"$set": {"until": until}})
    collection.delete_many({"until": {"$lt": now()}})
    return number
