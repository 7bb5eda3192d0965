"""What is said of a file by its first documents."""

import csv
import io

import pytest

from app.spreadsheets.columns import Column
from app.spreadsheets.format import Options
from app.spreadsheets.formats.csv import CsvEncoder
from app.transfers.samples import Sample, _list_cells

TEXTS = [
    "",
    "a",
    'say "x"',
    '""',
    ",",
    "a\r\nb",
    "\n",
    '"',
    '",\r\n"',
    "长",
    "=1",
    "'",
    "\ufeff",
    " ",
]


def encode(texts: list[str], *, bom: bool) -> bytes:
    columns = tuple(Column(name, name, "text", False, None, (name,)) for name in ("a", 'b,"c"'))
    encoder = CsvEncoder(columns, Options(bom=bom))
    return encoder.encode([texts, texts[::-1]]) + encoder.finish()


@pytest.mark.parametrize("bom", [False, True])
def test_the_cells_are_those_that_a_reader_of_csv_finds(bom: bool) -> None:
    file = encode(TEXTS, bom=bom)
    rows = csv.reader(io.StringIO(file.decode("utf-8-sig"), newline=""))
    assert list(_list_cells(file)) == [cell for row in rows for cell in row]


def test_estimates_grow_with_the_documents() -> None:
    sample = Sample(100, 150, 1_000, 9.5)
    assert sample.estimate_size(100) == 1_000
    assert sample.estimate_size(1_100) == 1_000 + 9.5 * 1_000
    assert sample.estimate_rows(1_000) == 1_500
    assert sample.estimate_seconds(1_000_000) == 20
    assert Sample(0, 0, 20, 0).estimate_rows(0) == 0
