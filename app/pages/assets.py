"""The files that the pages load, each with the digest of its content in its name.

So a browser keeps one for ever (RFC 8246), and never has that of another version.
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.routing import Route
from app.errors import NotFound

PATH = "/ui/static"
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
_OURS = resources.files("app.pages") / "static"
_FILES: dict[str, tuple[Traversable, str]] = {
    "docsheet.css": (_OURS / "docsheet.css", "text/css; charset=utf-8"),
    "docsheet.js": (_OURS / "docsheet.js", "text/javascript; charset=utf-8"),
    "icon.svg": (_OURS / "icon.svg", "image/svg+xml"),
    "htmx.js": (
        resources.files("js_lib_htmx") / "static" / "htmx" / "htmx.min.js",
        "text/javascript; charset=utf-8",
    ),
}


@dataclass(frozen=True)
class Asset:
    """One file, as it is sent."""

    name: str
    media_type: str
    body: bytes
    packed: bytes


class Assets:
    """The files of one server process."""

    def __init__(self) -> None:
        self._by_name: dict[str, Asset] = {}
        self._names: dict[str, str] = {}
        for name in _FILES:
            asset = _read(name)
            self._names[name] = asset.name
            self._by_name[asset.name] = asset

    def routes(self) -> list[Route]:
        """The route of all of them."""
        return [Route(f"{PATH}/{{file}}", {"GET": self.answer})]

    def path(self, name: str) -> str:
        """Where the file of this name is: `/ui/static/docsheet.0123456789abcdef.css`."""
        return f"{PATH}/{self._names[name]}"

    async def answer(self, request: Request) -> Response:
        """`GET /ui/static/{file}`."""
        requests.refuse_parameters(request)
        asset = self._by_name.get(request.path_params["file"])
        if asset is None:
            raise NotFound("There is no such file; the pages name those that there are.")
        headers = {**FOREVER, "Content-Type": asset.media_type}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.packed, 200, {**headers, "Content-Encoding": "gzip"})
        return Response(asset.body, 200, headers)


@cache
def _read(name: str) -> Asset:
    file, media_type = _FILES[name]
    body = file.read_bytes()
    stem, _, ending = name.rpartition(".")
    digest = hashlib.sha256(body).hexdigest()[:16]
    return Asset(f"{stem}.{digest}.{ending}", media_type, body, gzip.compress(body, mtime=0))
