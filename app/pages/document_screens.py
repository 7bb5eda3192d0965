"""What the screens of one document have in common: how it is found, and how it is drawn."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.access import Access
from app.api.router import ResourceRouter
from app.errors import Fault, Invalid, NotFound
from app.pages import addresses
from app.pages.changes import Json
from app.pages.screens import Screens
from app.pages.tables import cells_of
from app.resources.rendering import to_json
from app.store.stored import Stored

OF_DOCUMENT, BELOW = -1, -2  # the step of the path that is the `_id`


class DocumentScreens:
    """Screens of the documents of all resources; each handler answers for one router."""

    def __init__(self, routers: Mapping[str, ResourceRouter], screens: Screens) -> None:
        self._routers = routers
        self._screens = screens

    def own_address(self, request: Request) -> str:
        """The address of the document that a screen is below, as it was asked for."""
        path = _raw_path(request).rpartition("/")[0]
        return path.removeprefix(request.scope.get("root_path", ""))

    def render(
        self,
        request: Request,
        access: Access,
        template: str,
        status: int = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
        **words: Any,
    ) -> Response:
        """The answer that a template makes of a document of one collection."""
        resource = access.view.resource
        screen = self._screens.look(request)
        return self._screens.render(
            request,
            template,
            status,
            headers,
            resource=resource,
            access=access,
            cells=cells_of(screen.language.code),
            name=screen.name_of(resource),
            path=addresses.of_collection(resource),
            **words,
        )


def refuse_others(pairs: Sequence[tuple[str, str]], *known: str) -> None:
    """Raises `Invalid` for parameters that a screen doesn't have."""
    faults = [
        Fault(f"{name}: there is no such parameter here.", parameter=name)
        for name, _ in pairs
        if name not in known
    ]
    if faults:
        raise Invalid(faults[0].detail, *faults)


def present(access: Access, stored: Stored) -> Any:
    """The document as its reader sees it."""
    document = stored.document
    if access.present:
        access.present(document)
    return document


def as_json(access: Access, stored: Stored) -> Json:
    """The same as the JSON that the API shows."""
    value: Json = requests.parse_json(to_json(present(access, stored), stored.raw))
    return value


async def find_document(request: Request, access: Access, step: int) -> Stored:
    """The document of a screen; raises `NotFound`, or `Invalid` for no `_id`."""
    keys, error = read_keys(request, access, step)
    try:
        return await access.repository.read(keys)
    except NotFound:
        if error is not None:
            raise requests.make_key_error(error) from None
        raise


def read_keys(
    request: Request, access: Access, step: int
) -> tuple[Iterable[Any], ValueError | None]:
    """The `_id`s that a step of the path may stand for; one in quotes is no screen's name."""
    keys, error = requests.keys(request, access.view.whole.key, step)
    text = unquote(_raw_path(request).split("/")[step])
    is_screen = text[1:-1] in addresses.SCREENS and text[0] == text[-1] == '"'
    return (itertools.chain(keys, [text[1:-1]]) if is_screen else keys), error


def _raw_path(request: Request) -> str:
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.decode("ascii", "replace").partition("?")[0]


def matches(etag: str) -> Callable[[str], bool]:
    """What a write asks of the stored document's ETag."""
    return lambda stored: stored == etag
