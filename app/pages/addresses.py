"""Addresses of the pages, made of the query string that a screen was asked with."""

from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.api.pages import path_of_pages
from app.resources.fields import Field
from app.resources.keys import write_key
from app.resources.registry import Resource

Pairs = Sequence[tuple[str, str]]
PAGING = ("skip", "after", "limit")
SCREENS = frozenset(
    ("new", "pick", "bulk", "download", "import", "table", "views")
)  # of a collection
_OF_PAGE = (*PAGING, "count", "fields", "expand")  # what an export doesn't have


@lru_cache(maxsize=1_000)
def of_collection(resource: Resource) -> str:
    """`/ui/users/`; of our own resources `/ui/admin/accounts/`."""
    return f"{quote(path_of_pages(resource))}/"


def of_document(resource: Resource, key: object) -> str:
    """`/ui/users/{_id}`."""
    return f"{of_collection(resource)}{write_step(resource.key, key)}"


def write_step(field: Field, key: object) -> str:
    """The last step of that, percent-encoded.

    An `_id` that is the name of a screen is in quotes, as JSON has texts.
    """
    step = write_key(field, key)
    return quote(f'"{step}"') if step in SCREENS else step


def with_pairs(path: str, pairs: Pairs) -> str:
    """The path with a query string, where there are pairs."""
    return f"{path}?{query(pairs)}" if pairs else path


def add_plain(address: str, pairs: Pairs) -> str:
    """The address with more pairs, in which there is nothing to be percent-encoded."""
    if not pairs:
        return address
    sign = "&" if "?" in address else "?"
    return f"{address}{sign}{'&'.join([f'{name}={value}' for name, value in pairs])}"


def query(pairs: Pairs) -> str:
    """The pairs as a query string."""
    return _encode(tuple(pairs))


@lru_cache(maxsize=1_000)
def _encode(pairs: tuple[tuple[str, str], ...]) -> str:
    return urlencode(pairs)


def without(pairs: Pairs, *names: str) -> list[tuple[str, str]]:
    """The pairs but for those with these names."""
    return [(name, value) for name, value in pairs if name not in names]


def replace_pair(pairs: Pairs, name: str, value: str, *gone: str) -> list[tuple[str, str]]:
    """The pairs with another value of one name, none where it is empty; also without `gone`."""
    rest = without(pairs, name, *gone)
    return [*rest, (name, value)] if value else rest


def value_of(pairs: Pairs, name: str) -> str:
    """The value of a parameter, empty where it isn't there."""
    return next((value for known, value in pairs if known == name), "")


def list_conditions(pairs: Pairs) -> list[tuple[str, str]]:
    """The pairs that say which documents, and in which order: what an export takes as well."""
    return without(pairs, *_OF_PAGE)


def lead_to(request: Request, address: str) -> Response:
    """The way to another screen, with GET; its address is below the application's root."""
    root = request.scope.get("root_path", "")
    return RedirectResponse(f"{root}{address}", HTTPStatus.SEE_OTHER)
