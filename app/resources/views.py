"""What a caller may do with a resource, and the resource as that caller sees it.

All of it is plain data that can be hashed and pickled: a right is decided elsewhere, and obeyed by
whoever reads or writes. A field that may not be read is an excluded field of a narrower shape, and
a rule for documents is a condition below every query.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Literal

from app.resources.registry import Resource

Action = Literal["read", "create", "update", "delete", "export", "import"]


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
    def is_for_all(self) -> bool:
        """Whether it is for every document."""
        return not self.where and not self.nothing

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


WHOLE = Rule()
EVERYTHING = Rights(WHOLE, WHOLE, WHOLE, WHOLE, True, True)
NOTHING = Rights()


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
