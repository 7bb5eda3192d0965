"""A clock that only a test moves, in place of the module `time` of a module of ours."""

import time


class Clock:
    """Stands for the module `time`; both of its clocks go on by `wait` alone."""

    def __init__(self) -> None:
        self._now = time.time()
        self._passed = 0.0  # seconds

    def time(self) -> float:
        """Seconds since 1970."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self._passed

    def wait(self, seconds: float) -> None:
        """So many seconds pass."""
        self._now += seconds
        self._passed += seconds

    sleep = wait  # nobody who sleeps has to wait

    def turn(self, seconds: float) -> None:
        """Somebody sets the clock, forward or back."""
        self._now += seconds
