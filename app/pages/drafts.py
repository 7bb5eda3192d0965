"""A form of a document that was sent: what it was made of, and what its buttons make of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from app.api.access import Access
from app.errors import BadRequest, RequestError
from app.pages.changes import Json
from app.pages.document_forms import FormMaker, fill, forget
from app.pages.form_actions import act
from app.pages.form_nodes import Group, Leaf, Node, Path, Reading
from app.pages.inputs import Key
from app.pages.languages import N_
from app.pages.packing import unpack
from app.pages.preferences import is_zone
from app.resources.extents import ALL
from app.resources.faults import read_pointer
from app.resources.permissions import Permissions

SAVE, RESOLVE, GO_ON, FIND = "save", "resolve", "go on", "find"  # buttons
EVERYTHING = Permissions(ALL, ALL)
NO_SUCH_LINK = N_(
    "This names no single document; choose one of those that are found, or type its _id."
)
_has_spaces = re.compile(r"[\s:]").search
_MAKING = {"reset": forget, "fill": fill}  # buttons after which a part of the form is made anew


@dataclass(frozen=True)
class Draft:
    """A form that was sent: the state it was made of, that state's ETag, and its controls."""

    original: Json
    etag: str
    zone: str
    order: str
    sent: Mapping[str, str]

    @classmethod
    def read(cls, form: Mapping[str, str]) -> "Draft":
        """The draft; raises `BadRequest` for what no screen has sent."""
        original = unpack(form.get("original", ""))
        if not isinstance(original, dict):
            raise BadRequest("The form is not one of this server.")
        zone = form.get("zone", "")
        order = form.get("do", SAVE)
        return cls(original, form.get("etag", ""), zone if is_zone(zone) else "UTC", order, form)


def make_form(access: Access, draft: Draft, value: Json, *, new: bool = False) -> Group:
    """The form of a draft; where it has no controls yet, with this value in it."""
    reach = access.repository.reach
    may = (reach.to_create if new else reach.to_update) or EVERYTHING
    if new:
        may = Permissions(may.write, ALL)
    maker = FormMaker(draft.zone, draft.sent, is_new=new)
    return maker.make(access.view.whole.shape, may, draft.original, value)


def press(access: Access, draft: Draft, *, new: bool) -> Group:
    """The form after one of its buttons that store nothing; raises `BadRequest` for no button."""
    word, _, name = draft.order.partition(" ")
    if word in _MAKING:
        draft = replace(draft, sent=_MAKING[word](draft.sent, name))
    form = make_form(access, draft, draft.original, new=new)
    if word in _MAKING:
        _focus(form, name)
    elif word != FIND:
        act(form, draft.order)
    return form


def _focus(form: Group, name: str) -> None:
    """Gives the focus to the first control of a node."""
    node = next((one for one in form.walk() if one.name == name), form)
    leaf = next((one for one in node.walk() if isinstance(one, Leaf)), node)
    leaf.focus = "control"


def place_faults(reading: Reading, error: RequestError) -> list[str]:
    """Puts what is wrong beside its control; what belongs to none, or the sentence of the error."""
    rest = []
    for fault in error.faults:
        steps = tuple(map(str, read_pointer(fault.pointer))) if fault.pointer else ()
        node, inner = reading.find(steps)
        if node is not None:
            node.errors.append(_say(node, inner, fault.detail))
        else:
            rest.append(fault.detail)
    return rest if error.faults else [error.detail]


def _say(node: Node, inner: Path, detail: str) -> str:
    """What is wrong in a control: where in its JSON, and of a link how documents are found."""
    if not isinstance(node, Leaf):
        return detail
    if isinstance(node.input, Key) and not node.input.takes(node.text):
        return NO_SUCH_LINK
    place = ".".join(inner)
    return f"{place}: {detail}" if place and not _has_spaces(place) else detail
