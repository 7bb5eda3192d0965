"""Saved views as screens: those of a collection, saving one, changing and deleting the own ones."""

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.bodies import read_model
from app.api.router import ResourceRouter
from app.api.saved_lists import FoundView, SavedLists
from app.api.saved_views import ChangedView, NewView, make_slug
from app.errors import Conflict, Fault, Invalid, RequestError
from app.pages import addresses
from app.pages.addresses import Pairs
from app.pages.forms import read_form
from app.pages.screens import Screens

TRIES = 100  # slugs that are tried for one name
WORD = "view"  # the slug of a name that makes none


class SavedScreens:
    """The handlers of saved views on the pages."""

    def __init__(self, lists: SavedLists, screens: Screens) -> None:
        self._lists = lists
        self._screens = screens

    async def show(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/views?…`: the views of the collection, and the query as a new one."""
        access = router.access(request, "read")
        pairs = requests.pairs(request)
        access.compiler.list(pairs)  # refuses what can't be
        return await self._show(request, router, pairs)

    async def _show(
        self,
        request: Request,
        router: ResourceRouter,
        pairs: Pairs,
        error: RequestError | None = None,
        name: str = "",
    ) -> Response:
        """The screen; where something was refused, with what it was."""
        faults: Sequence[Fault] = ()
        if error is not None:
            faults = error.faults or (Fault(error.detail),)
        screen = self._screens.look(request)
        return self._screens.render(
            request,
            "views.html",
            error.status if error is not None else HTTPStatus.OK,
            name=screen.name_of(router.resource),
            path=addresses.of_collection(router.resource),
            addresses=addresses,
            views=await self._lists.list(request, router.resource),
            pairs=pairs,
            faults=faults,
            typed=name,
        )

    async def save(self, request: Request, router: ResourceRouter) -> Response:
        """`POST /ui/users/views`: saves a query under a name, and leads back to it."""
        router.access(request, "read")
        requests.refuse_parameters(request)
        form = await read_form(request)
        name = form.get("name", "").strip()
        pairs = addresses.without(_read_query(form.get("query", "")), "after", "skip")
        path = addresses.of_collection(router.resource)
        address = addresses.with_pairs(path, pairs)
        order = {"name": name, "address": address, "for_all": "for_all" in form}
        try:
            await self._save(request, order)
        except (Invalid, Conflict) as error:
            return await self._show(request, router, pairs, error, name)
        return self._screens.go(request, address, "view")

    async def _save(self, request: Request, order: dict[str, object]) -> FoundView:
        """Saves the view with the first slug that is free: people choose a name alone."""
        slug = make_slug(str(order["name"])) or WORD
        for number in range(2, TRIES):
            try:
                return await self._lists.save(request, read_model(NewView, {**order, "slug": slug}))
            except Conflict as error:
                if not error.faults:  # it isn't the slug
                    raise
            slug = f"{make_slug(str(order['name'])) or WORD}-{number}"
        raise Conflict("There are many views with this name already; choose another one.")

    async def change(self, request: Request, router: ResourceRouter) -> Response:
        """`POST /ui/users/views/{slug}`: another name, or for whom it is."""
        self._lists.require_full(request)
        requests.refuse_parameters(request)
        form = await read_form(request)
        changed = {"name": form.get("name", "").strip(), "for_all": "for_all" in form}
        try:
            order = read_model(ChangedView, changed)
            await self._lists.change(request, request.path_params["slug"], order)
        except Invalid as error:
            return await self._show(request, router, (), error)
        return self._screens.go(request, _list_of(router), "view")

    async def delete(self, request: Request, router: ResourceRouter) -> Response:
        """`POST /ui/users/views/{slug}/delete`."""
        self._lists.require_full(request)
        requests.refuse_parameters(request)
        await self._lists.delete(request, request.path_params["slug"])
        return self._screens.go(request, _list_of(router), "view_deleted")


def _read_query(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


def _list_of(router: ResourceRouter) -> str:
    """The address of the screen of a collection's views."""
    return f"{addresses.of_collection(router.resource)}views"


def find_current(views: Sequence[FoundView], pairs: Pairs) -> FoundView | None:
    """The view whose address asks what a screen shows."""
    shown = _sort(pairs)
    return next((one for one in views if _sort(_read_query(one.view.query)) == shown), None)


def _sort(pairs: Pairs) -> list[tuple[str, str]]:
    """The pairs but for the place of the page; their order means nothing."""
    return sorted(pair for pair in addresses.without(pairs, "after", "skip", "count") if pair[1])
