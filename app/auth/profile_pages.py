"""The screens of one's own: who one is, another password, keys and shared links.

They use what the API's routes use. What is told once stands on the screen that answers the form.
"""

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.access import Access
from app.api.callers import ADMIN, caller_of
from app.api.pages import UI, ScreenRenderer, path_of_pages
from app.api.problems import make_invalid
from app.api.routing import Handler, Route
from app.auth.forms import NOT_STORED, Form, read_form
from app.auth.profile_routes import ProfileRoutes, read_change
from app.auth.routers import IssuedRouter, KeyRouter, ShareRouter
from app.auth.scopes import ACTIONS, METRICS, covers
from app.auth.services import AuthServices
from app.errors import Conflict, Fault, Forbidden, Invalid, RequestError, TooManyRequests
from app.resources.moments import now
from app.resources.registry import Resource
from app.resources.storing import Document

ME = f"{UI}/me"
MAX_SHOWN = "100"  # keys and shares on one's own screen
MAX_FIELDS = 5_000  # of a form with a box for each scope
SCOPE = "scope "  # the beginning of the name of such a box
DAY = 24 * 3600  # seconds
_SHOWN: Document = {"scopes": (), "created": None, "expires": None, "last_used": None}
SHOWN_BESIDE_THE_FORM = (Invalid, Forbidden, Conflict, TooManyRequests)


class Faults:
    """What is wrong in a form, by the field where it is shown; what is at none is under ``."""

    def __init__(self, error: RequestError | None, fields: Sequence[str] = ()) -> None:
        self.error = error
        self._by_field: dict[str, list[str]] = {}
        for fault in (error.faults or (Fault(error.detail),)) if error is not None else ():
            step = (fault.pointer or "").removeprefix("#/").partition("/")[0]
            self._by_field.setdefault(step if step in fields else "", []).append(fault.detail)

    def __iter__(self) -> Iterator[str]:
        """All of them, as a person reads them: without their places."""
        for details in self._by_field.values():
            yield from details

    def at(self, field: str) -> list[str]:
        """The sentences of a field."""
        return self._by_field.get(field, [])


@dataclass(frozen=True)
class Box:
    """A scope that may be ticked; `scope` is empty where the caller doesn't have it."""

    action: str
    scope: str
    is_ticked: bool


@dataclass(frozen=True)
class Boxes:
    """The scopes of one resource; None stands for all resources."""

    resource: Resource | None
    boxes: list[Box]


class ProfilePages:
    """The handlers of the screens of one's own."""

    def __init__(
        self,
        find_services: Callable[[], AuthServices],
        profile: ProfileRoutes,
        keys: KeyRouter,
        shares: ShareRouter,
        screens: ScreenRenderer,
    ) -> None:
        self._find_services = find_services
        self._profile = profile
        self._keys = keys
        self._shares = shares
        self._screens = screens

    def routes(self) -> list[Route]:
        """The routes of all of them; administrators have the forms of new ones twice."""
        new_key = {"GET": self.start_key, "POST": self.make_key}
        new_share = {"GET": self.start_share, "POST": self.make_share}
        return [
            Route(ME, {"GET": self.show}),
            Route(f"{ME}/password", {"POST": self.change_password}),
            Route(f"{ME}/keys/new", new_key),
            Route(f"{ME}/keys/{{key}}/delete", {"POST": self._deleting(self._keys)}),
            Route(f"{ME}/shares/new", new_share),
            Route(f"{ME}/shares/{{key}}/delete", {"POST": self._deleting(self._shares)}),
            Route(f"{path_of_pages(self._keys.resource)}/new", new_key),
            Route(f"{path_of_pages(self._shares.resource)}/new", new_share),
        ]

    async def show(self, request: Request) -> Response:
        """`GET /ui/me`: who calls, what that may do, and what it has made."""
        requests.refuse_parameters(request)
        return await self._show(request)

    async def _show(self, request: Request, error: RequestError | None = None) -> Response:
        return self._screens.render(
            request,
            "me.html",
            error.status if error is not None else HTTPStatus.OK,
            error.headers if error is not None else None,
            me=await self._profile.describe(caller_of(request.scope)),
            actions=ACTIONS,
            faults=Faults(error, ("old", "new", "again")),
            keys=await self._list_mine(request, self._keys),
            shares=await self._list_mine(request, self._shares),
            may_end=self._keys.access(request, "read").view.rights.may("delete"),
            now=now(),
        )

    async def _list_mine(self, request: Request, router: IssuedRouter) -> list[Document]:
        """The keys or shares of the caller's account, the newest first."""
        access = router.access(request, "read")
        account = str(caller_of(request.scope).id)
        pairs = [
            ("account", account),
            ("sort", "-created"),
            ("limit", MAX_SHOWN),
            ("count", "none"),
        ]
        page = await access.repository.page(access.compiler.list(pairs))
        return [_complete(one) for one in page.documents]

    async def change_password(self, request: Request) -> Response:
        """`POST /ui/me/password`: another password of one's own."""
        requests.refuse_parameters(request)
        known = await self._profile.require_password(request)
        form = await read_form(request)
        try:
            if form.get("new", "") != form.get("again", ""):
                detail = "It is not the same as the new password above it."
                raise Invalid(detail, Fault(detail, pointer="#/again"))
            change = read_change({"old": form.get("old", ""), "new": form.get("new", "")})
            await self._profile.change(request, known, change)
        except RequestValidationError as error:
            return await self._show(request, make_invalid(error))
        except SHOWN_BESIDE_THE_FORM as error:
            return await self._show(request, error)
        return self._screens.go(request, ME, "password")

    def _deleting(self, router: IssuedRouter) -> Handler:
        async def delete(request: Request) -> Response:
            """`POST /ui/me/keys/{_id}/delete`: ends a key, or a share."""
            access = router.access(request, "delete")
            requests.refuse_parameters(request)
            keys, error = requests.keys(request, router.resource.key, -2)
            if error is not None:
                raise requests.make_key_error(error)
            await access.repository.delete(keys, None)
            return self._screens.go(request, ME, "ended")

        return delete

    # --- a new key ---

    async def start_key(self, request: Request) -> Response:
        """`GET /ui/me/keys/new`: the form of a new key."""
        access = self._keys.access(request, "create")
        requests.refuse_parameters(request)
        return self._show_key_form(request, access, {})

    async def make_key(self, request: Request) -> Response:
        """`POST /ui/me/keys/new`: a new key, and its secret this once."""
        access = self._keys.access(request, "create")
        requests.refuse_parameters(request)
        form = await read_form(request, MAX_FIELDS)
        try:
            body = {
                "name": form.get("name", ""),
                "scopes": sorted(_list_ticked(form)),
                **await self._read_account(request, form.get("account", "")),
                **_read_end(form.get("days", "")),
            }
            stored, secret = await self._keys.insert(request, access, body)
        except SHOWN_BESIDE_THE_FORM as error:
            return self._show_key_form(request, access, form, error)
        return self._show_made(request, "key", stored.document, secret)

    async def _read_account(self, request: Request, name: str) -> dict[str, str]:
        """The account that a new key is of; nothing for one's own.

        Only administrators learn which there are.
        """
        if not name:
            return {}
        if not caller_of(request.scope).is_admin:
            raise Forbidden("Only administrators make keys for another account.")
        found = await self._find_services().accounts.find(name)
        if found is None:
            detail = f"There is no account {name!r}."
            raise Invalid(detail, Fault(detail, pointer="#/account"))
        return {"account": str(found["_id"])}

    def _show_key_form(
        self, request: Request, access: Access, form: Form, error: RequestError | None = None
    ) -> Response:
        caller = caller_of(request.scope)
        ticked = _list_ticked(form)
        resources = [one.resource for one in self._profile.list_rights(caller)]
        served = [None, *(one for one in resources if not one.address.startswith("auth/"))]
        rows = [Boxes(one, list(_list_boxes(one, caller.scopes, ticked))) for one in served]
        others = [one for one in (METRICS, ADMIN) if covers(caller.scopes, one)]
        return self._screens.render(
            request,
            "key_new.html",
            error.status if error is not None else HTTPStatus.OK,
            error.headers if error is not None else None,
            form=form,
            faults=Faults(error, ("name", "account", "scopes", "expires")),
            actions=ACTIONS,
            rows=[row for row in rows if any(box.scope for box in row.boxes)],
            others=[Box(one, one, one in ticked) for one in others],
            is_for_anyone=_is_administration(request) and caller.is_admin,
            back=_find_back(request),
        )

    # --- a new share ---

    async def start_share(self, request: Request) -> Response:
        """`GET /ui/me/shares/new`: the form of a new share, of an address that may be given."""
        access = self._shares.access(request, "create")
        requests.refuse_parameters(request, ("address", "name"))
        return self._show_share_form(request, access, dict(requests.pairs(request)))

    async def make_share(self, request: Request) -> Response:
        """`POST /ui/me/shares/new`: a new share, and its link this once."""
        access = self._shares.access(request, "create")
        form = await read_form(request)
        body: dict[str, Any] = {"address": form.get("address", "").strip()}
        if form.get("name"):
            body["name"] = form["name"]
        if form.get("days", "").isdecimal():
            body["expires_in"] = int(form["days"]) * DAY
        try:
            stored, secret = await self._shares.insert(request, access, body)
        except SHOWN_BESIDE_THE_FORM as error:
            return self._show_share_form(request, access, form, error)
        return self._show_made(request, "share", stored.document, secret)

    def _show_share_form(
        self,
        request: Request,
        access: Access,
        form: Mapping[str, str],
        error: RequestError | None = None,
    ) -> Response:
        return self._screens.render(
            request,
            "share_new.html",
            error.status if error is not None else HTTPStatus.OK,
            error.headers if error is not None else None,
            form=form,
            faults=Faults(error, ("address", "name", "expires_in")),
            back=_find_back(request),
        )

    def _show_made(
        self, request: Request, kind: str, document: Document, secret: Mapping[str, str]
    ) -> Response:
        """What was made, with what is told this once."""
        return self._screens.render(
            request,
            "made.html",
            HTTPStatus.CREATED,
            NOT_STORED,
            kind=kind,
            document=document,
            secret=secret,
            back=_find_back(request),
        )


def _list_ticked(form: Mapping[str, str]) -> set[str]:
    """The scopes that are ticked in a form."""
    return {name.removeprefix(SCOPE) for name in form if name.startswith(SCOPE)}


def _list_boxes(
    resource: Resource | None, scopes: frozenset[str], ticked: set[str]
) -> Iterator[Box]:
    """The scopes of a resource, of which those are empty that the caller doesn't have."""
    for action in ACTIONS:
        scope = action if resource is None else f"{resource.address}:{action}"
        yield Box(action, scope if covers(scopes, scope) else "", scope in ticked)


def _read_end(days: str) -> dict[str, str]:
    """When a key ends that serves for so many days; nothing for one without an end."""
    if not days.isdecimal() or not 0 < int(days) < 100_000:
        return {}
    return {"expires": (now() + datetime.timedelta(days=int(days))).isoformat()}


def _is_administration(request: Request) -> bool:
    path: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return not path.startswith(ME)


def _find_back(request: Request) -> str:
    """Where a form was come to from: one's own screen, or the list of all."""
    path: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return path.removesuffix("new") if _is_administration(request) else ME


def _complete(document: Document) -> Document:
    """The document with all that is shown; its moments say their zone, which a mock's don't."""
    return {
        name: value.replace(tzinfo=datetime.UTC) if isinstance(value, datetime.datetime) else value
        for name, value in (_SHOWN | document).items()
    }
