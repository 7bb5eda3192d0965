"""Scopes: which hold others, and what of a role's rights they leave."""

import pytest

from app.auth.roles import Roles
from app.auth.scopes import covers, find_beyond, limit, list_scopes, read_scopes, scopes_of
from app.resources.registry import discover
from app.resources.views import EVERYTHING, NOTHING, WHOLE, Grants, Rights, Rule

RESOURCES = discover("models")
ROLES = Roles(RESOURCES.values())
ADDRESSES = {resource.name: resource.address for resource in RESOURCES.values()}
MINE = Rule((("name", "ann"),))
KEY_ALONE = Rule(fields=())


@pytest.mark.parametrize(
    ("scopes", "scope", "right"),
    [
        ("admin", "users:read", True),
        ("admin", "metrics", True),
        ("read", "read", True),
        ("read", "users:read", True),
        ("read", "export", False),
        ("users:read", "read", False),
        ("users:read", "users:read", True),
        ("users:read", "courses:read", False),
        ("write", "create", True),
        ("write", "users:delete", True),
        ("write", "users:write", True),
        ("users:write", "users:update", True),
        ("users:write", "courses:update", False),
        ("users:write", "write", False),
        ("create update delete", "write", True),
        ("create update delete", "users:write", True),
        ("create update", "write", False),
        ("create users:update users:delete", "users:write", True),
        ("read write export import metrics", "admin", False),
        ("write", "read", False),
        ("", "read", False),
    ],
)
def test_which_scopes_hold_others(scopes: str, scope: str, right: bool) -> None:
    assert covers(scopes.split(), scope) is right


def test_what_is_asked_for_beyond_is_named() -> None:
    assert find_beyond(["read", "users:write"], ["users:read", "users:create", "export"]) == [
        "export"
    ]


def test_unknown_scopes_are_refused() -> None:
    resources = RESOURCES.values()
    assert read_scopes(["read", "users:read"], resources) == {"read", "users:read"}
    with pytest.raises(ValueError, match=r"there is no scope 'raed'\. Did you mean 'read'\?"):
        read_scopes(["raed"], resources)
    with pytest.raises(ValueError, match="there is no scope 'nobody:read'"):
        read_scopes(["nobody:read"], resources)
    with pytest.raises(ValueError, match="there is no scope 'users:admin'"):
        read_scopes(["users:admin"], resources)
    assert "students:write" in list_scopes(resources)


def test_the_scopes_of_roles() -> None:
    def of(name: str, rules: object = None) -> set[str]:
        found = ROLES.find(name, {"rules": rules})
        return set(scopes_of(found, RESOURCES.values()))

    assert of("admin") == {"admin"}
    assert of("editor") == {"read", "create", "update", "delete", "export", "import"}
    assert of("viewer") == {"read", "export"}
    rules = {"users": {"read": True, "update": {"fields": ["name"]}}, "*": {"read": True}}
    assert of("other", rules) == {"read", "users:update"}
    assert of("gone") == set()


@pytest.mark.parametrize(
    ("scopes", "rights"),
    [
        ("admin", EVERYTHING),
        ("read write export import", EVERYTHING),
        ("read", Rights(read=WHOLE, only=("read",))),
        ("users:read", Rights(read=WHOLE, only=("read",))),
        ("courses:read", NOTHING),
        ("metrics", NOTHING),
        ("", NOTHING),
        (
            "users:write",
            Rights(KEY_ALONE, WHOLE, WHOLE, WHOLE, only=("create", "update", "delete")),
        ),
        # The rules stay that say what is shown and what may be written.
        ("export", Rights(read=WHOLE, export=True, only=("export",))),
        ("import", Rights(KEY_ALONE, WHOLE, WHOLE, None, import_=True, only=("import",))),
    ],
)
def test_what_scopes_leave(scopes: str, rights: Rights) -> None:
    grants = limit(Grants.make({"users": EVERYTHING}), frozenset(scopes.split()), ADDRESSES)
    assert grants.of("users") == rights
    for action in ("read", "create", "update", "delete", "export", "import"):
        assert rights.may(action) is covers(scopes.split(), f"users:{action}")  # type: ignore[arg-type]


def test_scopes_never_widen_a_role() -> None:
    grants = limit(
        Grants.make({"users": Rights(read=MINE)}), frozenset(["read", "write", "export"]), ADDRESSES
    )
    assert grants.of("users").read == MINE
    assert not any(
        grants.of("users").may(action) for action in ("create", "update", "delete", "export")
    )
    assert grants.of("docsheet.accounts") == NOTHING
