"""Which row of a file is at which place among all rows."""

from app.spreadsheets.ingest import Record


class RowNumbers:
    """The number of each row by its place: most rows follow each other, so few are kept."""

    def __init__(self) -> None:
        self._begins: list[tuple[int, int, str]] = []  # place, number, sheet, of each run

    def add(self, place: int, record: Record) -> None:
        """The row at the next place."""
        if self._begins:
            begin, number, sheet = self._begins[-1]
            if sheet == record.sheet and record.number - number == place - begin:
                return
        self._begins.append((place, record.number, record.sheet))

    def name(self, place: int) -> str:
        """`Row 17`, with the sheet where there are several."""
        low, high = 0, len(self._begins)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._begins[middle][0] <= place else (low, middle)
        begin, number, sheet = self._begins[low]
        row = f"Row {number + place - begin}"
        return f"{row} of the sheet {sheet!r}" if sheet else row
