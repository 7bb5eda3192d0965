"""What links to a document: `GET /authors/{_id}/books` is a list like any other.

Where several fields of one resource link here, `/authors/{_id}/books.editors` names the field; it
may always be named.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.api import operations
from app.api.descriptions import Description
from app.api.router import EXPORT, ResourceRouter
from app.api.routing import Handler, Route
from app.query.compile import Compilers
from app.query.conditions import Condition
from app.query.operators import OPERATORS
from app.resources.fields import FieldPath
from app.resources.links import LinkPath
from app.resources.views import Action

KEY_STEP = 2  # of `/authors/{_id}/books`


def make_reverse_routes(routers: Sequence[ResourceRouter]) -> list[Route]:
    """The routes of all lists of what links to a document of these resources."""
    by_collection = {router.resource.name: router for router in routers}
    routes: list[Route] = []
    for other in routers:
        fields = Counter(link.target.collection for link in other.resource.links)
        for link in other.resource.links:
            target = by_collection[link.target.collection]
            names = [f"{other.resource.address}.{link.path}"]
            if fields[link.target.collection] == 1:
                names.insert(0, other.resource.address)
            for name in names:
                routes += _routes(target, other, link, name, is_described=name == names[0])
    return routes


def _routes(
    target: ResourceRouter, other: ResourceRouter, link: LinkPath, name: str, *, is_described: bool
) -> Iterator[Route]:
    path = f"/{target.resource.address}/{{key}}/{name}"

    def describe(compilers: Compilers) -> list[Description]:
        of_target, of_other = compilers[target.resource.name], compilers[other.resource.name]
        if of_other.names.path(link.path) is None:
            return []
        return operations.of_reverse(of_target, of_other, name)

    def describe_list(compilers: Compilers) -> list[Description]:
        return [one for one in describe(compilers) if not one.path.endswith("{format}")]

    def describe_exports(compilers: Compilers) -> list[Description]:
        return [one for one in describe(compilers) if one.path.endswith("{format}")]

    async def below(request: Request, action: Action) -> list[Condition]:
        if other.access(request, action).compiler.names.path(link.path) is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)  # as of a path that isn't there
        stored = await target.find(request, KEY_STEP)
        field = FieldPath(link.path, link.field)
        return [Condition(field, OPERATORS["eq"], stored.document["_id"])]

    async def show(request: Request) -> Response:
        return await other.list(request, await below(request, "read"))

    async def export(request: Request) -> Response:
        return await other.export(request, await below(request, "export"))

    lists: dict[str, Handler] = {"GET": show}
    yield Route(path, lists, describe_list if is_described else ())
    yield Route(f"{path}/", lists)
    exports: dict[str, Handler] = {"GET": export}
    yield Route(f"{path}/{EXPORT}/{{format}}", exports, describe_exports if is_described else ())
