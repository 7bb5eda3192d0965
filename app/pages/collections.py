"""A collection as a table: the screen whose query is that of the list, word for word."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.access import Access
from app.api.pages import is_own
from app.api.router import ResourceRouter
from app.errors import Fault, Invalid
from app.pages import addresses
from app.pages.addresses import Pairs
from app.pages.columns import Column, choose_columns, group_columns
from app.pages.preferences import MOST_SEEN, SEEN, remember
from app.pages.screens import Screens
from app.pages.tables import Table
from app.query.compile import Query
from app.query.expansions import Expansion
from app.resources.registry import Resource

UNPROCESSABLE = HTTPStatus.UNPROCESSABLE_ENTITY


class Collections:
    """The handler of the tables of all resources."""

    def __init__(self, routers: Mapping[str, ResourceRouter], screens: Screens) -> None:
        self._routers = routers
        self._screens = screens

    async def show(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/`: one page of the collection.

        Where a parameter is wrong, its fault, and the table without it.
        """
        access = router.access(request, "read")
        pairs = requests.pairs(request)
        faults: Sequence[Fault] = ()
        try:
            query = access.compiler.list(pairs)
        except Invalid as error:
            faults = error.faults
            pairs = addresses.without(pairs, *[fault.parameter or "" for fault in faults])
            query = access.compiler.list(pairs)
        return await self._answer(request, access, query, pairs, faults)

    async def _answer(
        self,
        request: Request,
        access: Access,
        query: Query,
        pairs: Pairs,
        faults: Sequence[Fault],
    ) -> Response:
        resource = access.view.resource
        columns = choose_columns(resource, query.fields)
        expansions = _expand_links(access, columns)
        page = await access.repository.page(replace(query, expand=expansions))
        if access.present:
            for document in page.documents:
                access.present(document)
        screen = self._screens.look(request)
        table = Table(resource, columns, {one.path: one.target for one in expansions}, screen)
        response = self._screens.render(
            request,
            "collection.html",
            UNPROCESSABLE if faults else HTTPStatus.OK,
            resource=resource,
            access=access,
            name=screen.name_of(resource),
            pairs=pairs,
            query=query,
            page=page,
            faults=faults,
            columns=columns,
            groups=group_columns(resource, columns),
            rows=Markup(table.write(page.documents)),
            addresses=addresses,
            path=addresses.of_collection(resource),
        )
        _remember_seen(request, response, resource, screen.preferences.seen)
        return response


def _expand_links(access: Access, columns: Sequence[Column]) -> tuple[Expansion, ...]:
    """The links among the columns whose documents the caller may read, to show their names."""
    views = access.repository.reach.compilers.views
    paths = []
    for column in columns:
        target = column.field.target
        if target is not None and views[target.collection].rights.may("read"):
            paths.append(column.path)
    return access.compiler.expand([("expand", ",".join(paths))]) if paths else ()


def _remember_seen(
    request: Request, response: Response, resource: Resource, seen: Sequence[str]
) -> None:
    address = resource.address
    if is_own(resource) or seen[:1] == (address,) or "|" in address or not address.isascii():
        return
    others = [one for one in seen if one != address]
    remember(request, response, SEEN, "|".join([address, *others][:MOST_SEEN]))
