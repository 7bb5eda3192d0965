"""Roles: what can't be true in one is named, and what is left for an account."""

from typing import Any

import bson
import pytest

from app.auth.roles import Role, Roles
from app.resources.registry import discover
from app.resources.views import EVERYTHING, NOTHING, WHOLE, Rights, Rule

RESOURCES = discover("models")
ROLES = Roles(RESOURCES.values())
KEY = bson.ObjectId("6740f5b2c1f0a1b2c3d4e5f6")
ACCOUNT: dict[str, Any] = {
    "_id": KEY,
    "name": "ann",
    "attributes": {
        "clas": "1a",
        "classes": ["1a", "1,b", "1&c=d"],
        "one": ["1,a"],
        "none": [],
        "empty": "",
        "holes": ["1a", None],
        "sno": 1234,
        "even": True,
        "school": {"city": "Suzhou"},
        "name": "not ann",
        "nothing": None,
        "attack": "x&sno__gt=1,2|.*",
    },
}


def role(**rules: Any) -> Role:
    return ROLES.read("some role", rules)


def faults(**rules: Any) -> list[tuple[str | None, str]]:
    return [(fault.pointer, fault.detail) for fault in role(**rules).faults]


def where(text: str) -> Rule:
    """The rule that the account has where a role reads students with this `where`."""
    found = role(students={"read": {"where": text}})
    assert found.faults == ()
    rule = found.grants(ACCOUNT).of("students").read
    assert rule is not None
    return rule


TEACHER: dict[str, Any] = {
    "students": {
        "read": {"where": "clas.name={account.clas}", "hide": ["sno"]},
        "update": {"where": "clas.name={account.clas}", "fields": ["name", "courses"]},
        "export": True,
    },
    "courses": {"read": True, "export": True},
    "*": {},
}


def test_the_rights_of_a_role_for_an_account() -> None:
    grants = role(**TEACHER).grants(ACCOUNT)
    mine = (("clas.name", "1a"),)
    assert grants.of("students") == Rights(
        read=Rule(mine, hide=("sno",)), update=Rule(mine, ("name", "courses")), export=True
    )
    assert grants.of("courses") == Rights(read=WHOLE, export=True)
    assert grants.of("users") == grants.of("classes") == NOTHING
    assert grants.of("docsheet.accounts") == NOTHING


def test_the_roles_that_are_always_there() -> None:
    assert ROLES.find("admin", None).grants(ACCOUNT).of("users") == EVERYTHING
    assert ROLES.find("editor", None).grants(ACCOUNT).of("users") == EVERYTHING
    assert ROLES.find("viewer", None).grants(ACCOUNT).of("users") == Rights(read=WHOLE, export=True)
    assert ROLES.find("gone", None).grants(ACCOUNT).of("users") == NOTHING
    for name in ("admin", "editor", "viewer"):
        grants = ROLES.find(name, {"rules": TEACHER}).grants(ACCOUNT)  # one that was smuggled in
        assert grants == ROLES.find(name, None).grants(ACCOUNT)
        assert grants.of("docsheet.accounts") == NOTHING


def test_the_others_are_those_that_are_not_named() -> None:
    grants = role(users={}, **{"*": {"read": True, "delete": True}}).grants(ACCOUNT)
    assert grants.of("users") == NOTHING
    assert grants.of("courses") == Rights(read=WHOLE, delete=WHOLE)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("name={account.name}", [("name", "ann")]),
        ("_id={account._id}", [("_id", str(KEY))]),
        ("sno__gte={account.sno}", [("sno__gte", "1234")]),
        ("name={account.sno}", [("name", "1234")]),
        ("clas__exists={account.even}", [("clas__exists", "true")]),
        ("name={account.school.city}", [("name", "Suzhou")]),
        ("name__startswith=x{account.clas}-", [("name__startswith", "x1a-")]),
        ("name={account.name}&name__ne={account.clas}", [("name", "ann"), ("name__ne", "1a")]),
        ("name=%7Baccount.clas%7D", [("name", "1a")]),
        ("name=a%26b%3Dc+d", [("name", "a&b=c d")]),
        # A value stays a value.
        ("name={account.attack}", [("name", "x&sno__gt=1,2|.*")]),
        ("name__contains={account.attack}", [("name__contains", "x&sno__gt=1,2|.*")]),
        # A single value of a list is given twice, since it would be split at its commas.
        ("name__in={account.attack}", [("name__in", "x&sno__gt=1,2|.*")] * 2),
        ("name__in={account.one}", [("name__in", "1,a")] * 2),
        (
            "name__in={account.classes}",
            [("name__in", "1a"), ("name__in", "1,b"), ("name__in", "1&c=d")],
        ),
        (
            "name__nin=x,{account.one},y",
            [("name__nin", "x"), ("name__nin", "1,a"), ("name__nin", "y")],
        ),
        (
            "name__in=x,y&name__in={account.one}",
            [("name__in", "x,y"), ("name__in", "1,a")],
        ),
        ("name__in=x,y", [("name__in", "x,y")]),
        ("name=&sno=1001", [("name", ""), ("sno", "1001")]),
        ("keyword=^a{2}", [("keyword", "^a{2}")]),
        ("name__regex=^a{2,3}$", [("name__regex", "^a{2,3}$")]),
        ("name__nin={account.none}&sno=1001", [("sno", "1001")]),  # none of nothing: all
    ],
)
def test_what_is_filled_in(text: str, pairs: list[tuple[str, str]]) -> None:
    assert where(text) == Rule(tuple(pairs))


@pytest.mark.parametrize(
    "text",
    [
        "name={account.gone}",
        "name={account.nothing}",
        "name={account.empty}",
        "sno={account.empty}",
        "name={account.school}",
        "name={account.school.gone}",
        "name={account.clas.gone}",
        "name={account.classes}",  # a list serves __in and __nin alone
        "name__ne={account.classes}",
        "name__ne={account.gone}",
        "name__contains={account.classes}",
        "name__in={account.none}",
        "name__in={account.gone}",
        "name__nin={account.gone}",
        "name__in={account.holes}",
        "name__nin={account.holes}",
        "name__in=x{account.classes}",
        "sno={account.clas}",  # no number
        "sno__in={account.classes}",
        "clas__exists={account.clas}",
        "sno=1001&name={account.gone}",
    ],
)
def test_what_can_not_be_filled_in_matches_nothing(text: str) -> None:
    assert where(text) == Rule(nothing=True)


def test_a_rule_that_matches_nothing_keeps_its_fields() -> None:
    rules = {"students": {"read": {"where": "name={account.gone}", "hide": ["sno"]}}}
    rule = role(**rules).grants(ACCOUNT).of("students").read
    assert rule == Rule(hide=("sno",), nothing=True)


def test_an_account_without_attributes() -> None:
    found = role(students={"read": {"where": "name={account.name}"}})
    grants = found.grants({"_id": KEY, "name": "bob"})
    assert grants.of("students").read == Rule((("name", "bob"),))


@pytest.mark.parametrize(
    ("rules", "place", "detail"),
    [
        ([], "#/rules", "This must be an object: rules by resource."),
        ({"student": {}}, "#/rules/student", "There is no resource 'student'. Did you mean"),
        ({"auth/accounts": {"read": True}}, "#/rules/auth~1accounts", "There is no resource"),
        ({"docsheet.accounts": {"read": True}}, "#/rules/docsheet.accounts", "There is no"),
        ({"users": True}, "#/rules/users", "This must be an object: what is allowed"),
        ({"users": {"write": True}}, "#/rules/users/write", "There is no action 'write'"),
        ({"users": {"read": "yes"}}, "#/rules/users/read", "This must be true, false, or"),
        ({"users": {"read": {}}}, "#/rules/users/read", "This must be true, false, or"),
        ({"users": {"read": None}}, "#/rules/users/read", "This must be true, false, or"),
        ({"users": {"read": 1}}, "#/rules/users/read", "This must be true, false, or"),
        (
            {"users": {"read": True, "export": {}}},
            "#/rules/users/export",
            "This must be true or false.",
        ),
        ({"users": {"export": True}}, "#/rules/users/export", "An export shows what `read`"),
        ({"users": {"import": True}}, "#/rules/users/import", "An import writes what"),
        ({"users": {"read": {"were": "a=b"}}}, "#/rules/users/read/were", "Did you mean 'where'?"),
        (
            {"users": {"delete": {"hide": ["name"]}}},
            "#/rules/users/delete/hide",
            "A rule of 'delete' has where only.",
        ),
        ({"users": {"read": {"where": 1}}}, "#/rules/users/read/where", "This must be a text"),
        ({"users": {"read": {"where": ""}}}, "#/rules/users/read/where", "must have a condition"),
        ({"users": {"read": {"where": "&"}}}, "#/rules/users/read/where", "must have a condition"),
        ({"users": {"read": {"where": "a=%ff"}}}, "#/rules/users/read/where", "percent-encoded"),
        ({"users": {"read": {"where": "nam=x"}}}, "#/rules/users/read/where", "Did you mean"),
        ({"users": {"read": {"where": "name"}}}, None, ""),  # the empty text, as in a list
        ({"users": {"read": {"where": "age"}}}, "#/rules/users/read/where", "age: a value is"),
        ({"users": {"read": {"where": "age__in="}}}, "#/rules/users/read/where", "a value is"),
        ({"users": {"read": {"where": "keyword="}}}, "#/rules/users/read/where", "a value is"),
        (
            {"users": {"read": {"where": "age__gte=&age__gte=18"}}},
            "#/rules/users/read/where",
            "age__gte: a value is required.",
        ),
        ({"users": {"read": {"where": "age=old"}}}, "#/rules/users/read/where", "not 'old'"),
        (
            {"users": {"read": {"where": "age__contains=1"}}},
            "#/rules/users/read/where",
            "has no operator 'contains'",
        ),
        ({"users": {"read": {"where": "name=a&limit=5"}}}, "#/rules/users/read/where", "limit"),
        ({"users": {"read": {"where": "name=a&sort=name"}}}, "#/rules/users/read/where", "sort"),
        (
            {"users": {"read": {"where": "nam={account.name}"}}},
            "#/rules/users/read/where",
            "Did you mean",
        ),
        (
            {"students": {"read": {"where": "pwd={account.name}"}}},  # which nobody may ask for
            "#/rules/students/read/where",
            "there is no such parameter here",
        ),
        (
            {"students": {"read": {"where": "clas.nam={account.name}"}}},
            "#/rules/students/read/where",
            "Did you mean 'clas.name'?",
        ),
        (
            {"users": {"read": {"where": "{account.name}=x"}}},
            "#/rules/users/read/where",
            "a placeholder is a value",
        ),
        (
            {"users": {"read": {"where": "name={acount.name}"}}},
            "#/rules/users/read/where",
            "there is no placeholder {acount.name}",
        ),
        (
            {"users": {"read": {"where": "name={account}"}}},
            "#/rules/users/read/where",
            "there is no placeholder {account}",
        ),
        (
            {"users": {"read": {"where": "name={account.}"}}},
            "#/rules/users/read/where",
            "there is no placeholder {account.}",
        ),
        (
            {"users": {"read": {"where": "name__regex={account.name}"}}},
            "#/rules/users/read/where",
            "can't be in a regular expression",
        ),
        (
            {"users": {"read": {"where": "keyword={account.name}"}}},
            "#/rules/users/read/where",
            "can't be in a regular expression",
        ),
        ({"users": {"read": {"fields": "name"}}}, "#/rules/users/read/fields", "must be a list"),
        ({"users": {"read": {"fields": ["nam"]}}}, "#/rules/users/read/fields/0", "Did you mean"),
        ({"users": {"read": {"hide": [1]}}}, "#/rules/users/read/hide/0", "no field 1"),
        ({"users": {"read": {"hide": ["name", "_id"]}}}, "#/rules/users/read/hide/1", "`_id` may"),
        (
            {"students": {"read": {"hide": ["clas.name"]}}},  # a field of another resource
            "#/rules/students/read/hide/0",
            "There is no field 'clas.name'",
        ),
        (
            {"students": {"read": {"hide": ["pwd"]}}},  # never shown
            "#/rules/students/read/hide/0",
            "There is no field 'pwd'",
        ),
        ({"students": {"update": {"hide": ["pwd"]}}}, None, ""),
        (
            {"users": {"read": {"fields": ["name"], "hide": ["age"]}}},
            "#/rules/users/read/hide",
            "either `fields` or `hide`",
        ),
        ({"*": {"read": {"where": "_id__exists=true"}}}, None, ""),
        (
            {"*": {"read": {"hide": ["email"]}}},
            "#/rules/*/read/hide/0",
            "classes: There is no field 'email'.",
        ),
        (
            {"users": {}, "*": {"read": {"where": "sno=1"}}},
            "#/rules/*/read/where",
            "classes: sno: there is no such parameter here.",
        ),
    ],
)
def test_what_can_not_be_true(rules: Any, place: str | None, detail: str) -> None:
    found = ROLES.read("some role", rules).faults
    assert [fault.pointer for fault in found] == ([place] if place else [])
    assert not place or detail in found[0].detail


def test_all_that_is_wrong_is_named_at_once() -> None:
    found = faults(
        users={"read": {"where": "nam=x&agee=1", "hide": ["nope", "name"]}, "expor": True},
        nobody={},
    )
    assert [place for place, _ in found] == [
        "#/rules/nobody",
        "#/rules/users/read/where",
        "#/rules/users/read/hide/0",
        "#/rules/users/expor",
    ]


def test_what_stopped_being_true_is_closed_and_the_rest_holds() -> None:
    stored = {
        "name": "teacher",
        "rules": {
            "students": {
                "read": {"where": "clas.name={account.clas}", "hide": ["birthday"]},
                "update": {"fields": ["name"]},
                "export": True,
            },
            "gone": {"read": True},
            "*": {"read": {"where": "email__exists=true"}, "delete": True},
        },
    }
    grants = ROLES.find("teacher", stored).grants(ACCOUNT)
    assert not grants.of("students").may("read")
    assert not grants.of("students").may("export")
    assert grants.of("students").update == Rule(fields=("name",))
    assert grants.of("users").read == Rule((("email__exists", "true"),))
    assert grants.of("courses") == Rights(delete=WHOLE)
    assert list(ROLES.problems([stored, {"name": "fine", "rules": TEACHER}])) == [
        "The role 'teacher' is closed at #/rules/gone: There is no resource 'gone'.",
        "The role 'teacher' is closed at #/rules/*/read/where: "
        "classes: email__exists: there is no such parameter here. "
        "The nearest known name is '_id__exists'.",
        "The role 'teacher' is closed at #/rules/students/read/hide/0: "
        "There is no field 'birthday'.",
    ]


@pytest.mark.parametrize("rules", [None, 3, "x", {"users": 3}, {"users": {"read": [1]}}])
def test_what_another_program_stored_as_rules_allows_nothing(rules: Any) -> None:
    found = ROLES.find("odd", {"rules": rules})
    assert found.grants(ACCOUNT).of("users") == NOTHING
    assert found.faults
