"""Filters as lists beside the table: the values of a field, each of them one click.

The values of choices and booleans are known, and so are the ranges of times. Those of links and
texts are counted in the database, where that is quick, so all of them come after the table.
"""

import datetime
import zoneinfo
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.access import Access
from app.api.router import ResourceRouter
from app.errors import RequestError, TimeLimitExceeded, Unavailable
from app.pages import addresses, own_values
from app.pages.addresses import Pairs
from app.pages.collections import Collections, Panels
from app.pages.conditions import name_condition
from app.pages.faceting import TIMES, is_counted, list_fields
from app.pages.languages import N_, Language
from app.pages.operators import WITHOUT_VALUE
from app.pages.picks import Picks, write_value
from app.pages.screens import Screens
from app.pages.titles import title_whole
from app.query.names import Names
from app.resources.fields import FieldPath
from app.resources.kinds import show_link, write_datetime
from app.store.frequencies import Frequencies

MOST_VALUES = 10  # of such a list
MAX_DISTINCT = 50  # distinct texts of a field, up to which the most frequent ones are of use
VARIOUS = 1_000  # distinct texts that won't be few soon
VARIOUS_SECONDS = 600
MAX_TEXT = 100  # characters of such a text
SECONDS = 1.0  # after which no more lists are counted
EVERYTHING = N_("All")
_RANGES = (N_("Today"), N_("Past 7 days"), N_("This month"), N_("This year"))
_MIDNIGHT = datetime.time(0)


@dataclass(frozen=True)
class Value:
    """One value of a list: the address of the table with it, and how often it is there."""

    title: str
    address: str
    is_current: bool
    count: int | None = None


@dataclass(frozen=True)
class Facet:
    """The list of one field; the first value is that all documents are shown."""

    path: str
    title: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class _Option:
    """What is to become a value: its words, and the conditions that it stands for."""

    title: str
    conditions: tuple[tuple[str, str], ...]
    count: int | None = None


class Facets:
    """The handler of the lists of all resources."""

    def __init__(self, collections: Collections, screens: Screens, picks: Picks) -> None:
        self._collections = collections
        self._screens = screens
        self._picks = picks
        self._various = Various()

    async def show(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/table/facets`: the lists for a table; without scripts the table too."""
        access = router.access(request, "read")
        pairs = [pair for pair in requests.pairs(request) if pair != ("keyword", "")]
        making = _Making(request, access, pairs, self._screens, self._picks, self._various)
        facets = [facet async for facet in making.make_all()]
        panels = Panels(facets=facets)
        if "hx-request" not in request.headers:
            return await self._collections.answer(request, access, pairs, panels)
        return self._screens.render(
            request,
            "_facets.html",
            panels=panels,
            has_facets=True,
            is_part=True,
            path=addresses.of_collection(access.view.resource),
            addresses=addresses,
            pairs=pairs,
        )


class Various:
    """Fields that had so many different texts that for a while nobody counts them again."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], float] = {}

    def has(self, collection: str, path: str) -> bool:
        """Whether a field is one of them."""
        return self._until.get((collection, path), 0.0) > monotonic()

    def add(self, collection: str, path: str) -> None:
        """From now on it is."""
        self._until[collection, path] = monotonic() + VARIOUS_SECONDS


class _Making:
    """Makes the lists of one request."""

    def __init__(
        self,
        request: Request,
        access: Access,
        pairs: Pairs,
        screens: Screens,
        picks: Picks,
        various: Various,
    ) -> None:
        self._various = various
        screen = screens.look(request)
        self._request = request
        self._access = access
        self._names: Names = access.compiler.names
        self._pairs = addresses.without(pairs, "skip", "after")
        self._picks = picks
        self._words: Language = screen.language
        self._today = datetime.datetime.now(zoneinfo.ZoneInfo(screen.preferences.zone))

    async def make_all(self) -> AsyncIterator[Facet]:
        """The lists, in the order of their fields."""
        deadline = monotonic() + SECONDS
        for found in list_fields(self._access.view.resource):
            if is_counted(found) and monotonic() > deadline:
                continue
            options = await self._list_options(found)
            if options:
                yield self._make(found, options)

    async def _list_options(self, found: FieldPath) -> Sequence[_Option]:
        field = found.field
        if field.kind in TIMES:
            return [*self._list_ranges(found)]
        if field.kind == "bool":
            words = {"true": self._words.gettext("yes"), "false": self._words.gettext("no")}
            return [self._option(found, text, word) for text, word in words.items()]
        if field.choices:
            return [*self._list_choices(found)]
        return await self._count_options(found)

    def _option(self, found: FieldPath, text: str, title: str, count: int | None = None) -> _Option:
        return _Option(title, ((name_condition(self._names, found.path, "eq"), text),), count)

    def _list_choices(self, found: FieldPath) -> Iterator[_Option]:
        is_own = own_values.are_own(self._access.view.resource, found.field)
        for text in map(write_value, found.field.choices):
            title = own_values.say(self._words, text) if is_own else text
            yield self._option(found, text, title)

    # --- values that are counted ---

    async def _count_options(self, found: FieldPath) -> Sequence[_Option]:
        collection = self._access.view.resource.name
        if self._various.has(collection, found.path):
            return []
        frequencies = await self._count(found)
        if frequencies is None or not frequencies.values:
            return []
        if found.field.target is not None:
            return await self._list_linked(found, found.field.target.collection, frequencies)
        if frequencies.distinct > VARIOUS:
            self._various.add(collection, found.path)
        if frequencies.distinct > MAX_DISTINCT:
            return []
        texts = [(value, count) for value, count in frequencies.values if _is_short(value)]
        options = [self._option(found, value, value, count) for value, count in texts]
        return [*options, *self._list_without(found, frequencies)] if options else []

    async def _count(self, found: FieldPath) -> Frequencies | None:
        """How often the values are there among the documents that the other conditions leave."""
        others = self._without(found)
        conditions = addresses.list_conditions(addresses.without(others, "sort"))
        may_be_list = found.through_list or found.field.many
        try:
            query = self._access.compiler.list(conditions)
            return await self._access.repository.frequencies(
                query, found.path, may_be_list=may_be_list, most=MOST_VALUES
            )
        except TimeLimitExceeded:
            return None
        except Unavailable:  # not to be waited for once more for each of the other fields
            raise
        except RequestError:  # of which the table tells
            return None

    async def _list_linked(
        self, found: FieldPath, collection: str, frequencies: Frequencies
    ) -> Sequence[_Option]:
        counts: dict[str, int] = {}  # a link may be stored in two forms
        for value, count in frequencies.values:
            if value is not None:
                key = write_value(show_link(collection, value))
                counts[key] = counts.get(key, 0) + count
        named = await self._picks.name(self._request, collection, list(counts))
        options = [self._option(found, key, named.get(key, key), counts[key]) for key in counts]
        return [*options, *self._list_without(found, frequencies)] if options else []

    def _list_without(self, found: FieldPath, frequencies: Frequencies) -> Iterator[_Option]:
        """The documents that have no value, where they are among the most frequent."""
        for value, count in frequencies.values:
            if value is None:
                conditions = ((f"{found.path}__exists", "false"),)
                yield _Option(self._words.gettext(WITHOUT_VALUE), conditions, count)

    # --- ranges of time ---

    def _list_ranges(self, found: FieldPath) -> Iterator[_Option]:
        day = self._today.date()
        tomorrow = day + datetime.timedelta(days=1)
        month = day.replace(day=1)
        year = day.replace(month=1, day=1)
        begins = (day, day - datetime.timedelta(days=7), month, year)
        next_month = (month + datetime.timedelta(days=32)).replace(day=1)
        ends = (tomorrow, tomorrow, next_month, year.replace(year=year.year + 1))
        for title, begin, end in zip(_RANGES, begins, ends, strict=True):
            conditions = (
                (f"{found.path}__gte", self._write_day(found, begin)),
                (f"{found.path}__lt", self._write_day(found, end)),
            )
            yield _Option(self._words.gettext(title), conditions)

    def _write_day(self, found: FieldPath, day: datetime.date) -> str:
        """A day, or when it begins where the reader is."""
        if found.field.kind == "date":
            return day.isoformat()
        begins = datetime.datetime.combine(day, _MIDNIGHT, self._today.tzinfo)
        return write_datetime(begins.astimezone(datetime.UTC))

    # --- the lists themselves ---

    def _make(self, found: FieldPath, options: Sequence[_Option]) -> Facet:
        own = [pair for pair in self._pairs if self._is_of(found, pair[0])]
        others = self._without(found)
        everything = _Option(self._words.gettext(EVERYTHING), ())
        values = [
            Value(
                option.title,
                addresses.with_pairs(self._address, [*others, *option.conditions]),
                sorted(own) == sorted(option.conditions),
                option.count,
            )
            for option in (everything, *options)
        ]
        title = title_whole(self._access.view.resource.shape, found.path)
        return Facet(found.path, title, tuple(values))

    @property
    def _address(self) -> str:
        return addresses.of_collection(self._access.view.resource)

    def _without(self, found: FieldPath) -> list[tuple[str, str]]:
        """The pairs but for the conditions on a field."""
        return [pair for pair in self._pairs if not self._is_of(found, pair[0])]

    def _is_of(self, found: FieldPath, name: str) -> bool:
        asked = self._names.find_lookup(name)
        return asked is not None and asked.path == found.path


def _is_short(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_TEXT
