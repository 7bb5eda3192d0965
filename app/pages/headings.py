"""What stands over the columns of a table: a title, and what sorts by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from app.pages import addresses
from app.pages.addresses import Pairs
from app.pages.columns import Column, choose_columns, make_column
from app.pages.conditions import name_condition
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

    column: Column
    order: str
    following: str | None
    equals: str


def make_headings(
    names: Names, columns: Sequence[Column], pairs: Pairs, sort: Sort
) -> tuple[Heading, ...]:
    """The headings of one screen, whose rows are sorted like this: of the `_id`s, then the others.

    They are the same on all pages of a table, and kept.
    """
    is_asked = bool(addresses.value_of(pairs, SORT))
    return _make_all(names, tuple(column.path for column in columns), sort, is_asked)


@lru_cache(maxsize=512)
def _make_all(
    names: Names, paths: tuple[str, ...], sort: Sort, is_asked: bool
) -> tuple[Heading, ...]:
    making = Headings(names, sort, is_asked=is_asked)
    columns = choose_columns(names.resource, paths)
    return (making.make_key(), *making.make_all(columns))


class Headings:
    """Makes the headings of rows that are sorted like this, where `is_asked` by the address."""

    def __init__(self, names: Names, sort: Sort, *, is_asked: bool) -> None:
        self._names = names
        self._sort = dict(sort)
        self._is_asked = is_asked

    def make_all(self, columns: Sequence[Column]) -> list[Heading]:
        """The headings of the columns."""
        return [self._make(column) for column in columns]

    def make_key(self) -> Heading:
        """The heading of the `_id`s."""
        column = make_column(self._names.resource, "_id")
        assert column is not None  # every document has one
        return self._make(column)

    def _make(self, column: Column) -> Heading:
        order = _ORDERS.get(self._sort.get(column.path, 0), "")
        following = self._find_next(column.path) if column.can_sort else None
        equals = name_condition(self._names, column.path, "eq")
        return Heading(column, order, following, equals)

    def _find_next(self, path: str) -> str:
        """Ascending, then descending, then as if nothing had been asked."""
        direction = self._sort.get(path) if self._is_asked else None
        return {None: path, 1: f"-{path}", -1: ""}[direction]
