"""Links in the database: whether what a document links to exists, and who links to a document.

A write that adds links and a delete of what they lead to must not pass by each other unseen: each
would find all well, and a link would lead nowhere. So both are transactions that check, write, and
touch one document in common, of a small pool in `docsheet.links`: MongoDB then lets one of the two
go first and the other look again
(https://www.mongodb.com/docs/manual/core/transactions-production-consideration/). A writer touches
one of `SLOTS` documents of its target, so that writers seldom meet; a delete touches them all. A
server without transactions has the checks alone: what is written between a check and its write
stays unseen there.
"""

import hashlib
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pymongo import ReadPreference, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError

from app.errors import Fault, Linked
from app.query.conditions import Filter, join_filters
from app.resources.faults import make_invalid_body, pointer
from app.resources.links import LinkPath, Reference, identity, list_stored_forms
from app.resources.registry import Resource
from app.resources.rendering import to_json
from app.spelling import SHOWN
from app.store.client import Connection
from app.store.commands import Words
from app.store.reach import Reach

T = TypeVar("T")
LOCKS = "docsheet.links"
SLOTS = 4
TARGETS = 1024  # that have slots of their own; past them some share theirs
COUNTED = 1_000  # documents that link to one, up to which they are counted
_TRANSIENT = "TransientTransactionError"


@dataclass(frozen=True)
class Referrer:
    """A field of a resource whose links lead to the documents of another."""

    resource: Resource
    link: LinkPath


class Links:
    """The links between the documents of all resources, as one caller sees them.

    What that one can't read isn't there to be linked to, but it prevents a delete.
    """

    def __init__(self, database: Connection, reach: Reach) -> None:
        self._database = database
        self.reach = reach
        resources = [view.whole for view in reach.compilers.views.values()]
        self._is_expected: Callable[[Reference], bool] = lambda reference: False
        self._referrers: dict[str, list[Referrer]] = {}
        for resource in resources:
            for link in resource.links:
                referrers = self._referrers.setdefault(link.target.collection, [])
                referrers.append(Referrer(resource, link))

    def expect(self, is_expected: Callable[[Reference], bool]) -> None:
        """Says which links may be written before the documents that they lead to."""
        self._is_expected = is_expected

    def referrers(self, resource: Resource) -> Sequence[Referrer]:
        """The fields whose links lead to documents of this resource."""
        return self._referrers.get(resource.name, ())

    def may_hinder(self, resource: Resource) -> bool:
        """Whether links can keep a document of this resource from being deleted."""
        return resource.options.on_delete == "refuse" and bool(self.referrers(resource))

    def find_missing(self, references: Iterable[Reference], words: Words) -> list[Reference]:
        """The references to documents that don't exist; one question for each collection."""
        wanted: dict[str, dict[Any, Any]] = {}
        listed = list(references)
        for reference in listed:
            wanted.setdefault(reference.collection, {})[identity(reference.key)] = reference.key
        existing = {
            (collection, identity)
            for collection, keys in wanted.items()
            for identity in self._find_existing(collection, keys.values(), words)
        }
        return [one for one in listed if (one.collection, identity(one.key)) not in existing]

    def _find_existing(self, collection: str, keys: Iterable[Any], words: Words) -> set[Any]:
        condition = join_filters(
            [{"_id": {"$in": list(keys)}}, self.reach.filter("read", collection)]
        )
        found = self._database.collection(collection).find(condition, {"_id": 1}, **words)
        return {identity(document["_id"]) for document in found}

    def refuse_missing(self, references: Iterable[Reference], words: Words) -> None:
        """Raises `Invalid` with a pointer to each link that leads nowhere."""
        missing = self.find_missing(references, words)
        faults = [make_fault(one) for one in missing if not self._is_expected(one)]
        if faults:
            raise make_invalid_body(faults)

    def refuse_linked(self, resource: Resource, key: Any, words: Words) -> None:
        """Raises `Linked` that says how many documents link to this one, and where.

        Those that the caller can't see are others.
        """
        places: list[str] = []
        has_others = False
        for referrer in self.referrers(resource):
            count = self._count(referrer, resource, key, words)
            seen = self._count_seen(referrer, resource, key, words, count) if count else 0
            has_others = has_others or seen < count
            if seen:
                places.append(_describe_place(referrer, seen))
        if places or has_others:
            raise _make_linked(places, has_others)

    def _count_seen(
        self, referrer: Referrer, resource: Resource, key: Any, words: Words, count: int
    ) -> int:
        """Of how many of the linking documents, `count` in all, the caller sees the link."""
        name = referrer.resource.name
        if not self.reach.sees(name, referrer.link.path):
            return 0
        rule = self.reach.filter("read", name)
        return self._count(referrer, resource, key, words, rule) if rule else count

    def _count(
        self,
        referrer: Referrer,
        resource: Resource,
        key: Any,
        words: Words,
        rule: Filter | None = None,
    ) -> int:
        condition: dict[str, Any] = {
            referrer.link.path: {"$in": list_stored_forms(resource.name, key)},
        }
        if referrer.resource.name == resource.name:
            condition["_id"] = {"$ne": key}  # a link to itself goes with it
        collection = self._database.collection(referrer.resource.name)
        whole = join_filters([condition, rule or {}])
        return collection.count_documents(whole, limit=COUNTED + 1, **words)

    def write(self, references: Sequence[Reference], work: Callable[[Words], T]) -> T:
        """Runs a write that adds these links, if all of them lead somewhere; raises `Invalid`."""

        def check(words: Words) -> None:
            self.refuse_missing(references, words)

        slots = {_find_slot(one.collection, one.key, random.randrange(SLOTS)) for one in references}
        return self._run_together(slots, check, work)

    def delete(self, resource: Resource, key: Any, work: Callable[[Words], T]) -> T:
        """Runs a delete, if nothing links to the document; raises `Linked`."""

        def check(words: Words) -> None:
            self.refuse_linked(resource, key, words)

        slots = {_find_slot(resource.name, key, number) for number in range(SLOTS)}
        return self._run_together(slots, check, work)

    def _run_together(
        self, slots: set[int], check: Callable[[Words], None], work: Callable[[Words], T]
    ) -> T:
        if not self._database.has_transactions():
            check({})
            return work({})
        deadline = time.monotonic() + self._database.settings.PRIMARY_WAIT_SECONDS
        while True:
            try:
                return self._run_in_transaction(slots, check, work)
            except PyMongoError as error:
                if not error.has_error_label(_TRANSIENT) or time.monotonic() > deadline:
                    raise
                time.sleep(random.uniform(0, 0.02))

    def _run_in_transaction(
        self, slots: set[int], check: Callable[[Words], None], work: Callable[[Words], T]
    ) -> T:
        with (
            self._database.sync.client.start_session() as session,
            session.start_transaction(read_preference=ReadPreference.PRIMARY),
        ):
            self._touch(slots, session)
            words = {"session": session}
            check(words)
            return work(words)

    def _touch(self, slots: set[int], session: ClientSession) -> None:
        touches = [
            UpdateOne({"_id": slot}, {"$inc": {"writes": 1}}, True) for slot in sorted(slots)
        ]
        if touches:
            self._database.collection(LOCKS).bulk_write(touches, session=session)


def _describe_place(referrer: Referrer, count: int) -> str:
    shown = f"{count:,}" if count <= COUNTED else f"more than {COUNTED:,}"
    noun = "document" if count == 1 else "documents"
    return f"{shown} {noun} of {referrer.resource.address!r} (in {referrer.link.path})"


def _make_linked(places: list[str], has_others: bool) -> Linked:
    if not places:
        return Linked("Others link to this document; they must be changed or deleted first.")
    listed = " and ".join([*places, "others"] if has_others else places)
    is_one = len(places) == 1 and not has_others and listed.startswith("1 ")
    verb, them = ("links", "it") if is_one else ("link", "them")
    return Linked(f"{listed} {verb} to this document; change or delete {them} first.")


def make_fault(reference: Reference) -> Fault:
    """What is wrong with a link that leads nowhere."""
    key = to_json(reference.key).decode()[:SHOWN]
    detail = f"There is no document in {reference.collection!r} with the _id {key} to link to."
    return Fault(detail, pointer=pointer(reference.steps))


def find_added_references(
    before: Iterable[Reference], after: Iterable[Reference]
) -> list[Reference]:
    """The references that a write adds to a field.

    What the field has stored already, and may lead nowhere, is not asked for.
    """
    known = {(_field_of(one), one.collection, identity(one.key)) for one in before}
    return [
        one for one in after if (_field_of(one), one.collection, identity(one.key)) not in known
    ]


def _field_of(reference: Reference) -> tuple[str, ...]:
    return tuple(step for step in reference.steps if isinstance(step, str))


def _find_slot(collection: str, key: Any, number: int) -> int:
    text = repr((collection, identity(key))).encode("utf-8", "surrogatepass")
    target = int.from_bytes(hashlib.blake2b(text, digest_size=4).digest()) % TARGETS
    return target * SLOTS + number
