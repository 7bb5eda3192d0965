"""What is said of a parameter that nobody knows: why, and which name that works is nearest."""

import difflib
from collections.abc import Iterable

from app.query.names import MAX_NAME, Names
from app.query.operators import OPERATORS
from app.resources.fields import FieldPath
from app.resources.links import paths_through
from app.spelling import suggest_nearest

CLOSE = 0.6  # of difflib's ratio, from which on a name may have been meant


def explain(names: Names, name: str, known: Iterable[str], *, suggest: bool) -> str:
    """Why a name is no parameter here, with the nearest one that works if `suggest`."""
    path, _, word = name.rpartition("__")
    if path and "." not in word and _find(names, path):
        return _explain_operator(names, path, word)
    if (found := _find(names, name)) is not None:
        if found.field.kind == "lists":
            return f"{name!r} is a list of lists; it can be filtered by {name}__exists only"
        return f"{name!r} holds objects; filter by one of its fields, or by {name}__exists"
    suggestion = _suggestion(names, name, known) if suggest and len(name) <= MAX_NAME else ""
    return f"there is no such parameter here.{suggestion}".rstrip(".")


def _find(names: Names, path: str) -> FieldPath | None:
    """What a path leads to, also behind links."""
    found = names.path(path)
    if found is not None:
        return found
    link, rest = names.link(path)
    linked = names.follow(link) if link is not None and rest else None
    return _find(linked, rest) if linked is not None else None


def _explain_operator(names: Names, path: str, word: str) -> str:
    fitting = [word for word in OPERATORS if names.find_lookup(f"{path}__{word}")]
    close = suggest_nearest(word.lower(), fitting).replace("'", f"'{path}__", 1)
    key = ""
    if not names.is_declared(path) and names.find_lookup(f"{path}__{word}__eq"):
        key = f" A key with `__` in its name is filtered by {path}__{word}__eq."
    listed = ", ".join(fitting)
    return f"{path!r} has no operator {word!r}; it has {listed}.{close}{key}".rstrip(".")


def _suggestion(names: Names, name: str, known: Iterable[str]) -> str:
    path, separator, word = name.rpartition("__")
    if not separator or word not in OPERATORS:
        path, word = name, ""
    parameters = {other.lower(): other for other in reversed(list(known))}
    same_operator, others = _filters(names, path, word)
    fitting = same_operator | parameters
    for candidates in (fitting, others | fitting):
        for close in difflib.get_close_matches(path.lower(), candidates, 1, CLOSE):
            return f" Did you mean {candidates[close]!r}?"
    for close in difflib.get_close_matches(path.lower(), candidates, 1, 0.0):
        return f" The nearest known name is {candidates[close]!r}."
    return ""


def _filters(names: Names, near: str, word: str) -> tuple[dict[str, str], dict[str, str]]:
    """Filters by the path in lower case: with the operator, for paths without it `exists`.

    They are those of the resource, or of what the links on the path lead to, and one link further.
    """
    same_operator: dict[str, str] = {}
    others: dict[str, str] = {}
    for path in reversed(paths_through(names.resource.shape, names.shapes, near)):
        name = f"{path}__{word}" if word else path
        if names.find_lookup(name):
            same_operator[path.lower()] = name
        else:
            others[path.lower()] = f"{path}__exists"
    return same_operator, others
