"""Scopes: what a token, a key or a session may do at most, in the words that OAuth2 has for it.

`read`, `create`, `update`, `delete`, `write` (those three), `export` and `import` are for every
resource, `users:read` for one; `metrics`; `admin` holds them all.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from app.api.callers import ADMIN
from app.auth.roles import Role
from app.resources.registry import Resource
from app.resources.views import NOTHING, Action, Grants, Rights, Rule
from app.spelling import suggest_nearest

Scopes = frozenset[str]
METRICS, WRITE = "metrics", "write"
WRITES: tuple[Action, ...] = ("create", "update", "delete")
ACTIONS: tuple[Action, ...] = ("read", *WRITES, "export", "import")
GENERAL = (*ACTIONS, WRITE, METRICS, ADMIN)  # without a resource
ALL: Scopes = frozenset((ADMIN,))


def read_scopes(words: Iterable[str], resources: Iterable[Resource]) -> Scopes:
    """The scopes of these words; raises `ValueError` with the first that is none."""
    scopes = frozenset(words)
    known = set(list_scopes(resources))
    for word in sorted(scopes - known):
        raise ValueError(f"there is no scope {word!r}.{suggest_nearest(word, known)}".rstrip("."))
    return scopes


def list_scopes(resources: Iterable[Resource]) -> list[str]:
    """Every scope that there is."""
    of_one = [f"{resource.address}:{word}" for resource in resources for word in (*ACTIONS, WRITE)]
    return [*GENERAL, *of_one]


def covers(scopes: Collection[str], scope: str) -> bool:
    """Whether some scopes hold another one, as `write` holds `users:update`."""
    if ADMIN in scopes or scope in scopes:
        return True
    resource, _, word = scope.rpartition(":")
    if resource and covers(scopes, word):
        return True
    if word == WRITE:
        prefix = f"{resource}:" if resource else ""
        return all(covers(scopes, f"{prefix}{one}") for one in WRITES)
    if word in WRITES:
        return WRITE in scopes or f"{resource}:{WRITE}" in scopes
    return False


def find_beyond(scopes: Collection[str], wanted: Iterable[str]) -> list[str]:
    """Those of the wanted scopes that the others don't hold, in their order."""
    return [scope for scope in wanted if not covers(scopes, scope)]


def cut(scopes: Iterable[str], held: Iterable[str]) -> Scopes:
    """What both of them hold, as `read` of `admin` and `read`."""
    wanted, most = frozenset(scopes), frozenset(held)
    left = [one for one in wanted if covers(most, one)]
    left += [one for one in most if covers(wanted, one)]
    return frozenset(left)


def scopes_of(role: Role, resources: Iterable[Resource]) -> Scopes:
    """What an account with this role may ask for: the fewest words that say it."""
    if role.is_admin:
        return ALL
    served = list(resources)
    granted = {
        f"{one.address}:{action}" for one in served for action in role.allowed.get(one.name, ())
    }
    general = {
        action
        for action in ACTIONS
        if served and all(f"{one.address}:{action}" in granted for one in served)
    }
    return frozenset(general | {scope for scope in granted if not covers(general, scope)})


def limit(grants: Grants, scopes: Collection[str], addresses: Mapping[str, str]) -> Grants:
    """What is left of some grants to who has these scopes; `addresses` are by collection."""
    if ADMIN in scopes:
        return grants
    return Grants.make(
        {
            name: limit_rights(grants.of(name), scopes, address)
            for name, address in addresses.items()
        }
    )


def limit_rights(rights: Rights, scopes: Collection[str], address: str) -> Rights:
    """The same for one resource.

    The rules stay that say what an export shows and what an import may write. Who may write and not
    read finds documents by their `_id`, and is shown that alone.
    """
    left = tuple(action for action in ACTIONS if covers(scopes, f"{address}:{action}"))
    if not left:
        return NOTHING
    if left == ACTIONS:
        return rights
    is_shown = "read" in left or "export" in left
    is_imported = "import" in left
    return replace(
        rights,
        read=rights.read if is_shown else _find_alone(rights.read),
        create=rights.create if is_imported or "create" in left else None,
        update=rights.update if is_imported or "update" in left else None,
        delete=rights.delete if "delete" in left else None,
        export=rights.export and "export" in left,
        import_=rights.import_ and is_imported,
        only=left,
    )


def _find_alone(rule: Rule | None) -> Rule | None:
    """The rule for the same documents, of which only the `_id` is seen."""
    return replace(rule, fields=(), hide=()) if rule is not None else None
