"""What a page of a list says in its headers: the count, and the other pages (RFC 8288)."""

from collections.abc import Mapping
from itertools import accumulate
from urllib.parse import quote, urlencode

from starlette.requests import Request

from app.api import requests
from app.query.compile import Pairs, Query
from app.store.lists import ListPage

LINKS = 8 * 1024  # bytes that the header Link has, unless that to the nearest page is longer
PAGE_PARAMETERS = ("after", "skip")  # that say which page it is


def make_page_headers(request: Request, query: Query, page: ListPage) -> dict[str, str]:
    """How many documents a list has, and where its other pages are."""
    headers = {}
    if page.total is not None and page.strategy is not None:
        headers = {"X-Total-Count": str(page.total), "X-Count-Strategy": page.strategy}
    if places := list_pages(query, page):
        headers["Link"] = ", ".join(_cut_links(_make_links(request, places)))
    return headers


def _make_links(request: Request, places: Mapping[str, Pairs]) -> list[str]:
    asked = requests.pairs(request)
    others = urlencode([(name, value) for name, value in asked if name not in PAGE_PARAMETERS])
    address = _address(request)
    links = []
    for relation, place in places.items():
        # In no token and no number is there anything to be percent-encoded.
        parts = [others] if others else []
        text = "&".join([*parts, *(f"{name}={value}" for name, value in place)])
        links.append(f'<{address}{"?" if text else ""}{text}>; rel="{relation}"')
    return links


def _cut_links(links: list[str]) -> list[str]:
    """The first of them, and as many more as clients and proxies take in one header."""
    fitting = sum(length <= LINKS for length in accumulate(map(len, links)))
    return links[: max(1, fitting)]


def list_pages(query: Query, page: ListPage) -> dict[str, Pairs]:
    """The other pages of a list by their relation (RFC 8288), each as what says where it is."""
    found: dict[str, Pairs] = {}
    if page.token is not None:
        found["next"] = [("after", page.token)]
    if page.before is not None:
        found["prev"] = [("after", page.before)]
    elif query.skip:
        skip = query.skip - (query.limit or 1)
        found["prev"] = [("skip", str(skip))] if skip > 0 else []
    if "prev" in found:
        found["first"] = []
    if page.last is not None:
        found["last"] = [("after", page.last)]
    return found


def _address(request: Request) -> str:
    """The absolute address of what was asked for, without its query."""
    raw: bytes = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    return f"{request.scope['scheme']}://{request.headers.get('host', '')}{raw.decode('ascii')}"
