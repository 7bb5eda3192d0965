"""Which values the rows of a file have had already: hashes, in little memory for each row."""

from array import array

_LEAST = 1 << 12  # slots at first
_FULL = 0.6  # of the slots, past which there are twice as many
_EMPTY = 0
_MASK = (1 << 64) - 1


class Distinct:
    """Hashes of 64 bits, each with the row that had it first: 12 bytes for a slot.

    Open addressing (Knuth, volume 3, section 6.4). Python's hash of a text or of bytes is keyed
    (SipHash), so nobody can prepare a file whose values only look equal.
    """

    def __init__(self) -> None:
        self._count = 0
        self._make(_LEAST)

    def _make(self, slots: int) -> None:
        self._slots = slots
        self._hashes = array("Q", bytes(8 * slots))
        self._rows = array("I", bytes(4 * slots))

    def add(self, value: str | bytes, row: int) -> int | None:
        """The row that had this value before; None where this one is the first."""
        key = hash(value) & _MASK or 1
        place = self._find(key)
        if self._hashes[place] != _EMPTY:
            return self._rows[place]
        self._hashes[place], self._rows[place] = key, row
        self._count += 1
        if self._count > _FULL * self._slots:
            self._grow()
        return None

    def _find(self, key: int) -> int:
        """The slot of a hash, or the free one where it belongs."""
        hashes, last = self._hashes, self._slots - 1
        place = key & last
        while hashes[place] != _EMPTY and hashes[place] != key:
            place = (place + 1) & last
        return place

    def _grow(self) -> None:
        hashes, rows = self._hashes, self._rows
        self._make(2 * self._slots)
        for key, row in zip(hashes, rows, strict=True):
            if key != _EMPTY:
                place = self._find(key)
                self._hashes[place], self._rows[place] = key, row
