"""What a model's annotations say by themselves, and under which names its fields are stored."""

import types
from typing import Annotated, Any, Literal, NewType, TypeVar, Union, get_args, get_origin

import pydantic
from beanie import BackLink, Document
from pydantic.fields import FieldInfo
from typing_extensions import TypeAliasType

from app.errors import DeclarationError


def is_stored(attribute: str, info: FieldInfo) -> bool:
    """Whether a field is part of the stored document.

    The revision that Beanie adds to each class is not (documents with revisions are refused), nor
    is a `BackLink`.
    """
    is_revision = attribute == "revision_id" and bool(info.exclude)
    return not is_revision and not _is_back_link(info.annotation)


def _is_back_link(annotation: Any) -> bool:
    annotation = unwrap(annotation)
    if annotation is BackLink or get_origin(annotation) is BackLink:
        return True
    return get_origin(annotation) is not Literal and any(map(_is_back_link, get_args(annotation)))


def find_stored_name(model: type[pydantic.BaseModel], attribute: str, info: FieldInfo) -> str:
    """The name under which a field is stored; raises `DeclarationError` where none can be."""
    name = info.alias or attribute
    if info.validation_alias not in (None, name):
        raise DeclarationError(
            f"{model.__name__}.{attribute}: validation_alias {info.validation_alias!r} differs "
            f"from the stored name {name!r}; one name must serve everywhere, so use alias."
        )
    if "." in name or name.startswith("$") or "\0" in name or not name:
        raise DeclarationError(
            f"{model.__name__}.{attribute}: {name!r} can't be the name of a stored field."
        )
    return name


def key_annotation(model: type[Document]) -> Any:
    """What a document class declares for its `_id`, without None."""
    info = model.model_fields["id"]
    members = [member for member in get_args(info.annotation) if member is not type(None)]
    is_optional = get_origin(info.annotation) in (Union, types.UnionType)
    annotation: Any = Union[tuple(members)] if is_optional else info.annotation  # noqa: UP007 - of a list
    return Annotated[annotation, *info.metadata] if info.metadata else annotation


def collection_of(model: type[Document]) -> str:
    """The name of the collection in which the documents of a class are stored."""
    return getattr(getattr(model, "Settings", None), "name", None) or model.__name__


def unwrap(annotation: Any) -> Any:
    """The annotation without Annotated, NewType, type aliases and type variables."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif isinstance(annotation, TypeAliasType):
            annotation = annotation.__value__
        elif isinstance(annotation, TypeVar):
            annotation = annotation.__bound__ or Any
        else:
            return annotation
