"""Routes: one for each path, which knows the methods of that path."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route, Router
from starlette.types import Receive, Scope, Send

from app.errors import MethodNotAllowed

Handler = Callable[[Request], Awaitable[Response]]


class Methods:
    """The handlers of one path by method; HEAD is what GET would answer, without the body.

    A plain ASGI callable: FastAPI's own route costs about a tenth of a millisecond for dependencies that our handlers
    don't have.
    """

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = dict(handlers)
        if "GET" in handlers:
            self._handlers.setdefault("HEAD", handlers["GET"])
        self._allow = ", ".join(sorted(self._handlers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._handlers.get(scope["method"])
        if handler is None:
            raise MethodNotAllowed(
                f"{scope['method']} is not possible here; {self._allow} is.",
                headers={"Allow": self._allow},
            )
        response = await handler(Request(scope, receive, send))
        await response(scope, receive, send)


def route(path: str, handlers: Mapping[str, Handler]) -> Route:
    """A Starlette route that leaves the choice of the method to `Methods`."""
    return Route(path, Methods(handlers), methods=None, include_in_schema=False)


class Paths:
    """Finds the route of a request by the first step of its path: any number of resources costs the same."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._routes: dict[str, list[BaseRoute]] = {}
        for known in router.routes:
            self._routes.setdefault(_first_step(getattr(known, "path", "/")), []).append(known)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._router.lifespan(scope, receive, send)
            return
        for known in self._routes.get(_first_step(scope["path"]), ()):
            match, found = known.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                await known.handle(scope, receive, send)
                return
        raise HTTPException(404)


def _first_step(path: str) -> str:
    return path.split("/", 2)[1] if path.startswith("/") else ""
