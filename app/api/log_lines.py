"""The line that each request has in the log, as text or as fields; without what may be secret."""

from typing import Any
from urllib.parse import unquote_plus

from starlette.types import Scope

from app.api.problems import REASON
from app.api.proxies import client_address
from app.api.redaction import HIDDEN, find_secret, hide_credentials, hide_secrets

BAD_REQUEST = 400
_SOCKET = "WEBSOCKET"  # in place of a method
MAX_SHOWN = 500  # characters of a query and of a reason


class LogLine:
    """A request in the log, made when it is written: what was asked, and what came of it.

    One that was refused has its query and the reason as well, so that nobody need guess.
    """

    def __init__(self, scope: Scope, status: int, milliseconds: float) -> None:
        self._scope = scope
        self._status = status
        self._milliseconds = milliseconds

    def __str__(self) -> str:
        scope = self._scope
        line = (
            f"{scope.get('method', _SOCKET)} {self._path} {self._status} "
            f"{self._milliseconds:.1f} ms {scope['state']['request_id']}"
        )
        if client := client_address(scope):
            line += f" from {client}"
        if caller := _name_caller(scope):
            line += f" by {caller}"
        if self._status >= BAD_REQUEST:
            query, reason = _explain(scope)
            line = f"{line} ?{query} {reason}" if query else f"{line} {reason}".rstrip()
        return line if line.isprintable() else "".join(map(_make_printable, line))

    @property
    def _path(self) -> str:
        """The path; nothing is found where it has a secret in it."""
        path: str = self._scope["path"]
        return hide_credentials(path) if self._status >= BAD_REQUEST else path

    def fields(self) -> dict[str, Any]:
        """The same as values by name."""
        scope = self._scope
        said = {
            "method": scope.get("method", _SOCKET),
            "path": self._path,
            "status": self._status,
            "milliseconds": round(self._milliseconds, 1),
            "request_id": scope["state"]["request_id"],
            "client": client_address(scope),
            "caller": _name_caller(scope),
        }
        if self._status >= BAD_REQUEST:
            said["query"], said["reason"] = _explain(scope)
        return said


def _name_caller(scope: Scope) -> str:
    """The account's name; empty where accounts are off, and for whom nobody knows."""
    caller = scope.get("caller")
    return caller.name if caller is not None else ""


def _explain(scope: Scope) -> tuple[str, str]:
    """The query and the reason, without values that may be secret."""
    query = scope["query_string"].decode("latin-1")
    reason: str = scope["state"].get(REASON, "")
    for value in {find_secret(part) for part in query.split("&")}:
        reason = reason.replace(unquote_plus(value), HIDDEN) if value else reason
    return hide_secrets(query, MAX_SHOWN), hide_credentials(reason)[:MAX_SHOWN]


def _make_printable(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]
