"""A collection as a table: the screen whose query is that of the list, word for word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.access import Access
from app.api.pages import is_auth_resource
from app.api.router import ResourceRouter
from app.api.saved_lists import FoundView, SavedLists
from app.errors import Fault
from app.pages import addresses
from app.pages.addresses import Pairs
from app.pages.bulk import offers_ticks
from app.pages.columns import Column, choose_columns, group_columns
from app.pages.dropping import drop_wrong
from app.pages.faceting import list_fields
from app.pages.headings import make_headings
from app.pages.paging import make_paging
from app.pages.picks import Picks
from app.pages.pills import Pill, Pills, list_askings, list_unfiltered
from app.pages.preferences import MOST_SEEN, SEEN, remember
from app.pages.saved import find_current
from app.pages.screens import Screen, Screens
from app.pages.tables import Table
from app.query.compile import Query
from app.query.expansions import Expansion
from app.resources.registry import Resource

TYPING = "docsheet-typing"  # the header of a search that is still being typed
PICKED = "value"  # what a script replaces while a linked document is searched for
UNPROCESSABLE = HTTPStatus.UNPROCESSABLE_ENTITY


@dataclass(frozen=True)
class Panels:
    """What a reader has opened beside the table: the form of a filter, of the columns, lists."""

    form: object = None
    columns: object = None
    facets: object = None


NO_PANELS = Panels()


class Collections:
    """The handler of the tables of all resources."""

    def __init__(
        self, routers: Mapping[str, ResourceRouter], screens: Screens, saved: SavedLists
    ) -> None:
        self._picks = Picks(routers)
        self._saved = saved
        self._screens = screens

    async def lead(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users`: leads to the page, which has a slash at its end."""
        access, pairs = router.access(request, "read"), requests.pairs(request)
        access.compiler.list(pairs)
        address = addresses.of_collection(router.resource)
        return addresses.lead_to(request, addresses.with_pairs(address, pairs))

    async def show(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/`: one page of the collection."""
        access = router.access(request, "read")
        return await self.answer(request, access, requests.pairs(request))

    async def answer(
        self,
        request: Request,
        access: Access,
        asked: Pairs,
        panels: Panels = NO_PANELS,
        status: int = HTTPStatus.OK,
    ) -> Response:
        """The screen of a query; where a parameter is wrong, its fault, and the table without it.

        `status` is an error's where a panel says what is wrong. Raises `Invalid` for what is no
        parameter's fault.
        """
        return await drop_wrong(
            asked,
            lambda pairs, faults: self._answer(
                request, access, pairs, asked, faults, panels, status
            ),
        )

    async def _answer(
        self,
        request: Request,
        access: Access,
        pairs: Pairs,
        asked: Pairs,
        faults: Sequence[Fault],
        panels: Panels,
        status: int,
    ) -> Response:
        query = _count_later(request, access.compiler.list(pairs))
        resource = access.view.resource
        columns = choose_columns(resource, query.fields)
        expansions = _expand_links(access, columns)
        page = await access.repository.page(replace(query, expand=expansions))
        views = await self._list_views(request, resource)
        if access.present:
            for document in page.documents:
                access.present(document)
        screen = self._screens.look(request)
        targets = {one.path: one.target for one in expansions}
        ticks = offers_ticks(access)
        table = Table(resource, columns, targets, screen, ticks=ticks)
        pills = await self._make_pills(request, access, pairs, screen)
        response = self._screens.render(
            request,
            "collection.html",
            UNPROCESSABLE if faults else status,
            _put_aside(request, faults, panels),
            resource=resource,
            access=access,
            name=screen.name_of(resource),
            asked=asked,
            pairs=pairs,
            query=query,
            page=page,
            faults=faults,
            pills=pills,
            unfiltered=list_unfiltered(access.compiler.names, pairs),
            panels=panels,
            has_facets=bool(list_fields(resource)),
            is_part=False,
            columns=columns,
            groups=group_columns(resource, columns),
            paging=make_paging(addresses.of_collection(resource), pairs, query, page),
            headings=make_headings(access.compiler.names, columns, pairs, query.sort),
            rows=Markup(table.write(page.documents)),
            ticks=ticks,
            addresses=addresses,
            path=addresses.of_collection(resource),
            views=views,
            view=find_current(views, pairs),
        )
        _remember_seen(request, response, resource, screen.preferences.seen)
        return response

    async def _make_pills(
        self, request: Request, access: Access, pairs: Pairs, screen: Screen
    ) -> list[Pill]:
        """The conditions in words, linked documents by their names."""
        names = access.compiler.names
        askings = list_askings(names, pairs)
        keys: dict[str, list[str]] = {}
        for collection, key in (link for asking in askings for link in asking.links):
            keys.setdefault(collection, []).append(key)
        linked: dict[tuple[str, str], str] = {}
        for collection, wanted in keys.items():
            found = await self._picks.name(request, collection, wanted)
            linked |= {(collection, key): name for key, name in found.items()}
        address = addresses.of_collection(access.view.resource)
        return Pills(names, address, pairs, screen.language, linked).make_all(askings)

    async def _list_views(self, request: Request, resource: Resource) -> Sequence[FoundView]:
        """The saved views of the collection; of our own collections there are none."""
        if is_auth_resource(resource):
            return ()
        was_changed = bool(self._screens.look(request).done)  # which another process may have done
        find = self._saved.list if was_changed else self._saved.list_recent
        return await find(request, resource)


def _count_later(request: Request, query: Query) -> Query:
    """The query; of a search that is still being typed, whose script asks again, without a count.

    A header says so, for the address is that of the search when it has been typed.
    """
    return replace(query, count="none") if TYPING in request.headers else query


def _put_aside(request: Request, faults: Sequence[Fault], panels: Panels) -> Mapping[str, str]:
    """Which part alone is to be replaced, where a script does so: faults, or what was opened."""
    if "hx-request" not in request.headers or request.headers.get("hx-target") == PICKED:
        return {}
    part = "faults" if faults else "filters" if panels != NO_PANELS else ""
    if not part:
        return {}
    return {"HX-Retarget": f"#{part}", "HX-Reselect": f"#{part}", "HX-Push-Url": "false"}


def _expand_links(access: Access, columns: Sequence[Column]) -> tuple[Expansion, ...]:
    """The links among the columns whose documents the caller may read, to show their names."""
    views = access.repository.reach.compilers.views
    paths = []
    for column in columns:
        target = column.field.target
        if target is not None and views[target.collection].rights.may("read"):
            paths.append(column.path)
    return access.compiler.read([("expand", ",".join(paths))]).expand if paths else ()


def _remember_seen(
    request: Request, response: Response, resource: Resource, seen: Sequence[str]
) -> None:
    address = resource.address
    if (
        is_auth_resource(resource)
        or seen[:1] == (address,)
        or "|" in address
        or not address.isascii()
    ):
        return
    others = [one for one in seen if one != address]
    remember(request, response, SEEN, "|".join([address, *others][:MOST_SEEN]))
