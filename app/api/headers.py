"""The headers of every answer, those of a file, and what a page may load (CSP, level 3)."""

import re
import secrets
from collections.abc import Iterable
from urllib.parse import quote

from starlette.responses import HTMLResponse

from app.settings import Settings

Header = tuple[bytes, bytes]
NO_STORE = {"Cache-Control": "no-store"}  # no cache keeps it (RFC 9111, 5.2.2.5)
# Of addresses, other sites learn nothing; pages of our own get them whole. With `no-referrer` a
# browser would hide the origin of a form of our own (https://fetch.spec.whatwg.org/#origin-header).
ALWAYS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)
_PRIVATE: Header = (b"cache-control", b"no-store")
_HTTPS: Header = (b"strict-transport-security", b"max-age=31536000")  # seconds, a year
_SECURE = ("https", "wss")
_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_PAGE: Header = (b"content-security-policy", _POLICY.encode())
_inline = re.compile(r"<(script|style)(?=[ >])")


class Headers:
    """The headers that an answer gets besides its own; its own are kept."""

    def __init__(self, settings: Settings) -> None:
        # Where there are accounts, the caller's rights decide what is in an answer.
        self._always = (*ALWAYS, _PRIVATE) if settings.has_accounts else ALWAYS
        self._names = frozenset(name for name, _ in self._always)

    def complete(self, given: Iterable[Header], scheme: str) -> list[Header]:
        """The answer's headers with those that it lacks."""
        known = dict(given)
        headers = [*given, *self._always]
        if not self._names.isdisjoint(known):
            headers = [*given, *(header for header in self._always if header[0] not in known)]
        if known.get(b"content-type", b"").startswith(b"text/html") and _PAGE[0] not in known:
            headers.append(_PAGE)
        if scheme in _SECURE and _HTTPS[0] not in known:
            headers.append(_HTTPS)
        return headers


def make_page(text: str) -> HTMLResponse:
    """A page whose own scripts and styles run, and no others: those of the text get a nonce.

    What is put into the text must be escaped, or it runs as well.
    """
    nonce = secrets.token_urlsafe(16)
    sources = f"'self' 'nonce-{nonce}'"
    policy = f"script-src {sources}; style-src {sources}; worker-src blob:; {_POLICY}"
    marked = _inline.sub(rf'<\1 nonce="{nonce}"', text)
    return HTMLResponse(marked, headers={"Content-Security-Policy": policy})


def make_file_headers(name: str, media_type: str) -> dict[str, str]:
    """The headers of a file that is downloaded under a name, and that no cache keeps."""
    return {
        "Content-Type": media_type,
        "Content-Disposition": name_file(name),
        **NO_STORE,
    }


def name_file(name: str) -> str:
    """The header by which a browser saves an answer under a name (RFC 6266, section 4)."""
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")
    quoted = quote(name, safe="")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quoted}"
