"""`docsheet serve`: the database, the address, the signals.

One process, or several behind the same port.
"""

import copy
import errno
import gc
import importlib
import logging
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from rich.console import Console
from uvicorn.config import LOGGING_CONFIG

from app.errors import SettingError, StartError
from app.resources.notes import describe_unserved
from app.resources.packages import find_packages_here, import_modules
from app.resources.registry import discover
from app.servers.embedded import STOP_SECONDS, EmbeddedDatabase
from app.serving.access import describe_access
from app.serving.descriptors import allow_most, describe_few
from app.serving.logs import configure_logging
from app.serving.metrics import share_metrics
from app.serving.workers import Report, Workers, when_parent_ends
from app.settings import Settings
from app.transfers.forking import start_fork_server
from app.transfers.traffic import Traffic

BACKLOG = 2048  # connections that wait to be accepted
LEAVING_SECONDS = 3.0  # after the grace time, for what was cancelled to end
_log = logging.getLogger("docsheet.server")


def serve(settings: Settings, console: Console) -> None:
    """Serves until SIGINT or SIGTERM; raises `StartError` for whatever prevents the start."""
    signal.signal(signal.SIGTERM, _leave)  # its default would end us before the database is closed
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # else `nohup` lets it be ignored
        signal.signal(signal.SIGHUP, _terminate)
    allow_most()
    listening = _listen(settings)
    try:
        if settings.WORKERS > 1:
            _serve_with_workers(settings, listening, console)
        else:
            _serve_alone(settings, listening, console)
    finally:
        listening.close()


def _serve_alone(settings: Settings, listening: socket.socket, console: Console) -> None:
    """The database and the fork server start while the application is imported, the longest step.

    The models before all else: the fork server imports them too, and would show a mistake again.
    """
    embedded = None
    import_modules(settings.MODELS)
    try:
        start_fork_server(settings.MODELS)
        with ThreadPoolExecutor(1) as starting:
            opening = starting.submit(_open_embedded, settings)
            application = importlib.import_module("app.application")
            embedded = opening.result()
        used = _with_uri(settings, embedded)
        configure_logging(used)
        _warn(used)
        _require_administrator(used)
        app = application.create_app(used)
        _announce(used, listening, embedded, console)
        Server(app, used, STOP_SECONDS if embedded else 0).run([listening])
    finally:
        if embedded is not None:
            embedded.close()


def _serve_with_workers(settings: Settings, listening: socket.socket, console: Console) -> None:
    """This process owns the database and watches; the workers serve."""
    import_modules(settings.MODELS)
    embedded = _open_embedded(settings)
    try:
        used = _with_uri(settings, embedded)
        configure_logging(used)
        _warn(used)
        _require_administrator(used)
        with (
            share_metrics(used) as on_death,
            Workers(used, listening, partial(_work, Traffic()), on_death) as workers,
        ):
            _announce(used, listening, embedded, console)
            workers.watch()
    finally:
        if embedded is not None:
            embedded.close()


def _warn(settings: Settings) -> None:
    for sentence in filter(None, (describe_access(settings), describe_few())):
        _log.warning("%s", sentence)


def _require_administrator(settings: Settings) -> None:
    """Raises `StartError` where there are accounts, and none that could let others in."""
    if settings.has_accounts:
        administrators = importlib.import_module("app.auth.administrators")
        administrators.require_administrator_of(settings, settings.MONGO_URI)


def _work(traffic: Traffic, settings: Settings, listening: socket.socket, report: Report) -> None:
    """What a worker does: serve, on the port and the database that its parent opened."""
    # Ctrl-C, or its end, reaches every process of the terminal; the parent tells us.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    find_packages_here()
    start_fork_server(settings.MODELS)
    application = importlib.import_module("app.application")
    try:
        configure_logging(settings)
        server = Server(application.create_app(settings, traffic=traffic), settings, 0)
    except StartError as error:
        report(str(error))
        return
    when_parent_ends(server.leave)
    report("")
    server.run([listening])


class Server(uvicorn.Server):
    """uvicorn's server; the process is gone soon after the grace time, whatever still hangs then.

    `more` are the seconds that the process needs when it has served.
    """

    def __init__(self, app: Any, settings: Settings, more: float) -> None:
        super().__init__(_config(app, settings))
        app.observer.watch_connections(lambda: len(self.server_state.connections))
        self._seconds = settings.SHUTDOWN_GRACE_SECONDS + LEAVING_SECONDS + more

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Opens what is served; then garbage is looked for only in what comes after.

        To look through all that was imported took 50 ms, in which nobody was answered.
        """
        await super().startup(sockets)
        gc.freeze()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The handler of SIGINT and SIGTERM.

        A second one means for uvicorn to end at once.
        """
        self._limit()
        super().handle_exit(sig, frame)

    def leave(self) -> None:
        """Lets the requests under way finish, then ends; after the grace time at once."""
        self._limit()
        self.should_exit = True

    def _limit(self) -> None:
        if not self.should_exit:
            last = threading.Timer(self._seconds, os._exit, [1])
            last.daemon = True
            last.start()


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _terminate(number: int, frame: FrameType | None) -> None:
    """The end of the terminal: the same as SIGTERM, whoever handles that by now."""
    signal.raise_signal(signal.SIGTERM)


def _open_embedded(settings: Settings) -> EmbeddedDatabase | None:
    if settings.MONGO_URI:
        return None
    return EmbeddedDatabase.of(settings)


def _with_uri(settings: Settings, embedded: EmbeddedDatabase | None) -> Settings:
    if embedded is None:
        return settings
    return settings.model_copy(update={"MONGO_URI": embedded.uri})


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.HOST, settings.PORT))
    except OSError as error:
        listening.close()
        raise _explain_listening(settings, error) from None
    listening.listen(BACKLOG)
    return listening


def _explain_listening(settings: Settings, error: OSError) -> StartError:
    """What is wrong with HOST or PORT."""
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return SettingError(
            f"HOST: {settings.HOST} is no address of this machine; 127.0.0.1 is its loopback "
            "address, 0.0.0.0 stands for all that it has."
        )
    where = f"{settings.HOST}:{settings.PORT}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return StartError(
            f"PORT: {where} can't be listened on ({error.strerror}): ports below 1024 are for "
            "root; choose another: PORT=8000 scripts/serve."
        )
    return StartError(
        f"PORT: {where} can't be listened on ({error.strerror}); stop what uses it, or choose "
        f"another: PORT={min(settings.PORT + 1, 65535)} scripts/serve."
    )


def _config(app: Any, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="app.serving.protocol:Protocol",
        log_config=_log_config(),
        access_log=False,  # ours has the request's id and its milliseconds
        server_header=False,
        proxy_headers=False,  # ours are believed where TRUSTED_PROXIES says so
        timeout_graceful_shutdown=settings.SHUTDOWN_GRACE_SECONDS,
        backlog=BACKLOG,
    )


def _log_config() -> dict[str, Any]:
    """The loggers of uvicorn without handlers of their own: everything goes one way."""
    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    config["handlers"] = {}
    config["loggers"] = {"uvicorn": {"level": "WARNING"}, "uvicorn.error": {"level": "WARNING"}}
    return config


def _announce(
    settings: Settings,
    listening: socket.socket,
    embedded: EmbeddedDatabase | None,
    console: Console,
) -> None:
    """Shows where it serves, what it serves, and what of the models it does not."""
    host, port = listening.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    lines = [
        ("Docsheet serves at", f"{address}/"),
        ("Try the API at", f"{address}/docs"),
        ("Resources", _list_resources(settings)),
        *(("Not as declared", note) for note in describe_unserved(settings.MODELS)),
        ("Database", _describe_database(settings, embedded)),
    ]
    _show("".join(f"{name:<19} {value}\n" for name, value in lines), console)


def _show(text: str, console: Console) -> None:
    """Writes to standard output; where that fails (a closed pipe), it is given up."""
    try:
        console.file.write(text)
        console.file.flush()
    except OSError:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), console.file.fileno())


def _list_resources(settings: Settings) -> str:
    names = [f"/{name}/" for name in discover(settings.MODELS)]
    return ", ".join(names) or f"none: no file in {settings.MODELS} declares a beanie.Document"


def _describe_database(settings: Settings, embedded: EmbeddedDatabase | None) -> str:
    if embedded is None:
        return f"{settings.DB_NAME}, at {_without_password(settings.MONGO_URI)}"
    folder = settings.DATA_DIR.expanduser().resolve()
    if embedded.is_new:
        return f"{settings.DB_NAME}, new and empty, in a mongod of its own; its data go to {folder}"
    return f"{settings.DB_NAME}, in a mongod of its own; its data are in {folder}"


def _without_password(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"
