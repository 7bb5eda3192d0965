"""`docsheet serve`: the database, the address, the signals."""

import copy
import importlib
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn
from rich.console import Console
from uvicorn.config import LOGGING_CONFIG

from app.errors import SettingError, StartError
from app.settings import Settings
from app.store.embedded import EmbeddedDatabase
from app.transfers.forking import start_fork_server

BACKLOG = 2048  # connections that wait to be accepted


def serve(settings: Settings, console: Console) -> None:
    """Serves until SIGINT or SIGTERM; raises `StartError` for whatever hinders the start.

    The database and the fork server start while the application is imported, which takes longest.
    """
    listening = _listen(settings)
    embedded = None
    try:
        start_fork_server(settings.MODELS)
        with ThreadPoolExecutor(1) as starting:
            opening = starting.submit(_open_embedded, settings)
            application = importlib.import_module("app.application")
            embedded = opening.result()
        if embedded is not None:
            settings = settings.model_copy(update={"MONGO_URI": embedded.uri})
        application.configure_logging()
        app = application.create_app(settings)
        _announce(settings, listening, embedded, console)
        uvicorn.Server(_config(app, settings)).run([listening])
    finally:
        listening.close()
        if embedded is not None:
            embedded.close()


def _open_embedded(settings: Settings) -> EmbeddedDatabase | None:
    if settings.MONGO_URI:
        return None
    return EmbeddedDatabase.open(settings.DATA_DIR, settings.EMBEDDED_CACHE_MIB, settings.EMBEDDED_SNAPSHOT_SECONDS)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.HOST, settings.PORT))
    except OSError as error:
        listening.close()
        if isinstance(error, socket.gaierror):
            raise SettingError(f"HOST: {settings.HOST!r} is no address of this machine.") from None
        raise StartError(
            f"PORT: {settings.HOST}:{settings.PORT} can't be listened on ({error.strerror}); "
            f"stop what uses it, or choose another: PORT={settings.PORT + 1} scripts/serve."
        ) from None
    listening.listen(BACKLOG)
    return listening


def _config(app: Any, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="app.api.protocol:Protocol",
        log_config=_log_config(),
        access_log=False,  # ours has the request's id and its milliseconds
        server_header=False,
        timeout_graceful_shutdown=settings.SHUTDOWN_GRACE_SECONDS,
        backlog=BACKLOG,
    )


def _log_config() -> dict[str, Any]:
    """uvicorn's loggers without handlers of their own: everything goes one way."""
    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    config["handlers"] = {}
    config["loggers"] = {"uvicorn": {"level": "WARNING"}, "uvicorn.error": {"level": "WARNING"}}
    return config


def _announce(
    settings: Settings, listening: socket.socket, embedded: EmbeddedDatabase | None, console: Console
) -> None:
    host, port = listening.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    console.print(f"Docsheet serves at  {address}/", highlight=False)
    console.print(f"Try the API at      {address}/docs", highlight=False)
    if embedded is not None:
        where = settings.DATA_DIR.expanduser().resolve()
        console.print(
            f"Database            {settings.DB_NAME}, in a mongod of its own; its data lie in {where}", highlight=False
        )
    else:
        console.print(
            f"Database            {settings.DB_NAME}, at {_without_password(settings.MONGO_URI)}", highlight=False
        )
    sys.stdout.flush()


def _without_password(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"
