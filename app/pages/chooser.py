"""The form that chooses the columns of a table, and puts them in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.router import ResourceRouter
from app.errors import Fault, Invalid
from app.pages import addresses
from app.pages.addresses import Pairs
from app.pages.collections import UNPROCESSABLE, Collections, Panels
from app.pages.columns import Column, choose_columns, group_columns, list_columns
from app.pages.filters import read_back
from app.pages.languages import N_
from app.pages.screens import Screens
from app.pages.titles import describe, title_whole
from app.resources.registry import Resource

WITHOUT_COLUMN = N_("Choose at least one column.")
_NAMES = ("back", "column", "order", "place", "move", "show")
_STEPS = {"up": -1, "down": 1}


@dataclass(frozen=True)
class Choice:
    """A column to choose, with all that its title stands below."""

    path: str
    title: str
    description: str


@dataclass(frozen=True)
class ChoiceGroup:
    """Columns that are not chosen, of one nested model."""

    title: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class ColumnsForm:
    """The form as it is shown: the chosen columns in their order, and the others."""

    chosen: tuple[Choice, ...]
    others: tuple[ChoiceGroup, ...]
    back: str
    reset: str
    fault: str = ""


class Chooser:
    """The handler of the form for all resources."""

    def __init__(self, collections: Collections, screens: Screens) -> None:
        self._collections = collections
        self._screens = screens

    async def show(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/table/columns`: the table with the form, or the way to the next table."""
        access = router.access(request, "read")
        resource = access.view.resource
        pairs = requests.pairs(request)
        given = _read(pairs)
        back = read_back(given.get("back", ""))
        if not any(name == "column" or name in ("show", "move") for name, _ in pairs):
            chosen = list_chosen(resource, addresses.value_of(back, "fields"))
        else:
            chosen = read_model(resource, pairs)
        if "show" in given and chosen:
            return self._lead_on(request, resource, back, chosen)
        language = self._screens.look(request).language
        fault = language.gettext(WITHOUT_COLUMN) if "show" in given else ""
        form = make_form(resource, chosen, back, fault)
        status = UNPROCESSABLE if fault else HTTPStatus.OK
        return await self._collections.answer(request, access, back, Panels(columns=form), status)

    def _lead_on(
        self, request: Request, resource: Resource, back: Pairs, chosen: Sequence[str]
    ) -> Response:
        usual = [column.path for column in choose_columns(resource, None)]
        fields = "" if list(chosen) == usual else ",".join(chosen)
        pairs = addresses.replace_pair(back, "fields", fields)
        address = addresses.with_pairs(addresses.of_collection(resource), pairs)
        return addresses.lead_to(request, address)


def _read(pairs: Pairs) -> dict[str, str]:
    given = dict(pairs)
    for name in given:
        if name not in _NAMES:
            detail = f"{name}: there is no such parameter here."
            raise Invalid(detail, Fault(detail, parameter=name))
    return given


def list_chosen(resource: Resource, fields: str) -> list[str]:
    """The columns of a table whose address says these `fields`."""
    paths = [path.strip() for path in fields.split(",") if path.strip()]
    return [column.path for column in choose_columns(resource, paths or None)]


def read_model(resource: Resource, pairs: Pairs) -> list[str]:
    """The columns that a form has chosen, in the order of their places; new ones come last."""
    known = {column.path for column in list_offered(resource)}
    checked = [value for name, value in pairs if name == "column" and value in known]
    ordered = [value for name, value in pairs if name == "order"]
    places = [value for name, value in pairs if name == "place"]
    placed = dict(zip(ordered, map(_read_place, places), strict=False))
    last = len(pairs)
    paths = sorted(dict.fromkeys(checked), key=lambda path: placed.get(path, last))
    for name, value in pairs:
        if name == "move":
            _move(paths, *value.partition(":")[::2])
    return paths


def _read_place(text: str) -> float:
    """A place in the order; what is no number stays where it is as far as it can."""
    try:
        return float(text[:20])
    except ValueError:
        return 0.0


def _move(paths: list[str], direction: str, path: str) -> None:
    if path not in paths or direction not in _STEPS:
        return
    here = paths.index(path)
    there = min(max(here + _STEPS[direction], 0), len(paths) - 1)
    paths.insert(there, paths.pop(here))


def list_offered(resource: Resource) -> list[Column]:
    """The columns that can be chosen: a nested model by its fields."""
    every = list_columns(resource)
    return [one for one in every if one.path != "_id" and not _is_flattened(one)]


def _is_flattened(column: Column) -> bool:
    shape = column.field.shape
    return shape is not None and not column.field.many and bool(shape.fields)


def make_form(
    resource: Resource, chosen: Sequence[str], back: Pairs, fault: str = ""
) -> ColumnsForm:
    """The form with these columns chosen."""
    others = [one for one in list_offered(resource) if one.path not in chosen]
    groups = group_columns(resource, others)
    reset = addresses.with_pairs(
        addresses.of_collection(resource), addresses.without(back, "fields")
    )
    return ColumnsForm(
        tuple(_choice(resource, path, title_whole(resource.shape, path)) for path in chosen),
        tuple(
            ChoiceGroup(
                group.title,
                tuple(_choice(resource, one.path, one.title) for one in group.columns),
            )
            for group in groups
        ),
        urlencode(back),
        reset,
        fault,
    )


def _choice(resource: Resource, path: str, title: str) -> Choice:
    return Choice(path, title, describe(resource.shape, path))
