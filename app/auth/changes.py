"""What must be true after a change of accounts and roles, and what goes with a deleted account.

The same for servers and commands; who asks holds the lock (see `locks`). Nothing here waits for a
loop.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from app.api.redaction import hide_in_address
from app.api.saved_views import delete_views_of
from app.auth import shares
from app.auth.administrators import refuse_last
from app.auth.audit import COLLECTION as AUDIT
from app.auth.audit import make_entry
from app.auth.documents import What
from app.auth.patterns import judge_by
from app.auth.resources import ACCOUNTS, KEYS, ROLES
from app.auth.roles import BUILT_IN_RULES, Roles
from app.auth.scopes import find_beyond, scopes_of
from app.auth.sessions import COLLECTION as SESSIONS
from app.auth.tokens import COLLECTION as TOKENS
from app.errors import Conflict, Fault
from app.resources.faults import make_invalid_body
from app.resources.links import list_stored_forms
from app.spelling import suggest_nearest
from app.store.client import Connection

COUNTED = 1_000  # accounts that have a role, up to which they are counted
TOLD = ("role", "disabled", "scopes", "expires", "address")  # fields whose values an entry has

Document = Mapping[str, Any]


def check_account(database: Connection, before: Document | None, after: Document | None) -> None:
    """Raises `Conflict` for the last administrator, `Invalid` for a role that there isn't.

    `before` is None for a new account, `after` for one that is deleted.
    """
    role = after.get("role") if after is not None else None
    if role is not None and (before is None or before.get("role") != role):
        _refuse_unknown_role(database, str(role))
    if before is not None:
        refuse_last(database.collection(ACCOUNTS), before, after)


def _refuse_unknown_role(database: Connection, role: str) -> None:
    roles = database.collection(ROLES)
    if role in BUILT_IN_RULES or roles.find_one({"name": role}, {"_id": 1}):
        return
    others = [str(one.get("name")) for one in roles.find({}, {"name": 1}, limit=COUNTED)]
    detail = f"There is no role {role!r}.{suggest_nearest(role, [*BUILT_IN_RULES, *others])}"
    raise make_invalid_body([Fault(detail, pointer="#/role")])


def check_role(
    database: Connection, roles: Roles, before: Document | None, after: Document | None
) -> None:
    """Raises `Invalid` for what can't be true, `Conflict` where accounts have the role.

    It may go, or have another name, only while none has it.
    """
    if after is not None:
        judge = judge_by(database)
        faults = roles.read(str(after.get("name")), after.get("rules"), judge).faults
        if faults:
            raise make_invalid_body(list(faults))
    if before is not None and (after is None or after.get("name") != before.get("name")):
        _refuse_in_use(database, before.get("name"))


def _refuse_in_use(database: Connection, name: Any) -> None:
    accounts = database.collection(ACCOUNTS)
    count = accounts.count_documents({"role": name}, limit=COUNTED + 1)
    if count:
        shown = f"{count:,}" if count <= COUNTED else f"More than {COUNTED:,}"
        noun = "account has" if count == 1 else "accounts have"
        raise Conflict(f"{shown} {noun} this role; give them another one first.")


def find_unheld(
    database: Connection, roles: Roles, account: Any, scopes: Iterable[str]
) -> list[str]:
    """Those of some scopes that an account doesn't have by its role, in their order.

    Of an account that isn't there none: whoever links to it is told so.
    """
    found = database.collection(ACCOUNTS).find_one({"_id": account}, {"role": 1})
    if found is None:
        return []
    name = str(found.get("role"))
    document = database.collection(ROLES).find_one({"name": name})
    role = roles.find(name, document, judge_by(database))
    return find_beyond(scopes_of(role, roles.resources.values()), scopes)


def end_account(database: Connection, account: Any) -> None:
    """Ends whatever an account had: its keys, shares, sessions, tokens and views of its own."""
    delete_views_of(database, str(account))
    mine = {"account": {"$in": list_stored_forms(ACCOUNTS, account)}}
    shares.end(database, mine)
    for name in (KEYS, SESSIONS, TOKENS):
        database.collection(name).delete_many(mine)


def describe_change(before: Document | None, after: Document | None) -> dict[str, Any]:
    """What an entry of the audit says of a change: which fields, and values that are no secret.

    Empty where nothing changed.
    """
    old, new = before or {}, after or {}
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    if not names:
        return {}
    told: dict[str, Any] = {"id": str((old or new)["_id"])}
    if old and new:
        told["fields"] = names
    told |= {name: _show(name, new[name]) for name in TOLD if name in names and name in new}
    return told


def _show(name: str, value: Any) -> Any:
    if name == "address":
        return hide_in_address(value)
    return value if isinstance(value, bool | list | None) else str(value)


def note_command(
    database: Connection, what: What, target: str | None, details: Mapping[str, Any]
) -> None:
    """Writes down what a command changed."""
    entry = {**make_entry({}, what, target, details), "means": "command"}
    database.collection(AUDIT).insert_one(entry)
