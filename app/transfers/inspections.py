"""What a file that came is, found by looking at its beginning: in a child, as imports are.

inspect_file ─▶ `Found` (plain data): how it is read, its columns, some of their values
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO, ClassVar, cast

import orjson

from app.errors import BadRequest, RequestError
from app.spreadsheets.format import Reader, ReadOptions
from app.spreadsheets.formats import FORMATS
from app.spreadsheets.kinds import show
from app.spreadsheets.reading import unpack
from app.transfers.child import Output

EXAMPLES = 3  # values of a column, or documents
MAX_EXAMPLE = 80  # characters of an example, and ten times as many of a document


@dataclass(frozen=True)
class FoundColumn:
    """A column: its title, empty where it has none, and some different values of it."""

    title: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """What a file is.

    `findings` say how it was read (`encoding`, `delimiter`, `sheet`), `sheets` what else could be
    chosen. `columns` is None for a file of documents, which has `documents` instead. `error` says
    why it can't be read in this way; in another it may be.
    """

    format: str
    findings: Mapping[str, str] = field(default_factory=dict)
    sheets: tuple[str, ...] = ()
    columns: tuple[FoundColumn, ...] | None = None
    documents: tuple[str, ...] = ()
    error: str | None = None

    @property
    def titles(self) -> list[str]:
        """The titles of the columns."""
        return [column.title for column in self.columns or ()]


def inspect_file(format: str, options: ReadOptions, file: BinaryIO) -> Found:
    """What a seekable file is, read as that format.

    Raises `RequestError` for a file that no other options can help: an empty, encrypted or broken
    one.
    """
    known = FORMATS[format]
    assert known.reader is not None
    with unpack(file, options.limits) as plain:
        if not plain.read(1):
            raise BadRequest("The file is empty: it has no bytes at all.")
        plain.seek(0)
        sheets: tuple[str, ...] = ()
        if known.list_sheets is not None:
            sheets = tuple(map(_clean, known.list_sheets(plain, options.limits)))
            plain.seek(0)
        try:
            reader = known.reader(plain, options)
        except RequestError as error:
            return Found(format, sheets=sheets, error=error.detail)
        return _look_into(reader, format, sheets)


def _look_into(reader: Reader, format: str, sheets: tuple[str, ...]) -> Found:
    rows: Sequence[Any] = ()
    problem: str | None = None
    try:
        first = next(iter(reader), None)
        rows = first.rows if first is not None else ()
    except RequestError as error:
        problem = error.detail
    findings = {name: _clean(text) for name, text in reader.findings.items()}
    if reader.header is None:
        documents = tuple(_show_document(row) for row in rows[:EXAMPLES])
        return Found(format, findings, sheets, documents=documents, error=problem)
    columns = tuple(
        FoundColumn(_clean(title), _choose_examples(rows, position))
        for position, title in enumerate(reader.header)
    )
    return Found(format, findings, sheets, columns, error=problem)


def _choose_examples(rows: Sequence[Any], position: int) -> tuple[str, ...]:
    """The first different values of a column."""
    cells = (row[position] for row in rows if position < len(row))
    texts = dict.fromkeys(_clean(show(cell))[:MAX_EXAMPLE] for cell in cells if cell != "")
    return tuple(islice(texts, EXAMPLES))


def _show_document(row: Any) -> str:
    text = orjson.dumps(row, default=str).decode() if isinstance(row, dict) else row.text
    return _clean(text)[: 10 * MAX_EXAMPLE]


def _clean(text: str) -> str:
    """The text without lone surrogates, which nothing can show or keep."""
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class Inspection:
    """The look at a file as the work of a child; `file` is the descriptor of what came."""

    format: str
    options: ReadOptions
    file: Any
    name: ClassVar[str] = "inspection"

    def run(self, output: Output) -> Found:
        """Looks."""
        with cast(BinaryIO, os.fdopen(self.file, "r+b")) as file:
            return inspect_file(self.format, self.options, file)

    def so_far(self, one: int, two: int, three: int) -> Found:
        """Nothing is known before the end."""
        return Found(self.format)
