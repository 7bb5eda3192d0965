"""A file descriptor that goes along with work to another process."""

from multiprocessing.reduction import DupFd
from typing import Any


class Inherited:
    """A file descriptor that goes to a child with its work, where it is another number."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> Any:
        return _detach, (DupFd(self._descriptor),)


def _detach(inherited: Any) -> int:
    descriptor: int = inherited.detach()
    return descriptor
