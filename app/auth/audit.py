"""The audit: the one place that writes down who did what, when and from where.

An entry is stored beside the answer, which waits for it a moment at most. One that can't be stored
is tried again, and in the end it is a line in the log (`docsheet.audit`): none is lost silently.
No password, token, key or address of a share is ever among the details.
"""

import asyncio
import datetime
import logging
from collections.abc import Mapping
from typing import Any, get_args

import bson
import orjson
from pymongo import IndexModel
from pymongo.errors import PyMongoError
from starlette.types import Scope

from app.api.callers import Caller
from app.api.journal import Details
from app.api.parts import Part
from app.api.proxies import client_address
from app.auth.documents import Entry, What
from app.errors import RequestError
from app.resources.moments import now
from app.resources.storing import Document
from app.store.client import Database

COLLECTION: str = Entry.Settings.name
FORGET = "forget"  # the index by which old entries go
WAIT_SECONDS = 1.0  # that an answer waits for its entry at most
AGAIN_SECONDS = (0.2, 1.0, 5.0, 20.0)  # after which one that could not be stored is tried again
CLOSE_SECONDS = 3.0  # that the server's end waits for entries
MAX_WAITING = 10_000  # entries, beyond which they go to the log at once
KINDS = frozenset(get_args(What))
_log = logging.getLogger("docsheet.audit")


class PendingEntry:
    """An entry that is being stored; what is added to it is stored behind it."""

    def __init__(self, audit: "Audit", document: Document) -> None:
        self.document = document
        self._audit = audit
        self._writing = audit.store(document, None)

    def add(self, details: Details) -> None:
        """Adds details; waits for nothing."""
        self.document["details"] = {**self.document["details"], **details}
        self._writing = self._audit.store(self.document, self._writing)

    async def wait(self) -> None:
        """Returns when it is stored, after a moment at the latest."""
        await asyncio.wait((self._writing,), timeout=WAIT_SECONDS)


class Audit(Part):
    """The entries of one server process."""

    def __init__(self) -> None:
        self._database: Database
        self._waiting: dict[asyncio.Future[None], Document] = {}

    async def open(self, database: Database) -> None:
        """Writes to this database."""
        self._database = database
        self._collection = database.collection(COLLECTION)

    async def prepare(self) -> bool:
        """Makes the index by which entries go after AUDIT_DAYS."""
        seconds = self._database.settings.AUDIT_DAYS * 24 * 3600
        index = IndexModel([("at", 1)], name=FORGET, expireAfterSeconds=seconds)
        await self._database.run(self._make_index, index, writing=True)
        return True

    def _make_index(self, index: IndexModel) -> None:
        known = self._collection.index_information().get(FORGET)
        if known and known.get("expireAfterSeconds") != index.document["expireAfterSeconds"]:
            self._collection.drop_index(FORGET)
        self._collection.create_indexes([index])

    def begin(self, scope: Scope, what: str, target: str, details: Details) -> PendingEntry:
        """Writes that something happens, by the caller of this request; waits for nothing."""
        return PendingEntry(self, make_entry(scope, what, target, details))

    async def write(
        self,
        scope: Scope,
        what: What,
        target: str | None = None,
        details: Details | None = None,
        account: str | None = None,
    ) -> None:
        """Writes an entry; returns when it is stored, after a moment at the latest.

        `account` is a name, where it is not the caller's: that of who tries to sign in.
        """
        document = make_entry(scope, what, target, details or {})
        if account is not None:
            document["account"] = account
        await PendingEntry(self, document).wait()

    def store(
        self, document: Document, before: "asyncio.Future[None] | None"
    ) -> "asyncio.Future[None]":
        """Begins to store an entry as it is at this moment, in place of the one `before`."""
        kept = dict(document)
        storing = asyncio.ensure_future(self._store(kept, before))
        self._waiting[storing] = kept
        storing.add_done_callback(self._waiting.pop)
        return storing

    async def _store(self, document: Document, before: "asyncio.Future[None] | None") -> None:
        if before is not None:
            await asyncio.wait((before,))
        if len(self._waiting) > MAX_WAITING:
            _put_into_log(document)
            return
        for seconds in (*AGAIN_SECONDS, None):
            try:
                await self._replace(document)
            except (RequestError, PyMongoError) as error:
                reason = error
            else:
                return
            if seconds is not None:
                await asyncio.sleep(seconds)
        _log.error("an entry of the audit could not be stored: %s", reason)
        _put_into_log(document)

    async def _replace(self, document: Document) -> None:
        key = {"_id": document["_id"]}
        replace = self._collection.replace_one
        await self._database.run(replace, key, document, upsert=True, writing=True)

    async def close(self) -> None:
        """Waits for the entries that are being stored; the others go to the log."""
        if self._waiting:
            await asyncio.wait(tuple(self._waiting), timeout=CLOSE_SECONDS)
        for storing, document in list(self._waiting.items()):
            storing.cancel()
            _put_into_log(document)


def make_entry(scope: Scope, what: str, target: str | None, details: Details) -> Document:
    """The entry of something that happens in a request."""
    assert what in KINDS, what
    caller: Caller | None = scope.get("caller")
    if caller is not None and caller.means == "none":
        caller = None
    return {
        "_id": bson.ObjectId(),
        "at": now(),
        "what": what,
        "account": caller.name if caller is not None else None,
        "means": caller.means if caller is not None else None,
        "address": client_address(scope) or None,
        "request": scope.get("state", {}).get("request_id"),
        "target": target,
        "details": dict(details),
    }


def _put_into_log(document: Mapping[str, Any]) -> None:
    _log.error("%s", orjson.dumps(document, default=_show).decode())


def _show(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime.datetime) else str(value)
