"""Which fields of a body a caller may write, and what of a stored document must stay as it is.

What is stored is known here as JSON; nothing is written. A value that is sent is written, skipped
because it is the stored one and may be seen, gone into, or refused with 403. It is gone into where
it is an object of which parts may not be written or seen, in place of an object or of nothing.
Whatever else would replace such parts is refused: lists above all.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from app.errors import Conflict, Fault, Invalid, RequestError, Unwritable, and_more
from app.resources.comparing import is_same
from app.resources.extents import ALL, NONE, Extent, extent_of, find_uncovered
from app.resources.faults import Steps, make_invalid_body, pointer, read_pointer
from app.resources.fields import Field, Shape
from app.resources.keeping import KEPT, Kept
from app.resources.storing import Document
from app.resources.views import Rights

Decision = Literal["write", "skip", "inside", "refuse"]

_UNSEEN = "A field that you can't see does not allow this."
_VALUE = "value in a field that you can't see"
_TAKEN = f"Another document has the same {_VALUE}; it must be unique."
_PARTLY = "The model refuses this because of a field that you can't see, or together with one."


@dataclass(frozen=True)
class Permissions:
    """What one caller may write of a document by one action, and what it can see of it."""

    write: Extent
    read: Extent

    @classmethod
    def to_create(cls, rights: Rights, shape: Shape) -> "Permissions | None":
        """Those for new documents; None where every field may be written and seen."""
        return _limited(extent_of(rights.create, shape), extent_of(rights.read, shape))

    @classmethod
    def to_update(cls, rights: Rights, shape: Shape) -> "Permissions | None":
        """Those for stored documents, whose `_id` stays as it is; None as above."""
        return _limited(_with_id(extent_of(rights.update, shape)), extent_of(rights.read, shape))

    def refuse_uncovered(self, body: Any) -> None:
        """Raises `Forbidden` with a pointer to each value that may never be written."""
        _refuse([_make_fault(steps) for steps in find_uncovered(self.write, body, ())])

    def limit_patch(
        self, shape: Shape, patch: Document, view: Document, shown: Document
    ) -> Document:
        """The merge patch without values that may not be written and are those that are stored.

        `shape` is that of the document, `view` the stored document as JSON, `shown` what of it any
        client sees. Raises `Forbidden` with a pointer to each other value that may not be written.
        """
        writing = _Writing()
        limited = writing.limit(self, shape, patch, view, self.read.cut(shown), ())
        _refuse(writing.faults)
        return limited

    def hold(
        self, shape: Shape, body: Document, view: Document, shown: Document
    ) -> tuple[Document, Kept]:
        """The body of a PUT with what must stay as it is stored, and which values these are.

        Takes and raises the same as `limit_patch`.
        """
        writing = _Writing()
        held = writing.hold(self, shape, body, view, self.read.cut(shown), ())
        _refuse(writing.faults)
        return held

    @contextmanager
    def concealing(self) -> Iterator[None]:
        """Runs a piece of work whose errors say no word about fields that can't be seen."""
        try:
            yield
        except (Invalid, Conflict) as error:
            raise self.conceal(error) from error

    def conceal(self, error: RequestError) -> RequestError:
        """The error without a word about fields that can't be seen."""
        if self.read.is_all:
            return error
        if isinstance(error, Conflict):
            return self._conceal_conflict(error)
        if not isinstance(error, Invalid):
            return error
        faults = tuple(dict.fromkeys(map(self._conceal, error.faults)))
        return error if faults == error.faults else make_invalid_body(list(faults))

    def _conceal_conflict(self, conflict: Conflict) -> Conflict:
        """The conflict, whose faults are one for each field of a unique index.

        What is wrong at a field that is seen names the others as well.
        """
        seen = [fault for fault in conflict.faults if self._sees_place(fault)]
        if len(seen) == len(conflict.faults):
            return conflict
        if not seen:
            return Conflict(_TAKEN, Fault(_TAKEN, pointer="#"))
        names = name_equal([_name_path(fault) for fault in seen], is_all=False)
        detail = f"Another document has the same {names}; it must be unique."
        return Conflict(detail, *(Fault(detail, pointer=fault.pointer) for fault in seen))

    def _sees_place(self, fault: Fault) -> bool:
        return fault.pointer is None or self.read.at(read_pointer(fault.pointer)).others

    def find_seen(self, paths: Sequence[str]) -> list[str]:
        """Those of some paths whose values are seen."""
        return [path for path in paths if self.read.at(tuple(path.split("."))).others]

    def _conceal(self, fault: Fault) -> Fault:
        if fault.pointer is None or fault.detail in (_UNSEEN, _PARTLY):
            return fault
        steps = read_pointer(fault.pointer)
        seen = self.read.at(steps)
        if fault.looked_around and not (seen.is_none and self.write.at(steps).is_none):
            return Fault(_PARTLY, pointer=fault.pointer)
        if seen.is_none:
            return fault if not self.write.at(steps).is_none else Fault(_UNSEEN, pointer="#")
        return fault if seen.is_all else Fault(_PARTLY, pointer=fault.pointer)

    def below(self, name: str, known: Field | None) -> "Permissions":
        """Those inside the field of this name, as which the model knows it."""
        is_shown = known is None or not known.excluded
        return Permissions(self.write.below(name), self.read.below(name) if is_shown else NONE)

    @property
    def are_whole(self) -> bool:
        """Whether all is seen and may be written."""
        return self.write.is_all and self.read.is_all

    def decide(self, sent: Any, stored: Any, shown: Any) -> Decision:
        """What happens to a value that is sent in place of a stored one, None for none."""
        write, read = self.write, self.read
        if write.is_all and (read.is_all or read.is_none):
            return "write"
        if not read.is_none and is_same(sent, shown, exactly=False):
            return "skip"
        goes_inside = isinstance(sent, dict) and isinstance(stored, dict | None)
        return "inside" if goes_inside and not write.is_none else "refuse"


def name_equal(seen: Sequence[str], *, is_all: bool) -> str:
    """The fields of a unique index in a sentence: those that are seen, by name."""
    if not seen:
        return _VALUE
    names = " and ".join(seen)
    return names if is_all else f"{names}, together with a field that you can't see"


def _name_path(fault: Fault) -> str:
    """The path of a fault's place, without the number of a document that was sent in an array."""
    steps = read_pointer(fault.pointer or "#")
    return ".".join(step for step in steps if isinstance(step, str))


def _limited(write: Extent, read: Extent) -> Permissions | None:
    permissions = Permissions(write, _with_id(read))
    return None if permissions.are_whole else permissions


def _with_id(extent: Extent) -> Extent:
    if extent.below("_id").is_all:
        return extent
    named = {name: one for name, one in extent.named.items() if name != "_id"}
    return Extent(extent.others, named if extent.others else {**named, "_id": ALL})


class _Writing:
    """One body on its way into one stored document; `faults` are what may not be written."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def limit(
        self,
        may: Permissions,
        shape: Shape | None,
        sent: Document,
        view: Document,
        shown: Document,
        above: Steps,
    ) -> Document:
        limited: Document = {}
        for name, value in sent.items():
            known, stored, seen = _find(shape, name), view.get(name), shown.get(name)
            below = may.below(name, known)
            decision = below.decide(value, stored, seen)
            if decision == "write":
                limited[name] = value
            elif decision == "inside":
                parts = value, stored or {}, seen or {}
                inner = self.limit(below, _shape_in(known), *parts, (*above, name))
                if inner or stored is None:
                    limited[name] = inner
            elif decision == "refuse":
                self._refuse((*above, name))
        return limited

    def hold(
        self,
        may: Permissions,
        shape: Shape | None,
        sent: Document,
        view: Document,
        shown: Document,
        above: Steps,
    ) -> tuple[Document, Kept]:
        whole, kept = dict(sent), Kept()
        for name in dict.fromkeys((*sent, *view, *(shape.fields if shape else ()))):
            known, stored, seen = _find(shape, name), view.get(name), shown.get(name)
            below = may.below(name, known)
            if name in sent:
                decision = below.decide(sent[name], stored, seen)
            else:
                decision = _decide_absent(below, stored)
            if decision == "refuse":
                self._refuse((*above, name))
            elif decision == "skip":
                kept[name] = KEPT
                _put(whole, name, view, known)
            elif decision == "inside":
                parts = sent.get(name, {}), stored or {}, seen or {}
                steps = (*above, name)
                whole[name], inner = self.hold(below, _shape_in(known), *parts, steps)
                if stored is not None:
                    kept[name] = inner
        return whole, kept

    def _refuse(self, steps: Steps) -> None:
        self.faults.append(_make_fault(steps))


def _decide_absent(may: Permissions, stored: Any) -> Decision:
    """What happens to a stored value that a PUT does not send: as much as possible is dropped."""
    if may.are_whole:
        return "write"
    is_partly = not may.write.is_none and not may.read.is_none
    return "inside" if is_partly and isinstance(stored, dict) else "skip"


def _put(whole: Document, name: str, view: Document, known: Field | None) -> None:
    """Puts the stored value into a body, for its model to look at."""
    if name not in view:
        whole.pop(name, None)
    elif known is not None or name in whole:
        whole[name] = view[name]


def _find(shape: Shape | None, name: str) -> Field | None:
    return shape.fields.get(name) if shape is not None else None


def _shape_in(known: Field | None) -> Shape | None:
    return known.shape if known is not None and not known.many else None


def _make_fault(steps: Steps) -> Fault:
    return Fault("You may not write this field, or a part of it.", pointer=pointer(steps))


def _refuse(faults: Sequence[Fault]) -> None:
    if faults:
        raise make_unwritable(faults)


def make_unwritable(faults: Sequence[Fault]) -> Unwritable:
    """403 with a pointer to each field that may not be written."""
    detail = f"You may not write the field at {faults[0].pointer}, or a part of it"
    return Unwritable(f"{detail}{and_more(faults)}.", *faults)
