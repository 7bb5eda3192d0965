"""The pages on the API: `/`, `/docs`, `/redoc` and what a problem's `type` leads to.

All work with no internet.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any
from urllib.parse import quote

import orjson
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from app.api import requests
from app.api.callers import Caller, caller_of
from app.api.descriptions import Answer, Description
from app.api.headers import make_page
from app.api.media_types import JSON
from app.api.negotiation import prefers_html
from app.api.problem_texts import PROBLEMS
from app.api.routing import Handler, Route
from app.errors import NotFound
from app.resources.registry import Resource
from app.resources.views import ALL, Grants
from app.settings import Settings
from app.spreadsheets.formats import FORMATS

TITLE = "Docsheet"
CACHE_SIZE = 64  # descriptions for callers with different rights
ASSETS = "/docs/assets"
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 "
    "1rem;color:#1b1f24}"
    "a{color:#0b5cad}code{background:#f2f4f7;padding:.1em .3em;border-radius:3px}li{margin:.4em 0}"
)
# Redoc adds styles while it runs; they get the nonce of this script, which its page lets run.
_STYLES_OF_REDOC = """
<script>
const { nonce } = document.currentScript;
const create = document.createElement;
document.createElement = function (name, options) {
  const element = create.call(this, name, options);
  if (name.toLowerCase() === "style") element.nonce = nonce;
  return element;
};
</script>"""
_DOCS = {"docs": "docs", "redoc": "redoc", "openapi": "openapi.json"}
_HOME = Description(
    "get",
    "/",
    "home",
    "The resources",
    {
        200: Answer(
            "The resources and where their documents are, as JSON or as a page.",
            {JSON: {"type": "object"}, "text/html": {"type": "string"}},
            ("Vary", "Cache-Control", "Content-Security-Policy"),
        )
    },
    (400, 422),
)


class Docs:
    """The documentation of one server; `home` makes the page at its root for browsers."""

    def __init__(
        self,
        served: Mapping[str, Resource],
        openapi: Callable[[Grants], dict[str, Any]],
        settings: Settings,
        home: Handler,
    ) -> None:
        self._home = home
        self._resources = served
        self._openapi = lru_cache(maxsize=CACHE_SIZE)(lambda grants: orjson.dumps(openapi(grants)))
        self._root = settings.ROOT_PATH
        self._has_docs = settings.DOCS != "off"
        self._assets = StaticFiles(directory=str(resources.files("fastapi_offline") / "static"))

    def routes(self) -> list[Route]:
        """The routes of the pages and of their assets."""
        return [
            Route("/", {"GET": self.home}, (_HOME,)),
            Route("/docs/problems/{problem}", {"GET": self.problem}),
            *(self._docs_routes() if self._has_docs else ()),
        ]

    def _docs_routes(self) -> list[Route]:
        return [
            Route("/openapi.json", {"GET": self.openapi}),
            Route("/docs", {"GET": self.swagger}),
            Route("/redoc", {"GET": self.redoc}),
            Route(f"{ASSETS}/{{file}}", {"GET": self.asset}),
        ]

    async def home(self, request: Request) -> Response:
        """`GET /`: the resources with their downloads, as a page or JSON."""
        if prefers_html(request.headers.get("accept", "")):
            page = await self._home(request)
            page.headers.add_vary_header("Accept")
            return page
        requests.refuse_parameters(request)
        served = self._list_served(caller_of(request.scope))
        return Response(orjson.dumps(self._home_json(served)), 200, {"Vary": "Accept"}, JSON)

    def _list_served(self, caller: Caller) -> list[str]:
        """The addresses of the resources that the caller may read."""
        resources = self._resources.items()
        return [name for name, one in resources if caller.rights.of(one.name).may("read")]

    async def openapi(self, request: Request) -> Response:
        """`GET /openapi.json`."""
        requests.refuse_parameters(request)
        caller = caller_of(request.scope)
        # Who need not say who they are see all that is there, as the setting DOCS says.
        grants = ALL if caller.means == "none" else caller.rights.ignore_conditions()
        return Response(self._openapi(grants), media_type=JSON)

    async def swagger(self, request: Request) -> Response:
        """`GET /docs`: Swagger UI."""
        requests.refuse_parameters(request)
        page = get_swagger_ui_html(
            openapi_url=f"{self._root}/openapi.json",
            title=TITLE,
            swagger_js_url=f"{self._root}{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{self._root}{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{self._root}{ASSETS}/favicon.png",
        )
        return make_page(bytes(page.body).decode())

    async def redoc(self, request: Request) -> Response:
        """`GET /redoc`: Redoc."""
        requests.refuse_parameters(request)
        page = get_redoc_html(
            openapi_url=f"{self._root}/openapi.json",
            title=TITLE,
            redoc_js_url=f"{self._root}{ASSETS}/redoc.standalone.js",
            redoc_favicon_url=f"{self._root}{ASSETS}/favicon.png",
            with_google_fonts=False,
        )
        return make_page(bytes(page.body).decode().replace("<body>", f"<body>{_STYLES_OF_REDOC}"))

    async def problem(self, request: Request) -> Response:
        """`GET /docs/problems/{problem}`: what an error's `type` means and what helps."""
        requests.refuse_parameters(request)
        found = PROBLEMS.get(request.path_params["problem"])
        if found is None:
            raise NotFound(f"There is no page on {request.path_params['problem']!r}.")
        title, text = found
        return make_page(_page(title, f"<h1>{html.escape(title)}</h1><p>{html.escape(text)}</p>"))

    async def asset(self, request: Request) -> Response:
        """`GET /docs/assets/{file}`: a file of Swagger UI or Redoc."""
        requests.refuse_parameters(request)
        answer = await self._assets.get_response(request.path_params["file"], request.scope)
        answer.headers["Cache-Control"] = "no-cache"  # kept, and asked for again by its ETag
        return answer

    def _home_json(self, served: Sequence[str]) -> dict[str, Any]:
        return {
            "resources": {name: self._list_addresses(name) for name in served},
            **dict(self._docs_links()),
        }

    def _list_addresses(self, name: str) -> dict[str, Any]:
        """Where a resource's documents and downloads are."""
        path = f"{self._root}/{quote(name)}"
        exports = {word: f"{path}/export/{word}" for word in FORMATS}
        return {"documents": f"{path}/", "exports": exports}

    def _docs_links(self) -> list[tuple[str, str]]:
        """The name and address of each page of the documentation; none where it is off."""
        if not self._has_docs:
            return []
        return [(name, f"{self._root}/{path}") for name, path in _DOCS.items()]


def _page(title: str, body: str) -> str:
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' "
        "content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style><body>{body}</body></html>"
    )
