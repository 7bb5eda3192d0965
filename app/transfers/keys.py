"""The key of an import: the field, or fields, by which a row finds the stored document it is about.

It is `_id`, or what a unique index is of: two documents never have the same.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.errors import Fault, Invalid
from app.resources.fields import Field
from app.resources.keys import read_key
from app.resources.links import identity
from app.resources.registry import Resource
from app.resources.storing import Document
from app.spreadsheets.ingest import Record
from app.store.uniqueness import values_at

ID = ("_id",)
_CLAUSES = 200  # of one question by several fields


@dataclass(frozen=True)
class Key:
    """The fields of a key, by path."""

    paths: tuple[str, ...]
    fields: tuple[Field, ...]

    def read_sent(self, record: Record) -> tuple[Any, ...] | None:
        """What a row has as its key, as JSON; None where a part of it is empty."""
        parts = tuple(_read_part(record, path) for path in self.paths)
        return None if any(part in (None, "") for part in parts) else parts

    def readings(self, parts: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """The stored keys that these may stand for, the likeliest first.

        Raises `ValueError` with a sentence where there is none.
        """
        if len(parts) == 1:
            return [(value,) for value in _readings(self.paths[0], self.fields[0], parts[0])]
        first = zip(self.paths, self.fields, parts, strict=True)
        return [tuple(next(iter(_readings(*part))) for part in first)]

    def read_stored(self, document: Document) -> tuple[Any, ...]:
        """The key that a document has, as it is stored."""
        return tuple(next(values_at(document, path.split(".")), None) for path in self.paths)

    def identify(self, document: Document) -> Any:
        """What identifies a stored document by this key."""
        return identities(self.read_stored(document))

    def conditions(self, keys: Iterable[tuple[Any, ...]]) -> Iterator[Document]:
        """The filters that find the documents with these keys."""
        return match_values(self.paths, keys)


def match_values(paths: Sequence[str], entries: Iterable[tuple[Any, ...]]) -> Iterator[Document]:
    """The filters that find the documents with these values at the paths; none for no values."""
    listed = list(entries)
    if len(paths) == 1:
        if listed:
            yield {paths[0]: {"$in": [value for (value,) in listed]}}
        return
    for begin in range(0, len(listed), _CLAUSES):
        part = listed[begin : begin + _CLAUSES]
        yield {"$or": [dict(zip(paths, values, strict=True)) for values in part]}


def identities(values: Iterable[Any]) -> tuple[Any, ...]:
    """Equal for values that MongoDB holds to be the same, and fit for a dict."""
    return tuple(map(identity, values))


def write_text(value: Any) -> str:
    """A value of JSON as the text that a cell would have for it."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def possible_keys(resource: Resource) -> list[tuple[str, ...]]:
    """What may be a key: `_id`, then the unique indexes that hold every document's one value."""
    found = [ID]
    for index in resource.indexes:
        document = index.document
        paths = tuple(document["key"])
        is_whole = not document.get("partialFilterExpression") and not document.get("collation")
        if document.get("unique") and is_whole and all(map(resource.shape.find, paths)):
            single = (resource.shape.find(path) for path in paths)
            if not any(one is None or one.through_list or one.field.many for one in single):
                found.append(paths)
    return list(dict.fromkeys(found))


def read_key_parameter(resource: Resource, text: str | None) -> tuple[str, ...] | None:
    """The parameter `key`, None where it is absent; raises `Invalid` for what is no key."""
    if text is None:
        return None
    asked = tuple(part.strip() for part in text.split(","))
    possible = possible_keys(resource)
    for paths in possible:
        if sorted(paths) == sorted(asked):
            return paths
    named = ", ".join(",".join(paths) for paths in possible)
    raise _make_invalid(f"key: {text!r} is neither _id nor of a unique index; it may be {named}.")


def choose_key(resource: Resource, asked: tuple[str, ...] | None, has_id: bool) -> Key:
    """The key of an import: the asked one, else `_id` where it is there, else the only other."""
    paths = asked
    if paths is None:
        possible = possible_keys(resource)
        if has_id or len(possible) == 1:
            paths = ID
        elif len(possible) == 2:
            paths = possible[1]
        else:
            named = ", ".join(",".join(one) for one in possible)
            raise _make_invalid(f"key: say by which field documents are found: {named}.")
    fields = []
    for path in paths:
        found = resource.shape.find(path)
        assert found is not None
        fields.append(found.field)
    return Key(paths, tuple(fields))


def _make_invalid(detail: str) -> Invalid:
    return Invalid(detail, Fault(detail, parameter="key"))


def _read_part(record: Record, path: str) -> Any:
    if record.document is None:
        return record.values.get(path)
    return next(values_at(record.document, path.split(".")), None)


def _readings(path: str, field: Field, value: Any) -> list[Any]:
    text = write_text(value)
    if path != "_id":
        return field.readings(text)
    keys, error = read_key(field, text)
    if error is not None:
        raise error
    return list(keys)
