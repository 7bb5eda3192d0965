"""What a document class says of itself in `class Resource:`; what can't be true stops the start."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

from app.errors import DeclarationError
from app.resources.fields import Shape
from app.resources.links import Shapes, find_through, first_link, split_title, suggest_through
from app.spelling import suggest_nearest

OnDelete = Literal["refuse", "keep"]
MAX_LIMIT = 1000  # documents on one page of a list


@dataclass(frozen=True)
class Options:
    """The words of `class Resource:`, all of them optional."""

    path: str = ""
    search: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    sort: str = ""
    limit: int = 10
    read_only: bool = False
    on_delete: OnDelete = "refuse"
    seeds: Mapping[str, int] = field(default_factory=dict)
    sample: Callable[[Any, int], dict[str, Any]] | None = None
    abstract: bool = False  # a base for others, not served itself; no class inherits this word


def read_options(model: type, shape: Shape) -> Options:
    """The options of a document class; raises `DeclarationError` that names class and word."""
    declared = getattr(model, "Resource", None)
    if declared is None:
        return Options(search=_find_top_level_texts(shape))
    known = {option.name for option in fields(Options)}
    given: dict[str, Any] = {}
    for word in dir(declared):
        if word.startswith("__") or word == "abstract":
            continue
        if word not in known:
            raise DeclarationError(
                f"{model.__name__}.Resource: {word!r} is no option; they are {_list(known)}."
                f"{suggest_nearest(word, known)}"
            )
        given[word] = getattr(declared, word)
    _check(model.__name__, given)
    words: dict[str, Any] = {
        word: tuple(value) if isinstance(value, list) else value for word, value in given.items()
    }
    options = Options(**words)
    for path in options.search:
        found = shape.find(path)
        if found is None or found.field.kind != "text":
            raise DeclarationError(
                f"{model.__name__}.Resource.search: {path!r} is no text field of this document."
            )
    _check_columns(model.__name__, options.columns, shape)
    _check_seeds(model.__name__, options.seeds, shape)
    return options if "search" in given else replace(options, search=_find_top_level_texts(shape))


def _check(name: str, given: dict[str, Any]) -> None:
    def must(word: str, right: bool, what: str) -> None:
        if word in given and not right:
            raise DeclarationError(f"{name}.Resource.{word}: {given[word]!r} must be {what}.")

    for word in ("search", "columns"):
        value = given.get(word)
        must(
            word,
            isinstance(value, list | tuple) and all(isinstance(path, str) for path in value),
            "a list of paths",
        )
    must("path", isinstance(given.get("path"), str) and given["path"], "a name such as 'work'")
    limit = given.get("limit")
    must("limit", type(limit) is int and 1 <= limit <= MAX_LIMIT, f"a number from 1 to {MAX_LIMIT}")
    must("sort", isinstance(given.get("sort"), str), "a text such as '-age,name'")
    must("read_only", isinstance(given.get("read_only"), bool), "True or False")
    must("on_delete", given.get("on_delete") in get_args(OnDelete), "'refuse' or 'keep'")
    must("seeds", isinstance(given.get("seeds"), dict), "a dict such as {'author': 20}")
    must("sample", callable(given.get("sample")), "a static method: sample(fake, number) -> dict")


def _check_seeds(name: str, seeds: Mapping[str, int], shape: Shape) -> None:
    for path, number in seeds.items():
        found = shape.find(path)
        if found is None or found.field.kind != "link":
            raise DeclarationError(f"{name}.Resource.seeds: {path!r} is no link of this document.")
        if type(number) is not int or number < 1:
            raise DeclarationError(f"{name}.Resource.seeds: {number!r} must be a number ≥ 1.")


def _check_columns(name: str, columns: tuple[str, ...], shape: Shape) -> None:
    """Each column is `path` or `path:Title`; a list's element is a step of a path: `tags.0`.

    What is behind a link is checked when all classes are known (`check_linked_columns`).
    """
    titles = set()
    for column in columns:
        path, title = split_title(shape, {}, column)
        link, behind = first_link(shape, path, numbered=True)
        if not (link and behind) and shape.find(path, numbered=True) is None:
            known = suggest_nearest(path, [found.path for found in shape.walk()])
            raise DeclarationError(
                f"{name}.Resource.columns: {path!r} is no field of this document.{known}"
            )
        if title in titles:
            raise DeclarationError(
                f"{name}.Resource.columns: two columns have the title {title!r}."
            )
        titles.add(title)


def check_linked_columns(name: str, columns: tuple[str, ...], shape: Shape, shapes: Shapes) -> None:
    """Checks the columns that reach through links, to documents of these shapes."""
    for column in columns:
        path, _ = split_title(shape, shapes, column)
        if find_through(shape, shapes, path) is None:
            raise DeclarationError(
                f"{name}.Resource.columns: {path!r} is no field of what the link leads to."
                f"{suggest_through(shape, shapes, path)}"
            )


def _find_top_level_texts(shape: Shape) -> tuple[str, ...]:
    return tuple(
        field.name
        for field in shape.fields.values()
        if field.kind == "text" and not field.excluded and not field.many
    )


def _list(words: set[str]) -> str:
    return ", ".join(sorted(words))
