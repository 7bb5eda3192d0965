"""The values of a unique index that the rows of a file have had, and those that others add."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pymongo import IndexModel

from app.query.conditions import join_filters
from app.resources.codec import decode
from app.resources.storing import Document
from app.store.bulk import Update
from app.store.uniqueness import values_at
from app.transfers.distinct import Distinct
from app.transfers.keys import identities, match_values


class UniqueValues:
    """A unique index, and which of its values the rows of the file have had.

    `partial` is the condition of the documents that count; empty for all of them. `collation` says
    what is equal, if anything does: of values that aren't equal in bytes only MongoDB can tell.
    """

    def __init__(self, paths: Sequence[str], **options: Any) -> None:
        self.paths = tuple(paths)
        self.collation: Document | None = options.get("collation")
        self.partial: Document = dict(options.get("partialFilterExpression") or {})
        self._is_sparse = bool(options.get("sparse"))
        self._is_of_one_name = len(self.paths) == 1 and "." not in self.paths[0]
        self._distinct = Distinct()

    @classmethod
    def of(cls, model: IndexModel) -> "UniqueValues":
        """That of a declared index."""
        return cls(list(model.document["key"]), **model.document)

    def values(self, document: Document) -> list[tuple[Any, ...]]:
        """What the index holds of a document: an entry for each element of a list."""
        if self._is_of_one_name:
            value = document.get(self.paths[0])
            if type(value) is str:
                return [(value,)]
        each = [list(values_at(document, path.split("."))) for path in self.paths]
        if self._is_sparse and not any(each):
            return []
        entries: list[tuple[Any, ...]] = [()]
        for values in each:
            entries = [(*entry, value) for entry in entries for value in values or [None]]
        return entries

    def new_values(self, after: Document, update: Update | None) -> list[tuple[Any, ...]]:
        """What a document as it will be adds to the index, if it is new or is changed so.

        Of a partial index all: nobody asks whether the document counted before.
        """
        values = self.values(after)
        if update is None or self.partial:
            return values
        before = set(map(identities, self.values(decode(update.stored))))
        return [one for one in values if identities(one) not in before]

    def conditions(self, entries: Iterable[tuple[Any, ...]]) -> Iterator[Document]:
        """The filters that find the documents with these values."""
        for condition in match_values(self.paths, entries):
            yield join_filters([condition, self.partial])

    def add(self, key: tuple[Any, ...], place: int) -> int | None:
        """The place of the row that had this value before; None where none had it."""
        return self._distinct.add(repr(key), place)
