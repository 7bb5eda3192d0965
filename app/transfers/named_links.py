"""Links named by a unique field of the linked document → its `_id`, asked for once a batch."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from app.resources.links import identity
from app.resources.registry import Resource
from app.resources.rendering import to_json
from app.resources.views import Views
from app.spreadsheets.ingest import Behind, CellFault, Record, Target
from app.spreadsheets.kinds import SHOWN
from app.store.client import Connection
from app.store.linked import join_filters
from app.store.reach import Reach
from app.store.uniqueness import values_at
from app.transfers.keys import possible_keys

Known = dict[Any, Any]  # by the identity of what a cell may mean the `_id` as JSON


def list_behind_links(views: Views) -> Behind:
    """What links lead to: the shapes that may be read, the unique fields that name one document."""
    shapes = views.shapes
    unique: dict[str, tuple[str, ...]] = {}
    for name in shapes:
        keys = possible_keys(views[name].resource)[1:]
        unique[name] = tuple(paths[0] for paths in keys if len(paths) == 1)
    return Behind(shapes, unique)


def find_linked(
    connection: Connection,
    reach: Reach,
    resource: Resource,
    targets: Sequence[Target],
    records: Sequence[Record],
) -> None:
    """Puts the `_id`s of linked documents in the place of what names them; a fault for no such."""
    for target in targets:
        if not target.through:
            continue
        link = resource.shape.find(target.path, numbered=True)
        assert link is not None
        assert link.field.target is not None
        collection = link.field.target.collection
        known = _find_known(connection, reach, collection, target, records)
        for record in records:
            if target.path in record.values:
                _replace(record, target, collection, known)


def _find_known(
    connection: Connection,
    reach: Reach,
    collection: str,
    target: Target,
    records: Iterable[Record],
) -> Known:
    wanted = {
        identity(reading): reading
        for record in records
        for value in _make_list(record.values.get(target.path))
        for reading in _readings(target, value)
    }
    if not wanted:
        return {}
    named = {target.through: {"$in": list(wanted.values())}}
    condition = join_filters([named, reach.filter("read", collection)])
    found = connection.collection(collection).find(
        condition, {target.through: 1}, **connection.time_limit
    )
    return {
        identity(value): orjson.loads(to_json(document["_id"]))
        for document in found
        for value in values_at(document, target.through.split("."))
    }


def _replace(record: Record, target: Target, collection: str, known: Known) -> None:
    value = record.values.pop(target.path)
    keys = []
    for one in _make_list(value):
        readings = [identity(reading) for reading in _readings(target, one)]
        key = next((known[reading] for reading in readings if reading in known), None)
        if key is None:
            text = _text(one)[:SHOWN]
            detail = (
                f"{target.title}: There is no document in {collection!r} with the {target.through} "
                f"{text!r} to link to."
            )
            record.faults.append(CellFault(target.title, text, detail, target.position))
            return
        keys.append(key)
    record.values[target.path] = keys if isinstance(value, list) else keys[0]


def _make_list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _readings(target: Target, value: Any) -> Iterator[Any]:
    try:
        yield from target.field.single.readings(_text(value))
    except ValueError:
        return


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
