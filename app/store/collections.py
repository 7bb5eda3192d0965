"""What a collection is: one that takes writes, a view or a time series.

https://www.mongodb.com/docs/manual/reference/command/listCollections/
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from bson.binary import Binary
from pymongo.errors import OperationFailure

from app.store.codes import Code
from app.store.errors import READ_ONLY

_READ_ONLY = {"view": "a view", "timeseries": "a time series"}


@dataclass(frozen=True)
class Nature:
    """What MongoDB says of one collection.

    `read_only` names the kind where it takes no writes here. `uuid` tells the collection from
    another one of the same name; None where it isn't known, or there is no collection yet.
    """

    read_only: str | None = None
    capped: bool = False
    clustered: bool = False
    collated: bool = False
    uuid: Binary | None = None

    @property
    def is_view(self) -> bool:
        """Whether its documents come out of a pipeline: `_id`s may repeat, it has no index."""
        return self.read_only is not None

    @property
    def has_snapshots(self) -> bool:
        """Whether it can be read in a snapshot session: MongoDB has none of capped collections."""
        return not self.capped


def read_nature(database: Any, name: str) -> Nature:
    """The nature of a collection; that of a plain one where there is none, or nobody may ask."""
    try:
        described = next(iter(database.list_collections(filter={"name": name})), None)
    except OperationFailure as error:
        if error.code != Code.Unauthorized:
            raise
        described = None
    if described is None:
        return Nature()
    options = described.get("options") or {}
    return Nature(
        read_only=_READ_ONLY.get(described.get("type", "collection")),
        capped=bool(options.get("capped")),
        clustered=bool(options.get("clusteredIndex")),
        collated=bool(options.get("collation")),
        uuid=_binary((described.get("info") or {}).get("uuid")),
    )


def find_nature(collection: Any) -> Nature:
    """The same, also of a view where nobody may list the collections: it shows no indexes."""
    nature = read_nature(collection.database, collection.name)
    try:
        collection.index_information()
    except OperationFailure as error:
        if error.code in READ_ONLY:
            return Nature(read_only="a view")
        if error.code not in (Code.NamespaceNotFound, Code.Unauthorized):
            raise
    return nature


def _binary(uuid: Any) -> Binary | None:
    """The UUID as BSON has it, whatever the codec made of it."""
    return Binary.from_uuid(uuid) if isinstance(uuid, UUID) else uuid
