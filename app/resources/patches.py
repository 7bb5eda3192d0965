"""A merge patch (RFC 7396) → what it changes in a stored document, and nothing else.

One rule holds it all: what the stored document has is never written again. The patch works on the
stored BSON, whose elements keep their bytes unless they were sent. What is sent as it is shown
counts as not sent, so that a form may send the whole document back; what is wrong at a place that
was not sent counts only if it was right before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bson.raw_bson import RawBSONDocument

from app.errors import Invalid
from app.resources.codec import element_of
from app.resources.comparing import is_same
from app.resources.elements import OBJECT, Element, elements, join_elements
from app.resources.faults import Steps, make_invalid_body, make_unknown_field
from app.resources.fields import Field, Shape
from app.resources.permissions import Permissions
from app.resources.registry import Resource
from app.resources.storing import UNSTORABLE, Document, check_size, encode, find_unstorable, is_step
from app.resources.validation import (
    PartlyKept,
    fault_places,
    find_unknown_fields,
    hide_excluded,
    judge,
    refuse_other_id,
    require_object,
    view_of,
)

_MISSING = object()


@dataclass(frozen=True)
class Change:
    """What a merge patch writes: dotted paths with their new values, and dotted paths that go.

    `whole` is the new document where no paths can say it: two of its fields have one name.
    """

    set: Mapping[str, Any] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    whole: bytes | None = None

    def __bool__(self) -> bool:
        return bool(self.set or self.unset or self.whole)


def read_patch(
    resource: Resource, patch: Any, raw: bytes, permissions: Permissions | None = None
) -> Change:
    """What a merge patch changes in a stored document, given as its BSON.

    Raises `Invalid`, and `Forbidden` for what `permissions` do not let be written.
    """
    patch = require_object(patch)
    view = view_of(resource, raw)
    refuse_other_id(patch, view)
    shown = hide_excluded(resource, view)
    sent = {name: value for name, value in patch.items() if name != "_id"}
    if permissions is None:
        return _read_differing(resource, sent, raw, view, shown)
    sent = permissions.limit_patch(resource.shape, sent, view, shown)
    with permissions.concealing():
        return _read_differing(resource, sent, raw, view, shown)


def _read_differing(
    resource: Resource, sent: Document, raw: bytes, view: Document, shown: Document
) -> Change:
    sent = _what_differs(resource.shape, sent, shown, exactly=True)
    try:
        return _read(resource, sent, raw, view)
    except Invalid:
        # Also where JSON can't tell: 1 is sent back for a double 1.0, null for a field that is null
        # or missing.
        less = _what_differs(resource.shape, sent, shown, exactly=False)
        if less == sent:
            raise
        return _read(resource, less, raw, view)


def _read(resource: Resource, patch: Document, raw: bytes, view: Document) -> Change:
    faults = list(find_unknown_fields(resource.shape, patch, ()))
    if faults:
        raise make_invalid_body(faults)
    stored, view = view, _with_objects_only(view, patch, raw)
    places: set[Steps] | None = None

    def was_there(steps: Steps) -> bool:
        nonlocal places
        if _is_sent(steps, patch, view):
            return False
        places = fault_places(resource, view) if places is None else places
        return steps in places

    instance = judge(resource, _merge(view, patch), stored, was_there, strict_extra=False)
    encoded = encode(resource, instance, patch)
    edit = _edit(raw, patch, view, encoded, resource.shape.fields, ())
    if edit.raw == raw:
        return Change()
    check_size(edit.raw)
    if edit.is_whole:
        return Change(whole=edit.raw)
    return Change(edit.sets, tuple(edit.unsets))


# --- what was sent -------------------------------------------------------------------------------


def _what_differs(
    shape: Shape | None, patch: Document, shown: Document, *, exactly: bool
) -> Document:
    """The patch without what it has as it is shown."""
    differing: Document = {}
    for name, value in patch.items():
        known = shape.fields.get(name) if shape is not None else None
        old = shown.get(name)
        if isinstance(value, dict) and isinstance(old, dict) and not _may_be_extended(old):
            inner = _what_differs(_shape_below(known), value, old, exactly=exactly)
            if inner:
                differing[name] = inner
        elif value is None:
            if exactly or (name not in shown and known is None) or old is not None:
                differing[name] = value
        elif name not in shown or not is_same(value, old, exactly=exactly):
            differing[name] = _with_kept(known, value, old, exactly)
    return differing


def _may_be_extended(shown: Document) -> bool:
    """Whether it may be one value in Extended JSON, as `{"$symbol": "a"}`: no part is sent."""
    return any(name.startswith("$") for name in shown)


def _with_kept(known: Field | None, value: Any, old: Any, exactly: bool) -> Any:
    """A list that was sent, with those models in it that were sent as they are shown."""
    if known is None or known.shape is None or not isinstance(value, list):
        return value
    if not isinstance(old, list):
        return value
    pairs = enumerate(zip(value, old, strict=False))
    kept = [number for number, pair in pairs if is_same(*pair, exactly=exactly)]
    return PartlyKept(value, kept) if kept else value


def _shape_below(known: Field | None) -> Shape | None:
    return known.shape if known is not None and not known.many else None


def _with_objects_only(view: Document, patch: Document, raw: bytes) -> Document:
    """The view without what only looks like an object to patch, such as a timestamp."""
    inside = [name for name, value in patch.items() if isinstance(value, dict) and name in view]
    if not inside:
        return view
    stored = {element.name.decode(errors="replace"): element for element in elements(raw)}
    view = dict(view)
    for name in inside:
        element = stored.get(name)
        if element is None or element.kind != OBJECT:
            if isinstance(view[name], dict):
                view[name] = None
        elif isinstance(view[name], dict):
            value = raw[element.value : element.end]
            view[name] = _with_objects_only(view[name], patch[name], value)
    return view


def _merge(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if isinstance(patch, PartlyKept):
        return [target[n] if n in patch.kept else one for n, one in enumerate(patch)]
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merge(result.get(name), value)
    return result


def _is_sent(steps: Steps, patch: Any, view: Any) -> bool:
    """Whether the whole value at this place was sent, and not only something inside it."""
    for step in steps:
        if isinstance(patch, PartlyKept) and step in patch.kept:
            return False
        if not isinstance(patch, dict) or not isinstance(view, dict):
            return True
        if step not in patch:
            return False
        patch, view = patch[step], view.get(step)
    return not (isinstance(patch, dict) and isinstance(view, dict))


# --- what is written -----------------------------------------------------------------------------


@dataclass
class _Edit:
    """An object that was edited: its new BSON, and the dotted paths that say the same.

    `is_whole` says that paths can't: the object must be written as one.
    """

    raw: bytes = b""
    sets: dict[str, Any] = field(default_factory=dict)
    unsets: list[str] = field(default_factory=list)
    is_whole: bool = False

    def take_over(self, inner: "_Edit", steps: Steps) -> None:
        """Adds what was edited in the object at these steps."""
        if inner.is_whole:
            self.sets[_path(steps)] = RawBSONDocument(inner.raw)
        else:
            self.sets |= inner.sets
            self.unsets += inner.unsets


def _edit(
    raw: bytes,
    patch: Document,
    view: Document,
    encoded: Mapping[str, Any],
    known: Mapping[str, Field],
    above: Steps,
) -> _Edit:
    """The object with what the patch sends, taken from `encoded`.

    All other elements keep their bytes.
    """
    edit = _Edit()
    stored = list(elements(raw))
    new: dict[bytes, bytes] = {}
    for name, sent in patch.items():
        steps, stored_name = (*above, name), name.encode(errors="replace")
        here = [element for element in stored if element.name == stored_name]
        old = here[-1] if here else None  # of several with one name the last is shown
        value = encoded.get(name, _MISSING)
        if value is _MISSING and sent is not None and name not in known:
            raise make_invalid_body([make_unknown_field(None, steps)])
        if value is _MISSING or (sent is None and value is None):
            new[stored_name] = b""
            if old is not None:
                edit.unsets.append(_path(steps))
        elif old is not None and _goes_inside(old, sent, view.get(name), value):
            below = _find_fields_below(known, name)
            inner = _edit(raw[old.value : old.end], sent, view[name], value, below, steps)
            new[stored_name] = raw[old.begin : old.value] + inner.raw
            edit.take_over(inner, steps)
        else:
            if old is not None and isinstance(sent, PartlyKept):
                value = _with_stored(value, sent, raw[old.value : old.end])
            new[stored_name] = element = _element(name, value, steps)
            if old is None or element != raw[old.begin : old.end]:
                edit.sets[_path(steps)] = value
        edit.is_whole = edit.is_whole or len(here) > 1 or not is_step(name)
    edit.raw = join_elements(_replace(raw, stored, new))
    return edit


def _goes_inside(old: Element, sent: Any, shown: Any, value: Any) -> bool:
    parts = (sent, shown, value)
    return old.kind == OBJECT and all(isinstance(part, Mapping) for part in parts)


def _with_stored(value: Any, sent: PartlyKept, old: bytes) -> Any:
    """The list with the BSON of the objects in it that were sent as they are shown."""
    if not isinstance(value, list) or len(value) != len(sent):
        return value
    result = list(value)
    for number, element in enumerate(elements(old)):
        if number in sent.kept and element.kind == OBJECT:
            result[number] = RawBSONDocument(old[element.value : element.end])
    return result


def _find_fields_below(known: Mapping[str, Field], name: str) -> Mapping[str, Field]:
    shape = _shape_below(known.get(name))
    return shape.fields if shape is not None else {}


def _path(steps: Sequence[str | int]) -> str:
    return ".".join(map(str, steps))


def _element(name: str, value: Any, steps: Steps) -> bytes:
    try:
        return element_of(name, value)
    except UNSTORABLE:
        raise make_invalid_body([find_unstorable({name: value}, steps[:-1])]) from None


def _replace(raw: bytes, stored: list[Element], new: dict[bytes, bytes]) -> list[bytes]:
    """The elements, each new one in the place of the last with its name, else at the end."""
    last = {element.name: number for number, element in enumerate(stored)}
    parts = []
    for number, element in enumerate(stored):
        if element.name not in new:
            parts.append(raw[element.begin : element.end])
        elif last[element.name] == number:
            parts.append(new[element.name])
    return parts + [element for name, element in new.items() if name not in last]
