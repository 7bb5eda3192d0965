"""What a package declares that isn't served, or has no effect: a line each for its author."""

import inspect
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, get_args

from beanie import Document, View
from beanie.odm.settings.document import DocumentSettings
from pydantic import BaseModel

from app.resources.packages import import_modules, locate
from app.resources.registry import Resource, discover, is_within
from app.spelling import suggest_nearest

_INNER = ("Settings", "Resource")  # the classes in a document class that are read


def describe_unserved(package: str) -> list[str]:
    """A line for each class that isn't served and each word that has no effect.

    Raises `DeclarationError` as `discover` does.
    """
    resources = discover(package)
    notes = [*_find_unserved(import_modules(package), package)]
    for resource in resources.values():
        notes += [
            *_find_unknown_classes(resource),
            *_find_unknown_words(resource),
            *_indexes_on_no_field(resource),
        ]
    return notes


def _find_unserved(modules: Iterable[ModuleType], package: str) -> Iterator[str]:
    models = {
        value: module
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, BaseModel)
    }
    own = [model for model in models if is_within(model, package)]
    used = {deep for model in own if issubclass(model, Document) for deep in _uses(model)}
    for model, module in models.items():
        if model.__module__.startswith(("beanie.", "pydantic.")):
            continue
        if model not in own:
            if issubclass(model, Document):
                yield (
                    f"{module.__name__} imports {model.__name__} from {model.__module__}: only "
                    f"what {package} itself declares is served"
                )
        elif issubclass(model, View):
            yield f"{locate(model)}: {model.__name__} is a Beanie View: views aren't served"
        elif not issubclass(model, Document) and model not in used:
            yield (
                f"{locate(model)}: {model.__name__} is a pydantic BaseModel that no document uses; "
                "a beanie.Document is served"
            )


def _uses(model: type[BaseModel]) -> set[type[BaseModel]]:
    """The classes that this one is made of: its bases, the types of its fields, and theirs."""
    found: set[type[BaseModel]] = set()
    waiting: list[Any] = [model]
    while waiting:
        part = waiting.pop()
        waiting += get_args(part)
        if not inspect.isclass(part) or not issubclass(part, BaseModel) or part in found:
            continue
        found.add(part)
        waiting += part.__mro__[1:]
        generic = getattr(part, "__pydantic_generic_metadata__", None) or {}
        waiting += [generic.get("origin"), *generic.get("args", ())]
        waiting += [info.annotation for info in part.model_fields.values()]
    return found


def _find_unknown_classes(resource: Resource) -> Iterator[str]:
    """The inner classes that are almost named as one that has an effect."""
    for name, value in vars(resource.model).items():
        near = suggest_nearest(name, _INNER)
        if inspect.isclass(value) and near and name not in _INNER:
            yield f"{_name(resource)}.{name} has no effect.{near}"


def _find_unknown_words(resource: Resource) -> Iterator[str]:
    """The words of `class Settings` that Beanie doesn't know, and so overlooks."""
    known = DocumentSettings.model_fields
    for word in dir(getattr(resource.model, "Settings", None)):
        if not word.startswith("_") and word not in known:
            yield (
                f"{_name(resource)}.Settings.{word} has no "
                f"effect: Beanie has no such setting.{suggest_nearest(word, known)}"
            ).removesuffix(".")


def _indexes_on_no_field(resource: Resource) -> Iterator[str]:
    if resource.model.model_config.get("extra") == "allow":
        return
    for index in resource.indexes:
        for path in index.document["key"]:
            top = resource.shape.fields.get(path.partition(".")[0])
            is_excluded = top is not None and top.excluded
            if "$" in path or is_excluded:
                continue
            shape = resource.shape
            if shape.find(path, numbered=True) is None and shape.find(path) is None:
                near = resource.suggest_nearest(path)
                yield (
                    f"{_name(resource)} has an index on {path!r}, which is no field of it.{near}"
                ).removesuffix(".")


def _name(resource: Resource) -> str:
    return f"{locate(resource.model)}: {resource.model.__name__}"
