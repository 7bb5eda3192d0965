"""What an import keeps between its steps: on disk, in the order in which it came."""

import pickle
import tempfile
from collections.abc import Iterator
from typing import Generic, TypeVar

from app.errors import Unavailable

T = TypeVar("T")
_IN_MEMORY = 1024 * 1024  # bytes, past which a spool is a file


class Spool(Generic[T]):
    """Items in a temporary file, which nobody else can open; they are read when all are written."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115

    def append(self, item: T) -> None:
        """Adds an item."""
        self.extend([item])

    def extend(self, items: list[T]) -> None:
        """Adds items that are read back together: much quicker than one by one."""
        pickle.dump(items, self._file, pickle.HIGHEST_PROTOCOL)

    def __iter__(self) -> Iterator[T]:
        self._file.seek(0)
        while True:
            try:
                yield from pickle.load(self._file)
            except EOFError:
                return

    def close(self) -> None:
        """Gives the disk back."""
        self._file.close()


def make_disk_error(error: OSError) -> Unavailable:
    """The error for a file that the server's disk doesn't take."""
    return Unavailable(f"The server can't keep the file ({error.strerror}).")
