"""The documents of accounts, as classes like those of `models/`, in collections of our own.

They are resources as any other; which of their fields may be written, and when one may go, their
routers say. Sessions, tokens and secrets are no resources: each is in the file of its name.
"""

import datetime
import unicodedata
from typing import Annotated, Any, Literal

from beanie import Document, Link
from pydantic import AfterValidator, Field
from pymongo import IndexModel

from app.api.callers import BUILT_IN_ROLES
from app.auth.passwords import Password
from app.resources.moments import now

SEEN_SECONDS = 600  # between two notes that an account was seen, or a key used
KEY_PREFIX = "key_"  # with which the ids of keys begin, and no account's name
# Names are equal without regard to case
# (https://www.mongodb.com/docs/manual/core/index-case-insensitive/). A mock knows no collations:
# there an index is exact, and whoever looks for a name ignores case by other means.
CASELESS = {"locale": "en", "strength": 2}


def check_name(name: str) -> str:
    """The name of an account in Unicode's composed form.

    Raises `ValueError` for what HTTP Basic can't send (RFC 7617) and what a key's id looks like.
    """
    name = unicodedata.normalize("NFC", name)
    if ":" in name or not name.isprintable():
        raise ValueError("a name has no colon and no control character")
    if name != name.strip():
        raise ValueError("a name neither begins nor ends with a space")
    if name.casefold().startswith(KEY_PREFIX):
        raise ValueError(f"no name begins with {KEY_PREFIX}, as the ids of keys do")
    return name


def fold_name(name: str) -> str:
    """The same text for all ways to write one name: composed, without regard to case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_past(moment: Any, seconds: float = 0) -> bool:
    """Whether a stored moment was that many seconds ago, or is none at all."""
    if not isinstance(moment, datetime.datetime):
        return True
    ago = now() - moment.replace(tzinfo=datetime.UTC)  # a mock has no time zone
    return ago.total_seconds() > seconds


Name = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(check_name)]


class Account(Document):
    """Someone, or something, that calls."""

    name: Name
    role: str
    attributes: dict[str, Any] = {}
    disabled: bool = False
    password: Password | None = Field(None, exclude=True)
    created: datetime.datetime = Field(default_factory=now)
    last_seen: datetime.datetime | None = None

    class Settings:
        name = "docsheet.accounts"
        indexes = [IndexModel([("name", 1)], name="name", unique=True, collation=CASELESS)]

    class Resource:
        path = "auth/accounts"
        on_delete = "keep"  # its keys and shares go with it
        search = ["name"]


class Key(Document):
    """A key of an account: `_id` is the user name and a secret the password; see `keys`."""

    id: str = Field(alias="_id")  # type: ignore[assignment]
    name: str = Field(min_length=1, max_length=100)
    account: Link[Account]
    scopes: list[str] = []
    digest: str = Field(exclude=True)  # of the secret
    created: datetime.datetime = Field(default_factory=now)
    expires: datetime.datetime | None = None
    last_used: datetime.datetime | None = None

    class Settings:
        name = "docsheet.keys"

    class Resource:
        path = "auth/keys"
        search = ["name"]


def check_role_name(name: str) -> str:
    """The name of a role; raises `ValueError` for one that is always there."""
    name = check_name(name)
    if name.casefold() in BUILT_IN_ROLES:
        raise ValueError(f"{', '.join(BUILT_IN_ROLES)} are always there, and can't be changed")
    return name


class Role(Document):
    """What accounts with this role may do; see `roles`."""

    name: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(check_role_name)]
    rules: dict[str, Any]

    class Settings:
        name = "docsheet.roles"
        indexes = [IndexModel([("name", 1)], name="name", unique=True, collation=CASELESS)]

    class Resource:
        path = "auth/roles"
        search = ["name"]


class Share(Document):
    """A link that downloads one export and nothing else; the database has its digest alone."""

    name: str = Field(min_length=1, max_length=100)
    address: str  # of the export, with its query
    file: str  # the last step of the link
    account: Link[Account]
    scopes: list[str] = []  # of who made it, none for all of the account's
    digest: str = Field(exclude=True)  # of the token
    created: datetime.datetime = Field(default_factory=now)
    expires: datetime.datetime
    last_used: datetime.datetime | None = None

    class Settings:
        name = "docsheet.shares"
        indexes = [IndexModel([("digest", 1)], name="digest", unique=True)]

    class Resource:
        path = "auth/shares"
        search = ["name"]


What = Literal[
    "signed in",
    "sign-in failed",
    "signed out",
    "exported",
    "imported",
    "documents changed",
    "documents deleted",
    "share made",
    "share changed",
    "share used",
    "share ended",
    "key made",
    "key changed",
    "key ended",
    "account made",
    "account changed",
    "account deleted",
    "password changed",
    "role made",
    "role changed",
    "role deleted",
]


By = Literal["token", "key", "password", "session", "share", "command"]


class Entry(Document):
    """Something that happened: when, what, by whom, from where; see `audit`."""

    at: datetime.datetime = Field(default_factory=now)
    what: What
    account: str | None = None  # its name at that moment
    means: By | None = None
    address: str | None = None  # of the client
    request: str | None = None  # X-Request-ID
    target: str | None = None  # the resource, the account, the role, the key
    details: dict[str, Any] = {}

    class Settings:
        name = "docsheet.audit"

    class Resource:
        path = "auth/audit"
        search = ["account", "target"]
        sort = "-at"
        read_only = True
