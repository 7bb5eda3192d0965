"""Shares: links that download one export each, with what their makers may do at that moment.

A token is 256 random bits. The database has its digest alone, also of those that were ended, so
that a link that is over can say so. `Gate` takes the token out of the path before anything else
sees it.
"""

import datetime
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from pymongo import IndexModel
from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.callers import Caller
from app.api.descriptions import Answer, Description, describe_in_path
from app.api.middleware import TOKEN
from app.api.parts import Part
from app.api.redaction import hide_in_address
from app.api.router import EXPORT
from app.api.routing import Route
from app.api.subrequests import Address, FindRoute, read_address
from app.auth.audit import Audit
from app.auth.documents import Account, Share
from app.auth.keys import digest
from app.auth.scopes import Scopes
from app.errors import Fault, Forbidden, Gone, Invalid, NotFound
from app.resources.kinds import show_link
from app.resources.moments import now
from app.spreadsheets.formats import FORMATS
from app.store.client import Connection, Database

COLLECTION: str = Share.Settings.name
ACCOUNTS: str = Account.Settings.name
ENDED = "docsheet.shares.ended"  # digests of those that were ended, for a while
REMEMBERED_DAYS = 365  # that one that is over says so
DAY = 24 * 3600  # seconds
MIN_SECONDS, MAX_SECONDS, DEFAULT_SECONDS = 1, 365 * DAY, 7 * DAY  # seconds that a share lasts

Call = Callable[[Any, Scopes], Awaitable[Caller | None]]


def make_token() -> str:
    """A new token."""
    return secrets.token_urlsafe(32)


def read_export_address(address: str, find: FindRoute, root: str = "") -> Address:
    """What a share downloads; raises `Invalid` with a pointer to it where that is no export."""
    found = read_address(address, find, root)
    if found is None or not found.route.path.endswith(f"/{EXPORT}/{{format}}"):
        detail = (
            "This must be the path of an export with its query, such as "
            "/users/export/csv?name__contains=a, percent-encoded."
        )
        raise Invalid(detail, Fault(detail, pointer="#/address"))
    return found


def name_file(address: Address) -> str:
    """The name of the file that an export is: `users.csv`."""
    resource = address.path.removeprefix("/").rpartition(f"/{EXPORT}/")[0]
    found = FORMATS.get(address.parameters["format"])
    extension = found.extension if found is not None else ""
    return f"{resource.rpartition('/')[2]}.{extension}"


class Shared(Part):
    """The downloads of shares."""

    def __init__(self, find: FindRoute, call: Call, audit: Audit) -> None:
        self._find = find
        self._call = call
        self._audit = audit
        self._database: Database

    async def open(self, database: Database) -> None:
        """Takes the shares from this database."""
        self._database = database
        self._collection = database.collection(COLLECTION)

    async def prepare(self) -> bool:
        """Makes the indexes by which shares that are long over are forgotten."""
        await self._database.run(_make_indexes, self._database, writing=True)
        return True

    def routes(self) -> list[Route]:
        """`/shared/{token}/{file}`."""
        return [Route("/shared/{token}/{file}", {"GET": self.download}, (_DESCRIPTION,))]

    async def download(self, request: Request) -> Response:
        """`GET /shared/{token}/{file}`: the export, by the rights of who made the share."""
        requests.refuse_parameters(request)
        share = await self._read(request.scope[TOKEN], request.path_params["file"])
        address = self._find_address(share["address"], request.scope.get("root_path", ""))
        caller = await self._call_maker(share, address)
        response = await address.answer(request, caller, request.method)
        scope = {**request.scope, "caller": caller}
        details = {"share": str(share["_id"]), "address": hide_in_address(share["address"])}
        await self._audit.write(scope, "share used", share["name"], details)
        return response

    async def _read(self, token: str, file: str) -> dict[str, Any]:
        share = await self._database.run(_use, self._database, digest(token), writing=True)
        if share is None or share["file"] != file:
            raise NotFound("There is no such share; the link may have been copied in part.")
        if share["expires"].replace(tzinfo=datetime.UTC) <= now():
            raise Gone("This share has expired; ask for a new link.")
        return share

    def _find_address(self, address: str, root: str) -> Address:
        """What a share downloads; raises `NotFound` where that is there no more."""
        try:
            return read_export_address(address, self._find, root)
        except Invalid:
            raise NotFound("What this link downloads is there no more.") from None

    async def _call_maker(self, share: Mapping[str, Any], address: Address) -> Caller:
        """The maker as a caller who may do nothing but this export."""
        caller = await self._call(
            show_link(ACCOUNTS, share["account"]), frozenset(share.get("scopes", ()))
        )
        if caller is None:
            raise Forbidden("Who made this share has no account any more, or a disabled one.")
        return replace(caller, means="share")


def _use(database: Connection, token: str) -> dict[str, Any] | None:
    """The share with this digest, which is marked as used; raises `Gone` for one that was ended."""
    share = database.collection(COLLECTION).find_one_and_update(
        {"digest": token}, {"$set": {"last_used": now()}}
    )
    if share is None and database.collection(ENDED).find_one({"_id": token}) is not None:
        raise Gone("This share was ended; ask for a new link.")
    return share


def end(database: Connection, condition: Mapping[str, Any]) -> int:
    """Ends all shares that meet a condition, so that their links say so; how many these were."""
    shares = database.collection(COLLECTION)
    found = list(shares.find(condition, {"digest": 1}))
    for share in found:
        remember(database, share["digest"])
        shares.delete_one({"_id": share["_id"]})
    return len(found)


def remember(database: Connection, token: str) -> None:
    """Remembers the digest of a share that is ended."""
    ended = {"_id": token, "at": now()}
    database.collection(ENDED).replace_one({"_id": token}, ended, upsert=True)


def _make_indexes(database: Connection) -> None:
    """The indexes by which shares that were over for long are forgotten."""
    seconds = REMEMBERED_DAYS * DAY
    over = IndexModel([("expires", 1)], name="forget", expireAfterSeconds=seconds)
    ended = IndexModel([("at", 1)], name="forget", expireAfterSeconds=seconds)
    database.collection(COLLECTION).create_indexes([over])
    database.collection(ENDED).create_indexes([ended])


_DESCRIPTION = Description(
    "get",
    "/shared/{token}/{file}",
    "download_shared",
    "Download what somebody shared",
    {
        200: Answer(
            "The file.",
            {"application/octet-stream": {"type": "string", "format": "binary"}},
            ("X-Export-Id", "Content-Disposition", "Cache-Control"),
        )
    },
    (400, 403, 404, 410, 422, 503, 505),
    [
        describe_in_path("token", {"type": "string"}, "The secret part of the link."),
        describe_in_path("file", {"type": "string"}, "The file's name, such as users.csv."),
    ],
)
