"""An import keeps to its caller's rules also where another writer comes in between."""

import io
from collections.abc import Iterator
from typing import Any

import pytest

from app.query.compile import Compilers
from app.resources.registry import discover
from app.resources.views import WHOLE, Grants, Rights, Rule, Views
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


def load(connection: Connection, rights: Rights, text: str, mode: str, **change: Any) -> Ended:
    """Imports a sheet while another writer changes Ann, after the rows have been checked."""
    views = Views(RESOURCES.values(), Grants.make({"users": rights}))
    users = connection.collection("users")
    indexes = Indexes()
    make_indexes(RESOURCES["users"], users, indexes)

    def come_in_between(checked: int, due: int, written: int) -> None:
        if not due and change:
            users.update_one({"_id": 1}, {"$set": change})

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
