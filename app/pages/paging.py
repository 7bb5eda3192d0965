"""The ways from one page of a table to the others: all of them are addresses."""

from dataclasses import dataclass

from app.api.page_links import list_pages
from app.pages import addresses
from app.pages.addresses import Pairs
from app.query.compile import Query
from app.store.lists import ListPage

SIZES = (10, 20, 50, 100, 1000)  # documents of a page


@dataclass(frozen=True)
class Paging:
    """What leads away from one page.

    `links` are addresses by their relation, those that exist. `sizes` are the numbers of documents
    to choose from, `others` what a form that chooses one has besides. `count_all` is the address of
    the same page with an exact count, None where it has one.
    """

    links: dict[str, str]
    size: int
    sizes: tuple[int, ...]
    others: Pairs
    count_all: str | None


def make_paging(path: str, pairs: Pairs, query: Query, page: ListPage) -> Paging:
    """The ways from a page of the table at a path."""
    others = addresses.without(pairs, "after", "skip")
    begin = addresses.with_pairs(path, others)
    links = {
        relation: addresses.add_plain(begin, place)
        for relation, place in list_pages(query, page).items()
    }
    size = query.limit or SIZES[0]
    exact = addresses.with_pairs(path, addresses.replace_pair(pairs, "count", "exact"))
    return Paging(
        links,
        size,
        SIZES if size in SIZES else tuple(sorted((*SIZES, size))),
        addresses.without(pairs, "limit"),
        None if page.strategy == "exact" else exact,
    )
