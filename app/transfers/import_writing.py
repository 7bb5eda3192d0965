"""The rows that an import has checked, written in bulks."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from pymongo.errors import PyMongoError

from app.errors import Conflict, RequestError, Unavailable
from app.query.conditions import join_filters
from app.resources.codec import decode
from app.resources.elements import OBJECT_ID
from app.resources.storing import Document
from app.spreadsheets.format import MIB
from app.spreadsheets.ingest import Record
from app.store.bulk import BULK, Bulk, Error, Update
from app.store.client import Connection
from app.store.errors import translate
from app.store.reach import Reach
from app.transfers.keys import Key
from app.transfers.report import Counts, FaultLog, RowFaults
from app.transfers.row_faults import RowFaultFinder
from app.transfers.spool import make_disk_error
from app.transfers.traffic import Alone

SENDERS = 2  # bulks under way at once
WEIGHT = 8 * MIB  # bytes of BSON that one bulk may have
_KEY = bytes([OBJECT_ID]) + b"_id\0"
BULK_BESIDE_READS = 100  # operations of one bulk while reads come


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


class Writer:
    """Writes the operations of one import.

    `written` counts what was written, `lost` has the rows that failed meanwhile: all of them if
    `whole`. `stops` says whether one that fails stops the rest. Reads pass before each
    bulk.
    """

    def __init__(
        self,
        connection: Connection,
        reach: Reach,
        bulk: Bulk,
        key: Key | None,
        faults: RowFaultFinder,
        *,
        stops: bool,
        whole: bool,
        turns: Alone,
    ) -> None:
        self.written = Counts()
        self.lost = FaultLog(whole=whole)
        self._connection = connection
        self._reach = reach
        self._resource = reach.view.whole
        self._bulk = bulk
        self._key = key
        self._faults = faults
        self._stops = stops
        self._turns = turns
        self._is_stopped = False
        self._first_error: Error = None

    def write(
        self, operations: Iterable[Operation], tell: Callable[[int], None]
    ) -> RequestError | None:
        """Writes them in their order; what has stopped it, if anything has.

        `tell` is told now and then how many are done.
        """
        broken: Exception | None = None
        uncertain = 0  # operations of the bulks that broke
        for bulk, outcomes in self._send_ahead(operations):
            tell(self.written.inserted + self.written.updated + self.lost.failed)
            try:
                for operation, failed in outcomes():
                    self._take(operation, failed)
            except (PyMongoError, Unavailable, OSError) as caught:
                broken = broken or caught
                uncertain += len(bulk)
            self._is_stopped = broken is not None or (self._stops and bool(self.lost.failed))
        if broken is not None:
            return _make_stopped(broken, self.written, uncertain)
        if self._is_stopped:
            is_taken = isinstance(self._first_error, Conflict)
            return Conflict(_explain_stop(self.lost.first[0], self.written, is_taken=is_taken))
        return None

    def _send_ahead(
        self, operations: Iterable[Operation]
    ) -> Iterator[tuple[list[Operation], Callable[[], list[Outcome]]]]:
        """Bulks on their way, and what waits for the end of each.

        Some are under way at once: the database commits one while it takes the next. Once the
        import has stopped no more are sent, and those under way are still told.
        """
        is_plain = self._connection.has_bulks() and not self._resource.has_links
        at_once = SENDERS if is_plain else 1
        with ThreadPoolExecutor(at_once, thread_name_prefix="import") as senders:
            under_way: deque[tuple[list[Operation], Future[list[Outcome]]]] = deque()
            for bulk in self._make_bulks(operations):
                if self._is_stopped:
                    break
                self._turns.let_pass()
                under_way.append((bulk, senders.submit(self._send, bulk)))
                while len(under_way) >= self._turns.choose_most(at_once, beside_reads=1):
                    first, future = under_way.popleft()
                    yield first, future.result
            for left, future in under_way:
                yield left, future.result

    def _make_bulks(self, operations: Iterable[Operation]) -> Iterator[list[Operation]]:
        """The operations in bulks, bounded in number and bytes."""
        bulk: list[Operation] = []
        weight, most = 0, self._turns.choose_most(BULK, BULK_BESIDE_READS)
        for operation in operations:
            bulk.append(operation)
            weight += operation.size
            if len(bulk) >= most or weight >= WEIGHT:
                yield bulk
                bulk, weight = [], 0
                most = self._turns.choose_most(BULK, BULK_BESIDE_READS)
        if bulk:
            yield bulk

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
        return sorted(outcomes, key=lambda outcome: outcome[0].place)

    def _take(self, operation: Operation, error: Error) -> None:
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
        if "_id" not in operation.patch and _are_alike(stored, operation.insert or b""):
            self._count(operation, None, "unchanged")
            return
        failed = self._bulk.patch(decode(stored)["_id"], operation.patch)
        is_same = failed is None and self._find(operation) == stored
        self._count(operation, failed, "unchanged" if is_same else "updated")

    def _find(self, operation: Operation) -> bytes | None:
        if self._key is None or operation.key is None:
            return None
        documents = self._connection.documents(self._resource.name)
        rule = self._reach.filter("read")
        for condition in self._key.conditions([operation.key]):
            return documents.find_one(join_filters([condition, rule])) or None
        return None

    def _count(self, operation: Operation, error: Error, what: str) -> None:
        if error is None:
            setattr(self.written, what, getattr(self.written, what) + 1)
            return
        record = Record(operation.number, operation.sheet)
        self._first_error = self._first_error or error
        known = self._reach.conceal("create" if operation.insert else "update", error)
        faults = self._faults.of_error(record, (), known)
        row = RowFaults(operation.place, operation.number, operation.sheet, tuple(faults))
        self.lost.add(row)


def _are_alike(raw: bytes, other: bytes) -> bool:
    """Whether two documents are the same but for their ObjectIds, which come first."""
    begin = len(_KEY) + 4
    starts = raw[:begin] == other[:begin] and raw[4:begin] == _KEY
    return starts and raw[begin + 12 :] == other[begin + 12 :]


def _explain_stop(row: RowFaults, written: Counts, *, is_taken: bool) -> str:
    count = written.inserted + written.updated
    reason = "Another writer came in between" if is_taken else "The database refused a row"
    return (
        f"{reason}: row {row.number}: {row.faults[0].detail} {count:,} rows were written before; "
        "correct it and send the file again, with mode=upsert."
    )


def _make_stopped(error: Exception, written: Counts, size: int) -> RequestError:
    known = error
    if isinstance(error, PyMongoError):
        known = translate(error, writing=True)
    elif isinstance(error, OSError):
        known = make_disk_error(error)
    if not isinstance(known, RequestError):
        raise known
    count = written.inserted + written.updated
    return Unavailable(
        f"{known.detail} {count:,} rows were written for certain; of the {size:,} after them some "
        "may be. The same file again with mode=upsert does the rest."
    )
