"""A query string, checked against a resource, as a `Query`: conditions, sort, page, fields.

Input is the pairs of the query string in their order. Whatever is wrong in them is collected, and
raised together as one `Invalid` with a fault for each parameter. docs/query.md shows the grammar.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from app.errors import DeclarationError
from app.query import ordering, tokens
from app.query.conditions import (
    AnyCondition,
    Condition,
    Filter,
    FilterCondition,
    Join,
    LinkedCondition,
    Selection,
)
from app.query.expansions import Expansion
from app.query.names import Names
from app.query.ordering import Sort
from app.query.parameters import parameters_of
from app.query.reader import QueryReader
from app.query.rules import NOTHING, conditions_of
from app.query.tokens import Place, Pointer
from app.resources.views import Ruled, View, Views

Pairs = Sequence[tuple[str, str]]
LIST = parameters_of("list")
READ = parameters_of("read")


@dataclass(frozen=True)
class Query:
    """What was asked of one collection; `patterns` names the parameters that are searched for.

    `limit` is None where all documents are asked for, `fields` where whole ones are. `sort` is as
    it was asked; `after` is a place in `ordering.add_id(sort)`.
    """

    conditions: tuple[AnyCondition, ...]
    sort: Sort
    skip: int
    limit: int | None
    fields: tuple[str, ...] | None = None
    after: Place | Pointer | None = None
    count: str = "auto"
    patterns: tuple[str, ...] = ()
    fingerprint: bytes = b""
    expand: tuple[Expansion, ...] = ()

    @cached_property
    def selection(self) -> Selection:
        """The conditions as plain data."""
        return Selection.of(self.conditions)

    @property
    def filter(self) -> Filter:
        """MongoDB's filter for the conditions, but for those that reach through links."""
        return self.selection.filter

    @property
    def joins(self) -> tuple[Join, ...]:
        """What the conditions need that reach through links."""
        return self.selection.joins

    def resolve(self, filters: Sequence[Filter]) -> "Query":
        """The query with these filters in place of its joins."""
        plain = [one for one in self.conditions if not isinstance(one, LinkedCondition)]
        return replace(self, conditions=(*plain, *map(FilterCondition, filters)))


@dataclass(frozen=True)
class Affected:
    """The documents that a write is for: those that match, `most` at most.

    `is_dry`: they are only counted.
    """

    query: Query
    most: int
    is_dry: bool


@dataclass(frozen=True)
class Excerpt:
    """What a read shows of one document: only these fields, None for all; links in whose place."""

    fields: tuple[str, ...] | None
    expand: tuple[Expansion, ...]

    @property
    def is_whole(self) -> bool:
        """Whether it is the document as it is stored."""
        return self.fields is None and not self.expand


class Compiler:
    """Reads query strings for one resource as one caller sees it.

    Every query has below it what the caller may read, and behind links the same of those resources.
    """

    def __init__(self, view: View, views: Views) -> None:
        self.view = view
        self.resource = view.resource
        self._views = views
        self.names = Names(view, views, self._read_rule)
        self.below = self.names.below
        self.default_sort = self._read_declared_sort()

    def _read_rule(self, view: View) -> tuple[AnyCondition, ...]:
        rule = view.rights.read
        return (NOTHING,) if rule is None else conditions_of(rule, view.whole.name, self._views)

    def conditions_of(self, action: Ruled) -> tuple[AnyCondition, ...]:
        """The documents that an action may touch; none where it isn't allowed at all."""
        rule = self.view.rights.rule_of(action)
        if rule is None:
            return (NOTHING,)
        return conditions_of(rule, self.view.whole.name, self._views)

    def list(self, pairs: Pairs, below: Sequence[Condition] = ()) -> Query:
        """The query of a list, with more conditions `below` those that are asked for.

        Raises `Invalid`.
        """
        reader = QueryReader(self.names, pairs, LIST)
        limit = reader.value("limit")
        skip = reader.value("skip")
        fields = reader.fields()
        count = reader.value("count")
        expand = reader.expand()
        conditions = (*reader.conditions(), *below, *self.below)
        sort = reader.sort(self.default_sort)
        order = ordering.add_id(sort)
        fingerprint = tokens.fingerprint(self.resource.name, _ignore_order(conditions), order)
        after = reader.after(fingerprint)
        reader.finish()
        patterns = tuple(reader.patterns)
        return Query(
            conditions, sort, skip, limit, fields, after, count, patterns, fingerprint, expand
        )

    def read(self, pairs: Pairs) -> Excerpt:
        """What a read of one document shows of it; raises `Invalid`, also for any condition."""
        reader = QueryReader(self.names, pairs, READ, takes_conditions=False)
        excerpt = Excerpt(reader.fields(), reader.expand())
        reader.finish()
        return excerpt

    def export(
        self,
        pairs: Pairs,
        options: Collection[str] = (),
        foreign: Mapping[str, str] | None = None,
        below: Sequence[Condition] = (),
    ) -> tuple[Query, dict[str, Any]]:
        """The query of an export, and the values of its other parameters; raises `Invalid`.

        `options` are those of the format; `foreign` says of parameters that belong elsewhere where:
        they may be there only as long as they are empty.
        """
        known = parameters_of("export", options)
        reader = QueryReader(self.names, pairs, known, foreign or {})
        limit = reader.value("limit")
        skip = reader.value("skip")
        conditions = (*reader.conditions(), *below, *self.below)
        sort = reader.sort(())
        others = {name: reader.value(name) for name in known if name not in LIST}
        reader.finish()
        query = Query(conditions, sort, skip, limit, patterns=tuple(reader.patterns))
        return query, others

    def many(self, pairs: Pairs, below: Sequence[AnyCondition] = ()) -> "Affected":
        """The documents that one PATCH or DELETE is for, of those that meet conditions `below`.

        Raises `Invalid`.
        """
        reader = QueryReader(self.names, pairs, parameters_of("many"))
        conditions = reader.conditions()
        most = reader.value("max_affected")
        is_dry = reader.value("dry_run")
        if not reader.has("max_affected"):
            reader.refuse("max_affected", "it is required: how many documents may be written")
        if not conditions:
            reader.refuse("keyword", "a condition is required: this, or a filter")
        reader.finish()
        every = (*conditions, *below, *self.below)
        query = Query(every, (), 0, None, patterns=tuple(reader.patterns))
        return Affected(query, most, is_dry)

    def _read_declared_sort(self) -> Sort:
        try:
            return self.names.sort(self.resource.options.sort)
        except ValueError as error:
            if self.resource is not self.view.whole:
                return ()  # by what this caller can't see
            model = self.resource.shape.model.__name__
            raise DeclarationError(f"{model}.Resource.sort: {error}") from None


class Compilers(Mapping[str, Compiler]):
    """The compilers of all resources for one caller, by collection.

    Each is made when it is first asked for.
    """

    def __init__(self, views: Views) -> None:
        self.views = views
        self._made: dict[str, Compiler] = {}

    def __getitem__(self, collection: str) -> Compiler:
        """The compiler of a resource; raises `KeyError` where there is no such collection."""
        if collection not in self._made:
            self._made[collection] = Compiler(self.views[collection], self.views)
        return self._made[collection]

    def __iter__(self) -> Iterator[str]:
        """The collections, in the order of the resources."""
        return iter(self.views)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.views)


def _ignore_order(conditions: Sequence[AnyCondition]) -> object:
    """The same for the same conditions in another order."""
    return sorted(repr(condition.render()) for condition in conditions)
