"""The forms of documents: one that is stored, and a new one.

A form has with it, hidden, the state that it was made of. What it changes of that state is a merge
patch, which is written as any other one if the stored document still has that state's ETag; else
both are shown side by side, and a person picks.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.access import Access
from app.api.pages import is_auth_resource
from app.api.router import ResourceRouter
from app.errors import BadRequest, PreconditionFailed, RequestError, TooLarge, Unavailable
from app.pages import addresses
from app.pages.changes import Change, Json, list_changes, make_patch, merge, needs_null
from app.pages.document_screens import (
    BELOW,
    DocumentScreens,
    as_json,
    find_document,
    matches,
    read_keys,
    refuse_others,
)
from app.pages.drafts import FIND, GO_ON, RESOLVE, SAVE, Draft, make_form, place_faults, press
from app.pages.form_nodes import Group, Reading
from app.pages.forms import read_form
from app.pages.hints import Hints, name_nodes
from app.pages.inputs import write_json
from app.pages.link_controls import LinkControls
from app.pages.linked import Names, name_linked
from app.pages.naming import name_document
from app.pages.packing import pack, unpack
from app.pages.picks import Picks
from app.pages.places import is_hidden, name_place
from app.pages.roles import RoleNames
from app.pages.screens import Screens
from app.resources.keys import read_key

UNPROCESSABLE = HTTPStatus.UNPROCESSABLE_ENTITY
# A form has three characters for a byte, and what it was made of: it may be larger than a document,
# so that one that is too large is shown again with all that was typed.
FORM_TIMES = 6
Errors = Sequence[str]


class Editing(DocumentScreens):
    """The handlers of the forms."""

    def __init__(
        self,
        routers: Mapping[str, ResourceRouter],
        screens: Screens,
        picks: Picks,
        body_limit: int,
    ) -> None:
        super().__init__(routers, screens)
        self._body_limit = body_limit  # bytes of JSON
        self._picks = picks
        self._links = LinkControls(routers, picks)
        self._roles = RoleNames(routers)

    @property
    def _form_limit(self) -> int:
        """Bytes of a form of a document."""
        return FORM_TIMES * self._body_limit

    async def edit(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/{_id}/edit`: the form of a document."""
        access = router.access(request, "read", "update")
        requests.refuse_parameters(request)
        stored = await find_document(request, access, BELOW)
        zone = self._screens.look(request).preferences.zone
        original = as_json(access, stored)
        draft = Draft(original, stored.etag, zone, SAVE, {})
        form = make_form(access, draft, original)
        names = await name_linked(access, stored)
        return await self._show_form(request, access, draft, form, names=names)

    async def save(self, request: Request, router: ResourceRouter) -> Response:
        """`POST /ui/users/{_id}/edit`: what a button of the form says; the first one saves."""
        access = router.access(request, "read", "update")
        requests.refuse_parameters(request)
        draft = Draft.read(await read_form(request, self._form_limit))
        if draft.order in (RESOLVE, GO_ON):
            return await self._resolve(request, access, draft)
        if draft.order != SAVE:
            return await self._press(request, access, draft, new=False)
        form = make_form(access, draft, draft.original)
        await self._links.read_names(request, form)
        return await self._save(request, access, draft, form)

    async def _save(
        self,
        request: Request,
        access: Access,
        draft: Draft,
        form: Group,
    ) -> Response:
        """Stores what the form changes; a form that can't be stored is shown again."""
        reading = Reading()
        changed = form.read(reading, ())
        if not reading.is_readable:
            return await self._show_form(request, access, draft, form, status=UNPROCESSABLE)
        try:
            return await self._store(request, access, draft, changed)
        except RequestError as error:
            return await self._show_refusal(request, access, draft, form, reading, error)

    async def _store(
        self, request: Request, access: Access, draft: Draft, changed: Json
    ) -> Response:
        """Stores what is changed; where somebody else wrote meanwhile, both are shown."""
        try:
            word = await self._write(request, access, draft, changed)
        except PreconditionFailed:
            again = await self._catch_up(request, access, draft, changed)
            if again is None:
                return await self._show_conflict(request, access, draft, changed)
            return await self._store(request, access, *again)
        return self._screens.go(request, self.own_address(request), word)

    async def _catch_up(
        self, request: Request, access: Access, draft: Draft, mine: Json
    ) -> tuple[Draft, Json] | None:
        """The form as it would be with what is stored now; None where there is something to pick.

        So it is where others changed what the reader doesn't see, or the server has noted a moment.
        """
        stored = await find_document(request, access, BELOW)
        theirs = as_json(access, stored)
        changes = list(list_changes(draft.original, mine, theirs))
        if any(_can_pick(access, one) for one in changes):
            return None
        merged = merge(theirs, [one for one in changes if one.is_mine])
        return replace(draft, original=theirs, etag=stored.etag), merged

    async def _write(self, request: Request, access: Access, draft: Draft, changed: Json) -> str:
        """Writes what a form changed, and nothing else; the word for what was done."""
        patch = make_patch(draft.original, changed)
        if not patch and not needs_null(draft.original, changed):
            return "unchanged"
        self._check_size(patch)
        repository, (keys, _) = access.repository, read_keys(request, access, BELOW)
        is_same, reach = matches(draft.etag), access.repository.reach
        if needs_null(draft.original, changed):
            await repository.replace(
                keys, is_same, lambda raw: reach.read_replacement(changed, raw)
            )
        else:
            await repository.patch(keys, is_same, lambda raw: reach.read_patch(patch, raw))
        return "changed"

    def _check_size(self, value: Json) -> None:
        """Raises `TooLarge` for what the API would not take as one body."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        if len(text.encode(errors="surrogatepass")) > self._body_limit:
            raise TooLarge(
                f"This is larger than the {self._body_limit / 1024 / 1024:g} MiB that are accepted "
                "at once (BODY_LIMIT_MIB)."
            )

    async def _show_refusal(
        self,
        request: Request,
        access: Access,
        draft: Draft,
        form: Group,
        reading: Reading,
        error: RequestError,
    ) -> Response:
        """The form as it was sent, with what is wrong beside its controls."""
        errors = place_faults(reading, error)
        is_there = not isinstance(error, Unavailable)  # the database
        names = await self._links.name(request, form) if is_there else Names()
        return await self._show_form(
            request, access, draft, form, errors, error.status, error.headers, names
        )

    async def _press(
        self, request: Request, access: Access, draft: Draft, *, new: bool
    ) -> Response:
        """The form after one of its buttons that store nothing."""
        form = press(access, draft, new=new)
        word, _, name = draft.order.partition(" ")
        try:
            if word == FIND:
                await self._links.find(request, form, name)
            names = await self._links.name(request, form)
        except Unavailable as error:  # the form goes on without the database
            errors, status = [error.detail], error.status
            return await self._show_form(
                request, access, draft, form, errors, status, error.headers
            )
        return await self._show_form(request, access, draft, form, names=names)

    async def pick(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/pick?q=`: options for the control of a link to one of these documents."""
        access = router.access(request, "read")
        pairs = requests.pairs(request)
        refuse_others(pairs, "q")
        text = addresses.value_of(pairs, "q")
        picks = await self._picks.find(request, router.resource.name, text)
        return self.render(request, access, "_picks.html", picks=picks)

    async def _show_form(
        self,
        request: Request,
        access: Access,
        draft: Draft,
        form: Group,
        errors: Errors = (),
        status: int = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
        names: Names | None = None,
    ) -> Response:
        wrong = [node for node in form.walk() if node.errors]
        labels, gettext = name_nodes(form), self._screens.look(request).language.gettext
        if wrong:
            wrong[0].focus = "control"
        return self.render(
            request,
            access,
            "document_form.html",
            status,
            headers,
            draft=draft,
            original=pack(draft.original),
            called=name_document(access.view.resource, draft.original),
            form=form,
            wrong=wrong,
            errors=errors,
            names=names or Names(),
            hints_of=Hints(gettext, is_new=not draft.etag).list,
            label_of=lambda node: labels[node.name],
            pick_of=lambda node: self._links.find_script_address(request, node.input.collection),
            is_new=not draft.etag,
            back=self.own_address(request),
            most=self._form_limit,
            roles=await self._roles.list(request, access),
        )

    # --- somebody else wrote meanwhile ---

    async def _show_conflict(
        self,
        request: Request,
        access: Access,
        draft: Draft,
        mine: Json,
        *,
        is_unpicked: bool = False,
    ) -> Response:
        """Both states side by side, place by place."""
        stored = await find_document(request, access, BELOW)
        theirs = as_json(access, stored)
        changes = list(list_changes(draft.original, mine, theirs))
        shape = access.view.resource.shape
        return self.render(
            request,
            access,
            "document_conflict.html",
            HTTPStatus.PRECONDITION_FAILED,
            draft=replace(draft, etag=stored.etag),
            original=pack(theirs),
            called=name_document(access.view.resource, theirs),
            before=pack(draft.original),
            mine=pack(mine),
            changes=changes,
            title_of=lambda change: name_place(shape, change.steps),
            is_hidden=lambda change: is_hidden(shape, change.steps),
            write_json=write_json,
            is_unpicked=is_unpicked,
            back=self.own_address(request),
        )

    async def _resolve(self, request: Request, access: Access, draft: Draft) -> Response:
        """Saves what was picked of both, or goes on editing it."""
        before, mine = (unpack(draft.sent.get(name, "")) for name in ("before", "mine"))
        if not (isinstance(before, dict) and isinstance(mine, dict)):
            raise BadRequest("The form is not one of this server.")
        changes = list(list_changes(before, mine, draft.original))
        picks = [draft.sent.get(f"pick:{number}", "") for number in range(len(changes))]
        if not all(picks):
            older = replace(draft, original=before)
            return await self._show_conflict(request, access, older, mine, is_unpicked=True)
        picked = [one for one, pick in zip(changes, picks, strict=True) if pick == "mine"]
        merged = merge(draft.original, picked)
        again = replace(draft, sent={})
        form = make_form(access, again, merged)
        if draft.order == GO_ON:
            return await self._show_form(request, access, again, form)
        return await self._save(request, access, again, form)

    # --- a new one ---

    async def start(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/new`: an empty form, or with `from` one that is filled as another is."""
        pairs = requests.pairs(request)
        refuse_others(pairs, "from")
        key = addresses.value_of(pairs, "from")
        access = router.access(request, "create", *(("read",) if key else ()))
        value = await _read_other(access, key) if key else {}
        zone = self._screens.look(request).preferences.zone
        draft = Draft(value, "", zone, SAVE, {})
        return await self._show_form(
            request, access, draft, make_form(access, draft, value, new=True)
        )

    async def create(self, request: Request, router: ResourceRouter) -> Response:
        """`POST /ui/users/new`: what a button of the form says; the first one saves."""
        access = router.access(request, "create")
        refuse_others(requests.pairs(request), "from")
        draft = Draft.read(await read_form(request, self._form_limit))
        if draft.order != SAVE:
            return await self._press(request, access, draft, new=True)
        form = make_form(access, draft, draft.original, new=True)
        await self._links.read_names(request, form)
        reading = Reading()
        body = form.read(reading, ())
        if not reading.is_readable:
            return await self._show_form(request, access, draft, form, status=UNPROCESSABLE)
        try:
            self._check_size(body)
            document = await asyncio.to_thread(access.repository.reach.read_document, body)
            stored = await access.repository.insert(document)
        except RequestError as error:
            return await self._show_refusal(request, access, draft, form, reading, error)
        address = addresses.of_collection(access.view.whole)
        if await access.repository.find_readable([stored]):
            address = addresses.of_document(access.view.whole, stored.document["_id"])
        elif not access.view.rights.may("read"):
            address = f"{address}new"
        return self._screens.go(request, address, "created")


def _can_pick(access: Access, change: Change) -> bool:
    """Whether a change is another's that the reader may refuse."""
    permissions = access.repository.reach.to_update
    if permissions is None or not is_auth_resource(access.view.whole):
        return change.is_theirs
    return change.is_theirs and not permissions.write.at(change.steps).is_none


async def _read_other(access: Access, text: str) -> Json:
    """What a new document has of another one: all that is seen, but for its `_id`."""
    keys, error = read_key(access.view.whole.key, text)
    try:
        stored = await access.repository.read(keys)
    except RequestError:
        if error is not None:
            raise requests.make_key_error(error) from None
        raise
    value = as_json(access, stored)
    del value["_id"]
    return value
