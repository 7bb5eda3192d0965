"""A reply's documents, cut out of its bytes."""

from typing import Any

import bson
import pytest

from app.store.commands import _cut

DOCUMENTS = [{"_id": number, "text": "文" * number} for number in range(3)]
BATCH = b"".join(map(bson.encode, DOCUMENTS))


@pytest.mark.parametrize(
    "cursor",
    [
        {"firstBatch": DOCUMENTS, "id": bson.Int64(0), "ns": "a.b"},
        {"nextBatch": DOCUMENTS, "id": bson.Int64(-7), "ns": "a.b"},
        {"id": bson.Int64(2**62), "ns": "a.b", "firstBatch": DOCUMENTS},
        {"firstBatch": DOCUMENTS, "ns": "a.b", "id": bson.Int64(5)},
        {"partialResultsReturned": True, "nextBatch": DOCUMENTS, "id": bson.Int64(5)},
        {"firstBatch": [], "id": bson.Int64(0), "ns": "a.b"},
    ],
)
def test_documents_and_cursor_are_found_in_any_order(cursor: dict[str, Any]) -> None:
    reply = _cut(bson.encode(cursor))
    has_documents = bool(cursor.get("firstBatch") or cursor.get("nextBatch"))
    assert reply.raw == (BATCH if has_documents else b"")
    assert reply.cursor == cursor["id"]
