"""A transfer as an answer: its bytes sent on, a client that stalls or leaves noticed.

What fails before the first chunk is a proper error. What fails later breaks the connection, so that
a file that is not whole can't be taken for one that is (RFC 9112, section 8).
"""

import asyncio
import fcntl
import logging
import socket
import struct
import termios
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.concurrency import cancel, run_to_end
from app.errors import RequestError
from app.transfers.child import ChildFailed
from app.transfers.transfer import Transfer

TRANSPORT = "docsheet.transport"  # the key in the scope
_log = logging.getLogger("docsheet.exports")


class BrokenTransfer(Exception):
    """The file can't be finished: the connection is broken, so that the client knows."""


class ClientLeft(Exception):
    """The client went before the first chunk was there; nobody waits for an answer."""


class Stalled(Exception):
    """The client took no byte for too long."""


class Relay(Response):
    """The response that relays a transfer.

    `release` is called once it has ended, however it did.
    """

    def __init__(
        self,
        transfer: Transfer,
        headers: dict[str, str],
        stall_limit: float,
        release: Callable[[], None],
    ) -> None:
        super().__init__(None, 200, {**headers, "X-Export-Id": transfer.id})
        del self.headers["content-length"]
        self._transfer = transfer
        self._stall_limit = stall_limit
        self._release = release
        self._watch: asyncio.Future[None] | None = None
        self._settled = False  # the client has the file, or it is known that it never will

    async def begin(self, receive: Receive, total: Awaitable[dict[str, str]]) -> Response:
        """Starts the transfer and waits for its first chunk; returns the answer to give.

        `total` are headers that may come meanwhile. Raises what went wrong as a proper error.
        """
        self._watch = asyncio.ensure_future(wait_for_disconnect(receive))
        try:
            await self._unless_client_leaves(self._start(total))
        except ClientLeft:
            await run_to_end(self._end())
            return Response(None, 499)  # nginx's number for this; nobody reads it
        except BaseException:
            await run_to_end(self._end())
            raise
        return self

    async def _start(self, total: Awaitable[dict[str, str]]) -> None:
        await self._transfer.start()
        self.headers.update(await total)

    async def _unless_client_leaves(self, work: Coroutine[Any, Any, None]) -> None:
        """Waits for the work; raises `ClientLeft` as soon as nobody waits for it any more."""
        assert self._watch is not None
        beginning = asyncio.ensure_future(work)
        try:
            await asyncio.wait((beginning, self._watch), return_when=asyncio.FIRST_COMPLETED)
            if not beginning.done():
                raise ClientLeft
            beginning.result()
        finally:
            await cancel(beginning)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._watch is not None
        sending = asyncio.ensure_future(self._send(scope, send))
        try:
            await asyncio.wait((self._watch, sending), return_when=asyncio.FIRST_COMPLETED)
            if self._settled or sending.done():
                await sending
            else:
                await run_to_end(self._leave(sending))
        except asyncio.CancelledError:
            if self._settled:
                raise
            with suppress(asyncio.CancelledError):  # a second one, when the loop ends
                await self._transfer.fail("the server stopped")
                await self._break(scope, "the server stopped", flush=False)
        finally:
            await run_to_end(self._finish(sending))

    async def _leave(self, sending: "asyncio.Future[None]") -> None:
        await cancel(sending)
        await self._transfer.leave("the client left")

    async def _finish(self, sending: "asyncio.Future[None]") -> None:
        await cancel(sending)
        await self._end()

    async def _end(self) -> None:
        try:
            if self._watch is not None:
                await cancel(self._watch)
            await self._transfer.close()
        finally:
            self._release()

    async def _send(self, scope: Scope, send: Send) -> None:
        try:
            await self._send_all(Guard(scope.get(TRANSPORT), send, self._stall_limit))
        except Stalled:
            await self._transfer.leave(f"the client took no byte for {self._stall_limit:g} seconds")
            await self._break(scope, "a stalled client was cut off", flush=False)
        except (RequestError, ChildFailed) as error:
            await self._break(scope, str(error))

    async def _send_all(self, guarded: "Guard") -> None:
        await guarded(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        async for chunk in self._transfer.chunks():
            await guarded({"type": "http.response.body", "body": chunk, "more_body": True})
        last = {"type": "http.response.body", "body": b"", "more_body": False}
        await guarded(last, self._settle)

    def _settle(self) -> None:
        self._settled = True

    async def _break(self, scope: Scope, detail: str, *, flush: bool = True) -> None:
        """Ends the connection without the end of the body: so the client knows."""
        _log.error("export %s broke: %s", self._transfer.id, detail)
        if TRANSPORT not in scope:
            raise BrokenTransfer(detail)
        end_connection(scope[TRANSPORT], self._stall_limit if flush else 0)
        assert self._watch is not None
        self._settled = True
        await self._watch


class Guard:
    """Sends a message, and gives up when the client takes no byte of what waits for too long."""

    def __init__(self, transport: Any, send: Send, limit: float) -> None:
        self._transport = transport
        self._send = send
        self._limit = limit
        self._look = min(1.0, limit / 4)  # seconds between two looks

    async def __call__(self, message: Message, then: Callable[[], None] | None = None) -> None:
        """`then` is called as soon as the message is on its way, before anything else runs."""
        sending = asyncio.ensure_future(self._send_and_call(message, then))
        try:
            before, since = None, time.monotonic()
            while not (await asyncio.wait((sending,), timeout=self._look))[0]:
                waiting = count_waiting_bytes(self._transport) if self._transport is not None else 0
                if waiting != before:
                    before, since = waiting, time.monotonic()
                elif time.monotonic() - since >= self._limit:
                    raise Stalled
            sending.result()
        finally:
            sending.cancel()

    async def _send_and_call(self, message: Message, then: Callable[[], None] | None) -> None:
        await self._send(message)
        if then is not None:
            then()


async def wait_for_disconnect(receive: Receive) -> None:
    """Returns when the client is gone; what it may still send is not looked at."""
    while (await receive())["type"] != "http.disconnect":
        pass


def count_waiting_bytes(transport: Any) -> int:
    """Bytes that the client has not taken: the transport's, and the kernel's queue (SIOCOUTQ)."""
    waiting: int = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if connection is not None:
        answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        waiting += struct.unpack("i", answer)[0]
    return waiting


def end_connection(transport: asyncio.Transport, patience: float) -> None:
    """Ends a connection when the client has taken what waits for it, but after `patience` seconds.

    At once (0 seconds) it is reset: a container that stops takes what waits in the kernel with it,
    and a slow client would wait for that for ever.
    """
    if patience:
        transport.close()
        asyncio.get_running_loop().call_later(patience, transport.abort)
        return
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
