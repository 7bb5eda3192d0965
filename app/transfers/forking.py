"""The fork server: started once with our modules loaded, so that an export's process is up in some milliseconds.

A module of its own, that imports nothing else of ours, so that the start of a server can begin with it.
"""

import multiprocessing
import sys
import threading

CONTEXT = multiprocessing.get_context("forkserver")
_WORKER = "app.transfers.process"  # what a child runs


def start_fork_server(models: str) -> None:
    """Starts the fork server in the background; the first process waits for it where it isn't up yet."""
    vars(sys.modules["__main__"]).pop("__file__", None)  # else every child would run the program's main file again
    CONTEXT.set_forkserver_preload([_WORKER, models])
    threading.Thread(target=_start, name="fork server", daemon=True).start()


def _start() -> None:
    process = CONTEXT.Process(target=_nothing)
    process.start()
    process.join()


def _nothing() -> None:
    """What the first child does: once it is done, the fork server is up."""
