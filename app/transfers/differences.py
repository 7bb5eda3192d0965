"""A row and the stored document that it is about → the merge patch that the row asks for.

A cell that equals what the export would show for the stored value asks for nothing, so that what a
sheet can't tell apart is kept; nor does an empty one where null, the empty text or nothing is
stored. Numbered columns (`addresses.0.city`) are parts of a list, which a patch holds whole: the
stored one with those parts in place.
"""

import datetime
import decimal
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import bson
import orjson

from app.query.flatten import Steps
from app.resources.codec import decode
from app.resources.registry import Resource
from app.resources.rendering import to_json
from app.resources.storing import Document, to_bson
from app.resources.validation import hide_excluded, view_of
from app.spreadsheets.cell import Cell, Cut, Serial
from app.spreadsheets.cells import Texts, move_to_zone, zone
from app.spreadsheets.columns import Column, Table
from app.spreadsheets.extended import key_of, unwrap
from app.spreadsheets.forms import is_empty_by_default, is_required_where_it_is
from app.spreadsheets.ingest import CellFault, Ingest, Record, Target
from app.transfers.lost_parts import find_lost, has_lists, list_parts

_EPOCH = datetime.datetime(1899, 12, 30)  # noqa: DTZ001  # day 0 of any zone
_DAY = datetime.timedelta(days=1)
_MILLISECOND = 1 / 86_400_000  # in days
_DIGITS = 15  # of a number that a spreadsheet shows, and some write no others when they save it
_NOTHING = (None, "", b"")  # what an empty cell shows


class Differences:
    """Finds the patches of rows.

    A cell of a field that isn't in the `resource`, because nobody sees it, is a change unless it is
    empty: that it equals what is stored is not to be found out.
    """

    def __init__(self, resource: Resource, ingest: Ingest, timezone: str) -> None:
        self._resource = resource
        seen = {
            target.path: found.field
            for target in ingest.targets
            if (found := resource.shape.find(target.path, numbered=True)) is not None
        }
        self._unseen = {target.path for target in ingest.targets}.difference(seen)
        self._targets = ingest.targets
        self._zone = zone(timezone)
        self._texts = Texts(self._zone)
        self._table = Table([target.steps for target in self._targets])
        self._presenters = [
            Column.of(
                target.path, target.title, seen.get(target.path, target.field), target.steps
            ).presenter()
            for target in self._targets
        ]
        self._required = {
            target.path: is_required_where_it_is(resource.shape, target.path)
            for target in self._targets
        }

        self._empty_by_default = {
            target.path
            for target in self._targets
            if is_empty_by_default(resource.shape, target.path)
        }

    def patch(self, record: Record, cells: Any, raw: bytes) -> tuple[Document, list[CellFault]]:
        """What the row changes in the document with this BSON, and what can't be accepted.

        Faults of cells that equal what is stored don't count.
        """
        if record.document is not None:
            document = record.document
            patch = without_equal(document, self._show(raw))
            return patch, [one for one in record.faults if not _is_equal(one, document, patch)]
        return self._patch_of_cells(record, cells, raw)

    def find_loss(self, patch: Document, raw: bytes, after: Document) -> str | None:
        """A field of a list's elements that a patch of a document only lacks, and so would take."""
        if not has_lists(patch):
            return None
        before = self._show(raw)
        parts = list(list_parts(patch, before, self._resource.shape))
        shown = self._show(to_bson(after)) if parts else {}
        for path, shape in parts:
            sent, old, new = (json_at(one, path) for one in (patch, before, shown))
            lost = find_lost(sent, old, new, shape)
            if lost is not None:
                return f"{path}.{lost}"
        return None

    def _show(self, raw: bytes) -> Document:
        return hide_excluded(self._resource, view_of(self._resource, raw))

    def _patch_of_cells(
        self, record: Record, cells: Sequence[Cell], raw: bytes
    ) -> tuple[Document, list[CellFault]]:
        differing = self._differing(cells, decode(raw))
        faults = [
            fault
            for fault in record.faults
            if fault.position is None or self._is_of(fault.position, differing)
        ]
        patch: Document = {}
        shown: Document | None = None
        empty = set(record.empty)
        for target, value in differing:
            if target.path in record.values:
                new = record.values[target.path]
            elif (
                target.path not in empty
                or self._is_empty(target, value)
                or target.path in self._unseen
            ):
                continue
            elif not self._required[target.path]:
                new = None
            elif target.field.kind == "text" and not target.field.many:
                new = ""
            else:
                detail = f"{target.title} can't be empty: the field is required."
                faults.append(CellFault(target.title, "", detail, target.position))
                continue
            if any(isinstance(step, int) for step in target.steps):
                shown = self._show(raw) if shown is None else shown
            put(patch, shown or {}, target, new)
        return patch, faults

    def _is_empty(self, target: Target, value: Any) -> bool:
        """Whether a stored value is what an empty cell asks for already, or is not seen."""
        if value in _NOTHING or target.path in self._unseen:
            return True
        return value in ([], {}) and target.path in self._empty_by_default

    def shows(self, cells: Sequence[Cell], target: Target, value: Any) -> bool:
        """Whether the cell of a column is just what the export shows for a value."""
        cell = cells[target.position] if target.position < len(cells) else ""
        return self._shows(cell, value)

    def _is_of(self, position: int, differing: list[tuple[Target, Any]]) -> bool:
        """Whether a cell differs from what is stored, or belongs to no field."""
        if all(target.position != position for target in self._targets):
            return True
        return any(target.position == position for target, _ in differing)

    def _differing(self, cells: Sequence[Cell], document: Document) -> list[tuple[Target, Any]]:
        """The columns whose cell is not what the export would show, and what is stored there."""
        columns = self._table.columns_of([document])
        differing = []
        for target, present, values in zip(self._targets, self._presenters, columns, strict=True):
            value = (present(values) if present else values)[0]
            if target.path in self._unseen or not self.shows(cells, target, value):
                differing.append((target, value))
        return differing

    def _shows(self, cell: Cell, value: Any) -> bool:
        """Whether a cell is just what the export shows for a stored value."""
        if isinstance(cell, Cut):
            return True  # only its beginning is here, by which nobody can tell
        if type(cell) is str:
            text = self._texts[type(value)](value)
            return text == cell or _is_saved_so(text, cell, value)
        if type(cell) is bool:
            return value is cell
        if isinstance(cell, Serial):
            return self._is_moment(cell, value)
        if isinstance(cell, int | float):
            return _is_number(cell, value)
        return False

    def _is_moment(self, days: float, value: Any) -> bool:
        if isinstance(value, datetime.datetime):
            local = move_to_zone(value, self._zone).replace(tzinfo=None)
        elif isinstance(value, datetime.date):
            local = datetime.datetime.combine(value, datetime.time())
        else:
            return False
        return abs((local - _EPOCH) / _DAY - days) < _MILLISECOND


def _is_saved_so(text: str, cell: str, value: Any) -> bool:
    """Whether spreadsheets save a text as another one, for a number or for its line ends."""
    if type(value) is float:
        number = _read_number(cell)
        return number is not None and _is_number(number, value)
    return "\r\n" in text and text.replace("\r\n", "\n") == cell


def _read_number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _is_number(cell: float, value: Any) -> bool:
    if isinstance(value, bson.Decimal128):
        number: Any = value.to_decimal()
        return bool(number.is_finite() and float(number) == cell)
    if isinstance(value, decimal.Decimal):
        return float(value) == cell
    if type(value) is float:
        return value == cell or float(f"{value:.{_DIGITS}g}") == cell
    return type(value) in (int, bson.Int64) and bool(value == cell)


def without_equal(patch: Document, shown: Document) -> Document:
    """A document without what the stored one shows as well: null equals a field that is missing.

    The document has no Extended JSON and no DBRef any more; a stored object that only looks like
    the one, or is a link to another collection, is shown as it is.
    """
    differing: Document = {}
    for name, value in patch.items():
        old = shown.get(name)
        if isinstance(value, dict) and isinstance(old, dict):
            inner = without_equal(value, old)
            if inner:
                differing[name] = inner
        elif not _are_equal(value, old) and not _are_equal(value, key_of(unwrap(old))):
            differing[name] = value
    return differing


def _is_equal(fault: CellFault, document: Document, patch: Document) -> bool:
    """Whether a fault is about a value of a document that the patch for it doesn't change."""
    path = fault.column
    return json_at(document, path) is not None and json_at(patch, path) is None


def _are_equal(value: Any, other: Any) -> bool:
    return type(value) is type(other) and bool(value == other)


def put(patch: Document, shown: Document, target: Target, value: Any) -> None:
    """Puts a value at its place in a patch, lists being those that are shown, changed there."""
    *above, last = target.steps
    place: Any = patch
    there: Any = shown
    for number, step in enumerate(above):
        is_list = isinstance(target.steps[number + 1], int)
        there = _get(there, step)
        if isinstance(step, int):
            _fill(place, step, [] if is_list else {})
            if not isinstance(place[step], list if is_list else dict):
                place[step] = [] if is_list else {}
        elif is_list and not isinstance(place.get(step), list):
            place[step] = deepcopy(there) if isinstance(there, list) else []
        elif not is_list and not isinstance(place.get(step), dict):
            place[step] = {}
        place = place[step]
    if isinstance(last, int):
        if value is None and last >= len(place):
            return
        _fill(place, last, "" if target.field.kind == "text" else None)
        place[last] = value
    elif value is None and _is_within_list(target.steps):
        place.pop(last, None)
    else:
        place[last] = value


def _get(value: Any, step: str | int | None) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    is_there = isinstance(value, list) and isinstance(step, int) and step < len(value)
    return value[step] if is_there else None


def _fill(place: list[Any], last: int, gap: Any) -> None:
    while len(place) <= last:
        place.append(deepcopy(gap))


def _is_within_list(steps: Steps) -> bool:
    return any(isinstance(step, int) for step in steps)


def json_at(document: Document, path: str) -> Any:
    """The JSON of what is at a dotted path; None where there is nothing."""
    value: Any = document
    for step in path.split("."):
        value = _get(value, int(step) if isinstance(value, list) and step.isdigit() else step)
    return orjson.loads(to_json(value))


def show_document(resource: Resource, raw: bytes) -> Document:
    """A document as a client sees it."""
    return hide_excluded(resource, view_of(resource, raw))
