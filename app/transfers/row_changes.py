"""The rows of a file → what each asks for: a new document, a change of a stored one, or nothing.

One question for the documents that a batch of rows is about, and for what is shown behind links.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from app.errors import RequestError
from app.query.conditions import join_filters
from app.resources.codec import decode
from app.resources.storing import Document, to_bson
from app.spreadsheets.ingest import CellFault, Ingest
from app.store.bulk import Update
from app.store.client import Connection
from app.store.reach import Reach
from app.store.uniqueness import apply
from app.transfers.differences import Differences, json_at, show_document
from app.transfers.distinct import Distinct
from app.transfers.keys import Key, identities
from app.transfers.own_links import with_own_id
from app.transfers.row_faults import RowFaultFinder, join_faults
from app.transfers.row_numbers import RowNumbers
from app.transfers.rows import Row
from app.transfers.shown_links import ShownLinks

# A key that a row may mean, what identifies it, and the row.
_Reading = tuple[Any, tuple[Any, ...], Row]


class Inserts:
    """Makes each row of a file a new document."""

    def __init__(self, reach: Reach, ingest: Ingest, faults: RowFaultFinder) -> None:
        self._reach = reach
        self._ingest = ingest
        self._faults = faults

    def find(self, rows: Sequence[Row]) -> None:
        """Makes each row an insert, or says what is wrong with it."""
        self._insert(rows)

    def _insert(self, rows: Sequence[Row], *, keeps_patch: bool = False) -> None:
        """`keeps_patch` is for those whose document another writer may insert first."""
        bodies = [with_own_id(self._ingest.body(row.record), row) for row in rows]
        documents = self._reach.read_documents(bodies)
        for row, body, document in zip(rows, bodies, documents, strict=True):
            self._take_new(row, document)
            row.patch = body if keeps_patch and row.insert is not None else None

    def _take_new(self, row: Row, document: Document | RequestError) -> None:
        try:
            if isinstance(document, RequestError):
                raise document
            row.after, row.insert = document, to_bson(document)
        except RequestError as error:
            row.faults = self._faults.of_error(row.record, row.cells, error)
        if row.record.faults:
            row.faults = join_faults(row.record.faults, row.faults)
        if row.faults:
            row.after = row.insert = None


class KeyedChanges(Inserts):
    """Makes rows changes of the stored documents that have their keys, else inserts if `upserts`.

    `numbers` are those of the rows.
    """

    def __init__(
        self,
        connection: Connection,
        reach: Reach,
        ingest: Ingest,
        faults: RowFaultFinder,
        numbers: RowNumbers,
        key: Key,
        timezone: str,
        *,
        upserts: bool,
    ) -> None:
        super().__init__(reach, ingest, faults)
        self._documents = connection.documents(reach.view.whole.name)
        self._numbers = numbers
        self._key = key
        self._upserts = upserts
        self._differences = Differences(reach.view.resource, ingest, timezone)
        self._shown = ShownLinks(connection, reach, ingest.targets, self._differences)
        self._keys = Distinct()

    def find(self, rows: Sequence[Row]) -> None:
        """Makes each row an insert, an update or neither, or says what is wrong with it."""
        likeliest: list[_Reading] = []
        others: list[_Reading] = []
        for row in rows:
            keys = self._read_key(row)
            if not keys:
                continue
            row.key = keys[0]
            identity = identities(row.key)
            if self._is_first(row, identity):
                likeliest.append((identity, row.key, row))
                others += [(identities(key), key, row) for key in keys[1:]]
        done = self._update_stored(likeliest)
        done |= self._update_stored([one for one in others if one[2].place not in done])
        left = [row for row in rows if row.place not in done and not row.faults]
        if self._upserts:
            self._insert(left, keeps_patch=True)
            self._update_renamed(left)
        else:
            self._refuse(left)

    def _read_key(self, row: Row) -> list[tuple[Any, ...]]:
        """The keys that a row may mean; none where it has none, or what is none."""
        named = {self._ingest_position(path) for path in self._key.paths} - {None}
        bad = [fault for fault in row.record.faults if fault.position in named]
        parts = self._key.read_sent(row.record)
        if bad or parts is None:
            row.faults = bad
            return []
        try:
            return self._key.readings(parts)
        except ValueError as error:
            row.faults = [self._fault(row, self._key.paths[0], f"{error}.")]
            return []

    def _ingest_position(self, path: str) -> int | None:
        return next((one.position for one in self._ingest.targets if one.path == path), None)

    def _is_first(self, row: Row, identity: Any) -> bool:
        """Whether no row before it has the same key."""
        before = self._keys.add(repr(identity), row.place)
        if before is None:
            return True
        names = " and ".join(self._key.paths)
        detail = (
            f"{self._numbers.name(before)} has the same {names}; a document can be changed by one "
            "row only."
        )
        row.faults = [self._fault(row, self._key.paths[0], detail)]
        return False

    def _update_renamed(self, rows: Sequence[Row]) -> None:
        """Makes rows updates whose key is stored as a validator of the model writes it."""
        renamed: list[_Reading] = []
        for row in rows:
            if row.key is None or row.after is None:
                continue
            key = self._key.read_stored(row.after)
            identity = identities(key)
            if identity == identities(row.key):
                continue
            row.key = key
            if self._is_first(row, identity):
                renamed.append((identity, key, row))
            else:
                row.insert = row.patch = row.after = None
        self._update_stored(renamed)

    def _update_stored(self, readings: Sequence[_Reading]) -> set[int]:
        """Makes rows updates of the stored documents with these keys; the places of these rows."""
        rows: dict[Any, list[Row]] = {}
        for identity, _, row in readings:
            rows.setdefault(identity, []).append(row)
        done: set[int] = set()
        pairs = self._pair([key for _, key, _ in readings], rows)
        for row, raw in self._shown.overlook(pairs):
            if row.place not in done:
                self._update(row, raw)
                done.add(row.place)
        return done

    def _pair(
        self, keys: Iterable[tuple[Any, ...]], rows: Mapping[Any, Sequence[Row]]
    ) -> Iterator[tuple[Row, bytes]]:
        """The stored documents with these keys, each with the rows that are about it."""
        for raw in self._read_stored(keys):
            for row in rows.get(self._key.identify(decode(raw)), ()):
                yield row, raw

    def _read_stored(self, keys: Iterable[tuple[Any, ...]]) -> Iterator[bytes]:
        rule = self._reach.filter("read")
        for condition in self._key.conditions(keys):
            yield from self._documents.find_all(join_filters([condition, rule]))

    def _update(self, row: Row, raw: bytes) -> None:
        row.insert = row.patch = row.after = None
        try:
            patch, faults = self._differences.patch(row.record, row.cells, raw)
            row.faults = faults
            if faults or not patch:
                return
            change = self._reach.read_patch(patch, raw)
        except RequestError as error:
            row.faults = self._faults.of_error(row.record, row.cells, error)
            return
        if not change:
            row.is_concealed = self._reach.writes_unseen(patch)
            return
        row.update = Update(raw, change, patch)
        whole = change.whole
        row.after = apply(change, decode(raw)) if whole is None else decode(whole)
        if row.record.document is not None:
            self._refuse_loss(row, patch, raw)

    def _refuse_loss(self, row: Row, patch: Document, raw: bytes) -> None:
        """Adds a fault where a document would only take fields from the elements of a list."""
        path = self._differences.find_loss(patch, raw, row.after or {})
        if path is not None:
            detail = (
                f"{path}: the elements of the list lack this field, which the stored ones have; a "
                "list replaces the stored one, so that it would be lost. Send whole elements, or "
                "null for a field that is to go."
            )
            row.faults = [CellFault(path, "", detail)]
            row.after = row.update = None

    def _refuse(self, rows: Sequence[Row]) -> None:
        """Says of rows that they have no document to change."""
        names = " and ".join(self._key.paths)
        for row in rows:
            has_key = row.key is not None
            detail = f"There is no document with this {names}." if has_key else f"{names} is empty."
            row.faults = [self._fault(row, self._key.paths[0], detail)]

    def _fault(self, row: Row, path: str, detail: str) -> CellFault:
        return self._faults.of_path(row.record, row.cells, path, detail)


def list_changes(reach: Reach, row: Row) -> list[dict[str, Any]]:
    """What an update changes, field by field, as the report of a dry run lists it."""
    update = row.update
    if update is None or row.after is None:
        return []
    before = show_document(reach.view.resource, update.stored)
    after = show_document(reach.view.resource, to_bson(row.after))
    written = [*update.change.set, *update.change.unset] or list(update.patch)
    return [
        {
            "row": row.record.number,
            "field": path,
            "before": json_at(before, path),
            "after": json_at(after, path),
        }
        for path in written
        if reach.shows(path)
    ]
