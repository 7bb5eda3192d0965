"""The resources of this room: which there are, and what a caller may do with each.

An administrator may do everything with them that they offer; everyone else has one's own keys and
shares. These are plain rights, so the fields that nobody sets by hand can't be sent either.
"""

from collections.abc import Collection
from functools import cache
from typing import Any

from app.api.callers import ADMIN
from app.auth.documents import Account, Entry, Key, Role, Share
from app.auth.placeholders import Pairs
from app.auth.scopes import ALL, covers
from app.resources.registry import Resource, make_resource
from app.resources.views import WHOLE, Rights, Rule

MODELS = (Account, Role, Key, Share, Entry)
ACCOUNTS, ROLES, KEYS, SHARES, AUDIT = (model.Settings.name for model in MODELS)
OF_SERVER = ("created", "last_seen")  # fields of accounts that nobody sets by hand
NOTED = ("last_seen", "last_used")  # moments that the server writes down again and again
# Fields of what was made that can't be changed.
_OF_KEY = ("account", "scopes", "digest", "created", "last_used")
_OF_SHARE = ("address", "file", "account", "scopes", "digest", "created", "expires", "last_used")
_ACCOUNT = Rule(hide=OF_SERVER)
OF_ADMIN = {
    ACCOUNTS: Rights(WHOLE, _ACCOUNT, _ACCOUNT, WHOLE, export=True),
    ROLES: Rights(WHOLE, WHOLE, WHOLE, WHOLE, export=True),
    KEYS: Rights(WHOLE, WHOLE, Rule(hide=_OF_KEY), WHOLE, export=True),
    SHARES: Rights(WHOLE, WHOLE, Rule(hide=_OF_SHARE), WHOLE, export=True),
    AUDIT: Rights(WHOLE, export=True),
}


@cache
def list_auth_resources() -> tuple[Resource, ...]:
    """The resources of our own, in the order in which they are described."""
    return tuple(make_resource(model, own=True) for model in MODELS)


def grant_auth_resources(
    account: Any, scopes: Collection[str], of_account: Collection[str] = ALL
) -> dict[str, Rights]:
    """What a caller may do with our own resources, by collection.

    `account` is its `_id`, `scopes` are the caller's and `of_account` those of its role. Who has
    fewer than these makes keys and shares, and ends none: a key that leaked can't end the others.
    """
    if ADMIN in scopes:
        return OF_ADMIN
    mine = (("account", str(account)),)
    has_all = is_full(scopes, of_account)
    return {
        KEYS: _grant_mine(mine, _OF_KEY, is_full=has_all),
        SHARES: _grant_mine(mine, _OF_SHARE, is_full=has_all),
    }


def is_full(scopes: Collection[str], of_account: Collection[str]) -> bool:
    """Whether scopes are all that an account has."""
    return all(covers(scopes, scope) for scope in of_account)


def _grant_mine(mine: Pairs, made: tuple[str, ...], *, is_full: bool) -> Rights:
    if not is_full:
        return Rights(Rule(mine), WHOLE, export=True)
    return Rights(Rule(mine), WHOLE, Rule(mine, hide=made), Rule(mine), export=True)
