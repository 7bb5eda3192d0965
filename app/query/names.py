"""What the names in a query string mean for one resource: filters, paths, sort keys."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from app.query.conditions import AnyCondition, Condition, LinkedCondition, Selection
from app.query.operators import OPERATORS, Operator
from app.query.ordering import Sort
from app.query.parameters import parameters_of
from app.query.sorting import read_sort
from app.resources.fields import FieldPath
from app.resources.links import Shapes, first_link
from app.resources.views import View, Views

MAX_NAME = 200  # characters of a name, past which it is neither remembered nor compared
_PARAMETERS = frozenset(parameters_of("list"))


@dataclass(frozen=True)
class Lookup:
    """A field lookup: the path and the operator that a parameter names, behind `links` on the way.

    For each link there are the conditions `below`, of the documents to which it leads.
    """

    found: FieldPath
    operator: Operator
    links: tuple[FieldPath, ...] = ()
    below: tuple[tuple[AnyCondition, ...], ...] = ()

    @property
    def path(self) -> str:
        """The whole path, through the links."""
        return ".".join(found.path for found in (*self.links, self.found))

    def condition(self, value: Any) -> Condition | LinkedCondition:
        """The condition with this value."""
        condition: Condition | LinkedCondition = Condition(self.found, self.operator, value)
        for link, below in reversed(list(zip(self.links, self.below, strict=True))):
            condition = LinkedCondition(link, condition, below)
        return condition


Below = Callable[[View], tuple[AnyCondition, ...]]


def _nothing_below(view: View) -> tuple[AnyCondition, ...]:
    return ()


class Names:
    """The names of one resource, as a caller sees it, and behind its links as that one sees those.

    `find_below` says which conditions a view puts below every query.
    """

    def __init__(self, view: View, views: Views, find_below: Below = _nothing_below) -> None:
        self.resource = resource = view.resource
        self.below = find_below(view)
        self._views = views
        self._find_below = find_below
        self._linked: dict[str, Names] = {}
        self._declared = frozenset(resource.paths)
        self._lookups = lru_cache(maxsize=1024)(self._find)
        self._sorts = lru_cache(maxsize=256)(self._read_sort)
        self._paths = lru_cache(maxsize=1024)(resource.shape.find)

    def find_lookup(self, name: str) -> Lookup | None:
        """The lookup that a parameter of this name is, or None."""
        return self._lookups(name) if len(name) <= MAX_NAME else self._find(name)

    def sort(self, text: str) -> Sort:
        """The keys of a `sort`; raises `ValueError` with a sentence."""
        return self._sorts(text) if len(text) <= MAX_NAME else self._read_sort(text)

    def path(self, path: str) -> FieldPath | None:
        """What a dotted path leads to, or None."""
        return self._paths(path) if len(path) <= MAX_NAME else self.resource.shape.find(path)

    def is_declared(self, path: str) -> bool:
        """Whether the model itself has this path, so that no key of a dict is a step of it."""
        return path in self._declared

    @property
    def shapes(self) -> Shapes:
        """The shapes of the documents that links may lead to, by their collection."""
        return self._views.shapes

    def filters(self, parameters: Collection[str] = ()) -> dict[str, Lookup]:
        """Every filter with its lookup, for describing them beside these parameters.

        Those through links are there one link deep.
        """
        every = self._filters(parameters)
        for link in self.resource.links:
            found = self.path(link.path)  # None where the link is excluded
            target = self.follow(found) if found is not None else None
            for name, lookup in target._filters().items() if target is not None else ():
                if target and found and lookup.found.path != "_id":  # which the link itself is
                    through = replace(lookup, links=(found,), below=(target.below,))
                    every[f"{link.path}.{name}"] = through
        return every

    def _filters(self, parameters: Collection[str] = ()) -> dict[str, Lookup]:
        every: dict[str, Lookup] = {}
        for found in self.resource.shape.walk(unions=True):
            for operator in OPERATORS.values():
                if operator.fits(found.field):
                    taken = found.path in _PARAMETERS or found.path in parameters
                    bare = operator.name == "eq" and not taken
                    name = found.path if bare else f"{found.path}__{operator.name}"
                    every[name] = Lookup(found, operator)
        return every

    def _find(self, name: str) -> Lookup | None:
        if name in _PARAMETERS:
            return None
        if name in self._declared:
            return self._make_lookup(name, "eq")
        path, separator, word = name.rpartition("__")
        if separator and self._takes_operator(path, word):
            return self._make_lookup(path, word)
        return self._make_lookup(name, "eq") or self._find_through(name)

    def _find_through(self, name: str) -> Lookup | None:
        """The lookup in a linked document that the name is: `author.name__contains`."""
        link, rest = self.link(name)
        if link is None or not rest:
            return None
        target = self.follow(link)
        lookup = target.find_lookup(rest) if target is not None else None
        if target is None or lookup is None:
            return None
        links, below = (link, *lookup.links), (target.below, *lookup.below)
        return replace(lookup, links=links, below=below)

    def link(self, path: str) -> tuple[FieldPath | None, str]:
        """The first link on a path, and the rest of the path behind it."""
        return first_link(self.resource.shape, path)

    def follow(self, link: FieldPath) -> "Names | None":
        """The names of the documents that a link leads to; None where they may not be read."""
        assert link.field.target is not None
        name = link.field.target.collection
        if name not in self._views.shapes:
            return None
        if name not in self._linked:
            self._linked[name] = Names(self._views[name], self._views, self._find_below)
        return self._linked[name]

    def select_linked(self, collections: Iterable[str]) -> dict[str, Selection]:
        """The documents of these collections that are seen behind links, where not all are."""
        found = {name: self._find_below(self._views[name]) for name in collections}
        return {name: Selection.of(below) for name, below in found.items() if below}

    def _takes_operator(self, path: str, word: str) -> bool:
        """Whether what follows the last `__` of a name is an operator, and no part of a path.

        Below a dict it always is, for a key may have any name: a misspelt operator must not
        become part of one.
        """
        if "." in word or self.path(path) is None:
            return False
        return word in OPERATORS or path not in self._declared

    def _make_lookup(self, path: str, word: str) -> Lookup | None:
        operator, found = OPERATORS.get(word), self.path(path)
        if operator is None or found is None or not operator.fits(found.field):
            return None
        return Lookup(found, operator)

    def _read_sort(self, text: str) -> Sort:
        return tuple(read_sort(self.resource, text))
