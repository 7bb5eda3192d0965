"""A resource as one caller sees it: fields that aren't there, options cut, what is shown."""

import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from beanie import Document
from pydantic import BaseModel, Field

from app.resources.registry import Resource, make_resource
from app.resources.rendering import presenter
from app.resources.views import ALL, NOTHING, WHOLE, Grants, Rights, Rule, Views, narrow
from tests.support.compilers import compiler_of
from tests.support.packages import served


class Place(BaseModel):
    city: str = ""
    street: str = ""


class Card(BaseModel):
    number: str = ""


class Note(BaseModel):
    text: str = ""
    secret: str = ""
    below: list["Note"] = []


class Guest(Document):
    name: str
    salary: int = 0
    password: str = Field("", exclude=True)
    home: Place = Place()
    office: Place = Place()
    places: list[Place]
    by_name: dict[str, Place]
    by_year: dict[str, dict[str, Card]]
    notes: list[Note]
    paid: Card | Note | None = None

    class Settings:
        name = "guests"

    class Resource:
        search = ("name", "home.street")
        columns = ("name", "salary:What is paid", "home.street")
        sort = "-salary,name"


GUESTS = make_resource(Guest)


def see(**rule: Any) -> Resource:
    grants = Grants.make({"guests": Rights(read=Rule(**rule))})
    return Views([GUESTS], grants)["guests"].resource


def shown(document: dict[str, Any], **rule: Any) -> dict[str, Any]:
    present = presenter(narrow(GUESTS.shape, Rule(**rule)))
    if present is not None:
        present(document)
    return document


def test_nothing_is_made_for_who_may_see_everything() -> None:
    view = Views([GUESTS])["guests"]
    assert view.resource is view.whole is GUESTS
    assert view.projection is None
    assert Views([GUESTS], Grants.make({"guests": Rights(read=WHOLE)}))["guests"].resource is GUESTS


@pytest.mark.parametrize(
    "rule",
    [
        {"hide": ("salary", "home.street")},
        {"fields": ("name", "home.city", "office", "notes")},
    ],
)
def test_what_is_hidden_is_no_path(rule: dict[str, Any]) -> None:
    shape = see(**rule).shape
    for path in ("salary", "home.street", "password"):
        assert shape.find(path) is None
        assert path not in [found.path for found in shape.walk()]
        assert path not in [found.path for found in shape.list_flat()]
    for path in ("_id", "name", "home.city", "office.street", "notes.text"):
        assert shape.find(path) is not None


def test_what_is_below_a_hidden_field_is_hidden() -> None:
    assert see(hide=("home",)).shape.find("home.city") is None
    assert see(fields=("name",)).shape.find("home.city") is None


def test_only_the_fields_that_are_named_are_shown_whatever_else_is_stored() -> None:
    stored = {
        "_id": 1, "name": "x", "salary": 5, "extra": 1, "password": "y",
        "home": {"city": "a", "street": "b", "extra": 1}, "office": "a text, where an object is",
        "places": [{"city": "a", "street": "b"}, "a text", [{"street": "c"}]],
    }  # fmt: skip
    fields = ("name", "home.city", "office.city", "places.city")
    assert shown(stored, fields=fields) == {
        "_id": 1, "name": "x", "home": {"city": "a"}, "places": [{"city": "a"}, [{}]],
    }  # fmt: skip


def test_what_is_not_hidden_is_shown_as_it_is_stored() -> None:
    stored = {"_id": 1, "salary": 5, "extra": 1, "home": {"city": "a", "street": "b", "extra": 1}}
    assert shown(stored, hide=("salary", "home.street")) == {
        "_id": 1, "extra": 1, "home": {"city": "a", "extra": 1},
    }  # fmt: skip


def test_siblings_of_one_model_are_not_hidden_with_each_other() -> None:
    stored = {name: {"city": "a", "street": "b"} for name in ("home", "office")}
    assert shown(stored, hide=("home.street",)) == {
        "home": {"city": "a"},
        "office": {"city": "a", "street": "b"},
    }


def nest(levels: int) -> dict[str, Any]:
    inner = [nest(levels - 1)] if levels else []
    return {"text": "t", "secret": "s", "below": inner}


@pytest.mark.parametrize("levels", [1, 3, 30])
def test_a_field_of_a_model_nested_in_itself_is_hidden_on_every_level(levels: int) -> None:
    document = shown({"notes": [nest(levels)]}, hide=("notes.secret",))
    assert "secret" not in str(document)
    shape = see(hide=("notes.secret",)).shape
    assert shape.find("notes.below.below.secret") is None
    assert shape.find("notes.below.below.text") is not None


def test_the_key_is_always_seen() -> None:
    assert shown({"_id": 1, "name": "x"}, fields=()) == {"_id": 1}
    assert shown({"_id": 1, "name": "x"}, hide=("_id", "name")) == {"_id": 1}


def test_who_may_not_read_sees_the_key_alone() -> None:
    view = Views([GUESTS], Grants.make({"guests": Rights(create=WHOLE)}))["guests"]
    assert [found.path for found in view.resource.shape.walk()] == ["_id"]
    assert "guests" not in Views([GUESTS], Grants()).shapes


def test_options_are_cut_to_what_is_seen() -> None:
    options = see(hide=("salary", "home.street")).options
    assert options.search == ("name",)
    assert options.columns == ("name",)
    assert options.sort == "name"
    assert see(hide=("office",)).options == GUESTS.options


def test_a_rule_that_hides_what_is_not_there_shows_nothing() -> None:
    view = Views([GUESTS], Grants.make({"guests": Rights(read=Rule(hide=("salry",)))}))["guests"]
    assert view.rights.read is None
    assert [found.path for found in view.resource.shape.walk()] == ["_id"]


@pytest.mark.parametrize(
    ("rule", "projection"),
    [
        ({"hide": ("salary", "home", "home.city")}, {"salary": 0, "password": 0, "home": 0}),
        ({"hide": ("places.street",)}, {"password": 0, "places.street": 0}),
        ({"fields": ("name", "home.city")}, {"_id": 1, "name": 1, "home.city": 1}),
        ({"fields": ("home.city", "home")}, {"_id": 1, "home": 1}),
        ({"fields": ()}, {"_id": 1}),
        ({"where": (("name", "x"),)}, None),
    ],
)
def test_what_is_hidden_is_not_asked_of_the_database(
    rule: dict[str, Any], projection: dict[str, int] | None
) -> None:
    view = Views([GUESTS], Grants.make({"guests": Rights(read=Rule(**rule))}))["guests"]
    assert view.projection == projection


class Inner(BaseModel):
    pin: str = Field("", exclude=True)
    code: str = ""


class Holder(Document):
    either: Inner | Card | None = None
    deep: dict[str, dict[str, Inner]]

    class Settings:
        name = "holders"


def test_what_one_of_several_models_excludes_is_no_path() -> None:
    shape = make_resource(Holder).shape
    assert shape.find("either.pin") is None
    assert shape.find("either.code") is not None
    assert shape.find("deep.a.b.pin") is None


def test_no_order_is_by_objects_of_which_something_is_hidden() -> None:
    names = compiler_of(make_resource(Holder)).names
    with pytest.raises(ValueError, match="holds objects"):
        names.sort("either")
    hidden = Grants.make({"guests": Rights(read=Rule(hide=("notes.secret",)))})
    assert compiler_of(GUESTS, grants=hidden).names.sort("paid") == (("paid", 1),)


def test_what_is_excluded_is_hidden_in_maps_of_maps() -> None:
    document = {"deep": {"a": {"b": {"pin": "1", "code": "2"}}}}
    present = presenter(make_resource(Holder).shape)
    assert present is not None
    present(document)
    assert document == {"deep": {"a": {"b": {"code": "2"}}}}


def test_grants_are_the_same_in_another_process() -> None:
    grants = Grants.make({"guests": Rights(read=Rule(hide=("x",))), "*": NOTHING})
    hash(grants)
    copy = pickle.loads(pickle.dumps(grants))
    assert copy == grants
    assert "_hash" not in vars(copy)
    assert copy.of("guests").may("read")
    assert not copy.of("others").may("read")
    assert ALL.of("whatever").may("import")


TWO = """
from beanie import Document, Link


class Owner(Document):
    name: str
    phone: str = ""

    class Settings:
        name = "owners"


class Boat(Document):
    name: str
    owner: Link[Owner] | None = None

    class Settings:
        name = "boats"

    class Resource:
        columns = ["name", "owner.name", "owner.phone:Call"]
"""


@pytest.fixture(scope="module")
def boats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Resource]]:
    for resources in served(tmp_path_factory.mktemp("views"), "models_of_views", {"boats": TWO}):
        yield list(resources.values())


@pytest.mark.parametrize(
    ("owners", "columns"),
    [
        (Rights(read=WHOLE), ("name", "owner.name", "owner.phone:Call")),
        (Rights(read=Rule(hide=("phone",))), ("name", "owner.name")),
        (NOTHING, ("name",)),
    ],
)
def test_columns_reach_to_what_is_seen_behind_links(
    boats: list[Resource], owners: Rights, columns: tuple[str, ...]
) -> None:
    views = Views(boats, Grants.make({"boats": Rights(read=WHOLE), "owners": owners}))
    assert views["boats"].resource.options.columns == columns
