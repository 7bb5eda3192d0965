"""A find as one command, its documents as the bytes that the server sent.

The driver's own cursors make a Python object of every document on the way, also for raw batches; a
reply that is decoded lazily (`RawBSONDocument`) has none but its own, and the documents are cut out
of it in one go.
"""

import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.errors import AutoReconnect, OperationFailure
from pymongo.read_preferences import _ServerMode

from app.resources.codec import CODEC
from app.store.errors import LOST


class RawReply(RawBSONDocument):
    """A reply to which PyMongo can add error labels, as where a primary steps down in mid-write."""

    def update(self, more: Mapping[str, Any]) -> None:
        """Adds fields to what is read of the reply; its bytes stay."""
        read: dict[str, Any] = self._RawBSONDocument__inflated  # type: ignore[attr-defined]
        read.update(more)


RAW: CodecOptions[Any] = CODEC.with_options(document_class=RawReply)
_PAUSE = 0.1  # seconds
_ARRAY = 4  # the type byte
_int32 = struct.Struct("<i").unpack_from


@dataclass(frozen=True)
class Reply:
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


def _cut(cursor: bytes) -> Reply:
    """The documents of `{firstBatch: [...], id: …, ns: …}`, in whatever order its fields come."""
    documents, others, position = b"", [], 4
    while (kind := cursor[position]) != 0:
        end = cursor.index(0, position + 1) + 1
        if kind == _ARRAY:
            length = _int32(cursor, end)[0]
            documents = bson._array_of_documents_to_buffer(
                memoryview(cursor)[end : end + length]
            )  # as raw batches are cut
            stop = end + length
        else:
            stop = end + _size(kind, cursor, end)
            others.append(cursor[position:stop])
        position = stop
    body = b"".join(others)
    rest = bson.decode(struct.pack("<i", len(body) + 5) + body + b"\0")
    return Reply(documents, int(rest["id"]))


def _size(kind: int, data: bytes, position: int) -> int:
    """The bytes of a value of the few types that a cursor's reply has (bsonspec.org)."""
    if kind == 0x02:
        return 4 + int(_int32(data, position)[0])
    if kind == 0x03:
        return int(_int32(data, position)[0])
    return {0x01: 8, 0x08: 1, 0x10: 4, 0x11: 8, 0x12: 8}[kind]
