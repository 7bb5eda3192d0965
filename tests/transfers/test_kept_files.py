"""Files and steps of imports that are kept in the database, for every server process."""

import datetime
import io
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.errors import NotFound
from app.settings import Settings
from app.spreadsheets.format import MIB
from app.store.client import Database, connect
from app.transfers.inspections import Found, FoundColumn
from app.transfers.kept_files import COLLECTION, KeptFiles
from app.transfers.kept_imports import FILE, Kept, KeptImports, Plan, Reading, Result, Steps
from tests.support.mongod import needs_mongod

pytestmark = needs_mongod
STEPS = Steps(
    Reading("csv", timezone="Asia/Shanghai"),
    Found("csv", {"encoding": "utf-8"}, (), (FoundColumn("a.$b", ("1", "2")),)),
    Plan(("name",), "upsert", "email"),
)


@asynccontextmanager
async def opened(uri: str) -> AsyncIterator[Database]:
    settings = Settings(DB_NAME=f"test_{secrets.token_hex(4)}", _env_file=None)  # type: ignore[call-arg]
    client = connect(settings, uri)
    database = Database(client, settings, uri)
    await database.open()
    try:
        yield database
    finally:
        await database.run(database.sync.client.drop_database, settings.DB_NAME)
        await database.close()


def later(seconds: float = 60) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)


async def keep(imports: KeptImports, body: bytes = b"a\n1\n") -> Kept:
    return await imports.add("users", "ada", "a.csv", io.BytesIO(body), STEPS)


async def test_a_file_is_kept_in_pieces_and_read_back(mongo_uri: str) -> None:
    body = secrets.token_bytes(2 * MIB + 17)
    async with opened(mongo_uri) as database:
        files = KeptFiles(database)
        assert await files.write("a/file", io.BytesIO(body), later()) == len(body)
        await files.write("ab/file", io.BytesIO(b"another"), later())
        pieces = [piece async for piece in files.read("a/file", len(body))]
        assert list(map(len, pieces)) == [MIB, MIB, 17]
        assert b"".join(pieces) == body
        await files.delete("a")
        assert [piece async for piece in files.read("ab/file", 7)] == [b"another"]
        with pytest.raises(NotFound, match="not kept here any more"):
            await files.load("a/file", len(body), io.BytesIO())


async def test_a_file_that_lost_a_piece_is_never_taken_for_whole(mongo_uri: str) -> None:
    async with opened(mongo_uri) as database:
        files = KeptFiles(database)
        size = await files.write("a/file", io.BytesIO(bytes(2 * MIB)), later())
        database.collection(COLLECTION).delete_one({"_id": "a/file/1"})
        with pytest.raises(NotFound):
            await files.load("a/file", size, io.BytesIO())


async def test_files_are_forgotten_by_the_database(mongo_uri: str) -> None:
    async with opened(mongo_uri) as database:
        imports = KeptImports(database, 60)
        await imports.prepare()
        await imports.prepare()
        for name in (COLLECTION, "docsheet.uploads"):
            index = database.collection(name).index_information()["forget"]
            assert (index["key"], index["expireAfterSeconds"]) == ([("expires", 1)], 0)
        kept = await keep(imports)
        found: Any = database.collection(COLLECTION).find_one({"_id": f"{kept.token}/file/0"})
        assert abs((found["expires"] - kept.expires).total_seconds()) < 1


async def test_an_upload_is_its_callers_alone_and_expires(mongo_uri: str) -> None:
    async with opened(mongo_uri) as database:
        imports = KeptImports(database, 60)
        kept = await keep(imports)
        found = await imports.find(kept.token, "users", "ada")
        assert found is not None
        assert (found.steps, found.size, found.name) == (STEPS, 4, "a.csv")
        assert await imports.find(kept.token, "users", "bob") is None
        assert await imports.find(kept.token, "students", "ada") is None
        change = {"$set": {"expires": later(-1)}}
        database.collection("docsheet.uploads").update_one({"_id": kept.token}, change)
        assert await imports.find(kept.token, "users", "ada") is None


async def test_of_two_changes_of_one_version_one_counts(mongo_uri: str) -> None:
    async with opened(mongo_uri) as database:
        imports = KeptImports(database, 60)
        kept = await keep(imports)
        assert await imports.save(kept, STEPS) is not None
        assert await imports.save(kept, STEPS) is None
        assert await imports.begin(kept, "preview") is None


async def test_nothing_begins_beside_a_run_nor_after_an_import(mongo_uri: str) -> None:
    async with opened(mongo_uri) as database:
        imports = KeptImports(database, 60)
        begun = await imports.begin(await keep(imports), "import")
        assert begun is not None
        assert begun.run is not None
        assert (begun.run.what, begun.run.state) == ("import", "running")
        assert await imports.begin(begun, "import") is None
        await imports.tell(begun, 10, 8, 3)
        told = await imports.find(begun.token, "users", "ada")
        assert told is not None
        assert told.run is not None
        assert (told.run.checked, told.run.due, told.run.written) == (10, 8, 3)
        await imports.end(begun, Result(rows=10, inserted=8), is_done=True)
        await imports.interrupt(begun)  # too late: it has ended
        ended = await imports.find(begun.token, "users", "ada")
        assert ended is not None
        assert ended.run is not None
        assert (ended.run.state, ended.run.result) == ("ended", Result(rows=10, inserted=8))
        assert ended.is_done
        assert await imports.begin(ended, "import") is None
        assert await imports.save(ended, STEPS) is None


async def test_a_run_without_signs_of_life_is_interrupted_and_may_be_done_again(
    mongo_uri: str,
) -> None:
    async with opened(mongo_uri) as database:
        imports = KeptImports(database, 60)
        begun = await imports.begin(await keep(imports), "import")
        assert begun is not None
        change = {"$set": {"run.at": later(-31)}}
        database.collection("docsheet.uploads").update_one({"_id": begun.token}, change)
        found = await imports.find(begun.token, "users", "ada")
        assert found is not None
        assert found.run is not None
        assert found.run.state == "interrupted"
        assert await imports.begin(found, "preview") is not None


async def test_what_could_not_be_kept_whole_is_not_kept(mongo_uri: str) -> None:
    class Torn(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise OSError("torn")
            return super().read(size)

    async with opened(mongo_uri) as database:
        imports = KeptImports(database, 60)
        with pytest.raises(OSError, match="torn"):
            await imports.add("users", "ada", "a.csv", Torn(bytes(2 * MIB)), STEPS)
        assert database.collection(COLLECTION).count_documents({}) == 0
        assert database.collection("docsheet.uploads").count_documents({}) == 0
        kept = await keep(imports)
        await imports.forget(kept)
        assert database.collection(COLLECTION).count_documents({}) == 0
        assert await imports.find(kept.token, "users", "ada") is None
        assert kept.path(FILE) == f"{kept.token}/file"
