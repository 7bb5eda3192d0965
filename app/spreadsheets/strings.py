"""A workbook's shared strings by number: in memory up to a limit, then in a temporary file."""

import os
import tempfile
import weakref
from array import array
from collections.abc import Callable

from app.spreadsheets.package import Package, make_read_error

SHORT = 256  # bytes: longer strings are read anew each time
CACHE_SIZE = 10_000  # short strings of the file that are kept in memory


class SharedStrings:
    """The texts of the part `sharedStrings`; `decode` is applied to each."""

    def __init__(self, package: Package, limit: int, decode: Callable[[str], str]) -> None:
        self._texts: list[str] = []
        self._ends = array("Q")  # where each text of the file ends, in bytes
        self._limit = limit
        self._decode = decode
        self._size = 0
        self._recent: dict[int, str] = {}
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        if package.strings is not None:
            self._read(package, package.strings)
        self._file.flush()

    def __getitem__(self, number: int) -> str:
        """The text of that number, from 0; raises `IndexError` where there is none."""
        if number < len(self._texts):
            return self._texts[number]
        number -= len(self._texts)
        text = self._recent.get(number)
        if text is None:
            begin = self._ends[number - 1] if number else 0
            length = self._ends[number] - begin
            text = os.pread(self._file.fileno(), length, begin).decode()
            if length <= SHORT:
                if len(self._recent) >= CACHE_SIZE:
                    self._recent.clear()
                self._recent[number] = text
        return text

    def _read(self, package: Package, part: str) -> None:
        pieces: list[str] = []
        parts: list[str] = []
        phonetic = False
        depth = 0

        def start(name: str, attributes: list[str]) -> None:
            nonlocal phonetic, depth
            depth += 1
            name = name.rpartition(":")[2]
            if name == "t":
                pieces.clear()
            elif name == "si":
                parts.clear()
            elif name == "rPh":
                phonetic = True

        def end(name: str) -> None:
            nonlocal phonetic, depth
            depth -= 1
            name = name.rpartition(":")[2]
            if name == "t":
                if not phonetic:
                    parts.append("".join(pieces))
            elif name == "si":
                self._add(self._decode("".join(parts)))
            elif name == "rPh":
                phonetic = False

        for _ in package.walk(part, start, end, pieces.append, lambda: depth):
            if sum(map(len, pieces)) + sum(map(len, parts)) > package.longest_text:
                raise make_read_error(
                    "a text of its shared strings is longer than any cell can hold"
                )

    def _add(self, text: str) -> None:
        if self._size < self._limit and not self._ends:
            self._texts.append(text)
            self._size += 4 * len(text) + 80
            return
        data = text.encode("utf-8", "replace")
        self._size += len(data)
        self._ends.append((self._ends[-1] if self._ends else 0) + len(data))
        self._file.write(data)
