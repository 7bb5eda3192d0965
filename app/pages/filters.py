"""The form that adds a condition: a field, an operator that fits it, a value of its type.

A form can't name a parameter by what is chosen in it, so it goes to an address of its own, which
answers with that of the table.
"""

import datetime
import zoneinfo
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.access import Access
from app.api.router import ResourceRouter
from app.errors import Fault, Invalid
from app.pages import addresses, own_values
from app.pages.addresses import Pairs
from app.pages.collections import UNPROCESSABLE, Collections, Panels
from app.pages.conditions import ask, name_condition
from app.pages.languages import N_, Language
from app.pages.operators import describe_choice, list_operators
from app.pages.picks import Pick, Picks, write_value
from app.pages.pills import name_asked, split_values, take_off
from app.pages.screens import Screens
from app.pages.titles import describe
from app.query.names import Lookup, Names
from app.query.operators import OPERATORS, Operator
from app.resources.kinds import read_datetime, write_datetime

WITHOUT_VALUE = N_("Enter a value.")
WITHOUT_FIELD = N_("Choose a field.")
INPUTS = {  # of the kinds that have one of their own
    "bool": "yes-no",
    "int": "number",
    "float": "number",
    "decimal": "number",
    "date": "date",
    "datetime": "datetime",
}
_FIRST = {"text": "contains", "datetime": "gte", "date": "gte"}  # operator of a field's kind
_NAMES = ("field", "op", "value", "q", "shown", "old", "back", "add")


@dataclass(frozen=True)
class Draft:
    """What has been filled in so far.

    `shown` is the input that the value was typed into. `old` are pairs that the condition takes the
    place of, `back` those of the table. `adds` says that it is complete as it is.
    """

    path: str = ""
    operator: str = ""
    values: tuple[str, ...] = ()
    search: str = ""
    shown: str = ""
    old: Pairs = ()
    back: Pairs = ()
    adds: bool = False


@dataclass(frozen=True)
class FieldGroup:
    """The fields of one model, by path, with what they are called."""

    title: str
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FilterForm:
    """The form as it is shown.

    `input` says what a value is typed into or chosen from, `several` that there may be many.
    `choices` are values with their words. `old` and `back` are query strings.
    """

    groups: tuple[FieldGroup, ...]
    path: str
    description: str = ""
    operators: tuple[tuple[str, str], ...] = ()
    operator: str = ""
    input: str = ""
    several: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    values: tuple[str, ...] = ()
    search: str = ""
    zone: str = ""
    fault: str = ""
    old: str = ""
    back: str = ""

    @property
    def shown(self) -> str:
        """What tells this input from others."""
        return f"{self.input}{'s' if self.several else ''}"


class Filters:
    """The handler of the form for all resources."""

    def __init__(self, collections: Collections, screens: Screens, picks: Picks) -> None:
        self._collections = collections
        self._screens = screens
        self._picks = picks

    async def show(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/table/filter`: the table with the form, or the way to the next table."""
        access = router.access(request, "read")
        draft = read_draft(requests.pairs(request))
        making = Making(request, access, self._screens, self._picks)
        asked = making.find(draft)
        form = await making.make(draft, asked)
        if draft.adds and asked is not None and draft.shown == form.shown:
            return await self._add(request, access, draft, asked, form)
        if draft.adds and asked is None:
            form = replace(form, fault=making.words.gettext(WITHOUT_FIELD))
        return await self._show(request, access, draft, form)

    async def _add(
        self, request: Request, access: Access, draft: Draft, asked: Lookup, form: FilterForm
    ) -> Response:
        names = access.compiler.names
        zone = self._screens.look(request).preferences.zone
        values = [read_value(asked, text, zone) for text in draft.values]
        if not values:
            fault = self._screens.look(request).language.gettext(WITHOUT_VALUE)
            return await self._show(request, access, draft, replace(form, fault=fault))
        added = make_pairs(names, asked, values)
        try:
            access.compiler.list(added)
        except Invalid as error:
            fault = error.faults[0].detail.removeprefix(f"{added[0][0]}: ")
            return await self._show(request, access, draft, replace(form, fault=fault))
        pairs = add_pairs(names, take_off(draft.back, draft.old), added)
        address = addresses.with_pairs(addresses.of_collection(access.view.resource), pairs)
        return addresses.lead_to(request, address)

    async def _show(
        self, request: Request, access: Access, draft: Draft, form: FilterForm
    ) -> Response:
        status = UNPROCESSABLE if form.fault else HTTPStatus.OK
        panels = Panels(form=form)
        return await self._collections.answer(request, access, draft.back, panels, status)


class Making:
    """Makes the form of one request."""

    def __init__(self, request: Request, access: Access, screens: Screens, picks: Picks) -> None:
        self._request = request
        self._names = access.compiler.names
        self._picks = picks
        screen = screens.look(request)
        self._zone = screen.preferences.zone
        self.words: Language = screen.language

    def find(self, draft: Draft) -> Lookup | None:
        """The condition that is being made; with the first operator where none fits."""
        asked = ask(self._names, draft.path, draft.operator)
        if asked is not None:
            return asked
        first = next(self._list_asked(draft.path), None)
        usual = _FIRST.get(first.found.field.kind, "") if first is not None else ""
        is_chosen = first is not None and not first.found.field.choices
        return (ask(self._names, draft.path, usual) if is_chosen else None) or first

    def _list_asked(self, path: str) -> Iterator[Lookup]:
        for operator in OPERATORS.values():
            asked = ask(self._names, path, operator.name)
            if asked is not None and operator in list_operators(asked.found.field):
                yield asked

    async def make(self, draft: Draft, asked: Lookup | None) -> FilterForm:
        """The form."""
        form = FilterForm(
            group_fields(self._names, asked),
            draft.path,
            old=urlencode(draft.old),
            back=urlencode(draft.back),
        )
        if asked is None:
            return form
        operators = [one.operator for one in self._list_asked(draft.path)]
        kind = self._choose_input(asked)
        values = tuple(self._write_value(kind, text) for text in draft.values)
        return replace(
            form,
            description=self._describe(asked),
            operators=tuple(self._describe_operator(asked, one) for one in operators),
            operator=asked.operator.name,
            input=kind,
            several=asked.operator.takes == "values",
            choices=await self._list_choices(kind, asked, draft),
            values=split_values(asked, values) if draft.old else values,
            search=draft.search,
            zone=self._zone,
        )

    def _describe(self, asked: Lookup) -> str:
        return "" if asked.links else describe(self._names.resource.shape, asked.found.path)

    def _describe_operator(self, asked: Lookup, operator: Operator) -> tuple[str, str]:
        return operator.name, describe_choice(self.words, asked.found.field, operator)

    def _choose_input(self, asked: Lookup) -> str:
        one, takes = asked.found.field, asked.operator.takes
        if takes == "presence":
            return "yes-no"
        if takes in ("literal", "pattern"):
            return "text"
        if one.choices:
            return "choice"
        if one.target is not None:
            may_read = self._picks.may_read(self._request, one.target.collection)
            return "link" if may_read else "text"
        return INPUTS.get(one.kind, "text")

    def _write_value(self, kind: str, text: str) -> str:
        return write_local(text, self._zone) if kind == "datetime" else text

    async def _list_choices(
        self, kind: str, asked: Lookup, draft: Draft
    ) -> tuple[tuple[str, str], ...]:
        one = asked.found.field
        if kind == "yes-no":
            return ("true", self.words.gettext("yes")), ("false", self.words.gettext("no"))
        if kind == "choice":
            return tuple(self._choose(asked, write_value(value)) for value in one.choices)
        if kind == "link" and one.target is not None:
            picks = await self._list_picks(one.target.collection, draft)
            return tuple((pick.key, pick.name) for pick in picks)
        return ()

    def _choose(self, asked: Lookup, text: str) -> tuple[str, str]:
        """A value to choose, and its word."""
        is_own = own_values.are_own(self._names.resource, asked.found.field)
        return text, own_values.say(self.words, text) if is_own else text

    async def _list_picks(self, collection: str, draft: Draft) -> list[Pick]:
        """What has been chosen already, and what is found."""
        chosen = [text for text in draft.values if text]
        named = await self._picks.name(self._request, collection, chosen) if chosen else {}
        found = await self._picks.find(self._request, collection, draft.search)
        picks = [Pick(key, named.get(key, key)) for key in chosen]
        return list(dict.fromkeys([*picks, *found]))


def read_draft(pairs: Pairs) -> Draft:
    """What a form says; raises `Invalid` for another parameter."""
    given = dict(pairs)
    for name in given:
        if name not in _NAMES:
            detail = f"{name}: there is no such parameter here."
            raise Invalid(detail, Fault(detail, parameter=name))
    several = given.get("shown", "").endswith("s")
    texts = [text for name, text in pairs if name == "value"]
    lines = [line for text in texts for line in (text.splitlines() if several else [text])]
    return Draft(
        given.get("field", ""),
        given.get("op", ""),
        tuple(line for line in lines if line),
        given.get("q", "").strip(),
        given.get("shown", ""),
        read_back(given.get("old", "")),
        read_back(given.get("back", "")),
        "add" in given,
    )


def read_back(text: str) -> list[tuple[str, str]]:
    """The pairs of a query string that a form carries along."""
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=5_000)
    except ValueError:
        detail = "back: must be a query string."
        raise Invalid(detail, Fault(detail, parameter="back")) from None


def group_fields(names: Names, chosen: Lookup | None = None) -> tuple[FieldGroup, ...]:
    """All fields that can be filtered, and the chosen one, by the model that nests them."""
    groups: dict[str, dict[str, str]] = {"": {}}
    every = [*names.filters().values(), *([chosen] if chosen is not None else ())]
    for asked in every:
        above = name_asked(names, _above(asked)) if _is_nested(asked) else ""
        groups.setdefault(above, {}).setdefault(asked.path, name_asked(names, asked))
    return tuple(
        FieldGroup(title, tuple(fields.items())) for title, fields in groups.items() if fields
    )


def _is_nested(asked: Lookup) -> bool:
    return bool(asked.links) or "." in asked.found.path


def _above(asked: Lookup) -> Lookup:
    path = asked.found.path.rpartition(".")[0]
    return replace(asked, found=replace(asked.found, path=path))


def make_pairs(names: Names, asked: Lookup, values: Sequence[str]) -> list[tuple[str, str]]:
    """The parameters of a condition; of one text among several what takes it whole."""
    path, operator = asked.path, asked.operator.name
    if len(values) == 1 and "," in values[0]:
        operator = {"in": "eq", "nin": "ne"}.get(operator, operator)
    name = name_condition(names, path, operator)
    return [(name, value) for value in values]


def add_pairs(names: Names, pairs: Pairs, added: Pairs) -> list[tuple[str, str]]:
    """The pairs with a condition more; values of one that is there already become one list."""
    rest = addresses.without(pairs, "after", "skip")
    name = added[0][0]
    asked = names.find_lookup(name)
    if asked is not None and asked.operator.takes == "values":
        known = split_values(asked, [value for one, value in rest if one == name and value])
        values = dict.fromkeys((*known, *(value for _, value in added)))
        return [*addresses.without(rest, name), *((name, value) for value in values)]
    return [*rest, *(pair for pair in added if pair not in rest)]


# --- the reader's time ---


def read_value(asked: Lookup, text: str, zone: str) -> str:
    """A value as a filter has it: a time without an offset is one of the reader's zone."""
    takes = asked.operator.takes
    if asked.found.field.kind != "datetime" or takes not in ("value", "values"):
        return text
    try:
        value = datetime.datetime.fromisoformat(text)
        if value.tzinfo is not None:
            return text
        local = value.replace(tzinfo=zoneinfo.ZoneInfo(zone))
        return write_datetime(local.astimezone(datetime.UTC))
    except (ValueError, OverflowError):  # which the compiler says better
        return text


def write_local(text: str, zone: str) -> str:
    """A date-time in the reader's zone, as an input for date-times has it."""
    try:
        value = read_datetime(text) if text.endswith("Z") else None
        local = value.astimezone(zoneinfo.ZoneInfo(zone)) if value is not None else None
    except (ValueError, OverflowError):
        return text
    return local.replace(tzinfo=None).isoformat() if local is not None else text
