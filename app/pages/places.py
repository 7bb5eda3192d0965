"""What the places of a document are called, and which of them show nothing."""

from collections.abc import Sequence

from app.pages.hints import join
from app.pages.titles import infos_of, title_field
from app.resources.fields import Shape


def name_place(shape: Shape | None, steps: Sequence[str]) -> str:
    """The titles on the way to a place."""
    label = ""
    for step in steps:
        info = infos_of(shape.model).get(step) if shape is not None else None
        label = join(label, title_field(shape, step, info) if shape is not None else step)
        shape = _shape_below(shape, step)
    return label


def is_hidden(shape: Shape | None, steps: Sequence[str]) -> bool:
    """Whether a place is one of which nothing is shown: a password."""
    for step in steps:
        known = shape.fields.get(step) if shape is not None else None
        if known is not None and known.excluded:
            return True
        shape = _shape_below(shape, step)
    return False


def _shape_below(shape: Shape | None, step: str) -> Shape | None:
    known = shape.fields.get(step) if shape is not None else None
    return known.shape if known is not None else None
