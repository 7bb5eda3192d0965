"""Writes of documents, each made only if the document is still the one that was read.

The document that was read is compared whole, byte for byte (compare-and-set), and where another
came in between, it is read and built anew, so a write is right against writers outside this program
too. The comparison is a condition of the write itself (`exact`); a document that no condition tells
from others, or that is too large to be sent along, is read and written in one transaction. A server
without transactions has these ways left: the condition that compares values; for what is too large,
a comparison right before the write, and 501 where `If-Match` demands more.

Everything here is synchronous and raises the driver's errors: it runs within `Database.run`.
"""

import random
import time
from collections.abc import Callable, Iterable
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import ReadPreference, ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from app.errors import Fault, NotFound, NotSupported, PreconditionFailed, Unavailable
from app.query.conditions import Filter, join_filters
from app.resources.codec import CODEC, decode
from app.resources.links import Reference, identity, references
from app.resources.patches import Change
from app.resources.registry import Resource
from app.resources.storing import to_bson
from app.store.client import Connection
from app.store.codes import Code
from app.store.commands import Words
from app.store.documents import Documents
from app.store.exact import CannotTell, is_equal
from app.store.indexes import Indexes
from app.store.links import Links, find_added_references
from app.store.reach import Within
from app.store.stored import Stored
from app.store.uniqueness import apply, refuse_equal_values

STATEMENT_LIMIT = 15 * 1024 * 1024  # bytes of a document and its replacement; MongoDB takes 16 MiB
VALUES_LIMIT = 500  # that a condition asks for one by one; for more a transaction costs less
_PART = 0.8  # of the time for a write, after which others are said to keep changing the document

Matches = Callable[[str], bool]  # whether `If-Match` takes the document with this ETag
# Writes under a condition, with more words for the driver; the document then, or before it was
# deleted, and None where the condition finds nothing.
Condition = dict[str, Any]
Write = Callable[[Collection[Any], Condition, Words], Any]


class Writes:
    """The writes of one collection."""

    def __init__(
        self,
        database: Connection,
        resource: Resource,
        documents: Documents,
        indexes: Indexes,
        links: Links,
    ) -> None:
        self._resource = resource
        self._reach = links.reach
        self._links = links
        self._database = database
        self._patience = _PART * database.settings.PRIMARY_WAIT_SECONDS
        self._indexes = indexes
        self._documents = documents
        self._collection = documents.collection

    def insert(self, raw: bytes) -> Stored:
        """Stores a new document."""
        self._reach.refuse_new(raw)

        def write(words: Words) -> Stored:
            self._collection.insert_one(self._documents.make_document(raw), **words)
            return Stored(raw)

        added = self._links_of(raw)
        return self._links.write(added, write) if added else write({})

    def replace(
        self, keys: Iterable[Any], matches: Matches | None, build: Callable[[bytes], bytes]
    ) -> Stored:
        """Stores `build(stored document)` in place of the stored one, whole."""
        within = self._reach.within("update")

        def write(stored: Stored) -> Stored | None:
            raw = build(stored.raw)
            return stored if raw == stored.raw else self._put(stored, raw, matches, within)

        return self._again_and_again(keys, matches, write, within)

    def patch(
        self,
        keys: Iterable[Any],
        matches: Matches | None,
        build: Callable[[bytes], Change],
        only: Filter | None = None,
    ) -> Stored:
        """Writes the change that `build(stored document)` returns, and nothing else.

        A document that doesn't meet the condition `only` at that moment counts as not found.
        """
        within = self._reach.within("update").narrow(only)

        def write(stored: Stored) -> Stored | None:
            change = build(stored.raw)
            if not change:
                return stored
            if change.whole is not None:
                return self._put(stored, change.whole, matches, within)
            if within.rule:
                after = to_bson(apply(change, decode(stored.raw)))
                self._reach.refuse_leaving(within, stored.raw, after)
            refuse_equal_values(
                self._collection, self._indexes, stored, lambda: apply(change, decode(stored.raw))
            )
            added = self._find_added_links(stored, change)
            size = len(to_bson(change.set))
            sets = self._documents.make_values(change.set)
            update = {"$set": sets, "$unset": dict.fromkeys(change.unset, "")}
            update = {operator: paths for operator, paths in update.items() if paths}

            def change_it(collection: Collection[Any], condition: Condition, words: Words) -> Any:
                return collection.find_one_and_update(
                    condition, update, return_document=ReturnDocument.AFTER, **words
                )

            return self._if_linked(added, stored, size, matches, change_it)

        return self._again_and_again(keys, matches, write, within)

    def _put(
        self, stored: Stored, raw: bytes, matches: Matches | None, within: Within
    ) -> Stored | None:
        self._reach.refuse_leaving(within, stored.raw, raw)
        refuse_equal_values(self._collection, self._indexes, stored, lambda: decode(raw))
        document = self._documents.make_document(raw)

        def put(collection: Collection[Any], condition: Condition, words: Words) -> Any:
            return collection.find_one_and_replace(
                condition, document, return_document=ReturnDocument.AFTER, **words
            )

        added = self._find_added_links(stored, raw)
        return self._if_linked(added, stored, len(raw), matches, put)

    def delete(
        self, keys: Iterable[Any], matches: Matches | None, only: Filter | None = None
    ) -> None:
        """Deletes the document; one that doesn't meet the condition `only` is not found."""
        within = self._reach.within("delete").narrow(only)

        def delete(stored: Stored, words: Words) -> Stored | None:
            if matches is None:
                condition = join_filters([{"_id": stored.document["_id"]}, within.filter])
                deleted = self._collection.delete_one(condition, **words)
                return stored if deleted.deleted_count else None
            return self._if_unchanged(stored, 0, matches, _delete, words)

        def write(stored: Stored) -> Stored | None:
            if not self._links.may_hinder(self._resource):
                return delete(stored, {})
            key = stored.document["_id"]
            return self._links.delete(self._resource, key, lambda words: delete(stored, words))

        self._again_and_again(keys, matches, write, within)

    def _links_of(self, raw: bytes) -> list[Reference]:
        """The links of a new document, but for those to itself."""
        if not self._resource.has_links:
            return []
        document = decode(raw)
        own = (self._resource.name, identity(document["_id"]))
        found = references(self._resource.shape, document)
        return [one for one in found if (one.collection, identity(one.key)) != own]

    def _find_added_links(self, stored: Stored, new: bytes | Change) -> list[Reference]:
        """The links that a write adds to a document."""
        if not self._resource.has_links:
            return []
        before = decode(stored.raw)
        if not isinstance(new, bytes):
            new = to_bson(apply(new, decode(stored.raw)))
        after = decode(new)
        shape = self._resource.shape
        return find_added_references(references(shape, before), references(shape, after))

    def _if_linked(
        self,
        added: list[Reference],
        stored: Stored,
        size: int,
        matches: Matches | None,
        write: Write,
    ) -> Stored | None:
        """Writes if the targets of its links exist, and if it is still the one that was read."""
        if not added:
            return self._if_unchanged(stored, size, matches, write)
        return self._links.write(
            added, lambda words: self._if_unchanged(stored, size, matches, write, words)
        )

    def read(self, keys: Iterable[Any], within: Within) -> Stored:
        """The document with the first of these `_id`s that is seen.

        Raises `NotFound`, or `Forbidden` where it may be read and not be written.
        """
        for key in keys:
            stored = self._reach.find(self._documents, key, within)
            if stored is not None:
                return stored
        raise NotFound(f"There is no document with this _id in {self._resource.name!r}.")

    def _again_and_again(
        self,
        keys: Iterable[Any],
        matches: Matches | None,
        write: Callable[[Stored], Stored | None],
        within: Within,
    ) -> Stored:
        """Reads, checks `If-Match` and writes until nobody came in between."""
        deadline = time.monotonic() + self._patience
        while True:
            stored = self.read(keys, within)
            if matches is not None and not matches(stored.etag):
                detail = "The document is no longer the one that If-Match names; read it again."
                raise PreconditionFailed(detail, Fault(detail, header="If-Match"))
            written = write(stored)
            if written is not None:
                return written
            if time.monotonic() > deadline:
                raise Unavailable("Others keep changing this document; try again soon.")
            time.sleep(random.uniform(0, 0.01))

    def _if_unchanged(
        self,
        stored: Stored,
        size: int,
        matches: Matches | None,
        write: Write,
        words: Words | None = None,
    ) -> Stored | None:
        """Writes if the document is still the one that was read; None where it is not.

        `size` is that of what is written; `matches` says how much depends on the comparison;
        `words` name the transaction that it is part of, if it is.
        """
        if words:
            written = self._compare_and_write(stored, write, words)
        elif len(stored.raw) + size > STATEMENT_LIMIT:
            written = self._without_sending(stored, matches, write)
        else:
            written = self._write_in_one_statement(stored, write)
        if written is None:
            return None
        if isinstance(written, RawBSONDocument):
            return Stored(bytes(written.raw))
        return Stored(bson.encode(written, codec_options=CODEC))

    def _write_in_one_statement(self, stored: Stored, write: Write) -> Any:
        """Compares and writes at once, or in a transaction where no condition is exact."""
        collated = self._indexes.nature.collated
        can_transact = self._database.has_transactions()
        try:
            same = self._documents.is_same(
                stored.raw, collated=collated, most=VALUES_LIMIT if can_transact else None
            )
        except CannotTell:
            if can_transact:
                return self._write_in_transaction(stored, write)
            same = is_equal(stored.raw)
        condition = {"_id": stored.document["_id"], "$expr": {"$and": same}}
        words = self._documents.compare_bytes(collated=collated)
        return write(self._documents.raw_collection, condition, words)

    def _without_sending(self, stored: Stored, matches: Matches | None, write: Write) -> Any:
        """For documents too large to be sent along."""
        if self._database.has_transactions():
            return self._write_in_transaction(stored, write)
        if matches is not None:
            raise NotSupported(
                "A document of this size can be written with If-Match only in a transaction, which "
                "takes a replica set; this MongoDB is a single server."
            )
        if self._documents.find_one({"_id": stored.document["_id"]}) != stored.raw:
            return None
        return write(self._documents.raw_collection, {"_id": stored.document["_id"]}, {})

    def _write_in_transaction(self, stored: Stored, write: Write) -> Any:
        """Reads, compares and writes in one transaction."""
        try:
            with (
                self._database.sync.client.start_session() as session,
                session.start_transaction(read_preference=ReadPreference.PRIMARY),
            ):
                return self._compare_and_write(stored, write, {"session": session})
        except OperationFailure as error:
            if error.code != Code.WriteConflict:
                raise
            return None  # another writer has the document at this moment

    def _compare_and_write(self, stored: Stored, write: Write, words: Words) -> Any:
        """Within a transaction: reads the document, compares it here, and writes."""
        key = {"_id": stored.document["_id"]}
        collection = self._documents.raw_collection
        found = collection.find_one(key, **words)
        if found is None or bytes(found.raw) != stored.raw:
            return None
        return write(collection, key, words)


def _delete(collection: Collection[Any], condition: Condition, words: Words) -> Any:
    return collection.find_one_and_delete(condition, **words)
