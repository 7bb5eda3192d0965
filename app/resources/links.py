"""Links between documents: how one is stored, and how the `_id` that JSON has for one becomes one.

A link is stored as Beanie stores it, a DBRef of the collection and the `_id` of the other document
(https://www.mongodb.com/docs/manual/reference/database-references/). A bare `_id` that another
program stored in its place is understood too. `BackLink` is a declaration only: nothing is stored
for it.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, get_args, get_origin

import bson
from beanie import Document, Link
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from app.errors import DeclarationError
from app.resources.annotations import collection_of, key_annotation, unwrap
from app.resources.codec import CODEC
from app.resources.faults import Steps
from app.resources.fields import (
    Field,
    FieldPath,
    Shape,
    Target,
    find_nested_models,
    is_number,
    shape_of,
)
from app.resources.keys import refusal
from app.resources.kinds import show_link
from app.spelling import suggest_nearest

Shapes = Mapping[str, Shape]  # of the documents that links lead to, by their collection
MAX_LEVELS = 3  # links on one path


@dataclass(frozen=True)
class LinkPath:
    """A field that holds links: its dotted path, and where they lead."""

    path: str
    field: Field

    @property
    def target(self) -> Target:
        """Where the links lead."""
        assert self.field.target is not None
        return self.field.target


@dataclass(frozen=True)
class Reference:
    """One link of a document: where in it it stands, and the document it leads to."""

    steps: Steps
    collection: str
    key: Any


def list_stored_forms(collection: str, key: Any) -> list[Any]:
    """What a link to this document may be stored as, for `$in`: one index serves all of them."""
    return [key, bson.DBRef(collection, key)]


def leads_to(collection: str, value: Any) -> bool:
    """Whether what is stored for a link may name a document of this collection."""
    key = show_link(collection, value)
    return key is not None and not isinstance(key, bson.DBRef) and refusal(key) is None


def identity(key: Any) -> Any:
    """Equal for keys that MongoDB holds to be the same document's, and fit for a dict."""
    if isinstance(key, Hashable) and not isinstance(key, bson.DBRef):
        return (type(key) is bool, key)
    return bson.encode({"": key}, codec_options=CODEC)


def link_paths(shape: Shape) -> tuple[LinkPath, ...]:
    """The fields of a shape that hold links, also inside nested models, unions and lists of them.

    Those in a dict have no path of their own.
    """
    paths = shape.walk(excluded=True, unions=True)
    return tuple(LinkPath(known.path, known.field) for known in paths if known.field.kind == "link")


def refuse_hidden(model: type[Document]) -> None:
    """Raises `DeclarationError` for a field in which links can't be told from other values."""
    for nested in find_nested_models(model):
        fields = shape_of(nested).fields
        for attribute, info in nested.model_fields.items():
            field = fields.get(info.alias or attribute)
            if field and _names_link(info.annotation) and not _is_of_links(field):
                raise DeclarationError(
                    f"{nested.__name__}.{attribute}: a link stands for itself, in a list or in a "
                    "dict; in a union with other types, or in a list of lists, it can't be read."
                )


def _names_link(annotation: Any) -> bool:
    annotation = unwrap(annotation)
    if Link in (annotation, get_origin(annotation)):
        return True
    return any(map(_names_link, get_args(annotation)))


def _is_of_links(field: Field) -> bool:
    return field.kind == "link" or (field.values is not None and _is_of_links(field.values))


def first_link(shape: Shape, path: str, *, numbered: bool = False) -> tuple[FieldPath | None, str]:
    """The first link on a dotted path, and the rest of the path behind it.

    `numbered` allows the number of a list's element on the way: `authors.0.name`.
    """
    steps = path.split(".")
    for number in range(1, len(steps) + 1):
        found = shape.find(".".join(steps[:number]), numbered=numbered)
        if found is None:
            return None, ""
        rest = steps[number:]
        is_element_next = numbered and found.field.many and bool(rest) and is_number(rest[0])
        if found.field.target is not None and not is_element_next:
            return found, ".".join(rest)
    return None, ""


def find_through(
    shape: Shape, shapes: Shapes, path: str, most: int = MAX_LEVELS
) -> FieldPath | None:
    """What a path of a column leads to, also behind links; None where that is no field."""
    found = shape.find(path, numbered=True)
    levels = 0
    while found is None and levels < most:
        link, path = first_link(shape, path, numbered=True)
        linked = shapes.get(link.field.target.collection) if link and link.field.target else None
        if linked is None:
            return None
        shape, levels = linked, levels + 1
        found = shape.find(path, numbered=True)
    return found


def split_title(shape: Shape, shapes: Shapes, declared: str) -> tuple[str, str]:
    """The path and the title of a declared column, `path` or `path:Title`."""
    if find_through(shape, shapes, declared) is not None:
        return declared, declared
    path, _, title = declared.partition(":")
    return path, title or path


def suggest_through(shape: Shape, shapes: Shapes, path: str) -> str:
    """` Did you mean 'author.name'?`, of the paths of a shape and those behind its links."""
    return suggest_nearest(path, paths_through(shape, shapes, path, numbered=True))


def paths_through(shape: Shape, shapes: Shapes, path: str, *, numbered: bool = False) -> list[str]:
    """Declared paths of what the last link on a path leads to, and those one link further."""
    link, rest = first_link(shape, path, numbered=numbered)
    before, known, level = "", shape, 0
    while link is not None and rest and link.field.target is not None and level < MAX_LEVELS:
        linked = shapes.get(link.field.target.collection)
        if linked is None:
            break
        before, known, level = f"{before}{link.path}.", linked, level + 1
        link, rest = first_link(known, rest, numbered=numbered)
    paths = [before + found.path for found in known.walk(unions=True)]
    for one in link_paths(known) if level < MAX_LEVELS else ():
        behind = shapes.get(one.target.collection)
        if behind is not None and known.find(one.path) is not None:
            walked = behind.walk(unions=True)
            paths += [f"{before}{one.path}.{found.path}" for found in walked]
    return paths


def list_targets(shape: Shape) -> Iterator[tuple[str, Target]]:
    """Where the documents of this shape may link to, on any level: those in dicts included.

    Each with the path of its field; every model is looked through once, wherever else it is.
    """
    seen = {shape.model}
    waiting = [("", shape)]
    while waiting:
        before, known = waiting.pop()
        for name, field in known.fields.items():
            innermost = field
            while innermost.values is not None:
                innermost = innermost.values
            if innermost.target is not None:
                yield before + name, innermost.target
            inner = [one for one in field.shapes if one.model not in seen]
            seen.update(one.model for one in inner)
            waiting += [(f"{before}{name}.", one) for one in inner]


def references(
    shape: Shape, document: dict[str, Any], above: Steps = (), *, bare: bool = True
) -> Iterator[Reference]:
    """Every link of a document as it is stored.

    What is stored in place of one and can't be one is passed over, and so is a bare `_id` unless
    `bare`.
    """
    found = _look_through((shape,), document, above, bare)
    yield from {one.steps: one for one in found}.values()  # a map and a model may find the same


def _look_through(
    shapes: Sequence[Shape], document: dict[str, Any], above: Steps, bare: bool
) -> Iterator[Reference]:
    """The links of a value that has one of these shapes."""
    for name in dict.fromkeys(name for shape in shapes for name in shape.fields):
        if name in document:
            fields = [shape.fields[name] for shape in shapes if name in shape.fields]
            yield from _references(fields, document[name], (*above, name), bare)


def _references(
    fields: Sequence[Field], value: Any, steps: Steps, bare: bool
) -> Iterator[Reference]:
    """The links of a value of one of these fields."""
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _references(fields, inner, (*steps, number), bare)
        return
    for target in (field.target for field in fields if field.target is not None):
        key = show_link(target.collection, value)
        if key is not value or (bare and target.key.holds(value)):
            yield Reference(steps, target.collection, key)
            return
    if isinstance(value, dict):
        yield from _look_into(fields, value, steps, bare)


def _look_into(
    fields: Sequence[Field], value: dict[str, Any], steps: Steps, bare: bool
) -> Iterator[Reference]:
    values = [field.values for field in fields if field.values is not None]
    for key, inner in value.items() if values else ():
        yield from _references(values, inner, (*steps, key), bare)
    of_models = [field for field in fields if field.values is None]
    # All models that it may be are looked through together: one by one took twice as long, or
    # more, with each level of models in themselves.
    shapes = {shape.model: shape for field in of_models for shape in field.shapes}
    # Which of the models it is isn't known: in another one, a bare `_id` may be no link.
    is_known = all(field.shape is not None for field in of_models)
    yield from _look_through([*shapes.values()], value, steps, bare and is_known)


# --- from JSON -----------------------------------------------------------------------------------


@contextmanager
def read_from_json() -> Iterator[None]:
    """While models are built: their validators take the other document's `_id` in JSON for a link.

    Beanie's own take `{"id", "collection"}` there, of which no link comes.
    """
    link: Any = Link
    own = link.__dict__["__get_pydantic_core_schema__"]
    link.__get_pydantic_core_schema__ = classmethod(_schema)
    try:
        yield
    finally:
        link.__get_pydantic_core_schema__ = own


_of_beanie: Any = Link.__dict__["__get_pydantic_core_schema__"].__func__


def _schema(cls: type[Link[Any]], source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    schema: CoreSchema = _of_beanie(cls, source, handler)
    linked: Any = get_args(source)[0]
    if not isinstance(linked, type):
        return schema  # a name that is not known yet: the model is built once more when it is
    collection = collection_of(linked)

    def make(key: Any) -> Link[Any]:
        return cls(bson.DBRef(collection, key), linked)

    key = handler.generate_schema(key_annotation(linked))
    return core_schema.json_or_python_schema(
        json_schema=core_schema.no_info_after_validator_function(make, key),
        python_schema=schema["python_schema"],
        serialization=schema["serialization"],
    )
