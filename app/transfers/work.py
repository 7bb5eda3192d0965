"""An export as the work of a child: a client of its own, one session, the chunks of the file."""

import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import pymongo
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure, PyMongoError

from app.errors import RequestError
from app.query.plan import Plan
from app.settings import Settings
from app.spreadsheets.chunks import Tally
from app.store.client import client_options
from app.store.errors import translate
from app.store.pages import CURSOR_PATIENCE
from app.store.sessions import start_session
from app.transfers.child import ChildFailed, Output
from app.transfers.exports import Export
from app.transfers.production import produce


@dataclass(frozen=True)
class Made:
    """What the file is so far: documents, rows, bytes; the digest when it is whole."""

    documents: int = 0
    rows: int = 0
    size: int = 0
    sha256: str = ""


@dataclass(frozen=True)
class ExportWork:
    """An export with what its child needs to reach the database, as plain data."""

    export: Export
    uri: str
    options: dict[str, Any]
    database: str
    name: ClassVar[str] = "export"

    def run(self, output: Output) -> Made:
        """Writes the file, and says what it is."""
        tally = Tally()
        try:
            self._write(output, tally)
        except PyMongoError as error:
            raise _failure(error, self.export.plan) from error
        return Made(tally.documents, tally.rows, tally.size, tally.sha256)

    def so_far(self, documents: int, rows: int, size: int) -> Made:
        """What the file is so far."""
        return Made(documents, rows, size)

    def _write(self, output: Output, tally: Tally) -> None:
        client: pymongo.MongoClient[Any] = pymongo.MongoClient(self.uri, **self.options)
        collection = client[self.database][self.export.collection]
        session = start_session(collection, snapshot=self.export.snapshot)
        output.on_end(Opened(session).end)
        for chunk in produce(self.export, collection, session, tally, output.turns):
            output.tell(tally.documents, tally.rows, tally.size)
            output.write(chunk)


class Opened:
    """What a child has open at the database: ended with it, so that nothing is left there."""

    def __init__(self, session: ClientSession) -> None:
        self._lock = threading.Lock()
        self._session: ClientSession | None = session

    def end(self, hastily: bool) -> None:
        """Closes the session; `hastily` stops what still runs in it."""
        with self._lock, suppress(PyMongoError):
            session, self._session = self._session, None
            if session is None:
                return
            if hastily:
                _kill(session)
            else:
                session.end_session()
            session.client.close()


def _kill(session: ClientSession) -> None:
    admin, preference = session.client.admin, session.client.read_preference
    admin.command("killSessions", [session.session_id], read_preference=preference)


def _failure(error: PyMongoError, plan: Plan) -> Exception:
    """What the parent gets to know of an error: its sentence, or its number and name."""
    known = translate(error, patterns=plan.patterns)
    if isinstance(known, RequestError):
        return known
    sys.stderr.write(f"an export's process failed: {known!r}\n")  # the server's log
    sys.stderr.flush()
    return ChildFailed(
        f"the database refused to go on ({_name_error(known)}); the server's log has more"
    )


def _name_error(error: Exception) -> str:
    """An error by its number and name, without what a client need not know."""
    if isinstance(error, OperationFailure):
        return f"error {error.code}, {(error.details or {}).get('codeName', 'without a name')}"
    return type(error).__name__


def export_options(settings: Settings, plan: Plan | None = None) -> dict[str, Any]:
    """The driver's options for an export: where it reads, how long it waits for an answer."""
    options = client_options(settings) | {"readPreference": settings.EXPORT_READ_PREFERENCE}
    if plan is not None and plan.order is None:  # the database sorts everything before it answers
        options["socketTimeoutMS"] += (CURSOR_PATIENCE - 1) * plan.time_limit
    return options
