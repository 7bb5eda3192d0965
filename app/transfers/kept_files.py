"""Files that are kept for a while, in the database, so that every server process has them.

A file is documents of a mebibyte each; it is written and read one of them at a time. MongoDB
removes what has expired (https://www.mongodb.com/docs/manual/core/index-ttl/).
"""

import asyncio
import datetime
from collections.abc import AsyncIterator
from typing import IO, Any

from bson import Binary
from pymongo import IndexModel

from app.errors import NotFound
from app.spreadsheets.format import MIB
from app.store.client import Database

COLLECTION = "docsheet.uploads.chunks"
CHUNK = MIB  # bytes of a file that one document has
TTL_INDEX = IndexModel([("expires", 1)], name="forget", expireAfterSeconds=0)


class KeptFiles:
    """The files of a database, by names of their own that have no special characters but `/`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._collection = database.collection(COLLECTION)

    async def prepare(self) -> None:
        """Makes the index by which files are forgotten."""
        await self._database.run(self._collection.create_indexes, [TTL_INDEX])

    async def write(self, name: str, file: IO[bytes], expires: datetime.datetime) -> int:
        """Keeps what is in a file, in the place of what was there; returns its bytes."""
        await self.delete(name)
        file.seek(0)
        size = number = 0
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            document = {"_id": f"{name}/{number}", "data": Binary(chunk), "expires": expires}
            await self._database.run(self._collection.insert_one, document, writing=True)
            size, number = size + len(chunk), number + 1
        return size

    async def read(self, name: str, size: int) -> AsyncIterator[bytes]:
        """What is in the file of so many bytes; raises `NotFound` where something of it is gone."""
        number = 0
        while size > 0:
            key = {"_id": f"{name}/{number}"}
            found: Any = await self._database.run(self._collection.find_one, key)
            if found is None:
                raise NotFound("The file is not kept here any more; upload it again.")
            size, number = size - len(found["data"]), number + 1
            yield found["data"]

    async def load(self, name: str, size: int, target: IO[bytes]) -> None:
        """Writes the file to another one, on disk; raises as `read`."""
        async for chunk in self.read(name, size):
            await asyncio.to_thread(target.write, chunk)
        target.flush()
        target.seek(0)

    async def delete(self, name: str) -> None:
        """Forgets a file, or all files below a name."""
        below = {"_id": {"$gte": f"{name}/", "$lt": f"{name}0"}}  # 0 is next to /
        await self._database.run(self._collection.delete_many, below, writing=True)
