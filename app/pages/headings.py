"""What stands over the columns of a table: a title, and what sorts by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.pages import addresses
from app.pages.addresses import Pairs
from app.pages.columns import Column
from app.pages.conditions import name_condition
from app.pages.titles import describe, title_of
from app.query.names import Names
from app.query.ordering import Sort

SORT = "sort"
_ORDERS: dict[int, Literal["ascending", "descending"]] = {1: "ascending", -1: "descending"}


@dataclass(frozen=True)
class Heading:
    """The head of one column.

    `order` is how the rows are sorted by it, empty where they aren't; `following` is the `sort` of
    the next order, None where there is none. `equals` is the parameter that asks for documents with
    one value, empty where there is none.
    """

    path: str
    title: str
    description: str
    is_number: bool
    order: str
    following: str | None
    equals: str


class Headings:
    """Makes the headings of one screen: of rows that are sorted like this."""

    def __init__(self, names: Names, pairs: Pairs, sort: Sort) -> None:
        self._names = names
        self._resource = names.resource
        self._sort = dict(sort)
        self._is_asked = bool(addresses.value_of(pairs, SORT))

    def make_all(self, columns: Sequence[Column]) -> list[Heading]:
        """The headings of the columns."""
        return [self._make(one.path, one.is_number, one.can_sort) for one in columns]

    def make_key(self) -> Heading:
        """The heading of the `_id`s."""
        return self._make("_id", False, True)

    def _make(self, path: str, is_number: bool, can_sort: bool) -> Heading:
        shape = self._resource.shape
        order = _ORDERS.get(self._sort.get(path, 0), "")
        following = self._find_next(path) if can_sort else None
        title = title_of(shape, path)
        equals = name_condition(self._names, path, "eq")
        return Heading(path, title, describe(shape, path), is_number, order, following, equals)

    def _find_next(self, path: str) -> str:
        """Ascending, then descending, then as if nothing had been asked."""
        direction = self._sort.get(path) if self._is_asked else None
        return {None: path, 1: f"-{path}", -1: ""}[direction]
