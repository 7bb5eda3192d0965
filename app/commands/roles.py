"""`docsheet roles`: lists, shows, stores and deletes roles, checked as over HTTP."""

import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from app.auth.changes import check_role, describe_change, note_command
from app.auth.documents import CASELESS, What
from app.auth.patterns import judge_by
from app.auth.resources import ACCOUNTS, ROLES
from app.auth.roles import BUILT_IN_RULES, Roles
from app.commands.auth_database import (
    MAX_LISTED,
    find_auth_resource,
    open_auth_database,
    say,
    show_table,
)
from app.commands.files import STDOUT
from app.errors import StartError
from app.resources.documents import read_document
from app.resources.registry import discover
from app.resources.storing import Document
from app.settings import Settings, read_settings
from app.store.client import Connection

Name = Annotated[str, typer.Argument(help="The role's name.")]
actions = typer.Typer(
    help="List, show, store and delete roles.", no_args_is_help=True, add_completion=False
)


@actions.command("list")
def list_() -> None:
    """List the roles, how many accounts have each, and what is closed in one."""
    settings = read_settings()
    roles = _roles_of(settings)
    rows = []
    with open_auth_database(settings) as connection:
        judge = judge_by(connection)
        accounts = connection.collection(ACCOUNTS)
        for one in connection.collection(ROLES).find({}, sort=[("name", 1)], limit=MAX_LISTED):
            name = str(one["name"])
            closed = len(roles.read(name, one.get("rules"), judge).faults)
            rows.append((name, str(accounts.count_documents({"role": name})), str(closed)))
    show_table(("name", "accounts", "closed"), rows)


@actions.command()
def show(name: Name) -> None:
    """Write the rules of a role as JSON, as `docsheet roles set` reads them."""
    rules = BUILT_IN_RULES.get(name.casefold())
    if rules is None:
        with open_auth_database(read_settings()) as connection:
            rules = _find(connection, name)["rules"]
    say(orjson.dumps(rules, option=orjson.OPT_INDENT_2).decode())


@actions.command("set")
def set_(
    name: Name,
    file: Annotated[str, typer.Argument(help="A JSON file with the rules; - is standard input.")],
) -> None:
    """Store a role, in place of the one of this name if there is one."""
    settings = read_settings()
    body = {"name": name, "rules": _read_rules(file)}
    with open_auth_database(settings) as connection:
        before = _look_for(connection, name)
        role = read_document(find_auth_resource(ROLES), body)
        if before is not None:
            role |= {"_id": before["_id"], "name": before["name"]}
        check_role(connection, _roles_of(settings), before, role)
        collection = connection.collection(ROLES)
        collection.replace_one({"_id": role["_id"]}, role, upsert=True)
        what: What = "role changed" if before is not None else "role made"
        note_command(connection, what, name, describe_change(before, role))
    say(f"The role {role['name']!r} is stored.")


@actions.command()
def delete(name: Name) -> None:
    """Delete a role that no account has."""
    if name.casefold() in BUILT_IN_RULES:
        raise StartError(f"The role {name!r} is always there, and can't be deleted.")
    settings = read_settings()
    with open_auth_database(settings) as connection:
        before = _find(connection, name)
        check_role(connection, _roles_of(settings), before, None)
        connection.collection(ROLES).delete_one({"_id": before["_id"]})
        note_command(connection, "role deleted", name, describe_change(before, None))
    say(f"The role {name!r} is deleted.")


def _roles_of(settings: Settings) -> Roles:
    return Roles(discover(settings.MODELS).values())


def _read_rules(file: str) -> Any:
    """The rules of a file, of which the whole document that the API shows is understood too."""
    try:
        text = sys.stdin.buffer.read() if file == STDOUT else Path(file).read_bytes()
        rules = orjson.loads(text)
    except OSError as error:
        raise StartError(f"{file} can't be read: {error.strerror}.") from None
    except orjson.JSONDecodeError as error:
        raise StartError(f"{file} is not JSON: {error}.") from None
    is_whole = isinstance(rules, dict) and isinstance(rules.get("rules"), dict)
    return rules["rules"] if is_whole and isinstance(rules.get("name"), str) else rules


def _look_for(connection: Connection, name: str) -> Document | None:
    collation = CASELESS if connection.has_collations() else None
    return connection.collection(ROLES).find_one({"name": name}, collation=collation)


def _find(connection: Connection, name: str) -> Document:
    found = _look_for(connection, name)
    if found is None:
        raise StartError(f"There is no role {name!r}; docsheet roles list shows them.")
    return found
