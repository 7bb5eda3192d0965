"""The indexes that a resource declares, made at start, and the existing ones, used for paging.

What is declared is there already under whatever name, or is made, or becomes unique where it stands
(https://www.mongodb.com/docs/manual/core/index-unique/convert-to-unique/); what can't be is a
problem with its reason.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.errors import CollectionInvalid, OperationFailure

from app.errors import Unavailable
from app.query.ordering import Index
from app.resources.registry import Resource
from app.store.codes import Code
from app.store.collections import Nature, find_nature
from app.store.errors import make_read_only

_log = logging.getLogger("docsheet.database")
_CONFLICTS = (Code.IndexOptionsConflict, Code.IndexKeySpecsConflict)
_WITH_DUPLICATES = (Code.DuplicateKey, Code.CannotConvertIndexToUnique)
_WITHOUT_CONVERSION = (Code.BadValue, Code.InvalidOptions, Code.IDLUnknownField)  # before 6.0
_OPTIONS = ("unique", "sparse", "partialFilterExpression", "expireAfterSeconds")
REST = 10  # times as long as making an index took, before it is tried again
EXAMPLES = 3  # of values that several documents have

Existing = Mapping[str, Mapping[str, Any]]  # name → what `listIndexes` says


@dataclass
class Indexes:
    """What is known of one collection and its indexes.

    `problem` says why a declared index can't be made, `missing` are the unique ones among those.
    """

    made: bool = False
    problem: str | None = None
    missing: tuple[IndexModel, ...] = ()
    existing: tuple[Index, ...] = field(default_factory=tuple)
    nature: Nature = field(default_factory=Nature)
    again_at: float = float("-inf")  # of the monotonic clock: not before

    def refuse_inserts(self) -> None:
        """Raises `Unavailable` while a declared index is missing: uniqueness would not be kept."""
        self.refuse_writes()
        if self.problem:
            raise Unavailable(f"Nothing new is stored here for the moment: {self.problem}")

    def refuse_writes(self) -> None:
        """Raises `MethodNotAllowed` for a view, `Unavailable` before the indexes were looked at."""
        if self.nature.read_only:
            raise make_read_only(self.nature.read_only)
        if not self.made:
            raise Unavailable(
                "Nothing is written here yet: the indexes are being made; try again soon."
            )

    def is_due(self) -> bool:
        """Whether what could not be made is worth another try: each scans the collection."""
        return time.monotonic() >= self.again_at


def make_indexes(
    resource: Resource,
    collection: Collection[dict[str, Any]],
    state: Indexes,
    nature: Nature | None = None,
) -> None:
    """Makes what is declared and isn't there, one by one; what can't be made becomes a problem.

    `nature` is that of the collection, where it is known already.
    """
    began = time.monotonic()
    state.nature = nature or find_nature(collection)
    if state.nature.read_only:
        state.existing, state.problem, state.missing, state.made = (), None, (), True
        return
    problem, missing = None, []
    existing = _list_existing(collection)
    for model in resource.indexes:
        reason = None if serves(model, existing) else _make(collection, model, existing)
        if reason is None:
            continue
        name = model.document["name"]
        problem = f"the index {name!r} of {resource.name!r} can't be made: {reason}."
        _log.error("%s", problem)
        if model.document.get("unique"):
            missing.append(model)
    state.existing = read_indexes(collection)
    state.again_at = time.monotonic() + REST * (time.monotonic() - began)
    state.problem, state.missing, state.made = problem, tuple(missing), True


def look_at(
    collection: Collection[dict[str, Any]], state: Indexes, nature: Nature | None = None
) -> None:
    """Looks at the collection and its indexes again."""
    state.nature = nature or find_nature(collection)
    state.existing = () if state.nature.is_view else read_indexes(collection)


def read_indexes(collection: Collection[dict[str, Any]]) -> tuple[Index, ...]:
    """The existing indexes that can serve a sort of every document."""
    existing = _list_existing(collection)
    by_id = Index("_id_", (("_id", 1),), unique=True)
    indexes = {} if "_id_" in existing else {by_id.name: by_id}
    for name, details in existing.items():
        keys = tuple((path, direction) for path, direction in details["key"])
        partial = any(
            details.get(word)
            for word in ("partialFilterExpression", "sparse", "hidden", "collation")
        )
        if not partial and all(direction in (1, -1) for _, direction in keys):
            is_unique = bool(details.get("unique")) or name == "_id_"
            indexes[name] = Index(name, keys, is_unique, bool(details.get("clustered")))
    return tuple(indexes.values())


def find_equal_values(
    collection: Collection[Any], model: IndexModel, limit: int = EXAMPLES
) -> Iterator[dict[str, Any]]:
    """The first values, `{path: value}`, of several documents: no unique index can be made."""
    paths = list(model.document["key"])
    key = {str(number): f"${path}" for number, path in enumerate(paths)}
    stages: list[dict[str, Any]] = [
        {"$match": model.document.get("partialFilterExpression") or {}},
        {"$group": {"_id": key, "count": {"$sum": 1}}},
        {"$match": {"count": {"$gt": 1}}},
        {"$limit": limit},
    ]
    options = {name: model.document[name] for name in ("collation",) if name in model.document}
    for group in collection.aggregate(stages, allowDiskUse=True, **options):
        yield {path: group["_id"].get(str(number)) for number, path in enumerate(paths)}


def _list_existing(collection: Collection[Any]) -> Existing:
    """What `listIndexes` says; nothing where there is no collection, or nobody may ask."""
    try:
        found: Existing = collection.index_information()
    except OperationFailure as error:
        if error.code not in (Code.NamespaceNotFound, Code.Unauthorized):
            raise
        return {}
    return found


def serves(model: IndexModel, existing: Existing) -> bool:
    """Whether an index that is there does what the declared one would, whatever its name."""
    default = _default_collation(existing)
    return any(_is_like(model, details, default) for details in existing.values())


def _default_collation(existing: Existing) -> Any:
    return existing.get("_id_", {}).get("collation")


def _is_like(
    model: IndexModel, details: Mapping[str, Any], default: Any, *, but: str | None = None
) -> bool:
    """Whether an index has the declared keys and options.

    `default` is the collection's collation.
    """
    declared = model.document
    texts = {path for path, order in declared["key"].items() if order == "text"}
    if texts:
        return texts == set(details.get("weights") or ())
    if list(declared["key"].items()) != list(details["key"]):
        return False
    for word in _OPTIONS:
        if word != but and _read_option(declared, word) != _read_option(details, word):
            return False
    collation = details.get("collation")
    if not declared.get("collation"):
        return bool(collation == default)
    return all(
        (collation or {}).get(word) == value for word, value in declared["collation"].items()
    )


def _read_option(options: Mapping[str, Any], word: str) -> Any:
    value = options.get(word)
    return None if value is False else value


def _make(collection: Collection[Any], model: IndexModel, existing: Existing) -> str | None:
    """Makes one index, or makes one unique that is there; the reason where that can't be."""
    try:
        collection.create_indexes([model])
    except (OperationFailure, CollectionInvalid) as error:
        code = getattr(error, "code", None)
        if code in _CONFLICTS:
            return _convert(collection, model, existing)
        return _reason(error, code)
    return None


def _convert(collection: Collection[Any], model: IndexModel, existing: Existing) -> str | None:
    """Makes an index unique that differs in nothing else (MongoDB 6.0 and later)."""
    name = _find_same_keys(model, existing)
    rebuild = (
        "another index of that name or on these fields is there, with other options; to replace "
        f"it: db.getCollection({collection.name!r}).dropIndex({name or model.document['name']!r})"
    )
    if name is None or not model.document.get("unique"):
        return rebuild
    if not _is_like(model, existing[name], _default_collation(existing), but="unique"):
        return rebuild
    for option in ("prepareUnique", "unique"):
        change = {"name": name, option: True}
        try:
            collection.database.command("collMod", collection.name, index=change)
        except OperationFailure as error:
            return rebuild if error.code in _WITHOUT_CONVERSION else _reason(error, error.code)
    return None


def _find_same_keys(model: IndexModel, existing: Existing) -> str | None:
    keys = list(model.document["key"].items())
    return next((name for name, details in existing.items() if list(details["key"]) == keys), None)


def _reason(error: Exception, code: int | None) -> str:
    _log.warning("MongoDB makes no index: %s", error)
    if code in _WITH_DUPLICATES:
        return "stored documents have equal values"
    if code == Code.Unauthorized:
        return "the user of MONGO_URI may not make indexes"
    return "MongoDB refuses it"
