"""A ZIP file (PKWARE's APPNOTE 6.3.9), written from front to back: each call returns bytes.

Sizes follow each entry in a data descriptor, so nothing is ever sought. An entry stays below 4 GiB
(Excel refuses a streamed ZIP64 entry), the file may grow beyond: only the directory at its end then
uses ZIP64.
"""

import struct
from dataclasses import dataclass

from isal import isal_zlib

_VERSION, _ZIP64_VERSION = 20, 45  # 4.4.3.2: 2.0 deflates, 4.5 uses ZIP64
_FLAGS = 0x0808  # 4.4.4: sizes in a data descriptor, names in UTF-8
_DEFLATED = 8
_TIME, _DATE = 0, 0x21  # 1980-01-01: the same documents give the same file
_LIMIT = 0xFFFFFFFF
_LEVEL = isal_zlib.ISAL_DEFAULT_COMPRESSION


@dataclass
class _Entry:
    name: bytes
    offset: int
    crc: int = 0
    packed: int = 0
    size: int = 0


class Archive:
    """Entries one after the other: `begin`, `write` as often as needed, `end`; at last `finish`."""

    def __init__(self, start: int = 0) -> None:
        self._position = start  # bytes of the file so far
        self._entries: list[_Entry] = []

    @property
    def size(self) -> int:
        """Bytes of the current entry before deflation."""
        return self._entries[-1].size

    def begin(self, name: str) -> bytes:
        """The start of the entry of that name."""
        entry = _Entry(name.encode(), self._position)
        self._entries.append(entry)
        self._deflate = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
        fields = (b"PK\3\4", _VERSION, _FLAGS, _DEFLATED, _TIME, _DATE, 0, 0, 0, len(entry.name), 0)
        return self._place(struct.pack("<4s5H3L2H", *fields) + entry.name)

    def write(self, data: bytes) -> bytes:
        """What deflation has ready with these bytes of the entry."""
        entry = self._entries[-1]
        entry.crc = isal_zlib.crc32(data, entry.crc)
        entry.size += len(data)
        return self._pack(self._deflate.compress(data))

    def flush(self) -> bytes:
        """All that was written and still waits in the deflater."""
        return self._pack(self._deflate.flush(isal_zlib.Z_SYNC_FLUSH))

    def end(self) -> bytes:
        """The rest of the entry."""
        rest = self._pack(self._deflate.flush())
        entry = self._entries[-1]
        return rest + self._place(
            struct.pack("<4s3L", b"PK\7\x08", entry.crc, entry.packed, entry.size)
        )

    def write_whole(self, name: str, data: bytes) -> bytes:
        """One entry at once."""
        return self.begin(name) + self.write(data) + self.end()

    def finish(self) -> bytes:
        """The directory of the entries."""
        directory = b"".join(map(_list_entry, self._entries))
        start, end, count = self._position, self._position + len(directory), len(self._entries)
        if end > _LIMIT:
            directory += struct.pack(
                "<4sQ2H2L4Q",
                b"PK\6\6",
                44,
                _ZIP64_VERSION,
                _ZIP64_VERSION,
                0,
                0,
                count,
                count,
                len(directory),
                start,
            )
            directory += struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
        fields = (0, 0, count, count, end - start, min(start, _LIMIT), 0)
        return directory + struct.pack("<4s4H2LH", b"PK\5\6", *fields)

    def _pack(self, data: bytes) -> bytes:
        self._entries[-1].packed += len(data)
        return self._place(data)

    def _place(self, data: bytes) -> bytes:
        self._position += len(data)
        return data


def _list_entry(entry: _Entry) -> bytes:
    far = entry.offset >= _LIMIT
    extra = struct.pack("<2HQ", 1, 8, entry.offset) if far else b""
    version = _ZIP64_VERSION if far else _VERSION
    sizes = (entry.crc, entry.packed, entry.size, len(entry.name), len(extra))
    head = (b"PK\1\2", version, version, _FLAGS, _DEFLATED, _TIME, _DATE)
    return (
        struct.pack("<4s6H3L5H2L", *head, *sizes, 0, 0, 0, 0, min(entry.offset, _LIMIT))
        + entry.name
        + extra
    )
