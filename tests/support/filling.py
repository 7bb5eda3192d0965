"""Collections filled past the API: with documents, or with the bytes of some."""

import random
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import bson
from bson.codec_options import DatetimeConversion
from bson.raw_bson import RawBSONDocument

BATCH = 1_000  # documents
AS_BYTES: Any = bson.CodecOptions(
    document_class=RawBSONDocument,
    unicode_decode_error_handler="replace",  # the driver looks at `_id`, and so at all names
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)


def fill(collection: Any, documents: Iterable[dict[str, Any]]) -> None:
    """The collection holds these documents, and no others."""
    collection.delete_many({})
    remaining = iter(documents)
    while batch := list(islice(remaining, BATCH)):
        collection.insert_many(batch)


def insert_raw(collection: Any, *documents: bytes) -> None:
    """Stores BSON byte for byte: texts that are no UTF-8, names that come twice, old types.

    Each must have an `_id`: the driver can't add one.
    """
    for document in documents:
        collection.insert_one(RawBSONDocument(document, AS_BYTES))


def read_raw(collection: Any, condition: dict[str, Any]) -> bytes:
    """The bytes of the one document that meets a condition, as MongoDB holds them."""
    (found,) = collection.with_options(AS_BYTES).find(condition)
    return bytes(found.raw)


def large_users(count: int = 30_000) -> Iterator[dict[str, Any]]:
    """Users of 2 kB that can't be deflated much: their files don't fit into pipes and sockets."""
    source = random.Random(1)
    for number in range(count):
        name = source.randbytes(900).hex()
        yield {"_id": number, "name": name, "email": f"{number}@x.com", "age": number % 90}
