"""What a form says of its fields before they are filled in, and what it calls them."""

from collections.abc import Callable, Iterator
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from app.pages.form_nodes import Group, Leaf, Node, Rows
from app.pages.languages import N_
from app.resources.limits import list_limits

Gettext = Callable[[str], str]
MAX_DEFAULT = 60  # characters of a default that is told
_LIMITS = {  # how a person reads a limit; signs are the same in every language
    "a multiple of {}": N_("a multiple of %(value)s"),
    "at least {} long": N_("at least %(value)s long"),
    "at most {} long": N_("at most %(value)s long"),
    "as {}": N_("in the form %(value)s"),
}


class Hints:
    """The hints of one form in one language."""

    def __init__(self, gettext: Gettext, *, is_new: bool) -> None:
        self._gettext = gettext
        self._is_new = is_new

    def list(self, node: Node) -> Iterator[str]:
        """A sentence, or a part of one, for each thing that the model says."""
        info = node.place.info
        if info is not None and info.description:
            yield info.description
        if isinstance(node, Leaf) and node.input.meaning:
            yield self._gettext(node.input.meaning)
        if info is not None:
            yield from self._list_limits(info)
        if node.place.is_hidden and not self._is_new:
            yield self._gettext(N_("What is stored is not shown; leave this empty to keep it."))

    def _list_limits(self, info: FieldInfo) -> Iterator[str]:
        for words, value in list_limits(info):
            if words in _LIMITS:
                yield self._gettext(_LIMITS[words]) % {"value": value}
            else:
                yield words.format(value)
        default = self._write_default(info)
        if default:
            yield self._gettext(N_("when missing: %(value)s")) % {"value": default}

    def _write_default(self, info: FieldInfo) -> str:
        """The default of a field where it is a plain value."""
        default: Any = to_jsonable_python(info.get_default(), fallback=lambda value: None)
        if isinstance(default, bool):
            return self._gettext(N_("yes") if default else N_("no"))
        is_plain = default is not PydanticUndefined and isinstance(default, str | int | float)
        return str(default)[:MAX_DEFAULT] if is_plain else ""


def name_nodes(form: Group) -> dict[str, str]:
    """What each node is called, by its name, with what is around it."""
    return dict(_name(form, ""))


def _name(node: Node, label: str) -> Iterator[tuple[str, str]]:
    yield node.name, label
    if isinstance(node, Group):
        for inner in node.nodes.values():
            yield from _name(inner, join(label, inner.place.title))
        if node.extra is not None:
            yield from _name(node.extra, label)
    elif isinstance(node, Rows):
        for number, row in enumerate(node.rows, 1):
            yield from _name(row.node, join(label, row.key if node.is_map else str(number)))


def join(above: str, title: str) -> str:
    """The titles on the way to a place."""
    return f"{above} › {title}" if above else title
