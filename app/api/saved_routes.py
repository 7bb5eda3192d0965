"""`/views/`: lists that were saved under a name, as JSON and as downloads."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.bodies import read_model
from app.api.descriptions import (
    Answer,
    Description,
    Schema,
    describe_in_path,
    describe_parameter,
)
from app.api.media_types import JSON, MERGE_PATCH
from app.api.routing import Route
from app.api.saved_lists import ADDED_TO_EXPORTS, ADDED_TO_LISTS, FoundView, SavedLists
from app.api.saved_views import ChangedView, NewView
from app.query.parameters import Taker, parameters_of
from app.resources.rendering import to_json
from app.spreadsheets.formats import FORMATS

LIMIT = 64 * 1024  # bytes of a view that is sent
PATH = "/views"


class SavedRoutes:
    """The handlers of saved views."""

    def __init__(self, lists: SavedLists) -> None:
        self._lists = lists

    def routes(self) -> list[Route]:
        """The routes; the list of views answers with and without a slash at its end."""
        views = {"GET": self.list, "POST": self.create}
        view = {"GET": self.answer, "PATCH": self.change, "DELETE": self.delete}
        export = {"GET": self.export}
        return [
            Route(f"{PATH}/", views, (_LIST, _CREATE)),
            Route(PATH, views),
            Route(f"{PATH}/{{slug}}", view, (_ANSWER, _CHANGE, _DELETE)),
            Route(f"{PATH}/{{slug}}/{{format}}", export, (_EXPORT,)),
        ]

    async def list(self, request: Request) -> Response:
        """`GET /views/`: the caller's own, and those for all."""
        requests.refuse_parameters(request)
        root = request.scope.get("root_path", "")
        found = await self._lists.list(request)
        return Response(to_json([view.show(root) for view in found]), 200, None, JSON)

    async def create(self, request: Request) -> Response:
        """`POST /views/`: a new one."""
        requests.refuse_parameters(request)
        new = read_model(NewView, await _read_body(request, requests.BODIES))
        made = await self._lists.save(request, new)
        root = request.scope.get("root_path", "")
        return _answer(request, made, 201, {"Location": f"{root}{PATH}/{quote(made.view.slug)}"})

    async def answer(self, request: Request) -> Response:
        """`GET /views/{slug}`: the list that its address asks for."""
        return await self._lists.answer(request, request.path_params["slug"])

    async def export(self, request: Request) -> Response:
        """`GET /views/{slug}/{format}`: a download of all that it lists."""
        slug, format_ = request.path_params["slug"], request.path_params["format"]
        return await self._lists.export(request, slug, format_)

    async def change(self, request: Request) -> Response:
        """`PATCH /views/{slug}`: another name, address, or who it is for."""
        requests.refuse_parameters(request)
        self._lists.require_full(request)
        body = await _read_body(request, requests.PATCHES)
        slug = request.path_params["slug"]
        found = await self._lists.find(request, slug)
        changed = read_model(ChangedView, body)
        return _answer(request, await self._lists.change(request, found.view.slug, changed), 200)

    async def delete(self, request: Request) -> Response:
        """`DELETE /views/{slug}`."""
        requests.refuse_parameters(request)
        await self._lists.delete(request, request.path_params["slug"])
        return Response(None, 204)


async def _read_body(request: Request, accepted: tuple[str, ...]) -> Any:
    requests.check_media_type(request, accepted)
    return requests.parse_json(await requests.read_body(request, LIMIT))


def _answer(
    request: Request, found: FoundView, status: int, headers: Mapping[str, str] | None = None
) -> Response:
    shown = found.show(request.scope.get("root_path", ""))
    return Response(to_json(shown), status, headers, JSON)


_SHOWN: Schema = {
    "title": "SavedView",
    "type": "object",
    "required": [
        *("slug", "name", "resource", "address", "page", "for_all", "mine", "problem"),
        *("created", "changed"),
    ],
    "additionalProperties": False,
    "properties": {
        "slug": {"type": "string", "description": "The last step of its address."},
        "name": {"type": "string", "description": "What people call it."},
        "resource": {"type": "string", "description": "The collection that it lists."},
        "address": {"type": "string", "description": "The path of the list, with its query."},
        "page": {"type": "string", "description": "The same list as a screen."},
        "for_all": {"type": "boolean", "description": "Whether others find it as well."},
        "mine": {"type": "boolean", "description": "Whether the caller saved it."},
        "problem": {
            "type": ["string", "null"],
            "description": "Why it can't be used any more, such as a field that is gone.",
        },
        "created": {"type": "string", "format": "date-time"},
        "changed": {"type": "string", "format": "date-time"},
    },
}
_REFERENCE: Schema = {"$ref": "#/components/schemas/SavedView"}
_SCHEMAS = {"SavedView": _SHOWN}
_CHANGED: Schema = {"$ref": "#/components/schemas/ChangedView"}
_SENT = NewView.model_json_schema()
_PATCH: Schema = {
    "title": "ChangedView",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        name: {key: value for key, value in schema.items() if key != "default"}
        for name, schema in _SENT["properties"].items()
        if name != "slug"
    },
}
_SLUG = describe_in_path("slug", {"type": "string"}, "The view, such as `adults`.")
_TAG = "views"


def _describe_added(taker: Taker, names: Sequence[str]) -> list[Schema]:
    """The parameters that may be added to those of the view."""
    options = [name for found in FORMATS.values() for name in found.takes]
    known = parameters_of(taker, options)
    return [
        describe_parameter(name, known[name].type.schema, known[name].description)
        for name in known
        if name in names
    ]


_LIST = Description(
    "get",
    f"{PATH}/",
    "list_views",
    "The caller's saved views, and those for all",
    {200: Answer("The views, by name.", {JSON: {"type": "array", "items": _REFERENCE}})},
    (400, 422, 503),
    schemas=_SCHEMAS,
    tag=_TAG,
)
_CREATE = Description(
    "post",
    f"{PATH}/",
    "create_view",
    "Save a list under a name",
    {201: Answer("The new view.", {JSON: _REFERENCE}, ("Location",))},
    (400, 403, 409, 413, 415, 422, 503),
    body={JSON: _SENT},
    schemas=_SCHEMAS,
    tag=_TAG,
)
_ANSWER = Description(
    "get",
    f"{PATH}/{{slug}}",
    "read_view",
    "The list that a saved view asks for",
    {
        200: Answer(
            "A page of documents.",
            {JSON: {"type": "array", "items": {"type": "object"}}},
            ("Link", "X-Total-Count", "X-Count-Strategy"),
        )
    },
    (400, 403, 404, 422, 503),
    [_SLUG, *_describe_added("list", ADDED_TO_LISTS)],
    tag=_TAG,
)
_CHANGE = Description(
    "patch",
    f"{PATH}/{{slug}}",
    "change_view",
    "Change a saved view",
    {200: Answer("The view as it is now.", {JSON: _REFERENCE})},
    (400, 403, 404, 413, 415, 422, 503),
    [_SLUG],
    body={MERGE_PATCH: _CHANGED, JSON: _CHANGED},
    schemas={**_SCHEMAS, "ChangedView": _PATCH},
    tag=_TAG,
)
_DELETE = Description(
    "delete",
    f"{PATH}/{{slug}}",
    "delete_view",
    "Delete a saved view",
    {204: Answer("It is deleted.")},
    (400, 403, 404, 422, 503),
    [_SLUG],
    tag=_TAG,
)
_EXPORT = Description(
    "get",
    f"{PATH}/{{slug}}/{{format}}",
    "export_view",
    "Download all that a saved view lists",
    {
        200: Answer(
            "The file.",
            {"application/octet-stream": {"type": "string", "format": "binary"}},
            ("X-Export-Id", "Content-Disposition", "Cache-Control"),
        )
    },
    (400, 403, 404, 422, 503, 505),
    [
        _SLUG,
        describe_in_path("format", {"type": "string", "enum": list(FORMATS)}, "The file's."),
        *_describe_added("export", ADDED_TO_EXPORTS),
    ],
    tag=_TAG,
)
