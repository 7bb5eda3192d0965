"""Which paths a rule covers, as a tree that goes along with a document.

Lists are looked through: what is said of `addresses.city` holds in each element.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.resources.faults import Steps
from app.resources.fields import Shape, models_in, shape_of
from app.resources.views import Rule


@dataclass(frozen=True, eq=False, repr=False)
class Extent:
    """The paths that a rule covers: an extent by name, and whether the `others` are covered.

    That of a model which is nested in itself holds itself.
    """

    others: bool
    named: dict[str, "Extent"] = field(default_factory=dict)

    @property
    def is_all(self) -> bool:
        """Whether everything is covered."""
        return self.others and not self.named

    @property
    def is_none(self) -> bool:
        """Whether nothing is covered."""
        return not self.others and not self.named

    def below(self, name: str) -> "Extent":
        """What is covered of the field of this name."""
        return self.named.get(name, ALL if self.others else NONE)

    def at(self, steps: Steps) -> "Extent":
        """What is covered at a place; the numbers of elements are no steps."""
        extent = self
        for step in steps:
            if isinstance(step, str) or str(step) in extent.named:
                extent = extent.below(str(step))
        return extent

    def covers(self, value: Any) -> bool:
        """Whether a value is covered, at least partly where it has parts."""
        return self.others or (bool(self.named) and isinstance(value, dict | list))

    def cut(self, value: Any) -> Any:
        """The covered part of a value."""
        if self.is_all:
            return value
        if isinstance(value, list):
            return [self.cut(inner) for inner in value if self.covers(inner)]
        if not isinstance(value, dict):
            return value
        below = {name: self.below(name) for name in value}
        return {
            name: below[name].cut(inner)
            for name, inner in value.items()
            if below[name].covers(inner)
        }


ALL, NONE = Extent(others=True), Extent(others=False)


def extent_of(rule: Rule | None, shape: Shape) -> Extent:
    """The paths that a rule covers of documents of this shape; none where there is no rule."""
    if rule is None:
        return NONE
    extent = ALL if rule.fields is None else _only([path.split(".") for path in rule.fields])
    return _without(extent, [path.split(".") for path in rule.hide], shape)


def _only(paths: Sequence[list[str]]) -> Extent:
    if not all(paths):
        return ALL
    return Extent(False, {name: _only(rests) for name, rests in _by_first(paths).items()})


def _without(extent: Extent, paths: Sequence[list[str]], shape: Shape | None) -> Extent:
    if not paths or extent.is_none:
        return extent
    if not all(paths):
        return NONE
    named = dict(extent.named)
    for name, rests in _by_first(paths).items():
        known = shape.fields.get(name) if shape is not None else None
        named[name] = _without(extent.below(name), rests, known.shape if known else None)
    cut = _make_extent(extent.others, named)
    if shape is not None and any(len(path) == 1 for path in paths):
        _tie(cut, shape, cut, shape, ())
    return cut


def _make_extent(others: bool, named: Mapping[str, Extent]) -> Extent:
    is_said = {name: one for name, one in named.items() if others or not one.is_none}
    return Extent(others, is_said)


def _tie(
    extent: Extent, shape: Shape, root: Extent, holder: Shape, above: tuple[type, ...]
) -> Extent:
    """The extent, in which a model that is nested in itself has the `root`'s on every level.

    Below the keys of a map, and where more is hidden on one level than on another, that is nothing.
    """
    for name, known in shape.fields.items():
        below = extent.below(name)
        for model in models_in(known) if not below.is_none else ():
            if model is holder.model:
                is_plain = known.values is None and name not in extent.named
                extent.named[name] = root if is_plain else NONE
            elif model not in above and _leads_to(shape_of(model), holder, (*above, model)):
                inner = Extent(below.others, dict(below.named))
                inside = _tie(inner, shape_of(model), root, holder, (*above, model))
                extent.named[name] = inside if known.values is None else NONE
    return extent


def _leads_to(shape: Shape, holder: Shape, above: tuple[type, ...]) -> bool:
    models = [model for known in shape.fields.values() for model in models_in(known)]
    return any(
        model is holder.model
        or (model not in above and _leads_to(shape_of(model), holder, (*above, model)))
        for model in models
    )


def _by_first(paths: Iterable[list[str]]) -> dict[str, list[list[str]]]:
    grouped: dict[str, list[list[str]]] = {}
    for first, *rest in paths:
        grouped.setdefault(first, []).append(rest)
    return grouped


def find_uncovered(extent: Extent, value: Any, above: Steps) -> Iterator[Steps]:
    """The places of what an extent does not cover."""
    if extent.is_all:
        return
    if not extent.covers(value):
        yield above
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from find_uncovered(extent.below(name), inner, (*above, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from find_uncovered(extent, inner, (*above, number))
