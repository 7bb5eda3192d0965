"""Writes of one resource's documents, each made only if the document is still the one that was read.

The document that was read is compared whole (compare-and-set), and where another came in between, it is read and
built anew, so a write is right against writers outside this program too. Everything here is synchronous and raises
the driver's errors: it runs within `Database.run`.
"""

import random
import time
from collections.abc import Callable, Iterable
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from app.errors import Fault, PreconditionFailed, Unavailable
from app.resources.codec import CODEC, decode
from app.resources.patches import Change
from app.resources.storing import Document, to_bson
from app.store.client import Database
from app.store.codes import Code
from app.store.commands import RAW
from app.store.stored import Stored

STATEMENT_LIMIT = (
    7 * 1024 * 1024
)  # bytes: a document and its replacement have to fit into one statement of 16 MiB

Matches = Callable[[str], bool]  # whether `If-Match` takes the document with this ETag
Read = Callable[[Iterable[Any]], Stored]  # the document of the first `_id` that is stored


class Writes:
    """The writes of one collection."""

    def __init__(self, database: Database, name: str, read: Read) -> None:
        self._is_mock = database.is_mock
        self._client = database.sync.client
        self._patience = database.settings.PRIMARY_WAIT_SECONDS
        self._read = read
        self._collection = database.collection(name)
        self._raw_collection: Collection[Any] = (
            self._collection if self._is_mock else self._collection.with_options(codec_options=RAW)
        )

    def insert(self, raw: bytes) -> Stored:
        """Stores a new document."""
        document: Any = decode(raw) if self._is_mock else RawBSONDocument(raw)
        self._collection.insert_one(document)
        return Stored(raw)

    def replace(
        self, keys: Iterable[Any], matches: Matches | None, build: Callable[[Document], Document]
    ) -> Stored:
        """Stores `build(stored document)` in place of the stored one, whole."""

        def write(stored: Stored) -> Stored | None:
            raw = to_bson(build(decode(stored.raw)))
            if raw == stored.raw:
                return stored
            document: Any = decode(raw) if self._is_mock else RawBSONDocument(raw)
            return self._if_unchanged(stored, len(raw), lambda collection, condition, session: (
                collection.find_one_and_replace(
                    condition, document, return_document=ReturnDocument.AFTER, **session
                )
            ))  # fmt: skip

        return self._again_and_again(keys, matches, write)

    def patch(
        self, keys: Iterable[Any], matches: Matches | None, build: Callable[[Document], Change]
    ) -> Stored:
        """Writes the change that `build(stored document)` returns, and nothing else."""

        def write(stored: Stored) -> Stored | None:
            change = build(decode(stored.raw))
            if not change:
                return stored
            size = len(to_bson(change.set))
            update = {"$set": dict(change.set), "$unset": dict.fromkeys(change.unset, "")}
            update = {operator: paths for operator, paths in update.items() if paths}
            return self._if_unchanged(stored, size, lambda collection, condition, session: (
                collection.find_one_and_update(
                    condition, update, return_document=ReturnDocument.AFTER, **session
                )
            ))  # fmt: skip

        return self._again_and_again(keys, matches, write)

    def delete(self, keys: Iterable[Any], matches: Matches | None) -> None:
        """Deletes the document."""

        def write(stored: Stored) -> Stored | None:
            if matches is None:
                return (
                    stored
                    if self._collection.delete_one({"_id": stored.document["_id"]}).deleted_count
                    else None
                )
            return self._if_unchanged(stored, 0, lambda collection, condition, session: (
                collection.find_one_and_delete(condition, **session)
            ))  # fmt: skip

        self._again_and_again(keys, matches, write)

    def _again_and_again(
        self, keys: Iterable[Any], matches: Matches | None, write: Callable[[Stored], Stored | None]
    ) -> Stored:
        """Reads, checks `If-Match` and writes until nobody came in between."""
        deadline = time.monotonic() + self._patience
        while True:
            stored = self._read(keys)
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
        write: Callable[[Collection[Any], dict[str, Any], dict[str, Any]], Any],
    ) -> Stored | None:
        """Writes if the document is still the one that was read; None where it is not."""
        if self._is_mock or len(stored.raw) + size < STATEMENT_LIMIT:
            written = write(self._raw_collection, self._same(stored), {})
        else:
            written = self._in_transaction(stored, write)
        if written is None:
            return None
        return Stored(
            bytes(written.raw)
            if isinstance(written, RawBSONDocument)
            else bson.encode(written, codec_options=CODEC)
        )

    def _same(self, stored: Stored) -> dict[str, Any]:
        """The condition that finds the document only as it was read."""
        if self._is_mock:
            whole: list[Any] = [{"$eq": ["$$ROOT", {"$literal": stored.document}]}]
        else:
            literal = {"$literal": RawBSONDocument(stored.raw)}
            # $eq takes 1 and 1.0 for the same; the size tells most such changes of type.
            whole = [
                {"$eq": ["$$ROOT", literal]},
                {"$eq": [{"$bsonSize": "$$ROOT"}, len(stored.raw)]},
            ]
        return {"_id": stored.document["_id"], "$expr": {"$and": whole}}

    def _in_transaction(self, stored: Stored, write: Callable[..., Any]) -> Any:
        """The same for documents too large to be sent along: read and written in one transaction."""
        key = {"_id": stored.document["_id"]}
        try:
            with self._client.start_session() as session, session.start_transaction():
                found = self._raw_collection.find_one(key, session=session)
                if found is None or bytes(found.raw) != stored.raw:
                    return None
                return write(self._raw_collection, key, {"session": session})
        except OperationFailure as error:
            if error.code != Code.WriteConflict:
                raise
            return None  # another writer has the document at this moment
