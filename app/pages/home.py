"""The first screen: the collections with their counts, and what was looked at last."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.router import ResourceRouter
from app.api.saved_lists import FoundView, SavedLists
from app.errors import Fault, Invalid, RequestError
from app.pages import addresses
from app.pages.screens import Screens
from app.pages.titles import name_of
from app.resources.registry import Resource

SEARCH = "q"  # the parameter with a part of a collection's name


@dataclass(frozen=True)
class Entry:
    """A collection on the first screen; `total` is None where counting failed."""

    resource: Resource
    name: str
    address: str
    total: int | None
    strategy: str | None


class Home:
    """The handler of the first screen."""

    def __init__(
        self,
        routers: Mapping[str, ResourceRouter],
        screens: Screens,
        saved: SavedLists,
        *,
        has_docs: bool,
    ) -> None:
        self._saved = saved
        self._has_docs = has_docs
        self._routers = routers
        self._screens = screens

    async def show(self, request: Request) -> Response:
        """`GET /` and `GET /ui/`: the collections that the caller may read."""
        search = _read_search(request)
        screen = self._screens.look(request)
        asked = [self._count(request, one) for one in screen.resources if _matches(one, search)]
        views, entries = await asyncio.gather(self._list_views(request), asyncio.gather(*asked))
        by_address = {entry.resource.address: entry for entry in entries}
        seen = [by_address[one] for one in screen.preferences.seen if one in by_address]
        return self._screens.render(
            request,
            "home.html",
            entries=entries,
            seen=seen,
            views=views,
            search=search,
            has_docs=self._has_docs,
        )

    async def _list_views(self, request: Request) -> Sequence[FoundView]:
        """The saved views; none where they can't be read, for the collections are there."""
        try:
            return await self._saved.list(request)
        except RequestError:
            return ()

    async def _count(self, request: Request, resource: Resource) -> Entry:
        access = self._routers[resource.address].access(request, "read")
        query = access.compiler.list([("limit", "1")])
        total, strategy = None, None
        try:
            page = await access.repository.page(query)
            total, strategy = page.total, page.strategy
        except RequestError:  # the others are shown all the same
            pass
        address = addresses.of_collection(resource)
        return Entry(resource, name_of(resource), address, total, strategy)


def _matches(resource: Resource, search: str) -> bool:
    text = search.casefold()
    return text in resource.address.casefold() or text in name_of(resource).casefold()


def _read_search(request: Request) -> str:
    """What is searched for; raises `Invalid` for another parameter."""
    search = ""
    for name, value in requests.pairs(request):
        if name != SEARCH:
            detail = f"{name}: there is no such parameter here."
            raise Invalid(detail, Fault(detail, parameter=name))
        search = value.strip()
    return search
