"""How much memory a server and its children hold: PSS, which counts shared pages once (proc(5))."""

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

SECONDS = 0.05  # between two looks, at least
SHARE = 0.1  # of the time, at most, goes into looking: it stops the process that is looked at


def pss(pid: int) -> int:
    """KiB of a process and all its children and theirs."""
    return sum(_pss_of(process) for process in _family(pid))


class Peak:
    """The most that a server holds while this is open, in KiB; looks at it all the time."""

    def __init__(self, pid: int) -> None:
        self.kib = 0
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        pause = 0.0
        while not self._done.wait(pause):
            begin = time.perf_counter()
            self.kib = max(self.kib, pss(self._pid))
            pause = max(SECONDS, (time.perf_counter() - begin) / SHARE)


def _family(pid: int) -> list[int]:
    found, unseen = [], [pid]
    while unseen:
        process = unseen.pop()
        found.append(process)
        unseen += _children(process)
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (thread / "children").read_text().split())
    except OSError:  # it has ended meanwhile
        return children
    return children


def _pss_of(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
