"""As much as the API knows of the pages: where they are, who reads them, what shows a screen."""

from collections.abc import Mapping
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.api.negotiation import prefers_html
from app.errors import Fault, Invalid
from app.resources.registry import Resource

UI = "/ui"
NEXT = "next"  # the parameter that says where to go on
_OWN, _ADMINISTRATION = "auth/", "admin/"  # `auth/accounts` is at `/ui/admin/accounts/`
_ISSUED = ("auth/keys", "auth/shares")
HTMX = b"hx-request"  # the header by which htmx asks; it takes whatever there is


def check_next(path: str) -> str:
    """Where a form leads on to; raises `Invalid` unless it is a path of this server."""
    # A browser takes // and /\ for the beginning of another server's address.
    if path.startswith("/") and path[1:2] not in ("/", "\\") and path.isprintable():
        return path
    detail = f"{NEXT}: must be a path of this server."
    raise Invalid(detail, Fault(detail, parameter=NEXT))


class ScreenRenderer(Protocol):
    """What shows the screens of a server."""

    def render(
        self,
        request: Request,
        template: str,
        status: int = ...,
        headers: Mapping[str, str] | None = ...,
        **words: Any,
    ) -> Response:
        """Answers with a screen: a template, and the words that it is filled with."""

    def go(self, request: Request, address: str, done: str) -> Response:
        """Leads to another screen, which says what was done."""


def is_for_readers(scope: Scope) -> bool:
    """Whether a path is one of the pages', with the prefix that a proxy takes off or without.

    The home is one as well, where HTML is what is asked for.
    """
    path: str = scope["path"]
    root = scope.get("root_path", "")
    if path in ("/", f"{root}/"):
        return prefers_html(_accept(scope))
    return f"{path}/".startswith((f"{UI}/", f"{root}{UI}/"))


def takes_html(scope: Scope) -> bool:
    """Whether a page would be shown to a reader."""
    return "text/html" in _accept(scope) or HTMX in dict(scope["headers"])


def _accept(scope: Scope) -> str:
    accept: bytes = dict(scope["headers"]).get(b"accept", b"")
    return accept.decode("latin-1")


def is_auth_resource(resource: Resource) -> bool:
    """Whether a resource is one of our own: the address of no other one has a slash."""
    return resource.address.startswith(_OWN)


def is_issued(resource: Resource) -> bool:
    """Whether its documents are made of less than they are, and shown once with a secret."""
    return resource.address in _ISSUED


def path_of_pages(resource: Resource) -> str:
    """The path below which the pages of a resource are, as routes have it: `/ui/users`."""
    address = resource.address
    if is_auth_resource(resource):
        address = _ADMINISTRATION + address.removeprefix(_OWN)
    return f"{UI}/{address}"
