"""Documents that a document links to, by their names, and what links to it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request

from app.api.access import Access
from app.api.router import ResourceRouter
from app.pages import addresses
from app.pages.naming import name_document
from app.pages.picks import write_value
from app.pages.titles import title_of
from app.query.conditions import Condition
from app.query.operators import OPERATORS
from app.resources.codec import decode
from app.resources.fields import FieldPath
from app.resources.keys import write_key
from app.resources.kinds import show_link
from app.resources.links import LinkPath
from app.resources.registry import Resource
from app.store.lists import ListPage
from app.store.stored import Stored

COUNTED = (("limit", "1"), ("fields", "_id"))


@dataclass(frozen=True)
class Linked:
    """A document that a link leads to: what it is called, and its address."""

    name: str
    address: str


@dataclass
class Names:
    """The documents that links lead to, by collection and the text of their key."""

    known: dict[tuple[str, str], Linked] = field(default_factory=dict)

    def find(self, collection: str, key: Any) -> Linked | None:
        """The document; None where the reader can't see one."""
        return self.known.get((collection, write_value(key)))


async def name_linked(access: Access, stored: Stored) -> Names:
    """The names of what a document links to, as far as the caller may read it."""
    resource = access.view.resource
    views = access.repository.reach.compilers.views
    paths = [
        link.path
        for link in resource.links
        if views[link.target.collection].rights.may("read")
        and resource.shape.find(link.path) is not None
    ]
    names = Names()
    if not paths:
        return names
    expansions = access.compiler.read([("expand", ",".join(paths))]).expand
    links, expanded = decode(stored.raw), decode(stored.raw)
    await access.repository.expand(expanded, expansions)
    for expansion in expansions:
        steps = expansion.path.split(".")
        pairs = zip(_values_at(links, steps), _values_at(expanded, steps), strict=True)
        for link, document in pairs:
            if isinstance(document, dict) and not isinstance(link, dict):
                key = show_link(expansion.target.name, link)
                names.known[expansion.target.name, write_value(key)] = Linked(
                    name_document(expansion.target, document),
                    addresses.of_document(expansion.target, document["_id"]),
                )
    return names


def _values_at(value: Any, steps: list[str]) -> Iterator[Any]:
    """What stands at a path, element by element."""
    if isinstance(value, list):
        for inner in value:
            yield from _values_at(inner, steps)
    elif not steps:
        yield value
    elif isinstance(value, dict) and steps[0] in value:
        yield from _values_at(value[steps[0]], steps[1:])


@dataclass(frozen=True)
class Referrer:
    """A field whose links lead to a document: how many documents have one, and their table."""

    resource: Resource
    field: str
    page: ListPage
    address: str


async def list_referrers(
    request: Request,
    routers: Mapping[str, ResourceRouter],
    resource: Resource,
    key: Any,
) -> list[Referrer]:
    """What links to a document, as far as the caller may read it."""
    found = []
    for other in routers.values():
        if not request.scope["caller"].rights.of(other.resource.name).may("read"):
            continue
        access = other.access(request, "read")
        for link in other.resource.links:
            is_seen = access.compiler.names.path(link.path) is not None
            if link.target.collection == resource.name and is_seen:
                found.append(await _count(access, link, resource, key))
    return [one for one in found if one.page.total != 0]


async def _count(access: Access, link: LinkPath, resource: Resource, key: Any) -> Referrer:
    condition = Condition(FieldPath(link.path, link.field), OPERATORS["eq"], key)
    query = access.compiler.list(COUNTED, [condition])
    page = await access.repository.page(query)
    other = access.view.resource
    text = unquote(write_key(resource.key, key))
    address = addresses.with_pairs(addresses.of_collection(other), [(link.path, text)])
    return Referrer(other, title_of(other.shape, link.path), page, address)
