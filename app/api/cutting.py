"""Schemas of models, cut to the fields that a caller may send.

Schemas are JSON's as pydantic makes them (https://json-schema.org/draft/2020-12), one for each
model, with references between them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from app.api.descriptions import Schema
from app.resources.extents import Extent

PREFIX = "#/components/schemas/"
_OF_WHOLE = ("examples", "example")  # which may have fields that are cut

Extents = tuple[Extent, ...]  # what is sent where any of them covers it


class Cutting:
    """Cuts the schemas of one description; what is cut alike is made once."""

    def __init__(self, schemas: dict[str, Schema]) -> None:
        self._schemas = schemas
        self._names: dict[tuple[str, tuple[int, ...]], str] = {}

    def cut(self, name: str, extents: Extents) -> None:
        """Cuts the schema of this name."""
        if any(extent.is_all for extent in extents):
            return
        self._names[_identify(name, extents)] = name
        self._schemas[name] = self._cut(self._schemas[name], extents)

    def _cut(self, schema: Schema, extents: Extents) -> Schema:
        cut = {word: value for word, value in schema.items() if word not in _OF_WHOLE}
        properties = schema.get("properties", {})
        cut["properties"] = dict(self._cut_properties(properties, extents))
        if "required" in schema:
            cut["required"] = [name for name in schema["required"] if name in cut["properties"]]
        return cut

    def _cut_properties(
        self, properties: Mapping[str, Any], extents: Extents
    ) -> Iterator[tuple[str, Any]]:
        for name, schema in properties.items():
            below = tuple(extent.below(name) for extent in extents)
            if any(extent.is_all for extent in below):
                yield name, schema
            elif not all(extent.is_none for extent in below):
                yield name, self._refer(schema, below)

    def _refer(self, schema: Any, extents: Extents) -> Any:
        """The schema of a value whose models are cut."""
        if isinstance(schema, list):
            return [self._refer(inner, extents) for inner in schema]
        if not isinstance(schema, dict):
            return schema
        hidden = ("default", *_OF_WHOLE)
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(PREFIX)
            more = {word: inner for word, inner in schema.items() if word not in hidden}
            return {**more, "$ref": PREFIX + self._find(name, extents)}
        return {
            word: self._refer(inner, extents)
            for word, inner in schema.items()
            if word not in hidden
        }

    def _find(self, name: str, extents: Extents) -> str:
        """The name of the cut schema of a model; it is made where there is none yet."""
        key = _identify(name, extents)
        if "properties" not in self._schemas[name]:
            return name
        if key not in self._names:
            self._names[key] = new = self._choose(name)
            self._schemas[new] = {}
            self._schemas[new] = self._cut(self._schemas[name], extents)
        return self._names[key]

    def _choose(self, name: str) -> str:
        number = 2
        while f"{name}{number}" in self._schemas:
            number += 1
        return f"{name}{number}"


def _identify(name: str, extents: Extents) -> tuple[str, tuple[int, ...]]:
    return name, tuple(map(id, extents))


def drop_unused(description: dict[str, Any]) -> None:
    """Takes the schemas to which nothing refers out of a description."""
    schemas = description["components"]["schemas"]
    found = dict.fromkeys(_references(description["paths"]))
    waiting = list(found)
    while waiting:
        name = waiting.pop()
        new = [one for one in _references(schemas.get(name)) if one not in found]
        found |= dict.fromkeys(new)
        waiting += new
    for name in schemas.keys() - found.keys():
        del schemas[name]


def _references(value: Any) -> Iterator[str]:
    """The names of the schemas to which a part of a description refers."""
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith(PREFIX):
            yield reference.removeprefix(PREFIX)
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)
