"""Accounts as callers: who it is, which role it has and what that allows.

Each is read again after some seconds, with its role, so that a change counts on every server soon.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.api.callers import ADMIN, Caller, Means
from app.auth.cache import MAX_VALUES, Cache
from app.auth.documents import CASELESS, SEEN_SECONDS, fold_name, is_past
from app.auth.passwords import make_hash, mark
from app.auth.patterns import judge_by
from app.auth.resources import ACCOUNTS, ROLES, grant_auth_resources, is_full
from app.auth.roles import Role, Roles
from app.auth.scopes import Scopes, cut, limit, read_scopes, scopes_of
from app.errors import Conflict
from app.resources.moments import now
from app.resources.registry import Resource
from app.resources.storing import Document
from app.resources.views import EVERYTHING, Grants
from app.store.client import Connection, Database

CALLERS = 100  # that are kept of one account, by their scopes


@dataclass(frozen=True, repr=False)
class KnownAccount:
    """An account that may call, as it is stored, with its role as that is stored.

    `scopes` are all that it may have, `mark` tells the hash of its password from others.
    """

    document: Mapping[str, Any]
    role: Role
    scopes: Scopes
    mark: str
    addresses: Mapping[str, str]  # of the resources, by collection
    _callers: dict[tuple[Scopes | None, Means], Caller] = field(default_factory=dict)

    @property
    def id(self) -> Any:
        """The `_id`."""
        return self.document["_id"]

    @property
    def name(self) -> str:
        """The name."""
        return str(self.document["name"])

    @property
    def password(self) -> str | None:
        """The hash of its password."""
        return self.document.get("password")

    def call(self, means: Means, scopes: Scopes | None = None) -> Caller:
        """The caller that it is, with these scopes as far as it has them, else with all."""
        caller = self._callers.get((scopes, means))
        if caller is None:
            if len(self._callers) >= CALLERS:
                self._callers.clear()
            caller = self._make_caller(means, scopes)
            self._callers[scopes, means] = caller
        return caller

    def _make_caller(self, means: Means, scopes: Scopes | None) -> Caller:
        held = self.scopes if scopes is None else cut(scopes, self.scopes)
        has_all = is_full(held, self.scopes)
        return Caller(self.name, self.id, held, self._grant(held), means, scopes, has_all)

    def _grant(self, scopes: Scopes) -> Grants:
        """The rights to every resource, our own included."""
        own = grant_auth_resources(self.id, scopes, self.scopes)
        if ADMIN in scopes:
            return Grants.make({**own, "*": EVERYTHING})
        limited = limit(self.role.grants(self.document), scopes, self.addresses)
        return Grants.make({**dict(limited.named), **own})


class Accounts:
    """The accounts of a database, and what their roles allow of some resources."""

    def __init__(self, database: Database, resources: Iterable[Resource]) -> None:
        self._database = database
        self._collection = database.collection(ACCOUNTS)
        self._roles = database.collection(ROLES)
        self._resources = tuple(resources)
        self._addresses = {resource.name: resource.address for resource in self._resources}
        self._reader = Roles(self._resources)
        self._cache: Cache[Any, KnownAccount | None] = Cache(self._read)
        # What was stored, and what was made of it: mostly nothing has changed since.
        self._last: dict[Any, tuple[tuple[Document, Document | None], KnownAccount]] = {}

    async def get(self, key: Any) -> KnownAccount | None:
        """The account with this `_id`, as it was some seconds ago at most; None if disabled."""
        return await self._cache.get(key)

    def forget(self, key: Any) -> None:
        """Reads an account anew when it is asked for again."""
        self._cache.forget(key)

    def forget_all(self) -> None:
        """Reads every account anew when it is asked for again, as after a change of a role."""
        self._cache.forget_all()

    async def find(self, name: str) -> Document | None:
        """What is stored of the account with this name at this moment."""
        return await self._database.run(find_by_name, self._database, name)

    def read_scopes(self, words: Iterable[str]) -> Scopes:
        """The scopes of these words; raises `ValueError` with the first that is none."""
        return read_scopes(words, self._resources)

    async def set_password(self, known: KnownAccount, password: str) -> str:
        """Changes the password of an account, unless another has done so just now; its mark."""
        new = await make_hash(password)
        same = {"_id": known.id, "password": known.password}
        update = {"$set": {"password": new}}
        write = self._collection.update_one
        result = await self._database.run(write, same, update, writing=True)
        if not result.matched_count:
            raise Conflict("The password was changed just now; sign in again.")
        self.forget(known.id)
        return mark(new)

    async def _read(self, key: Any) -> KnownAccount | None:
        account, role = await self._database.run(self._find, key)
        if account is None:
            self._last.pop(key, None)
            return None
        stored = ({**account, "last_seen": None}, role)
        last = self._last.get(key)
        if last is None or last[0] != stored:
            if len(self._last) >= MAX_VALUES:
                self._last.clear()
            last = stored, await self._database.run(self._know, account, role)
            self._last[key] = last
        return last[1]

    def _find(self, key: Any) -> tuple[Document | None, Document | None]:
        """The account and its role; now and then with a note that it was seen."""
        account = self._collection.find_one({"_id": key})
        if account is None or account.get("disabled"):
            return None, None
        if is_past(account.get("last_seen"), SEEN_SECONDS):
            self._collection.update_one({"_id": key}, {"$set": {"last_seen": now()}})
        return account, self._roles.find_one({"name": account.get("role")})

    def _know(self, account: Document, role_document: Document | None) -> KnownAccount:
        judge = judge_by(self._database)
        role = self._reader.find(str(account.get("role")), role_document, judge)
        scopes = scopes_of(role, self._resources)
        return KnownAccount(account, role, scopes, mark(account.get("password")), self._addresses)


def find_by_name(database: Connection, name: str) -> Document | None:
    """What is stored of the account with this name, without regard to case.

    MongoDB takes more for the same name, as `ro\N{SOFT HYPHEN}ot` for `root`: there must not be
    countless names for one account, by each of which its password may be tried.
    """
    found = _find_alike(database, name)
    if found is None or fold_name(str(found["name"])) != fold_name(name):
        return None
    return found


def _find_alike(database: Connection, name: str) -> Document | None:
    collection = database.collection(ACCOUNTS)
    if not database.has_collations():
        same = re.compile(rf"{re.escape(name)}\Z", re.IGNORECASE)
        return collection.find_one({"name": same})
    return collection.find_one({"name": name}, collation=CASELESS)
