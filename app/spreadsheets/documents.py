"""Files of JSON documents → `Rows`: NDJSON, a line for each, and one JSON array.

Both are read alike, whatever the name says, for mongoexport calls lines `.json`: a file whose first
character is `[` is an array. Extended JSON is made plain.
"""

import codecs
import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import orjson

from app.errors import BadRequest, TooLarge
from app.resources.exact_json import has_long_integer, read_float, read_integer
from app.resources.faults import read_pointer
from app.resources.storing import find_unstorable
from app.spreadsheets.extended import ExtendedDocument, has_extended, unwrap
from app.spreadsheets.format import MIB, ReadOptions, Rows, Unreadable
from app.spreadsheets.header import explain_too_many_rows

ROWS = 50  # documents of one batch
TEXT = MIB // 4  # bytes of JSON after which a batch is handed over, however few its documents
SHOWN = 200  # characters of an unreadable line that an error shows
_BLOCK = 256 * 1024  # bytes read at a time
_LONGEST_WORD = 16  # characters: an escape or `false` that is cut is reported at its begin
_SPACE = " \t\r\n"  # RFC 8259, section 2

# Whether some bytes have an integer of 19 digits is found out in a tenth of the time of a regular
# expression.
_LONG = b"0" * 19
_DIGITS = bytes(ord("0") if chr(byte).isdigit() and byte < 128 else byte for byte in range(256))

Piece = tuple[int, Any, int]  # the number of a document, the document, its size in JSON


class DocumentReader:
    """Reads documents of a file: NDJSON, or a JSON array.

    A line that is no JSON object is `Unreadable` and those around it are read; a broken array is a
    `BadRequest`, for nothing after the break can be told apart.
    """

    header = None
    typed = True
    findings: Mapping[str, str] = {}

    def __init__(self, file: BinaryIO, options: ReadOptions) -> None:
        self.cut: frozenset[bytes] = frozenset()
        self._file = file
        self._limits = options.limits
        head = file.read(_BLOCK)
        if not head:
            raise BadRequest("The file is empty: it has no bytes at all.")
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in head:
            raise BadRequest("JSON must be in UTF-8 (RFC 8259); this file is not.")
        self._start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
        self._is_array = head[self._start :].lstrip()[:1] == b"["

    def __iter__(self) -> Iterator[Rows]:
        self._file.seek(self._start)
        pieces = self._elements() if self._is_array else self._lines()
        numbers: list[int] = []
        documents: list[Any] = []
        size, left = 0, self._limits.rows
        for number, document, length in pieces:
            left -= 1
            if left < 0:
                raise TooLarge(explain_too_many_rows(self._limits.rows))
            numbers.append(number)
            documents.append(document)
            size += length
            if len(documents) >= ROWS or size >= TEXT:
                yield Rows(numbers, documents)
                numbers, documents, size = [], [], 0
        if documents:
            yield Rows(numbers, documents)

    def _lines(self) -> Iterator[Piece]:
        number = size = 0
        pieces: list[bytes] = []  # of the line that has not ended, and its size so far
        while block := self._file.read(_BLOCK):
            pieces.append(block)
            size += len(block)
            if b"\n" not in block:
                self._check_size(number + 1, size)
                continue
            text = b"".join(pieces)
            has_long = _LONG in text.translate(_DIGITS)
            *lines, rest = text.split(b"\n")
            for line in lines:
                number += 1
                if line and not line.isspace():
                    yield number, _line(line, has_long), len(line)
            pieces, size = [rest], len(rest)
        rest = b"".join(pieces)
        if rest and not rest.isspace():
            yield number + 1, _line(rest, True), len(rest)

    def _check_size(self, number: int, size: int) -> None:
        if size > self._limits.record:
            raise BadRequest(
                f"Line {number} has more than {self._limits.record:,} bytes, more than any "
                "document can have."
            )

    def _elements(self) -> Iterator[Piece]:
        text = _Text(self._file, self._limits.record)
        text.skip("[")
        if text.next() == "]":
            text.end()
            return
        number = 0
        while True:
            number += 1
            before = text.taken
            element = text.value(number)
            yield number, _document(element, ""), text.taken - before
            if text.next() != ",":
                break
            text.skip(",")
        if text.next() != "]":
            raise BadRequest(
                f"After element {number} of the array there must be a comma or ]; "
                + ("the file ends there." if not text.next() else f"there is {text.next()!r}.")
            )
        text.end()


def _line(line: bytes, may_have_long: bool) -> Any:
    is_exact = may_have_long and has_long_integer(line)
    try:
        value = _read_exactly(line.decode()) if is_exact else orjson.loads(line)
    except (ValueError, RecursionError) as error:
        return Unreadable(_show(line), f"This line is no JSON: {error}.")
    if type(value) is not dict:
        return _document(value, _show(line))
    value = _unwrap(value) if has_extended(line) else value
    return _refuse_unstorable(value) if is_exact else value


def _document(value: Any, text: str) -> Any:
    if type(value) is dict:
        return _refuse_unstorable(_unwrap(value))
    shown = text or _escape(json.dumps(value, ensure_ascii=False)[:SHOWN])
    return Unreadable(shown, 'Each document must be a JSON object, such as {"name": "Ada"}.')


def _unwrap(document: dict[str, Any]) -> Any:
    plain = unwrap(document)
    is_object = type(plain) is dict and plain != document
    return ExtendedDocument(document, plain) if is_object else plain


def _refuse_unstorable(document: Any) -> Any:
    """The document; what stands for it where it has what orjson can't write, as MongoDB can't."""
    try:
        orjson.dumps(document)
    except TypeError:
        fault = find_unstorable(document)
        path = ".".join(map(str, read_pointer(fault.pointer or "#")))
        return Unreadable("", f"{path}: {fault.detail}" if path else fault.detail, path)
    return document


def _show(line: bytes) -> str:
    return line[: 4 * SHOWN].decode(errors="replace")[:SHOWN].strip()


def _escape(text: str) -> str:
    """The text without lone surrogates, which no report can have."""
    return text.encode(errors="backslashreplace").decode()


class _Text:
    """The text of a file, taken value by value; no more of it is in memory than one value needs."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self.taken = 0  # characters so far
        self._file = file
        self._limit = limit
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._scan = _DECODER.raw_decode
        self._buffer, self._at, self._ended = "", 0, False

    def next(self) -> str:
        """The next character that is no white space, which stays; "" at the end."""
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if self._ended:
                return ""
            self._read_more()

    def skip(self, sign: str) -> None:
        """Goes past the sign, which is next."""
        assert self.next() == sign
        self._at += 1

    def value(self, number: int) -> Any:
        """The next value; `number` is for errors."""
        if not self.next():
            raise BadRequest(f"The file ends before element {number} of the array.")
        while True:
            try:
                value, end = self._scan(self._buffer, self._at)
            except json.JSONDecodeError as error:
                if self._ended or self._is_broken(error):
                    raise BadRequest(
                        f"Element {number} of the array is broken: {error.msg}."
                    ) from None
            except (ValueError, RecursionError) as error:
                raise BadRequest(f"Element {number} of the array is broken: {error}.") from None
            else:
                if end < len(self._buffer) or self._ended:  # a number may go on in the next block
                    self.taken += end - self._at
                    self._at = end
                    return value
            if len(self._buffer) - self._at > self._limit:
                raise BadRequest(
                    f"Element {number} of the array is broken, or has more than {self._limit:,} "
                    "characters, more than any document can have."
                )
            self._read_more(len(self._buffer) - self._at)

    def _is_broken(self, error: json.JSONDecodeError) -> bool:
        """Whether the error would stay if more was read: it is not where the buffer ends."""
        unterminated = error.msg.startswith("Unterminated string")
        return not unterminated and error.pos + _LONGEST_WORD < len(self._buffer)

    def end(self) -> None:
        """Checks that nothing follows the array."""
        self.skip("]")
        if self.next():
            raise BadRequest(
                f"After the array's end there must be nothing; there is {self.next()!r}."
            )

    def _read_more(self, at_least: int = 0) -> None:
        """Reads on, twice as far each time that a value doesn't fit, to scan it few times."""
        block = self._file.read(max(_BLOCK, at_least))
        self._ended = not block
        try:
            text = self._decoder.decode(block, final=self._ended)
        except UnicodeDecodeError:
            raise BadRequest("JSON must be in UTF-8 (RFC 8259); this file is not.") from None
        self._buffer = self._buffer[self._at :] + text
        self._at = 0


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


_DECODER = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_int=read_integer, parse_float=read_float
)
_read_exactly = _DECODER.decode
