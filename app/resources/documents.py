"""A body ↔ a stored document: validation by the model, the merge patch, and where in the body something is wrong.

A body is JSON that `orjson` read; a stored document is a dict as `bson` decodes it. Nothing here writes.
"""

import datetime
import decimal
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import bson
import orjson
import pydantic
from beanie.odm.utils.encoder import Encoder
from pydantic_core import ErrorDetails, SchemaValidator, core_schema

from app.errors import Fault, Invalid
from app.resources.fields import Field, Kind, Shape, is_revision, nested_models, once, shape_of
from app.resources.registry import Resource, nearest
from app.resources.rendering import CODEC, decode, presenter, to_json

MAX_DEPTH = 100  # levels of nesting that MongoDB takes
MAX_DOCUMENT = 16 * 1024 * 1024  # bytes of BSON that MongoDB takes
_NO_STEPS = ("", ".", "..")  # what can't be a step of a path (RFC 3986, section 5.2.4)
_STAND_INS: dict[Kind, Any] = {"int": 0, "text": "_", "uuid": "0" * 32, "objectid": "0" * 24}
Document = dict[str, Any]
Steps = tuple[str | int, ...]
_PLAIN = frozenset(
    {str, int, float, bool, type(None), datetime.datetime, bson.ObjectId, bson.Decimal128}
)


@dataclass(frozen=True)
class Change:
    """What a merge patch writes: dotted paths with their new values, and dotted paths that go."""

    set: Mapping[str, Any] = field(default_factory=dict)
    unset: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.set or self.unset)


def read_document(resource: Resource, body: Any) -> Document:
    """The document that a POST stores, `_id` first, defaults filled in; raises `Invalid` with a pointer per fault."""
    instance = _validated(resource, _object(body))
    document = _stored(resource, instance)
    if document.get("_id") is None:
        if resource.key.kind != "objectid":
            raise Invalid(
                "The field _id is required.", Fault("This field is required.", pointer="#/_id")
            )
        document = {**document, "_id": bson.ObjectId()}
    if isinstance(document["_id"], str) and document["_id"] in _NO_STEPS:
        detail = "An _id can't be empty, '.' or '..': no path leads to such a document."
        raise Invalid(detail, Fault(detail, pointer="#/_id"))
    return {"_id": document.pop("_id"), **document}


def read_replacement(resource: Resource, body: Any, stored: Document) -> Document:
    """The document that a PUT stores in place of `stored`: excluded fields that were not sent stay.

    Raises `Invalid` as `read_document`, and where another `_id` is sent.
    """
    body = _object(body)
    _refuse_other_id(resource, body, stored)
    view = _view(resource, stored)
    kept = [
        name
        for name, known in resource.shape.fields.items()
        if known.excluded and name in stored and name not in body
    ]
    whole = {**body, **{name: view[name] for name in kept}}
    whole["_id"] = (
        view["_id"] if _own_key(resource, view["_id"]) else _STAND_INS.get(resource.key.kind)
    )
    document = _stored(resource, _validated(resource, whole))
    document.update({name: stored[name] for name in kept})
    _keep_hidden(resource.shape, document, stored, body)
    document.pop("_id", None)
    return {"_id": stored["_id"], **document}


def read_patch(resource: Resource, patch: Any, stored: Document) -> Change:
    """What a merge patch (RFC 7396) changes in `stored`; only what was sent is in it.

    The merged result is validated; faults at paths that were not sent don't count. Raises `Invalid`.
    """
    patch = _object(patch)
    _refuse_other_id(resource, patch, stored)
    faults = list(_unknown(resource.shape, patch, ()))
    if faults:
        raise _invalid(faults)
    view = _view(resource, stored)
    merged = _merge(view, patch)
    try:
        instance = _run(resource, merged, strict_extra=False)
        encoded = _stored(resource, instance)
    except pydantic.ValidationError as error:
        faults = [
            fault
            for steps, fault in _faults(error, merged, resource.shape)
            if _was_sent(steps, patch)
        ]
        if faults:
            raise _invalid(faults) from None
        encoded = _field_by_field(resource, resource.shape, view, merged, patch, ())
    sets: dict[str, Any] = {}
    unsets: list[str] = []
    _collect(resource.shape.fields, patch, stored, encoded, "", sets, unsets)
    sets.pop("_id", None)
    return Change(sets, tuple(unsets))


def to_bson(document: Mapping[str, Any]) -> bytes:
    """The document as BSON; raises `Invalid` naming the field that MongoDB can't hold."""
    try:
        raw = bson.encode(document, codec_options=CODEC)
    except (OverflowError, UnicodeEncodeError, bson.errors.BSONError, RecursionError):
        raise _invalid([_unstorable(document)]) from None
    if len(raw) > MAX_DOCUMENT:
        detail = f"The document would have {len(raw):,} bytes; MongoDB holds {MAX_DOCUMENT:,}."
        raise Invalid(detail, Fault(detail, pointer="#"))
    return raw


def pointer(steps: Sequence[str | int]) -> str:
    """A JSON pointer as a URI fragment (RFC 6901, section 6): `#/profile/addresses/0`."""
    return "#" + "".join("/" + quote(_escaped(step), safe="~!$&'()*+,;=:@") for step in steps)


def _escaped(step: str | int) -> bytes:
    return str(step).replace("~", "~0").replace("/", "~1").encode(errors="replace")


# --- validation ------------------------------------------------------------------------------------------------------


def _object(body: Any) -> Document:
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


def _validated(resource: Resource, body: Document) -> pydantic.BaseModel:
    open_somewhere = _is_open(resource.model)
    faults = list(_unknown(resource.shape, body, ())) if open_somewhere else []
    faults += [
        _unknown_fault(resource.shape, (name,))
        for name in _hidden_names(resource.model)
        if name in body
    ]
    try:
        instance = _run(resource, body, strict_extra=not open_somewhere)
    except pydantic.ValidationError as error:
        faults += [fault for _, fault in _faults(error, body, resource.shape)]
        raise _invalid(faults) from None
    if faults:
        raise _invalid(faults)
    return instance


def _run(resource: Resource, body: Document, *, strict_extra: bool) -> pydantic.BaseModel:
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
    model.__pydantic_validator__.validate_json(_json(body), **rules)
    return instance


def _json(body: Any) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # a number that is too large, or a lone surrogate: say where
        raise _invalid([_unstorable(body)]) from None


def _stored(resource: Resource, instance: pydantic.BaseModel) -> Document:
    """The instance as Beanie would store it; raises `Invalid` for a decimal number that MongoDB can't hold."""
    try:
        return _encoded(resource, instance)
    except decimal.DecimalException:
        raise _invalid([_unstorable(instance.model_dump(by_alias=True))]) from None


def _encoded(resource: Resource, instance: pydantic.BaseModel) -> Document:
    encoder = _encoder(resource)
    document = {}
    for attribute, name in _stored_names(resource.model):
        value = getattr(instance, attribute)
        if value is not None or encoder.keep_nulls:
            document[name] = encoder.encode(value)
    for name, value in (instance.model_extra or {}).items():
        document[name] = encoder.encode(value)
    return document


@once
def _stored_names(model: type[pydantic.BaseModel]) -> tuple[tuple[str, str], ...]:
    fields = model.model_fields.items()
    return tuple((name, info.alias or name) for name, info in fields if not is_revision(name, info))


def _encoder(resource: Resource) -> Encoder:
    settings = getattr(resource.model, "Settings", None)
    custom = getattr(settings, "bson_encoders", {})
    return _Encoder(
        custom_encoders=custom, to_db=True, keep_nulls=getattr(settings, "keep_nulls", True)
    )


class _Encoder(Encoder):
    """Beanie's encoder with a short way for what most values are, and with one order for the elements of a set."""

    def encode(self, obj: Any) -> Any:
        """The value as BSON holds it."""
        if self.custom_encoders:
            return super().encode(obj)
        kind = type(obj)
        if kind in _PLAIN:
            return obj
        if kind is list:
            return [self.encode(inner) for inner in obj]
        if isinstance(obj, set | frozenset):
            return sorted(map(self.encode, obj), key=repr)
        if isinstance(obj, pydantic.BaseModel) and not isinstance(obj, pydantic.RootModel):
            return self._model(obj)
        return super().encode(obj)

    def _model(self, obj: pydantic.BaseModel) -> Document:
        pairs = [(name, getattr(obj, attribute)) for attribute, name in _stored_names(type(obj))]
        pairs += (obj.model_extra or {}).items()
        return {
            name: self.encode(value)
            for name, value in pairs
            if value is not None or self.keep_nulls
        }


def _view(resource: Resource, stored: Document) -> Document:
    """The stored document as the JSON that validates again, excluded fields included."""
    view = decode(bson.encode(stored, codec_options=CODEC))
    present = presenter(resource.shape, excluded=False)
    if present:
        present(view)
    result: Document = orjson.loads(to_json(view))
    return result


def _refuse_other_id(resource: Resource, body: Document, stored: Document) -> None:
    if "_id" in body and body["_id"] != orjson.loads(to_json(stored["_id"])):
        detail = "A document's _id can't change; leave it out, or send the one that it has."
        raise Invalid(detail, Fault(detail, pointer="#/_id"))


def _keep_hidden(shape: Shape, document: Document, stored: Document, body: Document) -> None:
    """Excluded fields of nested models that were not sent stay where both documents have the object."""
    for name, known in shape.fields.items():
        inner, old, new, sent = known.shape, stored.get(name), document.get(name), body.get(name)
        if (
            inner is None
            or known.many
            or not (isinstance(old, dict) and isinstance(new, dict) and isinstance(sent, dict))
        ):
            continue
        new.update(
            {
                key: old[key]
                for key, deep in inner.fields.items()
                if deep.excluded and key in old and key not in sent
            }
        )
        _keep_hidden(inner, new, old, sent)


def _own_key(resource: Resource, key: Any) -> bool:
    """Whether a stored `_id`, as JSON, is of the model's type; another program may have stored another."""
    attribute = next(
        name for name, info in resource.model.model_fields.items() if (info.alias or name) == "_id"
    )
    try:
        _one_field(resource.model, attribute).validate_json(_json(key))
    except pydantic.ValidationError:
        return False
    return True


# --- the merge patch -------------------------------------------------------------------------------------------------


def _merge(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merge(result.get(name), value)
    return result


def _was_sent(steps: Steps, patch: Any) -> bool:
    """Whether the patch has this path, a part of it, or something below it."""
    for step in steps:
        if not isinstance(patch, dict):
            return True
        if step not in patch:
            return False
        patch = patch[step]
    return True


def _field_by_field(
    resource: Resource,
    shape: Shape,
    stored: Document,
    merged: Document,
    patch: Document,
    above: Steps,
) -> Document:
    """Only what was sent, validated field by field: for stored documents that break the model elsewhere."""
    encoder = _encoder(resource)
    result: Document = {}
    faults: list[Fault] = []
    attributes = {
        info.alias or attribute: attribute for attribute, info in shape.model.model_fields.items()
    }
    for name, value in patch.items():
        known = shape.fields.get(name)
        inner = known.shape if known and not known.many else None
        if known is None:
            result[name] = value
        elif value is None:
            info = shape.model.model_fields[attributes[name]]
            if info.is_required():
                faults.append(Fault("This field is required.", pointer=pointer((*above, name))))
            else:
                result[name] = encoder.encode(
                    info.get_default(call_default_factory=True, validated_data={})
                )
        elif inner is not None and isinstance(value, dict) and isinstance(stored.get(name), dict):
            result[name] = _field_by_field(
                resource, inner, stored[name], merged[name], value, (*above, name)
            )
        else:
            try:
                found = _one_field(shape.model, attributes[name]).validate_json(_json(merged[name]))
                result[name] = encoder.encode(found)
            except pydantic.ValidationError as error:
                nested = Shape(shape.model, {name: known})
                pairs = _faults(error, merged, nested, (name,))
                faults += [
                    Fault(fault.detail, pointer=pointer((*above, *steps))) for steps, fault in pairs
                ]
    if faults:
        raise _invalid(faults)
    return result


@once
def _one_field(model: type[pydantic.BaseModel], attribute: str) -> SchemaValidator:
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


def _collect(
    fields: Mapping[str, Field],
    patch: Document,
    stored: Document,
    encoded: Document,
    prefix: str,
    sets: dict[str, Any],
    unsets: list[str],
) -> None:
    for name, sent in patch.items():
        path, old = prefix + name, stored.get(name)
        if sent is None and encoded.get(name) is None:
            if name in stored:
                unsets.append(path)
            continue
        new = encoded[name]
        if isinstance(sent, dict) and isinstance(old, dict) and isinstance(new, dict):
            known = fields.get(name)
            if all(_is_step(key) for key in sent):
                inner = known.shape.fields if known and known.shape else {}
                _collect(inner, sent, old, new, path + ".", sets, unsets)
                continue
            new = {
                key: value
                for key, value in {**old, **new}.items()
                if key not in sent or sent[key] is not None
            }
        if name not in stored or not _same(old, new):
            sets[path] = new


def _is_step(name: str) -> bool:
    """Whether a name can stand in the dotted path of an update."""
    return bool(name) and "." not in name and not name.startswith("$")


def _same(one: Any, other: Any) -> bool:
    try:
        return bson.encode({"": one}, codec_options=CODEC) == bson.encode(
            {"": other}, codec_options=CODEC
        )
    except (OverflowError, UnicodeEncodeError, bson.errors.BSONError):
        return False  # to_bson says where


# --- unknown fields, bytes -------------------------------------------------------------------------------------------


def _unknown(shape: Shape, body: Document, above: Steps) -> Iterator[Fault]:
    for name, value in body.items():
        known = shape.fields.get(name)
        if known is None:
            if not shape.open or not _is_step(name):
                yield _unknown_fault(shape, (*above, name))
        elif known.shape is not None:
            for steps, inner in _objects(value, (*above, name)):
                yield from _unknown(known.shape, inner, steps)
        elif (
            known.values is not None and known.values.shape is not None and isinstance(value, dict)
        ):
            for key, deep in value.items():
                for steps, inner in _objects(deep, (*above, name, key)):
                    yield from _unknown(known.values.shape, inner, steps)


def _objects(value: Any, steps: Steps) -> Iterator[tuple[Steps, Document]]:
    if isinstance(value, dict):
        yield steps, value
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            if isinstance(inner, dict):
                yield (*steps, number), inner


def _unknown_fault(shape: Shape | None, steps: Steps) -> Fault:
    if shape is not None and shape.open:
        return Fault(
            "The name of a field can't be empty, begin with $ or have a dot.",
            pointer=pointer(steps),
        )
    names = [name for name, known in shape.fields.items() if not known.excluded] if shape else []
    return Fault(
        f"There is no field {steps[-1]!r}.{nearest(str(steps[-1]), names)}", pointer=pointer(steps)
    )


@once
def _is_open(model: type[pydantic.BaseModel]) -> bool:
    """Whether the model, or one inside it, takes fields that it doesn't declare."""
    return any(shape_of(inner).open for inner in nested_models(model))


@once
def _hidden_names(model: type[pydantic.BaseModel]) -> tuple[str, ...]:
    """What the model would take and not store: the revision that Beanie adds."""
    return tuple(
        info.alias or name for name, info in model.model_fields.items() if is_revision(name, info)
    )


# --- faults ----------------------------------------------------------------------------------------------------------


def _invalid(faults: list[Fault]) -> Invalid:
    first = faults[0]
    where = f" at {first.pointer}" if first.pointer and first.pointer != "#" else ""
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Invalid(f"The body can't be accepted{where}: {first.detail}{more}", *faults)


def _faults(
    error: pydantic.ValidationError, body: Any, shape: Shape, prefix: Steps = ()
) -> list[tuple[Steps, Fault]]:
    pairs: list[tuple[Steps, Fault]] = []
    for one in error.errors(include_url=False, include_context=True):
        steps = _steps(body, (*prefix, *one["loc"]), one["type"])
        if one["type"] == "extra_forbidden":
            fault = _unknown_fault(_shape_at(shape, steps[:-1]), steps)
        else:
            fault = Fault(_sentence(one), pointer=pointer(steps))
        if all(steps != known for known, _ in pairs):
            pairs.append((steps, fault))
    return pairs


def _steps(body: Any, location: Sequence[Any], kind: str) -> Steps:
    """The location without pydantic's own marks (names of union members and of validators)."""
    steps: list[str | int] = []
    for number, step in enumerate(location):
        if _has(body, step):
            body = body[step]
        elif not (kind == "missing" and number == len(location) - 1):
            continue
        steps.append(step)
    return tuple(steps)


def _has(body: Any, step: Any) -> bool:
    if isinstance(body, dict):
        return step in body
    return isinstance(body, list) and isinstance(step, int) and step < len(body)


def _shape_at(shape: Shape | None, steps: Steps) -> Shape | None:
    for step in steps:
        if shape is None:
            return None
        if isinstance(step, int) or step not in shape.fields:
            continue
        known = shape.fields[step]
        shape = (known.values or known).shape
    return shape


def _sentence(one: ErrorDetails) -> str:
    if one["type"] == "missing":
        return "This field is required."
    if one["type"] in ("bytes_type", "bytes_invalid_encoding"):
        return "This must be bytes in base64 (RFC 4648)."
    text = (
        one["msg"]
        .removeprefix("Value error, ")
        .removeprefix("Assertion failed, ")
        .removesuffix(".")
    )
    given = one.get("input")
    if isinstance(given, str | int | float | bool) or given is None:
        shown = (
            orjson.dumps(given if not isinstance(given, str) else given[:60]).decode()
            if _dumps(given)
            else "this value"
        )
        return f"{text} (what was sent: {shown})."
    return text + "."


def _dumps(value: Any) -> bool:
    return not isinstance(value, int) or -(2**63) <= value < 2**64


def _unstorable(document: Any) -> Fault:
    """The first value that MongoDB can't hold, and why."""
    for steps, value in _leaves(document, ()):
        where = pointer(steps)
        if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
            return Fault("MongoDB holds integers of 64 bits; this one is larger.", pointer=where)
        if isinstance(value, float) and math.isinf(value):
            return Fault("This number is larger than a double can be.", pointer=where)
        if isinstance(value, decimal.Decimal):
            try:
                bson.Decimal128(value)
            except decimal.DecimalException:
                return Fault(
                    "MongoDB holds decimal numbers of up to 34 digits and exponents to 6111.",
                    pointer=where,
                )
            continue
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            return Fault("This text has a lone surrogate, which UTF-8 can't hold.", pointer=where)
        if isinstance(value, _Name) and "\0" in value:
            return Fault("The name of a field can't have a NUL character.", pointer=where)
        try:
            bson.encode({"": value}, codec_options=CODEC)
        except (OverflowError, UnicodeEncodeError, bson.errors.BSONError):
            return Fault("MongoDB can't hold this value.", pointer=where)
    return Fault("MongoDB can't hold this document.", pointer="#")


class _Name(str):
    """A field's name, among the values that `_leaves` gives."""

    __slots__ = ()


def _leaves(value: Any, steps: Steps) -> Iterator[tuple[Steps, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield steps, _Name(key)
            yield from _leaves(inner, (*steps, key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*steps, number))
    else:
        yield steps, value
