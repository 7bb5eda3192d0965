"""An import: a file → checked rows → writes → a report; the same over HTTP and by command.

    read_import ─▶ `Import` (plain data) ─ run_import ─▶ `Ended`

Every row is checked before the first one is written, and what is to be written waits on disk, so
memory doesn't grow with the file. `run_import` is synchronous: a child process runs it for the
server, a thread for a mock.
"""

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal, NamedTuple

from pymongo.errors import PyMongoError

from app.errors import BadRequest, Conflict, Fault, Invalid, RequestError, Unavailable
from app.query.parameters import PARAMETERS, parameters_of, read_parameters
from app.resources.codec import decode
from app.resources.registry import Resource
from app.resources.storing import Document
from app.spreadsheets.columns import parse_columns
from app.spreadsheets.corrections import Corrections, CsvCorrections, XlsxCorrections
from app.spreadsheets.format import MIB, Format, Limits, Reader, ReadOptions, Rows
from app.spreadsheets.formats import FORMATS
from app.spreadsheets.ingest import Behind, CellFault, Ingest, Record, error_title
from app.spreadsheets.reading import open_reader
from app.store.bulk import BULK, Bulk, Error, Update
from app.store.client import Connection
from app.store.errors import translate
from app.store.indexes import Indexes
from app.store.links import Links
from app.transfers.checking import Checker, Row
from app.transfers.keys import Key, choose_key, read_key_parameter
from app.transfers.named_links import list_behind_links
from app.transfers.report import Counts, FaultLog, Report, RowFaults, make_report, merge_in_order
from app.transfers.spool import Spool

SheetFormat = Literal["csv", "xlsx"]
# Rows checked, rows to be written (0 while they are checked), rows written.
Tell = Callable[[int, int, int], None]
SENDERS = 2  # bulks under way at once
WEIGHT = 8 * MIB  # bytes of BSON that one bulk may have


@dataclass(frozen=True)
class Import:
    """What an import is to do, as plain data; `resource` is the first step of its addresses.

    `sheet` asks for a sheet to correct in that format, where a row is wrong.
    """

    resource: str
    format: str
    mode: str = "insert"
    key: tuple[str, ...] | None = None
    on_error: str = "abort"
    dry_run: bool = False
    columns: str | None = None
    options: ReadOptions = field(default_factory=ReadOptions)
    sheet: SheetFormat | None = None


@dataclass(frozen=True)
class Ended:
    """How an import ended: its report, and the error as which it is answered, if it is one.

    `has_sheet` says that the sheet to correct was written, `is_writing` of one under way that it
    has begun to write.
    """

    report: Report
    error: RequestError | None = None
    has_sheet: bool = False
    is_writing: bool = False


# --- what was asked -------------------------------------------------------------------------------


def check_parameters(resource: Resource, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The values of all parameters, before the format is known; raises `Invalid`."""
    every = {name for found in FORMATS.values() for name in found.reads}
    known = parameters_of("import", every)
    foreign = {
        parameter.name: "this is for lists and exports"
        for parameter in PARAMETERS
        if parameter.name not in known
    }
    values = read_parameters(list(pairs), known, resource.options, foreign)
    read_key_parameter(resource, values["key"])
    return values


def read_import(
    resource: Resource,
    format: Format,
    pairs: Iterable[tuple[str, str]],
    limits: Limits,
    sheet: SheetFormat | None = None,
    others: Iterable[Resource] = (),
) -> Import:
    """The import of a file in that format with these parameters.

    `others` are all resources, for columns that reach through links. Raises `Invalid` for
    parameters that can't be, also for those of another format.
    """
    listed = list(pairs)
    values = check_parameters(resource, listed)
    faults = [
        Fault(f"{name}: {format.names[0]} has no such option.", parameter=name)
        for name, text in listed
        if text and name in _of_formats() and name not in format.reads
    ]
    if sheet is not None and not format.tabular:
        detail = "A sheet to correct is possible for CSV and XLSX; ask for application/json."
        faults.append(Fault(detail, header="Accept"))
    if faults:
        raise Invalid(faults[0].detail, *faults)
    if values["columns"]:
        shapes = list_behind_links(others).shapes
        declared = resource.options.columns or None
        parse_columns(resource.shape, declared, values["columns"], None, True, shapes)
    return Import(
        resource.address,
        format.names[0],
        values["mode"],
        read_key_parameter(resource, values["key"]),
        values["on_error"],
        values["dry_run"],
        values["columns"],
        ReadOptions(
            sheet=values["sheet"],
            formulas=values["formulas"],
            timezone=values["timezone"],
            limits=limits,
        ),
        sheet,
    )


def _of_formats() -> set[str]:
    return {one.name for one in PARAMETERS if one.of_format and "import" in one.takers}


# --- what is done ---------------------------------------------------------------------------------


def run_import(
    asked: Import,
    resource: Resource,
    others: Iterable[Resource],
    connection: Connection,
    indexes: Indexes,
    file: BinaryIO,
    sheet: BinaryIO | None = None,
    tell: Tell = lambda checked, due, written: None,
) -> Ended:
    """Runs an import from a seekable file; `sheet` takes the sheet to correct, if one is asked for.

    `others` are all resources, for their links. Raises `RequestError` where nothing was written: a
    file that can't be read, a column that is no field, a database that is not there.
    """
    if not file.seek(0, io.SEEK_END):
        raise BadRequest("The file is empty: it has no bytes at all.")
    file.seek(0)
    format = FORMATS[asked.format]
    listed = list(others)
    links, behind = Links(connection, listed), list_behind_links(listed)
    try:
        with open_reader(format, file, asked.options) as reader:
            run = _Run(asked, resource, connection, indexes, links, behind, reader, tell)
            with closing(run):
                ended = run.run()
                if sheet is None or asked.sheet is None or not run.may_correct(ended):
                    return ended
                with open_reader(format, file, asked.options) as again:
                    run.write_sheet(again, sheet)
                return Ended(ended.report, ended.error, has_sheet=True)
    except PyMongoError as error:
        raise translate(error) from error
    except OSError as error:
        raise Unavailable(f"The server can't keep the file ({error.strerror}).") from error


class Operation(NamedTuple):
    """One checked row that is to be written: its place, and what is written."""

    place: int
    number: int
    sheet: str
    insert: bytes | None
    update: Update | None
    patch: Document | None
    key: tuple[Any, ...] | None

    @property
    def size(self) -> int:
        """Bytes of BSON, about."""
        return len(self.insert or b"") + (len(self.update.stored) if self.update else 0)


Outcome = tuple[Operation, Error]


class _Run:
    """One import under way."""

    def __init__(
        self,
        asked: Import,
        resource: Resource,
        connection: Connection,
        indexes: Indexes,
        links: Links,
        behind: Behind,
        reader: Reader,
        tell: Tell,
    ) -> None:
        self._asked = asked
        self._resource = resource
        self._connection = connection
        self._links = links
        self._reader = reader
        self._tell = tell
        self._ingest = Ingest(
            reader,
            resource.shape,
            resource.options.columns or None,
            asked.columns,
            asked.options,
            behind,
        )
        self._bulk = Bulk(connection, resource, indexes, links)
        self._counts = Counts()
        self._written = Counts()
        whole = asked.sheet is not None
        self._wrong = FaultLog(whole=whole)  # by the check
        self._lost = FaultLog(whole=whole)  # while writing
        self._operations: Spool[Operation] = Spool()
        self._is_stopped = False  # while writing
        self._key: Key | None = None
        self._checker: Checker

    def close(self) -> None:
        """Gives the disk back."""
        self._operations.close()

    def run(self) -> Ended:
        """Checks every row, then writes, unless a row is wrong or nothing is to be written."""
        for rows in self._reader:
            self._check(rows)
        asked, counts = self._asked, self._counts
        is_refused = bool(self._wrong.failed) and asked.on_error == "abort"
        if is_refused:
            counts.inserted = counts.updated = 0
        if asked.dry_run:
            return Ended(make_report(counts, self._wrong, dry_run=True))
        if is_refused:
            report = make_report(counts, self._wrong)
            return Ended(report, Invalid(_refusal(report)))
        return self._write()

    # --- checking ---

    def _check(self, rows: Rows) -> None:
        if not self._counts.rows:
            self._begin(rows)
        operations = [one for row in self._checker.check(rows) if (one := self._take(row))]
        if operations:
            self._operations.extend(operations)
        self._tell(self._counts.rows, 0, 0)

    def _begin(self, rows: Rows) -> None:
        """Chooses the key, which depends on whether the file has an `_id`."""
        asked = self._asked
        if asked.mode != "insert":
            has_id = any(target.path == "_id" for target in self._ingest.targets)
            if self._reader.header is None:
                has_id = any(type(one) is dict and "_id" in one for one in rows.rows)
            self._key = choose_key(self._resource, asked.key, has_id)
            if self._reader.header is not None:
                self._refuse_missing_key(self._key)
        self._checker = Checker(
            self._connection,
            self._resource,
            self._links,
            self._ingest,
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
            counts.unchanged += 1
            return None
        if row.insert is not None:
            counts.inserted += 1
        else:
            counts.updated += 1
        if self._asked.dry_run:
            if len(counts.changes) < 100:
                counts.changes += self._checker.changes_of(row)
            return None
        return Operation(
            row.place, record.number, record.sheet, row.insert, row.update, row.patch, row.key
        )

    # --- writing ---

    def _write(self) -> Ended:
        written = self._written
        written.rows, written.unchanged = self._counts.rows, self._counts.unchanged
        due = self._counts.inserted + self._counts.updated
        broken: Exception | None = None
        uncertain = 0  # operations of the bulks that broke
        for operations, outcomes in self._send_ahead():
            done = written.inserted + written.updated + self._lost.failed
            self._tell(self._counts.rows, due, done)
            try:
                for operation, failed in outcomes():
                    self._take_written(operation, failed)
            except (PyMongoError, Unavailable) as caught:
                broken = broken or caught
                uncertain += len(operations)
            is_refused = bool(self._lost.failed) and self._asked.on_error == "abort"
            self._is_stopped = broken is not None or is_refused
        error: RequestError | None = None
        if broken is not None:
            error = _make_stopped(broken, written, uncertain)
        elif self._is_stopped:
            error = Conflict(_conflict(self._lost.first[0], written))
        return Ended(make_report(written, self._wrong, self._lost), error)

    def _send_ahead(self) -> Iterator[tuple[list[Operation], Callable[[], list[Outcome]]]]:
        """Bulks on their way, and what waits for the end of each.

        Some are under way at once: the database commits one while it takes the next. Once the
        import has stopped no more are sent, and those under way are still told.
        """
        is_plain = self._connection.has_bulks() and not self._resource.links
        at_once = SENDERS if is_plain else 1
        with ThreadPoolExecutor(at_once, thread_name_prefix="import") as senders:
            under_way: deque[tuple[list[Operation], Future[list[Outcome]]]] = deque()
            for operations in _bulks(self._operations):
                if self._is_stopped:
                    break
                under_way.append((operations, senders.submit(self._send, operations)))
                if len(under_way) >= at_once:
                    first, future = under_way.popleft()
                    yield first, future.result
            for left, future in under_way:
                yield left, future.result

    def _send(self, operations: list[Operation]) -> list[Outcome]:
        """Writes a bulk; why each of its operations failed, None where it is written."""
        outcomes: list[Outcome] = []
        inserts = [one for one in operations if one.insert is not None]
        updates = [one for one in operations if one.update is not None]
        if inserts:
            errors = self._bulk.insert([one.insert for one in inserts if one.insert is not None])
            outcomes += zip(inserts, errors, strict=True)
        if updates:
            errors = self._bulk.update([one.update for one in updates if one.update is not None])
            outcomes += zip(updates, errors, strict=True)
        return outcomes

    def _take_written(self, operation: Operation, error: Error) -> None:
        if error is not None and operation.insert is not None and operation.patch is not None:
            self._upsert(operation, error)
        else:
            self._count(operation, error, "inserted" if operation.insert else "updated")

    def _upsert(self, operation: Operation, error: RequestError) -> None:
        """Changes a document that another writer inserted since the row was checked."""
        stored = self._find(operation) if isinstance(error, Conflict) else None
        if stored is None or operation.patch is None:
            self._count(operation, error, "inserted")
            return
        failed = self._bulk.patch(decode(stored)["_id"], operation.patch)
        is_same = failed is None and self._find(operation) == stored
        self._count(operation, failed, "unchanged" if is_same else "updated")

    def _find(self, operation: Operation) -> bytes | None:
        if self._key is None or operation.key is None:
            return None
        documents = self._connection.documents(self._resource.name)
        for condition in self._key.conditions([operation.key]):
            return documents.find_one(condition) or None
        return None

    def _count(self, operation: Operation, error: Error, what: str) -> None:
        if error is None:
            setattr(self._written, what, getattr(self._written, what) + 1)
            return
        record = Record(operation.number, operation.sheet)
        faults = self._checker.faults_of(record, (), error)
        row = RowFaults(operation.place, operation.number, operation.sheet, tuple(faults))
        self._lost.add(row)

    # --- the sheet to correct ---

    def may_correct(self, ended: Ended) -> bool:
        """Whether a sheet is right: a row is wrong, and the rest is as the sheet will say."""
        return bool(ended.report.failed) and (ended.error is None or ended.error.status == 422)

    def write_sheet(self, reader: Reader, file: BinaryIO) -> None:
        """Writes the rows as they came, with their faults: all, or after `skip` the failed ones."""
        assert reader.header is not None
        every = self._asked.on_error == "abort"
        sheet = self._corrections(reader, file)
        faults = merge_in_order(self._wrong, self._lost)
        following = next(faults, None)
        for place, row in enumerate(_cells(reader)):
            found: list[CellFault] = []
            while following is not None and following.place == place:
                found += following.faults
                following = next(faults, None)
            if found or every:
                sheet.add(row, found)
        sheet.finish()

    def _corrections(self, reader: Reader, file: BinaryIO) -> Corrections:
        assert reader.header is not None
        title = error_title(self._resource.shape)
        if self._asked.sheet == "xlsx":
            return XlsxCorrections(file, reader.header, title, self._resource.name, reader.cut)
        formulas = self._asked.options.formulas
        return CsvCorrections(file, reader.header, title, formulas=formulas)


def _cells(reader: Reader) -> Iterator[Any]:
    for rows in reader:
        yield from rows.rows


def _bulks(operations: Iterable[Operation]) -> Iterator[list[Operation]]:
    """The operations in bulks, bounded in number and in bytes."""
    bulk: list[Operation] = []
    weight = 0
    for operation in operations:
        bulk.append(operation)
        weight += operation.size
        if len(bulk) >= BULK or weight >= WEIGHT:
            yield bulk
            bulk, weight = [], 0
    if bulk:
        yield bulk


def _refusal(report: Report) -> str:
    failed = f"{report.failed:,} of {report.rows:,} rows" if report.rows > 1 else "The row"
    first = report.errors[0]
    return (
        f"{failed} can't be imported, so nothing was written. Row {first['row']}: {first['detail']}"
    )


def _conflict(row: RowFaults, written: Counts) -> str:
    count = written.inserted + written.updated
    return (
        f"Another writer came in between: row {row.number}: {row.faults[0].detail} {count:,} rows "
        "were written before; correct it and send the file again, with mode=upsert."
    )


def _make_stopped(error: Exception, written: Counts, size: int) -> RequestError:
    known = translate(error, writing=True) if isinstance(error, PyMongoError) else error
    if not isinstance(known, RequestError):
        raise known
    count = written.inserted + written.updated
    return Unavailable(
        f"{known.detail} {count:,} rows were written for certain; of the {size:,} after them some "
        "may be. The same file again with mode=upsert does the rest."
    )
