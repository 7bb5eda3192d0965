"""Browsers that come without a session: to the sign-in, and from there to where they wanted to go.

Programs are refused, and so is a form that was filled in: what was typed must not get lost.
"""

from urllib.parse import quote, urlsplit

from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from app.api.negotiation import prefers_html
from app.api.pages import HTMX, NEXT, UI
from app.api.problems import problem
from app.api.router import INDEX
from app.errors import RequestError, Unauthorized

SIGN_IN = f"{UI}/sign-in"
SEE_OTHER = 303
PART = b"/table/"  # in the path of what is a part of a table's screen


def redirect_to_sign_in(error: RequestError, scope: Scope) -> Response | None:
    """The redirect of a browser without a session; None for another error, and for no browser.

    A script of htmx is told to go to the sign-in, for it would put the form where it has asked for
    something else (https://htmx.org/headers/hx-redirect/).
    """
    if scope["type"] != "http" or not isinstance(error, Unauthorized):
        return None
    headers = dict(scope["headers"])
    if b"authorization" in headers or not _is_page(scope, headers):
        return None
    error.challenges = error.challenges[:1]  # no window of the browser's own: there is a page
    if scope["method"] not in ("GET", "HEAD"):
        return None
    if HTMX in headers:
        response = problem(error, scope)
        response.headers["HX-Redirect"] = _lead_back(scope, _find_screen(scope, headers))
        return response
    if headers.get(b"sec-fetch-mode", b"navigate") != b"navigate":
        return None
    no_store = {"Cache-Control": "no-store", "Vary": "Accept, Cookie"}
    return RedirectResponse(_lead_back(scope, _find_address(scope)), SEE_OTHER, no_store)


def _is_page(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    accept = headers.get(b"accept", b"").decode("latin-1")
    if not prefers_html(accept) and HTMX not in headers:
        return False
    return path == "/" or f"{path}/".startswith(f"{UI}/") or path.endswith(f"/{INDEX}")


def _find_address(scope: Scope) -> bytes:
    """What is asked for, with its query."""
    path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    query: bytes = scope["query_string"]
    return path + b"?" + query if query else path


def _find_screen(scope: Scope, headers: dict[bytes, bytes]) -> bytes:
    """The screen that a script of htmx makes, or the one that it asks for a part of."""
    there = _find_address(scope)
    if PART not in there.partition(b"?")[0]:
        return there
    screen = urlsplit(headers.get(b"hx-current-url", b""))
    return screen.path + b"?" + screen.query if screen.query else screen.path


def _lead_back(scope: Scope, address: bytes) -> str:
    """The address of the sign-in, which goes on to another one."""
    root: str = scope.get("root_path", "")
    there = address.removeprefix(root.encode()) or f"{UI}/".encode()
    return f"{root}{SIGN_IN}?{NEXT}={quote(there, safe='/')}"
