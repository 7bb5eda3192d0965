"""Routes of our own: one for each path, which knows the methods of that path.

They pass FastAPI's stack by: dependencies cost it about a tenth of a millisecond for each request,
and our handlers have none. Whatever is no path of ours is FastAPI's.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from app.api.descriptions import Description
from app.errors import MethodNotAllowed
from app.query.compile import Compilers

Handler = Callable[[Request], Awaitable[Response]]
Describe = Callable[
    [Compilers], Sequence[Description]
]  # as the caller with these compilers sees it
TO_COME = (  # first steps that are kept free for what this program will offer there
    "auth", "ui", "shared", "jobs", "schedules", "webhooks", "hooks", "chat", "metrics",
    "docs", "redoc", "openapi.json",  # also while they are off
)  # fmt: skip


class Route:
    """One path and its handlers by method; HEAD is what GET would answer, without the body.

    `descriptions` is what it says of itself in OpenAPI, the same to all callers or to each its own.
    """

    def __init__(
        self,
        path: str,
        handlers: Mapping[str, Handler],
        descriptions: Sequence[Description] | Describe = (),
    ) -> None:
        self.path = path
        self.descriptions = descriptions
        self.is_plain = "{" not in path
        self._pattern = compile_path(path)[0]
        self._handlers = dict(handlers)
        if "GET" in handlers:
            self._handlers.setdefault("HEAD", handlers["GET"])
        self._allow = ", ".join(sorted(self._handlers))

    @property
    def first_step(self) -> str:
        """The path as far as its second slash: `users` of `/users/{key}`."""
        return first_step(self.path)

    def describe(self, compilers: Compilers) -> Sequence[Description]:
        """What it says of itself to the caller with these compilers."""
        return self.descriptions(compilers) if callable(self.descriptions) else self.descriptions

    def match(self, path: str) -> dict[str, Any] | None:
        """The parameters of a path that is this one, or None."""
        found = self._pattern.match(path)
        return found.groupdict() if found else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.answer(Request(scope, receive, send))
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """The answer to a request of this path; raises `MethodNotAllowed`."""
        handler = self._handlers.get(request.method)
        if handler is None:
            raise MethodNotAllowed(
                f"{request.method} is not possible here; {self._allow} is.",
                headers={"Allow": self._allow},
            )
        return await handler(request)


class Paths:
    """Routes by the first step and the number of steps: any number of resources costs the same.

    Those without parameters come before all others.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._plain: dict[str, Route] = {}
        self._by_form: dict[tuple[str, int], list[Route]] = {}
        for route in self.routes:
            if route.is_plain:
                self._plain.setdefault(route.path, route)
            else:
                self._by_form.setdefault(_form(route.path), []).append(route)

    def find(self, path: str) -> tuple[Route, dict[str, Any]] | None:
        """The route of a path, and the parameters that the path has for it.

        None where there is none.
        """
        plain = self._plain.get(path)
        if plain is not None:
            return plain, {}
        for route in self._by_form.get(_form(path), ()):
            parameters = route.match(path)
            if parameters is not None:
                return route, parameters
        return None


def _form(path: str) -> tuple[str, int]:
    """The first step and the number of slashes, which no parameter of a path has in it."""
    return first_step(path), path.count("/")


def first_step(path: str) -> str:
    """`users` of `/users/{key}`."""
    return path.split("/", 2)[1] if path.startswith("/") else ""


def list_reserved_steps(own: Iterable[Route]) -> frozenset[str]:
    """The first steps that only our routes may have, those of now and of later ones."""
    return frozenset(route.first_step for route in own) | set(TO_COME)


def decode_path(raw: bytes) -> str:
    """A percent-encoded path as ASGI's `path`, in which an encoded slash stays `%2F`.

    It belongs to a name, and must not look like a step where routes are matched.
    """
    steps = [unquote_to_bytes(step).decode("utf-8", "replace") for step in raw.split(b"/")]
    return "/".join(step.replace("/", "%2F") for step in steps)
