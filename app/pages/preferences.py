"""What a browser remembers for its reader, in cookies: language, theme, time zone, what was seen.

None of it is secret, and whatever can't be is overlooked.
"""

import zoneinfo
from dataclasses import dataclass
from functools import lru_cache

from starlette.requests import Request
from starlette.responses import Response

from app.pages.languages import CODES, choose_language

LANGUAGE, THEME, ZONE, SEEN, DONE = "language", "theme", "zone", "seen", "done"  # the cookies
THEMES = ("system", "light", "dark")
YEAR = 365 * 24 * 3600  # seconds
MINUTE = 60  # seconds
MOST_SEEN = 5  # collections


@dataclass(frozen=True)
class Preferences:
    """What one reader likes; `seen` are addresses of resources, the last one first."""

    language: str
    theme: str = "system"
    zone: str = "UTC"
    seen: tuple[str, ...] = ()


def read_preferences(request: Request) -> Preferences:
    """The preferences of the browser that asks."""
    cookies = request.cookies
    language = cookies.get(LANGUAGE, "")
    if language not in CODES:
        language = choose_language(request.headers.get("accept-language", ""))
    theme = cookies.get(THEME, "")
    zone = cookies.get(ZONE, "")
    seen = tuple(cookies.get(SEEN, "").split("|")[:MOST_SEEN])
    return Preferences(
        language,
        theme if theme in THEMES else THEMES[0],
        zone if is_zone(zone) else "UTC",
        tuple(address for address in seen if address),
    )


@lru_cache(maxsize=512)
def is_zone(name: str) -> bool:
    """Whether a time zone has this name."""
    try:
        zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def remember(
    request: Request, response: Response, name: str, value: str, seconds: int = YEAR
) -> None:
    """Sends a cookie that the browser keeps for a year, or for so many seconds."""
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=request.scope.get("root_path", "") or "/",
        secure=request.scope["scheme"] == "https",
        samesite="lax",
    )
