"""How large a file will be, and what will be changed in it: said of its first documents.

These are written as the export would write them, so that what is said is no guess of the format.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.query.plan import Plan
from app.spreadsheets.cells import unguard
from app.spreadsheets.chunks import Tally
from app.spreadsheets.workbook import TEXT
from app.transfers.exports import Export
from app.transfers.production import produce, produce_from_mock

DOCUMENTS = 100  # of a sample
QUICK = 50_000  # documents a second: small ones, in any format, on two cores
WIDE = 12 * 1024 * 1024  # bytes a second: large ones

_cells = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^,\r\n]*))(?:,|\r\n)').findall


@dataclass(frozen=True)
class Sample:
    """The file of some documents; `more` are the bytes that each further one takes.

    `guarded` and `cut` are texts that begin as a formula, and that no cell of Excel has room for.
    """

    documents: int
    rows: int
    size: int
    more: float
    guarded: int = 0
    cut: int = 0

    def estimate_size(self, documents: int) -> float:
        """About how many bytes the file of so many documents has."""
        return self.size + self.more * (documents - self.documents)

    def estimate_rows(self, documents: int) -> int:
        """About how many rows it has, the header not counted; as many where none is unwound."""
        return round(self.rows * documents / self.documents) if self.documents else 0

    def estimate_seconds(self, documents: int) -> float:
        """About how long it takes, where nothing was measured here."""
        return max(documents / QUICK, self.estimate_size(documents) / WIDE)


def take_sample(export: Export, collection: Any, keys: Sequence[Any], *, is_mock: bool) -> Sample:
    """The sample of an export whose first documents have these `_id`s."""
    tally, file = _write(export, collection, keys, is_mock=is_mock)
    if not tally.documents:
        return Sample(0, 0, tally.size, 0)
    half, _ = _write(export, collection, keys[: len(keys) // 2], is_mock=is_mock)
    apart = tally.documents - half.documents
    more = (tally.size - half.size) / apart if apart else 0.0
    guarded = _count_guarded(file, export) if export.format == "csv" else 0
    cut = _count_long(file) if export.format == "csv" else 0
    return Sample(tally.documents, tally.rows, tally.size, more, guarded, cut)


def _write(
    export: Export, collection: Any, keys: Sequence[Any], *, is_mock: bool
) -> tuple[Tally, bytes]:
    export = replace(export, plan=_plan(export.plan, keys), snapshot=False, gzip=False)
    tally = Tally()
    if is_mock:
        made: Iterable[bytes] = produce_from_mock(export, collection, tally)
    else:
        made = produce(export, collection, None, tally)
    return tally, b"".join(made)


def _plan(plan: Plan, keys: Sequence[Any]) -> Plan:
    """The plan of these documents alone, however they were found."""
    return replace(
        plan,
        filter={"_id": {"$in": list(keys)}},
        sort=(("_id", 1),),
        skip=0,
        limit=None,
        flat=None,
        order=None,
        joins=(),
        patterns=(),
    )


def _list_cells(file: bytes) -> Iterator[str]:
    """The cells of a CSV of ours; Python's own reader has one limit for all threads."""
    for quoted, plain in _cells(file.decode("utf-8-sig")):
        yield quoted.replace('""', '"') if quoted else plain


def _count_guarded(file: bytes, export: Export) -> int:
    """Texts before which a CSV for spreadsheets puts a `'`, the titles included."""
    if export.options.formulas == "keep":
        return 0
    return sum(unguard(cell) != cell for cell in _list_cells(file))


def _count_long(file: bytes) -> int:
    """Texts that have no room in a cell of a workbook, by their UTF-16 units."""
    return sum(
        len(cell) > TEXT or len(cell.encode("utf-16-le")) // 2 > TEXT
        for cell in _list_cells(file)
        if len(cell) > TEXT // 2
    )
