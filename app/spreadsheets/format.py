"""What a format of `formats/` is: its names, the options that it takes, and its encoder of batches → bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from app.spreadsheets.columns import Column


@dataclass(frozen=True)
class Options:
    """How a file is to be written: plain data, the words of the contract and its defaults."""

    bom: bool = False
    delimiter: str = ","
    formulas: str = "escape"
    timezone: str = "UTC"


class Encoder(Protocol):
    """Writes one file, batch by batch.

    A batch is column-major values (a list for each column) for a tabular format, else a list of presented documents.
    """

    @property
    def rows(self) -> int:
        """Data rows so far."""

    def encode(self, batch: list[Any], raw: bytes | None = None) -> bytes:
        """What of the file is ready with this batch; `raw` is the BSON of its documents, where at hand."""

    def finish(self) -> bytes:
        """The rest of the file; a whole one also where there was no batch."""


@dataclass(frozen=True)
class Format:
    """One format: a module of `formats/` that has one as its `FORMAT` is found and offered.

    `takes` names the parameters of an export that are this format's own: `bom`, `delimiter`, `formulas`, `unwind`,
    `timezone`, and `titles` (in `columns`). `encoder` takes the columns, the options and the sheet's name.
    """

    names: tuple[str, ...]
    extension: str
    media_type: str
    tabular: bool
    compressible: bool
    takes: frozenset[str]
    encoder: Callable[[tuple[Column, ...], Options, str], Encoder]
