"""The bodies that make a key or a share, checked; nothing here writes."""

import datetime
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.api.callers import Caller
from app.api.subrequests import MAX_ADDRESS
from app.auth.scopes import find_beyond, read_scopes
from app.auth.shares import DEFAULT_SECONDS, MAX_SECONDS, MIN_SECONDS
from app.errors import Fault, Forbidden
from app.resources.faults import make_invalid_body
from app.resources.moments import now
from app.resources.registry import Resource


def _check_future(moment: datetime.datetime) -> datetime.datetime:
    """The moment, in UTC where it has no offset; raises `ValueError` for one that is past."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)
    if aware <= now():
        raise ValueError("must be in the future")
    return aware


class NewKey(BaseModel):
    """A key that is asked for."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100, description="What it is for.")
    account: str | None = Field(None, description="The account's `_id`; one's own without it.")
    scopes: list[str] = Field([], description="What it may do at most; none: all.")
    expires: Annotated[datetime.datetime, AfterValidator(_check_future)] | None = Field(
        None, description="When it serves no more."
    )


class NewShare(BaseModel):
    """A share that is asked for."""

    model_config = ConfigDict(extra="forbid")

    address: str = Field(
        min_length=1,
        max_length=MAX_ADDRESS,
        description="The path of an export with its query: `/users/export/csv?name__contains=a`.",
    )
    name: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="What it is for; the file's name without it.",
    )
    expires_in: int = Field(
        DEFAULT_SECONDS,
        ge=MIN_SECONDS,
        le=MAX_SECONDS,
        description="Seconds that it lasts; 7 days without it.",
    )


def choose_scopes(
    words: list[str], caller: Caller, resources: Iterable[Resource], *, is_full: bool
) -> list[str]:
    """The scopes of a new key, each once; none stand for all that the account has, now and later.

    `is_full` says that the caller has all of those. Raises `Invalid` for a scope that there isn't,
    `Forbidden` for one that the caller doesn't have.
    """
    listed, chosen = list(resources), list(dict.fromkeys(words))
    for word in chosen:
        try:
            read_scopes([word], listed)
        except ValueError as error:
            place = f"#/scopes/{words.index(word)}"
            raise make_invalid_body([Fault(f"{error}.", pointer=place)]) from None
    beyond = find_beyond(caller.scopes, chosen)
    if beyond:
        detail = f"This caller has no scope {beyond[0]!r} itself."
        raise Forbidden(detail, Fault(detail, pointer=f"#/scopes/{words.index(beyond[0])}"))
    return chosen or inherit_scopes(caller, is_full=is_full)


def inherit_scopes(caller: Caller, *, is_full: bool) -> list[str]:
    """The scopes of what a caller makes without asking for any; none as above.

    A key that was made for some scopes hands on no more than these, also while its account has no
    others. Raises `Forbidden` where nothing is left of them: none would be all.
    """
    if is_full and not (caller.means == "key" and caller.asked is not None):
        return []
    if not caller.scopes:
        raise Forbidden("The account has none of this caller's scopes any more.")
    return sorted(caller.scopes)
