"""The regular expressions of rules: MongoDB alone knows which it takes (PCRE2)."""

from collections.abc import Callable
from functools import cache
from typing import Any

from app.auth.documents import Role
from app.errors import Invalid
from app.query.operators import ignore_case
from app.store.client import Connection
from app.store.errors import translate_errors

ROLES: str = Role.Settings.name
_NONE: dict[str, Any] = {"_id": {"$in": []}}  # no document is looked at
# Says of a parameter and its regular expression why it can't be; nothing where it can.
Judge = Callable[[str, str], str]


def trust(name: str, pattern: str) -> str:
    """Refuses nothing, where no database is asked."""
    return ""


def judge_by(connection: Connection) -> Judge:
    """What asks this database for each, once; it waits for no loop."""
    roles = connection.collection(ROLES)

    @cache
    def judge(name: str, pattern: str) -> str:
        condition = {"$and": [_NONE, {"name": ignore_case(pattern)}]}
        try:
            with translate_errors(patterns=(name,)):
                roles.find_one(condition, **connection.time_limit)
        except Invalid as error:
            return error.faults[0].detail
        return ""

    return judge
