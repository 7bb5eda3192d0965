"""There is always one who can let others in: an account with the role `admin`, not disabled."""

from collections.abc import Mapping
from typing import Any

from pymongo.collection import Collection

from app.auth.documents import Account
from app.errors import Conflict

ROLE = "admin"
ACCOUNTS: str = Account.Settings.name
_ENABLED = {"role": ROLE, "disabled": {"$ne": True}}


def is_enabled(account: Mapping[str, Any]) -> bool:
    """Whether a stored account is an administrator who can sign in."""
    return account.get("role") == ROLE and not account.get("disabled")


def there_is_one(accounts: Collection[Any]) -> bool:
    """Whether there is any."""
    return accounts.find_one(_ENABLED, {"_id": 1}) is not None


def refuse_last(
    accounts: Collection[Any], before: Mapping[str, Any], after: Mapping[str, Any] | None
) -> None:
    """Raises `Conflict` where the change leaves no administrator; `after` is None for a deletion.

    Who asks has the turn to change accounts.
    """
    if not is_enabled(before) or (after is not None and is_enabled(after)):
        return
    others = {**_ENABLED, "_id": {"$ne": before["_id"]}}
    if accounts.find_one(others, {"_id": 1}) is None:
        raise Conflict(
            "This is the last administrator, who can't be deleted, disabled or given another role; "
            "make another one first."
        )
