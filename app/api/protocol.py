"""uvicorn's HTTP protocol with what it lacks for us: the transport in the scope, lenient addresses, problems.

With the transport a download can see a client stall, and cut it off.
"""

import asyncio
import fcntl
import re
import socket
import struct
import termios
from typing import Any, cast
from urllib.parse import quote_from_bytes

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TRANSPORT = "docsheet.transport"  # the key in the scope
_request_line = re.compile(rb"([A-Z]+) ([^ ]+) (HTTP/1\.[01])").fullmatch
_UNREADABLE = (
    b'{"type":"about:blank","title":"Bad Request","status":400,"detail":"This is no HTTP request that can be read.",'
    b'"instance":""}'
)


class Protocol(HttpToolsProtocol):
    """The protocol that `docsheet serve` gives to uvicorn."""

    def data_received(self, data: bytes) -> None:
        """Takes bytes of the connection; addresses that a client did not percent-encode (curl) are, first."""
        if not data.isascii() and (self.cycle is None or self.cycle.response_complete):
            line, separator, rest = data.partition(b"\r\n")
            if found := _request_line(line):
                method, address, version = found.groups()
                safe = bytes(range(33, 127)).decode()
                data = b" ".join((method, quote_from_bytes(address, safe).encode(), version)) + separator + rest
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begins a request; called by httptools."""
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)[TRANSPORT] = self.transport

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP with a problem (RFC 9457), as everything else."""
        head = (
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nx-content-type-options: nosniff\r\n"
        )
        length = str(len(_UNREADABLE)).encode()
        self.transport.write(head + b"connection: close\r\ncontent-length: " + length + b"\r\n\r\n" + _UNREADABLE)
        self.transport.close()


def waiting_bytes(transport: Any) -> int:
    """Bytes that the client has not taken yet: the transport's own, and those in the kernel's queue (SIOCOUTQ)."""
    waiting: int = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if connection is not None:
        answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        waiting += struct.unpack("i", answer)[0]
    return waiting


def end_connection(transport: asyncio.Transport, patience: float) -> None:
    """Ends a connection when the client has taken what waits for it, after so many seconds at the latest.

    At once (0 seconds) it is reset: a container that stops takes what waits in the kernel with it, and a slow client
    would wait for that for ever.
    """
    if patience:
        transport.close()
        asyncio.get_running_loop().call_later(patience, transport.abort)
        return
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
