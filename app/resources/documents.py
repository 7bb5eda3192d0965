"""A body → the document that is stored: a new one, or one in place of another. Nothing here writes.

A body is JSON that `orjson` read; a stored document is a dict as `bson` decodes it.
"""

from typing import Any

import bson
import pydantic

from app.errors import Fault, Invalid
from app.resources.fields import Shape
from app.resources.keys import refusal
from app.resources.kinds import KINDS
from app.resources.registry import Resource
from app.resources.storing import Document, encode
from app.resources.validation import (
    dump,
    refuse_other_id,
    require_object,
    validate,
    validator_of,
    view_of,
)


def read_document(resource: Resource, body: Any) -> Document:
    """The document that a POST stores, `_id` first, defaults filled in; raises `Invalid` with a pointer per fault."""
    instance = validate(resource, require_object(body))
    document = encode(resource, instance)
    if document.get("_id") is None:
        if resource.key.kind != "objectid":
            raise Invalid(
                "The field _id is required.", Fault("This field is required.", pointer="#/_id")
            )
        document = {**document, "_id": bson.ObjectId()}
    reason = refusal(document["_id"])
    if reason is not None:
        raise Invalid(reason, Fault(reason, pointer="#/_id"))
    return {"_id": document.pop("_id"), **document}


def read_replacement(resource: Resource, body: Any, stored: Document) -> Document:
    """The document that a PUT stores in place of `stored`: excluded fields that were not sent stay.

    Raises `Invalid` as `read_document`, and where another `_id` is sent.
    """
    body = require_object(body)
    refuse_other_id(resource, body, stored)
    view = view_of(resource, stored)
    kept = [
        name
        for name, known in resource.shape.fields.items()
        if known.excluded and name in stored and name not in body
    ]
    whole = {**body, **{name: view[name] for name in kept}}
    whole["_id"] = (
        view["_id"] if _own_key(resource, view["_id"]) else KINDS[resource.key.kind].stand_in
    )
    document = encode(resource, validate(resource, whole))
    document.update({name: stored[name] for name in kept})
    _keep_hidden(resource.shape, document, stored, body)
    document.pop("_id", None)
    return {"_id": stored["_id"], **document}


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
        validator_of(resource.model, attribute).validate_json(dump(key))
    except pydantic.ValidationError:
        return False
    return True
