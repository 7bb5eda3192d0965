"""The pages of a list: as many documents as are asked for, in whatever order, from any place on.

A place is a position and how many of the documents there were shown, for several may stand at one.
"""

from typing import Any

from pymongo.errors import OperationFailure

from app.query import ordering
from app.query.conditions import join_filters
from app.query.ordering import SORT_KEY
from app.query.tokens import Place
from app.resources import elements
from app.resources.codec import offsets
from app.store.codes import Code
from app.store.errors import is_parallel
from app.store.keyset import Entry, KeysetReader, Page


class ListPages(KeysetReader):
    """Reads pages of a list, forwards and backwards."""

    def list_page(self, place: Place | None, size: int) -> Page:
        """The first documents behind a place, however many replies they take."""
        if place is not None and place.shown:
            return self.read_sorted_page(place, size)
        position = place.position if place else None
        entry = self._choose_entry(position)
        try:
            return self.read(entry, size, self.projection, position, whole=True)
        except OperationFailure as error:
            if is_parallel(error):
                return self.read_sorted_page(place, size)
            if error.code != Code.BSONObjectTooLarge or not self.is_placed:
                raise
        self.is_placed = False
        return self.read(entry, size, self.plan.projection, position, whole=True)

    def _choose_entry(self, position: bytes | None) -> Entry:
        """As for exports, but the planner chooses the index where a condition has a better one."""
        plan = self.plan
        if position is None:
            return Entry(plan.filter)
        if not plan.is_by_id:
            return self.find_entry(position)
        if elements.has_duplicates(position) or (self.is_clustered and not plan.filter):
            return self.find_entry(position)
        return Entry(self.match_behind(position))

    def read_sorted_page(self, place: Place | None, size: int) -> Page:
        """The same by a pipeline that gives documents at one position an order, too."""
        plan = self.plan
        if place is None:
            return self._read_sorted(plan.filter, size, plan.skip, backwards=plan.backwards)
        if not plan.backwards:
            return self._read_sorted(
                self._match_beyond(place, inclusive=place.shown > 0), size, place.shown
            )
        begun = self._read_begun(place, size) if place.shown else b""
        left = size - len(offsets(begun))
        if left == 0:
            return Page(begun, offsets(begun))
        rest = self._read_sorted(self._match_beyond(place), left, backwards=True)
        raw = begun + rest.raw
        return Page(raw, offsets(raw), rest.is_last)

    def _read_begun(self, place: Place, size: int) -> bytes:
        """Backwards, those of a place's own position that were shown before it."""
        at = ordering.at(self.plan.whole_sort, place.position)
        skip = max(0, place.shown - size)
        condition = join_filters([self.plan.filter, at])
        return self._read_sorted(condition, place.shown - skip, skip).turn().raw

    def _match_beyond(self, place: Place, *, inclusive: bool = False) -> dict[str, Any]:
        plan = self.plan
        beyond = ordering.after(
            plan.whole_sort, place.position, inclusive=inclusive, backwards=plan.backwards
        )
        return join_filters([plan.filter, beyond])

    def _read_sorted(
        self, condition: dict[str, Any], size: int, skip: int = 0, *, backwards: bool = False
    ) -> Page:
        plan = self.plan
        projection: dict[str, Any] = dict.fromkeys(ordering.HIDDEN, 0)
        if plan.projection is not None:
            projection = {**plan.projection, SORT_KEY: 1}
        pipeline = [
            {"$match": condition},
            *ordering.stages(plan.whole_sort, whole_documents=True, backwards=backwards),
            {"$skip": skip},
            {"$limit": size},
            {"$project": projection},
        ]
        found = self.collection.aggregate_raw_batches(
            pipeline, session=self.session, maxTimeMS=plan.time_limit, allowDiskUse=True
        )
        raw = b"".join(found)
        begins = offsets(raw)
        return Page(raw, begins, len(begins) < size)

    def count_at(self, position: bytes) -> int:
        """How many documents stand at a position."""
        at = ordering.at(self.plan.whole_sort, position)
        pipeline: list[dict[str, Any]] = [
            {"$match": join_filters([self.plan.filter, at])},
            {"$count": "documents"},
        ]
        found = self.collection.aggregate(
            pipeline, session=self.session, maxTimeMS=self.plan.time_limit
        )
        return sum(int(one["documents"]) for one in found)

    def is_mirrored(self, page: Page) -> bool:
        """Whether documents that were read backwards stand as they do when they are read forwards.

        An array stands at its least element ascending, and at its greatest descending: so it comes
        too early, but never too late, backwards. An object with two fields of one name is compared
        otherwise in an `$expr` than in a sort.
        """
        if self.plan.is_by_id or not self.is_placed:
            return True
        for number in range(page.documents):
            position = self.find_shown_position(page, number)
            if position is None or elements.has_duplicates(position):
                return False
        return True
