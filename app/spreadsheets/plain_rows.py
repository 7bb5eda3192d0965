"""The rows of a sheet's XML as programs write them, read by regular expressions.

    <row r="2" spans="1:2"><c r="A2" t="s"><v>5</v></c><c r="B2" s="1"><v>30</v></c></row>

Expat calls Python some ten times for each cell; this takes half of its time. A piece of XML in
which there is anything else (formulas, rich texts, comments, CDATA, other entities, prefixes, what
is not well-formed) is not read here at all: expat reads it, and all that comes after it.
"""

import re
from collections.abc import Iterator

# The characters of XML 1.0, 2.2, but for `<`, and for CR, which XML readers take for LF.
_TEXT = r"[^<\x00-\x08\x0b-\x1f\ufffe\uffff]*+"
_OTHERS = r'(?: [A-Za-z0-9:]+="[^"<>&\x00-\x1f]*+")*+'  # attributes that say nothing here
_ROW = rf'<row(?: r="[0-9]+")?{_OTHERS}>'
_CELL = (
    r'<c(?: r="[A-Z]+[0-9]+")?(?: s="[0-9]+")?(?: t="[A-Za-z]+")?'
    rf'(?:/>|>(?:<v>{_TEXT}</v>|<is><t(?: xml:space="preserve")?>{_TEXT}</t></is>)?</c>)'
)
_are_plain = re.compile(rf"(?>\s*+{_ROW}(?>{_CELL})*+</row>)*+\s*+").fullmatch
_has_other_entity = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)").search
_number = re.compile(r'\s*+<row(?: r="([0-9]+)")?[^>]*+>').match
_cells = re.compile(
    r'<c(?: r="([A-Z]+)[0-9]+")?([^>]*+>(?:<v>|<is><t(?: xml:space="preserve")?>)?)([^<]*+)'
).findall
_style_and_type = re.compile(r'(?: s="([0-9]+)")?(?: t="([A-Za-z]+)")?').match
_is_head = re.compile(
    rb'(?:\xef\xbb\xbf)?(?:<\?xml version="1.0"(?: encoding="[Uu][Tt][Ff]-8")?[^>?]*\?>)?'
    rb"\s*<worksheet[\s>][^!?]*<sheetData>"
).fullmatch
_ROWS = b"<sheetData>"
_END = b"</row>"
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&"))

# A cell: the letters of its column, "" where it doesn't say them; its tags; its text.
PlainCell = tuple[str, str, str]
PlainRow = tuple[str | None, list[PlainCell]]  # its number, if it says one


def find_rows(data: bytes) -> int | None:
    """Where the rows of a sheet begin; None where what is before them isn't whole or plain."""
    begin = data.find(_ROWS) + len(_ROWS)
    return begin if begin >= len(_ROWS) and _is_head(data, 0, begin) else None


def find_end(data: bytes) -> int:
    """Where the last whole row ends; 0 where none does."""
    return data.rfind(_END) + len(_END) if _END in data else 0


def read_plain_rows(data: bytes) -> list[PlainRow] | None:
    """The rows of some XML that ends with a row; None where something in it isn't plain."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    if not _are_plain(text) or "]]>" in text or ("&" in text and _has_other_entity(text)):
        return None
    return list(_split(text))


def _split(text: str) -> Iterator[PlainRow]:
    for row in text.split("</row>")[:-1]:
        begin = _number(row)
        assert begin is not None
        yield begin[1], _cells(row, begin.end())


def read_tags(tags: str) -> tuple[str, str, bool]:
    """The style of a cell, its type, and whether it has a text in place; by its tags."""
    found = _style_and_type(tags)
    assert found is not None
    return found[1] or "", found[2] or "", "<is>" in tags


def unescape(text: str) -> str:
    """The text with the entities that XML has of itself replaced."""
    for entity, sign in _ENTITIES:
        text = text.replace(entity, sign)
    return text
