"""The routes of a resource: reading, writing, downloading."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.api import operations, requests
from app.api.access import Access, Accesses, FindAccess
from app.api.callers import Caller
from app.api.conditions import Conditions
from app.api.descriptions import Description
from app.api.downloads import Downloads
from app.api.journal import Details, Journal, JournalEntry
from app.api.many import MAX_ERRORS, affect, read_common_patch, read_documents
from app.api.media_types import JSON
from app.api.page_links import make_page_headers
from app.api.pages import path_of_pages
from app.api.parts import Part
from app.api.redaction import hide_secrets
from app.api.routing import Describe, Handler, Route
from app.api.uploads import Uploads
from app.errors import Invalid, NotFound
from app.query.compile import Affected, Compiler, Excerpt
from app.query.conditions import Condition
from app.resources.keys import write_key
from app.resources.registry import Resource
from app.resources.rendering import keep_paths, to_json
from app.resources.storing import Document
from app.resources.views import Action
from app.spreadsheets.formats import FORMATS
from app.store.client import Database
from app.store.repository import Repository
from app.store.stored import Stored

EXPORT, IMPORT = "export", "import"  # the steps before a format
INDEX = "index.html"  # what people try who look for a page


@dataclass(frozen=True)
class RouterServices:
    """What the routers of one server share; writes of many documents are in the `journal`."""

    accesses: Accesses
    downloads: Downloads
    uploads: Uploads
    body_limit: int  # bytes
    journal: Journal


class ResourceRouter(Part):
    """The handlers of one resource; each takes what its caller may do from the request."""

    def __init__(self, resource: Resource, services: RouterServices) -> None:
        self.resource = resource
        self.body_limit = services.body_limit
        self._accesses = services.accesses
        self._repository: Repository  # of everything: handlers have that of their caller
        self._find_access: FindAccess
        self._downloads = services.downloads
        self._uploads = services.uploads
        self._journal = services.journal

    async def open(self, database: Database) -> None:
        """Takes the documents from this database."""
        self._repository = self.make_repository(database)
        self._find_access = self._accesses.keep(self._repository)

    def make_repository(self, database: Database) -> Repository:
        """All documents of the resource."""
        return Repository(database, self.resource, self._accesses.resources)

    async def prepare(self) -> bool:
        """Makes the declared indexes."""
        if self.problems() and self._repository.indexes.is_due():
            await self._repository.make_indexes()
        return not self.problems()

    def problems(self) -> list[str]:
        """Why the declared indexes are not there."""
        indexes = self._repository.indexes
        if indexes.problem:
            return [indexes.problem[0].upper() + indexes.problem[1:]]
        if not indexes.made:
            return [f"The indexes of {self.resource.name!r} are not made yet."]
        return []

    def routes(self) -> list[Route]:
        """The routes of this resource.

        The collection answers with and without a slash at its end.
        """
        name = self.resource.address
        collection: dict[str, Handler] = {"GET": self.list}
        item: dict[str, Handler] = {"GET": self.read}
        if not self.resource.options.read_only:
            collection |= {
                "POST": self.create,
                "PATCH": self.patch_many,
                "DELETE": self.delete_many,
            }
            item |= {"PUT": self.replace, "PATCH": self.patch, "DELETE": self.delete}
        return [
            Route(f"/{name}/", collection, self._describe(operations.of_collection)),
            Route(f"/{name}", collection),
            Route(
                f"/{name}/{EXPORT}/{{format}}",
                {"GET": self.export},
                self._describe(operations.of_exports),
            ),
            *self._import_routes(item),
            Route(f"/{name}/{{key}}", item, self._describe(operations.of_document)),
        ]

    def _describe(self, of: Callable[[Compiler], Sequence[Description]]) -> Describe:
        return lambda compilers: of(compilers[self.resource.name])

    def _import_routes(self, item: dict[str, Handler]) -> Iterator[Route]:
        """`/users/import`, which may also be the address of a document with that key."""
        if self.resource.options.read_only:
            return
        path = f"/{self.resource.address}/{IMPORT}"
        describe = self._describe(operations.of_import)
        handlers = {**item, "POST": self.import_file}
        yield Route(path, handlers, lambda compilers: describe(compilers)[:1])
        form = {"GET": self.form}
        yield Route(f"{path}/{{format}}", form, lambda compilers: describe(compilers)[1:])

    def access(self, request: Request, *actions: Action) -> Access:
        """What the caller has of this resource; raises `Forbidden` for what isn't allowed."""
        caller: Caller = request.scope["caller"]
        return self._find_access(caller.rights, actions)

    async def list(self, request: Request, below: Sequence[Condition] = ()) -> Response:
        """`GET /users/`: a page of documents, of those that meet the conditions `below`."""
        access = self.access(request, "read")
        query = access.compiler.list(requests.pairs(request), below)
        page = await access.repository.page(query)
        if access.present:
            for document in page.documents:
                access.present(document)
        raw = None if query.expand else page.raw
        headers = make_page_headers(request, query, page)
        return Response(to_json(page.documents, raw), 200, headers, JSON)

    async def create(self, request: Request) -> Response:
        """`POST /users/`: a new document, or an array of them."""
        access = self.access(request, "create")
        requests.refuse_parameters(request)
        body = await self._body(request, requests.BODIES)
        if type(body) is list:  # of many
            return await self._create_all(access, body)
        document = await self._read_document(access, body)
        stored = await access.repository.insert(document)
        root = request.scope.get("root_path", "")
        key = write_key(self.resource.key, stored.document["_id"])
        location = f"{root}/{quote(self.resource.address)}/{key}"
        if not await access.repository.find_readable([stored]):
            return Response(to_json(_key_alone(stored)), 201, {"Location": location}, JSON)
        return _answer(access, stored, 201, {"Location": location})

    async def _create_all(self, access: Access, bodies: Sequence[Any]) -> Response:
        reach = access.repository.reach
        documents = await asyncio.to_thread(read_documents, reach, bodies)
        stored = await access.repository.insert_all(documents)
        readable = await access.repository.find_readable(stored)
        shown = []
        for number, one in enumerate(stored):
            document = one.document if number in readable else _key_alone(one)
            if access.present:
                access.present(document)
            shown.append(document)
        return Response(to_json(shown), 201, None, JSON)

    async def patch_many(self, request: Request) -> Response:
        """`PATCH /users/?…`: a merge patch of every document that meets the conditions."""
        access = self.access(request, "update")
        affected = access.compiler.many(requests.pairs(request))
        conditions = Conditions(request)
        body = await self._body(request, requests.PATCHES)
        conditions.check_collection()
        patch = read_common_patch(access.repository.reach, body)
        outcome = await self.change_all(request, access, affected, patch)
        return Response(to_json(outcome), 200, None, JSON)

    async def change_all(
        self, request: Request, access: Access, affected: Affected, patch: Document
    ) -> dict[str, Any]:
        """Changes every document that matches by a patch for many; raises as `affect`."""
        repository, fields = access.repository, sorted(patch)[:MAX_ERRORS]
        return await affect(
            repository,
            affected,
            lambda query, keys: repository.patch_all(query, keys, patch),
            lambda: self._begin_entry(request, "documents changed", {"fields": fields}),
        )

    async def delete_many(self, request: Request) -> Response:
        """`DELETE /users/?…`: every document that meets the conditions."""
        access = self.access(request, "delete")
        affected = access.compiler.many(requests.pairs(request))
        Conditions(request).check_collection()
        outcome = await self.delete_all(request, access, affected)
        return Response(to_json(outcome), 200, None, JSON)

    async def delete_all(
        self, request: Request, access: Access, affected: Affected
    ) -> dict[str, Any]:
        """Deletes every document that matches; raises as `affect`."""
        return await affect(
            access.repository,
            affected,
            access.repository.delete_all,
            lambda: self._begin_entry(request, "documents deleted", {}),
        )

    def _begin_entry(self, request: Request, what: str, details: Details) -> JournalEntry:
        """The entry of a write of many, which has begun; values that are written aren't in it."""
        query = hide_secrets(request.scope["query_string"].decode("latin-1"))
        more = {"query": query, **details, "state": "running"}
        return self._journal.begin(request.scope, what, self.resource.name, more)

    async def read(self, request: Request) -> Response:
        """`GET /users/{_id}`: one document, or 304 where the client has it."""
        access = self.access(request, "read")
        pairs = requests.pairs(request)
        excerpt = access.compiler.read(pairs) if pairs else None
        conditions = Conditions(request)
        try:
            stored = await self._find(request, access.repository.read)
        except (NotFound, Invalid):
            word = request.path_params.get("key", IMPORT)
            if word == INDEX:
                return self._lead_to_page(request)
            if word == EXPORT:  # and no document has it as its key
                raise _without_format(request) from None
            if word == IMPORT and not self.resource.options.read_only:
                raise _without_file(request) from None
            raise
        if excerpt is not None and not excerpt.is_whole:
            return await _answer_excerpt(access, stored, excerpt)
        if conditions.is_current(stored.etag):
            return Response(None, 304, {"ETag": stored.etag})
        return _answer(access, stored)

    def _lead_to_page(self, request: Request) -> Response:
        root = request.scope.get("root_path", "")
        return RedirectResponse(f"{root}{quote(path_of_pages(self.resource))}/")

    async def replace(self, request: Request) -> Response:
        """`PUT /users/{_id}`: the body in place of the document."""
        access = self.access(request, "update")
        requests.refuse_parameters(request)
        keys = await self._keys_of_write(request, access)
        matches = Conditions(request).for_write()
        body = await self._body(request, requests.BODIES)
        stored = await access.repository.replace(
            keys,
            matches,
            lambda raw: access.repository.reach.read_replacement(self.settle(body, raw), raw),
        )
        return _answer(access, stored)

    async def patch(self, request: Request) -> Response:
        """`PATCH /users/{_id}`: a merge patch (RFC 7396)."""
        access = self.access(request, "update")
        requests.refuse_parameters(request)
        keys = await self._keys_of_write(request, access)
        matches = Conditions(request).for_write()
        body = await self._body(request, requests.PATCHES)
        stored = await access.repository.patch(
            keys,
            matches,
            lambda raw: access.repository.reach.read_patch(self.settle(body, raw), raw),
        )
        return _answer(access, stored)

    def settle(self, body: Any, raw: bytes) -> Any:
        """The body of a change of a stored document, given as its BSON, as it is meant."""
        return body

    async def delete(self, request: Request) -> Response:
        """`DELETE /users/{_id}`."""
        access = self.access(request, "delete")
        requests.refuse_parameters(request)
        keys = await self._keys_of_write(request, access)
        matches = Conditions(request).for_write()
        await access.repository.delete(keys, matches)
        return Response(None, 204)

    async def export(self, request: Request, below: Sequence[Condition] = ()) -> Response:
        """`GET /users/export/{format}`: a download of what meets the conditions `below`."""
        access = self.access(request, "export")
        return await self._downloads.answer(request, access, below)

    async def import_file(self, request: Request) -> Response:
        """`POST /users/import`: documents of a file."""
        access = self.access(request, "import")
        return await self._uploads.answer(request, access)

    async def form(self, request: Request) -> Response:
        """`GET /users/import/{format}`: an empty sheet to fill in."""
        access = self.access(request, "import")
        return await asyncio.to_thread(self._uploads.form, request, access)

    async def explain(self, document: Document) -> Sequence[str]:
        """What else is to be said of a stored document where it is shown: a sentence each."""
        return ()

    async def find(self, request: Request, step: int) -> Stored:
        """The document whose `_id` is this step of the path.

        Raises `NotFound`, or `Invalid` for no `_id`.
        """
        access = self.access(request)
        if not access.view.rights.may("export"):  # which shows what may be read
            access.require("read")
        return await self._find(request, access.repository.read, step)

    async def _body(self, request: Request, accepted: tuple[str, ...]) -> Any:
        requests.check_media_type(request, accepted)
        return requests.parse_json(await requests.read_body(request, self.body_limit))

    async def _read_document(self, access: Access, body: Any) -> Document:
        """The new document that the body makes; in a thread where checking it may take long."""
        read = access.repository.reach.read_document
        if self.resource.has_excluded:
            return await asyncio.to_thread(read, body)
        return read(body)

    async def _find(self, request: Request, read: Callable[[Any], Any], step: int = -1) -> Stored:
        keys, error = requests.keys(request, self.resource.key, step)
        try:
            stored: Stored = await read(keys)
        except NotFound:
            if error is not None:
                raise requests.make_key_error(error) from None
            raise
        return stored

    async def _keys_of_write(self, request: Request, access: Access) -> Any:
        """The `_id`s that the path may name.

        A malformed one that nobody stored is refused before all else.
        """
        keys, error = requests.keys(request, self.resource.key)
        if error is not None:
            await self._find(request, access.repository.read)
        return keys


def _key_alone(stored: Stored) -> Document:
    """What those are shown of a document who may create it and not read it."""
    return {"_id": stored.document["_id"]}


def _answer(
    access: Access, stored: Stored, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    document = stored.document
    if access.present:
        access.present(document)
    return Response(
        to_json(document, stored.raw), status, {"ETag": stored.etag, **(headers or {})}, JSON
    )


async def _answer_excerpt(access: Access, stored: Stored, excerpt: Excerpt) -> Response:
    """Some fields, or linked documents in place: no state of one document, so without an ETag."""
    document = stored.document
    if excerpt.fields is not None:
        document = keep_paths(document, excerpt.fields)
    await access.repository.expand(document, excerpt.expand)
    if access.present:
        access.present(document)
    return Response(to_json(document), 200, None, JSON)


def _without_format(request: Request) -> NotFound:
    formats = ", ".join(f"{request.scope['path']}/{word}" for word in FORMATS)
    return NotFound(f"A download's address ends with its format: {formats}.")


def _without_file(request: Request) -> NotFound:
    path = request.scope["path"]
    return NotFound(f"POST a file to {path}; {path}/xlsx is an empty one to fill in.")
