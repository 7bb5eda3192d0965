"""Which encoding a text file has, by its bytes: UTF-8 (with or without a BOM), UTF-16, GB18030."""

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO

from app.errors import BadRequest

_CHUNK = 1024 * 1024  # bytes
LINE = 64 * 1024 * 1024  # bytes of a line, of which no row has as many
_HEAD = 4096  # bytes that show whether every second one is zero
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ZIP = b"PK\x03\x04"
_SURELY = 100  # Chinese characters more than others, after which nothing else is looked for
_WEIGHT = 5  # of a character without a meaning: Chinese texts have hardly any
_LOOKED_AT = 1_000  # characters of a chunk of which the rare ones are counted
_FEW = 7  # characters that may all be rare, as those of one name
_RARE_SHARE = 0.8  # of the characters: texts in traditional characters have some 0.6
_foreign = re.compile(r"[^\0-\x7f]").findall
_beside_letters = re.compile(r"(?<=[A-Za-z])[^\0-\x7f]|[^\0-\x7f](?=[A-Za-z])").findall
_private = re.compile(r"[\ue000-\uf8ff]").findall
_charset = re.compile(r';\s*charset\s*=\s*"?([^\s";]+)', re.IGNORECASE).search
_RIGHT = "Save the file as UTF-8 (UTF-16 and GB18030 are understood too)."


def find_encoding(file: BinaryIO) -> str:
    """The name of the codec that decodes the whole file, which is at its start again afterwards.

    The file is read to its end, so that no byte in row 900,000 can surprise. Raises `BadRequest`
    for an empty file and where no encoding fits.
    """
    file.seek(0)
    head = file.read(_HEAD)
    if not head:
        raise BadRequest("The file is empty: it has no bytes at all.")
    if head.startswith(_ZIP):
        raise BadRequest(
            "This file is no CSV but a ZIP file, as a workbook is; a workbook must be named .xlsx."
        )
    encoding = _find_mark(head) or _find_wide(head)
    for candidate in (encoding,) if encoding else ("utf-8", "gb18030"):
        if _decodes(file, candidate) and (candidate != "gb18030" or _is_chinese(file)):
            file.seek(0)
            return candidate
    raise BadRequest(f"The file's bytes are no text in UTF-8 or GB18030. {_RIGHT}")


def read_charset(media_type: str | None) -> str | None:
    """The encoding that a media type names (RFC 7111, section 3), None where it is to be found.

    That is so for UTF-8 too, which many name whatever the file has.
    """
    found = _charset(media_type or "")
    name = found[1].lower() if found else ""
    return None if name in ("", "utf-8", "utf8") else name


def check_encoding(file: BinaryIO, encoding: str) -> str:
    """The encoding that was asked for, or UTF-8 where a mark says so.

    Raises `BadRequest` where it is unknown or doesn't fit.
    """
    file.seek(0)
    if file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8:
        encoding = "utf-8-sig"
    try:
        "".encode(encoding)  # of a text to bytes, which not every codec does
        fits = _decodes(file, encoding)
    except (LookupError, ValueError):
        raise BadRequest(f"{encoding!r} is no encoding that is known here. {_RIGHT}") from None
    if not fits:
        raise BadRequest(f"The file's bytes are no text in {encoding}. {_RIGHT}")
    file.seek(0)
    return encoding


def _find_mark(head: bytes) -> str | None:
    return next((name for mark, name in _MARKS if head.startswith(mark)), None)


def _find_wide(head: bytes) -> str | None:
    """UTF-16 without a BOM: delimiters and line ends have a zero byte, nearly all at one side."""
    first, second = head[::2].count(0), head[1::2].count(0)
    zeros = first + second
    if zeros < len(head) / 20 or (zeros < len(head) / 5 and _is_utf8(head)):
        return None
    if second > 4 * first:
        return "utf-16-le"
    return "utf-16-be" if first > 4 * second else None


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeError:
        return False
    return True


def _decodes(file: BinaryIO, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    file.seek(0)
    try:
        for chunk in _chunks(file):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True


def _is_chinese(file: BinaryIO) -> bool:
    """Whether what GB18030 makes of the bytes are texts: it decodes most of Windows-1252 as well.

    There an accented letter and the one after it, as in `Müller`, become one rare character in the
    middle of a word; Big5 becomes characters without a meaning; Shift-JIS and Windows-1251 become
    characters that are hardly ever used.
    """
    decoder = codecs.getincrementaldecoder("gb18030")()
    file.seek(0)
    odd = all_of_them = rare = looked_at = 0
    for chunk in _chunks(file):
        text = decoder.decode(chunk)
        foreign = _foreign(text)
        all_of_them += len(foreign)
        sample = foreign[:_LOOKED_AT]
        looked_at += len(sample)
        rare += sum(map(_is_rare, sample))
        odd += _WEIGHT * len(_private(text)) + sum(map(_ends_as_letter, _beside_letters(text)))
        if all_of_them - 2 * odd > _SURELY:
            break
    if looked_at >= _FEW and rare > _RARE_SHARE * looked_at:
        return False
    return not odd or 2 * odd < all_of_them


def _is_rare(sign: str) -> bool:
    """Whether a character is none of the 3,755 most frequent of GB 2312, and no sign of its."""
    encoded = sign.encode("gb18030")
    is_first_level = len(encoded) == 2 and 0xB0 <= encoded[0] <= 0xD7 and encoded[1] > 0xA0
    is_sign = len(encoded) == 2 and 0xA1 <= encoded[0] <= 0xA9 and encoded[1] > 0xA0
    return not is_first_level and not is_sign


def _ends_as_letter(sign: str) -> bool:
    """Whether the second of two bytes of a character is an ASCII letter."""
    encoded = sign.encode("gb18030")
    return len(encoded) == 2 and encoded[1:].isalpha()


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of a file; raises `BadRequest` for a line that no memory should hold."""
    size = 0  # of the line that has not ended
    while chunk := file.read(_CHUNK):
        size += len(chunk)
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        if end >= 0:
            size = len(chunk) - end
        if size > LINE:
            raise BadRequest(
                f"A line of the file has more than {LINE:,} bytes, more than any row can have; is "
                "this file really a CSV?"
            )
        yield chunk
