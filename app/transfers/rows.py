"""A row of a file while it is checked."""

from dataclasses import dataclass, field
from typing import Any

from app.resources.storing import Document
from app.spreadsheets.ingest import CellFault, Record
from app.store.bulk import Update


@dataclass(slots=True)
class Row:
    """One row: what it asks for, or what is wrong with it.

    `insert` is the BSON of a new document, `patch` the JSON that it was made of (for an upsert
    whose document another writer inserts first); `after` is the document as it will be. `hopes`
    are its links to documents that aren't stored, but may be other rows: the `_id`, and what is
    wrong if it is none of a row. `own_id` is the `_id`, as JSON, that a new document gets because
    other rows name it. `is_concealed` is one that would change
    nothing, which its caller can't be told.
    """

    place: int
    record: Record
    cells: Any
    faults: list[CellFault] = field(default_factory=list)
    insert: bytes | None = None
    update: Update | None = None
    patch: Document | None = None
    after: Document | None = None
    key: tuple[Any, ...] | None = None
    hopes: list[tuple[Any, CellFault]] = field(default_factory=list)
    own_id: Any = None
    is_concealed: bool = False
