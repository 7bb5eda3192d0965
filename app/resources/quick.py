"""A shorter way from a right body to its document, without an instance of the model between.

Making the instance and encoding it is most of the time of an insert. Where nobody looks at the
instance (the model has no validator of the whole, no `model_post_init`, no encoders of its own),
pydantic's core schema is rewritten so that a model gives a dict by stored names instead. Parts that
have no line here stay as they are, and what they give is encoded as ever. A body that this way
refuses goes the whole way, which says what is wrong with it: so this way may refuse too much, and
never takes or makes anything else than the whole one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pydantic
from pydantic_core import SchemaValidator, core_schema

from app.resources.addresses import is_of_addresses, read_address
from app.resources.annotations import is_stored
from app.resources.fields import find_nested_models, once, shape_of
from app.resources.leniency import CANNOT_JUDGE
from app.resources.schemas import rewrite_within, schemas_within
from app.resources.storing import Document, encoder_of

Schema = dict[str, Any]
Encode = Callable[[Any], Any]

_STORED_AS_THEY_ARE = frozenset({"str", "int", "float", "bool", "none"})
_SCALARS = _STORED_AS_THEY_ARE | {
    "date", "datetime", "timedelta", "decimal", "uuid", "url", "multi-host-url", "enum", "literal",
    "bytes",
}  # fmt: skip
_AROUND_SCALARS = frozenset({"nullable", "default", "function-after"})
_OF_LINKS = "beanie.odm.fields"  # whose validators look at nothing else
_OF_PYTHON = "python_schema"  # a body is JSON
_OF_PYDANTIC = "init_private_attributes"  # the `model_post_init` that nobody wrote


class QuickReader:
    """Bodies → documents of one model, for the bodies that are right.

    Raises `NotPlain` for a model that must have its instances.
    """

    def __init__(self, model: type[pydantic.BaseModel]) -> None:
        encoder = encoder_of(model)
        is_open = any(shape_of(inner).open for inner in find_nested_models(model))
        if is_open or encoder.custom_encoders or not encoder.keep_nulls:
            raise NotPlain
        whole = _Rewriting(model.__pydantic_core_schema__, encoder.encode)
        part = whole.part_of_model(whole.schema, ())
        definitions = whole.definitions
        schema: Any = core_schema.list_schema(part.schema)
        if definitions:
            schema = core_schema.definitions_schema(schema, definitions)
        # As pydantic builds a class again: what is defined once goes by the model's configuration,
        # and nested classes' own validators are not taken.
        config = whole.schema.get("config")
        self._validator = SchemaValidator(schema, config, _use_prebuilt=False)
        self._encode = part.encode
        self.is_flat = part.is_flat  # whether no body that is right is nested deeper than the model

    def document(self, body: Document) -> Document | None:
        """The document, None where the body must go the whole way."""
        documents = self.documents([body])
        return None if documents is None else documents[0]

    def documents(self, bodies: Sequence[Document]) -> list[Document] | None:
        """The documents of some bodies, None where one of these must go the whole way."""
        try:
            documents: list[Document] = self._validator.validate_json(
                orjson.dumps(bodies),
                context={"stored": {}},
                extra="forbid",
                by_alias=True,
                by_name=False,
            )
            if self._encode is not None:
                for document in documents:
                    self._encode(document)
        except (pydantic.ValidationError, *CANNOT_JUDGE):
            return None
        return documents


@once
def quick_reader(model: type[pydantic.BaseModel]) -> QuickReader | None:
    """The quick reader of a model, None where it must have its instances."""
    try:
        return QuickReader(model)
    except NotPlain:
        return None


class NotPlain(Exception):
    """Somebody looks at an instance of the model, or at its other fields."""


@dataclass(frozen=True)
class _Part:
    """A rewritten part of the schema.

    `encode` makes what is stored of a value other than None; without one it is stored as it is.
    """

    schema: Any
    encode: Encode | None
    is_flat: bool


class _Rewriting:
    """The rewriting of a model's schema; `definitions` are what its parts still refer to."""

    def __init__(self, schema: Any, encode: Encode) -> None:
        self._encode = encode
        self.definitions: list[Any] = []
        while schema["type"] == "definitions":
            self.definitions += schema["definitions"]
            schema = schema["schema"]
        self._by_ref: dict[str, Schema] = {known["ref"]: known for known in self.definitions}
        if schema["type"] == "definition-ref":
            schema = self._by_ref[schema["schema_ref"]]
        self.schema = schema
        for known in self.definitions:
            _refuse_lookers(known)

    def part_of_model(self, schema: Schema, above: tuple[str, ...]) -> _Part:
        """A model as a dict by stored names."""
        _refuse_own_making(schema, is_root=not above)
        model = schema["cls"]
        above = (*above, str(schema.get("ref", model)))
        parts: dict[str, _Part] = {}
        for attribute, field in schema["schema"]["fields"].items():
            info = model.model_fields[attribute]
            if not is_stored(attribute, info):
                continue
            name = info.alias or attribute
            if field.get("validation_alias", attribute) != name:
                raise NotPlain
            parts[name] = self._part(field["schema"], above)
        fields = {name: _field(part.schema) for name, part in parts.items()}
        config = schema.get("config")
        made = core_schema.typed_dict_schema(fields, extra_behavior="forbid", config=config)
        encoders = [(name, part.encode) for name, part in parts.items() if part.encode]
        is_flat = all(part.is_flat for part in parts.values())
        return _Part(made, _each_field(encoders) if encoders else None, is_flat)

    def _part(self, schema: Schema, above: tuple[str, ...]) -> _Part:
        kind = schema["type"]
        if kind in ("default", "nullable"):
            inner = self._part(schema["schema"], above)
            return self._around(schema, inner)
        if kind == "list" and "items_schema" in schema:
            inner = self._part(schema["items_schema"], above)
            encode = _each_element(inner.encode) if inner.encode else None
            rewritten = {**_without_ref(schema), "items_schema": inner.schema}
            return _Part(rewritten, encode, inner.is_flat)
        if is_of_addresses(schema):
            inner = self._part(schema["schema"], above)
            function = {**schema["function"], "function": read_address}
            rewritten = {**_without_ref(schema), "schema": inner.schema, "function": function}
            return _Part(rewritten, None, inner.is_flat)
        found = self._by_ref[schema["schema_ref"]] if kind == "definition-ref" else schema
        if found["type"] == "model" and found.get("ref", found["cls"]) not in above:
            try:
                return self.part_of_model(found, above)
            except NotPlain:
                return self._keep(schema)
        return self._keep(schema)

    def _around(self, schema: Schema, inner: _Part) -> _Part:
        encode = inner.encode
        if schema["type"] == "default":
            if schema.get("default_factory_takes_data"):
                raise NotPlain
            if not _is_stored_alike(schema, inner):
                encode = self._encode
        return _Part({**_without_ref(schema), "schema": inner.schema}, encode, inner.is_flat)

    def _keep(self, schema: Schema) -> _Part:
        """A part that stays as it is."""
        _refuse_lookers(schema)
        encode = None if schema["type"] in _STORED_AS_THEY_ARE else self._encode
        return _Part(_without_refs(schema), encode, self._is_scalar(schema))

    def _is_scalar(self, schema: Schema) -> bool:
        """Whether what it takes is no list and no object."""
        kind = schema["type"]
        if kind == "definition-ref":
            return self._is_scalar(self._by_ref[schema["schema_ref"]])
        if kind in _AROUND_SCALARS:
            return self._is_scalar(schema["schema"])
        if kind == "json-or-python":
            return self._is_scalar(schema["json_schema"])
        return kind in _SCALARS


def _refuse_own_making(schema: Schema, *, is_root: bool) -> None:
    """Raises `NotPlain` for a model that makes its instances in a way of its own.

    The root's `__init__` is Beanie's, which is passed by in any case.
    """
    fields = schema["schema"] if schema["type"] == "model" else {"type": None}
    post_init = getattr(schema["cls"], schema["post_init"]) if schema.get("post_init") else None
    own = (
        fields["type"] != "model-fields",
        schema.get("root_model"),
        schema.get("strict"),
        schema.get("custom_init") and not is_root,
        post_init is not None and post_init.__name__ != _OF_PYDANTIC,
    )
    if any(own):
        raise NotPlain


def _refuse_lookers(schema: Any) -> None:
    """Raises `NotPlain` where a function of a part looks at the other fields of its model."""
    for part in _parts_of(schema):
        if _looks_elsewhere(part.get("function")) or part.get("default_factory_takes_data"):
            raise NotPlain


def _looks_elsewhere(function: Any) -> bool:
    if not isinstance(function, dict) or function.get("type") != "with-info":
        return False
    return bool(function["function"].__module__ != _OF_LINKS)


def _parts_of(schema: Any) -> Iterator[Schema]:
    """The schema and all in it, except what is in a model inside it, which has its own fields."""
    if isinstance(schema, dict):
        if _is_of_model(schema):
            return
        yield schema
        schema = {word: inner for word, inner in schema.items() if word != _OF_PYTHON}
    for inner in schemas_within(schema):
        yield from _parts_of(inner)


def _is_of_model(schema: Schema) -> bool:
    """Whether it is a model, or a validator of a whole one."""
    while str(schema.get("type")).startswith("function-") and "schema" in schema:
        schema = schema["schema"]
    return schema.get("type") == "model"


def _without_refs(schema: Any) -> Any:
    """A part without the names that only definitions must have, so that it may be there twice."""
    rewritten = rewrite_within(schema, _without_refs)
    return _without_ref(rewritten) if isinstance(rewritten, dict) else rewritten


def _without_ref(schema: Schema) -> Schema:
    return {word: inner for word, inner in schema.items() if word != "ref" or type(inner) is dict}


def _field(schema: Any) -> Any:
    return core_schema.typed_dict_field(schema, required=schema["type"] != "default")


def _is_stored_alike(schema: Schema, inner: _Part) -> bool:
    """Whether a default is stored by what stores the values that are sent."""
    default = schema.get("default", schema)  # the schema itself, where there is a factory
    if default is None or default == []:
        return True
    return inner.encode is None and type(default) in (str, int, float, bool)


def _each_field(encoders: list[tuple[str, Encode]]) -> Encode:
    def encode(document: Document) -> Document:
        for name, encode_value in encoders:
            value = document[name]
            if value is not None:
                document[name] = encode_value(value)
        return document

    return encode


def _each_element(encode_element: Encode) -> Encode:
    def encode(values: list[Any]) -> list[Any]:
        return [None if value is None else encode_element(value) for value in values]

    return encode
