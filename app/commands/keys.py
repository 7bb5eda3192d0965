"""`docsheet keys`: lists, makes and ends keys, by which programs call without a password."""

import datetime
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import bson
import typer

from app.auth.changes import describe_change, find_unheld, note_command
from app.auth.keys import digest, make_id, make_secret
from app.auth.resources import ACCOUNTS, KEYS
from app.auth.roles import Roles
from app.auth.scopes import read_scopes
from app.commands.auth_database import (
    MAX_LISTED,
    find_account,
    open_auth_database,
    say,
    show_table,
)
from app.errors import StartError
from app.resources.links import list_stored_forms
from app.resources.moments import now
from app.resources.registry import Resource, discover
from app.resources.storing import Document
from app.settings import read_settings
from app.store.client import Connection

MAX_DAYS = 36_500
actions = typer.Typer(help="List, make and end keys.", no_args_is_help=True, add_completion=False)


@actions.command("list")
def list_(
    account: Annotated[str, typer.Option(help="Of this account alone.")] = "",
) -> None:
    """List the keys, of which nothing here is a secret."""
    with open_auth_database(read_settings()) as connection:
        names = {one["_id"]: one["name"] for one in connection.collection(ACCOUNTS).find({})}
        condition: Document = {}
        if account:
            owner = find_account(connection, account)["_id"]
            condition = {"account": {"$in": list_stored_forms(ACCOUNTS, owner)}}
        found = connection.collection(KEYS).find(condition, sort=[("_id", 1)], limit=MAX_LISTED)
        rows = [_list_cells(one, names) for one in found]
    show_table(("id", "account", "name", "scopes", "expires", "last used"), rows)


def _list_cells(key: Document, names: Mapping[Any, Any]) -> list[str]:
    owner = names.get(getattr(key["account"], "id", key["account"]), "nobody")
    scopes = " ".join(key.get("scopes") or ()) or "all"
    expires, used = show_moment(key.get("expires")), show_moment(key.get("last_used"))
    return [str(key["_id"]), str(owner), str(key["name"]), scopes, expires, used]


def show_moment(moment: datetime.datetime | None) -> str:
    """A moment for a table; `never` without one."""
    return moment.strftime("%Y-%m-%d %H:%M") if moment else "never"


@actions.command()
def add(
    account: Annotated[str, typer.Argument(help="The account's name.")],
    name: Annotated[str, typer.Option(help="What it is for.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="What it may do at most; repeat for more, none: all.")
    ] = None,
    days: Annotated[
        int, typer.Option(min=0, max=MAX_DAYS, help="After which it serves no more; 0: never.")
    ] = 0,
) -> None:
    """Make a key of an account, and write its id and its secret, this once."""
    settings = read_settings()
    resources = discover(settings.MODELS).values()
    scopes = _read_scopes(resources, scope or [])
    identifier, secret = make_id(), make_secret()
    with open_auth_database(settings) as connection:
        owner = find_account(connection, account)
        _refuse_unheld(connection, resources, owner, scopes)
        key: Document = {
            "_id": identifier,
            "name": name,
            "account": bson.DBRef(ACCOUNTS, owner["_id"]),
            "scopes": scopes,
            "digest": digest(secret),
            "created": now(),
            "expires": now() + datetime.timedelta(days=days) if days else None,
            "last_used": None,
        }
        connection.collection(KEYS).insert_one(key)
        note_command(connection, "key made", name, describe_change(None, key))
    say(f"{identifier}\n{secret}")


def _read_scopes(resources: Iterable[Resource], words: list[str]) -> list[str]:
    try:
        read_scopes(words, resources)
    except ValueError as error:
        raise StartError(f"--scope: {error}.") from None
    return words


def _refuse_unheld(
    connection: Connection, resources: Iterable[Resource], owner: Document, scopes: list[str]
) -> None:
    unheld = find_unheld(connection, Roles(resources), owner["_id"], scopes)
    if unheld:
        raise StartError(f"--scope: the account {owner['name']!r} has no scope {unheld[0]!r}.")


@actions.command()
def delete(identifier: Annotated[str, typer.Argument(metavar="ID", help="The key's id.")]) -> None:
    """End a key."""
    with open_auth_database(read_settings()) as connection:
        before = connection.collection(KEYS).find_one({"_id": identifier})
        if before is None:
            raise StartError(f"There is no key {identifier!r}; docsheet keys list shows them.")
        connection.collection(KEYS).delete_one({"_id": identifier})
        note_command(connection, "key ended", str(before["name"]), describe_change(before, None))
    say(f"The key {identifier} serves no more.")
