"""A body, checked by the model: what is unknown, what is wrong, and where."""

from collections.abc import Iterator
from typing import Any

import bson
import orjson
import pydantic
from pydantic_core import SchemaValidator, core_schema

from app.errors import Fault, Invalid
from app.resources.codec import CODEC, decode
from app.resources.faults import Steps, faults_of, invalid_body, unknown_field
from app.resources.fields import Shape, is_stored, nested_models, once, shape_of
from app.resources.registry import Resource
from app.resources.rendering import presenter, to_json
from app.resources.storing import Document, is_step, unstorable

MAX_DEPTH = 100  # levels of nesting that MongoDB takes


def require_object(body: Any) -> Document:
    if not isinstance(body, dict):
        raise Invalid(
            "The body must be a JSON object.", Fault("A JSON object is wanted here.", pointer="#")
        )
    _refuse_deep(body)
    return body


def _refuse_deep(body: Any) -> None:
    level: list[Any] = [body]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise Invalid(
        f"The body is nested deeper than {MAX_DEPTH} levels, which MongoDB can't hold.",
        Fault(f"Nested deeper than {MAX_DEPTH} levels.", pointer="#"),
    )


def refuse_other_id(resource: Resource, body: Document, stored: Document) -> None:
    if "_id" in body and body["_id"] != orjson.loads(to_json(stored["_id"])):
        detail = "A document's _id can't change; leave it out, or send the one that it has."
        raise Invalid(detail, Fault(detail, pointer="#/_id"))


def validate(resource: Resource, body: Document) -> pydantic.BaseModel:
    open_somewhere = _is_open(resource.model)
    faults = list(unknown_faults(resource.shape, body, ())) if open_somewhere else []
    faults += [
        unknown_field(resource.shape, (name,))
        for name in _hidden_names(resource.model)
        if name in body
    ]
    try:
        instance = run_model(resource, body, strict_extra=not open_somewhere)
    except pydantic.ValidationError as error:
        faults += [fault for _, fault in faults_of(error, body, resource.shape)]
        raise invalid_body(faults) from None
    if faults:
        raise invalid_body(faults)
    return instance


def run_model(resource: Resource, body: Document, *, strict_extra: bool) -> pydantic.BaseModel:
    # `self_instance` passes by Document.__init__, which wants Beanie to be initialised with a database.
    model = resource.model
    instance = model.__new__(model)
    extra: Any = "forbid" if strict_extra else None
    rules: dict[str, Any] = {
        "extra": extra,
        "self_instance": instance,
        "by_alias": True,
        "by_name": False,
    }
    model.__pydantic_validator__.validate_json(dump(body), **rules)
    return instance


def dump(body: Any) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # a number that is too large, or a lone surrogate: say where
        raise invalid_body([unstorable(body)]) from None


def view_of(resource: Resource, stored: Document) -> Document:
    """The stored document as the JSON that validates again, excluded fields included."""
    view = decode(bson.encode(stored, codec_options=CODEC))
    present = presenter(resource.shape, excluded=False)
    if present:
        present(view)
    result: Document = orjson.loads(to_json(view))
    return result


@once
def validator_of(model: type[pydantic.BaseModel], attribute: str) -> SchemaValidator:
    """A validator of one field alone, its decorated validators included."""
    schema: Any = model.__pydantic_core_schema__
    definitions: list[Any] = []
    while schema["type"] != "model-fields":
        definitions += schema.get("definitions", ())
        if schema["type"] == "definition-ref":
            schema = next(known for known in definitions if known["ref"] == schema["schema_ref"])
        else:
            schema = schema["schema"]
    inner = schema["fields"][attribute]["schema"]
    return SchemaValidator(
        core_schema.definitions_schema(inner, definitions) if definitions else inner
    )


def unknown_faults(shape: Shape, body: Document, above: Steps) -> Iterator[Fault]:
    for name, value in body.items():
        known = shape.fields.get(name)
        if known is None:
            if not shape.open or not is_step(name):
                yield unknown_field(shape, (*above, name))
        elif known.shape is not None:
            for steps, inner in _objects(value, (*above, name)):
                yield from unknown_faults(known.shape, inner, steps)
        elif (
            known.values is not None and known.values.shape is not None and isinstance(value, dict)
        ):
            for key, deep in value.items():
                for steps, inner in _objects(deep, (*above, name, key)):
                    yield from unknown_faults(known.values.shape, inner, steps)


def _objects(value: Any, steps: Steps) -> Iterator[tuple[Steps, Document]]:
    if isinstance(value, dict):
        yield steps, value
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            if isinstance(inner, dict):
                yield (*steps, number), inner


@once
def _is_open(model: type[pydantic.BaseModel]) -> bool:
    """Whether the model, or one inside it, takes fields that it doesn't declare."""
    return any(shape_of(inner).open for inner in nested_models(model))


@once
def _hidden_names(model: type[pydantic.BaseModel]) -> tuple[str, ...]:
    """What the model would take and not store: the revision that Beanie adds."""
    return tuple(
        info.alias or name for name, info in model.model_fields.items() if not is_stored(name, info)
    )
