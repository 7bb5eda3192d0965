"""The rows of a file, checked: by their cells, the model, each other and what is stored.

    Rows ─ ingest ─▶ records ─ `row_changes` ─▶ `Row`s: inserts, updates, nothing to do, or faults

A batch at a time: one question for each unique index, one for each collection that links lead to.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from app.errors import Invalid, RequestError
from app.resources.codec import decode
from app.resources.links import Reference, references
from app.resources.permissions import name_equal
from app.resources.storing import Document, to_bson
from app.resources.views import Ruled
from app.spreadsheets.format import Rows
from app.spreadsheets.ingest import CellFault, Ingest, Record
from app.store.client import Connection
from app.store.errors import make_conflict
from app.store.links import Links, find_added_references, make_fault
from app.store.matching import find_matching
from app.transfers.keys import ID, Key, identities
from app.transfers.named_links import Known, NamedLinks
from app.transfers.own_links import OwnLinks, WaitingRows
from app.transfers.report import RowFaults
from app.transfers.row_changes import Inserts, KeyedChanges
from app.transfers.row_faults import RowFaultFinder
from app.transfers.row_numbers import RowNumbers
from app.transfers.rows import Row
from app.transfers.unique_values import UniqueValues

_WRITES: tuple[Ruled, ...] = ("create", "update")
# A row, a value that it adds to an index, and what identifies that.
_Entry = tuple[Row, tuple[Any, ...], tuple[Any, ...]]


class Checker:
    """Checks the rows of one file."""

    def __init__(
        self,
        connection: Connection,
        links: Links,
        ingest: Ingest,
        faults: RowFaultFinder,
        mode: str,
        key: Key | None,
        timezone: str,
    ) -> None:
        self._connection = connection
        self._reach = links.reach
        self._resource = resource = links.reach.view.whole
        self._collection = connection.collection(resource.name)
        self._documents = connection.documents(resource.name)
        self._links = links
        self._ingest = ingest
        self._faults = faults
        self._key = key
        self._unique = [UniqueValues(ID)]
        self._unique += [
            UniqueValues.of(one) for one in resource.indexes if one.document.get("unique")
        ]
        self._has_rules = any(map(self._reach.has_conditions, _WRITES))
        self._named = NamedLinks(connection, self._reach, resource, ingest.targets)
        links_itself = any(link.target.collection == resource.name for link in resource.links)
        self._own = OwnLinks(resource) if links_itself and mode != "update" else None
        self._waiting = WaitingRows(resource, self._named) if self._own is not None else None
        self._place = 0
        self._numbers = RowNumbers()
        self._changes = self._make_changes(mode, key, timezone)

    def _make_changes(self, mode: str, key: Key | None, timezone: str) -> Inserts:
        words = self._reach, self._ingest, self._faults
        if key is None:
            return Inserts(*words)
        upserts = mode == "upsert"
        return KeyedChanges(self._connection, *words, self._numbers, key, timezone, upserts=upserts)

    def check(self, rows: Rows) -> list[Row]:
        """The rows of a batch, in their order, each with what it asks for or what is wrong."""
        records = self._ingest.records(rows)
        checked = []
        for record, cells in zip(records, rows.rows, strict=True):
            checked.append(Row(self._place, record, cells))
            self._numbers.add(self._place, record)
            self._place += 1
        if self._waiting is not None:
            checked = self._waiting.take(checked)
        self._check(checked, {})
        return checked

    def check_rest(self) -> Iterator[list[Row]]:
        """The rows that name others of the file, checked when all of these are known."""
        if self._waiting is not None:
            for rows, known in self._waiting.rest():
                self._check(rows, known)
                yield rows

    def settle(self) -> Iterator[tuple[RowFaults, bool]]:
        """The rows that fail because of rows that they link to, and whether each is an update."""
        if self._own is not None:
            yield from self._own.settle(self._numbers.name)
            self._links.expect(self._own.comes_later)

    def has_failed(self, place: int) -> bool:
        """Whether the row at a place, which was right by itself, is not written."""
        return self._own is not None and self._own.has_failed(place)

    def close(self) -> None:
        """Gives the disk back."""
        for kept in (self._own, self._waiting):
            if kept is not None:
                kept.close()

    def _check(self, rows: Sequence[Row], known: dict[str, Known]) -> None:
        self._named.replace([row.record for row in rows], known)
        self._changes.find(rows)
        good = list(filter(_is_write, rows))
        if self._has_rules:
            self._check_rules(good)
            good = list(filter(_is_write, good))
        added = [(unique, self._find_added_values(unique, good)) for unique in self._unique]
        for unique, entries in added:
            self._check_stored(unique, entries)
        self._check_links([row for row in good if not row.faults])
        for unique, entries in added:
            self._check_each_other(unique, entries)
        if self._own is not None:
            self._own.add(rows)
        if self._waiting is not None:
            self._waiting.add_names(good)

    def _check_rules(self, rows: Sequence[Row]) -> None:
        """Adds a fault to each row that its caller's rules are not for, before or after."""
        inserts = [row for row in rows if row.update is None]
        updates = [row for row in rows if row.update is not None]
        self._refuse_outside("create", inserts, [row.insert or b"" for row in inserts], "#")
        before = [row.update.stored for row in updates if row.update is not None]
        self._refuse_outside("update", updates, before)
        updates = [row for row in updates if not row.faults]
        after = [row.update.after for row in updates if row.update is not None]
        self._refuse_outside("update", updates, after, "#")

    def _refuse_outside(
        self,
        action: Ruled,
        rows: Sequence[Row],
        raws: Sequence[bytes],
        pointer: str | None = None,
    ) -> None:
        if not self._reach.has_conditions(action):
            return
        for number in self._reach.find_outside(self._reach.filter(action), raws):
            error = self._reach.make_outside(action, pointer)
            rows[number].faults = [CellFault("", "", error.detail)]

    # --- what else is stored, and the other rows ---

    def _find_added_values(self, unique: UniqueValues, rows: Sequence[Row]) -> list[_Entry]:
        """What rows add to an index; nothing where they were found by that, or make their own key.

        A row that was not found may have the key of a document that its caller can't see.
        """
        if unique.paths == ID:
            rows = [row for row in rows if row.update is None and _has_id(row.record)]
        if self._key is not None and unique.paths == self._key.paths:
            may_be_unseen = self._reach.has_conditions("read")
            rows = [one for one in rows if one.key is None or (may_be_unseen and not one.update)]
        return [
            (row, values, identities(values))
            for row in self._find_counted(unique, rows)
            for values in _new_values(unique, row)
        ]

    def _find_counted(self, unique: UniqueValues, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows whose documents, as they will be, the index counts."""
        if not unique.partial or not rows:
            return rows
        raws = [_bytes_after(row) for row in rows]
        found = find_matching(self._documents, raws, unique.partial)
        return [row for number, row in enumerate(rows) if number in found]

    def _check_stored(self, unique: UniqueValues, entries: Sequence[_Entry]) -> None:
        """Adds a fault to each row with a value that another stored document has."""
        if unique.collation:
            self._check_stored_collated(unique, entries)
            return
        asking: dict[Any, list[Row]] = {}
        for row, _, key in entries:
            asking.setdefault(key, []).append(row)
        for document in self._having(unique, [values for _, values, _ in entries]):
            for values in unique.values(document):
                for row in asking.get(identities(values), ()):
                    if not row.faults and not _is_own(row, document):
                        self._refuse_taken(row, unique)

    def _check_stored_collated(self, unique: UniqueValues, entries: Sequence[_Entry]) -> None:
        """The same, each row by a question of its own, where some row has a value of another."""
        if next(self._having(unique, [values for _, values, _ in entries]), None) is None:
            return
        for row, values, _ in entries:
            found = () if row.faults else self._having(unique, [values])
            if any(not _is_own(row, document) for document in found):
                self._refuse_taken(row, unique)

    def _refuse_taken(self, row: Row, unique: UniqueValues) -> None:
        error = self._conceal(row, make_conflict(unique.paths))
        row.faults = self._faults_of(row, error)

    def _having(
        self, unique: UniqueValues, entries: Sequence[tuple[Any, ...]]
    ) -> Iterator[Document]:
        projection = dict.fromkeys((*unique.paths, "_id"), 1)
        words: dict[str, Any] = {**self._connection.time_limit}
        if unique.collation:
            words["collation"] = unique.collation
        for condition in unique.conditions(entries):
            yield from self._collection.find(condition, projection, **words)

    def _check_links(self, rows: Sequence[Row]) -> None:
        """Adds a fault to each row that links to what isn't there, and can't be another row."""
        if not self._resource.has_links:
            return
        added: dict[int, list[Reference]] = {row.place: self._find_added_links(row) for row in rows}
        every = [reference for listed in added.values() for reference in listed]
        missing = set(map(id, self._links.find_missing(every, {}))) if every else set()
        for row in rows:
            for reference in added[row.place]:
                if id(reference) in missing:
                    faults = self._faults_of(row, Invalid("", make_fault(reference)))
                    if self._own is not None and reference.collection == self._resource.name:
                        row.hopes += [(reference.key, fault) for fault in faults]
                    else:
                        row.faults += faults

    def _find_added_links(self, row: Row) -> list[Reference]:
        assert row.after is not None
        after = references(self._resource.shape, row.after)
        if row.update is None:
            return list(after)
        before = references(self._resource.shape, decode(row.update.stored))
        return find_added_references(before, after)

    def _check_each_other(self, unique: UniqueValues, entries: Sequence[_Entry]) -> None:
        """Adds a fault to each row with a value that a row before it has as well."""
        for row, _, key in entries:
            if row.faults:
                continue
            before = unique.add(key, row.place)
            if before is not None and before != row.place:
                row.faults.append(self._make_equal(row, unique.paths, before))

    def _make_equal(self, row: Row, paths: Sequence[str], before: int) -> CellFault:
        """What is wrong with a row that has the same values as the one at the place `before`."""
        seen = self._reach.find_seen(paths)
        names = name_equal(seen, is_all=len(seen) == len(paths))
        detail = f"{self._numbers.name(before)} has the same {names}; it must be unique."
        path = seen[0] if seen else ""
        return self._faults.of_path(row.record, row.cells, path, detail)

    # --- what is told ---

    def _conceal(self, row: Row, error: RequestError) -> RequestError:
        return self._reach.conceal("create" if row.update is None else "update", error)

    def _faults_of(self, row: Row, error: RequestError) -> list[CellFault]:
        return self._faults.of_error(row.record, row.cells, error)


def _new_values(unique: UniqueValues, row: Row) -> list[tuple[Any, ...]]:
    assert row.after is not None
    return unique.new_values(row.after, row.update)


def _bytes_after(row: Row) -> bytes:
    if row.insert is not None:
        return row.insert
    assert row.after is not None
    return to_bson(row.after)


def _is_write(row: Row) -> bool:
    return not row.faults and row.after is not None


def _has_id(record: Record) -> bool:
    where = record.values if record.document is None else record.document
    return where.get("_id") is not None


def _is_own(row: Row, document: Document) -> bool:
    """Whether a stored document is the one that the row changes."""
    if row.update is None:
        return False
    own = decode(row.update.stored)["_id"]
    return identities([own]) == identities([document["_id"]])
