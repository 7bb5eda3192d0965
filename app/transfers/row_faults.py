"""What is wrong with a document → what is wrong with the cells of the row that it comes from."""

from typing import Any

from app.resources.faults import Steps, read_pointer
from app.spreadsheets.ingest import CellFault, Ingest, Record
from app.spreadsheets.kinds import SHOWN, show
from app.transfers.differences import json_at
from app.transfers.keys import write_text


class RowFaultFinder:
    """Finds the cells that faults are about."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    def of_error(self, record: Record, cells: Any, error: Any) -> list[CellFault]:
        """What is wrong by the cells of a row, of an error whose faults point into a document."""
        faults = []
        for fault in error.faults:
            steps = read_pointer(fault.pointer or "#")
            path = ".".join(map(str, steps))
            faults.append(self.of_path(record, cells, path, fault.detail, steps))
        return faults or [CellFault("", "", error.detail)]

    def of_path(
        self, record: Record, cells: Any, path: str, detail: str, steps: Steps | None = None
    ) -> CellFault:
        """What is wrong at a path of a row's document, by the cell that is there, or above it."""
        if not path:  # it is the row that is wrong, no cell of it
            return CellFault("", "", detail)
        if record.document is not None:
            value = json_at(record.document, path)
            return CellFault(path, _show(value), f"{path}: {detail}")
        target = self._ingest.path_of(tuple(path.split(".")) if steps is None else steps)
        if target is None:
            return CellFault("", "", f"{path}: {detail}")
        cell = cells[target.position] if target.position < len(cells) else ""
        where = target.title if path == target.path else f"{target.title} ({path})"
        return CellFault(target.title, show(cell), f"{where}: {detail}", target.position)


def join_faults(cells: list[CellFault], model: list[CellFault]) -> list[CellFault]:
    """What is wrong with a row by its cells, and by the model with the cells that are right.

    The model lacks the wrong ones: what it says of them, or of the whole, doesn't count.
    """
    wrong = {None, *(fault.position for fault in cells)}
    others = [fault for fault in model if fault.position not in wrong]
    return sorted([*cells, *others], key=lambda fault: -1 if (n := fault.position) is None else n)


def _show(value: Any) -> str:
    """A value of JSON as a text for people."""
    return write_text(value)[:SHOWN]
