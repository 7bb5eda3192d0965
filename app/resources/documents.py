"""A body → the document that is stored: a new one, or one in place of another. Nothing here writes.

A body is JSON that `orjson` read; a stored document is its BSON.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import bson
import pydantic

from app.errors import Fault, Invalid, RequestError
from app.resources.fields import Field, Shape
from app.resources.keeping import KEPT, Kept, is_kept, keep_stored, merge_kept
from app.resources.keys import MAX_KEY_LENGTH, is_too_long, refusal
from app.resources.kinds import KINDS
from app.resources.permissions import Permissions
from app.resources.quick import quick_reader
from app.resources.registry import Resource
from app.resources.storing import Document, check_size, encode, to_bson
from app.resources.validation import (
    dump,
    hide_excluded,
    refuse_other_id,
    require_object,
    validate,
    validator_of,
    view_of,
)


def read_document(
    resource: Resource, body: Any, permissions: Permissions | None = None
) -> Document:
    """The document that a POST stores, `_id` first, defaults filled in.

    Raises `Invalid` with a pointer per fault, and `Forbidden` for what `permissions` do not let be
    written.
    """
    if permissions is None:
        return _make_document(resource, body)
    permissions.refuse_uncovered(require_object(body))
    with permissions.concealing():
        return _make_document(resource, body)


def read_documents(
    resource: Resource, bodies: Sequence[Any], permissions: Permissions | None = None
) -> Iterator[Document | RequestError]:
    """For each body what `read_document` gives or raises; much quicker where all are right."""
    documents = _read_quickly(resource, bodies) if permissions is None else None
    for number, body in enumerate(bodies):
        try:
            if documents is None:
                yield read_document(resource, body, permissions)
            else:
                yield _with_key(resource, documents[number])
        except RequestError as error:
            yield error


def _make_document(resource: Resource, body: Any) -> Document:
    documents = _read_quickly(resource, [body])
    if documents is not None:
        return _with_key(resource, documents[0])
    return _with_key(resource, encode(resource, validate(resource, require_object(body))))


def _read_quickly(resource: Resource, bodies: Sequence[Any]) -> list[Document] | None:
    """The documents; None where one of the bodies must be looked at more closely."""
    quick = quick_reader(resource.model)
    if quick is None or not all(isinstance(body, dict) for body in bodies):
        return None
    try:
        for body in () if quick.is_flat else bodies:
            require_object(body)
    except Invalid:
        return None
    return quick.documents(bodies)


def _with_key(resource: Resource, document: Document) -> Document:
    """The document with its `_id` first, a new one where it has none."""
    key = document.pop("_id", None)
    if key is None:
        if resource.key.kind != "objectid":
            raise Invalid(
                "The field _id is required.", Fault("This field is required.", pointer="#/_id")
            )
        return {"_id": bson.ObjectId(), **document}
    reason = refusal(key)
    if reason is None and is_too_long(resource.key, key):
        reason = (
            f"An _id can't have more than {MAX_KEY_LENGTH:,} characters, percent-encoded: no path "
            "leads to such a document."
        )
    if reason is not None:
        raise Invalid(reason, Fault(reason, pointer="#/_id"))
    return {"_id": key, **document}


def read_replacement(
    resource: Resource, body: Any, raw: bytes, permissions: Permissions | None = None
) -> bytes:
    """The BSON of the document that a PUT stores in place of the stored one, given as its BSON.

    Excluded fields that were not sent stay as they are stored, whatever they are, and so does what
    `permissions` say can't be seen. Raises as `read_document`, and where another `_id` is sent.
    """
    body = require_object(body)
    view = view_of(resource, raw)
    refuse_other_id(body, view)
    if permissions is None:
        return _replace(resource, body, body, {}, view, raw)
    held, kept = permissions.hold(resource.shape, body, view, hide_excluded(resource, view))
    with permissions.concealing():
        return _replace(resource, body, held, kept, view, raw)


def _replace(
    resource: Resource, sent: Document, body: Document, kept: Kept, view: Document, raw: bytes
) -> bytes:
    """The same for a body that was `sent` so, and now has what `kept` says as well."""
    whole, hidden = _with_hidden(resource.shape, body, view, hide_excluded(resource, view))
    kept = merge_kept(kept, hidden)
    whole["_id"] = (
        view["_id"] if _is_own_key(resource, view["_id"]) else KINDS[resource.key.kind].stand_in
    )
    instance = validate(resource, whole, lambda steps: is_kept(steps, kept), sent=sent, stored=view)
    document = {"_id": None, **encode(resource, instance)}
    document["_id"] = None
    return check_size(keep_stored(to_bson(document), raw, {**kept, "_id": KEPT}))


def _with_hidden(
    shape: Shape, body: Document, view: Document, shown: Document
) -> tuple[Document, Kept]:
    """The body with the excluded fields that it lacks, as stored, and which these are."""
    whole, kept = dict(body), Kept()
    for name, known in shape.fields.items():
        if known.excluded:
            if name in view and name not in body:
                whole[name], kept[name] = view[name], KEPT
        elif name in view and name in body:
            value, inner = _hide_below(known, body[name], view[name], shown[name])
            if inner:
                whole[name], kept[name] = value, inner
    return whole, kept


def _hide_below(known: Field, sent: Any, view: Any, shown: Any) -> tuple[Any, Kept]:
    """The same inside a field: in a model, in the models of a map or of a list."""
    if known.many:
        return _hide_in_list(known, sent, view, shown)
    if not (isinstance(sent, dict) and isinstance(view, dict)):
        return sent, {}
    if known.shape is not None:
        return _with_hidden(known.shape, sent, view, shown)
    if known.values is None:
        return sent, {}
    whole, kept = dict(sent), Kept()
    for key in sent.keys() & view.keys():
        value, inner = _hide_below(known.values, sent[key], view[key], shown[key])
        if inner:
            whole[key], kept[key] = value, inner
    return whole, kept


def _hide_in_list(known: Field, sent: Any, view: Any, shown: Any) -> tuple[Any, Kept]:
    if known.shape is None or not (isinstance(sent, list) and isinstance(view, list)):
        return sent, {}
    whole, kept = list(sent), Kept()
    for number, (one, other) in enumerate(zip(sent, shown, strict=False)):
        if one == other:
            value, inner = _hide_below(known.single, one, view[number], other)
            if inner:
                whole[number], kept[str(number)] = value, inner
    return whole, kept


def _is_own_key(resource: Resource, key: Any) -> bool:
    """Whether a stored `_id`, as JSON, is of the model's type.

    Another program may have stored another.
    """
    attribute = next(
        name for name, info in resource.model.model_fields.items() if (info.alias or name) == "_id"
    )
    try:
        validator_of(resource.model, attribute).validate_json(dump(key))
    except pydantic.ValidationError:
        return False
    return True
