"""`docsheet shares`: lists, makes and ends links that download one export each."""

import datetime
from functools import partial
from typing import Annotated
from urllib.parse import parse_qsl

import bson
import typer

from app.api.router import EXPORT
from app.auth.changes import describe_change, note_command
from app.auth.keys import digest
from app.auth.patterns import judge_by
from app.auth.resources import ACCOUNTS, ROLES, SHARES
from app.auth.roles import Roles
from app.auth.shares import DAY, MAX_SECONDS, end, make_token
from app.commands.auth_database import (
    MAX_LISTED,
    find_account,
    open_auth_database,
    say,
    show_table,
)
from app.commands.keys import show_moment
from app.errors import NotFound, StartError
from app.query.compile import Compilers
from app.query.plan import make_plan
from app.resources.moments import now
from app.resources.registry import discover
from app.resources.storing import Document
from app.resources.views import Views
from app.settings import Settings, read_settings
from app.spreadsheets.formats import FORMATS
from app.store.client import Connection
from app.transfers.exports import read_export

WEEK = 7  # days
actions = typer.Typer(
    help="List, make and end shared downloads.", no_args_is_help=True, add_completion=False
)


@actions.command("list")
def list_() -> None:
    """List the shares, of which nothing here is a secret."""
    rows = []
    with open_auth_database(read_settings()) as connection:
        names = {one["_id"]: one["name"] for one in connection.collection(ACCOUNTS).find({})}
        for one in connection.collection(SHARES).find({}, sort=[("_id", 1)], limit=MAX_LISTED):
            owner = names.get(getattr(one["account"], "id", one["account"]), "nobody")
            moments = show_moment(one["expires"]), show_moment(one.get("last_used"))
            texts = (str(one["_id"]), str(owner), str(one["name"]), str(one["address"]))
            rows.append((*texts, *moments))
    show_table(("id", "account", "name", "address", "expires", "last used"), rows)


@actions.command()
def add(
    account: Annotated[str, typer.Argument(help="The account by whose rights it is exported.")],
    address: Annotated[str, typer.Argument(help="As '/users/export/csv?age__gte=18'.")],
    name: Annotated[str, typer.Option(help="What it is for; the file's name without it.")] = "",
    days: Annotated[
        int, typer.Option(min=1, max=MAX_SECONDS // DAY, help="After which it is over.")
    ] = WEEK,
    server: Annotated[
        str, typer.Option(help="The server's address, with which the link begins.")
    ] = "",
) -> None:
    """Make a share of an account, and write its link, this once."""
    settings = read_settings()
    token = make_token()
    with open_auth_database(settings) as connection:
        owner = find_account(connection, account)
        file = _check(settings, connection, owner, address)
        share: Document = {
            "_id": bson.ObjectId(),
            "name": name or file,
            "address": address,
            "file": file,
            "account": bson.DBRef(ACCOUNTS, owner["_id"]),
            "scopes": [],
            "digest": digest(token),
            "created": now(),
            "expires": now() + datetime.timedelta(days=days),
            "last_used": None,
        }
        connection.collection(SHARES).insert_one(share)
        note_command(connection, "share made", share["name"], describe_change(None, share))
    begin = server.rstrip("/") or f"http://localhost:{settings.PORT}{settings.ROOT_PATH}"
    say(f"{begin}/shared/{token}/{file}")


def _check(settings: Settings, connection: Connection, owner: Document, address: str) -> str:
    """The name of the file; raises `StartError` for what the account can't export."""
    path, _, query = address.partition("?")
    resource, separator, word = path.removeprefix("/").partition(f"/{EXPORT}/")
    resources = discover(settings.MODELS)
    if not separator or not path.startswith("/") or resource not in resources:
        raise StartError(f"{address!r} must be as '/users/export/csv?name__contains=a'.")
    document = connection.collection(ROLES).find_one({"name": owner["role"]})
    role = Roles(resources.values()).find(str(owner["role"]), document, judge_by(connection))
    compilers = Compilers(Views(resources.values(), role.grants(owner)))
    compiler = compilers[resources[resource].name]
    if not compiler.view.rights.may("export"):
        raise StartError(f"{owner['name']!r} may not export {resource!r}, by its role.")
    pairs = parse_qsl(query, keep_blank_values=True)
    plan = partial(make_plan, indexes=(), settings=settings)
    try:
        read_export(word, pairs, compiler, plan, snapshots=True)
    except NotFound as error:
        raise StartError(error.detail) from None
    return f"{resource.rpartition('/')[2]}.{FORMATS[word].extension}"


@actions.command()
def delete(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="The share's id.")],
) -> None:
    """End a share; its link says that it is over."""
    with open_auth_database(read_settings()) as connection:
        key = bson.ObjectId(identifier) if bson.ObjectId.is_valid(identifier) else identifier
        before = connection.collection(SHARES).find_one({"_id": key})
        if before is None:
            raise StartError(f"There is no share {identifier!r}; docsheet shares list shows them.")
        end(connection, {"_id": key})
        note_command(connection, "share ended", str(before["name"]), describe_change(before, None))
    say(f"The share {identifier} is over.")
