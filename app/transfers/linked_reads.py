"""Reads of linked documents: beside what is encoded, or at once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from app.store.linked import LinkedReader
from app.transfers.traffic import Alone

Projection = dict[str, Any]


class Read(Protocol):
    """A read of linked documents that was begun."""

    def result(self) -> bytes:
        """Their BSON, waited for; raises what the read raised."""


class LinkedReads(Protocol):
    """Begins reads of linked documents."""

    def begin(self, collection: str, keys: Sequence[Any], projection: Projection) -> Read:
        """Asks for the documents with these `_id`s, ObjectIds as their bytes."""


@dataclass(frozen=True)
class Done:
    """A read that is done."""

    raw: bytes

    def result(self) -> bytes:
        """The BSON that was read."""
        return self.raw


class ReadsAtOnce:
    """Reads that are done when they are begun."""

    def __init__(self, reader: LinkedReader) -> None:
        self._reader = reader

    def begin(self, collection: str, keys: Sequence[Any], projection: Projection) -> Read:
        """Reads the documents."""
        return Done(self._reader.read(collection, keys, projection))


class ReadsBeside:
    """Reads in a thread of their own, one after the other, each within a turn."""

    def __init__(self, reader: LinkedReader, turns: Alone) -> None:
        self._reader = reader
        self._turns = turns
        self._thread = ThreadPoolExecutor(1, "reading linked documents")

    def begin(self, collection: str, keys: Sequence[Any], projection: Projection) -> Read:
        """Asks the thread to read the documents."""
        return self._thread.submit(self._read, collection, keys, projection)

    def _read(self, collection: str, keys: Sequence[Any], projection: Projection) -> bytes:
        with self._turns.turn():
            return self._reader.read(collection, keys, projection)

    def close(self) -> None:
        """Waits for the reads that were begun, and ends the reader's session."""
        self._thread.shutdown()
        self._reader.close()
