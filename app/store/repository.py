"""Reads and writes of one resource's documents; the writes themselves are in `writes`."""

import copy
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

from pymongo.errors import OperationFailure

from app.errors import Forbidden, Invalid, MethodNotAllowed, NotFound, RequestError
from app.query.compile import Compilers, Query
from app.query.conditions import Filter, join_filters
from app.query.expansions import Expansion
from app.query.plan import Plan, make_plan
from app.resources.patches import Change
from app.resources.registry import Resource
from app.resources.storing import Document, to_bson
from app.resources.views import Ruled
from app.store.bulk import Bulk, Error, Update
from app.store.client import Database
from app.store.frequencies import Frequencies, count_frequencies
from app.store.indexes import Indexes, look_at, make_indexes
from app.store.joins import resolve
from app.store.linked import expand
from app.store.links import Links
from app.store.lists import ListPage, Lists
from app.store.reach import Reach
from app.store.stored import Stored
from app.store.writes import Matches, Writes

T = TypeVar("T")
Failed = tuple[Any, RequestError]  # the `_id` of a document that was not written, and why
Affecting = tuple[int, list[Failed]]  # how many were written, and which were not


class Repository:
    """The documents of one resource."""

    def __init__(
        self, database: Database, resource: Resource, resources: Iterable[Resource] = ()
    ) -> None:
        self.resource = resource
        self.indexes = Indexes()
        self._database = database
        self._documents = database.documents(resource.name)
        self._lists = Lists(self._documents, self.plan, self._look)
        self._limit(Reach.of_all(database, resource, tuple(resources)))

    def limit_to(self, compilers: Compilers) -> "Repository":
        """The same documents with the same indexes, as far as a caller may read and write them."""
        limited = copy.copy(self)
        limited._limit(Reach(self._database, compilers, self.resource.name))
        return limited

    def _limit(self, reach: Reach) -> None:
        self.reach = reach
        links = Links(self._database, reach)
        parts = self._database, self.resource
        self._writes = Writes(*parts, self._documents, self.indexes, links)
        self._bulk = Bulk(*parts, self.indexes, links)
        self._may_hinder = links.may_hinder(self.resource)

    async def make_indexes(self) -> None:
        """Makes the declared indexes; what can't be made is kept in `indexes.problem`."""
        await self._database.run(self._make_indexes)

    def _make_indexes(self) -> None:
        nature = self._documents.read_nature()
        make_indexes(self.resource, self._documents.collection, self.indexes, nature)

    # --- reading ---

    async def read(self, keys: Iterable[Any]) -> Stored:
        """The document with the first of these `_id`s that is stored; raises `NotFound`."""
        return await self._database.run(self._read, keys)

    async def look_at_indexes(self) -> None:
        """Looks at the indexes again, of which another program may have made or dropped some."""
        await self._database.run(self._look)

    def plan(self, query: Query) -> Plan:
        """What MongoDB is asked for a query, by the indexes that are known at this moment."""
        known = self.indexes
        settings = self._database.settings
        return make_plan(query, known.existing, settings, is_view=known.nature.is_view)

    async def page(self, query: Query) -> ListPage:
        """One page of a list."""
        return await self._database.run(self._page, query, patterns=query.patterns)

    def _page(self, query: Query) -> ListPage:
        query = self._resolve(query)
        page = self._lists.page(query, lambda: self.reach.filter("read"))
        if query.expand:
            self._expand(page.documents, query.expand)
        return page

    def _resolve(self, query: Query) -> Query:
        """The query with what is asked of linked documents as filters."""
        if not query.joins:
            return query
        words = self._database.time_limit
        collections = self._database.collection
        return query.resolve([resolve(collections, join, words) for join in query.joins])

    async def expand(self, document: Document, expansions: Sequence[Expansion]) -> None:
        """Puts linked documents in the place of a document's links."""
        await self._database.run(self._expand, [document], expansions)

    def _expand(self, documents: Sequence[Document], expansions: Sequence[Expansion]) -> None:
        expand(self._database.collection, documents, expansions, self._database.time_limit)

    def _look(self) -> None:
        look_at(self._documents.collection, self.indexes, self._documents.read_nature())

    def _read(self, keys: Iterable[Any]) -> Stored:
        return self._writes.read(keys, self.reach.within("read"))

    async def frequencies(
        self, query: Query, path: str, *, may_be_list: bool, most: int
    ) -> Frequencies | None:
        """The most frequent values at a path, of the documents that match a query.

        None where counting them would take long.
        """
        how = may_be_list, most
        return await self._database.run(
            self._frequencies, query, path, *how, patterns=query.patterns
        )

    def _frequencies(
        self, query: Query, path: str, may_be_list: bool, most: int
    ) -> Frequencies | None:
        condition = self._resolve(query).filter
        return count_frequencies(
            self._documents, condition, path, may_be_list=may_be_list, most=most
        )

    # --- writing ---

    async def insert(self, document: Document) -> Stored:
        """Stores a new document, `_id` first.

        Raises `Conflict` where a unique index has a value of it already.
        """
        await self._look_again()
        self.indexes.refuse_inserts()
        return await self._write("create", self._writes.insert, to_bson(document))

    async def insert_all(self, documents: Sequence[Document]) -> list[Stored]:
        """Stores new documents, all of them or none; raises as `insert`, with pointers `#/3/…`."""
        await self._look_again()
        self.indexes.refuse_inserts()
        stored = [Stored(to_bson(document)) for document in documents]
        await self._write("create", self._bulk.insert_all, [one.raw for one in stored])
        return stored

    async def find_readable(self, stored: Sequence[Stored]) -> Collection[int]:
        """The numbers of those of some new documents that may be read by who created them."""
        if self.reach.view.rights.read is None:
            return ()
        if not self.reach.has_conditions("read"):
            return range(len(stored))
        return await self._database.run(self._find_readable, [one.raw for one in stored])

    def _find_readable(self, raws: Sequence[bytes]) -> Collection[int]:
        outside = self.reach.find_outside(self.reach.filter("read"), raws)
        return set(range(len(raws))).difference(outside)

    async def matching(self, query: Query, most: int) -> tuple[Query, list[Any]]:
        """The `_id`s of the documents that match, one more than `most` at most.

        With them the query with what it needs of linked documents.
        """
        return await self._database.run(self._matching, query, most, patterns=query.patterns)

    async def refuse_writes(self) -> None:
        """Raises `MethodNotAllowed` where the collection is known to take no writes."""
        await self._look_again()
        self.indexes.refuse_writes()

    def _matching(self, query: Query, most: int) -> tuple[Query, list[Any]]:
        query = self._resolve(query)
        words = self._database.time_limit
        found = self._documents.collection.find(query.filter, {"_id": 1}, limit=most + 1, **words)
        return query, [document["_id"] for document in found]

    async def count(self, query: Query) -> int:
        """How many documents match a query without joins."""
        count = self._documents.count
        return await self._database.run(count, query.filter, patterns=query.patterns)

    async def patch_all(self, query: Query, keys: Sequence[Any], patch: Document) -> Affecting:
        """Patches those of some documents that still match, each as if alone."""
        return await self._write("update", self._patch_all, query, keys, patch)

    def _patch_all(self, query: Query, keys: Sequence[Any], patch: Document) -> Affecting:
        rule = self.reach.filter("update")
        errors = self._find_outside(query, keys, rule, "update")
        updates: list[Update] = []
        for raw in self._documents.find_all(_still(query, keys, rule)):
            try:
                change = self.reach.read_patch(patch, raw)
            except (Invalid, Forbidden) as error:
                errors.append((Stored(raw).document["_id"], error))
            else:
                if change:
                    updates.append(Update(raw, change, patch))
        if rule:
            updates, leaving = self._part_leaving(updates, rule)
            errors += leaving
        changed, failed = self._bulk.update_matching(updates, query.filter)
        for update, reason in zip(updates, failed, strict=True):
            if reason is not None and not isinstance(reason, NotFound):
                known = self.reach.conceal("update", reason)
                errors.append((Stored(update.stored).document["_id"], known))
        return changed, errors

    def _part_leaving(
        self, updates: list[Update], rule: Filter
    ) -> tuple[list[Update], list[Failed]]:
        """The updates without those that make a document one that the rule isn't for."""
        outside = set(self.reach.find_outside(rule, [update.after for update in updates]))
        errors: list[Failed] = []
        for number in outside:
            key = Stored(updates[number].stored).document["_id"]
            errors.append((key, self.reach.make_outside("update", pointer="#")))
        return [one for number, one in enumerate(updates) if number not in outside], errors

    def _find_outside(
        self, query: Query, keys: Sequence[Any], rule: Filter, action: Ruled
    ) -> list[Failed]:
        """The documents that match and that an action isn't for."""
        if not rule:
            return []
        condition = join_filters([_still(query, keys, {}), {"$nor": [rule]}])
        found = self._documents.collection.find(condition, {"_id": 1})
        return [(one["_id"], self.reach.make_outside(action)) for one in found]

    async def delete_all(self, query: Query, keys: Sequence[Any]) -> Affecting:
        """Deletes those of some documents that still match, each as if alone."""
        return await self._write("delete", self._delete_all, query, keys)

    def _delete_all(self, query: Query, keys: Sequence[Any]) -> Affecting:
        rule = self.reach.filter("delete")
        errors = self._find_outside(query, keys, rule, "delete")
        condition = _still(query, keys, rule)
        if not self._may_hinder:
            return self._documents.collection.delete_many(condition).deleted_count, errors
        deleted = 0
        for document in self._documents.collection.find(condition, {"_id": 1}):
            reason: Error = self._bulk.delete(document["_id"], query.filter)
            deleted += reason is None
            if reason is not None and not isinstance(reason, NotFound):
                errors.append((document["_id"], reason))
        return deleted, errors

    async def replace(
        self, keys: Iterable[Any], matches: Matches | None, build: Callable[[bytes], bytes]
    ) -> Stored:
        """Stores `build(stored document)` in place of the stored one, whole.

        Raises `NotFound`, `PreconditionFailed` where `matches` refuses the ETag, `Conflict`, and
        whatever `build` does.
        """
        return await self._write("update", self._writes.replace, keys, matches, build)

    async def patch(
        self, keys: Iterable[Any], matches: Matches | None, build: Callable[[bytes], Change]
    ) -> Stored:
        """Writes the change that `build(stored document)` wants, and nothing else.

        Raises as `replace`.
        """
        return await self._write("update", self._writes.patch, keys, matches, build)

    async def delete(self, keys: Iterable[Any], matches: Matches | None) -> None:
        """Deletes the document.

        Raises `NotFound`, or `PreconditionFailed` where `matches` refuses the ETag.
        """
        await self._write("delete", self._writes.delete, keys, matches)

    async def begin_import(self, *, inserting: bool) -> None:
        """Raises what a single write would, where this collection takes none for now.

        Another collection may have the name by now, which a child process can't look at again.
        """
        await self._look_again()
        self.indexes.nature = await self._database.run(self._documents.read_nature)
        if inserting:
            self.indexes.refuse_inserts()
        else:
            self.indexes.refuse_writes()

    def end_import(self) -> None:
        """Forgets what was known of the number of documents."""
        self._lists.forget_estimate()

    async def _look_again(self) -> None:
        """Looks whether what took no writes does by now."""
        if self.indexes.nature.read_only:
            await self.make_indexes()

    async def _write(self, action: Ruled, write: Callable[..., T], *args: Any) -> T:
        await self._look_again()
        self.indexes.refuse_writes()
        try:
            with self.reach.concealing(action):
                return await self._database.run(write, *args, writing=True)
        except (MethodNotAllowed, OperationFailure):
            await self.make_indexes()  # another collection may have this name by now
            self.indexes.refuse_writes()
            raise
        finally:
            self._lists.forget_estimate()


def _still(query: Query, keys: Sequence[Any], rule: Filter) -> Filter:
    """The filter of those of some documents that still match, and that meet a rule."""
    return join_filters([{"_id": {"$in": list(keys)}}, query.filter, rule])
