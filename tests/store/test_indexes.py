"""Indexes: made one by one, what can't be made is said, those that stand are known."""

from typing import Annotated, Any

import pytest
from beanie import Document, Indexed
from pymongo import ASCENDING, DESCENDING, IndexModel

from app.errors import Unavailable
from app.resources.registry import make_resource
from app.store.indexes import Indexes, make_indexes, read_indexes
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
    keys = {index.name: (index.keys, index.unique) for index in state.standing}
    assert keys == {
        "_id_": ((("_id", 1),), True),
        "code_1": ((("code", 1),), True),
        "at_-1": ((("at", -1),), False),
        "city_1": ((("city", 1),), False),
        "city_1_at_-1": ((("city", 1), ("at", -1)), False),
    }
    assert "partial" in collection.index_information()
    state.refuse_writes()


def test_index_over_equal_values_is_a_problem_until_they_are_gone(collection: Any) -> None:
    collection.insert_many([{"code": "a"}, {"code": "a"}])
    state = Indexes()
    make_indexes(RESOURCE, collection, state)
    assert (
        state.problem
        == "the index 'code_1' of 'indexable' can't be made: stored documents have equal values."
    )
    assert "city_1" in {index.name for index in state.standing}
    with pytest.raises(Unavailable, match="code_1"):
        state.refuse_writes()
    collection.delete_one({})
    make_indexes(RESOURCE, collection, state)
    assert state.problem is None


def test_index_with_other_options_is_a_problem(collection: Any) -> None:
    collection.create_index("code")
    state = Indexes()
    make_indexes(RESOURCE, collection, state)
    assert "with other options" in str(state.problem)


def test_collection_that_is_not_there_has_its_key(collection: Any) -> None:
    assert [index.name for index in read_indexes(collection)] == ["_id_"]


def test_nothing_is_written_before_the_indexes_stand() -> None:
    with pytest.raises(Unavailable, match="being made"):
        Indexes().refuse_writes()
