"""Rules as conditions: below every query of whoever has them, and behind every link."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.errors import Invalid
from app.query.compile import Compiler, Compilers
from app.query.conditions import Join
from app.resources.registry import Resource
from app.resources.views import EVERYTHING, WHOLE, Grants, Rights, Rule, Views
from tests.support.packages import served

MODELS = """
from beanie import Document, Link


class Town(Document):
    name: str
    size: int = 0

    class Settings:
        name = "towns"


class House(Document):
    name: str
    floors: int = 0
    town: Link[Town] | None = None
    near: list[Link["House"]] = []

    class Settings:
        name = "houses"
"""
NONE = {"_id": {"$in": []}}


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Resource]]:
    for found in served(tmp_path_factory.mktemp("rules"), "models_of_rules", {"houses": MODELS}):
        yield list(found.values())


@pytest.fixture
def compile_with(resources: list[Resource]) -> Any:
    def make(houses: Rule | None, towns: Rule | None = WHOLE) -> Compiler:
        rights = {"houses": Rights(read=houses), "towns": Rights(read=towns)}
        return Compilers(Views(resources, Grants.make(rights)))["houses"]

    return make


def where(*pairs: tuple[str, str]) -> Rule:
    return Rule(where=pairs)


@pytest.mark.parametrize(
    ("rule", "condition"),
    [
        (WHOLE, {}),
        (where(("floors__gte", "2")), {"floors": {"$gte": 2}}),
        (where(("name__in", "a,b")), {"name": {"$in": ["a", "b"]}}),
        (where(("name__in", "a,b"), ("name__in", "c")), {"name": {"$in": ["a,b", "c"]}}),
        (where(("floors", "1"), ("name", "")), {"$and": [{"floors": {"$eq": 1}},
                                                         {"name": {"$eq": ""}}]}),
        (where(("floors", "")), NONE),
        (where(("floors", "x")), NONE),
        (where(("flors", "1")), NONE),
        (where(("limit", "1")), NONE),
        (Rule(nothing=True), NONE),
        (Rule((("floors", "1"),), nothing=True), NONE),
    ],
)  # fmt: skip
def test_a_rule_is_below_every_query(compile_with: Any, rule: Rule, condition: Any) -> None:
    compiler = compile_with(rule)
    assert compiler.list([]).filter == condition
    assert compiler.export([])[0].filter == condition
    asked = {"name": {"$eq": "x"}}
    expected = {"$and": [asked, *condition.get("$and", [condition])]} if condition else asked
    assert compiler.list([("name", "x")]).filter == expected
    assert compiler.many([("name", "x"), ("max_affected", "1")]).query.filter == expected


def test_who_may_not_read_finds_nothing(compile_with: Any) -> None:
    assert compile_with(None).list([]).filter == NONE
    assert compile_with(None).export([])[0].filter == NONE


def test_a_condition_of_ones_own_is_required_all_the_same(compile_with: Any) -> None:
    with pytest.raises(Invalid, match="a condition is required"):
        compile_with(where(("floors", "1"))).many([("max_affected", "1")])


def test_a_rule_may_ask_for_what_is_hidden(compile_with: Any) -> None:
    rule = Rule((("floors", "1"), ("town.size__gt", "5")), hide=("floors", "town"))
    query = compile_with(rule, None).list([])
    assert query.filter == {"floors": {"$eq": 1}}
    assert query.joins == (Join("town", "towns", {"size": {"$gt": 5}}, of_rule=True),)


def test_what_is_asked_behind_a_link_has_that_resources_rule(compile_with: Any) -> None:
    compiler = compile_with(where(("town.name", "A")), where(("size__lt", "9")))
    (asked, rule) = compiler.list([("town.name__ne", "B")]).joins
    condition = {"$and": [{"name": {"$eq": "B"}}, {"size": {"$lt": 9}}]}
    assert asked == Join("town", "towns", condition, negated=True)
    assert rule == Join("town", "towns", {"name": {"$eq": "A"}}, of_rule=True)


def test_every_link_on_a_path_has_its_rule(compile_with: Any) -> None:
    compiler = compile_with(where(("town.name", "A")), where(("size__lt", "9")))
    (asked, _) = compiler.list([("near.town.name", "B")]).joins
    of_town = {"$and": [{"name": {"$eq": "B"}}, {"size": {"$lt": 9}}]}
    of_rule = Join("town", "towns", {"name": {"$eq": "A"}}, of_rule=True)
    assert asked == Join("near", "houses", {}, (Join("town", "towns", of_town), of_rule))


def test_a_rule_is_of_a_rule_behind_every_link(compile_with: Any) -> None:
    (rule,) = compile_with(where(("near.town.name", "A"))).list([]).joins
    assert (rule.of_rule, [one.of_rule for one in rule.joins]) == (True, [True])


def test_an_expansion_has_that_resources_rule(compile_with: Any) -> None:
    compiler = compile_with(WHOLE, where(("size__lt", "9")))
    (expansion,) = compiler.read([("expand", "town")]).expand
    assert [one.render() for one in expansion.below] == [{"size": {"$lt": 9}}]


def test_a_token_is_of_one_rule(compile_with: Any) -> None:
    prints = [compile_with(rule).list([("sort", "name")]).fingerprint
              for rule in (WHOLE, where(("floors", "1")), where(("floors", "2")))]  # fmt: skip
    assert len(set(prints)) == 3
    both = [where(("floors", "1"), ("name", "x")), where(("name", "x"), ("floors", "1"))]
    assert len({compile_with(rule).list([]).fingerprint for rule in both}) == 1


def test_each_action_has_its_conditions(resources: list[Resource]) -> None:
    rights = Rights(read=WHOLE, update=where(("floors", "1")), delete=Rule(nothing=True))
    compiler = Compilers(Views(resources, Grants.make({"houses": rights})))["houses"]
    found = {
        action: [one.render() for one in compiler.conditions_of(action)]
        for action in ("read", "create", "update", "delete")
    }
    assert found == {
        "read": [], "create": [NONE], "update": [{"floors": {"$eq": 1}}], "delete": [NONE],
    }  # fmt: skip


def test_whoever_may_do_everything_asks_as_if_there_were_no_rules(
    resources: list[Resource],
) -> None:
    everything = Compilers(Views(resources))["houses"]
    admin = Compilers(Views(resources, Grants(others=EVERYTHING)))["houses"]
    pairs = [("town.name", "x"), ("sort", "name"), ("expand", "town")]
    assert everything.list(pairs) == admin.list(pairs)
    assert everything.below == ()
