"""Many documents by one request: an array that is stored whole, writes of all that match."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.api.journal import JournalEntry
from app.errors import Conflict, Fault, Forbidden, Invalid, RequestError, Unavailable
from app.query.compile import Affected, Query
from app.resources.faults import make_invalid_body
from app.resources.permissions import make_unwritable
from app.resources.storing import Document, to_bson
from app.resources.validation import find_unknown_fields, require_object
from app.store.reach import Reach
from app.store.repository import Affecting, Repository

MAX_DOCUMENTS = 1_000  # documents of one array
BATCH = 200  # documents that are written by one call
MAX_ERRORS = 100  # errors that an answer lists

Write = Callable[[Query, Sequence[Any]], Awaitable[Affecting]]
Begin = Callable[[], JournalEntry]


def read_documents(reach: Reach, bodies: Sequence[Any]) -> list[Document]:
    """The documents that an array stores.

    Raises `Invalid` with pointers such as `#/3/email`, or `Forbidden` where some fields may not be
    written.
    """
    if not 1 <= len(bodies) <= MAX_DOCUMENTS:
        detail = (
            f"The array must have from 1 to {MAX_DOCUMENTS:,} documents; it has {len(bodies):,}."
        )
        raise Invalid(detail, Fault(detail, pointer="#"))
    documents: list[Document] = []
    refused: list[Fault] = []
    faults: list[Fault] = []
    for number, body in enumerate(bodies):
        try:
            document = reach.read_document(body)
            to_bson(document)
            documents.append(document)
        except Forbidden as error:
            refused += _move_into_array(error, number)
        except Invalid as error:
            faults += _move_into_array(error, number)
    if refused:
        raise make_unwritable(refused)
    if faults:
        raise make_invalid_body(faults)
    return documents


def _move_into_array(error: RequestError, number: int) -> list[Fault]:
    """The faults of one document, with pointers into the array."""
    return [
        replace(fault, pointer=f"#/{number}{(fault.pointer or '#')[1:]}") for fault in error.faults
    ]


def read_common_patch(reach: Reach, body: Any) -> Document:
    """A merge patch that is for many; raises for what is wrong with it for all.

    `Invalid`, or `Forbidden` with a pointer to each field that may not be written.
    """
    patch = require_object(body)
    if "_id" in patch:
        detail = "A document's _id can't change, so a patch of many can't have one."
        raise Invalid(detail, Fault(detail, pointer="#/_id"))
    if reach.to_update is not None:
        reach.to_update.refuse_uncovered(patch)
    faults = list(find_unknown_fields(reach.view.resource.shape, patch, ()))
    if faults:
        raise make_invalid_body(faults)
    return patch


async def affect(
    repository: Repository, affected: Affected, write: Write, begin: Begin
) -> dict[str, Any]:
    """Writes all documents that match: how many these were, how many changed, which failed and why.

    `begin` begins the entry of a journal, once it is known that something is to be written. Raises
    `Conflict` where they are more than may be written.
    """
    await repository.refuse_writes()
    query, keys = await repository.matching(affected.query, affected.most)
    if len(keys) > affected.most:
        raise await _make_too_many(repository, query, affected.most)
    outcome: dict[str, Any] = {"matched": len(keys), "changed": 0, "failed": 0, "errors": []}
    if affected.is_dry:
        return outcome
    entry, state, began = begin(), "stopped", time.monotonic()
    try:
        for first in range(0, len(keys), BATCH):
            changed, errors = await write(query, keys[first : first + BATCH])
            _add(outcome, changed, errors)
        state = "written"
    except Unavailable as error:
        raise _make_stopped(error, outcome) from error
    finally:
        entry.add({"state": state, **_count(outcome), "seconds": time.monotonic() - began})
    return outcome


def _add(outcome: dict[str, Any], changed: int, errors: list[tuple[Any, RequestError]]) -> None:
    outcome["changed"] += changed
    outcome["failed"] += len(errors)
    for key, error in errors:
        if len(outcome["errors"]) < MAX_ERRORS:
            outcome["errors"].append({"_id": key, "detail": error.detail})


async def _make_too_many(repository: Repository, query: Query, most: int) -> Conflict:
    try:
        shown = f"{await repository.count(query):,}"
    except Unavailable:
        shown = f"More than {most:,}"
    detail = f"{shown} documents match, more than max_affected={most} lets be written."
    return Conflict(detail, Fault(detail, parameter="max_affected"))


def _make_stopped(error: Unavailable, outcome: dict[str, Any]) -> Unavailable:
    stopped = Unavailable(
        f"{error.detail} {outcome['changed']:,} documents were written for certain; the same "
        "request again does the rest."
    )
    stopped.members = _count(outcome)
    return stopped


def _count(outcome: Mapping[str, Any]) -> dict[str, int]:
    return {name: value for name, value in outcome.items() if name != "errors"}
