"""The files that a process may have open at a time (`ulimit -n`), connections among them.

Without any left, connections would be closed without a word, and transfers and the database would
fail. So some are kept from connections: those beyond are answered with 503.
"""

import logging
import resource
import time

MOST = 65_536  # files, which are enough
KEPT = 128  # of them for our own work: the database's connections, pipes, files of imports
FEW = 256  # files, with which a server is told to allow more
PAUSE_SECONDS = 60.0  # between two lines of the log
_log = logging.getLogger("docsheet.server")


def allow_most(most: int = MOST) -> None:
    """Allows as many files as may be allowed, up to `most`; what starts here inherits that."""
    now, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if highest == resource.RLIM_INFINITY else min(most, highest)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, highest))


def describe_few() -> str:
    """What is wrong where only few files may be open; empty where enough are."""
    most = _find_most()
    if most >= FEW:
        return ""
    return (
        f"This process may have {most} files open at a time (`ulimit -n`), connections among them: "
        f"allow at least {FEW}."
    )


def _find_most() -> int:
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if most == resource.RLIM_INFINITY else most


class Places:
    """The files that connections may take."""

    def __init__(self) -> None:
        self._told_at = float("-inf")  # of the monotonic clock

    def has(self, descriptor: int) -> bool:
        """Whether there is a place for the connection of this number.

        A new one has the least number that is free: so as many are open, at least.
        """
        most = _find_most()
        if descriptor < most - min(KEPT, most // 4):
            return True
        self._tell(most)
        return False

    def _tell(self, most: int) -> None:
        """Logs it, now and then."""
        if time.monotonic() < self._told_at + PAUSE_SECONDS:
            return
        self._told_at = time.monotonic()
        _log.warning(
            "New connections are answered with 503: this process may have %d files open at a time, "
            "and the last ones are kept for what is under way; raise `ulimit -n`.",
            most,
        )
