"""A stored value as JSON: the one rendering for answers, cells and downloads.

Documents come from `codec.decode`; what JSON has no word for is canonical Extended JSON (v2).
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import bson
import orjson
from bson import json_util
from bson.binary import UuidRepresentation
from bson.datetime_ms import DatetimeMS

from app.resources.fields import Field, Shape, Target, shape_of
from app.resources.kinds import show_link, word, writers

_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
_CANONICAL = json_util.CANONICAL_JSON_OPTIONS.with_options(
    uuid_representation=UuidRepresentation.STANDARD
)
_writers = writers()
_NOTHING = object()  # in the place of what is skipped


def to_json(value: Any, raw: bytes | None = None) -> bytes:
    """The value as compact UTF-8 JSON.

    `raw`, its BSON where at hand, spares the search for NaN and Infinity.
    """
    text = orjson.dumps(value, default=_render_other, option=_OPTIONS)
    if b"null" not in text or (raw is not None and not may_hold_not_finite(raw)):
        return text  # orjson writes null for a double that is not finite
    return orjson.dumps(_without_not_finite(value), default=_render_other, option=_OPTIONS)


def may_hold_not_finite(raw: bytes) -> bool:
    """Whether the last two bytes of such a double may be there: F0 to FF, then 7F or FF."""
    for last in (b"\x7f", b"\xff"):
        at = raw.find(last, 1)
        while at > 0:
            if raw[at - 1] >= 0xF0:
                return True
            at = raw.find(last, at + 1)
    return False


def _render_other(value: Any) -> Any:
    if type(value) is bson.Int64:
        return int(value)
    write = _writers.get(type(value))
    return write(value) if write is not None else extend(value)


def extend(value: Any) -> Any:
    """A value of a rarer BSON type as canonical Extended JSON: a dict of plain values."""
    if isinstance(value, DatetimeMS):
        return {"$date": {"$numberLong": str(int(value))}}
    return json_util.default(value, _CANONICAL)


def _without_not_finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else word(value)
    if type(value) is dict:
        return {key: _without_not_finite(inner) for key, inner in value.items()}
    if type(value) is list:
        return [_without_not_finite(inner) for inner in value]
    return value


_EXCLUDED = "excluded"
# No fields' names. Beside them are the names of those that are shown at all, and of those that are
# objects, or lists of them: whatever else is stored in their place is no part of what is shown.
_ONLY, _OBJECTS = "\0only", "\0objects"
MAX_NESTED = 8  # times that a model inside itself is gone into


def keep_paths(document: dict[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """The document with only these dotted paths, and its `_id`.

    Lists are looked through, as by MongoDB's projections: what has no such path is skipped.

        keep_paths({"_id": 1, "a": [{"b": 2, "c": 3}, 4]}, ["a.b"])  # {"_id": 1, "a": [{"b": 2}]}
    """
    tree: dict[str, Any] = {}
    for path in paths:
        below = tree
        for step in path.split("."):
            below = below.setdefault(step, {})
    kept: dict[str, Any] = _keep_tree(document, {**tree, "_id": {}})
    return kept


def _keep_tree(value: Any, tree: dict[str, Any]) -> Any:
    """The parts of a value that a tree names, all of it where the tree ends here.

    `_NOTHING` where the tree goes on, and the value has nothing inside.
    """
    if not tree:
        return value
    if isinstance(value, dict):
        found = [(name, _keep_tree(value[name], tree[name])) for name in value if name in tree]
        return {name: inner for name, inner in found if inner is not _NOTHING}
    if isinstance(value, list):
        kept = [_keep_tree(one, tree) for one in value]
        return [one for one in kept if one is not _NOTHING]
    return _NOTHING


@dataclass(frozen=True)
class Presenter:
    """Makes a document presentable, in place: excluded fields out, dates without a time.

    Of a model that is shown in part, whatever isn't one of the shown fields is taken out.
    """

    tree: dict[str, Any]

    def __call__(self, document: dict[str, Any]) -> None:
        _present(document, self.tree)


def presenter(shape: Shape, *, excluded: bool = True) -> Presenter | None:
    """The presenter of a shape's documents, None where there is nothing to do.

    `excluded=False` leaves the excluded fields in.
    """
    tree = _tree(shape, excluded, ())
    return Presenter(tree) if tree else None


def _tree(shape: Shape, excluded: bool, above: tuple[type, ...]) -> dict[str, Any]:
    tree = _close(shape) if shape.closed and excluded else {}
    for name, field in shape.fields.items():
        if field.excluded and excluded:
            if not shape.closed:
                tree[name] = _EXCLUDED
            continue
        known = field.values or field
        if known.target is not None:
            tree[name] = _show_links(field, known.target, excluded)
        elif (show := known.show) is not None:
            tree[name] = show
        elif branch := _branch(field, excluded, above):
            tree[name] = branch
    return tree


class _Links(NamedTuple):
    """What to do with links: `embedded` in a whole document that stands in the place of one."""

    show: Callable[[Any], Any]
    embedded: dict[str, Any]


def _show_links(field: Field, target: Target, excluded: bool) -> Callable[[Any], Any] | _Links:
    """What to do with the links of a field.

    Beanie stores a whole document, with what its class excludes, where one was given for a link in
    a nested model.
    """
    shape = shape_of(target.document)
    show = partial(show_link, target.collection)
    if not (excluded and shape.has_excluded):
        return show
    embedded = _exclude(shape, (shape.model,))
    return _Links(show, embedded if field.values is None else {"*": embedded})


def _exclude(shape: Shape, above: tuple[type, ...]) -> dict[str, Any]:
    """What takes the excluded fields out of a document, and does nothing else."""
    tree: dict[str, Any] = {}
    for name, field in shape.fields.items():
        known = field.values or field
        branch: dict[str, Any] = {}
        for inner in known.shapes:
            if inner.model not in above:
                branch = _merge(branch, _exclude(inner, (*above, inner.model)))
        if field.excluded:
            tree[name] = _EXCLUDED
        elif branch:
            tree[name] = branch if field.values is None else {"*": branch}
    return tree


def _close(shape: Shape) -> dict[str, Any]:
    """What to do where a part of the fields is shown, and nothing else."""
    shown = {name: field for name, field in shape.fields.items() if not field.excluded}
    parts = [name for name, field in shown.items() if field.shape and field.shape.closed]
    tree: dict[str, Any] = {_ONLY: frozenset(shown)}
    return {**tree, _OBJECTS: frozenset(parts)} if parts else tree


def _branch(field: Field, excluded: bool, above: tuple[type, ...]) -> dict[str, Any]:
    """What to do in a nested model.

    In one of several that a value may be, what is excluded in any of them.
    """
    if field.values is not None:
        inner = _branch(field.values, excluded, above)
        return {"*": inner} if inner else {}
    branch: dict[str, Any] = {}
    for shape in field.shapes:
        if above.count(shape.model) < MAX_NESTED:
            branch = _merge(branch, _tree(shape, excluded, (*above, shape.model)))
        elif excluded and shape.has_excluded:  # further in, nothing is shown
            branch = _merge(branch, {_ONLY: frozenset()})
    return branch


def _merge(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    merged = {**one, **other}
    for name in one.keys() & other.keys():
        if _EXCLUDED in (one[name], other[name]):
            merged[name] = _EXCLUDED
        elif name in (_ONLY, _OBJECTS):
            merged[name] = one[name] & other[name] if name == _ONLY else one[name] | other[name]
        elif isinstance(one[name], dict) and isinstance(other[name], dict):
            merged[name] = _merge(one[name], other[name])
    return merged


def _present(document: dict[str, Any], tree: dict[str, Any]) -> None:
    for name, action in tree.items():
        if name == "*":
            for value in document.values():
                _into(value, action)
        elif name not in document:
            if name == _ONLY:
                _keep(document, action)
            elif name == _OBJECTS:
                _keep_objects(document, action)
        elif action == _EXCLUDED:
            del document[name]
        elif type(action) is dict:
            _into(document[name], action)
        elif type(action) is _Links:
            _into(document[name], action.embedded)
            document[name] = _each(document[name], action.show)
        else:
            document[name] = _each(document[name], action)


def _keep(document: dict[str, Any], names: frozenset[str]) -> None:
    for name in document.keys() - names:
        del document[name]


def _keep_objects(document: dict[str, Any], names: frozenset[str]) -> None:
    for name in names & document.keys():
        value = document[name]
        if type(value) is list:
            document[name] = _list_objects(value)
        elif type(value) is not dict:
            del document[name]


def _list_objects(values: list[Any]) -> list[Any]:
    nested = (_list_objects(inner) if type(inner) is list else inner for inner in values)
    return [inner for inner in nested if type(inner) in (dict, list)]


def _into(value: Any, tree: dict[str, Any]) -> None:
    if type(value) is dict:
        _present(value, tree)
    elif type(value) is list:
        for inner in value:
            _into(inner, tree)


def _each(value: Any, show: Callable[[Any], Any]) -> Any:
    if type(value) is list:
        return [_each(inner, show) for inner in value]
    if type(value) is dict:
        return {key: _each(inner, show) for key, inner in value.items()}
    return show(value)
