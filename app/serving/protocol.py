"""uvicorn's HTTP protocol and what it lacks: the transport in the scope, lenient addresses.

With the transport a download can see a client stall, and cut it off. A connection beyond the limit
of descriptors is answered with 503.
"""

import asyncio
import logging
import re
import secrets
from typing import Any, cast
from urllib.parse import quote_from_bytes

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.headers import ALWAYS
from app.api.relay import TRANSPORT
from app.errors import AddressTooLong, BadRequest, RequestError, Unavailable
from app.serving.descriptors import DescriptorLimit

_log = logging.getLogger("docsheet.access")
_request_line = re.compile(rb"([A-Z]+) ([^ ]+) (HTTP/1\.[01])").fullmatch
_is_key = re.compile(rb"[A-Za-z0-9+/]{22}==").fullmatch  # 16 bytes
_descriptors = DescriptorLimit()
MAX_ADDRESS_LENGTH = 65_535  # characters of an address: httptools reads no more


def _is_handshake(method: str, headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a request for `websocket` is a client's handshake (RFC 6455, section 4.2.1)."""
    keys = [value for name, value in headers if name == b"sec-websocket-key"]
    versions = [value for name, value in headers if name == b"sec-websocket-version"]
    is_key = len(keys) == 1 and _is_key(keys[0].strip()) is not None
    return method == "GET" and is_key and versions == [b"13"]


class Protocol(HttpToolsProtocol):
    """The protocol that `docsheet serve` gives to uvicorn."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins a connection, or ends it where too many files are open."""
        super().connection_made(transport)
        if not _descriptors.allows(transport.get_extra_info("socket").fileno()):
            self._end(Unavailable("The server has too many connections; try again soon."))

    def data_received(self, data: bytes) -> None:
        """Takes bytes of the connection.

        Addresses that a client did not percent-encode (curl) are, first.
        """
        if not data.isascii() and (self.cycle is None or self.cycle.response_complete):
            line, separator, rest = data.partition(b"\r\n")
            if found := _request_line(line):
                method, address, version = found.groups()
                safe = bytes(range(33, 127)).decode()
                data = (
                    b" ".join((method, quote_from_bytes(address, safe).encode(), version))
                    + separator
                    + rest
                )
        super().data_received(data)

    def _should_upgrade(self) -> bool:
        """Whether a WebSocket is to be opened; a handshake that is none is a plain request."""
        return super()._should_upgrade() and _is_handshake(self.scope["method"], self.headers)

    def on_message_begin(self) -> None:
        """Begins a request; called by httptools."""
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)[TRANSPORT] = self.transport

    def on_url(self, url: bytes) -> None:
        """Takes a piece of the address; raises `ValueError` past the longest."""
        super().on_url(url)
        if len(self.url) > MAX_ADDRESS_LENGTH:
            raise ValueError("the address is too long")

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP with a problem (RFC 9457), as everything else."""
        error: RequestError = BadRequest("This is no HTTP request that can be read.")
        if len(getattr(self, "url", b"")) > MAX_ADDRESS_LENGTH:
            detail = (
                f"The address has more than {MAX_ADDRESS_LENGTH:,} characters; "
                "ask in several requests."
            )
            error = AddressTooLong(detail)
        request_id = secrets.token_hex(8)
        _log.info("unreadable %d %s %s", error.status, request_id, msg)
        self._end(error, request_id)

    def _end(self, error: RequestError, request_id: str = "") -> None:
        """Answers with an error, whatever was asked for, and ends the connection."""
        body = _write_problem(error)
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            *((name.lower().encode(), value.encode()) for name, value in error.headers.items()),
            (b"x-request-id", (request_id or secrets.token_hex(8)).encode()),
            (b"server-timing", b"app;dur=0.0"),
            *ALWAYS,
        ]
        first = f"HTTP/1.1 {error.status} {error.title}".encode()
        lines = [first, *(b"%b: %b" % header for header in headers)]
        self.transport.write(b"\r\n".join([*lines, b"", body]))
        self.transport.close()


def _write_problem(error: RequestError) -> bytes:
    """The body of an error whose request nobody has read."""
    members = {"type": "about:blank", "title": error.title, "status": error.status}
    return orjson.dumps({**members, "detail": error.detail, "instance": ""})
