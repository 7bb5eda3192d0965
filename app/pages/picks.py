"""Finds documents by what they are called, for links that are chosen by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from app.api.access import Access
from app.api.router import ResourceRouter
from app.errors import Invalid, TimeLimitExceeded
from app.pages.addresses import Pairs
from app.pages.naming import find_name_path, name_document
from app.resources.rendering import to_json

MAX_CHOICES = 20  # documents to choose from


@dataclass(frozen=True)
class Pick:
    """A document to choose: its `_id` as a filter has it, and what it is called."""

    key: str
    name: str


class Picks:
    """The documents of all resources, as far as the caller may read them."""

    def __init__(self, routers: Mapping[str, ResourceRouter]) -> None:
        self._routers = {router.resource.name: router for router in routers.values()}

    def may_read(self, request: Request, collection: str) -> bool:
        """Whether the caller may choose among the documents of a collection."""
        router = self._routers.get(collection)
        return router is not None and router.access(request).view.rights.may("read")

    async def find(self, request: Request, collection: str, text: str) -> list[Pick]:
        """The first documents whose name has this text in it, those with this `_id` as well."""
        access = self._routers[collection].access(request, "read")
        path = find_name_path(access.view.resource)
        if not text:
            return await self._read(access, [])
        by_key = await self._read(access, [("_id", text)])
        by_name = await self._read(access, [(f"{path}__contains", text)]) if path else []
        return list(dict.fromkeys((*by_key, *by_name)))

    async def name(self, request: Request, collection: str, keys: Sequence[str]) -> dict[str, str]:
        """What the documents with these `_id`s are called, by these."""
        if not self.may_read(request, collection):
            return {}
        access = self._routers[collection].access(request, "read")
        name = "_id" if len(keys) == 1 else "_id__in"
        found = await self._read(access, [(name, key) for key in keys[:MAX_CHOICES]])
        return {one.key: one.name for one in found}

    async def _read(self, access: Access, conditions: Pairs) -> list[Pick]:
        resource = access.view.resource
        path = find_name_path(resource)
        words = [("limit", str(MAX_CHOICES)), ("count", "none"), ("fields", path or "_id")]
        try:
            query = access.compiler.list([*conditions, *words])
            page = await access.repository.page(query)
        except (Invalid, TimeLimitExceeded):  # the text is no such `_id`, or nobody finds it soon
            return []
        for document in page.documents:
            if access.present:
                access.present(document)
        return [
            Pick(write_value(document["_id"]), name_document(resource, document))
            for document in page.documents
        ]


def write_value(value: Any) -> str:
    """A value as a filter has it."""
    return value if isinstance(value, str) else to_json(value).decode().strip('"')
