"""Access tokens (JWT, RFC 7519) and the refresh tokens that renew them (RFC 6749, section 6).

An access token is signed, not stored: it names the account and the scopes, and the family of
refresh tokens that it came of. A refresh token is `family.secret`; the database has one document
for a family, with the digest of the one secret that serves. One that is used a second time was
stolen, or will have been: the family ends
(https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2).
"""

import hashlib
import logging
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import jwt
from pymongo import IndexModel, ReturnDocument
from pymongo.collection import Collection

from app.auth.cache import MAX_VALUES, Cache
from app.auth.documents import is_past
from app.auth.keys import digest
from app.auth.signing import TOKEN_SECONDS, Signing
from app.resources.moments import now
from app.store.client import Database

COLLECTION = "docsheet.tokens"
REFRESH_SECONDS = 30 * 24 * 3600  # without being used, after which a refresh token is over
_TWICE = "a refresh token of the account %s was used twice: all that came of its sign-in has ended"
_log = logging.getLogger("docsheet.auth")
JWT_DOTS = 2  # in an access token; a refresh token has one
ALGORITHM = "HS256"
VERIFIED_SECONDS = 60.0  # after which a token is verified again
LEEWAY_SECONDS = 5  # by which the clocks of two servers may differ
_NEEDED = ["exp", "iat", "sub", "jti", "family"]


@dataclass(frozen=True)
class Claims:
    """What a valid access token says; `account` is the `_id` as text.

    `end` is when it is over, in seconds since 1970.
    """

    account: str
    scopes: frozenset[str]
    family: str
    end: float


@dataclass(frozen=True)
class Family:
    """The refresh tokens that came of one sign-in; `mark` is that of the password then."""

    id: str
    account: Any
    scopes: tuple[str, ...]
    mark: str


@dataclass(frozen=True)
class Tokens:
    """What a sign-in or a refresh gives."""

    access: str
    refresh: str
    family: Family


class TokenMaker:
    """Makes and checks the tokens of all servers on one database."""

    def __init__(self, database: Database, signing: Signing) -> None:
        self._database = database
        self._collection: Collection[Any] = database.collection(COLLECTION)
        self._signing = signing
        self._valid: dict[bytes, tuple[Claims, float]] = {}
        self._families: Cache[str, Family | None] = Cache(self._read)

    async def prepare(self) -> None:
        """Makes the index by which families that nobody uses go."""
        forget = IndexModel([("used", 1)], name="forget", expireAfterSeconds=REFRESH_SECONDS)
        of_account = IndexModel([("account", 1)], name="account")
        create = self._collection.create_indexes
        await self._database.run(create, [forget, of_account], writing=True)

    async def begin(self, account: Any, scopes: Iterable[str], mark: str) -> Tokens:
        """The first tokens of a new family."""
        family = Family(secrets.token_urlsafe(16), account, tuple(sorted(scopes)), mark)
        secret = secrets.token_urlsafe(32)
        document = {
            "_id": family.id,
            "account": account,
            "scopes": list(family.scopes),
            "mark": mark,
            "digest": digest(secret),
            "created": now(),
            "used": now(),
        }
        await self._database.run(self._collection.insert_one, document, writing=True)
        return Tokens(await self._sign(family), f"{family.id}.{secret}", family)

    async def find_serving(self, text: str) -> Family | None:
        """The family of a refresh token that serves still, and goes on to; None of any other."""
        identifier, _, secret = text.partition(".")
        condition = {"_id": identifier, "digest": digest(secret)}
        return _family(await self._database.run(self._collection.find_one, condition))

    async def refresh(self, text: str, scopes: Iterable[str] = ()) -> Tokens | None:
        """New tokens in place of this refresh token; None for one that serves no more.

        With `scopes`, fewer than it has, the access token is for these alone.
        """
        identifier, _, secret = text.partition(".")
        new = secrets.token_urlsafe(32)
        found = await self._database.run(self._exchange, identifier, secret, new, writing=True)
        if found is None:
            self._families.forget(identifier)
            return None
        fewer = tuple(sorted(scopes))
        family = replace(found, scopes=fewer) if fewer else found
        return Tokens(await self._sign(family), f"{identifier}.{new}", family)

    def _exchange(self, identifier: str, secret: str, new: str) -> Family | None:
        found = self._collection.find_one_and_update(
            {"_id": identifier, "digest": digest(secret)},
            {"$set": {"digest": digest(new), "used": now()}},
            return_document=ReturnDocument.BEFORE,
        )
        if found is None:
            stolen = self._collection.find_one_and_delete({"_id": identifier})
            if stolen is not None:
                _log.warning(_TWICE, stolen["account"])
        elif is_past(found["used"], REFRESH_SECONDS):  # the database looks once a minute
            self._collection.delete_one({"_id": identifier})
            return None
        return _family(found)

    async def _sign(self, family: Family) -> str:
        secret = await self._signing.newest()
        moment = int(time.time())
        claims = {
            "sub": str(family.account),
            "scope": " ".join(family.scopes),
            "iat": moment,
            "exp": moment + TOKEN_SECONDS,
            "jti": secrets.token_urlsafe(12),
            "family": family.id,
        }
        return jwt.encode(claims, secret.value, ALGORITHM, headers={"kid": secret.kid})

    async def check(self, token: str) -> Claims | None:
        """What an access token says, if we signed it and it is not over.

        It is verified once a minute; a digest of it is kept meanwhile.
        """
        key, moment = hashlib.sha256(token.encode()).digest(), time.monotonic()
        valid = self._valid.get(key)
        if valid is not None and valid[1] > moment:
            return valid[0]
        claims = await self._verify(token)
        if claims is not None:
            if len(self._valid) >= MAX_VALUES:
                self._valid.clear()
            left = claims.end - time.time()
            self._valid[key] = claims, moment + min(left, VERIFIED_SECONDS)
        return claims

    async def _verify(self, token: str) -> Claims | None:
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            secret = await self._signing.find(kid) if isinstance(kid, str) else None
            if secret is None:
                return None
            claims = jwt.decode(
                token,
                secret.value,
                [ALGORITHM],
                leeway=LEEWAY_SECONDS,
                options={"require": _NEEDED},
            )
        except jwt.InvalidTokenError:
            return None
        scopes = frozenset(str(claims.get("scope", "")).split())
        end = claims["exp"] + LEEWAY_SECONDS
        return Claims(claims["sub"], scopes, str(claims["family"]), end)

    async def find(self, family: str) -> Family | None:
        """The family as it was some seconds ago at most; None where it has ended."""
        return await self._families.get(family)

    async def _read(self, identifier: str) -> Family | None:
        return _family(await self._database.run(self._collection.find_one, {"_id": identifier}))

    async def find_family(self, token: str) -> Family | None:
        """The family of an access or a refresh token, whether that still serves or not."""
        if token.count(".") == JWT_DOTS:
            claims = await self.check(token)
            return await self._read(claims.family) if claims else None
        return await self._read(token.partition(".")[0])

    async def end(self, family: str) -> None:
        """Ends a family, and the access tokens that came of it."""
        condition = {"_id": family}
        await self._database.run(self._collection.delete_one, condition, writing=True)
        self._families.forget(family)

    async def keep(self, family: str, mark: str) -> None:
        """Lets a family go on after its account's password was changed by its own token."""
        update = {"$set": {"mark": mark}}
        write = self._collection.update_one
        await self._database.run(write, {"_id": family}, update, writing=True)
        self._families.forget(family)

    async def end_others(self, account: Any, family: str | None) -> None:
        """Ends every other family of an account."""
        condition = {"account": account, "_id": {"$ne": family}}
        await self._database.run(self._collection.delete_many, condition, writing=True)


def _family(document: dict[str, Any] | None) -> Family | None:
    if document is None:
        return None
    scopes = tuple(document["scopes"])
    return Family(document["_id"], document["account"], scopes, document["mark"])
