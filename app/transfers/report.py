"""What an import has done, or would do: counts, and what is wrong in which row."""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from app.spreadsheets.ingest import CellFault
from app.transfers.spool import Spool

SHOWN = 100  # errors and changes that a report lists


@dataclass(frozen=True)
class RowFaults:
    """What is wrong with one row: its place among all rows, from 0, and its number in the file."""

    place: int
    number: int
    sheet: str
    faults: tuple[CellFault, ...]


@dataclass(frozen=True)
class Report:
    """The report of one import, as the contract has it; plain data."""

    rows: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    errors: tuple[dict[str, Any], ...] = ()
    changes: tuple[dict[str, Any], ...] | None = None

    def counts(self) -> dict[str, int]:
        """How many rows came to what."""
        return {
            "rows": self.rows,
            "inserted": self.inserted,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "failed": self.failed,
        }

    def members(self) -> dict[str, Any]:
        """The members of its JSON; `changes` of a dry run alone."""
        members: dict[str, Any] = {**self.counts(), "errors": list(self.errors)}
        return members if self.changes is None else members | {"changes": list(self.changes)}


@dataclass
class Counts:
    """How many rows came to what."""

    rows: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    changes: list[dict[str, Any]] = field(default_factory=list)


class FaultLog:
    """The faults of one step, in the order of the rows.

    All of them are kept (on disk) if `whole`, else those that a report shows. Rows that come again
    from the begin of the file are a run of their own.
    """

    def __init__(self, *, whole: bool) -> None:
        self.failed = 0
        self._first: list[RowFaults] = []
        self._runs: list[Spool[RowFaults]] | None = [] if whole else None
        self._last = -1  # place of the run

    def add(self, row: RowFaults) -> None:
        """The faults of one more row."""
        self.failed += 1
        if len(self._first) < SHOWN:
            self._first.append(row)
        if self._runs is not None:
            if not self._runs or row.place < self._last:
                self._runs.append(Spool())
            self._runs[-1].append(row)
            self._last = row.place

    @property
    def first(self) -> list[RowFaults]:
        """As many as a report shows."""
        return sorted(self._first, key=lambda row: row.place)

    def __iter__(self) -> Iterator[RowFaults]:
        assert self._runs is not None
        return merge_in_order(*self._runs)

    def close(self) -> None:
        """Gives the disk back."""
        for run in self._runs or ():
            run.close()


def merge_in_order(*logs: Iterable[RowFaults]) -> Iterator[RowFaults]:
    """The faults of several steps, in the order of the rows."""
    return heapq.merge(*logs, key=lambda row: row.place)


def make_report(counts: Counts, *logs: FaultLog, dry_run: bool = False) -> Report:
    """The report of what was counted and what was wrong."""
    errors = []
    for row in merge_in_order(*(log.first for log in logs)):
        errors += [_error(row, fault) for fault in row.faults]
    report = Report(
        counts.rows,
        counts.inserted,
        counts.updated,
        counts.unchanged,
        sum(log.failed for log in logs),
        tuple(errors[:SHOWN]),
    )
    return replace(report, changes=tuple(counts.changes[:SHOWN])) if dry_run else report


def _error(row: RowFaults, fault: CellFault) -> dict[str, Any]:
    where: dict[str, Any] = {"sheet": row.sheet} if row.sheet else {}
    return {
        "row": row.number,
        **where,
        "column": fault.column or None,
        "value": fault.value,
        "detail": fault.detail,
    }
