"""The documents of this room: what must be true of them, and what is written down of each change.

What is checked and written belongs together, so it has the turn: see `turns`. Nothing is written to
many documents at once.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, Self

from starlette.types import Scope

from app.auth import shares
from app.auth.administrators import refuse_last
from app.auth.audit import Audit
from app.auth.documents import What
from app.auth.own import ACCOUNTS, KEYS, ROLES
from app.auth.roles import BUILT_IN, Roles
from app.auth.sessions import COLLECTION as SESSIONS
from app.auth.tokens import COLLECTION as TOKENS
from app.auth.turns import Turns
from app.errors import Conflict, Fault, Invalid
from app.query.compile import Query
from app.resources.codec import decode
from app.resources.faults import make_invalid_body
from app.resources.links import list_stored_forms
from app.resources.patches import Change
from app.resources.registry import Resource
from app.resources.storing import Document
from app.spelling import suggest_nearest
from app.store.client import Database
from app.store.repository import Affecting, Repository
from app.store.stored import Stored
from app.store.uniqueness import apply
from app.store.writes import Matches

TELLING = ("role", "disabled", "scopes", "expires", "address")  # fields whose values are told


class OwnRepository(Repository):
    """Documents of one of our own collections, as one request writes them."""

    made: What
    changed: What
    ended: What

    def __init__(
        self, database: Database, resource: Resource, resources: Iterable[Resource], audit: Audit
    ) -> None:
        super().__init__(database, resource, resources)
        self._audit = audit
        self._turns = Turns(database)
        self._scope: Scope = {}

    def of(self, scope: Scope) -> Self:
        """The same documents for one request."""
        mine = copy.copy(self)
        mine._scope = scope
        return mine

    def check(self, before: Document | None, after: Document | None) -> None:
        """Raises what refuses a change; `before` is None for a new document, `after` for no more.

        Runs in a thread, in the turn.
        """

    def clean(self, before: Document) -> None:
        """Removes what is left of a document that is deleted; runs in a thread."""

    async def insert(self, document: Document) -> Stored:
        """Stores a new document."""
        async with self._turns.take():
            await self._database.run(self.check, None, document)
            stored = await super().insert(document)
        await self._note(self.made, None, stored.document)
        return stored

    async def insert_all(self, documents: Sequence[Document]) -> list[Stored]:
        """Refused."""
        _refuse_many()

    async def patch_all(self, query: Query, keys: Sequence[Any], patch: Document) -> Affecting:
        """Refused."""
        _refuse_many()

    async def delete_all(self, query: Query, keys: Sequence[Any]) -> Affecting:
        """Refused."""
        _refuse_many()

    async def replace(
        self, keys: Iterable[Any], matches: Matches | None, build: Callable[[bytes], bytes]
    ) -> Stored:
        """Stores another document in the place of one."""
        checking = _Checking(self)

        def check(raw: bytes) -> bytes:
            new = build(raw)
            checking.run(raw, decode(new))
            return new

        async with self._turns.take():
            stored = await super().replace(keys, matches, check)
        await self._note(self.changed, checking.before, stored.document)
        return stored

    async def patch(
        self, keys: Iterable[Any], matches: Matches | None, build: Callable[[bytes], Change]
    ) -> Stored:
        """Changes a document."""
        checking = _Checking(self)

        def check(raw: bytes) -> Change:
            change = build(raw)
            checking.run(raw, apply(change, decode(raw)))
            return change

        async with self._turns.take():
            stored = await super().patch(keys, matches, check)
        await self._note(self.changed, checking.before, stored.document)
        return stored

    async def delete(self, keys: Iterable[Any], matches: Matches | None) -> None:
        """Deletes a document."""
        listed = list(keys)
        async with self._turns.take():
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
        """Writes down what changed: which fields, and the values that are no secret."""
        now, then = after or {}, before or {}
        names = sorted(name for name in {*now, *then} if now.get(name) != then.get(name))
        if before is not None and after is not None and not names:
            return
        details = {name: _show(now.get(name)) for name in TELLING if name in names}
        target = (before or now).get("name")
        await self._audit.write(self._scope, what, target, {"fields": names, **details})


class _Checking:
    """The check of one write; `before` is the document that it was made of."""

    def __init__(self, repository: OwnRepository) -> None:
        self.before: Document = {}
        self._repository = repository

    def run(self, raw: bytes, after: Document) -> None:
        self.before = decode(raw)
        self._repository.check(self.before, after)


def _refuse_many() -> NoReturn:
    detail = "Accounts, roles, keys and shares are written one at a time."
    raise Invalid(detail, Fault(detail, pointer="#"))


def _show(value: Any) -> Any:
    return value if isinstance(value, bool | list | None) else str(value)


class AccountRepository(OwnRepository):
    """Accounts: there is always an administrator, and each has a role that exists."""

    made, changed, ended = "account made", "account changed", "account deleted"

    def check(self, before: Document | None, after: Document | None) -> None:
        """Raises `Conflict` for the last administrator, `Invalid` for an unknown role."""
        role = after.get("role") if after is not None else None
        if role is not None and (before is None or before.get("role") != role):
            self._refuse_unknown(str(role))
        if before is not None:
            refuse_last(self._database.collection(ACCOUNTS), before, after)

    def _refuse_unknown(self, role: str) -> None:
        roles = self._database.collection(ROLES)
        if role in BUILT_IN or roles.find_one({"name": role}, {"_id": 1}):
            return
        others = [str(one.get("name")) for one in roles.find({}, {"name": 1}, limit=1_000)]
        detail = f"There is no role {role!r}.{suggest_nearest(role, [*BUILT_IN, *others])}"
        raise make_invalid_body([Fault(detail, pointer="#/role")])

    def clean(self, before: Document) -> None:
        """Ends whatever the account had: keys, shares, sessions, tokens."""
        mine = {"account": {"$in": list_stored_forms(ACCOUNTS, before["_id"])}}
        shares.end(self._database, mine)
        for name in (KEYS, SESSIONS, TOKENS):
            self._database.collection(name).delete_many(mine)


class RoleRepository(OwnRepository):
    """Roles: each can be true of the resources, and stays while accounts have it."""

    made, changed, ended = "role made", "role changed", "role deleted"

    def __init__(
        self,
        database: Database,
        resource: Resource,
        resources: Iterable[Resource],
        audit: Audit,
        roles: Roles,
    ) -> None:
        super().__init__(database, resource, resources, audit)
        self._roles = roles

    def check(self, before: Document | None, after: Document | None) -> None:
        """Raises `Invalid` for what can't be true, `Conflict` where accounts have the role."""
        if after is not None:
            role = self._roles.read(str(after.get("name")), after.get("rules"))
            if role.faults:
                raise make_invalid_body(list(role.faults))
        if before is not None and (after is None or after.get("name") != before.get("name")):
            self._refuse_in_use(before["name"])

    def _refuse_in_use(self, name: str) -> None:
        count = self._database.collection(ACCOUNTS).count_documents({"role": name}, limit=1_001)
        if count:
            shown = f"{count:,}" if count <= 1_000 else "More than 1,000"
            noun = "account has" if count == 1 else "accounts have"
            raise Conflict(f"{shown} {noun} this role; give them another one first.")


class KeyRepository(OwnRepository):
    """Keys."""

    made, changed, ended = "key made", "key changed", "key ended"


class ShareRepository(OwnRepository):
    """Shares: one that is deleted says that it is over."""

    made, changed, ended = "share made", "share changed", "share ended"

    def clean(self, before: Document) -> None:
        """Remembers that it was there."""
        shares.remember(self._database, str(before["digest"]))
