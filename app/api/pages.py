"""Where the pages of a resource are, and what shows a screen: as much as the API knows of pages."""

from collections.abc import Mapping
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from app.resources.registry import Resource

UI = "/ui"
_OWN, _ADMINISTRATION = "auth/", "admin/"  # `auth/accounts` is at `/ui/admin/accounts/`


class Render(Protocol):
    """Answers with a screen: a template, and the words that it is filled with."""

    def __call__(
        self,
        request: Request,
        template: str,
        status: int = ...,
        headers: Mapping[str, str] | None = ...,
        **words: Any,
    ) -> Response:
        """The answer."""


def is_own(resource: Resource) -> bool:
    """Whether a resource is one of our own: the address of no other one has a slash."""
    return resource.address.startswith(_OWN)


def path_of_pages(resource: Resource) -> str:
    """The path below which the pages of a resource are, as routes have it: `/ui/users`."""
    address = resource.address
    if is_own(resource):
        address = _ADMINISTRATION + address.removeprefix(_OWN)
    return f"{UI}/{address}"
