"""What one caller may read and write of a collection: which fields, and which documents.

A rule's conditions become MongoDB's filter whenever they are needed, for what stands behind links
may change. A document that is written meets the rule before, by a condition of the read itself
(what is written is compared with what was read), and after, by a question to MongoDB.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import repeat
from typing import Any, NamedTuple

from pymongo.errors import PyMongoError

from app.errors import Conflict, Fault, Forbidden, Invalid, RequestError
from app.query.compile import Compilers
from app.query.conditions import AnyCondition, Filter, Selection, join_filters
from app.resources.documents import read_document, read_documents, read_replacement
from app.resources.patches import Change, read_patch
from app.resources.permissions import Permissions
from app.resources.registry import Resource
from app.resources.storing import Document
from app.resources.validation import hide_excluded
from app.resources.views import Ruled, Views, make_forbidden
from app.store.client import Connection
from app.store.documents import Documents
from app.store.joins import resolve_all
from app.store.matching import cut, find_matching, find_names
from app.store.stored import Stored


class Within(NamedTuple):
    """Where a document must be to be written: what of it may be read, and what the rule is for.

    {} where every document may be.
    """

    action: Ruled
    read: Filter
    rule: Filter

    @property
    def filter(self) -> Filter:
        """That of the documents that may be written."""
        return join_filters([self.read, self.rule])

    def narrow(self, only: Filter | None) -> "Within":
        """The same, of the documents that meet one more condition."""
        return self._replace(read=join_filters([self.read, only])) if only else self


class Reach:
    """What one caller may do with the documents of one collection, and see of all the others."""

    def __init__(self, connection: Connection, compilers: Compilers, collection: str) -> None:
        self.view = compilers[collection].view
        self._name = self.view.whole.name
        shape, rights = self.view.whole.shape, self.view.rights
        self.to_create = Permissions.to_create(rights, shape)
        self.to_update = Permissions.to_update(rights, shape)
        self.compilers = compilers
        self._connection = connection
        self._documents = connection.documents(collection)
        self._conditions: Callable[[Ruled, str], tuple[AnyCondition, ...]]
        self._conditions = cache(lambda action, name: compilers[name].conditions_of(action))

    @classmethod
    def of_all(
        cls, connection: Connection, resource: Resource, resources: Sequence[Resource]
    ) -> "Reach":
        """That of whoever may do everything."""
        compilers = Compilers(Views((resource, *resources)))
        return cls(connection, compilers, resource.name)

    # --- fields ---

    def read_document(self, body: Any) -> Document:
        """The new document of a body; raises as `documents.read_document`."""
        self._require("create")
        return read_document(self.view.resource, body, self.to_create)

    def read_documents(self, bodies: Sequence[Any]) -> Iterator[Document | RequestError]:
        """For each body the new document, or what is wrong with it."""
        if self.view.rights.create is not None:
            yield from read_documents(self.view.resource, bodies, self.to_create)
        else:
            yield from repeat(make_forbidden(self.view.whole, "create"), len(bodies))

    def read_replacement(self, body: Any, raw: bytes) -> bytes:
        """The document in place of a stored one; raises as `documents.read_replacement`."""
        self._require("update")
        return read_replacement(self.view.resource, body, raw, self.to_update)

    def read_patch(self, patch: Any, raw: bytes) -> Change:
        """The change of a stored document; raises as `patches.read_patch`."""
        self._require("update")
        return read_patch(self.view.resource, patch, raw, self.to_update)

    def _require(self, action: Ruled) -> None:
        """Raises `Forbidden` where there is no such rule: an import needs no scope but its own."""
        if self.view.rights.rule_of(action) is None:
            raise make_forbidden(self.view.whole, action)

    def conceal(self, action: Ruled, error: RequestError) -> RequestError:
        """The error of a write without a word about fields that the caller can't see."""
        permissions = self.to_create if action == "create" else self.to_update
        return error if permissions is None else permissions.conceal(error)

    @contextmanager
    def concealing(self, action: Ruled) -> Iterator[None]:
        """Makes a write; what MongoDB refuses says no word about fields that can't be seen.

        What is wrong with a body has been concealed where the body was read.
        """
        try:
            yield
        except Conflict as error:
            raise self.conceal(action, error) from error
        except Invalid as error:
            if isinstance(error.__cause__, PyMongoError):
                raise self.conceal(action, error) from error
            raise

    def shows(self, path: str) -> bool:
        """Whether the field at a path is seen, at least a part of it."""
        if self.to_update is None:
            return True
        return not self.to_update.read.at(tuple(path.split("."))).is_none

    def writes_unseen(self, patch: Document) -> bool:
        """Whether a merge patch has values that the caller can't see where they are stored."""
        return hide_excluded(self.view.resource, patch) != patch

    def find_seen(self, paths: Sequence[str]) -> list[str]:
        """Those of some paths whose values are seen."""
        return list(paths) if self.to_update is None else self.to_update.find_seen(paths)

    def sees(self, collection: str, path: str) -> bool:
        """Whether a field of documents that may be read is seen."""
        view = self.compilers[collection].view
        return view.rights.read is not None and view.resource.shape.find(path) is not None

    # --- documents ---

    def filter(self, action: Ruled, collection: str | None = None) -> Filter:
        """The filter of the documents that an action may touch, {} for all of them."""
        conditions = self._conditions(action, collection or self._name)
        if not conditions:
            return {}
        words = self._connection.time_limit
        return resolve_all(self._connection.collection, Selection.of(conditions), words)

    def has_conditions(self, action: Ruled) -> bool:
        """Whether an action may touch some documents and not others."""
        return bool(self._conditions(action, self._name))

    def within(self, action: Ruled) -> Within:
        """Where a document must be for an action on stored documents."""
        return Within(action, self.filter("read"), self.filter(action) if action != "read" else {})

    def refuse_new(self, raw: bytes) -> None:
        """Raises `Forbidden` for a new document that may not be created."""
        if self.find_outside(self.filter("create"), [raw]):
            raise self.make_outside("create", pointer="#")

    def refuse_all_new(self, raws: Sequence[bytes]) -> None:
        """Raises `Forbidden` for the first of some new documents that may not be created."""
        for number in self.find_outside(self.filter("create"), raws):
            raise self.make_outside("create", pointer=f"#/{number}")

    def find_outside(self, rule: Filter, raws: Sequence[bytes]) -> list[int]:
        """The numbers of the documents, given as their BSON, that a rule is not for."""
        if not rule or not raws:
            return []
        found = find_matching(self._documents, raws, rule)
        return [number for number in range(len(raws)) if number not in found]

    def find(self, documents: Documents, key: Any, within: Within) -> Stored | None:
        """The document with this `_id` that may be written, None where there is none to be seen.

        Raises `Forbidden` where it may be read alone.
        """
        condition = {"_id": key}
        if within.read or within.rule:
            condition = join_filters([condition, within.filter])
        found = documents.find_one(condition)
        if found:
            return Stored(found)
        if within.rule and documents.find_one(join_filters([{"_id": key}, within.read])):
            raise self.make_outside(within.action)
        return None

    def refuse_leaving(self, within: Within, before: bytes, after: bytes) -> None:
        """Raises `Forbidden` where a document, which may be written, would be so no longer."""
        if not within.rule:
            return
        names = find_names(within.rule)
        if cut(before, names) == cut(after, names):
            return
        if not find_matching(self._documents, [after], within.rule):
            raise self.make_outside(within.action, pointer="#")

    def make_outside(self, action: Ruled, pointer: str | None = None) -> Forbidden:
        """403 for a document that may not be written; a `pointer` is to what it would become."""
        scope = f"{self.view.whole.address}:{action}"
        if pointer is None:
            return Forbidden(f"This document may be read, but {scope} of this caller isn't for it.")
        detail = f"The document would be one that {scope} of this caller isn't for."
        return Forbidden(detail, Fault(detail, pointer=pointer))
