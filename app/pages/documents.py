"""One document to read, with what links to it, and its deletion."""

import datetime
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.access import Access
from app.api.router import ResourceRouter
from app.errors import Conflict, PreconditionFailed
from app.pages import addresses
from app.pages.details import Details, write_pretty
from app.pages.document_screens import (
    BELOW,
    OF_DOCUMENT,
    DocumentScreens,
    find_document,
    matches,
    present,
    read_keys,
    refuse_others,
)
from app.pages.forms import read_form
from app.pages.linked import Referrer, list_referrers, name_linked
from app.pages.naming import name_document
from app.pages.tables import cells_of
from app.resources.keys import write_key
from app.resources.kinds import write_datetime
from app.store.stored import Stored


class Documents(DocumentScreens):
    """The handlers of reading and deleting."""

    async def show(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/{_id}`: the document with all that is stored of it."""
        access = router.access(request, "read")
        pairs = requests.pairs(request)
        refuse_others(pairs, "etag", "at")
        stored = await find_document(request, access, OF_DOCUMENT)
        names = await name_linked(access, stored)
        referrers = await self._list_referrers(request, access, stored)
        document = present(access, stored)
        screen = self._screens.look(request)
        cells = cells_of(screen.language.code)
        details = Details(cells, screen.language, names, router.resource)
        seen = addresses.value_of(pairs, "etag")
        return self.render(
            request,
            access,
            "document.html",
            stored=stored,
            own=addresses.of_document(access.view.whole, stored.document["_id"]),
            heading=name_document(access.view.resource, document),
            details=details.list_fields(access.view.resource.shape, document),
            notes=await router.explain(document),
            referrers=referrers,
            json=write_pretty(document),
            key=unquote(write_key(access.view.whole.key, stored.document["_id"])),
            now=write_datetime(datetime.datetime.now(datetime.UTC).replace(microsecond=0)),
            is_same=seen == stored.etag if seen else None,
            seen_at=addresses.value_of(pairs, "at"),
        )

    async def _list_referrers(
        self, request: Request, access: Access, stored: Stored
    ) -> Sequence[Referrer]:
        resource, key = access.view.whole, stored.document["_id"]
        return await list_referrers(request, self._routers, resource, key)

    async def ask(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/{_id}/delete`: whether it is really to go, and what links to it."""
        access = router.access(request, "read", "delete")
        requests.refuse_parameters(request)
        return await self._ask(request, router, access)

    async def _ask(
        self,
        request: Request,
        router: ResourceRouter,
        access: Access,
        error: str = "",
        status: int = HTTPStatus.OK,
    ) -> Response:
        stored = await find_document(request, access, BELOW)
        referrers = await self._list_referrers(request, access, stored)
        document = present(access, stored)
        return self.render(
            request,
            access,
            "document_delete.html",
            status,
            stored=stored,
            own=addresses.of_document(access.view.whole, stored.document["_id"]),
            heading=name_document(access.view.resource, document),
            referrers=referrers,
            error=error,
            back=self.own_address(request),
        )

    async def delete(self, request: Request, router: ResourceRouter) -> Response:
        """`POST /ui/users/{_id}/delete`: it goes, if it still is as it was shown."""
        access = router.access(request, "read", "delete")
        requests.refuse_parameters(request)
        form = await read_form(request)
        keys, _ = read_keys(request, access, BELOW)
        try:
            await access.repository.delete(keys, matches(form.get("etag", "")))
        except (Conflict, PreconditionFailed) as error:
            return await self._ask(request, router, access, error.detail, error.status)
        return self._screens.go(request, addresses.of_collection(router.resource), "deleted")
