"""The fork server: started once with our modules loaded; a child is up in milliseconds.

A module of its own, that imports nothing else of ours, so that the start of a server can begin with
it.
"""

import importlib.util
import multiprocessing
import os
import pkgutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CONTEXT = multiprocessing.get_context("forkserver")
_FIRST = "app.transfers.fork_server"
_WORKERS = (
    "app.transfers.work",
    "app.transfers.import_work",
    "app.transfers.inspections",
)  # what a child runs
_LAST = "app.transfers.fork_models"
_SAFE = "PYTHONSAFEPATH"
MODELS = "DOCSHEET_FORK_MODELS"  # the variable that tells the fork server the package of models


def start_fork_server(models: str) -> None:
    """Starts the fork server in the background.

    The first process waits for it where it isn't up yet.
    """
    forget_main_file()
    os.environ[MODELS] = models
    CONTEXT.set_forkserver_preload([_FIRST, *_WORKERS, *_modules(models), _LAST])
    threading.Thread(target=_start, name="fork server", daemon=True).start()


def forget_main_file() -> None:
    """Keeps children of this process from running the program's main file again."""
    vars(sys.modules["__main__"]).pop("__file__", None)


def _modules(package: str) -> list[str]:
    """The modules of a package, found without importing them.

    A child needs the classes of its columns.
    """
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return [package, *(f"{package}.{found.name}" for found in pkgutil.iter_modules(folders or []))]


def _start() -> None:
    with (
        _hide_nothing(),
        suppress(OSError, EOFError),
    ):  # where Ctrl-C ended the fork server before it was up
        process = CONTEXT.Process(target=_nothing)
        process.start()
        process.join()


@contextmanager
def _hide_nothing() -> Iterator[None]:
    """While the fork server starts: what is in its folder, such as an `app`, hides nothing of ours.

    Python would look there first, as it does for all that it runs by `-c`.
    """
    given = os.environ.get(_SAFE)
    os.environ[_SAFE] = "1"
    try:
        yield
    finally:
        if given is None:
            del os.environ[_SAFE]


def _nothing() -> None:
    """What the first child does: once it is done, the fork server is up."""
