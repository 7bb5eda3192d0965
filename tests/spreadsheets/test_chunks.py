import gzip
import hashlib
import json
import pickle
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
import pytest

import app.spreadsheets.formats as formats
from app.resources.codec import CODEC
from app.spreadsheets.chunks import CHUNK, Batch, Tally, chunks
from app.spreadsheets.format import Options
from app.spreadsheets.formats import FORMATS
from app.spreadsheets.formats.json import JsonEncoder
from app.spreadsheets.formats.ndjson import NdjsonEncoder

DOCUMENTS: list[dict[str, Any]] = [
    {"a": "王"},
    {"a": None, "b": [1.5, "x\ny"]},
    {"a": float("-inf"), "n": None},
]
GOLDEN_NDJSON = '{"a":"王"}\n{"a":null,"b":[1.5,"x\\ny"]}\n{"a":"-Infinity","n":null}\n'.encode()
GOLDEN_JSON = (
    '[\n{"a":"王"},\n{"a":null,"b":[1.5,"x\\ny"]},\n{"a":"-Infinity","n":null}\n]\n'.encode()
)


@pytest.mark.parametrize("raw", [None, b"".join(map(bson.encode, DOCUMENTS))])
def test_golden_documents(raw: bytes | None) -> None:
    ndjson, array = NdjsonEncoder(), JsonEncoder()
    assert ndjson.encode(DOCUMENTS, raw) + ndjson.finish() == GOLDEN_NDJSON
    assert array.encode(DOCUMENTS, raw) + array.finish() == GOLDEN_JSON
    assert ndjson.rows == array.rows == 3


def test_documents_straight_from_bson() -> None:
    raw = b"".join(map(bson.encode, DOCUMENTS))
    assert NdjsonEncoder().encode(bson.decode_all(raw, CODEC), raw) == GOLDEN_NDJSON


def test_an_array_goes_on_over_batches_and_may_be_empty() -> None:
    encoder = JsonEncoder()
    parts = [encoder.encode(batch) for batch in ([], [{"a": 1}], [], [{"a": 2}, {"a": 3}])]
    assert json.loads(b"".join([*parts, encoder.finish()])) == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert JsonEncoder().finish() == b"[]\n"


def big(letter: str) -> Batch:
    return Batch(1, [{"a": letter * CHUNK}])


def test_chunks_are_counted_and_digested() -> None:
    tally = Tally()
    data = b"".join(
        chunks([Batch(2, DOCUMENTS[:2]), Batch(1, DOCUMENTS[2:])], NdjsonEncoder(), tally)
    )
    assert data == GOLDEN_NDJSON
    assert (tally.documents, tally.rows, tally.size) == (3, 3, len(data))
    assert tally.sha256 == hashlib.sha256(data).hexdigest()


def test_the_first_chunk_leaves_at_once_and_none_waits_for_more_than_one_batch() -> None:
    seen: list[int] = []

    def batches() -> Iterator[Batch]:
        for number in range(6):
            seen.append(number)
            yield Batch(1, [{"a": number}])

    arrived = [
        (seen[-1], chunk.count(b"\n")) for chunk in chunks(batches(), NdjsonEncoder(), Tally())
    ]
    assert arrived == [(0, 1), (2, 2), (4, 2), (5, 1)]


def test_large_chunks_do_not_wait() -> None:
    assert len(list(chunks([big("x"), big("y"), big("z")], NdjsonEncoder(), Tally()))) == 4


def test_gzip_is_readable_at_once_and_changes_neither_size_nor_digest() -> None:
    tally = Tally()
    packed = list(chunks([Batch(3, DOCUMENTS)], NdjsonEncoder(), tally, gzip=True))
    assert gzip.decompress(b"".join(packed)) == GOLDEN_NDJSON
    assert (tally.size, tally.sha256) == (
        len(GOLDEN_NDJSON),
        hashlib.sha256(GOLDEN_NDJSON).hexdigest(),
    )
    assert zlib.decompressobj(31).decompress(packed[0]) == GOLDEN_NDJSON


def test_the_tally_is_whole_before_the_last_chunk_is_taken() -> None:
    tally = Tally()
    stream = chunks([Batch(3, DOCUMENTS)], JsonEncoder(), tally)
    first = next(stream)
    assert tally.size == len(first)
    last = next(stream)
    assert tally.size == len(first) + len(last)


def test_formats_and_options_are_plain_data() -> None:
    assert sorted(FORMATS) == ["csv", "excel", "json", "ndjson", "xlsx"]
    assert FORMATS["excel"] is FORMATS["xlsx"]
    assert pickle.loads(pickle.dumps(Options(bom=True))) == Options(bom=True)


def test_a_format_is_added_by_adding_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(formats.__file__).with_name("ndjson.py").read_text()
    (tmp_path / "lines.py").write_text(source.replace('("ndjson",)', '("lines",)'))
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    monkeypatch.setitem(sys.modules, "app.spreadsheets.formats.lines", None)
    monkeypatch.delitem(sys.modules, "app.spreadsheets.formats.lines")
    assert "lines" in formats._discover()
