"""A merge patch (RFC 7396) → what it changes in a stored document, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import bson
import pydantic

from app.errors import Fault
from app.resources.codec import CODEC
from app.resources.faults import Steps, faults_of, invalid_body, pointer
from app.resources.fields import Field, Shape
from app.resources.registry import Resource
from app.resources.storing import Document, encode, encoder_of, is_step
from app.resources.validation import (
    dump,
    refuse_other_id,
    require_object,
    run_model,
    unknown_faults,
    validator_of,
    view_of,
)


@dataclass(frozen=True)
class Change:
    """What a merge patch writes: dotted paths with their new values, and dotted paths that go."""

    set: Mapping[str, Any] = field(default_factory=dict)
    unset: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.set or self.unset)


def read_patch(resource: Resource, patch: Any, stored: Document) -> Change:
    """What a merge patch (RFC 7396) changes in `stored`; only what was sent is in it.

    The merged result is validated; faults at paths that were not sent don't count. Raises `Invalid`.
    """
    patch = require_object(patch)
    refuse_other_id(resource, patch, stored)
    faults = list(unknown_faults(resource.shape, patch, ()))
    if faults:
        raise invalid_body(faults)
    view = view_of(resource, stored)
    merged = _merge(view, patch)
    try:
        instance = run_model(resource, merged, strict_extra=False)
        encoded = encode(resource, instance)
    except pydantic.ValidationError as error:
        faults = [
            fault
            for steps, fault in faults_of(error, merged, resource.shape)
            if _was_sent(steps, patch)
        ]
        if faults:
            raise invalid_body(faults) from None
        encoded = _field_by_field(resource, resource.shape, view, merged, patch, ())
    sets: dict[str, Any] = {}
    unsets: list[str] = []
    _collect(resource.shape.fields, patch, stored, encoded, "", sets, unsets)
    sets.pop("_id", None)
    return Change(sets, tuple(unsets))


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
    encoder = encoder_of(resource)
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
                found = validator_of(shape.model, attributes[name]).validate_json(
                    dump(merged[name])
                )
                result[name] = encoder.encode(found)
            except pydantic.ValidationError as error:
                nested = Shape(shape.model, {name: known})
                pairs = faults_of(error, merged, nested, (name,))
                faults += [
                    Fault(fault.detail, pointer=pointer((*above, *steps))) for steps, fault in pairs
                ]
    if faults:
        raise invalid_body(faults)
    return result


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
            if all(is_step(key) for key in sent):
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


def _same(one: Any, other: Any) -> bool:
    try:
        return bson.encode({"": one}, codec_options=CODEC) == bson.encode(
            {"": other}, codec_options=CODEC
        )
    except (OverflowError, UnicodeEncodeError, bson.errors.BSONError):
        return False  # to_bson says where
