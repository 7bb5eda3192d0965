"""`docsheet accounts`: adds, lists, disables and deletes accounts, and sets their passwords.

A password is asked for without showing it, or is the first line of standard input; it is never an
argument, which other users of the machine can see.
"""

import getpass
import sys
from typing import Annotated

import typer
from pymongo.errors import DuplicateKeyError

from app.auth.changes import check_account, describe_change, end_account, note_command
from app.auth.documents import What
from app.auth.passwords import MAX_LENGTH, MIN_LENGTH
from app.auth.resources import ACCOUNTS
from app.auth.signing import rotate
from app.commands.auth_database import (
    MAX_LISTED,
    find_account,
    find_auth_resource,
    open_auth_database,
    say,
    show_table,
)
from app.commands.terminal import can_ask
from app.errors import StartError
from app.resources.documents import read_document
from app.resources.patches import read_patch
from app.resources.storing import Document, to_bson
from app.settings import read_settings
from app.store.client import Connection

Name = Annotated[str, typer.Argument(help="The account's name.")]
actions = typer.Typer(
    help="Add, list, disable and delete accounts, and set their passwords.",
    no_args_is_help=True,
    add_completion=False,
)


@actions.command()
def add(
    name: Name,
    role: Annotated[str, typer.Option(help="What it may do: admin, editor, viewer, or another.")],
    without_password: Annotated[
        bool, typer.Option("--without-password", help="It signs in with keys alone.")
    ] = False,
) -> None:
    """Add an account; its password is asked for, or read from standard input."""
    body: Document = {"name": name, "role": role}
    if not without_password:
        body["password"] = _read_password()
    with open_auth_database(read_settings()) as connection:
        account = read_document(find_auth_resource(ACCOUNTS), body)
        check_account(connection, None, account)
        try:
            connection.collection(ACCOUNTS).insert_one(account)
        except DuplicateKeyError:
            raise StartError(f"There is an account {account['name']!r} already.") from None
        _note(connection, "account made", None, account)
    what = "has no password, and calls by keys alone" if without_password else "can sign in"
    say(f"The account {account['name']!r} {what}, with the role {role!r}.")


@actions.command("list")
def list_() -> None:
    """List the accounts, with their roles and when they were last seen."""
    rows = []
    with open_auth_database(read_settings()) as connection:
        found = connection.collection(ACCOUNTS).find({}, sort=[("name", 1)], limit=MAX_LISTED)
        for one in found:
            state = "disabled" if one.get("disabled") else "enabled"
            seen = one.get("last_seen")
            shown = seen.strftime("%Y-%m-%d %H:%M") if seen else "never"
            rows.append((str(one["name"]), str(one.get("role")), state, shown))
    show_table(("name", "role", "state", "last seen"), rows)


@actions.command()
def disable(name: Name) -> None:
    """Keep an account from signing in; its tokens, keys and sessions serve no more."""
    _change(name, {"disabled": True})
    say(f"{name!r} is disabled.")


@actions.command()
def enable(name: Name) -> None:
    """Let a disabled account sign in again."""
    _change(name, {"disabled": False})
    say(f"{name!r} is enabled.")


@actions.command()
def role(name: Name, role: Annotated[str, typer.Argument(help="The new role.")]) -> None:
    """Give an account another role."""
    _change(name, {"role": role})
    say(f"{name!r} has the role {role!r}.")


@actions.command()
def password(name: Name) -> None:
    """Set the password of an account, which has to sign in again."""
    _change(name, {"password": _read_password()}, "password changed")
    say(f"{name!r} has another password; what was signed in before is signed out.")


@actions.command()
def delete(name: Name) -> None:
    """Delete an account with its keys, shares and sessions."""
    with open_auth_database(read_settings()) as connection:
        before = find_account(connection, name)
        check_account(connection, before, None)
        connection.collection(ACCOUNTS).delete_one({"_id": before["_id"]})
        end_account(connection, before["_id"])
        _note(connection, "account deleted", before, None)
    say(f"{name!r} is deleted.")


@actions.command("rotate-secret")
def rotate_secret() -> None:
    """Sign access tokens with a new secret; those that are out serve on until they are over."""
    if read_settings().SECRET_KEY:
        raise StartError("The secret is the setting SECRET_KEY: change it there.")
    with open_auth_database(read_settings()) as connection:
        number = rotate(connection)
    say(f"Secret number {number} signs from now on.")


def _change(name: str, patch: Document, what: What = "account changed") -> None:
    """Changes an account as a merge patch does; raises `StartError` where there is none."""
    with open_auth_database(read_settings()) as connection:
        before = find_account(connection, name)
        change = read_patch(find_auth_resource(ACCOUNTS), patch, to_bson(before))
        after = {**before, **change.set}
        check_account(connection, before, after)
        if change.set:
            key = {"_id": before["_id"]}
            connection.collection(ACCOUNTS).update_one(key, {"$set": change.set})
            _note(connection, what, before, after)


def _note(
    connection: Connection, what: What, before: Document | None, after: Document | None
) -> None:
    name = str((before or after or {}).get("name"))
    note_command(connection, what, name, describe_change(before, after))


def _read_password() -> str:
    """The password: asked for twice, or the first line of standard input."""
    if can_ask():
        chosen = getpass.getpass("Password: ")
        if getpass.getpass("Once more: ") != chosen:
            raise StartError("These are two different passwords.")
    else:
        chosen = sys.stdin.readline().rstrip("\r\n")
    if not MIN_LENGTH <= len(chosen) <= MAX_LENGTH:
        raise StartError(f"A password must have {MIN_LENGTH} to {MAX_LENGTH} characters.")
    return chosen
