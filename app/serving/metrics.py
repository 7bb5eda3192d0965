"""The folder in which the workers of a server share their numbers for `GET /metrics`."""

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from app.settings import Settings

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the library's variable, which it reads when it is imported
OnDeath = Callable[[int], None]


@contextmanager
def share_metrics(settings: Settings) -> Iterator[OnDeath]:
    """Makes the folder, for workers that start within; gone afterwards.

    Comes with what is to be called with the process number of a worker that died: what it had under
    way isn't any more. Its sums stay, in files that the next process of that number goes on with.
    """
    if settings.METRICS != "on":
        yield lambda pid: None
        return
    with TemporaryDirectory(prefix="docsheet-metrics-") as folder:
        os.environ[FOLDER] = folder
        library = importlib.import_module("prometheus_client.multiprocess")
        try:
            yield lambda pid: library.mark_process_dead(pid, folder)
        finally:
            del os.environ[FOLDER]
