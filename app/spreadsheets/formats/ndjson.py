"""NDJSON: one document on each line, as the API shows it."""

from typing import Any

from app.spreadsheets.columns import Column
from app.spreadsheets.documents import DocumentReader
from app.spreadsheets.format import Format, Options
from app.spreadsheets.lines import json_lines


class NdjsonEncoder:
    """Writes documents on lines of their own."""

    def __init__(
        self, columns: tuple[Column, ...] = (), options: Options | None = None, sheet_name: str = ""
    ) -> None:
        self.rows = 0

    def encode(self, batch: list[dict[str, Any]], raw: bytes | None = None) -> bytes:
        """The lines of presented documents."""
        self.rows += len(batch)
        return json_lines(batch, raw)

    def finish(self) -> bytes:
        """Nothing: each line is whole."""
        return b""


FORMAT = Format(
    names=("ndjson",),
    extension="ndjson",
    media_type="application/x-ndjson",
    tabular=False,
    compressible=True,
    takes=frozenset(),
    encoder=NdjsonEncoder,
    reader=DocumentReader,
    endings=("jsonl",),
    reads=frozenset({"columns"}),
    media_types=(
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
    ),
)
