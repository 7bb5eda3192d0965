"""Writes that never lose: compare-and-set against writers that use the driver directly."""

from collections.abc import AsyncIterator
from typing import Any

import bson
import pytest

from app.errors import Conflict, NotFound, PreconditionFailed, Unavailable
from app.query.compile import Query
from app.resources.codec import decode
from app.resources.patches import Change
from app.resources.registry import discover
from app.resources.storing import to_bson
from app.settings import Settings
from app.store import writes
from app.store.bulk import Bulk
from app.store.client import Database, connect
from app.store.repository import Repository
from tests.support.clock import Clock
from tests.support.mongod import needs_mongod

pytestmark = needs_mongod

KEY = bson.ObjectId("5f43a1b2c3d4e5f60718293a")
ADA = {"_id": KEY, "name": "Ada", "email": "ada@example.com", "profile": {"age": 1}}


@pytest.fixture
async def stored(mongo_uri: str) -> AsyncIterator[Database]:
    settings = Settings(DB_NAME="test_repository", PRIMARY_WAIT_SECONDS=60, _env_file=None)  # type: ignore[call-arg]
    database = Database(connect(settings, mongo_uri), settings)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def repository(stored: Database) -> Repository:
    found = Repository(stored, discover("models")["users"])
    await found.make_indexes()
    return found


@pytest.fixture
def users(database: Any) -> Any:
    found = database.client["test_repository"]["users"]
    found.delete_many({})
    found.insert_one(dict(ADA))
    return found


async def test_patch_is_built_again_on_what_another_wrote_meanwhile(
    repository: Repository, users: Any
) -> None:
    seen: list[Any] = []

    def build(raw: bytes) -> Change:
        document = decode(raw)
        seen.append(document["profile"])
        if len(seen) == 1:
            users.update_one({"_id": KEY}, {"$set": {"profile": {"age": 2}}})
        return Change({"name": f"age {document['profile']['age']}"})

    stored = await repository.patch([KEY], None, build)
    assert seen == [{"age": 1}, {"age": 2}]
    assert stored.document["name"] == "age 2"
    assert users.find_one()["profile"] == {"age": 2}


async def test_change_of_a_values_type_alone_is_noticed(repository: Repository, users: Any) -> None:
    calls = 0

    def build(raw: bytes) -> bytes:
        nonlocal calls
        calls += 1
        if calls == 1:
            users.update_one({"_id": KEY}, {"$set": {"profile.age": 1.0}})
        return to_bson({**decode(raw), "name": "new"})

    await repository.replace([KEY], None, build)
    assert (calls, type(users.find_one()["profile"]["age"])) == (2, float)


async def test_precondition_is_checked_again_on_what_another_wrote(
    repository: Repository, users: Any
) -> None:
    first = await repository.read([KEY])

    def build(raw: bytes) -> Change:
        users.update_one({"_id": KEY}, {"$set": {"foreign": 1}})
        return Change({"name": "lost"})

    with pytest.raises(PreconditionFailed):
        await repository.patch([KEY], lambda etag: etag == first.etag, build)
    assert users.find_one() == {**ADA, "foreign": 1}


async def test_document_that_goes_meanwhile_is_not_found(
    repository: Repository, users: Any
) -> None:
    def build(raw: bytes) -> Change:
        users.delete_many({})
        return Change({"name": "ghost"})

    with pytest.raises(NotFound):
        await repository.patch([KEY], None, build)
    assert users.count_documents({}) == 0


async def test_document_that_others_never_leave_alone_is_503_in_time(
    repository: Repository, users: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(writes, "time", clock)

    def build(raw: bytes) -> Change:
        clock.wait(10)
        users.update_one({"_id": KEY}, {"$inc": {"counter": 1}})
        return Change({"name": "never"})

    with pytest.raises(Unavailable, match="keep changing"):
        await repository.patch([KEY], None, build)


@pytest.mark.parametrize("mebibytes", [1, 9])
async def test_large_document_is_compared_whole_too(
    repository: Repository, users: Any, mebibytes: int
) -> None:
    users.update_one({}, {"$set": {"blob": b"x" * mebibytes * 1024 * 1024}})
    calls = 0

    def build(raw: bytes) -> Change:
        nonlocal calls
        calls += 1
        if calls == 1:
            users.update_one({"_id": KEY}, {"$set": {"foreign": 1}})
        return Change({"name": "new"}, ("email",))

    await repository.patch([KEY], None, build)
    found = users.find_one({}, {"blob": 0})
    assert (calls, found) == (2, {"_id": KEY, "name": "new", "profile": {"age": 1}, "foreign": 1})


async def test_first_key_that_is_stored_counts(repository: Repository, users: Any) -> None:
    users.insert_one({"_id": "7", "email": "text"})
    users.insert_one({"_id": 7, "email": "number"})
    assert (await repository.read([8, "7", 7])).document["email"] == "text"
    with pytest.raises(NotFound):
        await repository.read([8])


async def test_conflict_names_the_field_and_not_the_other_document(
    repository: Repository, users: Any
) -> None:
    with pytest.raises(Conflict) as caught:
        await repository.insert({"_id": 1, "name": "x", "email": "ada@example.com"})
    assert [fault.pointer for fault in caught.value.faults] == ["#/email"]
    assert "Ada" not in caught.value.detail


async def matching(repository: Repository, *pairs: tuple[str, str]) -> tuple[Query, list[Any]]:
    """The query of these conditions, and the `_id`s of what matches by now."""
    compiler = repository.reach.compilers[repository.resource.name]
    affected = compiler.many([*pairs, ("max_affected", "9")])
    return await repository.matching(affected.query, affected.most)


@pytest.mark.parametrize(
    ("meanwhile", "changed", "first"), [({"age": 7}, 4, 7), ({"name": "other"}, 5, 6)]
)
async def test_a_patch_of_many_leaves_what_stops_matching(
    repository: Repository,
    users: Any,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: dict[str, Any],
    changed: int,
    first: int,
) -> None:
    users.insert_many({"name": "n", "email": f"{n}@example.com", "age": 5} for n in range(5))
    query, keys = await matching(repository, ("age", "5"))
    send = Bulk._send_updates

    def send_late(bulk: Bulk, statements: Any) -> Any:
        users.update_one({"_id": keys[0]}, {"$set": meanwhile})
        return send(bulk, statements)

    monkeypatch.setattr(Bulk, "_send_updates", send_late)
    assert await repository.patch_all(query, keys, {"age": 6}) == (changed, [])
    found = users.find_one({"_id": keys[0]})
    assert (found["age"], found["name"]) == (first, meanwhile.get("name", "n"))
    assert users.count_documents({"age": 6}) == changed


async def test_a_delete_of_many_leaves_what_stops_matching(
    stored: Database, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    teachers = database.client["test_repository"]["teachers"]
    teachers.delete_many({})
    teachers.insert_many({"name": "a", "tno": number} for number in range(3))
    resources = discover("models")
    repository = Repository(stored, resources["teachers"], resources.values())
    await repository.make_indexes()
    query, keys = await matching(repository, ("name", "a"))
    delete = Bulk.delete

    def delete_late(bulk: Bulk, key: Any, *words: Any) -> Any:
        teachers.update_one({"_id": keys[0]}, {"$set": {"name": "b"}})
        teachers.delete_one({"_id": keys[1]})
        return delete(bulk, key, *words)

    monkeypatch.setattr(Bulk, "delete", delete_late)
    assert await repository.delete_all(query, keys) == (1, [])
    assert [one["name"] for one in teachers.find()] == ["b"]
