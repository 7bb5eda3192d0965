"""The line that each request has in the log, as text or as fields; without what may be secret."""

import re
from typing import Any
from urllib.parse import unquote_plus

from starlette.types import Scope

from app.api.problems import REASON
from app.api.proxies import client_address

BAD_REQUEST = 400
_SOCKET = "WEBSOCKET"  # in place of a method
HIDDEN = "…"  # in place of a value that may be secret
_LONG = 500  # characters of a query and of a reason, at most
LONGEST_QUERY = 4_000  # characters of a query that a journal keeps
# What is in the names of parameters whose values may be secret: people type passwords as names.
_is_secret = re.compile(
    r"pass|pwd|secret|token|api[_-]?key|auth|credential|signature|session|username", re.IGNORECASE
).search
# Keys and tokens of our own, wherever somebody puts them: the id and the secret of a key, an access
# token, a refresh token, the token of a share or of a session.
_ours = re.compile(
    r"(?<![\w-])(?:key_[0-9a-f]{16}(?:[.:]|%3A)[\w-]{20,}|eyJ[\w-]+\.[\w-]+\.[\w-]+"
    r"|[\w-]{22}\.[\w-]{43}(?![\w-])|[\w-]{43}(?![\w-]))",
    re.ASCII | re.IGNORECASE,
)


class Line:
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
        return _hide_ours(path) if self._status >= BAD_REQUEST else path

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
    for value in {_find_secret(part) for part in query.split("&")}:
        reason = reason.replace(unquote_plus(value), HIDDEN) if value else reason
    return hide_secrets(query, _LONG), _hide_ours(reason)[:_LONG]


def hide_secrets(query: str, most: int = LONGEST_QUERY) -> str:
    """A query string without values that may be secret, `most` characters of it."""
    return _hide_ours("&".join(map(_hide_secret, query.split("&"))))[:most]


def hide_in_address(address: str) -> str:
    """The same for a path with its query string."""
    path, mark, query = address.partition("?")
    return f"{_hide_ours(path)}{mark}{hide_secrets(query)}"


def _find_secret(part: str) -> str | None:
    """The value of a parameter, `name=value`, that may be secret; None where it is none."""
    name, mark, value = part.partition("=")
    return value if mark and _is_secret(unquote_plus(name)) else None


def _hide_secret(part: str) -> str:
    return part if _find_secret(part) is None else f"{part.partition('=')[0]}={HIDDEN}"


def _hide_ours(text: str) -> str:
    return _ours.sub(HIDDEN, text)


def _make_printable(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]
