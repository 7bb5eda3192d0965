"""A document to read: every field with its title, its value and the type that is stored."""

import datetime
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import bson
import orjson
from markupsafe import Markup

from app.pages import own_values
from app.pages.cells import MISSING, Cells, Missing
from app.pages.languages import N_, Language
from app.pages.linked import Linked, Names
from app.pages.titles import infos_of, title_field
from app.resources.fields import Field, Shape
from app.resources.kinds import show_link
from app.resources.registry import Resource
from app.resources.rendering import to_json

OPEN = 20  # elements of a list that is shown unfolded
_TYPES: dict[type, str] = {
    bool: N_("yes or no"),
    str: N_("text"),
    int: N_("whole number"),
    bson.Int64: N_("whole number, 64 bits"),
    float: N_("number"),
    bson.Decimal128: N_("decimal number"),
    datetime.datetime: N_("date and time"),
    datetime.date: N_("date"),
    bson.ObjectId: "ObjectId",
    uuid.UUID: "UUID",
    bytes: N_("bytes"),
    list: N_("list"),
    dict: N_("object"),
    Missing: "",
    type(None): "",
}


@dataclass(frozen=True)
class Detail:
    """One field, or one element: `inner` has the fields of an object, `items` those of a list.

    `is_unknown`: the model doesn't know it, another program stored it. `linked` is the document
    that a link leads to, None where the reader can't see one.
    """

    title: str
    name: str
    kind: str
    value: Markup
    description: str = ""
    inner: Sequence["Detail"] = field(default=())
    items: Sequence["Detail"] = field(default=())
    linked: Linked | None = None
    is_unknown: bool = False

    @property
    def is_long(self) -> bool:
        """Whether its elements are folded at first."""
        return len(self.items) > OPEN


class Details:
    """Makes the details of a document in one language; `names` has what its links lead to."""

    def __init__(self, cells: Cells, words: Language, names: Names, resource: Resource) -> None:
        self._cells = cells
        self._words = words
        self._gettext = words.gettext
        self._names = names
        self._resource = resource

    def list_fields(self, shape: Shape, document: Mapping[str, Any]) -> list[Detail]:
        """The fields of the model in their order, then what is stored besides."""
        return list(self._list(shape, document))

    def _list(self, shape: Shape, document: Mapping[str, Any]) -> Iterator[Detail]:
        infos = infos_of(shape.model)
        for name, known in shape.fields.items():
            if not known.excluded:
                info = infos.get(name)
                title = title_field(shape, name, info)
                description = (info and info.description) or ""
                if known.kind == "objectid":
                    description = ""  # Beanie's, of any document
                yield self._make(title, known, document.get(name, MISSING), description)
        for name, value in document.items():
            if name not in shape.fields:
                yield self._make(name, Field(name, "any"), value, is_unknown=not shape.open)

    def _make(
        self,
        title: str,
        known: Field,
        value: Any,
        description: str = "",
        *,
        is_unknown: bool = False,
    ) -> Detail:
        linked = None
        if known.target is not None and not isinstance(value, list | Missing):
            value = show_link(known.target.collection, value)
            linked = self._names.find(known.target.collection, value)
        return Detail(
            title,
            known.name,
            self._name_type(known, value),
            self._write(known, value),
            description,
            self._list_inner(known, value),
            self._list_items(known, value),
            linked,
            is_unknown,
        )

    def _write(self, known: Field, value: Any) -> Markup:
        if isinstance(value, str) and own_values.are_own(self._resource, known):
            return own_values.write(self._words, value)
        return self._cells.write(value) if value != {} else Markup("{}")

    def _name_type(self, known: Field, value: Any) -> str:
        if known.target is not None and known.target.key.holds(value):
            return self._gettext(N_("link"))
        word = _TYPES.get(type(value), type(value).__name__)
        return self._gettext(word) if word else ""

    def _list_inner(self, known: Field, value: Any) -> list[Detail]:
        if not isinstance(value, dict):
            return []
        if known.shape is not None:
            return self.list_fields(known.shape, value)
        inner = known.values or Field("", "any")
        return [self._make(key, replace(inner, name=key), one) for key, one in value.items()]

    def _list_items(self, known: Field, value: Any) -> list[Detail]:
        if not isinstance(value, list):
            return []
        element = known.single if known.many and known.kind != "lists" else Field("", "any")
        return [self._make("", element, one) for one in value]


def write_pretty(document: Any) -> str:
    """The JSON of a document, one field on a line."""
    return orjson.dumps(orjson.loads(to_json(document)), option=orjson.OPT_INDENT_2).decode()
