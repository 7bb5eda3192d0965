"""uvicorn's HTTP protocol and what it lacks: the transport in the scope, lenient addresses.

With the transport a download can see a client stall, and cut it off.
"""

import logging
import re
import secrets
from typing import Any, cast
from urllib.parse import quote_from_bytes

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.headers import ALWAYS
from app.api.relay import TRANSPORT

_log = logging.getLogger("docsheet.access")
_request_line = re.compile(rb"([A-Z]+) ([^ ]+) (HTTP/1\.[01])").fullmatch
_UNREADABLE = (
    b'{"type":"about:blank","title":"Bad Request","status":400,'
    b'"detail":"This is no HTTP request that can be read.",'
    b'"instance":""}'
)


class Protocol(HttpToolsProtocol):
    """The protocol that `docsheet serve` gives to uvicorn."""

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

    def on_message_begin(self) -> None:
        """Begins a request; called by httptools."""
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)[TRANSPORT] = self.transport

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP with a problem (RFC 9457), as everything else."""
        request_id = secrets.token_hex(8)
        _log.info("unreadable 400 %s %s", request_id, msg)
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(_UNREADABLE)),
            (b"connection", b"close"),
            (b"x-request-id", request_id.encode()),
            (b"server-timing", b"app;dur=0.0"),
            *ALWAYS,
        ]
        lines = [b"HTTP/1.1 400 Bad Request", *(b"%b: %b" % header for header in headers)]
        self.transport.write(b"\r\n".join([*lines, b"", _UNREADABLE]))
        self.transport.close()
