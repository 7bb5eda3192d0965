"""Several documents at once: those whose rows were ticked, or all that match a query.

They are downloaded, deleted, or one of their fields is changed, after the reader has seen how many
there are; where these are many, the number has to be typed. No more are written than were seen.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.access import Access
from app.api.many import read_common_patch
from app.api.pages import is_auth_resource
from app.api.router import ResourceRouter
from app.errors import Conflict, Invalid
from app.pages import addresses
from app.pages.addresses import Pairs
from app.pages.forms import read_form
from app.pages.inputs import Input, Json, input_of
from app.pages.languages import N_
from app.pages.naming import find_name_path, name_document
from app.pages.screens import Screens
from app.pages.titles import describe, title_whole
from app.query.compile import Affected
from app.query.parameters import MAX_AFFECTED
from app.resources.fields import Field, FieldPath

UNPROCESSABLE = HTTPStatus.UNPROCESSABLE_ENTITY
Write = Callable[[Affected], Awaitable[dict[str, Any]]]
MAX_UNTYPED = 100  # documents beyond which their number has to be typed
SHOWN = 5  # documents that are named
_OF_LISTS = ("sort", "fields", "expand", "count", *addresses.PAGING)  # what is no condition
_SEPARATORS = str.maketrans("", "", " .,'\u2019\u00a0\u202f\uff0c")  # as people type numbers
_of_body = re.compile(r"The body can't be accepted at #/(\S+): (.+)", re.DOTALL).fullmatch
NOTHING = N_("Nothing is chosen: tick some rows first, or choose all that match.")
NO_FIELD = N_("Choose a field.")
NO_VALUE = N_("Type a value, or remove the field.")
MORE = N_("There are more of them by now than you have seen: this is the new number.")
NOT_TYPED = N_("Type the number of documents to confirm.")


@dataclass(frozen=True)
class Chosen:
    """The documents that are meant: how many, and the first of them."""

    pairs: tuple[tuple[str, str], ...]
    total: int | None
    first: tuple[tuple[str, str], ...]  # addresses and names

    @property
    def is_too_many(self) -> bool:
        """Whether they can't be written at once."""
        return self.total is not None and self.total > MAX_AFFECTED

    @property
    def has_to_be_typed(self) -> bool:
        """Whether their number has to be typed."""
        return self.total is None or self.total > MAX_UNTYPED


@dataclass(frozen=True)
class Control:
    """The field that is to be changed, and what its new value is typed into."""

    path: str
    title: str
    description: str
    input: Input
    text: str = ""
    fault: str = ""


class Bulk:
    """The handlers of these screens for all resources."""

    def __init__(self, routers: Mapping[str, ResourceRouter], screens: Screens) -> None:
        self._routers = {router.resource.name: router.resource for router in routers.values()}
        self._screens = screens

    async def show(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/bulk?…`: what can be done with these documents."""
        access = router.access(request, "read")
        return await self._show(request, access)

    async def change(self, request: Request, router: ResourceRouter) -> Response:
        """`POST /ui/users/bulk/change?…`: asks for a value of the field, then writes it."""
        access = router.access(request, "update")
        form = await read_form(request, router.body_limit)
        control = self._find_control(request, access, form)
        if control is None:
            return await self._show(request, access, fault=NO_FIELD)
        if form.get("do") not in ("change", "remove"):
            return await self._show(request, access, control=control)
        try:
            value = None if form["do"] == "remove" else _read_value(control.input, control.text)
        except ValueError as error:
            control = replace(control, fault=str(error))
            return await self._show(request, access, control=control, status=UNPROCESSABLE)
        patch = read_common_patch(access.repository.reach, _nest(control.path, value))

        def write(affected: Affected) -> Awaitable[dict[str, Any]]:
            return router.change_all(request, access, affected, patch)

        return await self._write(request, access, form, write, control)

    async def delete(self, request: Request, router: ResourceRouter) -> Response:
        """`POST /ui/users/bulk/delete?…`: deletes these documents."""
        access = router.access(request, "delete")
        form = await read_form(request)
        write = partial(router.delete_all, request, access)
        return await self._write(request, access, form, write)

    async def _write(
        self,
        request: Request,
        access: Access,
        form: Mapping[str, str],
        write: Write,
        control: Control | None = None,
    ) -> Response:
        """Writes as many documents as were seen, and reports on it."""
        number = form.get("number", "")
        typed = form.get("confirm", "").translate(_SEPARATORS)
        if not number.isdecimal() or (int(number) > MAX_UNTYPED and typed != number):
            return await self._show(request, access, control=control, fault=NOT_TYPED)
        pairs = _read_conditions(requests.pairs(request))
        if not _has_conditions(access, pairs):
            return await self._show(request, access, fault=NOTHING)
        try:
            affected = access.compiler.many([*pairs, ("max_affected", number)])
            outcome = await write(affected)
        except Conflict:
            conflict = HTTPStatus.CONFLICT
            return await self._show(request, access, control=control, fault=MORE, status=conflict)
        resource = access.view.resource
        return self._screens.render(
            request,
            "bulk_report.html",
            name=self._screens.look(request).name_of(resource),
            path=addresses.of_collection(resource),
            is_deleted=control is None,
            outcome=outcome,
            errors=[
                (addresses.of_document(resource, one["_id"]), one["_id"], _say(one["detail"]))
                for one in outcome["errors"]
            ],
        )

    async def _show(
        self,
        request: Request,
        access: Access,
        *,
        control: Control | None = None,
        fault: str = "",
        status: int = HTTPStatus.OK,
    ) -> Response:
        """The screen, with what was wrong with what was sent."""
        pairs = _read_conditions(requests.pairs(request))
        chosen = await self._choose(access, pairs) if _has_conditions(access, pairs) else None
        fault = fault or (NOTHING if chosen is None else "")
        if fault and status == HTTPStatus.OK:
            status = UNPROCESSABLE
        resource = access.view.resource
        may = access.view.rights.may
        return self._screens.render(
            request,
            "bulk.html",
            status,
            name=self._screens.look(request).name_of(resource),
            path=addresses.of_collection(resource),
            addresses=addresses,
            chosen=chosen,
            most=MAX_AFFECTED,
            control=control,
            choices=list(_list_fields(access)),
            pick_of=lambda control: self._find_picks(access, control.collection),
            fault=fault,
            may_update=may("update") and not resource.options.read_only,
            may_delete=may("delete") and not resource.options.read_only,
            may_export=may("export"),
        )

    async def _choose(self, access: Access, pairs: Pairs) -> Chosen:
        """The documents that meet these conditions."""
        resource = access.view.resource
        words = [("limit", str(SHOWN)), ("count", "exact")]
        words.append(("fields", find_name_path(resource) or "_id"))
        page = await access.repository.page(access.compiler.list([*pairs, *words]))
        for document in page.documents if access.present else ():
            assert access.present is not None
            access.present(document)
        first = [
            (addresses.of_document(resource, one["_id"]), name_document(resource, one))
            for one in page.documents
        ]
        total = page.total if page.token is not None else len(page.documents)
        return Chosen(tuple(pairs), total, tuple(first))

    def _find_control(
        self, request: Request, access: Access, form: Mapping[str, str]
    ) -> Control | None:
        path = form.get("field", "")
        found = next((one for one in _list_writable(access) if one.path == path), None)
        if found is None:
            return None
        shape = access.view.resource.shape
        zone = self._screens.look(request).preferences.zone
        text = form.get("value", "") if form.get("shown") == path else ""
        title, description = title_whole(shape, path), describe(shape, path)
        return Control(path, title, description, _input_of(found.field, zone), text)

    def _find_picks(self, access: Access, collection: str) -> str:
        """Where the documents are to which a link may lead; empty where none may be read."""
        views = access.repository.reach.compilers.views
        if not views[collection].rights.may("read"):
            return ""
        return f"{addresses.of_collection(self._routers[collection])}pick"


def _read_conditions(asked: Pairs) -> list[tuple[str, str]]:
    """The conditions of an address; several `_id`s are those of ticked rows, each one of them."""
    pairs = [pair for pair in asked if pair[0] not in _OF_LISTS and pair != ("keyword", "")]
    keys = list(dict.fromkeys(value for name, value in pairs if name == "_id"))
    if len(keys) < 2:
        return list(dict.fromkeys(pairs))
    return [*addresses.without(pairs, "_id"), *(("_id__in", key) for key in keys)]


def _has_conditions(access: Access, pairs: Pairs) -> bool:
    """Whether these parameters choose anything; raises `Invalid` for what can't be."""
    try:
        access.compiler.many([*pairs, ("max_affected", "1")])
    except Invalid as error:
        wrong = {fault.parameter for fault in error.faults}
        if wrong == {"keyword"} and not addresses.value_of(pairs, "keyword"):
            return False
        raise
    return True


def offers_ticks(access: Access) -> bool:
    """Whether the rows of a table can be ticked: something can be done with several."""
    resource, may = access.view.resource, access.view.rights.may
    writes = not resource.options.read_only and (may("update") or may("delete"))
    return not is_auth_resource(resource) and (writes or may("export"))


def _list_writable(access: Access) -> Iterator[FieldPath]:
    """The fields that the caller may change, nested models field by field."""
    permissions = access.repository.reach.to_update
    for found in access.view.resource.shape.list_flat():
        if found.path == "_id":
            continue
        steps = tuple(found.path.split("."))
        if permissions is None or permissions.write.at(steps).is_all:
            yield found


def _list_fields(access: Access) -> Iterator[tuple[str, str]]:
    shape = access.view.resource.shape
    for found in _list_writable(access):
        yield found.path, title_whole(shape, found.path)


def _input_of(field: Field, zone: str) -> Input:
    is_single = not field.many and field.kind not in ("object", "map", "lists")
    return input_of(field, zone) if is_single else Json()


def _read_value(control: Input, text: str) -> Any:
    """The new value as JSON; raises `ValueError` with a sentence."""
    if not control.is_empty(text):
        return control.read(text)
    if control.takes_empty:
        return ""
    raise ValueError(NO_VALUE)


def _say(detail: str) -> str:
    """What is wrong with a document, with the path of the field instead of a place in a body."""
    found = _of_body(detail)
    return f"{found[1].replace('/', '.')}: {found[2]}" if found is not None else detail


def _nest(path: str, value: Any) -> dict[str, Any]:
    """A merge patch of one field."""
    for step in reversed(path.split(".")):
        value = {step: value}
    patch: dict[str, Any] = value
    return patch
