"""An XLSX file's parts (ECMA-376, Open Packaging): opened, checked, parsed with expat.

Nothing of a part is trusted: sizes and ratios have limits, document types and entities are refused,
and everything broken is a `BadRequest` that says what to do.
"""

import lzma
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, BinaryIO
from urllib.parse import unquote
from xml.parsers import expat

from app.errors import BadRequest, Fault, Invalid, TooLarge
from app.spreadsheets.cell import DATE, GENERAL, PADDED, SCIENTIFIC
from app.spreadsheets.format import MIB, Limits
from app.spreadsheets.workbook import number_name

CHUNK = 64 * 1024  # bytes of XML parsed at a time
TOKEN = 4 * MIB  # bytes of one tag, which expat holds in memory
PARTS = 10_000  # of one package
DEEPEST = 1_000  # tags that are open at once, of each of which expat holds a little

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = b"PK"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")  # [MS-OFFCRYPTO] 2.3.4.4
# What reading a part of a broken ZIP raises; `ValueError` for a name or a place that can't be.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
_BROKEN = "The workbook is broken or was cut off: {0}. Save it again as .xlsx and send it whole."
# The built-in formats of numbers, and those of dates (ECMA-376, 18.8.30).
_DECIMALS = {1: 0, 2: 2, 3: 0, 4: 2, 11: SCIENTIFIC - 2, 37: 0, 38: 0, 39: 2, 40: 2}
_DATES = {*range(14, 23), *range(27, 37), 45, 46, 47, *range(50, 59)}
_literals = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?![hms]+\])[^\]]*\]', re.IGNORECASE)
_date = re.compile(r"[dmyhs]|\[[hms]+\]|上午|下午", re.IGNORECASE).search
_padded = re.compile("00+").fullmatch
_decimals = re.compile(r"[#0,?]*0(?:\.(0+))?(E\+0+)?").fullmatch

Start = Callable[[str, list[str]], object]
End = Callable[[str], object]
Depth = Callable[[], int]  # how many tags are open


@dataclass(frozen=True)
class Sheet:
    """A sheet of cells: its name, and its part in the package."""

    name: str
    part: str
    hidden: bool = False


class Package:
    """The parts of a workbook; raises `BadRequest` for what is none, `TooLarge` for a bomb."""

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        self._limits = limits
        self.longest_text = limits.cell
        _refuse_ole(file)
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise make_read_error(_explain_no_zip(file) or error) from None
        self._names = {info.filename.lower(): info for info in self._zip.infolist()}
        self._check_sizes()
        self._refuse_others()
        self._book = self._target_of("", "officeDocument") or "xl/workbook.xml"
        links = self._links(self._book)
        strings = (part for _, kind, part in links if kind == "sharedStrings" and self.has(part))
        self.strings = next(strings, None)
        self._styles = next((part for _, kind, part in links if kind == "styles"), None)
        self.sheets, self.is_1904 = self._read_workbook(
            {identifier: part for identifier, kind, part in links if kind == "worksheet"}
        )

    def choose(self, name: str | None) -> list[Sheet]:
        """The sheet of that name, else the first that is shown, and those that continue it.

        Raises `Invalid` where none has the name.
        """
        shown = [sheet for sheet in self.sheets if not sheet.hidden] or self.sheets
        if not shown:
            raise BadRequest("The workbook has no sheet of cells.")
        first = shown[0]
        if name:
            exact = [sheet for sheet in self.sheets if sheet.name == name]
            alike = [sheet for sheet in self.sheets if sheet.name.lower() == name.lower()]
            if not exact and not alike:
                names = ", ".join(repr(sheet.name) for sheet in self.sheets)
                detail = f"There is no sheet {name!r}; the workbook has {names}."
                raise Invalid(detail, Fault(detail, parameter="sheet"))
            first = (exact or alike)[0]
        by_name = {sheet.name: sheet for sheet in self.sheets}
        chosen = [first]
        while following := by_name.get(number_name(first.name, len(chosen) + 1)):
            chosen.append(following)
        return chosen

    def formats(self) -> dict[str, int]:
        """For each style of cells, by its number as text, its format where it is not `GENERAL`."""
        if self._styles is None or not self.has(self._styles):
            return {}
        codes: dict[int, str] = {}
        styles: list[int] = []
        inside = False

        def start(name: str, attributes: list[str]) -> None:
            nonlocal inside
            given = pairs(attributes)
            name = cut_prefix(name)
            if name == "numFmt":
                codes[number(given.get("numFmtId"))] = given.get("formatCode", "")
            elif name == "cellXfs":
                inside = True
            elif name == "xf" and inside:
                styles.append(number(given.get("numFmtId", "0")))

        def end(name: str) -> None:
            nonlocal inside
            inside = inside and cut_prefix(name) != "cellXfs"

        self.parse(self._styles, start, end)
        known = {style: _format(code, codes.get(code)) for style, code in enumerate(styles)}
        return {str(style): format for style, format in known.items() if format is not None}

    def has(self, part: str) -> bool:
        """Whether there is such a part."""
        return part.lower() in self._names

    def parse(
        self, part: str, start: Start, end: End, text: Callable[[str], object] | None = None
    ) -> None:
        """Walks through a whole part of the package."""
        for _ in self.walk(part, start, end, text):
            pass

    def walk(
        self,
        part: str,
        start: Start,
        end: End,
        text: Callable[[str], object] | None = None,
        depth: Depth | None = None,
    ) -> Iterator[None]:
        """Walks through a part, a piece at a time: the handlers were called for what was read."""
        parser = PartParser(part, start, end, text, depth)
        for chunk in self.chunks(part):
            parser.feed(chunk)
            yield
        parser.finish()
        yield

    def chunks(self, part: str) -> Iterator[bytes]:
        """The bytes of a part, a piece at a time."""
        try:
            with self._open(part) as stream:
                while chunk := stream.read(CHUNK):
                    yield chunk
        except _UNREADABLE as error:
            raise make_read_error(f"{part}: {error}") from None

    def _open(self, part: str) -> IO[bytes]:
        info = self._names.get(part.lower())
        if info is None:
            raise make_read_error(f"it has no part {part}")
        if info.flag_bits & 1:
            raise BadRequest("The workbook is encrypted; save it without a password.")
        return self._zip.open(info)

    def _check_sizes(self) -> None:
        if len(self._names) > PARTS:
            raise TooLarge(f"The workbook has more than {PARTS:,} parts.")
        size = 0
        for info in self._names.values():
            size += info.file_size
            small = info.file_size <= self._limits.small
            if not small and info.file_size > self._limits.ratio * info.compress_size:
                raise TooLarge(
                    f"The part {info.filename} of the workbook would grow more than "
                    f"{self._limits.ratio}-fold when it is unpacked, which only a ZIP bomb does."
                )
        if size > self._limits.size:
            raise TooLarge(
                f"The workbook would have {size:,} bytes when it is unpacked; the limit is "
                f"{self._limits.size:,}. Split it, or send CSV."
            )

    def _refuse_others(self) -> None:
        if any(name.endswith("vbaproject.bin") for name in self._names):
            raise BadRequest("The workbook has macros (.xlsm); save it as .xlsx, without them.")
        if "xl/workbook.bin" in self._names:
            raise BadRequest("This is a binary workbook (.xlsb); save it as .xlsx.")
        if "mimetype" in self._names and "content.xml" in self._names:
            raise BadRequest("This is an OpenDocument file (.ods); save it as .xlsx.")
        if "_rels/.rels" not in self._names and "xl/workbook.xml" not in self._names:
            raise BadRequest("This ZIP file is no XLSX workbook: it has no xl/workbook.xml.")

    def _target_of(self, part: str, kind: str) -> str | None:
        return next((target for _, found, target in self._links(part) if found == kind), None)

    def _links(self, part: str) -> list[tuple[str, str, str]]:
        """The relationships of a part: identifier, last word of the type, target."""
        folder, name = posixpath.split(part)
        source = posixpath.join(folder, "_rels", f"{name}.rels")
        found: list[tuple[str, str, str]] = []

        def start(name: str, attributes: list[str]) -> None:
            given = pairs(attributes)
            if cut_prefix(name) == "Relationship" and given.get("TargetMode") != "External":
                target = unquote(given.get("Target", ""))
                whole = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
                kind = given.get("Type", "").rsplit("/", 1)[-1]
                found.append((given.get("Id", ""), kind, whole))

        if self.has(source):
            self.parse(source, start, _nothing)
        return found

    def _read_workbook(self, parts: dict[str, str]) -> tuple[list[Sheet], bool]:
        sheets: list[Sheet] = []
        is_1904 = False

        def start(name: str, attributes: list[str]) -> None:
            nonlocal is_1904
            given = pairs(attributes)
            name = cut_prefix(name)
            if name == "workbookPr":
                is_1904 = given.get("date1904") in ("1", "true", "on")
            elif name == "sheet":
                part = parts.get(next((v for k, v in given.items() if cut_prefix(k) == "id"), ""))
                if part:
                    hidden = given.get("state", "visible") != "visible"
                    sheets.append(Sheet(given.get("name", ""), part, hidden))

        self.parse(self._book, start, _nothing)
        return sheets, is_1904


class PartParser:
    """Expat for one part, of which nothing is trusted; raises `BadRequest` for what is broken.

    `depth` is for handlers that are called often, and count the open tags themselves.
    """

    def __init__(
        self,
        part: str,
        start: Start,
        end: End,
        text: Callable[[str], object] | None = None,
        depth: Depth | None = None,
    ) -> None:
        if depth is None:
            start, end, depth = _count_depth(start, end)
        self._part = part
        self._depth = depth
        self._given = 0  # bytes
        self._parser: Any = expat.ParserCreate()
        self._parser.ordered_attributes = True
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = _refuse_entities
        self._parser.EntityDeclHandler = _refuse_entities
        self._parser.StartElementHandler = start
        self._parser.EndElementHandler = end
        self._parser.CharacterDataHandler = text

    def feed(self, chunk: bytes) -> None:
        """Reads on: the handlers are called for what is whole."""
        self._given += len(chunk)
        self._parse(chunk, False)
        if self._given - self._parser.CurrentByteIndex > TOKEN:
            raise BadRequest(
                f"A tag in {self._part} of the workbook is longer than {TOKEN:,} bytes."
            )
        if self._depth() > DEEPEST:
            raise BadRequest(
                f"In {self._part} of the workbook more than {DEEPEST:,} tags are inside of each "
                "other, which no program writes."
            )

    def finish(self) -> None:
        """Says that the part has ended."""
        self._parse(b"", True)

    def _parse(self, chunk: bytes, is_last: bool) -> None:
        try:
            self._parser.Parse(chunk, is_last)
        except expat.ExpatError as error:
            raise make_read_error(
                f"{self._part}: {expat.errors.messages[error.code]}, line {error.lineno}"
            ) from None
        except (LookupError, ValueError) as error:  # an encoding that expat doesn't know
            raise make_read_error(f"{self._part}: {error}") from None


def _count_depth(start: Start, end: End) -> tuple[Start, End, Depth]:
    """The same handlers, and how many tags are open."""
    depth = 0

    def begin(name: str, attributes: list[str]) -> None:
        nonlocal depth
        depth += 1
        start(name, attributes)

    def finish(name: str) -> None:
        nonlocal depth
        depth -= 1
        end(name)

    return begin, finish, lambda: depth


def make_read_error(why: object) -> BadRequest:
    """The error for a workbook that can't be read."""
    return BadRequest(_BROKEN.format(why))


def pairs(attributes: list[str]) -> dict[str, str]:
    """Expat's ordered attributes as a dict."""
    return dict(zip(attributes[::2], attributes[1::2], strict=True))


def cut_prefix(name: str) -> str:
    """A name of XML without its prefix."""
    return name.rpartition(":")[2]


def number(text: str | None) -> int:
    """A number of an attribute; raises `BadRequest` where it is none."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 9:
        raise make_read_error(f"{text!r} is no number")
    return int(text)


def _format(built_in: int, code: str | None) -> int | None:
    if code is None:
        return DATE if built_in in _DATES else _DECIMALS.get(built_in)
    shown = _literals.sub("", code.split(";")[0]).strip()
    if shown.lower() == "general":
        return GENERAL
    if _date(shown):
        return DATE
    if _padded(shown):
        return PADDED + len(shown)
    digits = _decimals(shown)
    if digits is None:
        return GENERAL
    places = len(digits[1] or "")
    return SCIENTIFIC - places if digits[2] else places


def _explain_no_zip(file: BinaryIO) -> str:
    """What is wrong with a file that has not even the begin of a workbook."""
    file.seek(0)
    if file.read(len(_ZIP)) == _ZIP:
        return ""
    return "it is no ZIP file, as a workbook is; a CSV must be named .csv"


def _refuse_ole(file: BinaryIO) -> None:
    """An old workbook (.xls) and an encrypted new one are both OLE files."""
    file.seek(0)
    head = file.read(len(_OLE))
    if not head:
        raise BadRequest("The file is empty: it has no bytes at all.")
    if head != _OLE:
        file.seek(0)
        return
    before = b""
    while chunk := file.read(MIB):
        if _ENCRYPTED in before + chunk:
            raise BadRequest("The workbook is encrypted; save it without a password.")
        before = chunk[-len(_ENCRYPTED) :]
    raise BadRequest("This is an old workbook (.xls); save it as .xlsx.")


def _refuse_entities(*_: object) -> None:
    raise BadRequest("The workbook declares a document type or entities, which is refused.")


def _nothing(_: str) -> None:
    return None
