"""The documents of this room as one request writes them: checked, and each change in the audit.

What is checked and what is written belong together, so they hold the lock: see `locks`. Nothing is
written to many documents at once.
"""

import copy
import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn, Self

from starlette.types import Scope

from app.api.callers import Caller
from app.auth import shares
from app.auth.audit import Audit
from app.auth.authenticator import CREDENTIAL
from app.auth.changes import check_account, check_role, describe_change, end_account
from app.auth.documents import What
from app.auth.locks import ChangeLock
from app.auth.resources import KEYS
from app.auth.roles import Roles
from app.errors import Fault, Forbidden, Invalid, Unwritable
from app.query.compile import Query
from app.resources.codec import decode
from app.resources.faults import make_invalid_body
from app.resources.patches import Change
from app.resources.registry import Resource
from app.resources.storing import Document
from app.store.client import Database
from app.store.repository import Affecting, Repository
from app.store.stored import Stored
from app.store.uniqueness import apply
from app.store.writes import Matches

_NOT_SET = "This field can't be set or changed; it can only be sent back as it was read."


@dataclass(frozen=True)
class ChangeContext:
    """What goes with every change: the audit, the check of roles, and what it makes stale here.

    `forget` is called with the collection and the `_id` of what was changed.
    """

    audit: Audit
    roles: Roles
    forget: Callable[[str, Any], None]


class AuthRepository(Repository):
    """Documents of one of our own collections."""

    made: What
    changed: What
    ended: What

    def __init__(
        self,
        database: Database,
        resource: Resource,
        resources: Iterable[Resource],
        context: ChangeContext,
    ) -> None:
        super().__init__(database, resource, resources)
        self.context = context
        self._lock = ChangeLock(database)
        self._scope: Scope = {}

    def of(self, scope: Scope) -> Self:
        """The same documents for one request."""
        mine = copy.copy(self)
        mine._scope = scope
        return mine

    def check(self, before: Document | None, after: Document | None) -> None:
        """Raises what refuses a change; `before` is None for a new document, `after` for no more.

        Runs in a thread, under the lock.
        """

    def clean(self, before: Document) -> None:
        """Removes what is left of a document that was deleted; runs in a thread."""

    def find_end(self) -> datetime.datetime | None:
        """When the key expires that this request is made with; None where it doesn't, or is none.

        Runs in a thread.
        """
        caller: Caller | None = self._scope.get("caller")
        if caller is None or caller.means != "key":
            return None
        keys = self._database.collection(KEYS)
        key = keys.find_one({"_id": self._scope.get(CREDENTIAL)}, {"expires": 1})
        end = (key or {}).get("expires")
        return end.replace(tzinfo=datetime.UTC) if end is not None else None

    def refuse_longer(self, after: Document | None, pointer: str) -> None:
        """Raises `Forbidden` for what would last longer than the key that makes or changes it."""
        end = self.find_end() if after is not None else None
        if after is None or end is None:
            return
        expires = after.get("expires")
        if expires is None or expires.replace(tzinfo=datetime.UTC) > end:
            detail = "A key that expires makes nothing that lasts longer than itself."
            raise Forbidden(detail, Fault(detail, pointer=pointer))

    async def insert(self, document: Document) -> Stored:
        """Stores a new document."""
        async with self._lock.hold():
            await self._database.run(self.check, None, document)
            stored = await super().insert(document)
        await self._note(self.made, None, stored.document)
        return stored

    async def replace(
        self, keys: Iterable[Any], matches: Matches | None, build: Callable[[bytes], bytes]
    ) -> Stored:
        """Stores another document in the place of one."""
        before: Document = {}

        def check(raw: bytes) -> bytes:
            nonlocal before
            with explaining_unwritable():
                new, before = build(raw), decode(raw)
            self.check(before, decode(new))
            return new

        async with self._lock.hold():
            stored = await super().replace(keys, matches, check)
        await self._note(self.changed, before, stored.document)
        return stored

    async def patch(
        self, keys: Iterable[Any], matches: Matches | None, build: Callable[[bytes], Change]
    ) -> Stored:
        """Changes a document."""
        before: Document = {}

        def check(raw: bytes) -> Change:
            nonlocal before
            with explaining_unwritable():
                change, before = build(raw), decode(raw)
            self.check(before, apply(change, decode(raw)))
            return change

        async with self._lock.hold():
            stored = await super().patch(keys, matches, check)
        await self._note(self.changed, before, stored.document)
        return stored

    async def delete(self, keys: Iterable[Any], matches: Matches | None) -> None:
        """Deletes a document, and what belongs to it."""
        listed = list(keys)
        async with self._lock.hold():
            before = await self._database.run(self._check_deletion, listed, matches)
            await super().delete(listed, matches)
        await self._database.run(self.clean, before, writing=True)
        await self._note(self.ended, before, None)

    def _check_deletion(self, keys: Sequence[Any], matches: Matches | None) -> Document:
        stored = self._read(keys)
        if matches is None or matches(stored.etag):
            self.check(stored.document, None)
        return stored.document

    async def _note(self, what: What, before: Document | None, after: Document | None) -> None:
        """Makes a change count on this server at once, and writes it down."""
        self.context.forget(self.resource.name, (before or after or {})["_id"])
        details = describe_change(before, after)
        if details:
            target = (before or after or {}).get("name")
            await self.context.audit.write(self._scope, what, target, details)

    async def insert_all(self, documents: Sequence[Document]) -> list[Stored]:
        """Refused."""
        _refuse_many()

    async def patch_all(self, query: Query, keys: Sequence[Any], patch: Document) -> Affecting:
        """Refused."""
        _refuse_many()

    async def delete_all(self, query: Query, keys: Sequence[Any]) -> Affecting:
        """Refused."""
        _refuse_many()


@contextmanager
def explaining_unwritable() -> Iterator[None]:
    """Reads a body; what can't be set in it is a mistake, whoever asks: `Invalid`."""
    try:
        yield
    except Unwritable as error:
        faults = [replace(fault, detail=_NOT_SET) for fault in error.faults]
        raise make_invalid_body(faults) from None


def _refuse_many() -> NoReturn:
    detail = "Accounts, roles, keys and shares are written one at a time."
    raise Invalid(detail, Fault(detail, pointer="#"))


class AccountRepository(AuthRepository):
    """Accounts: there is always an administrator, and each has a role that exists."""

    made, changed, ended = "account made", "account changed", "account deleted"

    def check(self, before: Document | None, after: Document | None) -> None:
        """Raises `Conflict` for the last administrator, `Invalid` for an unknown role."""
        check_account(self._database, before, after)

    def clean(self, before: Document) -> None:
        """Ends its keys, shares, sessions and tokens."""
        end_account(self._database, before["_id"])


class RoleRepository(AuthRepository):
    """Roles: each can be true of the resources, and stays while accounts have it."""

    made, changed, ended = "role made", "role changed", "role deleted"

    def check(self, before: Document | None, after: Document | None) -> None:
        """Raises `Invalid` for what can't be true, `Conflict` where accounts have the role."""
        check_role(self._database, self.context.roles, before, after)


class KeyRepository(AuthRepository):
    """Keys: they are gone when they are deleted."""

    made, changed, ended = "key made", "key changed", "key ended"

    def check(self, before: Document | None, after: Document | None) -> None:
        """Raises `Forbidden` for one that lasts longer than the key that makes or changes it."""
        if before is None or (after is not None and after.get("expires") != before.get("expires")):
            self.refuse_longer(after, "#/expires")


class ShareRepository(AuthRepository):
    """Shares: the link of one that was deleted says that it is over."""

    made, changed, ended = "share made", "share changed", "share ended"

    def check(self, before: Document | None, after: Document | None) -> None:
        """Raises `Forbidden` for a new one that lasts longer than the key that makes it."""
        if before is None:
            self.refuse_longer(after, "#/expires_in")

    def clean(self, before: Document) -> None:
        """Remembers that it was there."""
        shares.remember(self._database, str(before["digest"]))
