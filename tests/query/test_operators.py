"""An operator is one line of `OPERATORS`; the query string, its errors and OpenAPI go by it."""

import pytest
from httpx import QueryParams

from app.api.operations import of_collection
from app.errors import Invalid
from app.query import operators
from app.query.compile import Compiler
from app.query.operators import OPERATORS, Operator, escape, ignore_case
from app.resources.kinds import Filters
from app.resources.registry import make_resource
from models.user import User
from tests.support.compilers import compiler_of


def ends(text: str) -> operators.Test:
    return ignore_case(escape(text) + r"\z")


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Compiler:
    """A compiler of users with one more operator."""
    new = Operator("endswith", "literal", Filters.TEXT, ends, "ends with")
    monkeypatch.setitem(OPERATORS, "endswith", new)
    return compiler_of(make_resource(User))


def test_a_new_operator_is_one_line(compiler: Compiler) -> None:
    asked = QueryParams("name__endswith=a.b&profile.addresses.city__endswith=x").multi_items()
    found = {"$regex": r"a\.b\z", "$options": "i"}, {"$regex": r"x\z", "$options": "i"}
    assert compiler.list(asked).filter == {
        "$and": [{"name": found[0]}, {"profile.addresses.city": found[1]}]
    }


def test_a_new_operator_has_only_the_fields_of_its_level(compiler: Compiler) -> None:
    with pytest.raises(Invalid, match="age__endswith"):
        compiler.list([("age__endswith", "1")])


def test_a_new_operator_is_suggested(compiler: Compiler) -> None:
    with pytest.raises(Invalid, match="name__endswith"):
        compiler.list([("name__endwith", "1")])


def test_a_new_operator_is_described(compiler: Compiler) -> None:
    names = [parameter["name"] for parameter in of_collection(compiler)[0].parameters]
    assert "name__endswith" in names
    assert "age__endswith" not in names
