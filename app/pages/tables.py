"""The rows of a table as HTML."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from html import escape
from typing import Any

import bson

from app.pages import addresses, own_values
from app.pages.cells import Cells
from app.pages.columns import Column
from app.pages.languages import language
from app.pages.naming import name_document
from app.pages.picks import write_value
from app.pages.screens import Screen
from app.resources.registry import Resource

WriteCell = Callable[[dict[str, Any]], str]


class Table:
    """Writes the rows of one screen; `targets` are where links lead, by the path of their column.

    Documents that are linked to stand in the place of these links already.
    """

    def __init__(
        self,
        resource: Resource,
        columns: Sequence[Column],
        targets: Mapping[str, Resource],
        screen: Screen,
        *,
        ticks: bool = False,
    ) -> None:
        """`ticks` puts a box before each row, which belongs to the form `bulk`."""
        before, _, after = screen.language.gettext("Tick %(key)s").partition("%(key)s")
        self._before, self._after = escape(before), escape(after)
        self._ticks = ticks
        self._root = screen.root
        self._words = screen.language
        self._resource = resource
        self._cells = cells_of(screen.language.code)
        self._key = resource.key
        address = f"{screen.root}{addresses.of_collection(resource)}"
        self._begin = f'<th scope="row"><a href="{escape(address)}'
        self._writers = [self._make_writer(one, targets.get(one.path)) for one in columns]

    def write(self, documents: Iterable[dict[str, Any]]) -> str:
        """The rows, one after the other."""
        return "".join(map(self._write_row, documents))

    def _write_row(self, document: dict[str, Any]) -> str:
        key = document["_id"]
        step = addresses.write_step(self._key, key)  # with nothing in it that is markup
        cells = "".join([write(document) for write in self._writers])
        begin = f"<tr>{self._write_tick(key)}" if self._ticks else "<tr>"
        return f'{begin}{self._begin}{step}">{escape(str(key))}</a></th>{cells}</tr>'

    def _write_tick(self, key: Any) -> str:
        """The box of a row; none where no filter takes its `_id`, which is of another type."""
        value = str(key)  # of an ObjectId, which nothing has to be escaped in
        if not (type(key) is bson.ObjectId and self._key.kind == "objectid"):
            value = write_value(key)
            try:
                self._key.readings(value)
            except ValueError:
                return "<td></td>"
            value = escape(value)
        return (
            f'<td class="tick"><input type="checkbox" form="bulk" name="_id" value="{value}" '
            f'aria-label="{self._before}{value}{self._after}"></td>'
        )

    def _make_writer(self, column: Column, target: Resource | None) -> WriteCell:
        """What writes the cells of one column."""
        find, is_odd = column.make_finder(), column.is_odd
        text = self._cells.text if target is None else partial(self._write_links, target)
        if own_values.are_own(self._resource, column.field):
            text = self._write_word
        begin = '<td class="number"' if column.is_number else "<td"

        def write(document: dict[str, Any]) -> str:
            value = find(document)
            mark = " data-odd" if value is not None and is_odd(value) else ""
            return f"{begin}{mark}>{text(value)}</td>"

        return write

    def _write_word(self, value: Any) -> str:
        if not isinstance(value, str):
            return self._cells.text(value)
        return own_values.write(self._words, value)

    def _write_links(self, target: Resource, value: Any) -> str:
        if isinstance(value, list):
            return ", ".join([self._write_links(target, one) for one in value])
        if not isinstance(value, dict) or "_id" not in value:
            return self._cells.text(value)
        address = f"{self._root}{addresses.of_document(target, value['_id'])}"
        return f'<a href="{escape(address)}">{escape(name_document(target, value))}</a>'


@lru_cache(maxsize=8)
def cells_of(code: str) -> Cells:
    """What writes the values in a language."""
    return Cells(language(code))
