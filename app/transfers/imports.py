"""An import: a file → checked rows → writes → a report; the same over HTTP and by command.

    read_import ─▶ `Import` (plain data) ─ run_import ─▶ `Ended`

Every row is checked before the first one is written, and what is to be written waits on disk, so
memory doesn't grow with the file. `run_import` is synchronous: a child process runs it for the
server, a thread for a mock.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO

from pymongo.errors import PyMongoError

from app.errors import BadRequest, Fault, Invalid, RequestError
from app.resources.writable import make_importable
from app.spreadsheets.format import Reader, Rows
from app.spreadsheets.formats import FORMATS
from app.spreadsheets.ingest import Ingest, error_title
from app.spreadsheets.reading import open_reader
from app.store.bulk import Bulk
from app.store.client import Connection
from app.store.errors import translate
from app.store.indexes import Indexes
from app.store.links import Links
from app.store.reach import Reach
from app.transfers.checking import Checker
from app.transfers.correction_sheet import write_sheet
from app.transfers.import_options import Import
from app.transfers.import_writing import Operation, Writer
from app.transfers.keys import Key, choose_key
from app.transfers.named_links import list_behind_links
from app.transfers.report import (
    SHOWN,
    Counts,
    FaultLog,
    Report,
    RowFaults,
    make_report,
    merge_in_order,
)
from app.transfers.row_changes import list_changes
from app.transfers.row_faults import RowFaultFinder
from app.transfers.rows import Row
from app.transfers.spool import Spool, make_disk_error
from app.transfers.traffic import ALONE, Alone

# Rows checked, rows to be written (0 while they are checked), rows written.
Tell = Callable[[int, int, int], None]
TOGETHER = 20  # batches of a reader that are checked at once, where no reads come


@dataclass(frozen=True)
class Ended:
    """How an import ended: its report, and the error as which it is answered, if it is one.

    `has_sheet` says that the sheet to correct was written. Of one under way `due` are the rows that
    are to be written, 0 while they are checked, and `written` those that are.
    """

    report: Report
    error: RequestError | None = None
    has_sheet: bool = False
    due: int = 0
    written: int = 0

    @property
    def is_writing(self) -> bool:
        """Whether one that is under way has begun to write."""
        return bool(self.due)


# --- what is done ---------------------------------------------------------------------------------


def run_import(
    asked: Import,
    reach: Reach,
    connection: Connection,
    indexes: Indexes,
    file: BinaryIO,
    sheet: BinaryIO | None = None,
    tell: Tell = lambda checked, due, written: None,
    turns: Alone = ALONE,
) -> Ended:
    """Runs an import from a seekable file; `sheet` takes the sheet to correct, if one is asked for.

    `reach` is what its caller may do with the resource. Raises `RequestError` where nothing was
    written: a file that can't be read, a column that is no field, a database that is not there.
    """
    if not file.seek(0, io.SEEK_END):
        raise BadRequest("The file is empty: it has no bytes at all.")
    file.seek(0)
    format = FORMATS[asked.format]
    try:
        with open_reader(format, file, asked.options) as reader:
            run = _Run(asked, reach, connection, indexes, reader, tell, turns)
            with closing(run):
                ended = run.run()
                if sheet is None or asked.sheet is None or not run.may_correct(ended):
                    return ended
                with open_reader(format, file, asked.options) as again:
                    has_sheet = run.try_to_write_sheet(again, sheet)
                return Ended(ended.report, ended.error, has_sheet)
    except PyMongoError as error:
        raise translate(error) from error
    except OSError as error:
        raise make_disk_error(error) from error


class _Run:
    """One import under way."""

    def __init__(
        self,
        asked: Import,
        reach: Reach,
        connection: Connection,
        indexes: Indexes,
        reader: Reader,
        tell: Tell,
        turns: Alone,
    ) -> None:
        self._asked = asked
        self._reach = reach
        self._resource = reach.view.whole
        self._connection = connection
        self._links = Links(connection, reach)
        self._reader = reader
        self._tell = tell
        self._turns = turns
        views = reach.compilers.views
        importable = make_importable(views, self._resource.name)
        self._ingest = Ingest(
            reader,
            importable.shape,
            importable.options.columns or None,
            asked.columns,
            asked.options,
            list_behind_links(views),
            asked.skipped,
        )
        self._faults = RowFaultFinder(self._ingest)
        self._shape = importable.shape
        self._bulk = Bulk(connection, self._resource, indexes, self._links)
        self._counts = Counts()
        self._concealed = 0  # of the updated rows, those that would change nothing
        self._wrong = FaultLog(whole=asked.sheet is not None)  # by the check
        self._lost: FaultLog | None = None  # while writing
        self._operations: Spool[Operation] = Spool()
        self._key: Key | None = None
        self._checker: Checker | None = None

    def close(self) -> None:
        """Gives the disk back."""
        self._operations.close()
        self._wrong.close()
        if self._lost is not None:
            self._lost.close()
        if self._checker is not None:
            self._checker.close()

    def run(self) -> Ended:
        """Checks every row, then writes, unless a row is wrong or nothing is to be written."""
        for rows in self._batches():
            self._check(rows)
        if self._checker is not None:
            self._check_rest(self._checker)
        asked, counts = self._asked, self._counts
        is_refused = bool(self._wrong.failed) and asked.on_error == "abort"
        if is_refused:
            counts.inserted = counts.updated = 0
        if asked.dry_run:
            return Ended(make_report(counts, self._wrong, dry_run=True))
        if is_refused:
            report = make_report(counts, self._wrong)
            return Ended(report, Invalid(_explain_refusal(report)))
        return self._write()

    # --- checking ---

    def _batches(self) -> Iterator[Rows]:
        """The rows as the reader gives them beside reads, some together where there are none."""
        waiting: list[Rows] = []
        for rows in self._reader:
            self._turns.let_pass()
            if waiting and waiting[0].sheet != rows.sheet:
                yield _join(waiting)
                waiting = []
            waiting.append(rows)
            # The first documents decide by their `_id`s on the key: as many of them beside reads.
            decide = self._checker is None and self._reader.header is None
            most = TOGETHER if decide else self._turns.choose_most(TOGETHER, beside_reads=1)
            if len(waiting) >= most:
                yield _join(waiting)
                waiting = []
        if waiting:
            yield _join(waiting)

    def _check(self, rows: Rows) -> None:
        if self._checker is None:
            self._checker = self._begin(rows)
        self._take_all(self._checker.check(rows))

    def _check_rest(self, checker: Checker) -> None:
        """What can be checked only when all rows are known: their links to each other."""
        for rows in checker.check_rest():
            self._turns.let_pass()
            self._take_all(rows)
        counts = self._counts
        for faults, is_update in checker.settle():
            self._wrong.add(faults)
            counts.changes = [one for one in counts.changes if one["row"] != faults.number]
            if is_update:
                counts.updated -= 1
            else:
                counts.inserted -= 1

    def _take_all(self, rows: Sequence[Row]) -> None:
        operations = [one for row in rows if (one := self._take(row))]
        if operations:
            self._operations.extend(operations)
        self._tell(self._counts.rows, 0, 0)

    def _begin(self, rows: Rows) -> Checker:
        """The checker, for the key that depends on whether the file has an `_id`."""
        asked = self._asked
        if asked.mode != "insert":
            has_id = any(target.path == "_id" for target in self._ingest.targets)
            if self._reader.header is None:
                has_id = any(isinstance(one, dict) and "_id" in one for one in rows.rows)
            self._key = choose_key(self._reach.view.resource, asked.key, has_id)
            if self._reader.header is not None:
                self._refuse_missing_key(self._key)
        return Checker(
            self._connection,
            self._links,
            self._ingest,
            self._faults,
            asked.mode,
            self._key,
            asked.options.timezone,
        )

    def _refuse_missing_key(self, key: Key) -> None:
        there = {target.path for target in self._ingest.targets}
        for path in key.paths:
            if path not in there:
                detail = f"key: the file has no column {path!r}, by which documents are found."
                raise Invalid(detail, Fault(detail, parameter="key"))

    def _take(self, row: Row) -> Operation | None:
        """Counts a row; what is to be written, if there is something."""
        counts, record = self._counts, row.record
        counts.rows += 1
        if row.faults:
            faults = RowFaults(row.place, record.number, record.sheet, tuple(row.faults))
            self._wrong.add(faults)
            return None
        if row.insert is None and row.update is None:
            if row.is_concealed:
                self._concealed += 1
                counts.updated += 1
            else:
                counts.unchanged += 1
            return None
        if row.insert is not None:
            counts.inserted += 1
        else:
            counts.updated += 1
        if self._asked.dry_run:
            if len(counts.changes) < SHOWN:
                counts.changes += list_changes(self._reach, row)
            return None
        return Operation(
            row.place, record.number, record.sheet, row.insert, row.update, row.patch, row.key
        )

    # --- writing ---

    def _write(self) -> Ended:
        asked, counts = self._asked, self._counts
        writer = Writer(
            self._connection,
            self._reach,
            self._bulk,
            self._key,
            self._faults,
            stops=asked.on_error == "abort",
            whole=asked.sheet is not None,
            turns=self._turns,
        )
        writer.written.rows, writer.written.unchanged = counts.rows, counts.unchanged
        writer.written.updated = self._concealed
        due = counts.inserted + counts.updated
        operations = filter(self._is_right, self._operations)
        error = writer.write(operations, lambda done: self._tell(counts.rows, due, done))
        self._lost = writer.lost
        return Ended(make_report(writer.written, self._wrong, writer.lost), error)

    def _is_right(self, operation: Operation) -> bool:
        return self._checker is not None and not self._checker.has_failed(operation.place)

    # --- the sheet to correct ---

    def may_correct(self, ended: Ended) -> bool:
        """Whether a sheet is right: a row is wrong, and the rest is as the sheet will say."""
        return bool(ended.report.failed) and (ended.error is None or ended.error.status == 422)

    def try_to_write_sheet(self, reader: Reader, file: BinaryIO) -> bool:
        """Whether there was room on the disk for the sheet; without it the report is the answer."""
        logs = [self._wrong] if self._lost is None else [self._wrong, self._lost]
        words = {"title": error_title(self._shape), "name": self._resource.name}
        try:
            write_sheet(self._asked, reader, merge_in_order(*logs), file, **words)
        except OSError:
            return False
        return True


def _join(batches: list[Rows]) -> Rows:
    """Batches of one sheet as one."""
    numbers = [number for rows in batches for number in rows.numbers]
    return Rows(numbers, [row for rows in batches for row in rows.rows], batches[0].sheet)


def _explain_refusal(report: Report) -> str:
    failed = f"{report.failed:,} of {report.rows:,} rows" if report.rows > 1 else "The row"
    first = report.errors[0]
    return (
        f"{failed} can't be imported, so nothing was written. Row {first['row']}: {first['detail']}"
    )
