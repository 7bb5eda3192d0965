"""A find as one command, its documents as the bytes that the server sent.

The driver's own cursors make a Python object of every document on the way, also for raw batches; a
reply that is decoded lazily (`RawBSONDocument`) has none but its own, and the documents are cut out
of it in one go.
"""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.errors import AutoReconnect, OperationFailure
from pymongo.read_preferences import _ServerMode

from app.resources.codec import CODEC
from app.resources.elements import ARRAY, elements
from app.store.errors import LOST


class RawReply(RawBSONDocument):
    """A reply that PyMongo reads quickly.

    It can add error labels to it, as where a primary steps down in mid-write.
    """

    def get(self, key: str, default: Any = None) -> Any:
        """A field; PyMongo asks a reply for many that it doesn't have."""
        read: dict[str, Any] = self._RawBSONDocument__inflated  # type: ignore[attr-defined]
        return read.get(key, default)

    def update(self, more: Mapping[str, Any]) -> None:
        """Adds fields to what is read of the reply; its bytes stay."""
        read: dict[str, Any] = self._RawBSONDocument__inflated  # type: ignore[attr-defined]
        read.update(more)


Words = dict[str, Any]  # for the driver: the session, the time limit, the collation
RAW: CodecOptions[Any] = CODEC.with_options(document_class=RawReply)
_PAUSE = 0.1  # seconds
_BATCHES, _ID = (b"\x04firstBatch\0", b"\x04nextBatch\0"), b"\x12id\0"  # an array, and an int64


class Reply(NamedTuple):
    """The documents' BSON, one after the other, and the cursor's id where there are more."""

    raw: bytes
    cursor: int


def find(
    database: Any,
    command: Mapping[str, Any],
    patience: float,
    session: ClientSession | None = None,
    preference: _ServerMode | None = None,
) -> Reply:
    """The reply to a `find` or `getMore` (https://www.mongodb.com/docs/manual/reference/command/find/).

    Where a connection breaks or the server steps down, it is asked again, for `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            reply = database.command(
                command, codec_options=RAW, session=session, read_preference=preference
            )
            return _cut(bytes(reply["cursor"].raw))
        except (AutoReconnect, OperationFailure) as error:
            lost = isinstance(error, AutoReconnect) or error.code in LOST
            if not lost or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)


def read_on(
    database: Any,
    collection: str,
    reply: Reply,
    session: ClientSession | None = None,
    preference: _ServerMode | None = None,
) -> bytes:
    """The documents of the first reply to a `find` and of all after it: one holds 16 MiB."""
    found = [reply.raw]
    while reply.cursor:
        more = {"getMore": bson.Int64(reply.cursor), "collection": collection}
        reply = find(database, more, 0, session, preference)
        found.append(reply.raw)
    return b"".join(found)


def _cut(cursor: bytes) -> Reply:
    """The documents of `{firstBatch: [...], id: …, ns: …}`, as MongoDB orders these fields."""
    if not cursor.startswith(_BATCHES, 4):
        return _cut_any(cursor)
    begin = cursor.index(0, 5) + 1
    end = begin + int.from_bytes(cursor[begin : begin + 4], "little")
    if not cursor.startswith(_ID, end):
        return _cut_any(cursor)
    identifier = int.from_bytes(cursor[end + 4 : end + 12], "little", signed=True)
    return Reply(_join(cursor, begin, end), identifier)


def _cut_any(cursor: bytes) -> Reply:
    """The same, in whatever order the fields come."""
    documents, identifier = b"", 0
    for element in elements(cursor):
        if element.kind == ARRAY:  # `firstBatch` or `nextBatch`
            documents = _join(cursor, element.value, element.end)
        elif element.name == b"id":
            value = cursor[element.value : element.end]
            identifier = int.from_bytes(value, "little", signed=True)
    return Reply(documents, identifier)


def _join(cursor: bytes, begin: int, end: int) -> bytes:
    """The documents of the array that begins there, one after the other, as raw batches are cut."""
    return bson._array_of_documents_to_buffer(memoryview(cursor)[begin:end])
