"""Columns of a file are matched with the fields that they are likely to be."""

import pytest

from app.errors import Invalid
from app.pages.matching import Matching, choose_key, name_columns
from app.resources.registry import discover
from app.resources.views import Grants, Rights, Rule, Views
from app.transfers.inspections import Found, FoundColumn

VIEWS = Views(discover("models").values())
KEY = "0123456789abcdef01234567"
CASES = {
    ("users", "name,email,age"): ("name", "email", "age"),
    ("users", "Name,E-Mail,AGE"): ("name", "email", "age"),
    ("users", "Full name,Mail,Age (years),Notes"): ("name", "email", "age", ""),
    ("users", "nmae,emial"): ("name", "email"),
    ("users", "_id,profile.age,age"): ("_id", "profile.age", "age"),
    ("users", "profile.addresses.1.city,City"): (
        "profile.addresses.1.city",
        "profile.addresses.0.city",
    ),
    ("users", "Username,name"): ("", "name"),  # the surer one takes the field
    ("users", "name,Name"): ("name", ""),
    ("users", "profile.addresses,Street"): ("profile.addresses", ""),  # no part of a taken one
    ("users", "name,,error"): ("name", "", ""),
    ("students", "sno,clas.name"): ("sno", "clas.name"),
    ("students", "pwd,name"): ("", "name"),  # never shown, so never offered
}


def find(titles: str, *examples: str) -> Found:
    columns = tuple(FoundColumn(title, examples) for title in titles.split(","))
    return Found("csv", columns=columns)


@pytest.mark.parametrize(("file", "paths"), CASES.items())
def test_columns_are_guessed(file: tuple[str, str], paths: tuple[str, ...]) -> None:
    collection, titles = file
    assert Matching(VIEWS, collection).guess(find(titles)) == paths


def test_a_link_is_found_by_what_its_cells_have() -> None:
    matching = Matching(VIEWS, "students")
    assert matching.guess(find("clas", KEY)) == ("clas",)
    assert matching.guess(find("clas", "高一（1）班")) == ("clas.name",)
    assert matching.guess(find("courses", f'["{KEY}"]')) == ("courses",)
    assert matching.guess(find("Class", "高一（1）班")) == ("clas.name",)


def test_what_is_guessed_is_what_an_import_takes() -> None:
    for collection, titles in CASES:
        matching, found = Matching(VIEWS, collection), find(titles)
        matching.check(found, matching.guess(found))


def test_every_choice_is_a_column_that_an_import_takes() -> None:
    for collection in VIEWS:
        matching = Matching(VIEWS, collection)
        choices = matching.list_choices()
        assert choices
        for choice in choices:
            matching.check(find("A title, with: 100 %".replace(",", ";")), [choice.path])


def test_labels_say_what_is_around_a_field() -> None:
    labels = {one.path: one.label for one in Matching(VIEWS, "users").list_choices()}
    assert labels["profile.age"] == "profile › age"
    assert labels["profile.addresses.0.city"] == "profile › addresses 1 › city"
    through = {one.path: one.label for one in Matching(VIEWS, "students").list_choices()}
    assert through["clas.name"] == "clas › name"
    assert "pwd" not in through


def test_required_fields_that_no_column_has_are_missing() -> None:
    matching = Matching(VIEWS, "users")
    assert [one.path for one in matching.list_missing(["name", "age"])] == ["email"]
    courses = Matching(VIEWS, "courses")
    assert [one.path for one in courses.list_missing(["name", "teacher.tno"])] == []


def test_two_columns_of_one_field_are_refused() -> None:
    found = find("a,b")
    with pytest.raises(Invalid, match="are the same field 'name'"):
        Matching(VIEWS, "users").check(found, ["name", "name"])
    with pytest.raises(Invalid, match="is a part of the column"):
        Matching(VIEWS, "users").check(found, ["profile.addresses", "profile.addresses.0.city"])
    with pytest.raises(Invalid, match="No column of the file is a field"):
        Matching(VIEWS, "users").check(found, ["", ""])


def test_titles_are_named_whatever_signs_they_have() -> None:
    found = find("a:b,100%")
    assert name_columns(found, ["name", ""]) == ("name:a%3Ab", ("100%",))
    assert name_columns(found, ["", ""]) == (None, ("a:b", "100%"))


def test_a_key_is_one_that_the_file_has() -> None:
    possible = [("_id",), ("email",), ("year", "number")]
    assert choose_key(possible, ["_id", "email"]) == "_id"
    assert choose_key(possible, ["email"]) == "email"
    assert choose_key(possible, ["year"]) == ""
    assert choose_key(possible, ["year", "number"]) == "year,number"


def test_fields_that_a_caller_may_not_have_are_never_offered() -> None:
    rule = Rule(hide=("email", "profile.bio"))
    rights = Rights(read=rule, create=rule, update=rule, import_=True)
    views = Views(discover("models").values(), Grants.make({"users": rights}))
    matching = Matching(views, "users")
    paths = [one.path for one in matching.list_choices()]
    assert "profile.age" in paths
    assert not {"email", "profile.bio"} & set(paths)
    assert matching.guess(find("email,name")) == ("", "name")
