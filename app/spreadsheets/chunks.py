"""Batches → chunks of a file, counted and digested on their way out."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from isal import isal_zlib

from app.spreadsheets.format import Encoder

# Bytes; a smaller chunk waits for the next batch, but the first, which leaves at once.
CHUNK = 256 * 1024
# Window bits that ask for a gzip header (zlib's manual, deflateInit2).
_GZIP = 16 + isal_zlib.MAX_WBITS


@dataclass(frozen=True)
class Batch:
    """What one reply of the database brought: for an encoder, and how many documents it was."""

    documents: int
    values: list[Any]
    raw: bytes | None = None


@dataclass
class Tally:
    """What a file holds so far: `size` (bytes) and digest are those before transfer compression."""

    documents: int = 0
    rows: int = 0
    size: int = 0
    _digest: Any = field(default_factory=hashlib.sha256, repr=False)

    @property
    def sha256(self) -> str:
        """The digest of the bytes so far, as hex digits."""
        digest: str = self._digest.hexdigest()
        return digest

    def add(self, chunk: bytes, documents: int = 0, rows: int | None = None) -> None:
        """Counts what came with a chunk: its documents, and the rows so far."""
        self.documents += documents
        self.rows = self.rows if rows is None else rows
        self.size += len(chunk)
        self._digest.update(chunk)


def chunks(
    batches: Iterable[Batch], encoder: Encoder, tally: Tally, *, gzip: bool = False
) -> Iterator[bytes]:
    """The file, chunk by chunk.

    The first one comes with the first batch, none is kept back for more than one batch. `tally` is
    whole before the last chunk is yielded.
    """
    pack = _Gzip() if gzip else _Plain()
    waiting = b""
    leave = True
    for batch in batches:
        chunk = encoder.encode(batch.values, batch.raw)
        tally.add(chunk, batch.documents, encoder.rows)
        waiting += pack.add(chunk)
        leave = leave or len(waiting) >= CHUNK
        if leave and waiting:
            yield waiting
            waiting = b""
        leave = bool(waiting)
    rest = encoder.finish()
    tally.add(rest)
    yield waiting + pack.add(rest) + pack.end()


class _Plain:
    def add(self, chunk: bytes) -> bytes:
        return chunk

    def end(self) -> bytes:
        return b""


class _Gzip:
    """Each chunk can be read as soon as it is there."""

    def __init__(self) -> None:
        self._deflate = isal_zlib.compressobj(
            isal_zlib.ISAL_DEFAULT_COMPRESSION, isal_zlib.DEFLATED, _GZIP
        )

    def add(self, chunk: bytes) -> bytes:
        packed: bytes = self._deflate.compress(chunk) + self._deflate.flush(isal_zlib.Z_SYNC_FLUSH)
        return packed

    def end(self) -> bytes:
        packed: bytes = self._deflate.flush()
        return packed
