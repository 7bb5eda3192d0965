"""What a caller may do with a resource, and the resource as that caller sees it.

All of it is plain data that can be hashed and pickled: a right is decided elsewhere, and obeyed by
whoever reads or writes. A field that may not be read is an excluded field of a narrower shape, and
a rule for documents is a condition below every query.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal

from app.errors import Forbidden
from app.resources.fields import Narrowing, Shape, narrow_shape
from app.resources.links import Shapes, find_through, split_title
from app.resources.options import Options
from app.resources.registry import Resource
from app.spelling import suggest_nearest

_log = logging.getLogger("docsheet.views")

Ruled = Literal["read", "create", "update", "delete"]  # the actions that have rules
Action = Ruled | Literal["export", "import"]


@dataclass(frozen=True)
class Rule:
    """What one action may touch.

    `where` are parameters of a list, such as `("region.name__in", "north,south")`, in which nothing
    is left to be filled in; the same name may repeat. `fields` are dotted paths, only these, None
    for all; `hide` are paths, all but these. `nothing` says that no document is meant, as where an
    attribute of the account is missing.
    """

    where: tuple[tuple[str, str], ...] = ()
    fields: tuple[str, ...] | None = None
    hide: tuple[str, ...] = ()
    nothing: bool = False

    @property
    def is_for_whole(self) -> bool:
        """Whether it is for every field."""
        return self.fields is None and not self.hide


@dataclass(frozen=True)
class Rights:
    """What a caller may do with one resource; None and False: not at all.

    `only` are the actions that the caller's scopes leave, None where all are left. An export shows
    what `read` shows, an import writes what `create` and `update` may write, so these rules stay
    for whose scopes hold just that.
    """

    read: Rule | None = None
    create: Rule | None = None
    update: Rule | None = None
    delete: Rule | None = None
    export: bool = False
    import_: bool = False
    only: tuple[Action, ...] | None = None

    def may(self, action: Action) -> bool:
        """Whether the action is allowed, on some documents at least."""
        right = getattr(self, "import_" if action == "import" else action)
        is_left = self.only is None or action in self.only
        return is_left and right is not None and right is not False

    @property
    def shows(self) -> bool:
        """Whether documents may be shown, on their own or in an export."""
        return self.may("read") or (self.read is not None and self.may("export"))

    def ignore_conditions(self) -> "Rights":
        """The same rights to the fields of all documents."""
        read, create, update, delete = (
            rule and Rule(fields=rule.fields, hide=rule.hide)
            for rule in (self.read, self.create, self.update, self.delete)
        )
        return replace(self, read=read, create=create, update=update, delete=delete)

    def rule_of(self, action: Ruled) -> Rule | None:
        """What the action may touch; None where it isn't allowed."""
        rules = {
            "read": self.read,
            "create": self.create,
            "update": self.update,
            "delete": self.delete,
        }
        return rules[action]


WHOLE = Rule()
EVERYTHING = Rights(WHOLE, WHOLE, WHOLE, WHOLE, True, True)
NOTHING = Rights()
_KEY_ALONE = Rule(fields=())


@dataclass(frozen=True)
class Grants:
    """The rights to every resource: `named` by collection, `others` where a resource isn't there.

    >>> Grants.make({"users": Rights(read=Rule()), "*": NOTHING}).of("users")
    """

    named: tuple[tuple[str, Rights], ...] = ()
    others: Rights = NOTHING

    @classmethod
    def make(cls, rights: Mapping[str, Rights]) -> "Grants":
        """The grants of a mapping by collection, in which `*` is for the others."""
        named = sorted((name, of_one) for name, of_one in rights.items() if name != "*")
        return cls(tuple(named), rights.get("*", NOTHING))

    def ignore_conditions(self) -> "Grants":
        """The same rights to the fields of all documents, equal for callers with one role."""
        named = tuple((name, rights.ignore_conditions()) for name, rights in self.named)
        return Grants(named, self.others.ignore_conditions())

    def of(self, collection: str) -> Rights:
        """The rights to one resource."""
        return self._by_name.get(collection, self.others)

    @cached_property
    def _by_name(self) -> dict[str, Rights]:
        return dict(self.named)

    @cached_property
    def _hash(self) -> int:
        return hash((self.named, self.others))

    def __hash__(self) -> int:
        """Kept, for every request looks something up by it."""
        return self._hash

    def __getstate__(self) -> dict[str, object]:
        """Without what is kept: another process hashes differently."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


ALL = Grants(others=EVERYTHING)


@dataclass(frozen=True)
class View:
    """A resource as one caller sees it.

    `whole` is the resource as it is declared, for what is written and what must hold of all
    documents; `resource` has the narrower shape, and options cut to it. Both are one object where
    nothing is hidden.
    """

    whole: Resource
    resource: Resource
    rights: Rights = EVERYTHING

    @cached_property
    def projection(self) -> dict[str, Any] | None:
        """MongoDB's projection of whole documents to what is seen; None where all of it is.

        Inside a model that is nested in itself it may keep more than is to be shown.
        """
        rule = self.rights.read or _KEY_ALONE
        if rule.is_for_whole:
            return None
        if rule.fields is not None:
            return dict.fromkeys(("_id", *_list_widest(rule.fields)), 1)
        every = self.resource.shape.walk(excluded=True)
        hidden = [found.path for found in every if found.field.excluded]
        return dict.fromkeys(_list_widest(hidden), 0) or None


class Views(Mapping[str, View]):
    """All resources as one caller sees them, by collection; each made when it is first asked for.

    `everything` has them as they are declared.
    """

    def __init__(self, resources: Iterable[Resource], grants: Grants = ALL) -> None:
        self._resources = {resource.name: resource for resource in resources}
        self.grants = grants
        self._views: dict[str, View] = {}

    @cached_property
    def everything(self) -> "Views":
        """The same resources as whoever may do everything sees them."""
        return self if self.grants == ALL else Views(self._resources.values())

    def __getitem__(self, collection: str) -> View:
        """The view of a resource; raises `KeyError` where there is no such collection."""
        if collection not in self._views:
            self._views[collection] = self._see(self._resources[collection])
        return self._views[collection]

    def __iter__(self) -> Iterator[str]:
        """The collections, in the order of the resources."""
        return iter(self._resources)

    def __len__(self) -> int:
        """How many resources there are."""
        return len(self._resources)

    @cached_property
    def shapes(self) -> Shapes:
        """The shapes of the resources that may be read, as far as they may be, by collection."""
        found: dict[str, Shape] = {}
        for name, resource in self._resources.items():
            rights = self._close(resource)
            if rights.read is not None and rights.shows:
                found[name] = narrow(resource.shape, rights.read)
        return found

    def _see(self, whole: Resource) -> View:
        if self.grants == ALL:
            return View(whole, whole)
        rights = self._close(whole)
        shape = narrow(whole.shape, rights.read or _KEY_ALONE)
        options = self.cut_options(whole, shape)
        if shape is whole.shape and options is whole.options:
            return View(whole, whole, rights)
        return View(whole, replace(whole, shape=shape, options=options), rights)

    def _close(self, resource: Resource) -> Rights:
        """The rights to a resource, without those that name a field which isn't there."""
        rights = self.grants.of(resource.name)
        closed: dict[str, Any] = {}
        for action, rule in (
            ("read", rights.read),
            ("create", rights.create),
            ("update", rights.update),
        ):
            problem = find_problem(resource, rule) if rule is not None else None
            if problem is not None:
                known = action, resource.name, problem
                _log.warning("nobody may %s %s by a rule that can't be: %s", *known)
                closed[action] = None
        return replace(rights, **closed) if closed else rights

    def cut_options(self, whole: Resource, shape: Shape) -> Options:
        """What the model says of itself, as far as its paths are seen."""
        options = whole.options
        columns = tuple(column for column in options.columns if self._sees(whole, shape, column))
        search = tuple(path for path in options.search if shape.find(path) is not None)
        keys = [key for key in options.sort.split(",") if shape.find(key.strip().lstrip("+-"))]
        cut = replace(options, columns=columns, search=search, sort=",".join(keys))
        return options if cut == options else cut

    def _sees(self, whole: Resource, shape: Shape, column: str) -> bool:
        path, _ = split_title(whole.shape, self.everything.shapes, column)
        return find_through(shape, self.shapes, path) is not None


def make_forbidden(resource: Resource, action: Action) -> Forbidden:
    """403 that names the scope that is needed."""
    address = resource.address
    return Forbidden(f"This needs the scope {address}:{action}, and this caller doesn't have it.")


def narrow(shape: Shape, rule: Rule) -> Shape:
    """The shape of which what the rule doesn't let be seen is excluded; `_id` always is seen."""
    if rule.is_for_whole:
        return shape
    only = None if rule.fields is None else frozenset(rule.fields)
    return narrow_shape(shape, Narrowing(only, frozenset(rule.hide)))


def find_problem(resource: Resource, rule: Rule) -> str | None:
    """Why the fields of a rule can't be: a path that isn't declared. None where all are."""
    known = {found.path for found in resource.shape.walk(excluded=True)}
    for path in (*(rule.fields or ()), *rule.hide):
        if path not in known:
            return f"there is no field {path!r}.{suggest_nearest(path, known)}"
    return None


def _list_widest(paths: Sequence[str]) -> list[str]:
    """The paths without those that a wider one holds."""
    return [path for path in paths if not any(path.startswith(f"{wide}.") for wide in paths)]
