"""Which columns a caller's import takes, and which are in a form to fill in."""

from collections.abc import Sequence
from dataclasses import replace

from app.resources.extents import Extent, extent_of
from app.resources.registry import Resource
from app.resources.views import EVERYTHING, Rule, Views, narrow


def make_importable(views: Views, collection: str) -> Resource:
    """The resource with the fields that its caller sees or may write: a file may have them all."""
    rights = views[collection].rights
    return _narrow_to(views, collection, [rights.read, rights.create, rights.update])


def make_fillable(views: Views, collection: str) -> Resource:
    """The resource with the fields that its caller may write."""
    rights = views[collection].rights
    return _narrow_to(views, collection, [rights.create, rights.update])


def _narrow_to(views: Views, collection: str, rules: Sequence[Rule | None]) -> Resource:
    view = views[collection]
    whole = view.whole
    if view.rights == EVERYTHING:
        return whole
    extents = [extent_of(rule, whole.shape) for rule in rules]
    every = [found.path for found in whole.shape.walk()]
    paths = tuple(path for path in every if _is_covered(extents, path))
    if len(paths) == len(every):
        return whole
    shape = narrow(whole.shape, Rule(fields=paths))
    return replace(whole, shape=shape, options=views.cut_options(whole, shape))


def _is_covered(extents: Sequence[Extent], path: str) -> bool:
    steps = tuple(path.split("."))
    return any(extent.at(steps).is_all for extent in extents)
