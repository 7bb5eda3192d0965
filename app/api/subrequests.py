"""Subrequests: addresses that somebody kept, as of shares and saved views, answered in process.

An address is a path of ours with its query string: it leads to the route that a request would take.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.api.callers import Caller
from app.api.routing import Route, decode_path

MAX_ADDRESS = 8_000  # characters
FindRoute = Callable[[str], tuple[Route, dict[str, Any]] | None]


@dataclass(frozen=True)
class Address:
    """The route of an address, and its query string."""

    route: Route
    parameters: Mapping[str, Any]
    path: str
    raw_path: str
    query: str

    async def answer(self, request: Request, caller: Caller, method: str = "GET") -> Response:
        """What the route answers a caller, or for HEAD its headers; raises whatever it does."""
        root = request.scope.get("root_path", "")
        scope = {
            **request.scope,
            "method": method,
            "path": root + self.path,
            "raw_path": (root + self.raw_path).encode(),
            "query_string": self.query.encode(),
            "path_params": self.parameters,
            "caller": caller,
        }
        return await self.route.answer(Request(scope, request.receive))


def read_address(address: str, find: FindRoute, root: str = "") -> Address | None:
    """What an address names, with or without the prefix that a proxy takes off.

    None where that is nothing.
    """
    if not _is_sendable(address):
        return None
    raw_path, _, query = address.partition("?")
    if root and raw_path.startswith(f"{root}/"):
        raw_path = raw_path.removeprefix(root)
    path = decode_path(raw_path.encode())
    found = find(path)
    return Address(*found, path, raw_path, query) if found is not None else None


def _is_sendable(address: str) -> bool:
    """Whether an address could be sent as it is (RFC 3986)."""
    return address.isascii() and address.isprintable() and not set(address) & set(" #")
