"""Saved views as one caller has them: which there are, what is wrong with each, what they answer.

A view is found by whom it is for and who may ask for what its address asks. Of those that ask for a
field which only others see nothing is told.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.callers import Caller, caller_of
from app.api.headers import name_file
from app.api.page_links import PAGE_PARAMETERS
from app.api.router import EXPORT, ResourceRouter
from app.api.saved_views import ChangedView, NewView, SavedView, SavedViews, make_slug, make_unknown
from app.api.subrequests import FindRoute, read_address
from app.errors import Fault, Forbidden, Invalid, NotFound, Unavailable
from app.query.compile import Compiler, Compilers, Pairs
from app.query.parameters import fault_of, make_invalid_query, parameters_of
from app.resources.faults import make_invalid_body
from app.resources.moments import now
from app.resources.registry import Resource
from app.spelling import suggest_nearest
from app.spreadsheets.formats import FORMATS
from app.transfers.exports import ask_for_export

PAGE = "/ui"  # before the address of a list: the same as a screen
ADDED_TO_LISTS = ("limit", "skip", "after")  # parameters beside those of the view
_OF_FORMATS = {name for found in FORMATS.values() for name in found.takes}
ADDED_TO_EXPORTS = (  # the options of exports, but for what says which documents, in which order
    *(parameters_of("export", _OF_FORMATS).keys() - parameters_of("list").keys()),
    *("limit", "skip"),
)


@dataclass(frozen=True)
class FoundView:
    """A view that a caller may know of; `problem` says why it can't be used any more."""

    view: SavedView
    is_mine: bool
    problem: str | None

    def show(self, root: str) -> dict[str, Any]:
        """What a client is told; `root` is the prefix that a proxy takes off."""
        view = self.view
        return {
            "slug": view.slug,
            "name": view.name,
            "resource": view.resource,
            "address": f"{root}{view.address}",
            "page": f"{root}{PAGE}{view.address}",
            "for_all": view.for_all,
            "mine": self.is_mine,
            "problem": self.problem,
            "created": view.created,
            "changed": view.changed,
        }


class SavedLists:
    """The views of one server; `routers` are those of its resources, by their address.

    `compilers` read queries as somebody who may read everything, `find` gives the route of a path.
    """

    def __init__(
        self,
        views: SavedViews,
        routers: Mapping[str, ResourceRouter],
        compilers: Compilers,
        find: FindRoute,
    ) -> None:
        self._views = views
        self._routers = routers
        self._compilers = compilers
        self._find = find

    # --- which there are ---

    async def list(
        self, request: Request, resource: Resource | None = None
    ) -> Sequence["FoundView"]:
        """The caller's views and those for all, by name; with `resource` those of that one."""
        owner = caller_of(request.scope).key
        views = await self._views.list(owner, resource.address if resource is not None else None)
        return self._look_at_all(request, views)

    async def list_recent(self, request: Request, resource: Resource) -> Sequence["FoundView"]:
        """The same of one resource, as of a second ago, which costs a table next to nothing."""
        owner = caller_of(request.scope).key
        views = await self._views.list_recent(owner, resource.address)
        return self._look_at_all(request, views)

    def _look_at_all(self, request: Request, views: Iterable[SavedView]) -> Sequence["FoundView"]:
        found = []
        for view in views:
            with suppress(NotFound):
                found.append(self._look(request, view))
        return found

    async def find(self, request: Request, slug: str) -> FoundView:
        """The view with this slug; raises `NotFound`, also for one that isn't for the caller."""
        view = await self._views.read(slug)
        caller = caller_of(request.scope)
        if not (view.for_all or _may_change(caller, view)):
            raise make_unknown(slug)
        return self._look(request, view)

    def _look(self, request: Request, view: SavedView) -> FoundView:
        """The view with its problem; raises `NotFound` where nothing is told of it."""
        caller = caller_of(request.scope)
        is_mine = view.owner == caller.key
        router = self._routers.get(view.resource)
        if router is None:
            return FoundView(view, is_mine, f"There is no collection {view.resource!r} any more.")
        access = router.access(request)
        if not (access.view.rights.may("read") or access.view.rights.may("export")):
            if is_mine:
                return FoundView(view, is_mine, f"You may not read {view.resource!r} any more.")
            raise make_unknown(view.slug)
        faults = _find_faults(access.compiler, view)
        if faults and not is_mine and faults - self._find_faults_for_all(router, view):
            raise make_unknown(view.slug)
        problem = " ".join(sorted(fault.detail for fault in faults))
        return FoundView(view, is_mine, problem or None)

    def _find_faults_for_all(self, router: ResourceRouter, view: SavedView) -> set[Fault]:
        return _find_faults(self._compilers[router.resource.name], view)

    # --- what they answer ---

    async def answer(self, request: Request, slug: str) -> Response:
        """The list that the view asks for, by the rights of the caller."""
        view = await self._find_usable(request, slug)
        pairs = _put_in_place(_pairs_of(view), _read_added(request, ADDED_TO_LISTS))
        return await self._answer(request, f"/{quote(view.resource)}/", pairs)

    async def export(self, request: Request, slug: str, format_: str) -> Response:
        """A download of all that the view lists, named as it is."""
        view = await self._find_usable(request, slug)
        added = _read_added(request, ADDED_TO_EXPORTS)
        pairs = _put_in_place(ask_for_export(_pairs_of(view)), added)
        path = f"/{quote(view.resource)}/{EXPORT}/{quote(format_, safe='')}"
        response = await self._answer(request, path, pairs)
        response.headers["Content-Disposition"] = name_file(
            f"{view.slug}.{FORMATS[format_].extension}"
        )
        return response

    async def _find_usable(self, request: Request, slug: str) -> SavedView:
        found = await self.find(request, slug)
        if found.problem is not None:
            faults = [Fault(found.problem, parameter="slug")]
            raise Invalid(f"The view {slug!r} can't be used any more: {found.problem}", *faults)
        return found.view

    async def _answer(self, request: Request, path: str, pairs: Pairs) -> Response:
        address = read_address(f"{path}?{urlencode(pairs)}", self._find)
        if address is None:
            raise NotFound(f"There is nothing at {request.scope['path']}.")
        return await address.answer(request, caller_of(request.scope), request.method)

    # --- saving them ---

    async def save(self, request: Request, new: NewView) -> FoundView:
        """Saves a view.

        Raises `Invalid` with pointers for what can't be, `Conflict` for a slug that is taken.
        """
        slug = new.slug or make_slug(new.name)
        if not slug:
            detail = "The name has no letter and no digit to make a slug of; say one."
            raise make_invalid_body([Fault(detail, pointer="#/slug")])
        resource, address = await self._read_address(request, new.address)
        owner, moment = caller_of(request.scope).key, now()
        view = SavedView(slug, new.name, address, resource, new.for_all, owner, moment, moment)
        await self._views.insert(view)
        return FoundView(view, True, None)

    async def change(self, request: Request, slug: str, changed: ChangedView) -> FoundView:
        """Changes a view where it is `changed`.

        Raises `Forbidden` and `NotFound` where that is not the caller's, else as `save`.
        """
        view = await self._find_own(request, slug)
        values = {name: getattr(changed, name) for name in changed.model_fields_set}
        if "address" in values:
            resource, address = await self._read_address(request, values["address"])
            values |= {"resource": resource, "address": address}
        return self._look(request, await self._views.change(view, **values))

    async def delete(self, request: Request, slug: str) -> None:
        """Deletes a view; raises `Forbidden` and `NotFound` where that is not the caller's."""
        await self._views.delete(await self._find_own(request, slug))

    def require_full(self, request: Request) -> None:
        """Raises `Forbidden` for a token or a key that is for some scopes only."""
        if not caller_of(request.scope).is_full:
            raise Forbidden("To change or delete views this needs all scopes of the account.")

    async def _find_own(self, request: Request, slug: str) -> SavedView:
        """The view that the caller may change: the own ones, or as an administrator all.

        Raises `Forbidden` where it may be used and not changed, else `NotFound`.
        """
        self.require_full(request)
        caller = caller_of(request.scope)
        view = await self._views.read(slug)
        if not _may_change(caller, view):
            await self.find(request, slug)  # of one that isn't for the caller nothing is told
            raise Forbidden("Only its owner and administrators change this view.")
        return view

    async def _read_address(self, request: Request, text: str) -> tuple[str, str]:
        """The resource of the list at an address, and the address as it is stored."""
        root = request.scope.get("root_path", "")
        address = text.removeprefix(root) if text.startswith(f"{root}/") else text
        if address.startswith(f"{PAGE}/"):
            address = address.removeprefix(PAGE)
        found = read_address(address, self._find)
        router = self._find_router(found.route.path) if found is not None else None
        if found is None or router is None:
            detail = (
                "This must be the path of a list with its query, such as "
                "/users/?age__gte=18&sort=name, percent-encoded."
            )
            raise make_invalid_body([Fault(detail, pointer="#/address")])
        access = router.access(request, "read")
        try:
            pairs = requests.parse_pairs(found.query.encode())
            if any(name == "after" for name, _ in pairs):
                raise make_invalid_query([fault_of("after", "a view begins at its first page")])
            query = access.compiler.list(pairs)
            if query.patterns:  # only the database knows which of them can be
                with suppress(Unavailable):  # it may be a slow one, for who can wait
                    await access.repository.page(replace(query, limit=1, count="none"))
        except Invalid as error:
            faults = [Fault(fault.detail, pointer="#/address") for fault in error.faults]
            raise make_invalid_body(faults) from None
        address = f"/{quote(router.resource.address)}/"
        return router.resource.address, f"{address}?{found.query}" if found.query else address

    def _find_router(self, path: str) -> ResourceRouter | None:
        """The router of the resource whose list has this path."""
        return self._routers.get(path.strip("/"))


def _may_change(caller: Caller, view: SavedView) -> bool:
    return caller.is_admin or view.owner == caller.key


def _pairs_of(view: SavedView) -> Pairs:
    return requests.parse_pairs(view.query.encode())


def _find_faults(compiler: Compiler, view: SavedView) -> set[Fault]:
    try:
        compiler.list(_pairs_of(view))
    except Invalid as error:
        return set(error.faults)
    return set()


def _read_added(request: Request, known: Sequence[str]) -> Pairs:
    """The parameters of the request; raises `Invalid` where they are none of these."""
    pairs = requests.pairs(request)
    faults = [
        fault_of(
            name,
            "there is no such parameter here; conditions, order and columns are the view's own."
            f"{suggest_nearest(name, known)}",
        )
        for name, _ in pairs
        if name not in known
    ]
    if faults:
        raise make_invalid_query(faults)
    return pairs


def _put_in_place(saved: Iterable[tuple[str, str]], added: Pairs) -> list[tuple[str, str]]:
    """The saved parameters, with those that were added in the place of theirs."""
    names = {name for name, _ in added}
    if not names.isdisjoint(PAGE_PARAMETERS):  # one of them takes the place of the other
        names.update(PAGE_PARAMETERS)
    return [*((name, value) for name, value in saved if name not in names), *added]
