"""Pages of a list: documents, the tokens of the pages around it, and how many there are."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from pymongo.errors import OperationFailure

from app.errors import Fault, Invalid
from app.query import ordering, tokens
from app.query.compile import Query
from app.query.conditions import Filter
from app.query.ordering import SORT_KEY
from app.query.plan import Plan
from app.query.tokens import END, Place, Pointer
from app.resources import elements
from app.resources.codec import decode_all
from app.resources.storing import Document
from app.store.codes import Code
from app.store.documents import Documents
from app.store.keyset import Page, is_hint

COUNT_UP_TO = 10_000  # documents that `count=auto` counts under a condition
COUNT_MATCHES_UP_TO = 1_000  # the same where a pattern has to be tried on each document
ESTIMATE_SECONDS = 0.002  # less than it takes a client to write something and to ask again
NEAR = 1_000  # documents among which one is looked for whose `_id` is too long for a token
FindRule = Callable[[], Filter]
# What MongoDB says of a view where a collection was, and of an index that is there no more.
_OUTDATED = frozenset(
    {
        Code.CommandNotSupportedOnView,
        Code.OptionNotSupportedOnView,
        Code.InvalidPipelineOperator,
    }
)


@dataclass(frozen=True)
class ListPage:
    """One page of a list: documents, `raw` their BSON one after the other, and what headers say.

    `token` leads to the next page and `last` to the last one, None on the last. `before` leads to
    the page before, None on the first, and where only `skip` says which page it is. `total` is None
    where counting took too long.
    """

    documents: list[Document]
    raw: bytes
    token: str | None
    total: int | None
    strategy: str | None
    before: str | None = None
    last: str | None = None


class ListReader(Protocol):
    """What reads the pages: `list_pages.ListPages`, or the mock's."""

    plan: Plan

    def list_page(self, place: Place | None, size: int) -> Page:
        """The first documents behind a place."""

    def read_sorted_page(self, place: Place | None, size: int) -> Page:
        """The same, with those at one position in an order."""

    def is_mirrored(self, page: Page) -> bool:
        """Whether documents that were read backwards stand as they do when read forwards."""

    def count_at(self, position: bytes) -> int:
        """How many documents stand at a position."""

    def position(self, page: Page, number: int) -> bytes:
        """Where a document of a page stands."""

    def find_shown_position(self, page: Page, number: int) -> bytes | None:
        """The same as far as the page itself says it."""

    def positions(
        self, key: bytes, limit: int, *, from_key: bool = False, within: Filter | None = None
    ) -> list[bytes]:
        """The positions of documents with that `_id`, or from it on, of those `within` a filter."""


class Outdated(Exception):
    """What was known of the collection and its indexes is true no more."""


class Lists:
    """The lists of one collection.

    `plan` makes a plan of what is known of the collection, and `look` looks at it again.
    """

    def __init__(
        self,
        documents: Documents,
        plan: Callable[[Query], Plan],
        look: Callable[[], None],
    ) -> None:
        self._documents = documents
        self._plan = plan
        self._look = look
        self._estimate = 0, float("-inf")  # documents, and when they were counted
        self._asking = threading.Lock()  # for the estimate, once for all who want it

    def page(self, query: Query, find_rule: FindRule = dict) -> ListPage:
        """One page of a list; `find_rule` gives the filter of what the caller may read."""
        try:
            return self._page(query, find_rule)
        except OperationFailure as error:
            if error.code not in _OUTDATED and not is_hint(error):
                raise
        except Outdated:
            pass
        self._look()
        return self._page(query, find_rule)

    def _page(self, query: Query, find_rule: FindRule) -> ListPage:
        if query.after is not None and query.after.backwards:
            return self._page_before(query, find_rule)
        limit = query.limit or 1
        token = None
        with self._documents.reader(_project(self._plan(query), query)) as reader:
            start = self._place(reader, query.after, find_rule)
            page = reader.list_page(start, limit + 1)
            if page.documents > limit:
                page, token = self._end_page(reader, page, start, limit, query.fingerprint)
            before = _begin_page(reader, page, start, query.fingerprint) if start else None
        return self._finish(query, page, before, token)

    def _page_before(self, query: Query, find_rule: FindRule) -> ListPage:
        """The page that ends at a place: the same documents as forwards, in the same order.

        Where it would have fewer than others, the first page. Where documents can stand otherwise
        backwards than forwards, it is only found backwards, and read forwards.
        """
        limit = query.limit or 1
        start = None
        with self._documents.reader(_project(self._plan(query), query)) as reader:
            end = self._place(reader, query.after, find_rule)
            page = self._read_mirrored(reader, end, limit)
            if page is not None and page.documents > limit:
                before = _write_token(reader, page, limit - 1, query.fingerprint, backwards=True)
                token = _write_token(reader, page, 0, query.fingerprint) if end else None
                return self._finish(query, page.cut(limit).turn(), before, token)
            if page is None:
                start = self._find_start(reader, end, limit)
        return self._page(replace(query, after=start), find_rule)

    def _read_mirrored(self, reader: ListReader, end: Place | None, limit: int) -> Page | None:
        """The documents before a place, the nearest first, and one more.

        None where they may stand otherwise than forwards.
        """
        if reader.plan.is_view or (end is not None and end.shown):
            return None
        page = reader.list_page(end, limit + 1)
        if page.documents <= limit:
            return page
        if not reader.is_mirrored(page) or self._is_between_equals(reader, page, limit):
            return None
        return page

    def _find_start(self, reader: ListReader, end: Place | None, limit: int) -> Place | None:
        """Where the page begins that ends at a place; None where that is the first page."""
        page = reader.read_sorted_page(end, limit + 1)
        if page.documents <= limit:
            return None
        position = reader.position(page, limit)
        shown = self._count_shown(reader, page, None, limit)
        if not shown:
            return Place(position)
        is_within = end is not None and ordering.is_same(
            reader.plan.whole_sort, position, end.position
        )
        there = end.shown if end is not None and is_within else reader.count_at(position)
        return Place(position, max(0, there - shown))

    def _finish(self, query: Query, page: Page, before: str | None, token: str | None) -> ListPage:
        documents = decode_all(page.raw)
        for document in documents:
            document.pop(SORT_KEY, None)
        total, strategy = self._count(query, len(documents), last=token is None)
        last = tokens.write_end_token(query.fingerprint) if token is not None else None
        return ListPage(documents, page.raw, token, total, strategy, before, last)

    def _place(
        self, reader: ListReader, after: Place | Pointer | None, find_rule: FindRule
    ) -> Place | None:
        """The place of a token; raises `Invalid` where it is no longer what the token says.

        Of a document that the caller may not read nothing is told, whoever made the token.
        """
        if not isinstance(after, Pointer):
            return after if after != END else None
        limit = NEAR if after.is_bound or reader.plan.is_view else 1
        within = find_rule()
        positions = reader.positions(after.key, limit, from_key=after.is_bound, within=within)
        for position in positions:
            if after.is_of(position):
                return Place(position, after.shown, after.backwards)
        detail = (
            "after: the document at which that page ended has changed or is gone, and its values "
            "are too long for a token; start again, without after."
        )
        raise Invalid(detail, Fault(detail, parameter="after"))

    def _end_page(
        self, reader: ListReader, page: Page, before: Place | None, limit: int, fingerprint: bytes
    ) -> tuple[Page, str]:
        """The page without the document that only shows that more come, and the next token."""
        shown = 0
        last = reader.find_shown_position(page, limit - 1)
        following = reader.find_shown_position(page, limit)
        if self._needs_order(reader.plan, last, following):
            page = reader.read_sorted_page(before, limit + 1)
            shown = self._count_shown(reader, page, before, limit)
            last = None
        place = Place(last or reader.position(page, limit - 1), shown)
        token = tokens.write_token(place, page.key(limit - 1), fingerprint)
        return page.cut(limit), token

    def _is_between_equals(self, reader: ListReader, page: Page, limit: int) -> bool:
        last = reader.find_shown_position(page, limit - 1)
        following = reader.find_shown_position(page, limit)
        return self._needs_order(reader.plan, last, following)

    def _needs_order(self, plan: Plan, last: bytes | None, following: bytes | None) -> bool:
        """Whether the page ends where a find and an `$expr` may not agree which comes next."""
        if last is None or following is None:
            return plan.is_view
        if plan.is_by_id:
            return last == following
        if ordering.is_same(plan.sort, last, following):
            if plan.sort != plan.whole_sort:
                raise Outdated  # the unique index that decided is there no more
            return True  # a view, or a sharded collection, with two documents of one `_id`
        return not plan.is_by_id and elements.has_duplicates(last)

    def _count_shown(self, reader: ListReader, page: Page, before: Place | None, limit: int) -> int:
        """How many documents at the last one's position were shown, if the next is there, too."""
        positions = [reader.find_shown_position(page, number) for number in (limit - 1, limit)]
        sort = reader.plan.whole_sort
        last, following = positions
        if last is None or following is None or not ordering.is_same(sort, last, following):
            return 0
        shown = 0
        for number in reversed(range(limit)):
            other = reader.find_shown_position(page, number)
            if other is None or not ordering.is_same(sort, last, other):
                return shown
            shown += 1
        if before is not None and ordering.is_same(sort, last, before.position):
            shown += before.shown
        return shown

    # --- counting ---

    def _count(self, query: Query, shown: int, *, last: bool) -> tuple[int | None, str | None]:
        if query.count == "none":
            return None, None
        try:
            if query.count == "auto" and not query.filter:
                return self._read_estimate(), "estimated"
            if last and query.after is None and (shown or not query.skip):
                return query.skip + shown, "exact"
            if query.count == "exact":
                return self._documents.count(query.filter), "exact"
            most = COUNT_MATCHES_UP_TO if query.patterns else COUNT_UP_TO
            counted = self._documents.count(query.filter, limit=most + 1)
        except OperationFailure as error:
            if error.code != Code.MaxTimeMSExpired:
                raise
            return None, None
        return min(counted, most), "capped" if counted > most else "exact"

    def _read_estimate(self) -> int:
        """The collection's own count, asked again after `ESTIMATE_SECONDS` and every write."""
        now, (counted, since) = time.monotonic(), self._estimate
        if now - since <= ESTIMATE_SECONDS:
            return counted
        is_asking = self._asking.acquire(blocking=since < 0)
        if not is_asking:
            return counted  # another thread asks at this moment
        try:
            counted = self._documents.estimate()
            self._estimate = counted, now
        finally:
            self._asking.release()
        return counted

    def forget_estimate(self) -> None:
        """After a write of this process."""
        self._estimate = 0, float("-inf")


def _begin_page(reader: ListReader, page: Page, start: Place, fingerprint: bytes) -> str:
    """The token of the page before one that begins at a place."""
    if not page.documents:  # those behind the place were deleted
        return tokens.write_end_token(fingerprint)
    shown = 0
    if start.shown:
        first = reader.position(page, 0)
        is_within = ordering.is_same(reader.plan.whole_sort, first, start.position)
        shown = start.shown if is_within else 0
    return _write_token(reader, page, 0, fingerprint, shown, backwards=True)


def _write_token(
    reader: ListReader,
    page: Page,
    number: int,
    fingerprint: bytes,
    shown: int = 0,
    *,
    backwards: bool = False,
) -> str:
    """The token of the place at which a document of the page stands."""
    place = Place(reader.position(page, number), shown, backwards)
    return tokens.write_token(place, page.key(number), fingerprint)


def _project(plan: Plan, query: Query) -> Plan:
    """The plan with the projection that `fields` needs; an `_id` is always in it."""
    if query.fields is None:
        return plan
    return replace(plan, projection=dict.fromkeys(query.fields, 1) or {"_id": 1})
