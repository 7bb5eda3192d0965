"""The screens of one document: reading, editing, creating and deleting it.

A form has with it, hidden, the state that it was made of. What it changes of that state is a merge
patch, which is written as any other one if the stored document still has that state's ETag; else
both are shown side by side, and a person picks.
"""

import asyncio
import datetime
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.access import Access
from app.api.router import ResourceRouter
from app.errors import (
    BadRequest,
    Fault,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionFailed,
    RequestError,
    Unavailable,
)
from app.pages import addresses
from app.pages.changes import Json, list_changes, make_patch, merge, needs_null
from app.pages.details import Details, write_pretty
from app.pages.document_forms import FormMaker, Group, Leaf, Reading, fill, forget
from app.pages.form_actions import act
from app.pages.forms import read_form
from app.pages.hints import Hints, join, name_nodes
from app.pages.inputs import Key, write_json
from app.pages.linked import Linked, Names, list_referrers, name_linked
from app.pages.naming import name_document
from app.pages.packing import pack, unpack
from app.pages.picks import Picks
from app.pages.preferences import is_zone
from app.pages.screens import Screens
from app.pages.tables import cells_of
from app.pages.titles import infos_of
from app.resources.extents import ALL
from app.resources.faults import read_pointer
from app.resources.fields import Shape
from app.resources.keys import read_key, write_key
from app.resources.kinds import write_datetime
from app.resources.permissions import Permissions
from app.resources.rendering import to_json
from app.store.stored import Stored

OF_DOCUMENT, BELOW = -1, -2  # the step of the path that is the `_id`
EVERYTHING = Permissions(ALL, ALL)
UNPROCESSABLE = HTTPStatus.UNPROCESSABLE_ENTITY
SAVE, RESOLVE, GO_ON, FIND = "save", "resolve", "go on", "find"  # buttons
Errors = Sequence[str]


@dataclass(frozen=True)
class Draft:
    """A form that was sent: the state it was made of, that state's ETag, and its controls."""

    original: Json
    etag: str
    zone: str
    order: str
    sent: Mapping[str, str]

    @classmethod
    def read(cls, form: Mapping[str, str]) -> "Draft":
        """The draft; raises `BadRequest` for what no screen has sent."""
        original = unpack(form.get("original", ""))
        if not isinstance(original, dict):
            raise BadRequest("The form is not one of this server.")
        zone = form.get("zone", "")
        order = form.get("do", SAVE)
        return cls(original, form.get("etag", ""), zone if is_zone(zone) else "UTC", order, form)


class Documents:
    """The handlers of the documents of all resources; each answers for one router."""

    def __init__(
        self, routers: Mapping[str, ResourceRouter], screens: Screens, picks: Picks
    ) -> None:
        self._routers = routers
        self._screens = screens
        self._picks = picks

    # --- reading ---

    async def show(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/{_id}`: the document with all that is stored of it."""
        access = router.access(request, "read")
        pairs = requests.pairs(request)
        _refuse_others(pairs, "etag", "at")
        stored = await _find(request, access, OF_DOCUMENT)
        names = await name_linked(access, stored)
        referrers = await self._list_referrers(request, access, stored)
        document = _present(access, stored)
        screen = self._screens.look(request)
        cells = cells_of(screen.language.code)
        details = Details(cells, screen.language.gettext, names)
        seen = addresses.value_of(pairs, "etag")
        return self._render(
            request,
            access,
            "document.html",
            stored=stored,
            heading=name_document(access.view.resource, document),
            details=details.list_fields(access.view.resource.shape, document),
            referrers=referrers,
            json=write_pretty(document),
            key=unquote(write_key(access.view.whole.key, stored.document["_id"])),
            now=write_datetime(datetime.datetime.now(datetime.UTC).replace(microsecond=0)),
            is_same=seen == stored.etag if seen else None,
            seen_at=addresses.value_of(pairs, "at"),
        )

    async def _list_referrers(self, request: Request, access: Access, stored: Stored) -> Any:
        resource, key = access.view.whole, stored.document["_id"]
        return await list_referrers(request, self._routers, resource, key)

    # --- editing ---

    async def edit(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/{_id}/edit`: the form of a document."""
        access = router.access(request, "read", "update")
        requests.refuse_parameters(request)
        stored = await _find(request, access, BELOW)
        zone = self._screens.look(request).preferences.zone
        original = _as_json(access, stored)
        draft = Draft(original, stored.etag, zone, SAVE, {})
        form = _make_form(access, draft, original)
        names = await name_linked(access, stored)
        return self._show_form(request, access, draft, form, names=names)

    async def save(self, request: Request, router: ResourceRouter) -> Response:
        """`POST /ui/users/{_id}/edit`: what a button of the form says; the first one saves."""
        access = router.access(request, "read", "update")
        requests.refuse_parameters(request)
        draft = Draft.read(await read_form(request, router.body_limit))
        if draft.order in (RESOLVE, GO_ON):
            return await self._resolve(request, router, access, draft)
        if draft.order != SAVE:
            return await self._press(request, access, draft, new=False)
        form = _make_form(access, draft, draft.original)
        await self._read_names(request, form)
        return await self._save(request, router, access, draft, form)

    async def _save(
        self,
        request: Request,
        router: ResourceRouter,
        access: Access,
        draft: Draft,
        form: Group,
    ) -> Response:
        """Stores what the form changes; a form that can't be stored is shown again."""
        reading = Reading()
        changed = form.read(reading, ())
        if not reading.is_readable:
            return self._show_form(request, access, draft, form, status=UNPROCESSABLE)
        try:
            word = await _store(request, router, access, draft, changed)
        except PreconditionFailed:
            return await self._show_conflict(request, router, access, draft, changed)
        except RequestError as error:
            return await self._show_refusal(request, access, draft, form, reading, error)
        return self._screens.go(request, self._own_address(request), word)

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
        errors = _place_faults(reading, error)
        is_there = not isinstance(error, Unavailable)  # the database
        names = await self._name_links(request, form) if is_there else Names()
        return self._show_form(
            request, access, draft, form, errors, error.status, error.headers, names
        )

    async def _press(
        self, request: Request, access: Access, draft: Draft, *, new: bool
    ) -> Response:
        """The form after one of its buttons that store nothing."""
        word, _, name = draft.order.partition(" ")
        if word in _MAKING:
            draft = replace(draft, sent=_MAKING[word](draft.sent, name))
        form = _make_form(access, draft, draft.original, new=new)
        if word in _MAKING:
            _focus(form, name)
        elif word != FIND:
            act(form, draft.order)
        try:
            if word == FIND:
                await self._find_links(request, form, name)
            names = await self._name_links(request, form)
        except Unavailable as error:  # the form goes on without the database
            errors, status = [error.detail], error.status
            return self._show_form(request, access, draft, form, errors, status, error.headers)
        return self._show_form(request, access, draft, form, names=names)

    async def _find_links(self, request: Request, form: Group, name: str) -> None:
        """Finds what may be meant by the text in a link's control."""
        for node in _list_links(form):
            if node.name == name:
                assert isinstance(node.input, Key)
                if not self._picks.may_read(request, node.input.collection):
                    continue
                node.picks = await self._picks.find(request, node.input.collection, node.text)
                node.focus = "control"

    async def _read_names(self, request: Request, form: Group) -> None:
        """Puts the `_id` in the place of what a document is called, where just one is called so."""
        for node in _list_links(form):
            assert isinstance(node.input, Key)
            if not node.text.strip() or node.is_untouched:
                continue
            try:
                picks = await self._picks.find(request, node.input.collection, node.text.strip())
            except (Unavailable, Forbidden):  # what is wrong is said where it is saved
                return
            called = [pick for pick in picks if pick.name == node.text.strip()]
            if all(pick.key != node.text.strip() for pick in picks):
                node.picks = picks
                node.text = called[0].key if len(called) == 1 else node.text

    async def _name_links(self, request: Request, form: Group) -> Names:
        """What the links in a form lead to."""
        texts: dict[str, list[str]] = {}
        for node in _list_links(form):
            if node.text and isinstance(node.input, Key):
                texts.setdefault(node.input.collection, []).append(node.text)
        names = Names()
        for collection, keys in texts.items():
            found = await self._picks.name(request, collection, list(dict.fromkeys(keys)))
            for key, name in found.items():
                address = f"{self._find_path(collection)}{quote(key, safe='')}"
                names.known[collection, key] = Linked(name, address)
        return names

    async def pick(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/pick?q=`: options for the control of a link to one of these documents."""
        access = router.access(request, "read")
        pairs = requests.pairs(request)
        _refuse_others(pairs, "q")
        text = addresses.value_of(pairs, "q")
        picks = await self._picks.find(request, router.resource.name, text)
        return self._render(request, access, "_picks.html", picks=picks)

    def _find_pick(self, request: Request, collection: str) -> str:
        """Where a script finds documents to link to; empty where the caller may read none."""
        may_read = self._picks.may_read(request, collection)
        return f"{self._find_path(collection)}pick" if may_read else ""

    def _own_address(self, request: Request) -> str:
        """The address of the document that this screen is below, as it was asked for."""
        path = _raw_path(request).rpartition("/")[0]
        return path.removeprefix(request.scope.get("root_path", ""))

    def _show_form(
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
        return self._render(
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
            pick_of=lambda node: self._find_pick(request, node.input.collection),
            is_new=not draft.etag,
            back=self._own_address(request),
        )

    def _find_path(self, collection: str) -> str:
        """Where the screens of the documents of a collection are."""
        resources = [router.resource for router in self._routers.values()]
        return addresses.of_collection(next(one for one in resources if one.name == collection))

    # --- somebody else wrote meanwhile ---

    async def _show_conflict(
        self,
        request: Request,
        router: ResourceRouter,
        access: Access,
        draft: Draft,
        mine: Json,
        *,
        is_unpicked: bool = False,
    ) -> Response:
        """Both states side by side, place by place."""
        stored = await _find(request, access, BELOW)
        theirs = _as_json(access, stored)
        changes = list(list_changes(draft.original, mine, theirs))
        shape = access.view.resource.shape
        return self._render(
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
            title_of=lambda change: _name_place(shape, change.steps),
            is_hidden=lambda change: _is_hidden(shape, change.steps),
            write_json=write_json,
            is_unpicked=is_unpicked,
            back=self._own_address(request),
        )

    async def _resolve(
        self, request: Request, router: ResourceRouter, access: Access, draft: Draft
    ) -> Response:
        """Saves what was picked of both, or goes on editing it."""
        before, mine = (unpack(draft.sent.get(name, "")) for name in ("before", "mine"))
        if not (isinstance(before, dict) and isinstance(mine, dict)):
            raise BadRequest("The form is not one of this server.")
        changes = list(list_changes(before, mine, draft.original))
        picks = [draft.sent.get(f"pick:{number}", "") for number in range(len(changes))]
        if not all(picks):
            older = replace(draft, original=before)
            return await self._show_conflict(request, router, access, older, mine, is_unpicked=True)
        picked = [one for one, pick in zip(changes, picks, strict=True) if pick == "mine"]
        merged = merge(draft.original, picked)
        again = replace(draft, sent={})
        form = _make_form(access, again, merged)
        if draft.order == GO_ON:
            return self._show_form(request, access, again, form)
        return await self._save(request, router, access, again, form)

    # --- a new one ---

    async def start(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/new`: an empty form, or with `from` one that is filled as another is."""
        pairs = requests.pairs(request)
        _refuse_others(pairs, "from")
        key = addresses.value_of(pairs, "from")
        access = router.access(request, "create", *(("read",) if key else ()))
        value = await _read_other(access, key) if key else {}
        zone = self._screens.look(request).preferences.zone
        draft = Draft(value, "", zone, SAVE, {})
        return self._show_form(request, access, draft, _make_form(access, draft, value, new=True))

    async def create(self, request: Request, router: ResourceRouter) -> Response:
        """`POST /ui/users/new`: what a button of the form says; the first one saves."""
        access = router.access(request, "create")
        _refuse_others(requests.pairs(request), "from")
        draft = Draft.read(await read_form(request, router.body_limit))
        if draft.order != SAVE:
            return await self._press(request, access, draft, new=True)
        form = _make_form(access, draft, draft.original, new=True)
        await self._read_names(request, form)
        reading = Reading()
        body = form.read(reading, ())
        if not reading.is_readable:
            return self._show_form(request, access, draft, form, status=UNPROCESSABLE)
        try:
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

    # --- deleting ---

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
        stored = await _find(request, access, BELOW)
        referrers = await self._list_referrers(request, access, stored)
        document = _present(access, stored)
        return self._render(
            request,
            access,
            "document_delete.html",
            status,
            stored=stored,
            heading=name_document(access.view.resource, document),
            referrers=referrers,
            error=error,
            back=self._own_address(request),
        )

    async def delete(self, request: Request, router: ResourceRouter) -> Response:
        """`POST /ui/users/{_id}/delete`: it goes, if it still is as it was shown."""
        access = router.access(request, "read", "delete")
        requests.refuse_parameters(request)
        form = await read_form(request)
        keys, _ = _read_keys(request, access, BELOW)
        try:
            await access.repository.delete(keys, _matches(form.get("etag", "")))
        except RequestError as error:
            if error.status not in (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED):
                raise
            return await self._ask(request, router, access, error.detail, error.status)
        return self._screens.go(request, addresses.of_collection(router.resource), "deleted")

    # --- what all of them need ---

    def _render(
        self,
        request: Request,
        access: Access,
        template: str,
        status: int = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
        **words: Any,
    ) -> Response:
        resource = access.view.resource
        return self._screens.render(
            request,
            template,
            status,
            headers,
            resource=resource,
            access=access,
            cells=cells_of(self._screens.look(request).language.code),
            name=self._screens.look(request).name_of(resource),
            path=addresses.of_collection(resource),
            own=_address_of_own(access, words.get("stored")),
            **words,
        )


_MAKING = {"reset": forget, "fill": fill}  # buttons after which a part of the form is made anew


def _focus(form: Group, name: str) -> None:
    """Gives the focus to the first control of a node."""
    node = next((one for one in form.walk() if one.name == name), form)
    leaf = next((one for one in node.walk() if isinstance(one, Leaf)), node)
    leaf.focus = "control"


def _list_links(form: Group) -> list[Leaf]:
    """The controls of links in a form."""
    leaves = (node for node in form.walk() if isinstance(node, Leaf))
    return [leaf for leaf in leaves if isinstance(leaf.input, Key)]


def _address_of_own(access: Access, stored: Stored | None) -> str:
    if stored is None:
        return ""
    return addresses.of_document(access.view.whole, stored.document["_id"])


def _refuse_others(pairs: Sequence[tuple[str, str]], *known: str) -> None:
    """Raises `Invalid` for parameters that a screen doesn't have."""
    faults = [
        Fault(f"{name}: there is no such parameter here.", parameter=name)
        for name, _ in pairs
        if name not in known
    ]
    if faults:
        raise Invalid(faults[0].detail, *faults)


def _present(access: Access, stored: Stored) -> Any:
    """The document as its reader sees it."""
    document = stored.document
    if access.present:
        access.present(document)
    return document


def _as_json(access: Access, stored: Stored) -> Json:
    """The same as the JSON that the API shows."""
    value: Json = requests.parse_json(to_json(_present(access, stored), stored.raw))
    return value


def _make_form(access: Access, draft: Draft, value: Json, *, new: bool = False) -> Group:
    """The form of a draft; where it has no controls yet, with this value in it."""
    reach = access.repository.reach
    may = (reach.to_create if new else reach.to_update) or EVERYTHING
    if new:
        may = Permissions(may.write, ALL)
    maker = FormMaker(draft.zone, draft.sent, is_new=new)
    return maker.make(access.view.whole.shape, may, draft.original, value)


async def _read_other(access: Access, text: str) -> Json:
    """What a new document has of another one: all that is seen, but for its `_id`."""
    keys, error = read_key(access.view.whole.key, text)
    try:
        stored = await access.repository.read(keys)
    except RequestError:
        if error is not None:
            raise requests.make_key_error(error) from None
        raise
    value = _as_json(access, stored)
    del value["_id"]
    return value


async def _find(request: Request, access: Access, step: int) -> Stored:
    """The document of a screen; raises `NotFound`, or `Invalid` for no `_id`."""
    keys, error = _read_keys(request, access, step)
    try:
        return await access.repository.read(keys)
    except NotFound:
        if error is not None:
            raise requests.make_key_error(error) from None
        raise


def _read_keys(
    request: Request, access: Access, step: int
) -> tuple[Iterable[Any], ValueError | None]:
    """The `_id`s that a step of the path may stand for; one in quotes is no screen's name."""
    keys, error = requests.keys(request, access.view.whole.key, step)
    text = unquote(_raw_path(request).split("/")[step])
    is_screen = text[1:-1] in addresses.SCREENS and text[0] == text[-1] == '"'
    return (itertools.chain(keys, [text[1:-1]]) if is_screen else keys), error


def _raw_path(request: Request) -> str:
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.decode("ascii", "replace").partition("?")[0]


def _matches(etag: str) -> Callable[[str], bool]:
    """What a write asks of the stored document's ETag."""
    return lambda stored: stored == etag


async def _store(
    request: Request, router: ResourceRouter, access: Access, draft: Draft, changed: Json
) -> str:
    """Writes what a form changed, and nothing else; the word for what was done."""
    patch = make_patch(draft.original, changed)
    if not patch and not needs_null(draft.original, changed):
        return "unchanged"
    repository, (keys, _) = access.repository, _read_keys(request, access, BELOW)
    matches, reach = _matches(draft.etag), access.repository.reach
    if needs_null(draft.original, changed):
        await repository.replace(keys, matches, lambda raw: reach.read_replacement(changed, raw))
    else:
        await repository.patch(keys, matches, lambda raw: reach.read_patch(patch, raw))
    return "changed"


def _place_faults(reading: Reading, error: RequestError) -> list[str]:
    """Puts what is wrong beside its control; what belongs to none, or the sentence of the error."""
    rest = []
    for fault in error.faults:
        steps = tuple(map(str, read_pointer(fault.pointer))) if fault.pointer else ()
        node = reading.find(steps)
        if node is not None:
            node.errors.append(fault.detail)
        else:
            rest.append(fault.detail)
    return rest if error.faults else [error.detail]


def _name_place(shape: Shape | None, steps: Sequence[str]) -> str:
    """The titles on the way to a place."""
    label = ""
    for step in steps:
        info = infos_of(shape.model).get(step) if shape is not None else None
        label = join(label, (info and info.title) or step)
        shape = _shape_below(shape, step)
    return label


def _is_hidden(shape: Shape | None, steps: Sequence[str]) -> bool:
    """Whether a place is one of which nothing is shown: a password."""
    for step in steps:
        known = shape.fields.get(step) if shape is not None else None
        if known is not None and known.excluded:
            return True
        shape = _shape_below(shape, step)
    return False


def _shape_below(shape: Shape | None, step: str) -> Shape | None:
    known = shape.fields.get(step) if shape is not None else None
    return known.shape if known is not None else None
