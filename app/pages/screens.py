"""Renders a screen: a template with the words of the reader's language, and who the reader is.

Handlers give a template's name and its words; everything that all screens need is added here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.api.callers import NOBODY, Caller
from app.api.pages import UI, is_auth_resource, is_issued, path_of_pages
from app.pages import addresses
from app.pages.assets import Assets
from app.pages.cells import Cells
from app.pages.languages import CODES, N_, NAMES, Language, language
from app.pages.preferences import (
    DONE,
    MINUTE,
    THEMES,
    Preferences,
    read_preferences,
    remember,
)
from app.pages.sentences import translate
from app.pages.templating import Templates, fill
from app.pages.titles import NEW, OWN_NEW, OwnTitle, name_of
from app.resources.registry import Resource

# Links and forms in an element with these attributes replace the list alone, and the address.
LISTING = Markup(
    'hx-boost="true" hx-target="#list" hx-select="#list" hx-select-oob="#actions, #preferences" '
    'hx-swap="outerHTML show:none" hx-push-url="true" hx-sync="#search:replace" '
    'hx-indicator="#list"'
)
DONE_WORDS = {  # what a screen says of what was done before it, by the word in the cookie
    "changed": N_("Saved."),
    "unchanged": N_("Nothing was changed, so nothing was saved."),
    "created": N_("The document is saved."),
    "deleted": N_("The document is deleted."),
    "password": N_("The password is changed."),
    "ended": N_("It serves no more."),
    "view": N_("The view is saved."),
    "view_deleted": N_("The view is deleted."),
}
KEPT = "docsheet.screen"  # in the scope of a request
MOST_WAYS = 8  # collections in the head of a screen
TEMPLATES = Path(__file__).parent / "templates"
PRIVATE = {"Cache-Control": "no-store", "Vary": "Accept-Language, Cookie"}


@dataclass(frozen=True)
class Screen:
    """What every template knows as `screen`.

    `root` is the prefix that a proxy takes off, `here` the address that was asked for, without it;
    `back` is where the reader goes on in another language.
    `resources` are those that the caller may read, `administration` our own, for administrators;
    `done` says what was done by the form before this screen.
    """

    language: Language
    preferences: Preferences
    caller: Caller
    root: str
    path: str
    here: str
    back: str
    resources: tuple[Resource, ...]
    administration: tuple[Resource, ...] = ()
    done: str = ""

    def name_of(self, resource: Resource) -> str:
        """What a collection is called, in the reader's language where it is one of our own."""
        name = name_of(resource)
        return self.language.gettext(name) if is_auth_resource(resource) else name

    def name_new(self, resource: Resource) -> str:
        """What a new document of a collection is called, in the reader's language."""
        return self.language.gettext(OWN_NEW.get(resource.address, NEW))

    @property
    def ways(self) -> Sequence[tuple[str, str, str]]:
        """Where the head of every screen leads: an address, the path of what is below, a name."""
        return _list_ways(self.resources[:MOST_WAYS])

    @property
    def has_accounts(self) -> bool:
        """Whether callers have to sign in here."""
        return self.caller.means != "off"

    @property
    def is_signed_in(self) -> bool:
        """Whether somebody is known to call."""
        return self.caller.means not in ("off", "none")


def _find_form(request: Request, root: str) -> str:
    """The screen of ours that a form was on, for the address of the form may answer no GET.

    Empty where a browser does not tell it (`Referer`).
    """
    came = urlsplit(request.headers.get("referer", ""))
    if came.netloc != request.headers.get("host") or not came.path.startswith(f"{root}{UI}/"):
        return ""
    return came._replace(scheme="", netloc="", fragment="").geturl().removeprefix(root)


@lru_cache(maxsize=256)
def _list_ways(resources: tuple[Resource, ...]) -> Sequence[tuple[str, str, str]]:
    return [
        (addresses.of_collection(one), f"{path_of_pages(one)}/", name_of(one)) for one in resources
    ]


class Screens:
    """The templates of one server."""

    def __init__(self, assets: Assets, resources: Mapping[str, Resource]) -> None:
        self._resources = resources
        self._templates: dict[tuple[str, str], Template] = {}
        self._environments = {code: self._make_environment(code, assets) for code in CODES}

    def _make_environment(self, code: str, assets: Assets) -> Environment:
        words = language(code)
        constants = {"_": lambda message: fill(words.gettext(message)), "asset": assets.path}
        environment = Templates(
            constants,
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            extensions=["jinja2.ext.i18n"],
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.install_gettext_callables(  # type: ignore[attr-defined]
            words.gettext, words.ngettext, newstyle=True
        )
        environment.filters["sentence"] = partial(translate, code)
        environment.filters["titled"] = lambda title: (
            words.gettext(title) if type(title) is OwnTitle else title
        )
        environment.globals |= {
            "_": _make_gettext(words),  # what the extension makes of it looks up more
            "asset": assets.path,
            "address_of": addresses.of_collection,
            "is_issued": is_issued,
            "cells": Cells(words),
            "language_names": NAMES,
            "listing": LISTING,
            "themes": THEMES,
        }
        return environment

    def look(self, request: Request) -> Screen:
        """What all templates need of a request, which is the same until it is answered."""
        kept: Screen | None = request.scope.get(KEPT)
        if kept is None:
            kept = request.scope[KEPT] = self._look(request)
        return kept

    def _look(self, request: Request) -> Screen:
        scope = request.scope
        caller = scope.get("caller", NOBODY)
        preferences = read_preferences(request)
        root = scope.get("root_path", "")
        path = scope["path"].removeprefix(root)
        served = self._resources.values()
        readable = tuple(one for one in served if caller.rights.of(one.name).may("read"))
        query = scope["query_string"].decode("latin-1")
        here = f"{path}?{query}" if query else path
        return Screen(
            language(preferences.language),
            preferences,
            caller,
            root,
            path,
            here,
            (request.method == "POST" and _find_form(request, root)) or here,
            tuple(one for one in readable if not is_auth_resource(one)),
            tuple(one for one in readable if is_auth_resource(one)) if caller.is_admin else (),
            DONE_WORDS.get(request.cookies.get(DONE, ""), ""),
        )

    def render(
        self,
        request: Request,
        template: str,
        status: int = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
        **words: Any,
    ) -> Response:
        """The answer that a template makes; templates know the headers as well."""
        screen = self.look(request)
        text = self._read_template(screen.language.code, template).render(
            screen=screen, headers=headers or {}, **words
        )
        response = HTMLResponse(text, status, {**PRIVATE, **(headers or {})})
        if screen.done:
            remember(request, response, DONE, "", seconds=0)
        return response

    def _read_template(self, code: str, name: str) -> Template:
        """The template in a language; Jinja's own memory of them costs more to ask."""
        template = self._templates.get((code, name))
        if template is None:
            template = self._templates[code, name] = self._environments[code].get_template(name)
        return template

    def go(self, request: Request, address: str, done: str) -> Response:
        """The way to another screen, which says what was done: one of `DONE_WORDS`."""
        response = addresses.lead_to(request, address)
        remember(request, response, DONE, done, seconds=MINUTE)
        return response


def _make_gettext(words: Language) -> Callable[..., Markup]:
    """What a template says `_('at least %(number)s', number=…)` with: values in it are escaped."""
    read = lru_cache(maxsize=1024)(lambda message: Markup(words.gettext(message)))
    return lambda message, **values: read(message) % values
