"""The routes of our own resources: accounts, roles, keys, shares and the audit.

They are those of any resource, without imports and writes of many. Keys and shares are made from
less than they are, and are answered with their secret, this once.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import quote

import bson
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app.api import operations, requests
from app.api.access import Access
from app.api.bodies import read_model
from app.api.callers import ADMIN, Caller, caller_of
from app.api.descriptions import Answer, Description, Model, Schema
from app.api.headers import NO_STORE
from app.api.media_types import JSON
from app.api.router import EXPORT, ResourceRouter, RouterServices
from app.api.routing import Describe, Handler, Route
from app.api.subrequests import Address, FindRoute
from app.auth.bodies import NewKey, NewShare, choose_scopes, inherit_scopes
from app.auth.changes import find_unheld
from app.auth.keys import digest, make_id, make_secret
from app.auth.patterns import judge_by
from app.auth.repositories import (
    AccountRepository,
    AuthRepository,
    ChangeContext,
    KeyRepository,
    RoleRepository,
    ShareRepository,
    explaining_unwritable,
)
from app.auth.resources import ACCOUNTS, AUDIT, KEYS, NOTED, ROLES, SHARES, list_auth_resources
from app.auth.shares import make_token, name_file, read_export_address
from app.errors import Fault, Forbidden, Invalid, NotFound
from app.query.compile import Compiler, Compilers
from app.resources.codec import decode
from app.resources.faults import make_invalid_body
from app.resources.keys import write_key
from app.resources.kinds import read_datetime, write_datetime
from app.resources.moments import now
from app.resources.registry import Resource
from app.resources.rendering import to_json
from app.resources.storing import Document
from app.resources.views import Action
from app.store.client import Database
from app.store.stored import Stored

Handlers = dict[str, Handler]
Of = Callable[[Compiler], Sequence[Description]]
Secret = dict[str, str]
_HEADERS = ("ETag", "Location", "Cache-Control")


class _ForAdministrators(ResourceRouter):
    """The handlers of what only administrators see, but for one's own keys and shares."""

    def access(self, request: Request, *actions: Action) -> Access:
        """What the caller has of this resource; raises `Forbidden` for what isn't allowed."""
        try:
            return super().access(request, *actions)
        except Forbidden:
            is_mine = self.resource.name in (KEYS, SHARES)
            more = ", or of one's own all scopes of the account" if is_mine else ""
            raise Forbidden(f"This needs the scope admin{more}.") from None

    def describe(self, description: Description) -> Description:
        """What a route says of itself; the name of a collection would be none for an operation."""
        name = description.name.replace("docsheet.", "auth_")
        is_mine = self.resource.name in (KEYS, SHARES)
        return replace(description, name=name, scope="" if is_mine else ADMIN)

    def _describe(self, of: Of) -> Describe:
        def describe(compilers: Compilers) -> list[Description]:
            return [self.describe(one) for one in of(compilers[self.resource.name])]

        return describe


class AuthRouter(_ForAdministrators):
    """The handlers of one of our own resources, of which one document is written at a time."""

    documents: type[AuthRepository]

    def __init__(
        self, resource: Resource, services: RouterServices, context: ChangeContext
    ) -> None:
        super().__init__(resource, services)
        self._context = context
        self._database: Database
        self._whole: AuthRepository  # of everything, whoever calls

    def make_repository(self, database: Database) -> AuthRepository:
        """The documents, with what is checked of each change."""
        self._database = database
        resources = self._accesses.resources
        self._whole = self.documents(database, self.resource, resources, self._context)
        return self._whole

    def access(self, request: Request, *actions: Action) -> Access:
        """What the caller has of this resource, for this request."""
        access = super().access(request, *actions)
        assert isinstance(access.repository, AuthRepository)
        return replace(access, repository=access.repository.of(request.scope))

    async def create(self, request: Request) -> Response:
        """`POST /auth/accounts/`: a new document."""
        with explaining_unwritable():
            return await super().create(request)

    def settle(self, body: Any, raw: bytes) -> Any:
        """The body, with moments that were noted since it was read as they are stored."""
        if not isinstance(body, dict) or body.keys().isdisjoint(NOTED):
            return body
        stored = decode(raw)
        begin = _read_moment(stored.get("created"))
        settled = dict(body)
        for name in NOTED:
            last = _read_moment(stored.get(name))
            if name in body and last is not None and _is_earlier(body[name], begin, last):
                settled[name] = write_datetime(last)
        return settled

    def collection(self) -> Handlers:
        """The handlers of the collection."""
        return {"GET": self.list, "POST": self.create}

    def item(self) -> Handlers:
        """The handlers of one document."""
        return {
            "GET": self.read,
            "PUT": self.replace,
            "PATCH": self.patch,
            "DELETE": self.delete,
        }

    def routes(self) -> list[Route]:
        """The routes of this resource."""
        name = self.resource.address
        collection, item = self.collection(), self.item()
        exports: Handlers = {"GET": self.export}
        of_all = self._describe_some(operations.of_collection, collection)
        of_one = self._describe_some(operations.of_document, item)
        of_exports = self._describe_some(operations.of_exports, exports)
        return [
            Route(f"/{name}/", collection, of_all),
            Route(f"/{name}", collection),
            Route(f"/{name}/{EXPORT}/{{format}}", exports, of_exports),
            Route(f"/{name}/{{key}}", item, of_one),
        ]

    def _describe_some(self, of: Of, handlers: Handlers) -> Describe:
        """What is said of those methods that are there."""

        def describe(compilers: Compilers) -> list[Description]:
            every = of(compilers[self.resource.name])
            return [self.describe(one) for one in every if one.method.upper() in handlers]

        return describe

    def describe(self, description: Description) -> Description:
        """What a route says of itself; one document is made at a time."""
        described = super().describe(description)
        if description.method != "post":
            return described
        one, shown = Model(self.resource.name), Model(self.resource.name, "Stored")
        created = Answer("The new document.", {JSON: shown}, ("ETag", "Location"))
        return replace(
            described, summary="Create a document", body={JSON: one}, answers={201: created}
        )


def _read_moment(value: Any) -> datetime.datetime | None:
    """The moment, as it is stored; a mock has no time zone."""
    is_moment = isinstance(value, datetime.datetime)
    return value.replace(tzinfo=datetime.UTC) if is_moment else None


def _is_earlier(sent: Any, begin: datetime.datetime | None, last: datetime.datetime) -> bool:
    """Whether what was sent may have been noted before the last moment was: none, or another."""
    if sent is None:
        return True
    try:
        moment = read_datetime(sent) if isinstance(sent, str) else None
    except ValueError:
        return False
    return moment is not None and (begin is None or begin <= moment) and moment <= last


class AccountRouter(AuthRouter):
    """Accounts."""

    documents = AccountRepository


class RoleRouter(AuthRouter):
    """Roles."""

    documents = RoleRepository

    async def explain(self, document: Document) -> Sequence[str]:
        """What is closed in a role, for it is not true any more."""
        return await self._database.run(self._list_problems, document)

    def _list_problems(self, document: Document) -> list[str]:
        return list(self._context.roles.problems([document], judge_by(self._database)))


class IssuedRouter(AuthRouter):
    """What is made from less than it is, and changed in little."""

    body_model: type[BaseModel]  # of what is sent
    secrets: ClassVar[Mapping[str, str]]  # the members of the answer that are told this once

    def item(self) -> Handlers:
        """The handlers of one document, which is never replaced whole."""
        return {"GET": self.read, "PATCH": self.patch, "DELETE": self.delete}

    async def create(self, request: Request) -> Response:
        """`POST /auth/keys/`, `POST /auth/shares/`: a new one, told this once."""
        access = self.access(request, "create")
        requests.refuse_parameters(request)
        body = await self._body(request, requests.BODIES)
        stored, secret = await self.insert(request, access, body)
        return self._answer_once(request, access, stored, secret)

    async def insert(self, request: Request, access: Access, body: Any) -> tuple[Stored, Secret]:
        """Makes and stores what is asked for; with it what is told this once."""
        document, secret = await self.make(request, access, body)
        # All of it is checked by now; the account that it is of is one that few may read.
        return await self._whole.of(request.scope).insert(document), secret

    async def make(self, request: Request, access: Access, body: Any) -> tuple[Document, Secret]:
        """The document that is stored, and what else the answer tells."""
        raise NotImplementedError

    async def _find_end(self, request: Request) -> datetime.datetime | None:
        """When the key expires that makes it, beyond which it lasts no longer."""
        repository = self._whole.of(request.scope)
        return await self._database.run(repository.find_end)

    def _answer_once(
        self, request: Request, access: Access, stored: Stored, secret: Secret
    ) -> Response:
        shown = stored.document
        if access.present:
            access.present(shown)
        root = request.scope.get("root_path", "")
        address = quote(self.resource.address)
        headers = {
            "Location": f"{root}/{address}/{write_key(self.resource.key, shown['_id'])}",
            "ETag": stored.etag,
            **NO_STORE,
        }
        return Response(to_json({**shown, **secret}), 201, headers, JSON)

    def describe(self, description: Description) -> Description:
        """What a route says of itself; what is sent to make one is another than what is shown."""
        described = super().describe(description)
        if description.method != "post":
            return described
        properties = {
            name: {"type": "string", "description": text} for name, text in self.secrets.items()
        }
        shown: Schema = {"type": "object", "required": list(self.secrets), "properties": properties}
        made = Answer("What was made; the secret is told this once.", {JSON: shown}, _HEADERS)
        schema = self.body_model.model_json_schema()
        return replace(described, body={JSON: schema}, answers={201: made}, summary="Make one")


class KeyRouter(IssuedRouter):
    """Keys: of one's own, for an administrator of any account."""

    documents = KeyRepository
    body_model = NewKey
    secrets: ClassVar = {"id": "The user name of HTTP Basic.", "secret": "Its password."}

    async def make(self, request: Request, access: Access, body: Any) -> tuple[Document, Secret]:
        """The key that is asked for; never more than its maker may do."""
        new = read_model(NewKey, body)
        caller = caller_of(request.scope)
        resources = self._context.roles.resources.values()
        is_full = access.view.rights.may("delete")
        scopes = choose_scopes(new.scopes, caller, resources, is_full=is_full)
        account = _read_account(new.account, caller)
        if account != caller.id:
            await self._refuse_unheld(account, new.scopes)
        identifier, secret = make_id(), make_secret()
        document = {
            "_id": identifier,
            "name": new.name,
            "account": bson.DBRef(ACCOUNTS, account),
            "scopes": scopes,
            "digest": digest(secret),
            "created": now(),
            "expires": new.expires or await self._find_end(request),
            "last_used": None,
        }
        return document, {"id": identifier, "secret": secret}

    async def _refuse_unheld(self, account: Any, scopes: list[str]) -> None:
        """Raises `Forbidden` for a scope that the account of a key doesn't have."""
        roles = self._context.roles
        each = dict.fromkeys(scopes)
        unheld = await self._database.run(find_unheld, self._database, roles, account, each)
        if unheld:
            detail = f"This account has no scope {unheld[0]!r}."
            raise Forbidden(detail, Fault(detail, pointer=f"#/scopes/{scopes.index(unheld[0])}"))


def _read_account(text: str | None, caller: Caller) -> Any:
    """The account of a new key; raises `Forbidden` for another's, but to administrators."""
    if text is None or text == str(caller.id):
        return caller.id
    if not caller.is_admin:
        detail = "Only administrators make keys for another account."
        raise Forbidden(detail, Fault(detail, pointer="#/account"))
    try:
        return bson.ObjectId(text)
    except bson.errors.InvalidId:
        detail = f"There is no account {text!r}."
        raise make_invalid_body([Fault(detail, pointer="#/account")]) from None


class ShareRouter(IssuedRouter):
    """Shares: what they download is tried when they are made."""

    documents = ShareRepository
    body_model = NewShare
    secrets: ClassVar = {"url": "The link that downloads it."}

    def __init__(
        self,
        resource: Resource,
        services: RouterServices,
        context: ChangeContext,
        find: FindRoute,
    ) -> None:
        super().__init__(resource, services, context)
        self._find_route = find

    async def make(self, request: Request, access: Access, body: Any) -> tuple[Document, Secret]:
        """The share that is asked for, which its maker may download at this moment."""
        new = read_model(NewShare, body)
        caller = caller_of(request.scope)
        root = request.scope.get("root_path", "")
        address = read_export_address(new.address, self._find_route, root)
        file = name_file(address)
        await _try(address, request, caller)
        token = make_token()
        is_full = access.view.rights.may("delete")
        expires = now() + datetime.timedelta(seconds=new.expires_in)
        end = await self._find_end(request)
        if end is not None and "expires_in" not in new.model_fields_set:
            expires = min(end, expires)
        document = {
            "_id": bson.ObjectId(),
            "name": new.name or file,
            "address": new.address,
            "file": file,
            "account": bson.DBRef(ACCOUNTS, caller.id),
            "scopes": inherit_scopes(caller, is_full=is_full),
            "digest": digest(token),
            "created": now(),
            "expires": expires,
            "last_used": None,
        }
        host = f"{request.scope['scheme']}://{request.headers.get('host', '')}"
        return document, {"url": f"{host}{root}/shared/{token}/{quote(file)}"}


async def _try(address: Address, request: Request, caller: Caller) -> None:
    """Raises `Invalid` for an export that can't be, `Forbidden` for one that isn't allowed."""
    try:
        await address.answer(request, caller, "HEAD")
    except (Invalid, NotFound) as error:
        raise make_invalid_body([Fault(error.detail, pointer="#/address")]) from None


def make_auth_routers(
    services: RouterServices, context: ChangeContext, find: FindRoute
) -> list[ResourceRouter]:
    """The routers of all our own resources; `find` gives the route of a path."""
    own = {resource.name: resource for resource in list_auth_resources()}
    return [
        AccountRouter(own[ACCOUNTS], services, context),
        RoleRouter(own[ROLES], services, context),
        KeyRouter(own[KEYS], services, context),
        ShareRouter(own[SHARES], services, context, find),
        _ForAdministrators(own[AUDIT], services),
    ]
