"""Conditions that reach through links, resolved to conditions on the links themselves.

The `_id`s of the documents that match in the linked collection are asked for first, and stand in
the place of the condition, in each form in which a link to them may be stored. So the index of the
link serves it, and pages by key go on. In a session with a snapshot both questions see the same
moment.
"""

from collections.abc import Callable
from typing import Any

from pymongo.collection import Collection

from app.errors import Forbidden, Invalid, RequestError
from app.query.conditions import Filter, Join, Selection, join_filters
from app.resources.links import list_stored_forms
from app.store.commands import Words

# Linked documents of a condition: their `_id`s, each in two forms, are a part of the command.
MAX_LINKED = 50_000

Collections = Callable[[str], Collection[Any]]


def resolve_all(collections: Collections, selection: Selection, words: Words) -> Filter:
    """The filter that a selection stands for; raises as `resolve`."""
    joins = [resolve(collections, join, words) for join in selection.joins]
    return join_filters([selection.filter, *joins])


def resolve(collections: Collections, join: Join, words: Words) -> Filter:
    """The filter that a join stands for.

    Raises `Invalid`, or `Forbidden` for one of a rule, where too many linked documents match.
    """
    condition = resolve_all(collections, Selection(join.filter, join.joins), words)
    found = collections(join.collection).find(condition, {"_id": 1}, limit=MAX_LINKED + 1, **words)
    keys = [
        document["_id"] for document in found.batch_size(MAX_LINKED + 2)
    ]  # one reply, of 16 MiB
    if len(keys) > MAX_LINKED:
        raise _make_too_many(join)
    forms = [form for key in keys for form in list_stored_forms(join.collection, key)]
    return {join.path: {"$nin" if join.negated else "$in": forms}}


def _make_too_many(join: Join) -> RequestError:
    if join.of_rule:
        return Forbidden(
            f"A rule of your role asks for more than {MAX_LINKED:,} linked documents; an "
            "administrator can change it."
        )
    return Invalid(
        f"More than {MAX_LINKED:,} documents of {join.collection!r} match what is asked behind "
        f"{join.path!r}; ask for fewer of them, or filter {join.collection!r} itself."
    )
