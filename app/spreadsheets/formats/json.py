"""JSON (RFC 8259): one array of the documents, as the API shows them."""

from typing import Any

from app.spreadsheets.columns import Column
from app.spreadsheets.documents import DocumentReader
from app.spreadsheets.format import Format, Options
from app.spreadsheets.lines import json_lines


class JsonEncoder:
    """Writes documents as the elements of one array, a line for each."""

    def __init__(
        self, columns: tuple[Column, ...] = (), options: Options | None = None, sheet_name: str = ""
    ) -> None:
        self.rows = 0

    def encode(self, batch: list[dict[str, Any]], raw: bytes | None = None) -> bytes:
        """The elements of presented documents."""
        if not batch:
            return b""
        before = b",\n" if self.rows else b"[\n"
        self.rows += len(batch)
        return before + json_lines(batch, raw)[:-1].replace(b"\n", b",\n")

    def finish(self) -> bytes:
        """The end of the array."""
        return b"\n]\n" if self.rows else b"[]\n"


FORMAT = Format(
    names=("json",),
    extension="json",
    media_type="application/json",
    tabular=False,
    compressible=True,
    takes=frozenset(),
    encoder=JsonEncoder,
    reader=DocumentReader,
    reads=frozenset({"columns"}),
    media_types=("application/json", "text/json"),
)
