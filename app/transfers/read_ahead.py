"""Reading ahead: a thread that has the next item ready while the one before is worked on."""

import queue
import threading
import time
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
AHEAD = 1  # items read before they are needed
CLOSING_SECONDS = 2.0  # that a read under way may take when nobody wants it any more


class ReadAhead(Generic[T]):
    """Iterates over something in a thread, a little ahead: reading and encoding overlap.

    An error of the iteration is raised where it is taken; `close` ends the thread.
    """

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, name="reading ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while True:
            item, error = self._ready.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item

    def close(self) -> None:
        """Ends the reading; what was read and not taken is lost.

        A read that the database works on ends by itself.
        """
        self._closed.set()
        deadline = time.monotonic() + CLOSING_SECONDS
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._drop()
            self._thread.join(0.05)

    def _drop(self) -> None:
        try:
            self._ready.get_nowait()
        except queue.Empty:
            return

    def _read(self) -> None:
        try:
            for item in self._items:
                self._ready.put((item, None))
                if self._closed.is_set():
                    return
            self._ready.put((None, None))
        except Exception as error:  # noqa: BLE001 - it is raised again where the item is taken
            self._ready.put((None, error))
