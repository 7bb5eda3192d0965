"""An export's address as other programs take it, quoted as each of them has it.

Addresses are ASCII without quotes, for they are percent-encoded; so that they stay one word in any
of these languages.
"""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from app.pages.languages import N_

KEY = "YOUR_KEY"  # stands for a key, as `id.secret`


@dataclass(frozen=True)
class Copied:
    """A text to copy, and for which program; `note` is a message, empty for none."""

    title: str
    text: str
    note: str = ""


def list_copies(address: str, listed: str, *, has_accounts: bool) -> Iterator[Copied]:
    """What asks for a CSV at `address`, and for the JSON list at `listed`."""
    with_key = N_("Put a key of yours in the place of YOUR_KEY.") if has_accounts else ""
    yield Copied(N_("Address of the CSV"), address)
    yield Copied(N_("Address of the list as JSON"), listed)
    yield Copied("curl", _write_curl(address, has_accounts), with_key)
    yield Copied("pandas", _write_pandas(address, has_accounts), with_key)
    yield Copied("polars", _write_polars(address, has_accounts), with_key)
    note = N_("In Excel: Data, Get data, Blank query, Advanced editor; the access is anonymous.")
    yield Copied("Power Query", _write_query(address, has_accounts), note)
    if not has_accounts:  # else it takes a shared link
        yield Copied(N_("Google Sheets"), f'=IMPORTDATA("{address}")')


def _write_curl(address: str, has_accounts: bool) -> str:
    header = f"-H 'Authorization: Bearer {KEY}' " if has_accounts else ""
    return f"curl --fail --compressed {header}-OJ {shlex.quote(address)}"


def _write_pandas(address: str, has_accounts: bool) -> str:
    more = f', storage_options={{"Authorization": "Bearer {KEY}"}}' if has_accounts else ""
    return f"import pandas as pd\n\ndf = pd.read_csv({json.dumps(address)}{more})"


def _write_polars(address: str, has_accounts: bool) -> str:
    """Polars' own reader asks for the length of a file, which a stream doesn't have."""
    if not has_accounts:
        return (
            "from urllib.request import urlopen\n\nimport polars as pl\n\n"
            f"df = pl.read_csv(urlopen({json.dumps(address)}).read())"
        )
    headers = f'headers={{"Authorization": "Bearer {KEY}"}}'
    return (
        "from urllib.request import Request, urlopen\n\nimport polars as pl\n\n"
        f"request = Request({json.dumps(address)}, {headers})\n"
        "df = pl.read_csv(urlopen(request).read())"
    )


def _write_query(address: str, has_accounts: bool) -> str:
    more = f', [Headers = [Authorization = "Bearer {KEY}"]]' if has_accounts else ""
    return (
        "let\n"
        f'    File = Web.Contents("{address}"{more}),\n'
        '    Rows = Csv.Document(File, [Delimiter = ",", Encoding = 65001, '
        "QuoteStyle = QuoteStyle.Csv]),\n"
        "    Table = Table.PromoteHeaders(Rows, [PromoteAllScalars = true])\n"
        "in\n"
        "    Table"
    )
