"""There is always one who can let others in: an account with the role `admin`, not disabled."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pymongo
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from app.auth.documents import Account
from app.errors import Conflict, StartError
from app.settings import Settings
from app.store.client import Connection, direct_connection

REACH_SECONDS = 3.0  # that the start waits for the database to say
ROLE = "admin"
ACCOUNTS: str = Account.Settings.name
_ENABLED = {"role": ROLE, "disabled": {"$ne": True}}


def is_enabled(account: Mapping[str, Any]) -> bool:
    """Whether a stored account is an administrator who can sign in."""
    return account.get("role") == ROLE and not account.get("disabled")


def there_is_one(accounts: Collection[Any]) -> bool:
    """Whether there is any."""
    return accounts.find_one(_ENABLED, {"_id": 1}) is not None


def require_administrator(connection: Connection) -> None:
    """Raises `StartError` where there is none, so that nobody could sign in."""
    if not there_is_one(connection.collection(ACCOUNTS)):
        raise StartError(
            "AUTH is on, and there is no administrator who could sign in. Make one: docsheet "
            "accounts add NAME --role admin; or let everyone in: AUTH=off."
        )


def require_administrator_of(settings: Settings, uri: str) -> None:
    """The same of a database, unless that can't be reached at this moment."""
    with (
        direct_connection(settings, uri) as connection,
        suppress(PyMongoError),
        pymongo.timeout(REACH_SECONDS),
    ):
        require_administrator(connection)


def refuse_last(
    accounts: Collection[Any], before: Mapping[str, Any], after: Mapping[str, Any] | None
) -> None:
    """Raises `Conflict` where the change leaves no administrator; `after` is None for a deletion.

    Who asks holds the lock on changes of accounts.
    """
    if not is_enabled(before) or (after is not None and is_enabled(after)):
        return
    others = {**_ENABLED, "_id": {"$ne": before["_id"]}}
    if accounts.find_one(others, {"_id": 1}) is None:
        raise Conflict(
            "This is the last administrator, who can't be deleted, disabled or given another role; "
            "make another one first."
        )
