"""An import keeps to its caller's rules also where another writer comes in between."""

import io
from collections.abc import Iterator
from typing import Any

import pytest

from app.query.compile import Compilers
from app.resources.registry import discover
from app.resources.views import EVERYTHING, WHOLE, Grants, Rights, Rule, Views
from app.settings import Settings
from app.store.client import Connection, direct_connection
from app.store.indexes import Indexes, make_indexes
from app.store.reach import Reach
from app.transfers.import_options import Import
from app.transfers.imports import Ended, run_import
from tests.support.mongod import needs_mongod

pytestmark = needs_mongod
RESOURCES = discover("models")
YOUNG = Rule(where=(("age__lte", "30"),))
ANN = {"_id": 1, "name": "Ann", "email": "ann@example.com", "age": 20, "profile": None}


@pytest.fixture
def connection(mongo_uri: str) -> Iterator[Connection]:
    chosen = Settings(DB_NAME="import_rules", _env_file=None)  # type: ignore[call-arg]
    with direct_connection(chosen, mongo_uri) as opened:
        opened.sync.command("ping")
        opened.collection("users").drop()
        opened.collection("users").insert_one(dict(ANN))
        yield opened


def load(
    connection: Connection,
    rights: Rights,
    text: str,
    mode: str,
    new: dict[str, Any] | None = None,
    **change: Any,
) -> Ended:
    """Imports a sheet while another writer changes Ann, or inserts one, after the check."""
    views = Views(RESOURCES.values(), Grants.make({"users": rights}))
    users = connection.collection("users")
    indexes = Indexes()
    make_indexes(RESOURCES["users"], users, indexes)

    def come_in_between(checked: int, due: int, written: int) -> None:
        if not due and change:
            users.update_one({"_id": 1}, {"$set": change})
        if not due and new:
            users.insert_one(dict(new))

    reach = Reach(connection, Compilers(views), "users")
    asked = Import("users", "csv", mode=mode, key=("email",))
    file = io.BytesIO(text.encode())
    return run_import(asked, reach, connection, indexes, file, tell=come_in_between)


UPDATE = "email,name\nann@example.com,New\n"


@pytest.mark.parametrize(
    ("rights", "reason"),
    [
        (Rights(read=WHOLE, update=YOUNG, import_=True), "users:update"),
        (Rights(read=YOUNG, update=WHOLE, import_=True), "There is no document"),
    ],
)
def test_a_document_that_left_the_rule_is_not_changed(
    connection: Connection, rights: Rights, reason: str
) -> None:
    ended = load(connection, rights, UPDATE, "update", age=40)
    assert (ended.report.updated, ended.report.failed) == (0, 1)
    assert reason in ended.report.errors[0]["detail"]
    assert connection.collection("users").find_one({"_id": 1}) == {**ANN, "age": 40}


def test_a_document_that_stayed_within_the_rule_is_changed(connection: Connection) -> None:
    rights = Rights(read=YOUNG, update=YOUNG, import_=True)
    ended = load(connection, rights, UPDATE, "update", age=25)
    assert (ended.report.updated, ended.report.failed) == (1, 0)
    assert connection.collection("users").find_one({"_id": 1}) == {**ANN, "age": 25, "name": "New"}


def test_a_row_whose_document_appears_unseen_is_a_taken_value(connection: Connection) -> None:
    rights = Rights(read=YOUNG, create=WHOLE, update=WHOLE, import_=True)
    text = "email,name\nben@example.com,Ben\n"
    change = {"email": "ben@example.com", "age": 40}
    ended = load(connection, rights, text, "upsert", **change)
    assert (ended.report.inserted, ended.report.updated, ended.report.failed) == (0, 0, 1)
    assert "must be unique" in ended.report.errors[0]["detail"]
    assert connection.collection("users").find_one({"_id": 1}) == {**ANN, **change}


def test_what_the_database_refuses_is_not_told_of_another_writer(connection: Connection) -> None:
    users = connection.collection("users")
    validator = {"$jsonSchema": {"properties": {"name": {"maxLength": 5}}}}
    users.database.command("collMod", "users", validator=validator)
    text = "email,name\nbob@example.com,Bob\neva@example.com,Evangeline\n"
    ended = load(connection, EVERYTHING, text, "upsert")
    assert ended.error is not None
    assert ended.error.status == 409
    assert ended.error.detail.startswith("The database refused a row: row 3: name: ")
    assert (ended.report.inserted, ended.report.failed) == (1, 1)


@pytest.mark.parametrize(
    ("other", "counted"),
    [({}, "unchanged"), ({"age": 5}, "updated"), ({"profile": {"bio": "x"}}, "unchanged")],
)
def test_a_row_that_another_writer_inserts_first_changes_that_document(
    connection: Connection, other: dict[str, Any], counted: str
) -> None:
    users = connection.collection("users")
    new = {"name": "Bob", "email": "bob@example.com", "age": 40, "profile": None, **other}
    ended = load(connection, EVERYTHING, "email,name,age\nbob@example.com,Bob,40\n", "upsert", new)
    assert ended.error is None
    assert getattr(ended.report, counted) == 1, ended.report
    (bob,) = users.find({"name": "Bob"}, {"_id": 0})
    assert bob == {**new, "age": 40}
