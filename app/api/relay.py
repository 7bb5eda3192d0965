"""A connection as a download sees it: how much a client has not taken, and how to end it so that it knows."""

import asyncio
import fcntl
import socket
import struct
import termios
from typing import Any

TRANSPORT = "docsheet.transport"  # the key in the scope


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
