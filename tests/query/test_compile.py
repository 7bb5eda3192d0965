"""A query string as a query: what can be said without a database."""

import sys
from collections.abc import Sequence
from typing import Any

import pytest
from beanie import Document
from pydantic import create_model

from app.errors import Invalid
from app.query import tokens
from app.query.compile import Compiler, Query
from app.query.ordering import Index, Sort
from app.query.plan import make_plan
from app.query.tokens import Place, Pointer
from app.resources import elements
from app.resources.registry import make_resource
from app.settings import Settings
from models.user import User
from tests.support.compilers import compiler_of

INDEXES = (Index("_id_", (("_id", 1),), True), Index("email_1", (("email", 1),), True))
COMPILER = compiler_of(make_resource(User))


def compiled(*pairs: tuple[str, str]) -> Query:
    return COMPILER.list(pairs)


def ordered(sort: str, indexes: Sequence[Index] = INDEXES) -> Sort:
    """The total order of a list that is sorted so."""
    return make_plan(compiled(("sort", sort)), indexes, Settings(_env_file=None)).sort  # type: ignore[call-arg]


def test_sort_adds_id_so_pages_never_repeat() -> None:
    assert ordered("-age,name") == (("age", -1), ("name", 1), ("_id", 1))
    assert ordered("age,-_id,name") == (("age", 1), ("_id", -1))
    assert ordered("") == (("_id", 1),)


def test_sort_adds_no_id_where_a_unique_index_decides() -> None:
    assert ordered("-email") == (("email", -1),)
    assert ordered("age,email") == (("age", 1), ("email", 1))
    assert ordered("email", INDEXES[:1]) == (("email", 1), ("_id", 1))


def test_a_value_is_never_an_operator() -> None:
    query = compiled(
        ("name", '{"$ne": null}'), ("email__in", "$gt,[$ne]"), ("name__contains", "a.*$")
    )
    assert query.filter == {
        "$and": [
            {"name": {"$eq": '{"$ne": null}'}},
            {"email": {"$in": ["$gt", "[$ne]"]}},
            {"name": {"$regex": r"a\.\*\$", "$options": "i"}},
        ]
    }


def test_the_fingerprint_is_that_of_the_conditions_in_any_order() -> None:
    one, other = ("age__gte", "1"), ("name", "x")
    assert (
        compiled(one, other).fingerprint
        == compiled(other, one, ("limit", "3"), ("count", "none")).fingerprint
    )
    assert compiled(one, other).fingerprint != compiled(one).fingerprint
    assert compiled(one).fingerprint != compiled(("age__gt", "1")).fingerprint
    assert compiled(one, ("sort", "_id")).fingerprint == compiled(one).fingerprint


def test_every_fault_is_collected() -> None:
    with pytest.raises(Invalid) as caught:
        compiled(("limit", "0"), ("age", "x"), ("nmae", "y"), ("sort", "z"))
    assert [fault.parameter for fault in caught.value.faults] == ["nmae", "limit", "age", "sort"]
    assert "and 3 more" in caught.value.detail


def test_a_token_reads_back() -> None:
    for value in (b"\x0a", b"\x06", elements.make_text(elements.STRING, b"\xff")):
        position = elements.make_document([("k0", value), ("k1", b"\x7f")])
        for place in (Place(position, shown=3), Place(position, backwards=True), tokens.END):
            token = tokens.write_token(place, b"\x7f", b"fingerprint")
            assert tokens.read_token(token, b"fingerprint") == place
            with pytest.raises(ValueError):
                tokens.read_token(token, b"other")


def test_a_token_without_a_direction_goes_on_working() -> None:
    position = elements.make_document([("k0", b"\x0a")])
    for written, shown in (
        ("2i4CuKw4sw2CEQAAAANwAAkAAAAKazAAAAA", 0),
        ("6BfaZ92PiiNkGAAAAANwAAkAAAAKazAAABBuAAIAAAAA", 2),
    ):
        assert tokens.read_token(written, b"fingerprint") == Place(position, shown)


def test_a_token_is_short_whatever_the_key() -> None:
    text = elements.make_text(elements.STRING, b"x" * 50_000)
    for key in (b"\x7f", text):
        position = elements.make_document([("k0", text), ("k1", key)])
        place = Place(position, backwards=key == text)
        token = tokens.write_token(place, key, b"fingerprint")
        assert len(token) <= 1_500
        pointer = tokens.read_token(token, b"fingerprint")
        assert isinstance(pointer, Pointer)
        assert pointer.backwards == place.backwards
        assert pointer.is_of(position)
        assert not pointer.is_of(position[:-1])
        assert pointer.is_bound == (key == text)
        assert key.startswith(pointer.key[:1])


def test_a_token_of_ones_own_making_can_not_hold_an_operator() -> None:
    """Its checksum can be computed by anybody; what is behind the position never gets further."""
    inner = elements.make_document([("k0", b"\x0a")])
    for position in (inner + b"\x0a$ne\0", b"\xff" + inner[1:], inner[:-1] + b"\x01"):
        payload = elements.make_document([("p", bytes([elements.OBJECT]) + position)])
        data = tokens._digest(payload, b"fingerprint") + payload
        try:
            found = tokens.read_token(tokens._text(data), b"fingerprint")
        except ValueError:
            continue
        assert found == Place(inner)


def test_reading_costs_little_and_does_not_grow_with_the_number_of_fields() -> None:
    fields: dict[str, Any] = {f"field_{number}": (int | None, None) for number in range(120)}
    wide = compiler_of(make_resource(create_model("Wide", __base__=Document, **fields)))
    typical = [
        ("profile.age__gte", "18"),
        ("name__contains", "x"),
        ("sort", "-profile.age"),
        ("limit", "20"),
    ]
    of_wide = [("field_7__gte", "18"), ("field_100", "5"), ("sort", "-field_3"), ("limit", "20")]

    def calls(compiler: Compiler, pairs: list[tuple[str, str]]) -> int:
        """How many functions are called to read a query; the first time fills caches."""
        compiler.list(pairs)
        made: list[str] = []
        sys.setprofile(lambda frame, event, argument: made.append(event))
        try:
            compiler.list(pairs)
        finally:
            sys.setprofile(None)
        return sum(event.endswith("call") for event in made)

    assert calls(COMPILER, typical) < 150
    assert calls(wide, of_wide) < 150
