"""The text of `expand` → the links in whose place the linked documents stand."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.query.conditions import AnyCondition
from app.resources.links import MAX_LEVELS
from app.resources.registry import Resource
from app.spelling import show

if TYPE_CHECKING:
    from app.query.names import Names


@dataclass(frozen=True)
class Expansion:
    """A link in whose place the linked documents stand, and what stands in the place of theirs.

    Of linked documents that don't meet the conditions `below` the `_id` stays.
    """

    path: str
    target: Resource
    inner: tuple["Expansion", ...] = ()
    below: tuple[AnyCondition, ...] = ()


def read_expand(names: "Names", text: str) -> tuple[Expansion, ...]:
    """The links of `author,books.author`; raises `ValueError` with a sentence."""
    paths = list(dict.fromkeys(part.strip() for part in text.split(",")))
    if "" in paths:
        raise ValueError("one link is empty; expand looks like author,books.author")
    return tuple(_expansions(names, paths, 1))


def _expansions(names: "Names", paths: list[str], level: int) -> Iterator[Expansion]:
    """One expansion for each link, with all that is asked behind it."""
    behind: dict[str, list[str]] = {}
    for path in paths:
        link, rest = names.link(path)
        if link is None or names.follow(link) is None:
            raise ValueError(
                f"{show(path)} is no link to another document; only links can be expanded"
            )
        behind.setdefault(link.path, [])
        if rest:
            behind[link.path].append(rest)
    for path, rests in behind.items():
        link, _ = names.link(path)
        assert link is not None
        target = names.follow(link)
        assert target is not None
        if rests and level == MAX_LEVELS:
            raise ValueError(f"it goes through {MAX_LEVELS} links at most")
        inner = tuple(_expansions(target, rests, level + 1))
        yield Expansion(path, target.resource, inner, target.below)
