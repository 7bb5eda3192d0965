"""The indexes that a resource declares, made at start, and those that stand, which paging relies on."""

import logging
from dataclasses import dataclass, field
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import CollectionInvalid, OperationFailure

from app.errors import Unavailable
from app.query.ordering import Index
from app.resources.registry import Resource
from app.store.codes import Code

_log = logging.getLogger("docsheet.database")
_CONFLICTS = (Code.IndexOptionsConflict, Code.IndexKeySpecsConflict)


@dataclass
class Indexes:
    """What is known of one collection's indexes; `problem` says why a declared one could not be made."""

    made: bool = False
    problem: str | None = None
    standing: tuple[Index, ...] = field(default_factory=tuple)

    def refuse_writes(self) -> None:
        """Raises `Unavailable` while a declared index is missing: a unique one would not be kept."""
        if self.problem:
            raise Unavailable(f"Nothing is written here for the moment: {self.problem}")
        if not self.made:
            raise Unavailable(
                "Nothing is written here yet: the indexes are being made; try again soon."
            )


def make_indexes(
    resource: Resource, collection: Collection[dict[str, Any]], state: Indexes
) -> None:
    """Makes what is declared and isn't there, one by one; what can't be made becomes `state.problem`."""
    problem = None
    for model in resource.indexes:
        try:
            collection.create_indexes([model])
        except (OperationFailure, CollectionInvalid) as error:
            name = model.document["name"]
            if getattr(error, "code", None) == Code.DuplicateKey:
                reason = "stored documents have equal values"
            elif getattr(error, "code", None) in _CONFLICTS:
                reason = "another index of that name or on these fields stands, with other options"
            else:
                reason = "MongoDB refuses it"
            problem = f"the index {name!r} of {resource.name!r} can't be made: {reason}."
            _log.error("%s (%s)", problem, error)
    state.standing = read_indexes(collection)
    state.problem, state.made = problem, True


def read_indexes(collection: Collection[dict[str, Any]]) -> tuple[Index, ...]:
    """The standing indexes that can serve a sort of every document."""
    try:
        found = collection.index_information()
    except OperationFailure as error:
        if error.code != Code.NamespaceNotFound:
            raise
        found = {}
    indexes = {"_id_": Index("_id_", (("_id", 1),), unique=True)}
    for name, details in found.items():
        keys = tuple((path, direction) for path, direction in details["key"])
        partial = any(
            details.get(word)
            for word in ("partialFilterExpression", "sparse", "hidden", "collation")
        )
        if not partial and all(direction in (1, -1) for _, direction in keys):
            indexes[name] = Index(name, keys, bool(details.get("unique")) or name == "_id_")
    return tuple(indexes.values())
