"""Columns of a file and fields: what each column may be, what it is likely to be, what is missing.

A column has the path of its field, "" where it has none. The engine has the last word: what is
guessed here becomes its parameter `columns`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any
from urllib.parse import quote

from app.errors import Fault, Invalid, and_more
from app.pages.titles import title_of
from app.resources.links import link_paths
from app.resources.registry import Resource
from app.resources.views import Views
from app.resources.writable import make_fillable, make_importable
from app.spreadsheets.forms import is_required
from app.spreadsheets.ingest import Target, error_title, guess_targets, match_columns
from app.transfers.inspections import Found, FoundColumn
from app.transfers.named_links import list_behind_links

LIKE = 0.7  # of two names, from which one is taken for the other
_AS_WORD = 0.8  # likeness of a name to a title that has it as one of its words
_PAIRS = 40_000  # of titles and names that are compared, at most
_is_key = re.compile(r"\b[0-9a-f]{24}\b").search
_words = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Choice:
    """A field that a column may be for; `has_title`: its label says no name of it."""

    path: str
    label: str
    required: bool
    has_title: bool


class Matching:
    """The fields of one resource that a file of one caller may have."""

    def __init__(self, views: Views, collection: str) -> None:
        importable = make_importable(views, collection)
        fillable = make_fillable(views, collection)
        self._shape = importable.shape
        self._declared = importable.options.columns or None
        self._behind = list_behind_links(views)
        self._required = list(_list_required(fillable))

    def list_choices(self, paths: Iterable[str] = ()) -> list[Choice]:
        """The fields, in declared order, and others that these paths have."""
        others = [path for path in paths if self.has(path)]
        offered = dict.fromkeys([*self._list_paths(), *others])
        return [self._choose(path) for path in offered]

    def has(self, path: str) -> bool:
        """Whether there is such a field, for this caller."""
        return self._shape.find(path, numbered=True) is not None or path in self._list_paths()

    def list_missing(self, paths: Iterable[str]) -> list[Choice]:
        """The required fields that none of these paths fills."""
        filled = set(paths)
        missing = [
            path
            for path in self._required
            if not any(one == path or one.startswith(f"{path}.") for one in filled)
        ]
        return [self._choose(path) for path in missing]

    def guess(self, found: Found) -> tuple[str, ...]:
        """The likeliest field of each column of a file."""
        columns = found.columns or ()
        guessed = _Guesses(len(columns))
        targets = guess_targets(found.titles, self._shape, self._declared, self._behind)
        for position, target in enumerate(targets):
            if target is not None and columns[position].title != error_title(self._shape):
                guessed.take(position, self._path_of(target, columns[position]))
        for position, path in self._list_alike(columns):
            guessed.take(position, path)
        return tuple(guessed.paths)

    def check(self, found: Found, paths: Sequence[str]) -> None:
        """Raises `Invalid` where columns can't be these fields."""
        _refuse_doubled(found.titles, paths)
        columns, skipped = name_columns(found, paths)
        declared, behind = self._declared, self._behind
        match_columns(found.titles, self._shape, declared, columns, behind, skipped)

    def _list_paths(self) -> Iterator[str]:
        links = {link.path: link for link in link_paths(self._shape)}
        for found in self._shape.list_flat():
            yield found.path
            if found.path in links:
                target = links[found.path].target.collection
                for unique in self._behind.unique.get(target, ()):
                    yield f"{found.path}.{unique}"
            elif found.field.many and found.field.shape is not None:
                for inner in found.field.shape.list_flat(f"{found.path}.0."):
                    yield inner.path

    def _choose(self, path: str) -> Choice:
        titles = self._list_titles(path)
        has_title = titles != path.split(".")
        return Choice(path, _join_titles(titles), path in self._required, has_title)

    def _list_titles(self, path: str) -> list[str]:
        """What each step of a path is called, the number of an element as it is."""
        steps = path.split(".")
        return [self._title_at(steps[: number + 1]) for number in range(len(steps))]

    def _title_at(self, steps: Sequence[str]) -> str:
        path = ".".join(steps)
        above, _, name = path.rpartition(".")
        link = self._shape.find(above, numbered=True) if above else None
        if link is None or link.field.target is None or name.isdigit():
            return title_of(self._shape, path)
        linked = self._behind.shapes.get(link.field.target.collection)
        return title_of(linked, name) if linked is not None else name

    def _path_of(self, target: Target, column: FoundColumn) -> str:
        """The path of a column; of a link whose cells are no `_id`, the unique field they have."""
        if target.through:
            return f"{target.path}.{target.through}"
        return self._look_through(target.path, column)

    def _look_through(self, path: str, column: FoundColumn) -> str:
        found = self._shape.find(path, numbered=True)
        if found is None or found.field.target is None or found.field.target.key.kind != "objectid":
            return path
        unique = list(self._behind.unique.get(found.field.target.collection, ()))
        are_keys = all(map(_is_key, column.examples))
        return path if are_keys or len(unique) != 1 else f"{path}.{unique[0]}"

    def _list_alike(self, columns: Sequence[FoundColumn]) -> list[tuple[int, str]]:
        """Columns and fields whose names are alike, those that are most alike first."""
        known = [(path, set(self._list_names(path))) for path in self._list_paths()]
        alike: list[tuple[float, int, str]] = []
        pairs = 0
        for position, column in enumerate(columns):
            pairs += len(known)
            if not column.title or column.title == error_title(self._shape) or pairs > _PAIRS:
                continue
            for path, names in known:
                likeness = max((_compare(column.title, name) for name in names), default=0.0)
                if likeness >= LIKE:
                    alike.append((-likeness, position, path))
        return [
            (position, self._look_through(path, columns[position]))
            for _, position, path in sorted(alike)
        ]

    def _list_names(self, path: str) -> Iterator[str]:
        """What people may call a field."""
        yield path
        yield path.rpartition(".")[2]
        yield title_of(self._shape, path)


class _Guesses:
    """Paths by column, of which no two are the same field, or one a part of the other."""

    def __init__(self, count: int) -> None:
        self.paths = [""] * count

    def take(self, position: int, path: str) -> None:
        """Takes a path for a column, unless either is taken."""
        if not self.paths[position] and not any(_overlap(path, one) for one in self.paths if one):
            self.paths[position] = path


def _overlap(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _compare(title: str, name: str) -> float:
    """How alike a title and a name are, from 0 to 1."""
    ours, theirs = _fold(name), _fold(title)
    if not ours or not theirs:
        return 0.0
    if ours == theirs:
        return 1.0
    if name.casefold() in _words.findall(title.casefold()):
        return _AS_WORD
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    if matcher.real_quick_ratio() < LIKE or matcher.quick_ratio() < LIKE:
        return 0.0
    return matcher.ratio()


def _fold(text: str) -> str:
    return "".join(_words.findall(text[:100].casefold()))


def _list_required(resource: Resource) -> Iterator[str]:
    """The fields without which there is no new document."""
    for found in resource.shape.list_flat():
        if is_required(resource.shape, found.path):
            yield found.path


def _refuse_doubled(titles: Sequence[str], paths: Sequence[str]) -> None:
    """Raises `Invalid` that names the columns of the same field, as the engine has only one."""
    seen: dict[str, str] = {}
    details: list[str] = []
    for title, path in zip(titles, paths, strict=False):
        if path in seen:
            details.append(f"The columns {seen[path]!r} and {title!r} are the same field {path!r}.")
        elif title and path:
            seen[path] = title
    if details:
        raise Invalid(details[0] + and_more(details), *map(_make_fault, details))


def _make_fault(detail: str) -> Fault:
    return Fault(detail, parameter="columns")


def _join_titles(titles: Sequence[str]) -> str:
    """The titles around a field and its own: `Profile › Addresses 1 › City`."""
    words: list[str] = []
    for title in titles:
        if title.isdigit() and words:
            words[-1] += f" {int(title) + 1}"
        else:
            words.append(title)
    return " › ".join(words)


def name_columns(found: Found, paths: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """What the columns of a file are, as the engine takes it: the parameter, the skipped titles."""
    named: list[str] = []
    skipped: list[str] = []
    for title, path in zip(found.titles, paths, strict=False):
        if title and path:
            named.append(f"{quote(path, safe='')}:{quote(title, safe='')}")
        elif title:
            skipped.append(title)
    return ",".join(named) or None, tuple(skipped)


def choose_key(possible: Sequence[tuple[str, ...]], paths: Iterable[str]) -> str:
    """The key by which documents are likely to be found: one that the file has, else nothing."""
    there: Any = set(paths)
    found = [",".join(one) for one in possible if there.issuperset(one)]
    return next(iter(found), "")
