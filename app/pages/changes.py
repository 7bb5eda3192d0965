"""What differs between two or three states of a document, as JSON: a merge patch, and a conflict.

A merge patch (RFC 7396) says what a form changes. A conflict is told place by place: what was there
when the form was opened, what the form has, and what somebody else stored meanwhile.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.pages.cells import MISSING
from app.resources.comparing import is_same

Json = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """One place at which somebody changed something: `before`, `mine` and `theirs` are its values.

    A missing one is `MISSING`.
    """

    steps: tuple[str, ...]
    before: Any
    mine: Any
    theirs: Any

    @property
    def is_mine(self) -> bool:
        """Whether it is changed in the form."""
        return not _is_equal(self.before, self.mine)

    @property
    def is_theirs(self) -> bool:
        """Whether it was changed in the database."""
        return not _is_equal(self.before, self.theirs)


def make_patch(original: Json, changed: Json) -> Json:
    """The merge patch that makes one document of another, as far as one can say it.

    >>> make_patch({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4, "d": 3}})
    {"a": None, "b": {"c": 4}}
    """
    patch: Json = {name: None for name in original if name not in changed}
    for name, value in changed.items():
        before = original.get(name, MISSING)
        if _is_open(before) and isinstance(value, dict):
            inner = make_patch(before, value)
            if inner:
                patch[name] = inner
        elif not _is_equal(before, value):
            patch[name] = value
    return patch


def needs_null(original: Any, changed: Any) -> bool:
    """Whether a null is to be stored where a merge patch would remove the field."""
    if not isinstance(changed, dict):
        return False
    before = original if isinstance(original, dict) else {}
    for name, value in changed.items():
        stored = before.get(name, MISSING)
        if (value is None and stored is not None) or needs_null(stored, value):
            return True
    return False


def list_changes(
    before: Any, mine: Any, theirs: Any, *, steps: tuple[str, ...] = ()
) -> Iterator[Change]:
    """The places at which two states differ that were made of a third."""
    if all(map(_is_open, (before, mine, theirs))):
        for name in dict.fromkeys([*before, *mine, *theirs]):
            values = (one.get(name, MISSING) for one in (before, mine, theirs))
            yield from list_changes(*values, steps=(*steps, name))
        return
    change = Change(steps, before, mine, theirs)
    if (change.is_mine or change.is_theirs) and not _is_equal(mine, theirs):
        yield change


def merge(theirs: Json, picked: Sequence[Change]) -> Json:
    """What they stored, with what was picked of mine."""
    merged = copy.deepcopy(theirs)
    for change in picked:
        place = merged
        for step in change.steps[:-1]:
            place = place[step]
        if change.mine is MISSING:
            place.pop(change.steps[-1], None)
        else:
            place[change.steps[-1]] = change.mine
    return merged


def _is_open(value: Any) -> bool:
    """Whether it is an object of fields; what JSON has no word for begins with `$`."""
    return isinstance(value, dict) and not any(name.startswith("$") for name in value)


def _is_equal(one: Any, other: Any) -> bool:
    if one is MISSING or other is MISSING:
        return one is other
    return is_same(one, other, exactly=True)
