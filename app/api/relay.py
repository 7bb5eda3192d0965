"""A connection as a download sees it: how much a client has not taken, and how to end it so that it knows."""

import asyncio
import fcntl
import socket
import struct
import termios
import time
from collections.abc import Callable
from typing import Any

from starlette.types import Message, Receive, Send

TRANSPORT = "docsheet.transport"  # the key in the scope


class BrokenTransfer(Exception):
    """The file can't be finished: the connection is broken, so that the client knows."""


class Stalled(Exception):
    """The client took no byte for too long."""


class Guard:
    """Sends a message, and gives up when the client takes no byte of what waits for too long."""

    def __init__(self, transport: Any, send: Send, limit: float) -> None:
        self._transport = transport
        self._send = send
        self._limit = limit
        self._look = min(1.0, limit / 4)  # seconds between two looks

    async def __call__(self, message: Message, then: Callable[[], None] | None = None) -> None:
        """`then` is called as soon as the message is on its way, before anything else runs."""
        sending = asyncio.ensure_future(self._sent(message, then))
        try:
            before, since = None, time.monotonic()
            while not (await asyncio.wait((sending,), timeout=self._look))[0]:
                waiting = waiting_bytes(self._transport) if self._transport is not None else 0
                if waiting != before:
                    before, since = waiting, time.monotonic()
                elif time.monotonic() - since >= self._limit:
                    raise Stalled
            sending.result()
        finally:
            sending.cancel()

    async def _sent(self, message: Message, then: Callable[[], None] | None) -> None:
        await self._send(message)
        if then is not None:
            then()


async def wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


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
