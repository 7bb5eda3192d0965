"""Rows are checked against unique indexes before any is written, by values as they are stored."""

import io
from collections.abc import Iterator
from typing import Annotated, ClassVar

import pydantic
import pytest
from beanie import Document, Indexed
from pymongo import IndexModel

from app.query.compile import Compilers
from app.resources.registry import make_resource
from app.resources.views import EVERYTHING, Grants, Views
from app.settings import Settings
from app.store.client import Connection, direct_connection
from app.store.indexes import Indexes, make_indexes
from app.store.reach import Reach
from app.transfers.import_options import Import
from app.transfers.imports import Ended, run_import
from tests.support.mongod import needs_mongod

pytestmark = needs_mongod


class Holder(Document):
    name: str = ""
    card: str | None = None

    class Settings:
        name = "holders"
        indexes: ClassVar = [
            IndexModel("card", unique=True, partialFilterExpression={"card": {"$type": "string"}})
        ]


class Room(Document):
    code: Annotated[str, Indexed(unique=True)]
    seats: int = 0

    class Settings:
        name = "rooms"

    @pydantic.field_validator("code")
    @classmethod
    def write_in_capitals(cls, code: str) -> str:
        return code.upper()


class Account(Document):
    login: str
    name: str = ""

    class Settings:
        name = "accounts"
        indexes: ClassVar = [
            IndexModel("login", unique=True, collation={"locale": "en", "strength": 2})
        ]


RESOURCES = {one.name: one for one in map(make_resource, (Holder, Room, Account))}


@pytest.fixture
def connection(mongo_uri: str) -> Iterator[Connection]:
    chosen = Settings(DB_NAME="import_unique", _env_file=None)  # type: ignore[call-arg]
    with direct_connection(chosen, mongo_uri) as opened:
        for name in RESOURCES:
            opened.collection(name).drop()
        yield opened


def load(connection: Connection, name: str, text: str, mode: str = "insert") -> Ended:
    views = Views(RESOURCES.values(), Grants.make({name: EVERYTHING}))
    indexes = Indexes()
    make_indexes(RESOURCES[name], connection.collection(name), indexes)
    reach = Reach(connection, Compilers(views), name)
    key = None if mode == "insert" else ("code",) if name == "rooms" else ("_id",)
    asked = Import(name, "csv", mode=mode, key=key)
    return run_import(asked, reach, connection, indexes, io.BytesIO(text.encode()))


def counts(ended: Ended) -> tuple[int, int, int, int]:
    report = ended.report
    return report.inserted, report.updated, report.unchanged, report.failed


def cards(connection: Connection) -> dict[str, str | None]:
    found = connection.collection("holders").find()
    return {one["name"]: one["card"] for one in found}


def test_a_partial_index_counts_only_the_rows_that_it_is_for(connection: Connection) -> None:
    assert counts(load(connection, "holders", "name,card\nA,\nB,\nC,1\n")) == (3, 0, 0, 0)
    assert cards(connection) == {"A": None, "B": None, "C": "1"}


def test_rows_with_one_value_of_a_partial_index_are_found_before_any_is_written(
    connection: Connection,
) -> None:
    ended = load(connection, "holders", "name,card\nA,\nB,7\nC,7\n")
    assert counts(ended) == (0, 0, 0, 1)
    assert ended.report.errors[0]["detail"] == "card: Row 3 has the same card; it must be unique."
    assert cards(connection) == {}


def test_a_stored_value_of_a_partial_index_is_found_before_a_row_is_written(
    connection: Connection,
) -> None:
    load(connection, "holders", "name,card\nA,1\n")
    ended = load(connection, "holders", "name,card\nB,\nC,1\n")
    assert counts(ended) == (0, 0, 0, 1)
    assert cards(connection) == {"A": "1"}


def test_a_row_keeps_its_own_value_of_a_partial_index(connection: Connection) -> None:
    load(connection, "holders", "name,card\nA,1\nB,2\n")
    holders = connection.collection("holders")
    first, second = (one["_id"] for one in holders.find().sort("name"))
    kept = f"_id,name,card\n{first},A2,1\n{second},B2,2\n"
    assert counts(load(connection, "holders", kept, "update")) == (0, 2, 0, 0)
    taken = f"_id,card\n{first},2\n"
    assert counts(load(connection, "holders", taken, "update")) == (0, 0, 0, 1)
    assert cards(connection) == {"A2": "1", "B2": "2"}


def test_a_key_is_found_as_the_models_validator_writes_it(connection: Connection) -> None:
    text = "code,seats\na1,5\nb2,6\n"
    assert counts(load(connection, "rooms", text, "upsert")) == (2, 0, 0, 0)
    assert counts(load(connection, "rooms", text, "upsert")) == (0, 0, 2, 0)
    assert counts(load(connection, "rooms", "code,seats\na1,7\nc3,1\n", "upsert")) == (1, 1, 0, 0)
    rooms = connection.collection("rooms").find()
    assert {one["code"]: one["seats"] for one in rooms} == {"A1": 7, "B2": 6, "C3": 1}


def test_two_keys_that_the_validator_writes_alike_are_one(connection: Connection) -> None:
    ended = load(connection, "rooms", "code,seats\na1,5\nA1,6\n", "upsert")
    assert counts(ended) == (0, 0, 0, 1)
    assert "a document can be changed by one row only" in ended.report.errors[0]["detail"]


def test_a_stored_value_that_a_collation_holds_to_be_equal_is_found(connection: Connection) -> None:
    load(connection, "accounts", "login,name\nAnn,A\n")
    ended = load(connection, "accounts", "login,name\nBob,B\nANN,C\n")
    assert counts(ended) == (0, 0, 0, 1)
    assert ended.report.errors[0]["row"] == 3
    accounts = connection.collection("accounts")
    [ann] = accounts.find()
    own = f"_id,login,name\n{ann['_id']},ANN,D\n,Cid,E\n"
    assert counts(load(connection, "accounts", own, "upsert")) == (1, 1, 0, 0)
    assert {one["login"]: one["name"] for one in accounts.find()} == {"ANN": "D", "Cid": "E"}
