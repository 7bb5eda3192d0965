"""A document as a form that is made of its model, and the form that was sent as a document again.

A form is a tree of nodes, as the document is (`form_nodes`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.pages.cells import MISSING
from app.pages.form_nodes import EXTRA, Fixed, Group, Leaf, Node, Place, Row, Rows, State, join
from app.pages.inputs import Input, Json, input_of
from app.pages.titles import infos_of, title_field
from app.resources.comparing import is_same
from app.resources.fields import Field, Shape
from app.resources.permissions import Permissions

MOST_ROWS = 200  # of which each has its controls; a longer list is JSON
NOTHING: Mapping[str, Any] = {}  # what is stored of a model that isn't there


def forget(sent: Mapping[str, str], name: str) -> dict[str, str]:
    """What was sent, without one node and what is in it."""
    kept = {}
    for control, text in sent.items():
        own = control if control.startswith("/") else control.partition(":")[2]
        if own != name and not own.startswith(f"{name}/"):
            kept[control] = text
    return kept


def fill(sent: Mapping[str, str], name: str) -> dict[str, str]:
    """What was sent, with an empty value in one node: a text, a list, or a model to fill in."""
    return {**forget(sent, name), f"state:{name}": "value", f"rows:{name}": "0", name: ""}


class FormMaker:
    """Makes forms of documents of a shape: as they are stored, or as they were `sent`.

    `zone` is that of date-times, `is_new` says that nothing is stored yet.
    """

    def __init__(
        self, zone: str, sent: Mapping[str, str] | None = None, *, is_new: bool = False
    ) -> None:
        self._zone = zone
        self._sent = sent or {}
        self._is_new = is_new

    def make(self, shape: Shape, may: Permissions, original: Any, value: Any) -> Group:
        """The form of a document whose stored state is `original`, with another value in it."""
        place = Place("", Field("", "object", model=shape.model))
        return self._make_group(shape, place, may, "", original, value)

    # --- a nested model ---

    def _make_group(
        self, shape: Shape, place: Place, may: Permissions, name: str, original: Any, value: Any
    ) -> Group:
        group = Group(name, place, original, self._state(name, value))
        if group.state != "value":
            return group
        stored, current = _as_object(original), _as_object(value)
        infos = infos_of(shape.model)
        for step, known in shape.fields.items():
            info = infos.get(step)
            inner = Place(title_field(shape, step, info), known, info)
            if step == "_id" and not name:
                self._add_key(group, inner, may, stored, current)
                continue
            node = self._make_field(
                inner, may.below(step, known), join(name, step), stored, current
            )
            if node is not None:
                group.nodes[step] = node
        self._add_unknown(group, shape, may, stored, current)
        return group

    def _add_key(
        self, group: Group, place: Place, may: Permissions, stored: Any, current: Any
    ) -> None:
        """The `_id`, which never changes; one that is made by itself is not asked for."""
        if not self._is_new:
            group.nodes["_id"] = Fixed("/_id", place, stored.get("_id"))
        elif place.field.kind != "objectid":
            node = self._make_field(place, may.below("_id", place.field), "/_id", stored, current)
            if node is not None:
                group.nodes["_id"] = node

    def _make_field(
        self, place: Place, may: Permissions, name: str, stored: Any, current: Any
    ) -> Node | None:
        step = place.field.name
        is_shown = not may.read.is_none and not place.field.excluded
        original, value = stored.get(step, MISSING), current.get(step, MISSING)
        is_new = self._is_new or stored is NOTHING
        if value is MISSING and is_new and place.is_required and not place.takes_null:
            value = _start(place.field)
        if not is_shown:
            place = replace(place, is_hidden=True)
            return self._make_node(place, may, name, MISSING, value) if may.write.is_all else None
        if may.write.is_none:
            return None if self._is_new else Fixed(name, place, original)
        return self._make_node(place, may, name, original, value)

    def _add_unknown(
        self, group: Group, shape: Shape, may: Permissions, stored: Any, current: Any
    ) -> None:
        """What another program stored besides; an open model takes more of it."""
        if not shape.open or not may.below("\0", None).write.is_all:
            for step in stored if not self._is_new else ():
                if step not in shape.fields:
                    place = Place(step, Field(step, "any"), is_unknown=True)
                    group.nodes[step] = Fixed(join(group.name, step), place, stored[step])
            return
        place = Place("", Field(EXTRA, "map", values=Field("", "any")), is_unknown=True)
        more = [
            {k: v for k, v in one.items() if k not in shape.fields} for one in (stored, current)
        ]
        group.extra = self._make_rows(place, may, join(group.name, EXTRA), *more)

    # --- any value ---

    def _make_node(
        self, place: Place, may: Permissions, name: str, original: Any, value: Any
    ) -> Node:
        known = place.field
        single = not known.many and known.kind not in ("object", "map", "lists")
        if place.is_hidden:
            control = input_of(known, self._zone) if single else Json()
            return self._make_leaf(place, name, original, value, control)
        if known.shape is not None and not known.many and _is_object(original):
            return self._make_group(known.shape, place, may, name, original, value)
        if not (may.write.is_all and (may.read.is_all or may.read.is_none)):
            return Fixed(name, place, original)
        if known.many and known.kind != "lists" and _is_list(original):
            return self._make_rows(place, may, name, original, value)
        if known.values is not None and _is_object(original) and _is_small(original):
            return self._make_rows(place, may, name, original, value)
        control = input_of(known, self._zone) if single else Json()
        return self._make_leaf(place, name, original, value, control)

    def _make_leaf(
        self, place: Place, name: str, original: Any, value: Any, control: Input
    ) -> Leaf:
        if original is not MISSING and original is not None and not control.fits(original):
            control = Json()
        state = self._state(name, value)
        if f"state:{name}" in self._sent:
            text = self._sent.get(name, "")
        else:
            is_typed = isinstance(value, str) and not control.fits(value)  # and refused since
            if state == "value" and not is_typed and not control.fits(value):
                control = Json()
            text = value if is_typed else control.write(value) if state == "value" else ""
        return Leaf(name, place, original, state, input=control, text=text)

    # --- lists and maps ---

    def _make_rows(
        self, place: Place, may: Permissions, name: str, original: Any, value: Any
    ) -> Rows:
        known = place.field
        is_map = known.values is not None and not known.many
        element = known.single if not is_map else known.values
        assert element is not None
        row_place = Place("", element, is_row=True)

        def make(name: str) -> Row:
            return Row(self._make_row_node(row_place, may, name, MISSING, MISSING))

        rows = Rows(name, place, original, self._state(name, value), is_map=is_map, make=make)
        if rows.state != "value":
            return rows
        stored = _list_entries(original)
        for number, (was, key, one) in enumerate(self._list_rows(name, stored, value)):
            stored_key, first = stored[int(was)] if was is not None else (None, MISSING)
            node = self._make_row_node(row_place, may, join(name, str(number)), first, one)
            rows.rows.append(Row(node, was, key, stored_key))
        return rows

    def _make_row_node(
        self, place: Place, may: Permissions, name: str, original: Any, value: Any
    ) -> Node:
        if value is MISSING and f"state:{name}" not in self._sent:
            is_text = place.field.kind == "text" and not place.field.choices
            value = "" if is_text and not place.field.many else _start(place.field)
        return self._make_node(place, may, name, original, value)

    def _list_rows(
        self, name: str, stored: Sequence[tuple[str, Any]], value: Any
    ) -> Iterator[tuple[str | None, str, Any]]:
        """For each row the number of the stored one, if any, its key and its value."""
        sent = self._sent.get(f"rows:{name}", "")
        if _is_number(sent):
            for number in range(min(int(sent), len(self._sent))):
                inner = join(name, str(number))
                was = self._sent.get(f"was:{inner}", "")
                is_stored = _is_number(was) and int(was) < len(stored)
                first = stored[int(was)][1] if is_stored else MISSING
                yield was if is_stored else None, self._sent.get(f"key:{inner}", ""), first
            return
        is_map = isinstance(value, dict)
        numbers = {key: number for number, (key, _) in enumerate(stored)}
        for key, one in _list_entries(value):
            number = numbers.get(key, len(stored))
            is_stored = number < len(stored) and (
                is_map or is_same(stored[number][1], one, exactly=True)
            )
            yield str(number) if is_stored else None, key if is_map else "", one

    def _state(self, name: str, value: Any) -> State:
        sent = self._sent.get(f"state:{name}")
        if sent is not None:
            return "null" if sent == "null" else "missing" if sent == "missing" else "value"
        return "missing" if value is MISSING else "null" if value is None else "value"


def _start(known: Field) -> Any:
    """What a part begins with that has to be there: nothing typed yet."""
    if known.many or known.values is not None:
        return {} if known.values is not None and not known.many else []
    if known.shape is not None:
        return {}
    return MISSING


def _list_entries(value: Any) -> list[tuple[str, Any]]:
    """The elements of a list by their number, the entries of a map by their key."""
    if isinstance(value, list):
        return [(str(number), one) for number, one in enumerate(value)]
    return list(value.items()) if isinstance(value, dict) else []


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 9


def _as_object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else NOTHING


def _is_object(value: Any) -> bool:
    """Whether it is an object, or nothing; what JSON has no word for begins with `$`."""
    if value is MISSING or value is None:
        return True
    return isinstance(value, dict) and not any(name.startswith("$") for name in value)


def _is_list(value: Any) -> bool:
    return value is MISSING or value is None or (isinstance(value, list) and _is_small(value))


def _is_small(value: Any) -> bool:
    return value is MISSING or value is None or len(value) <= MOST_ROWS
