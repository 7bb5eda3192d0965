"""Which values the rows of a file have had already: hashes, in little memory for each row."""

from array import array

_TABLE_BITS = 6  # 64 tables, that grow one after the other: only a little is there twice
_LEAST = 64  # slots of a table at first
_FULL = 0.7  # of the slots, past which there are more
_GROWTH = 1.5
_MASK = (1 << 64) - 1


class Distinct:
    """Hashes of 64 bits, each with the row that had it first: 17 to 26 bytes for a value.

    Open addressing (Knuth, volume 3, section 6.4); a free slot has the hash 0. Python's hash of a
    text or of bytes is keyed (SipHash), so nobody can prepare a file whose values only look equal.
    """

    def __init__(self) -> None:
        self._tables = [_Table() for _ in range(1 << _TABLE_BITS)]

    def add(self, value: str | bytes, row: int) -> int | None:
        """The row that had this value before; None where this one is the first."""
        key = hash(value) & _MASK or 1
        return self._tables[key >> (64 - _TABLE_BITS)].add(key, row)

    def find(self, value: str | bytes) -> int | None:
        """The row that had this value first; None where none had."""
        key = hash(value) & _MASK or 1
        return self._tables[key >> (64 - _TABLE_BITS)].find(key)


class _Table:
    """The hashes that begin with the same bits."""

    def __init__(self) -> None:
        self._make(_LEAST)

    def _make(self, slots: int) -> None:
        self._slots = slots
        self._free = int(_FULL * slots)
        self._hashes = array("Q", bytes(8 * slots))
        self._rows = array("I", bytes(4 * slots))

    def add(self, key: int, row: int) -> int | None:
        hashes, slots = self._hashes, self._slots
        place = key % slots
        while there := hashes[place]:
            if there == key:
                return self._rows[place]
            place = place + 1 if place + 1 < slots else 0
        hashes[place], self._rows[place] = key, row
        self._free -= 1
        if not self._free:
            self._grow()
        return None

    def find(self, key: int) -> int | None:
        place = key % self._slots
        while there := self._hashes[place]:
            if there == key:
                return self._rows[place]
            place = place + 1 if place + 1 < self._slots else 0
        return None

    def _grow(self) -> None:
        hashes, rows = self._hashes, self._rows
        self._make(int(_GROWTH * self._slots))
        for key, row in zip(hashes, rows, strict=True):
            if key:
                self.add(key, row)
