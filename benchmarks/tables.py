"""How measurements are printed: a table in Markdown, and the machine that it is from."""

import datetime
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from unicodedata import east_asian_width


def heading(title: str) -> None:
    """The date, the machine and how busy it is, and what follows."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    day = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    print(
        f"{title}\n{day}, {_processor()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, load {load}\n"
    )


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under titles, the first column to the left, the others to the right."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(titles, *texts, strict=True)]
    _line(titles, widths)
    print(
        "|"
        + "|".join("-" * (width + 1) + ("-" if at == 0 else ":") for at, width in enumerate(widths))
        + "|"
    )
    for row in texts:
        _line(row, widths)
    print(flush=True)


def number(value: float | None) -> str:
    """Thousands with commas, two digits after the point where they say something."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}" if value >= 10 else f"{value:.2f}"


def ratio(value: float | None, other: float | None) -> str:
    """How many times as much the first is."""
    return f"{value / other:.2f}" if value and other else "–"


def _line(cells: Sequence[str], widths: Sequence[int]) -> None:
    padded = [
        cell + " " * (width - _width(cell)) if at == 0 else " " * (width - _width(cell)) + cell
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    print("| " + " | ".join(padded) + " |")


def _width(text: str) -> int:
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
