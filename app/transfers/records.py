"""How exports ended, for `GET /exports/{id}`: a collection with a TTL, for all servers."""

import datetime
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pymongo import IndexModel

from app.errors import Conflict
from app.store.client import Database

COLLECTION = "docsheet.exports"
REFRESH_SECONDS = 60.0  # between two records of one that is under way, at most
# Without a record, after which one that is under way is so no more.
SILENT_SECONDS = 5 * REFRESH_SECONDS
GONE = "its server was killed, or lost the database for good"
State = Literal["running", "complete", "failed", "left"]


@dataclass(frozen=True)
class Record:
    """The state of one export; bytes and digest are the file's, before any transfer compression.

    `caller` is whose export it is, and is shown to nobody.
    """

    state: State = "running"
    documents: int = 0
    rows: int = 0
    bytes: int = 0
    sha256: str | None = None
    seconds: float = 0.0
    detail: str | None = None
    caller: str = ""

    def show(self) -> dict[str, Any]:
        """What a client is told."""
        return {name: value for name, value in asdict(self).items() if name != "caller"}


class Records:
    """The records of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._collection = database.collection(COLLECTION)

    async def prepare(self) -> None:
        """Makes the TTL index (https://www.mongodb.com/docs/manual/core/index-ttl/)."""
        seconds = self._database.settings.EXPORT_RECORD_SECONDS
        index = IndexModel([("at", 1)], name="forget", expireAfterSeconds=seconds)
        await self._database.run(self._prepare, index)

    def _prepare(self, index: IndexModel) -> None:
        known = self._collection.index_information().get("forget")
        if known and known.get("expireAfterSeconds") != index.document["expireAfterSeconds"]:
            self._collection.drop_index("forget")
        self._collection.create_indexes([index])

    async def claim(self, export_id: str, record: Record) -> None:
        """Stores the first state of an export under an id that was chosen before.

        Raises `Conflict` where there is one with this id already.
        """
        try:
            insert = self._collection.insert_one
            await self._database.run(insert, {"_id": export_id, **_document(record)}, writing=True)
        except Conflict:
            raise Conflict(
                f"The export {export_id!r} was asked for already; choose another id."
            ) from None

    async def write(self, export_id: str, record: Record) -> None:
        """Stores the state of an export."""
        write = self._collection.replace_one
        await self._database.run(
            write, {"_id": export_id}, _document(record), upsert=True, writing=True
        )

    async def refresh(self, export_id: str, record: Record) -> None:
        """Stores how far an export is.

        One that has ended is left as it is, however late this comes.
        """
        write = self._collection.replace_one
        await self._database.run(
            write, {"_id": export_id, "state": "running"}, _document(record), writing=True
        )

    async def read(self, export_id: str) -> Record | None:
        """The state of an export, or None where nobody remembers it."""
        found: Any = await self._database.run(self._collection.find_one, {"_id": export_id})
        if not found:
            return None
        record = Record(**{name: found.get(name) for name in asdict(Record())})
        silent = datetime.datetime.now(datetime.UTC) - found["at"].replace(tzinfo=datetime.UTC)
        if record.state == "running" and silent.total_seconds() > SILENT_SECONDS:
            return replace(record, state="failed", detail=GONE)
        return record


def _document(record: Record) -> dict[str, Any]:
    return {**asdict(record), "at": datetime.datetime.now(datetime.UTC)}
