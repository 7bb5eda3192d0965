"""Indexes: made one by one, what can't be made is said, those that stand are known."""

from typing import Annotated, Any

import pytest
from beanie import Document, Indexed
from pymongo import ASCENDING, DESCENDING, IndexModel

from app.errors import MethodNotAllowed, Unavailable
from app.resources.registry import make_resource
from app.store.indexes import Indexes, find_equal_values, make_indexes, read_indexes
from tests.support.mongod import needs_mongod

pytestmark = needs_mongod


class Indexable(Document):
    code: Annotated[str, Indexed(unique=True)]
    city: str = ""
    at: Annotated[int, Indexed(index_type=DESCENDING)] = 0

    class Settings:
        name = "indexable"
        indexes = [  # noqa: RUF012
            "city",
            ["city", ("at", DESCENDING)],
            IndexModel(
                [("at", ASCENDING)], name="partial", partialFilterExpression={"at": {"$gt": 1}}
            ),
        ]


RESOURCE = make_resource(Indexable)


@pytest.fixture
def collection(database: Any) -> Any:
    found = database.client["test_indexes"]["indexable"]
    found.drop()
    return found


def test_declared_indexes_are_made_and_known(collection: Any) -> None:
    state = Indexes()
    make_indexes(RESOURCE, collection, state)
    assert (state.made, state.problem) == (True, None)
    keys = {index.name: (index.keys, index.unique) for index in state.existing}
    assert keys == {
        "_id_": ((("_id", 1),), True),
        "code_1": ((("code", 1),), True),
        "at_-1": ((("at", -1),), False),
        "city_1": ((("city", 1),), False),
        "city_1_at_-1": ((("city", 1), ("at", -1)), False),
    }
    assert "partial" in collection.index_information()
    state.refuse_inserts()


def test_index_over_equal_values_is_a_problem_until_they_are_gone(collection: Any) -> None:
    collection.insert_many([{"code": "a"}, {"code": "a"}])
    state = Indexes()
    make_indexes(RESOURCE, collection, state)
    assert (
        state.problem
        == "the index 'code_1' of 'indexable' can't be made: stored documents have equal values."
    )
    assert "city_1" in {index.name for index in state.existing}
    with pytest.raises(Unavailable, match="code_1"):
        state.refuse_inserts()
    state.refuse_writes()
    assert [model.document["name"] for model in state.missing] == ["code_1"]
    assert list(find_equal_values(collection, state.missing[0])) == [{"code": "a"}]
    collection.delete_one({})
    make_indexes(RESOURCE, collection, state)
    assert (state.problem, state.missing) == (None, ())


def test_index_with_other_options_is_named_with_the_command_that_replaces_it(
    collection: Any,
) -> None:
    collection.create_index("code", unique=True, sparse=True)
    state = Indexes()
    make_indexes(RESOURCE, collection, state)
    assert "with other options" in str(state.problem)
    assert "db.getCollection('indexable').dropIndex('code_1')" in str(state.problem)
    collection.drop_index("code_1")
    make_indexes(RESOURCE, collection, state)
    assert state.problem is None


def test_index_that_is_only_not_unique_becomes_unique_where_it_stands(collection: Any) -> None:
    collection.create_index("code")
    collection.insert_many([{"code": "a"}, {"code": "a"}])
    state = Indexes()
    make_indexes(RESOURCE, collection, state)
    assert "equal values" in str(state.problem)
    collection.delete_one({})
    make_indexes(RESOURCE, collection, state)
    assert state.problem is None
    assert collection.index_information()["code_1"]["unique"] is True


def test_index_of_another_name_serves(collection: Any) -> None:
    collection.create_index("code", unique=True, name="by_hand")
    state = Indexes()
    make_indexes(RESOURCE, collection, state)
    assert state.problem is None
    assert {"by_hand", "city_1"} <= set(collection.index_information())
    assert "code_1" not in collection.index_information()


def test_index_that_inherits_the_collections_collation_serves(collection: Any) -> None:
    collection.database.create_collection("indexable", collation={"locale": "en", "strength": 2})
    state = Indexes()
    make_indexes(RESOURCE, collection, state)
    before = collection.index_information()
    make_indexes(RESOURCE, collection, state)
    assert (state.problem, collection.index_information()) == (None, before)
    assert state.nature.collated


def test_view_and_time_series_can_only_be_read(collection: Any) -> None:
    database = collection.database
    database.command("create", "indexable", viewOn="users", pipeline=[])
    state = Indexes()
    make_indexes(RESOURCE, collection, state)
    with pytest.raises(MethodNotAllowed, match="a view"):
        state.refuse_writes()
    collection.drop()
    database.create_collection("indexable", timeseries={"timeField": "at"})
    make_indexes(RESOURCE, collection, state)
    with pytest.raises(MethodNotAllowed, match="a time series"):
        state.refuse_inserts()
    collection.drop()
    make_indexes(RESOURCE, collection, state)
    state.refuse_inserts()


def test_collection_that_is_not_there_has_its_key(collection: Any) -> None:
    assert [index.name for index in read_indexes(collection)] == ["_id_"]


def test_nothing_is_written_before_the_indexes_stand() -> None:
    with pytest.raises(Unavailable, match="being made"):
        Indexes().refuse_writes()
    with pytest.raises(Unavailable, match="being made"):
        Indexes().refuse_inserts()
