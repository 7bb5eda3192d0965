"""What our routes raise, as answers.

Starlette has two layers for it, each with a request and a `send` of its own for every request. This
one has nothing to do before something is raised: whether an answer has begun, `Gate` knows.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

STATUS = "status"  # of the answer that has begun, else 0; in the request's state

Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]


class Failures:
    """The layer around our routes, with a handler for each class of errors.

    That of `Exception` is for what nobody expected, and for what is raised when an answer has
    begun: such an error goes on to the server, which closes the connection. Without this handler it
    goes on as it is.
    """

    def __init__(self, handlers: Mapping[type[Exception], Handler]) -> None:
        self._handlers = dict(handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await scope["endpoint"](scope, receive, send)
        except Exception as error:
            if not await self._answer(error, scope, receive, send):
                raise

    async def _answer(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answers where it can; whether nothing is left to be done."""
        has_begun = bool(scope["state"][STATUS])
        kind = Exception if has_begun else self._find_kind(error)
        handle = self._handlers.get(kind)
        if handle is None:
            return False
        response = await handle(Request(scope, receive, send), error)
        if not has_begun:
            await response(scope, receive, send)
        return kind is not Exception

    def _find_kind(self, error: Exception) -> type[Exception]:
        return next((kind for kind in type(error).__mro__ if kind in self._handlers), Exception)
