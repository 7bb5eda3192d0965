"""Documents → whole files, and their cells as other libraries read them."""

import csv
import io
from typing import Any

import openpyxl
import pydantic
import python_calamine
from openpyxl.utils.escape import unescape

from app.resources.fields import shape_of
from app.spreadsheets.columns import Table, parse_columns
from app.spreadsheets.format import Encoder, Options
from app.spreadsheets.formats import FORMATS

Model = type[pydantic.BaseModel]
Documents = list[dict[str, Any]]


def whole(encoder: Encoder, *batches: list[Any]) -> bytes:
    return b"".join([*map(encoder.encode, batches), encoder.finish()])


def export(
    format: str,
    model: Model,
    documents: Documents,
    columns: str | None = None,
    unwind: str | None = None,
    **options: Any,
) -> bytes:
    chosen = parse_columns(shape_of(model), None, columns, unwind, titles_allowed=True)
    encoder = FORMATS[format].encoder(chosen, Options(**options), "things")
    if not FORMATS[format].tabular:
        return whole(encoder, documents)
    table = Table([column.steps for column in chosen], unwind)
    parts = (
        [table.columns_of(documents)]
        if unwind is None
        else [part for _, part in table.slices_of(documents, 3)]
    )
    return whole(encoder, *parts)


def csv_rows(data: bytes, delimiter: str = ",") -> list[list[str]]:
    return list(
        csv.reader(
            io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=delimiter, strict=True
        )
    )


def openpyxl_rows(data: bytes, sheet: int = 0) -> list[list[Any]]:
    book = openpyxl.load_workbook(io.BytesIO(data))
    rows = book.worksheets[sheet].iter_rows(values_only=True)
    return [[unescape(value) if isinstance(value, str) else value for value in row] for row in rows]


def calamine_rows(data: bytes, sheet: int = 0) -> list[list[Any]]:
    return (
        python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        .get_sheet_by_index(sheet)
        .to_python()
    )
