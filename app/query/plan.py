"""A plan: what MongoDB is asked, of a query; the store makes it, which alone knows the indexes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.query import ordering
from app.query.compile import Query
from app.query.conditions import Join
from app.query.flatten import Flattening
from app.query.ordering import Index, Sort
from app.settings import Settings


@dataclass(frozen=True)
class Plan:
    """What to read, as plain data.

    `sort` is a total order; `backwards`, documents are read from its end. `order` is the index that
    serves this, and whether that is read backwards; None where no index does. `is_view` says that
    `_id`s may repeat and be of any type.
    `projection` keeps what is asked for, None whole documents. `flat`, where there is one, is tried
    before it, page by page, until too many pages in a row were none that can be flattened.
    """

    filter: dict[str, Any]
    sort: Sort
    skip: int = 0
    limit: int | None = None
    projection: dict[str, Any] | None = None
    flat: Flattening | None = None
    order: tuple[Index, bool] | None = None
    is_view: bool = False
    time_limit: int = 10_000  # ms of the database's work for a page
    patience: float = 15.0  # seconds that a lost primary is waited for
    joins: tuple[Join, ...] = ()  # what is asked of linked documents, and is no part of `filter`
    patterns: tuple[str, ...] = ()  # the parameters that are regular expressions
    backwards: bool = False

    @property
    def walk(self) -> Sort:
        """The sort in which MongoDB is asked for the documents."""
        return ordering.reverse(self.sort) if self.backwards else self.sort

    @property
    def whole_sort(self) -> Sort:
        """The sort with `_id` in it: positions have a value for each of its keys."""
        return ordering.add_id(self.sort)

    @property
    def is_by_id(self) -> bool:
        """Whether `_id` alone decides, and is unique."""
        return self.sort[0][0] == "_id" and not self.is_view


def make_plan(
    query: Query, indexes: Sequence[Index], settings: Settings, *, is_view: bool = False
) -> Plan:
    """The plan of a query of a collection, or a view, that has these indexes."""
    sort = ordering.complete(query.sort, () if is_view else indexes)
    backwards = query.after is not None and query.after.backwards
    walk = ordering.reverse(sort) if backwards else sort
    return Plan(
        query.filter,
        sort,
        query.skip,
        query.limit,
        order=None if is_view else ordering.find_serving(walk, indexes),
        is_view=is_view,
        time_limit=int(settings.QUERY_TIME_LIMIT_SECONDS * 1000),
        patience=settings.PRIMARY_WAIT_SECONDS,
        joins=query.joins,
        patterns=query.patterns,
        backwards=backwards,
    )
