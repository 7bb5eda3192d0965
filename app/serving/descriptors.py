"""The files that a process may have open at a time (`ulimit -n`), connections among them.

Without any left, connections would be closed without a word, and transfers and the database would
fail. So some are kept from connections: those beyond are answered with 503.
"""

import logging
import resource
import time

MAX_FILES = 65_536  # files, which are enough
RESERVED_FILES = 128  # of them for our own work: the database, pipes, files of imports
MIN_FILES = 256  # files, with which a server is told to allow more
PAUSE_SECONDS = 60.0  # between two lines of the log
_log = logging.getLogger("docsheet.server")


def allow_most(most: int = MAX_FILES) -> None:
    """Allows as many files as may be allowed, up to `most`; what starts here inherits that."""
    now, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if highest == resource.RLIM_INFINITY else min(most, highest)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, highest))


def describe_few() -> str:
    """What is wrong where only few files may be open; empty where enough are."""
    most = _find_most()
    if most >= MIN_FILES:
        return ""
    return (
        f"This process may have {most} files open at a time (`ulimit -n`), connections among them: "
        f"allow at least {MIN_FILES}."
    )


def _find_most() -> int:
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_FILES if most == resource.RLIM_INFINITY else most


class DescriptorLimit:
    """How many files connections may take: all but those that are kept for other work."""

    def __init__(self) -> None:
        self._told_at = float("-inf")  # of the monotonic clock

    def allows(self, descriptor: int) -> bool:
        """Whether a connection may have the descriptor of this number.

        A new one has the least number that is free: so as many are open, at least.
        """
        most = _find_most()
        if descriptor < most - min(RESERVED_FILES, most // 4):
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
