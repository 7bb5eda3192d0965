"""Conditions: objects as they were asked, rendered to MongoDB's filter."""

from typing import Any

import pytest
from beanie import Document

from app.query.conditions import Condition, Search
from app.query.operators import OPERATORS
from app.resources.registry import make_resource
from models.user import User
from tests.support.compilers import compiler_of


class Loose(Document):
    """A dict of anything."""

    anything: dict[str, Any]


@pytest.mark.parametrize(
    ("pairs", "filter_"),
    [
        ([], {}),
        ([("age__gte", "18")], {"age": {"$gte": 18}}),
        ([("keyword", "an")], {"name": {"$regex": "an", "$options": "i"}}),
        ([("age", "1"), ("age", "2")], {"$and": [{"age": {"$eq": 1}}, {"age": {"$eq": 2}}]}),
        ([("name__exists", "true")], {"name": {"$ne": None}}),
        ([("name__startswith", "a.b")], {"name": {"$regex": r"^a\.b", "$options": "i"}}),
        ([("age__in", "1,2")], {"age": {"$in": [1, 2]}}),
        ([("age", "")], {}),
    ],
)  # fmt: skip
def test_filters(pairs: list[tuple[str, str]], filter_: Any) -> None:
    assert compiler_of(make_resource(User)).list(pairs).filter == filter_


def test_conditions_stay_objects() -> None:
    query = compiler_of(make_resource(User)).list([("keyword", "x"), ("profile.age__lt", "5")])
    search, condition = query.conditions
    assert search == Search(("name",), "x")
    assert isinstance(condition, Condition)
    assert condition.found.path == "profile.age"
    assert (condition.operator, condition.value) == (OPERATORS["lt"], 5)


def test_a_value_without_a_type_is_each_that_it_may_be() -> None:
    compiler = compiler_of(make_resource(Loose))
    assert compiler.list([("anything.t__gt", "x")]).filter == {"anything.t": {"$gt": "x"}}
    assert compiler.list([("anything.t", "true")]).filter == {"anything.t": {"$in": ["true", True]}}
    assert compiler.list([("anything.t__lte", "true")]).filter == {
        "$or": [{"anything.t": {"$lte": "true"}}, {"anything.t": {"$lte": True}}]
    }
