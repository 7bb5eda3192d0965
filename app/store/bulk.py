"""Many writes at once, by the rules of single ones: inserts, and changes of what was read.

A bulk of statements is one question to MongoDB; each statement says by its own condition that the
document is still the one that was read (`exact`). What a bulk can't do, or has lost to another
writer, is done one by one (`writes`). Where the primary goes, the bulk is sent again: a document
that is there already, byte for byte, was written by the first one.
"""

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from bson.raw_bson import RawBSONDocument
from pymongo import InsertOne, UpdateOne
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
)

from app.errors import Conflict, DocsheetError, RequestError, Unavailable
from app.query.conditions import Filter
from app.resources.codec import decode
from app.resources.links import Reference, identity, references
from app.resources.patches import Change
from app.resources.registry import Resource
from app.resources.storing import Document, to_bson
from app.store.client import Connection
from app.store.codes import Code
from app.store.commands import RAW, Words
from app.store.errors import LOST, translate
from app.store.exact import CannotTell
from app.store.indexes import Indexes
from app.store.links import Links, find_added_references
from app.store.uniqueness import apply
from app.store.writes import STATEMENT_LIMIT, VALUES_LIMIT, Writes

T = TypeVar("T")
BULK = 1_000  # operations of one bulk
PAUSE = 0.2  # seconds until a bulk is sent again
LARGE = 1024 * 1024  # bytes of a document that is changed on its own

Error = RequestError | None  # why an operation failed


@dataclass(frozen=True, slots=True)
class Update:
    """A change of a stored document, given as its BSON, and the merge patch that it came from.

    The patch is read again where another writer has changed the document meanwhile.
    """

    stored: bytes
    change: Change
    patch: Document

    @property
    def after(self) -> bytes:
        """The document as it will be."""
        whole = self.change.whole
        return to_bson(apply(self.change, decode(self.stored))) if whole is None else whole


@dataclass
class Sent:
    """What became of changes that were sent at once, by their numbers.

    `alone` have to be made one by one. `written` says how many of the others were written, None
    where nobody knows; where these aren't all, which ones they are is in doubt.
    """

    errors: list[Error]
    alone: list[int] = field(default_factory=list)
    doubtful: list[int] = field(default_factory=list)
    written: int | None = 0


class Bulk:
    """Bulk writes of one collection."""

    def __init__(
        self, database: Connection, resource: Resource, indexes: Indexes, links: Links
    ) -> None:
        self._reach = links.reach
        self._database = database
        self._resource = resource
        self._indexes = indexes
        self._links = links
        self._documents = database.documents(resource.name)
        self._collection = database.collection(resource.name)
        self._writes = Writes(database, resource, self._documents, indexes, links)
        self._patience = database.settings.PRIMARY_WAIT_SECONDS

    # --- inserts ---

    def insert(self, documents: Sequence[bytes]) -> list[Error]:
        """Stores new documents, given as their BSON; why each one failed, None where it is stored.

        Raises `Unavailable` where no primary comes back in time.
        """
        if not self._database.has_bulks():
            return [self._write_one(self._writes.insert, raw) for raw in documents]
        added = list(self._links_of(documents))
        if added:
            return self._insert_linked(documents, added)
        return self._insert(documents)

    def _links_of(self, documents: Iterable[bytes]) -> Iterable[Reference]:
        if self._resource.has_links:
            for raw in documents:
                yield from references(self._resource.shape, decode(raw))

    def _insert_linked(self, documents: Sequence[bytes], added: Sequence[Reference]) -> list[Error]:
        """All in one transaction with the check of their links; one by one where that fails."""

        def write(words: Words) -> None:
            self._collection.bulk_write(_make_inserts(documents), ordered=False, **words)

        try:
            self._links.write(added, write)
        except (BulkWriteError, RequestError, ConnectionFailure, OperationFailure):
            return [self._insert_again(raw) for raw in documents]
        return [None] * len(documents)

    def _insert_again(self, raw: bytes) -> Error:
        """Stores a document that may be stored already."""
        error = self._write_one(self._writes.insert, raw)
        return None if isinstance(error, Conflict) and self._is_stored(raw) else error

    def _insert(self, documents: Sequence[bytes]) -> list[Error]:
        errors: list[Error] = [None] * len(documents)
        left = list(range(len(documents)))
        deadline = time.monotonic() + self._patience
        is_repeated = False
        while left:
            reports, is_lost = self._send_inserts([documents[number] for number in left])
            again: list[int] = []
            for place, report in reports.items():
                number = left[place]
                if report.get("code") in LOST:
                    again.append(number)
                elif not (is_repeated and self._is_stored(documents[number])):
                    errors[number] = _translate_report(report)
            if is_lost:
                again = left
            if again and time.monotonic() > deadline:
                raise _make_lost()
            left, is_repeated = again, True
            if left:
                time.sleep(random.uniform(PAUSE / 2, PAUSE))
        return errors

    def _send_inserts(
        self, documents: Sequence[bytes]
    ) -> tuple[dict[int, Mapping[str, Any]], bool]:
        """What the server says of those that failed, and whether it went in the middle."""
        try:
            self._collection.bulk_write(_make_inserts(documents), ordered=False)
        except BulkWriteError as error:
            details: Mapping[str, Any] = error.details or {}
            reports = {report["index"]: report for report in details.get("writeErrors", ())}
            return reports, bool(details.get("writeConcernErrors"))
        except PyMongoError as error:
            if not _is_lost(error):
                raise
            return {}, True
        return {}, False

    def _is_stored(self, raw: bytes) -> bool:
        """Whether just this document is stored."""
        found = self._documents.find_one({"_id": decode(raw)["_id"]})
        return found == raw

    # --- inserts, whole or not at all ---

    def insert_all(self, documents: Sequence[bytes]) -> None:
        """Stores new documents, all of them or none: in a transaction, where the server has them.

        A server without transactions takes those back that it had stored. Raises `Conflict`,
        `Forbidden` or `Invalid` with pointers such as `#/3/email`.
        """
        self._reach.refuse_all_new(documents)
        own = {self._identity_of(raw) for raw in documents} if self._resource.has_links else set()
        added = [
            Reference((number, *one.steps), one.collection, one.key)
            for number, raw in enumerate(documents)
            for one in self._links_of([raw])
            if (one.collection, identity(one.key)) not in own  # they may link to each other
        ]
        can_transact = self._database.has_transactions() and not self._indexes.nature.capped
        try:
            if can_transact:
                self._links.write(added, lambda words: self._insert_in_order(documents, words))
            else:
                self._links.refuse_missing(added, {})
                self._insert_or_take_back(documents)
        except BulkWriteError as error:
            raise _point_into_array(error) from error

    def _identity_of(self, raw: bytes) -> tuple[str, Any]:
        return self._resource.name, identity(decode(raw)["_id"])

    def _insert_in_order(self, documents: Sequence[bytes], words: Words) -> None:
        self._collection.bulk_write(_make_inserts(documents), ordered=True, **words)

    def _insert_or_take_back(self, documents: Sequence[bytes]) -> None:
        stored: list[Any] = []
        try:
            for number, raw in enumerate(documents):
                try:
                    self._collection.insert_one(self._documents.make_document(raw))
                except DuplicateKeyError as error:
                    report = {**(error.details or {}), "index": number, "code": error.code}
                    raise BulkWriteError({"writeErrors": [report]}) from error
                stored.append(decode(raw)["_id"])
        except (PyMongoError, RequestError):
            with suppress(PyMongoError):
                self._collection.delete_many({"_id": {"$in": stored}})
            raise

    # --- changes ---

    def update(self, updates: Sequence[Update]) -> list[Error]:
        """Changes stored documents; why each one failed, None where it is changed.

        Raises `Unavailable` where no primary comes back in time.
        """
        sent = self._send(updates)
        for number in (*sent.alone, *sent.doubtful):
            update = updates[number]
            sent.errors[number] = self.patch(decode(update.stored)["_id"], update.patch)
        return sent.errors

    def update_matching(
        self, updates: Sequence[Update], condition: Filter
    ) -> tuple[int, list[Error]]:
        """Changes those stored documents that meet the condition when they are written.

        How many were changed, and why each other one failed: `NotFound` where it no longer does.
        Raises as `update`.
        """
        sent = self._send(updates)
        changed = sent.written or 0
        for number in (*sent.alone, *sent.doubtful):
            update = updates[number]
            sent.errors[number], is_made = self._patch_matching(update, condition)
            if not is_made and sent.written is None:  # then nobody knows who wrote it
                is_made = self._is_stored(update.after)
            changed += is_made
        return changed, sent.errors

    def _patch_matching(self, update: Update, condition: Filter) -> tuple[Error, bool]:
        """Why a change failed, and whether it was made here and now."""
        is_made = False

        def build(raw: bytes) -> Change:
            nonlocal is_made
            change = self._reach.read_patch(update.patch, raw)
            is_made = bool(change)
            return change

        key = decode(update.stored)["_id"]
        error = self._write_one(self._writes.patch, [key], None, build, condition)
        return error, is_made and error is None

    def patch(self, key: Any, patch: Document) -> Error:
        """Changes the document with this `_id`, whatever it is now; why that failed."""
        return self._write_one(
            self._writes.patch, [key], None, lambda raw: self._reach.read_patch(patch, raw)
        )

    def _send(self, updates: Sequence[Update]) -> "Sent":
        """Sends the changes that one statement can make."""
        sent = Sent([None] * len(updates))
        statements: list[UpdateOne] = []
        fast: list[int] = []
        for number, update in enumerate(updates):
            statement = self._statement(update)
            if statement is None:
                sent.alone.append(number)
            else:
                fast.append(number)
                statements.append(statement)
        if statements:
            failed, sent.written = self._send_updates(statements)
            for place, report in failed.items():
                sent.errors[fast[place]] = _translate_report(report)
            if sent.written is None or sent.written + len(failed) < len(fast):
                sent.doubtful += [
                    number for place, number in enumerate(fast) if place not in failed
                ]
        return sent

    def _send_updates(
        self, statements: Sequence[UpdateOne]
    ) -> tuple[dict[int, Mapping[str, Any]], int | None]:
        """What the server says of those that failed, and how many were written for certain.

        None where nobody knows.
        """
        try:
            result = self._collection.bulk_write(statements, ordered=False)
        except BulkWriteError as error:
            details: Mapping[str, Any] = error.details or {}
            failed = {
                report["index"]: report
                for report in details.get("writeErrors", ())
                if report.get("code") not in LOST
            }
            is_certain = not details.get("writeConcernErrors")
            return failed, details.get("nMatched", 0) if is_certain else None
        except PyMongoError as error:
            if not _is_lost(error):
                raise
            return {}, None
        return {}, result.matched_count

    def _statement(self, update: Update) -> UpdateOne | None:
        """The change as one statement; None where it has to be made on its own."""
        change = update.change
        if not self._database.has_bulks() or self._indexes.missing or change.whole is not None:
            return None
        if len(update.stored) > LARGE or self._adds_links(update):
            return None
        values = dict(change.set)
        if len(to_bson(values)) + len(update.stored) > STATEMENT_LIMIT:
            return None
        collated = self._indexes.nature.collated
        try:
            same = self._documents.is_same(update.stored, collated=collated, most=VALUES_LIMIT)
        except CannotTell:
            return None
        change_of = {"$set": values, "$unset": dict.fromkeys(change.unset, "")}
        return UpdateOne(
            {"_id": decode(update.stored)["_id"], "$expr": {"$and": same}},
            {operator: paths for operator, paths in change_of.items() if paths},
            **self._documents.compare_bytes(collated=collated),
        )

    def _adds_links(self, update: Update) -> bool:
        if not self._resource.has_links:
            return False
        shape = self._resource.shape
        before = references(shape, decode(update.stored))
        after = references(shape, apply(update.change, decode(update.stored)))
        return bool(find_added_references(before, after))

    # --- deletes ---

    def delete(self, key: Any, condition: Filter) -> Error:
        """Deletes the document with this `_id`, if it still meets the condition.

        Why that failed: `NotFound` where there is no such document any more.
        """
        return self._write_one(self._writes.delete, [key], None, condition)

    # --- one by one ---

    def _write_one(self, write: Callable[..., Any], *args: Any) -> Error:
        """Makes one write, again while there is no primary; why it failed."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                write(*args)
            except RequestError as error:
                return error
            except PyMongoError as error:
                if not _is_lost(error):
                    known = translate(error, writing=True)
                    if isinstance(known, RequestError):
                        return known
                    raise
                if time.monotonic() > deadline:
                    raise _make_lost() from error
                time.sleep(random.uniform(PAUSE / 2, PAUSE))
            else:
                return None


def _make_inserts(documents: Iterable[bytes]) -> list[Any]:
    return [InsertOne(RawBSONDocument(raw, RAW)) for raw in documents]


def _is_lost(error: PyMongoError) -> bool:
    if isinstance(error, AutoReconnect | ConnectionFailure):
        return True
    return isinstance(error, OperationFailure) and error.code in LOST


def _translate_report(report: Mapping[str, Any]) -> RequestError:
    """What the server says of one statement, as our error."""
    one = OperationFailure(str(report.get("errmsg")), report.get("code"), dict(report))
    if report.get("code") == Code.DuplicateKey:
        one = BulkWriteError({"writeErrors": [dict(report)]})
    known: DocsheetError | PyMongoError = translate(one, writing=True)
    if isinstance(known, RequestError):
        return known
    raise known


def _point_into_array(error: BulkWriteError) -> RequestError:
    """What stopped an array, with pointers into it."""
    details: Mapping[str, Any] = error.details or {}
    for report in details.get("writeErrors", ()):
        known = _translate_report(report)
        faults = [
            replace(fault, pointer=f"#/{report['index']}{(fault.pointer or '#')[1:]}")
            for fault in known.faults
        ]
        known.faults = tuple(faults)
        return known
    return _make_lost()


def _make_lost() -> Unavailable:
    return Unavailable("The database can't be reached, or has no primary at the moment.")
