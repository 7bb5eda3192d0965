"""A body, checked by the model: what is unknown, what is wrong, and where.

A model's validators find in `info.context["stored"]` the stored document as JSON, excluded fields
included, and `{}` where a new one is made: so they tell what changes from what is there already.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import orjson
import pydantic
from pydantic_core import SchemaValidator, core_schema

from app.errors import Fault, Invalid
from app.resources.annotations import is_stored
from app.resources.codec import decode
from app.resources.faults import Steps, faults_of, make_invalid_body, make_unknown_field
from app.resources.fields import Field, Shape, find_nested_models, once, shape_of
from app.resources.leniency import (
    CANNOT_JUDGE,
    make_lenient_validator,
    make_silent_validator,
    naming_validator,
    passing_validator,
)
from app.resources.registry import Resource
from app.resources.rendering import to_json
from app.resources.schemas import field_schemas
from app.resources.storing import Document, find_unstorable, is_step

Excuse = Callable[[Steps], bool]  # whether a fault at this place doesn't count
Found = list[tuple[Steps, Fault]]
Instance = pydantic.BaseModel
_log = logging.getLogger("docsheet.validation")
MAX_DEPTH = 100  # levels of nesting that MongoDB takes


class PartlyKept(list[Any]):
    """A list that was sent, of which the elements numbered in `kept` are as they are shown."""

    def __init__(self, values: list[Any], kept: Collection[int]) -> None:
        super().__init__(values)
        self.kept = frozenset(kept)


def require_object(body: Any) -> Document:
    """The body; raises `Invalid` where it is no object, or is nested too deep."""
    if not isinstance(body, dict):
        raise Invalid(
            "The body must be a JSON object.", Fault("This must be a JSON object.", pointer="#")
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


def refuse_other_id(body: Document, view: Document) -> None:
    """Raises `Invalid` where the body has another `_id` than the stored document, as JSON, has."""
    if "_id" in body and body["_id"] != view["_id"]:
        detail = "A document's _id can't change; leave it out, or send the one that it has."
        raise Invalid(detail, Fault(detail, pointer="#/_id"))


def validate(
    resource: Resource,
    body: Document,
    excuse: Excuse | None = None,
    sent: Document | None = None,
    stored: Document | None = None,
) -> Instance:
    """The instance that the body makes; raises `Invalid` with every fault, unknown fields included.

    Faults at paths that `excuse` takes don't count: there the instance has what was sent, as it is.
    `sent` is the part of the body in which no field may be unknown, without it all; `stored` the
    stored document, as JSON, in whose place the new one comes.
    """
    sent = body if sent is None else sent
    open_somewhere = _is_open(resource.model)
    unknown = list(find_unknown_fields(resource.shape, sent, ())) if open_somewhere else []
    for name in _list_hidden_names(resource.model):
        if name in sent:
            unknown.append(make_unknown_field(resource.shape, (name,)))
    stored = {} if stored is None else stored
    return judge(resource, body, stored, excuse, unknown, strict_extra=not open_somewhere)


def judge(
    resource: Resource,
    body: Document,
    stored: Document,
    excuse: Excuse | None,
    others: Sequence[Fault] = (),
    *,
    strict_extra: bool,
) -> Instance:
    """The instance that the body makes.

    Raises `Invalid` with its faults that `excuse` doesn't take, and `others`.
    """
    instance, found = _run_strictly(resource, body, stored, strict_extra)
    if instance is None and excuse is not None:
        instance, verdicts = _run_leniently(resource, body, stored)
        there = {steps for steps, _ in found}
        found += [pair for pair in verdicts if pair[0] not in there]
        found = [(steps, fault) for steps, fault in found if not excuse(steps)]
    faults = [*others, *(fault for _, fault in found)]
    if faults or instance is None:
        raise make_invalid_body(faults)
    return instance


def fault_places(resource: Resource, view: Document) -> set[Steps]:
    """Where a stored document, as JSON, breaks its model.

    Fields that the model doesn't know are no faults.
    """
    instance, found = _run_strictly(resource, view, view, strict_extra=False)
    if instance is not None:
        return set()
    _, verdicts = _run_leniently(resource, view, view)
    return {steps for steps, _ in (*found, *verdicts)}


def _run_strictly(
    resource: Resource, body: Document, stored: Document, strict_extra: bool
) -> tuple[Instance | None, Found]:
    """The instance, or what is wrong.

    Where a validator of the model can't judge a value, most often because another is wrong, it is
    the other one that is at fault.
    """
    model = resource.model
    try:
        return _run(resource, model.__pydantic_validator__, body, stored, strict_extra), []
    except pydantic.ValidationError as error:
        return None, faults_of(error, body, resource.shape)
    except CANNOT_JUDGE as error:
        reason = error
    try:
        _run(resource, passing_validator(model), body, stored, strict_extra)
        _log.error("a validator of %s failed", model.__name__, exc_info=reason)
        _run(resource, naming_validator(model), body, stored, strict_extra)
    except pydantic.ValidationError as error:
        return None, faults_of(error, body, resource.shape)
    raise reason


def _run_leniently(resource: Resource, body: Document, stored: Document) -> tuple[Instance, Found]:
    """The instance as far as it can be made, and what the validators of whole models say of it."""
    lenient, silent = make_lenient_validator(resource.model), make_silent_validator(resource.model)
    try:
        return _run(resource, lenient, body, stored, strict_extra=False), []
    except pydantic.ValidationError as error:
        instance = _run(resource, silent, body, stored, strict_extra=False)
        return instance, faults_of(error, body, resource.shape)


def _run(
    resource: Resource,
    validator: SchemaValidator,
    body: Document,
    stored: Document,
    strict_extra: bool,
) -> Instance:
    # `self_instance` passes by Document.__init__, which must have Beanie initialised with a
    # database.
    instance = resource.model.__new__(resource.model)
    extra: Any = "forbid" if strict_extra else None
    validator.validate_json(
        dump(body),
        extra=extra,
        context={"stored": stored},
        self_instance=instance,
        by_alias=True,
        by_name=False,
    )
    return instance


def dump(body: Any) -> bytes:
    """The body as JSON; raises `Invalid` with the place of what JSON or MongoDB can't hold."""
    try:
        return orjson.dumps(body)
    except TypeError:  # a number that is too large, or a lone surrogate: say where
        raise make_invalid_body([find_unstorable(body)]) from None


def view_of(resource: Resource, raw: bytes) -> Document:
    """The stored document as the JSON that validates again, excluded fields included."""
    view = decode(raw)
    if resource.present_whole is not None:
        resource.present_whole(view)
    result: Document = orjson.loads(to_json(view))
    return result


def hide_excluded(resource: Resource, view: Document) -> Document:
    """The same as a client sees it, without the excluded fields."""
    if resource.present is None:
        return view
    shown: Document = orjson.loads(orjson.dumps(view))
    resource.present(shown)
    return shown


@once
def validator_of(model: type[pydantic.BaseModel], attribute: str) -> SchemaValidator:
    """A validator of one field alone, its decorated validators included."""
    schemas, definitions = field_schemas(model)
    inner: Any = schemas[attribute]
    known: Any = definitions
    return SchemaValidator(core_schema.definitions_schema(inner, known) if known else inner)


def find_unknown_fields(shape: Shape, body: Document, above: Steps) -> Iterator[Fault]:
    """A fault for each field that the model, or one inside it, doesn't know."""
    for name, value in body.items():
        known, steps = shape.fields.get(name), (*above, name)
        if known is None:
            if not shape.open or not is_step(name):
                yield make_unknown_field(shape, steps)
            continue
        for model, place, inner in _nested_objects(known, value, steps):
            yield from find_unknown_fields(model, inner, place)


def _nested_objects(
    known: Field, value: Any, steps: Steps
) -> Iterator[tuple[Shape, Steps, Document]]:
    """The objects that a nested model describes: the value, what is in its lists, in a map."""
    if known.shape is not None:
        for place, inner in _objects(value, steps):
            yield known.shape, place, inner
    elif known.kind == "lists" and len(known.shapes) == 1 and isinstance(value, list):
        for number, deep in enumerate(value):
            for place, inner in _objects(deep, (*steps, number)):
                yield known.shapes[0], place, inner
    elif known.values is not None and isinstance(value, dict):
        for key, deep in value.items():
            yield from _nested_objects(known.values, deep, (*steps, key))


def _objects(value: Any, steps: Steps) -> Iterator[tuple[Steps, Document]]:
    if isinstance(value, dict):
        yield steps, value
    elif isinstance(value, list):
        kept = value.kept if isinstance(value, PartlyKept) else ()
        for number, inner in enumerate(value):
            if isinstance(inner, dict) and number not in kept:
                yield (*steps, number), inner


@once
def _is_open(model: type[pydantic.BaseModel]) -> bool:
    """Whether the model, or one inside it, takes fields that it doesn't declare."""
    return any(shape_of(inner).open for inner in find_nested_models(model))


@once
def _list_hidden_names(model: type[pydantic.BaseModel]) -> tuple[str, ...]:
    """What the model would take and not store: the revision that Beanie adds."""
    return tuple(
        info.alias or name for name, info in model.model_fields.items() if not is_stored(name, info)
    )
