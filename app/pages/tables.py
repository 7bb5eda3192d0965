"""The rows of a table as HTML."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from markupsafe import escape

from app.pages import addresses
from app.pages.cells import Cells
from app.pages.columns import Column
from app.pages.languages import language
from app.pages.naming import name_document
from app.pages.screens import Screen
from app.resources.registry import Resource


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
    ) -> None:
        self._resource = resource
        self._columns = columns
        self._targets = targets
        self._root = screen.root
        self._cells = cells_of(screen.language.code)

    def write(self, documents: Iterable[dict[str, Any]]) -> str:
        """The rows, one after the other."""
        return "".join(map(self._write_row, documents))

    def _write_row(self, document: dict[str, Any]) -> str:
        address = f"{self._root}{addresses.of_document(self._resource, document['_id'])}"
        cells = "".join([self._write_cell(column, document) for column in self._columns])
        key = f'<a href="{escape(address)}">{escape(str(document["_id"]))}</a>'
        return f'<tr><th scope="row">{key}</th>{cells}</tr>'

    def _write_cell(self, column: Column, document: dict[str, Any]) -> str:
        value = column.find(document)
        target = self._targets.get(column.path)
        text = self._cells.text(value) if target is None else self._write_links(target, value)
        is_odd = value is not None and column.is_odd(value)
        mark = ' class="number"' if column.is_number else ""
        return f"<td{mark} data-odd>{text}</td>" if is_odd else f"<td{mark}>{text}</td>"

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
