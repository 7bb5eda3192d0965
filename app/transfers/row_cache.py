"""Rows of linked documents that were read, kept as long as there is room for them.

Few documents that many link to are read once so, and many are forgotten again.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Any

ROWS = 20_000  # of one collection, at most
BYTES = 8 * 1024 * 1024  # of the BSON from which they were made
SELDOM = 8  # batches, of which one is kept where nothing that was kept is asked for again


class RowCache:
    """Rows by what identifies their documents; the first one is that which was not used longest."""

    def __init__(self) -> None:
        self._rows: dict[Any, Any] = {}
        self._misses = 0  # batches of which nothing was here, the last ones in a row

    def find(self, identities: Iterable[Any]) -> dict[Any, Any]:
        """Those of the rows that are here."""
        rows = self._rows
        found = {one: rows.pop(one) for one in identities if one in rows}
        rows.update(found)
        self._misses = 0 if found else self._misses + 1
        return found

    def add(self, rows: dict[Any, Any], average: float) -> None:
        """Keeps rows, of about so many bytes each, and forgets those that were not used longest.

        Where nothing that is here was asked for of late, only some batches are worth that.
        """
        room = min(ROWS, int(BYTES // max(average, 1)))
        surplus = len(self._rows) + len(rows) - room
        if surplus > 0 and self._misses % SELDOM:
            return
        self._rows.update(rows)
        for one in list(islice(self._rows, max(0, surplus))):
            del self._rows[one]
