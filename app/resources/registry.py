"""Finds the document classes of a package and makes a resource of each."""

import inspect
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

from beanie import Document
from beanie.odm.fields import IndexedAnnotation
from pydantic import BaseModel
from pymongo import IndexModel

from app.errors import DeclarationError
from app.resources import links
from app.resources.addresses import read_addresses_quickly
from app.resources.annotations import is_stored
from app.resources.fields import Field, Shape, find_nested_models, shape_of
from app.resources.options import Options, check_linked_columns, read_options
from app.resources.packages import import_modules, locate
from app.resources.rendering import Presenter, presenter
from app.resources.schemas import refuse_unsendable
from app.spelling import suggest_nearest

OWN_COLLECTIONS = "docsheet."  # the prefix of what this program stores for itself
GENERATED, GIVEN = 1, 2  # pydantic's priorities of aliases
_WRITES = (
    "insert",
    "create",
    "save",
    "save_changes",
    "replace",
    "update",
    "set",
    "delete",
    "validate_self",
)


@dataclass(frozen=True, eq=False)
class Resource:
    """A document class that is served; `name` is that of its collection.

    One is equal to itself alone, so that what is made of it can be kept by it.
    """

    name: str
    model: type[Document]
    shape: Shape
    options: Options
    indexes: tuple[IndexModel, ...]

    @property
    def address(self) -> str:
        """The first step of its addresses: `Resource.path`, else the collection's name."""
        return self.options.path or self.name

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Every declared dotted path, for listing and for finding the nearest."""
        return tuple(found.path for found in self.shape.walk())

    @cached_property
    def links(self) -> tuple[links.LinkPath, ...]:
        """The fields that hold links to other documents."""
        return links.link_paths(self.shape)

    @cached_property
    def has_links(self) -> bool:
        """Whether its documents may link to others, also in a dict."""
        return any(links.list_targets(self.shape))

    @cached_property
    def has_excluded(self) -> bool:
        """Whether it has excluded fields, also in a nested model.

        What checks them, such as a password's hash, may take long.
        """
        shapes = map(shape_of, find_nested_models(self.model))
        return any(field.excluded for shape in shapes for field in shape.fields.values())

    @cached_property
    def present(self) -> Presenter | None:
        """What makes its documents presentable; None where there is nothing to do."""
        return presenter(self.shape)

    @cached_property
    def present_whole(self) -> Presenter | None:
        """The same with their excluded fields."""
        return presenter(self.shape, excluded=False)

    @property
    def key(self) -> Field:
        """The `_id` field."""
        return self.shape.fields["_id"]

    def suggest_nearest(self, path: str) -> str:
        """` Did you mean 'x'?`, or nothing where no declared path is near."""
        return suggest_nearest(path, self.paths)


def discover(package: str) -> dict[str, Resource]:
    """The resources of a package, by path, in the order of their class names.

    Raises `DeclarationError` for a package that can't be imported and a class that can't be served.
    """
    modules = import_modules(package)
    found = {
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Document)
        and is_within(value, package)
        and not is_abstract(value)
        and not _is_parametrized(value)
    }
    _resolve_names(modules, package)
    resources: dict[str, Resource] = {}
    for model in sorted(found, key=lambda model: model.__name__):
        try:
            resource = make_resource(model)
        except DeclarationError as error:
            raise DeclarationError(f"{locate(model)}: {error}") from None
        _refuse_doubled(resource, resources.values())
        resources[resource.address] = resource
    _refuse_unserved_targets(resources.values())
    _check_linked_columns(resources.values())
    return resources


def _refuse_doubled(resource: Resource, others: Iterable[Resource]) -> None:
    for other in others:
        if resource.name == other.name:
            same = f"are the collection {resource.name!r}"
        elif resource.address == other.address:
            same = f"have the path {resource.address!r}"
        else:
            continue
        raise DeclarationError(
            f"{locate(resource.model)}: {resource.model.__name__} and {other.model.__name__} "
            f"({locate(other.model)}): both {same}."
        )


def _refuse_unserved_targets(resources: Collection[Resource]) -> None:
    served = {resource.name for resource in resources}
    for resource in resources:
        for path, target in links.list_targets(resource.shape):
            if target.collection not in served:
                where = f"{locate(resource.model)}: {resource.model.__name__}.{path}"
                raise DeclarationError(
                    f"{where}: it links to {target.model}, which is not served; documents can "
                    "link to those of a resource only."
                )


def _check_linked_columns(resources: Collection[Resource]) -> None:
    shapes = {resource.name: resource.shape for resource in resources}
    for resource in resources:
        model, columns = resource.model, resource.options.columns
        try:
            check_linked_columns(model.__name__, columns, resource.shape, shapes)
        except DeclarationError as error:
            raise DeclarationError(f"{locate(model)}: {error}") from None


def refuse_reserved(resources: Iterable[Resource], steps: Collection[str]) -> None:
    """Raises `DeclarationError` for a resource whose path is one of these first steps."""
    for resource in resources:
        if resource.address in steps:
            raise DeclarationError(_describe_taken(resource))


def _resolve_names(modules: list[ModuleType], package: str) -> None:
    """Completes models that name others (`Link["Author"]`) of another file or a later line."""
    models: dict[str, Any] = {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, BaseModel) and is_within(value, package)
    }
    incomplete = [model for model in models.values() if not model.__pydantic_complete__]
    while incomplete:
        for model in incomplete:
            model.model_rebuild(force=True, raise_errors=False, _types_namespace=models)
        still = [model for model in incomplete if not model.__pydantic_complete__]
        if len(still) == len(incomplete):
            return  # what can't be found is named where the fields are read
        incomplete = still


def is_within(model: type, package: str) -> bool:
    """Whether a class is declared in the package, not only imported there."""
    return f"{model.__module__}.".startswith(f"{package}.")


def is_abstract(model: type) -> bool:
    """Whether a class says that it is a base for others only; those that inherit it are served."""
    declared = vars(model).get("Resource")
    value = vars(declared).get("abstract", False) if declared is not None else False
    if not isinstance(value, bool):
        raise DeclarationError(
            f"{model.__name__}.Resource.abstract: {value!r} must be True or False."
        )
    return value


def _is_parametrized(model: type[BaseModel]) -> bool:
    """Whether a class is made by `Base[int]`, as the base of one that is declared."""
    return bool(model.__pydantic_generic_metadata__["args"])


def make_resource(model: type[Document], *, own: bool = False) -> Resource:
    """The resource of one document class; raises `DeclarationError` where it can't be served.

    `own`: it is this program's, so its collection has our prefix, and its path may have slashes.
    """
    _name_key(model)
    settings = getattr(model, "Settings", None)
    _refuse_what_would_not_run(model, settings)
    name = getattr(settings, "name", None) or model.__name__
    shape = shape_of(model)
    if "_id" not in shape.fields or shape.fields["_id"].many or shape.fields["_id"].excluded:
        raise DeclarationError(
            f"{model.__name__}.id: the key `_id` must be one value that is shown."
        )
    _read_json(model)
    indexes = list(_indexes(model, settings))
    indexes += _indexes_of_links(shape, indexes)
    resource = Resource(name, model, shape, read_options(model, shape), tuple(indexes))
    if not resource.options.read_only:
        refuse_unsendable(model)
        links.refuse_hidden(model)
    if not own:
        _refuse_name(resource)
    return resource


def _name_key(model: type[Document]) -> None:
    """Makes `_id` the key's name, also where an `alias_generator` would have another one."""
    model.model_rebuild(raise_errors=False)
    key = model.model_fields.get("id")
    if key is not None and key.alias_priority == GENERATED:
        key.alias = key.validation_alias = key.serialization_alias = "_id"
        key.alias_priority = GIVEN


def _read_json(model: type[Document]) -> None:
    """Rebuilds the classes so that their validators read JSON as the contract has it.

    Bytes are base64, links are the other document's `_id`; e-mail addresses are read quickly.
    """
    every = find_nested_models(model)
    for document in every:
        if issubclass(document, Document):
            _detach(document)
    with links.read_from_json(), read_addresses_quickly():
        for nested in reversed(every):
            kinds = {(field.values or field).kind for field in shape_of(nested).fields.values()}
            if issubclass(nested, Document) or not kinds.isdisjoint(("bytes", "link")):
                nested.model_config["val_json_bytes"] = "base64"
                nested.model_rebuild(force=True)


def _detach(document: type[Document]) -> None:
    """Takes from a document class what Beanie does when an instance is made.

    Its validator, which serves back links, would turn JSON into Python's values first, and a strict
    model would then refuse every date. Its `__init__` would ask for a database where the class is
    nested in another.
    """
    document.__pydantic_decorators__.model_validators.pop("fill_back_refs", None)
    document.__pydantic_custom_init__ = False
    for attribute, info in document.model_fields.items():
        if not is_stored(attribute, info):
            info.default = None  # nobody sends it


def _refuse_what_would_not_run(model: type[Document], settings: Any) -> None:
    name = model.__name__
    reasons = {
        "use_revision": "revisions are not kept by our writes; the ETag serves that purpose",
        "is_root": "inheritance in one collection is not supported yet",
        "union_doc": "several classes in one collection are not supported",
        "timeseries": "time series collections can't be updated document by document",
        "motor_db": "the database is a setting",
        "motor_collection": "the database is a setting",
    }
    for word, reason in reasons.items():
        if getattr(settings, word, None):
            raise DeclarationError(f"{name}.Settings.{word}: {reason}.")
    if any(
        issubclass(base, Document) and _is_root(base)
        for base in model.__mro__[1:]
        if inspect.isclass(base)
    ):
        raise DeclarationError(
            f"{name}: inheritance in one collection (is_root) is not supported yet."
        )
    for word, value in _members(model).items():
        if getattr(value, "has_action", False):
            raise DeclarationError(
                f"{name}.{word}: Beanie's event actions are not run by our writes; use a validator."
            )
        if word in _WRITES and value is not inspect.getattr_static(Document, word, None):
            raise DeclarationError(f"{name}.{word}: our writes do not call it; use a validator.")


def _members(model: type[Document]) -> dict[str, Any]:
    """What the class and its bases define, as it stands there: no descriptor is called."""
    members: dict[str, Any] = {}
    for base in reversed(model.__mro__):
        members.update(vars(base))
    return members


def _is_root(base: type) -> bool:
    return bool(getattr(getattr(base, "Settings", None), "is_root", False))


def _refuse_name(resource: Resource) -> None:
    name = resource.model.__name__
    if resource.name.startswith((OWN_COLLECTIONS, "system.")):
        raise DeclarationError(
            f"{name}.Settings.name: the collection {resource.name!r} is taken by Docsheet itself."
        )
    address = resource.address
    is_clean = address == address.strip() and address not in (".", "..")
    if not is_clean or any(character in address for character in "/?#%$\\\0"):
        raise DeclarationError(
            f"{name}: {address!r} can't be a path; say another one in `class Resource: path`, of "
            "letters, digits, - and _."
        )


def _describe_taken(resource: Resource) -> str:
    where = f"{locate(resource.model)}: {resource.model.__name__}"
    return (
        f"{where}: the path {resource.address!r} is taken; give it another one with "
        '`class Resource: path = "…"`.'
    )


def _indexes_of_links(shape: Shape, declared: list[IndexModel]) -> list[IndexModel]:
    """An index of each field that holds links, for finding what links to a document."""
    first_keys = {next(iter(index.document["key"])) for index in declared}
    paths = [link.path for link in links.link_paths(shape)]
    return [IndexModel([(path, 1)]) for path in paths if path not in first_keys]


def _indexes(model: type[Document], settings: Any) -> Iterable[IndexModel]:
    """The indexes that Beanie would make: of `Indexed` fields, then of `Settings.indexes`."""
    for attribute, info in model.model_fields.items():
        declared = getattr(info.annotation, "_indexed", None) or next(
            (data._indexed for data in info.metadata if isinstance(data, IndexedAnnotation)), None
        )
        if declared:
            order, options = declared
            yield IndexModel([(info.alias or attribute, order)], **options)
    indexes = getattr(settings, "indexes", None) or ()
    if isinstance(indexes, str):
        raise DeclarationError(f"{model.__name__}.Settings.indexes: {indexes!r} is no list.")
    for index in indexes:
        try:
            yield _make_index(index)
        except (TypeError, ValueError):
            raise DeclarationError(
                f"{model.__name__}.Settings.indexes: {index!r} is no index; one is a field's name, "
                "a list of names and of (name, direction), or an IndexModel."
            ) from None


def _make_index(declared: Any) -> IndexModel:
    """What a declaration of an index says; raises `TypeError` or `ValueError` where it is none."""
    if isinstance(declared, IndexModel):
        return declared
    if not isinstance(declared, str | list | tuple):
        raise TypeError
    parts = [declared] if isinstance(declared, str) else declared
    return IndexModel([(part, 1) if isinstance(part, str) else tuple(part) for part in parts])
