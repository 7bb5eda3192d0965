"""What a format of `formats/` is: its names, the options that it takes, its encoder and its reader.

batches → encoder → bytes, and walked backwards: a file → reader → `Rows`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from app.spreadsheets.columns import Column

MIB = 1024 * 1024
UNPACKED = 8  # times as many bytes as it comes with, that a file may have once it is unpacked


@dataclass(frozen=True)
class Options:
    """How a file is to be written: plain data, the words of the contract and its defaults."""

    bom: bool = False
    delimiter: str = ","
    formulas: str = "escape"
    timezone: str = "UTC"


class Encoder(Protocol):
    """Writes one file, batch by batch.

    A batch is column-major values (a list for each column) for a tabular format, else a list of
    presented documents.
    """

    @property
    def rows(self) -> int:
        """Data rows so far."""

    def encode(self, batch: list[Any], raw: bytes | None = None) -> bytes:
        """What of the file is ready with this batch.

        `raw` is the BSON of its documents, if known.
        """

    def finish(self) -> bytes:
        """The rest of the file; a whole one also where there was no batch."""


@dataclass(frozen=True)
class Limits:
    """What a file may cost its reader; beyond it the reader raises `TooLarge` or `BadRequest`."""

    rows: int = 2_000_000  # data rows, or documents
    size: int = 8 * 1024 * MIB  # bytes of the file once it is unpacked (gzip, or a workbook's ZIP)
    ratio: int = 400  # bytes that one packed byte may become, in a part of more than `small` bytes
    small: int = 32 * MIB
    cell: int = 16 * MIB  # characters of one cell
    record: int = 64 * MIB  # bytes of one document in JSON
    strings: int = 4 * MIB  # bytes of a workbook's shared strings in memory; the rest is on disk

    @classmethod
    def of(cls, rows: int, size: int) -> "Limits":
        """Those of an import of so many rows, from a file of so many bytes at most."""
        return cls(rows=rows, size=UNPACKED * size)


@dataclass(frozen=True)
class ReadOptions:
    """How a file is to be read; what is None is found by looking at the file.

    `timezone` is that of dates and times without an offset; the reader leaves it to `ingest`.
    """

    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None
    formulas: str = "escape"
    timezone: str = "UTC"
    limits: Limits = Limits()


@dataclass(frozen=True)
class Rows:
    """Some consecutive rows of a file, and the number of each as a spreadsheet shows it.

    A row is a list of cells (of a tabular format) or a document (a dict, or `Unreadable`). The
    header is row 1, a record counts once however many lines it has; of NDJSON it is the line, of
    a JSON array the element, from 1. `sheet` is the name where the table has several, else "".
    A row of cells may be shorter than the header; one that is longer has something in the cells
    that have no title. Rows without anything in them are not there.
    """

    numbers: list[int]
    rows: list[Any]
    sheet: str = ""


@dataclass(frozen=True)
class Unreadable:
    """Stands for a document that can't be read: the text as it came, and why in a sentence.

    `path` is of the field that is wrong, if it is one.
    """

    text: str
    detail: str
    path: str = ""


class Reader(Protocol):
    """Reads one file in constant memory; iterating gives its `Rows`, once.

    Making one reads the header, and raises `BadRequest` for a file that can't be read, `TooLarge`
    past a limit, `Invalid` for a `sheet` that isn't there. Iterating raises the first two.
    """

    @property
    def header(self) -> list[str] | None:
        """The titles of a tabular format; None where the rows are documents."""

    @property
    def typed(self) -> bool:
        """Whether cells have types: a text `5` is another cell than a number.

        Else all are texts.
        """

    @property
    def findings(self) -> Mapping[str, str]:
        """How the file is read, found or asked: its `encoding`, `delimiter`, `sheet`."""

    @property
    def cut(self) -> frozenset[bytes]:
        """The SHA-256 digests of texts that the export has cut, as its sheet `notes` lists them."""

    def __iter__(self) -> Iterator[Rows]:
        """The rows after the header."""


@dataclass(frozen=True)
class Format:
    """One format: a module of `formats/` that has one as its `FORMAT` is found and offered.

    `takes` names the parameters of an export that are this format's own: `bom`, `delimiter`,
    `formulas`, `unwind`, `timezone`, and `titles` (in `columns`). `encoder` takes the columns, the
    options and the sheet's name; `reader` a seekable binary file at its start, and the options.
    A format without a reader can't be imported. `list_sheets` names the sheets of a file that may
    have several, without the hidden ones.
    """

    names: tuple[str, ...]
    extension: str
    media_type: str
    tabular: bool
    compressible: bool
    takes: frozenset[str]
    encoder: Callable[[tuple[Column, ...], Options, str], Encoder]
    reader: Callable[[BinaryIO, ReadOptions], Reader] | None = None
    endings: tuple[str, ...] = ()  # of file names, besides `extension`
    media_types: tuple[str, ...] = ()  # that mean this format too, in lower case
    reads: frozenset[str] = frozenset()  # the parameters of an import that are this format's own
    list_sheets: Callable[[BinaryIO, Limits], list[str]] | None = None
