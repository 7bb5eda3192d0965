"""What routes raise becomes an answer, unless one has begun."""

import asyncio
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.api.failures import STATUS, Failures
from app.api.middleware import Gate
from app.settings import Settings
from app.transfers.traffic import Traffic

Sent = list[Message]


async def tell_value(request: Request, error: Exception) -> Response:
    return Response(f"value {error}", 422)


async def tell_any(request: Request, error: Exception) -> Response:
    request.state.told = error
    return Response("something", 500)


HANDLERS = {ValueError: tell_value, Exception: tell_any}


async def ask(layer: Failures, error: Exception, *, after: int = 0) -> tuple[Sent, Scope]:
    """What is sent when a route raises an error after an answer with that status has begun."""
    sent: Sent = []

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"][STATUS] = after
        raise error

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "endpoint": endpoint, "state": {STATUS: 0}}
    try:
        await layer(scope, receive, send)
    except (ValueError, KeyError) as raised:
        scope["raised"] = raised
    return sent, scope


@pytest.mark.parametrize("error", [ValueError("x"), UnicodeError("x")])
async def test_an_error_is_answered_by_the_handler_of_its_class(error: Exception) -> None:
    (start, body), scope = await ask(Failures(HANDLERS), error)
    assert (start["status"], body["body"]) == (422, b"value x")
    assert "raised" not in scope


async def test_what_nobody_expected_is_answered_and_goes_on() -> None:
    error = KeyError("x")
    (start, body), scope = await ask(Failures(HANDLERS), error)
    assert (start["status"], body["body"]) == (500, b"something")
    assert scope["raised"] is scope["state"]["told"] is error


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x")])
async def test_behind_a_begun_answer_nothing_is_sent_and_the_error_goes_on(
    error: Exception,
) -> None:
    sent, scope = await ask(Failures(HANDLERS), error, after=200)
    assert sent == []
    assert scope["raised"] is scope["state"]["told"] is error


@pytest.mark.parametrize(("error", "after"), [(KeyError("x"), 0), (ValueError("x"), 200)])
async def test_without_a_handler_for_all_others_they_go_on_untold(
    error: Exception, after: int
) -> None:
    sent, scope = await ask(Failures({ValueError: tell_value}), error, after=after)
    assert (sent, scope["raised"]) == ([], error)
    assert "told" not in scope["state"]


class TestTheServerStops:
    """After the grace time it cancels what is under way."""

    async def break_off(self, method: str, *, has_begun: bool = False) -> tuple[Sent, bool]:
        """What is sent, and whether the request's task is cancelled."""
        sent: Sent = []

        async def hang(scope: Scope, receive: Receive, send: Send) -> None:
            if has_begun:
                await send({"type": "http.response.start", "status": 200, "headers": []})
            await asyncio.Event().wait()

        async def receive() -> Message:
            return {"type": "http.request"}

        async def send(message: Message) -> None:
            sent.append(message)

        gate = Gate(hang, Settings(_env_file=None), Traffic())  # type: ignore[call-arg]
        headers = [(b"host", b"localhost")]
        scope = {"type": "http", "scheme": "http", "method": method, "path": "/users/import"}
        scope |= {"raw_path": b"/users/import", "query_string": b"", "headers": headers}
        request = asyncio.create_task(gate(scope, receive, send))
        await asyncio.sleep(0)
        request.cancel()
        await asyncio.wait([request])
        return sent, request.cancelled()

    async def test_whoever_has_no_answer_is_told(self) -> None:
        (start, body), cancelled = await self.break_off("POST")
        assert (start["status"], cancelled) == (503, False)
        assert (b"retry-after", b"5") in start["headers"]
        assert b"The server is stopping" in body["body"]
        assert b"The write may have happened all the same" in body["body"]
        (_, body), _ = await self.break_off("GET")
        assert b"may have happened" not in body["body"]

    async def test_an_answer_that_has_begun_breaks(self) -> None:
        (start,), cancelled = await self.break_off("GET", has_begun=True)
        assert (start["status"], cancelled) == (200, True)
