"""The first row of a table: its titles, checked alike for every tabular format."""

from collections.abc import Sequence

from app.errors import BadRequest
from app.spreadsheets.workbook import COLUMNS, letters


def read_header(titles: Sequence[str]) -> list[str]:
    """The titles without empty ones at the end.

    Raises `BadRequest` for none, for doubled ones and for more than a sheet has.
    """
    kept = [title.strip() for title in titles]
    while kept and not kept[-1]:
        kept.pop()
    if not kept:
        raise BadRequest(
            "The first row is empty: it must have the columns' titles, such as name,email."
        )
    if len(kept) > COLUMNS:
        raise BadRequest(
            f"The first row has {len(kept):,} titles; an import takes {COLUMNS:,} at most."
        )
    places: dict[str, int] = {}
    for position, title in enumerate(kept):
        if title and places.setdefault(title, position) != position:
            first, second = letters(places[title]), letters(position)
            raise BadRequest(
                f"The columns {first} and {second} have the same title {title!r}; "
                "each title may be there once."
            )
    return kept


def explain_too_many_rows(limit: int) -> str:
    """Why a file of more rows is refused."""
    return f"The file has more than {limit:,} rows, the most that one import takes; split it."
