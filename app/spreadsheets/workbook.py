"""The parts of an XLSX package (ECMA-376) around its sheets, and the names of sheets and cells."""

import re
from html import escape

HEADER, MOMENT, MOMENT_MS, DATE = 1, 2, 3, 4  # styles of every workbook: places in `cellXfs`

ROWS, COLUMNS = 1_048_576, 16_384  # of one sheet, the header included
TEXT = 32_767  # UTF-16 units in one cell
NOTES = "notes"  # the sheet that lists the texts that were cut
NOTE_TITLES = ["cell", "path", "sha256"]
FORBIDDEN = "\x00-\x08\x0b-\x1f\ufffe\uffff"  # XML 1.0, 2.2; and CR, which its readers take for LF

_to_escape = re.compile(f"[{FORBIDDEN}]|_(?=x[0-9A-Fa-f]{{4}}[_{FORBIDDEN}])")
_surrogates = re.compile("[\ud800-\udbff][\udc00-\udfff]").search
_escaped = re.compile("_x([0-9A-Fa-f]{4})_")
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml."

TYPES = (  # every XML part is a sheet unless it says otherwise: the sheets need not be counted yet
    f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Default Extension="xml" ContentType="{_TYPE}worksheet+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}sheet.main+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}styles+xml"/>'
    "</Types>"
)
LINKS = (
    f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_LINKS}/officeDocument" Target="xl/workbook.xml"/>'
    "</Relationships>"
)
_FONT = '<sz val="11"/><name val="Calibri"/><family val="2"/>'
_STYLES_BEFORE = (
    f'<fonts count="2"><font>{_FONT}</font><font><b/>{_FONT}</font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
)
_STYLES_AFTER = (
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
    "</styleSheet>"
)
_FIRST_FORMAT = 164  # ECMA-376, 18.8.30: the numbers below are built-in formats
_FORMATS = (r"yyyy\-mm\-dd\ hh:mm:ss", r"yyyy\-mm\-dd\ hh:mm:ss.000", r"yyyy\-mm\-dd")


class Styles:
    """The styles of cells: those of every workbook, and one for each other format of numbers."""

    def __init__(self) -> None:
        self._formats = list(_FORMATS)
        self._numbers: dict[str, int] = {}

    def number(self, format: str) -> int:
        """The style whose numbers are shown in the format, such as `0.00`."""
        style = self._numbers.get(format)
        if style is None:
            self._formats.append(format)
            style = self._numbers[format] = HEADER + len(self._formats)
        return style

    def part(self) -> str:
        """The part of the package that holds them."""
        numbers = range(_FIRST_FORMAT, _FIRST_FORMAT + len(self._formats))
        formats = "".join(
            f'<numFmt numFmtId="{number}" formatCode="{escape(format)}"/>'
            for number, format in zip(numbers, self._formats, strict=True)
        )
        styles = "".join(
            f'<xf numFmtId="{number}" fontId="0" fillId="0" borderId="0" xfId="0"'
            ' applyNumberFormat="1"/>'
            for number in numbers
        )
        return (
            f'{_XML}<styleSheet xmlns="{_MAIN}">'
            f'<numFmts count="{len(self._formats)}">{formats}</numFmts>{_STYLES_BEFORE}'
            f'<cellXfs count="{len(self._formats) + 2}">'
            '<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
            '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>'
            f"{styles}</cellXfs>{_STYLES_AFTER}"
        )


def to_xml(text: str) -> str:
    """The text with `_xHHHH_` for what XML can't hold, and for the `_` of what looks so already."""
    return _to_escape.sub(lambda found: f"_x{ord(found[0]):04X}_", text)


def from_xml(text: str) -> str:
    """The text that was escaped: `from_xml(to_xml(text)) == text`."""
    if "_x" not in text:
        return text
    return join_surrogates(_escaped.sub(lambda found: chr(int(found[1], 16)), text))


def join_surrogates(text: str) -> str:
    """The text with pairs of surrogates as the characters that they are."""
    if not _surrogates(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def sheet_head(widths: list[int]) -> str:
    """A sheet's XML before its first row: a frozen header, the columns' widths in characters."""
    columns = "".join(
        f'<col min="{number}" max="{number}" width="{width}" customWidth="1"/>'
        for number, width in enumerate(widths, 1)
    )
    return (
        f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
        '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
        '<selection pane="bottomLeft" activeCell="A2" sqref="A2"/></sheetView></sheetViews>'
        f"<cols>{columns}</cols><sheetData>"
    )


def sheet_tail(area: str) -> str:
    """A sheet's XML after its last row, with a filter over the area."""
    return f'</sheetData><autoFilter ref="{area}"/></worksheet>'


def workbook(sheets: list[tuple[str, str]]) -> str:
    """The list of the sheets: each one's name, and its filter's area (Excel requires a name)."""
    listed = "".join(
        f'<sheet name="{escape(name)}" sheetId="{number}" r:id="rId{number}"/>'
        for number, (name, _) in enumerate(sheets, 1)
    )
    filters = "".join(
        f'<definedName name="_xlnm._FilterDatabase" localSheetId="{number}" hidden="1">'
        f"{escape(quote(name))}!{_make_absolute(area)}</definedName>"
        for number, (name, area) in enumerate(sheets)
    )
    return (
        f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_LINKS}"><bookViews><workbookView/></bookViews>'
        f"<sheets>{listed}</sheets><definedNames>{filters}</definedNames></workbook>"
    )


def workbook_links(sheets: int) -> str:
    """Where the workbook's sheets and styles are in the package."""
    links = "".join(
        f'<Relationship Id="rId{number}" Type="{_LINKS}/worksheet" '
        f'Target="worksheets/sheet{number}.xml"/>'
        for number in range(1, sheets + 1)
    )
    return (
        f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">{links}'
        f'<Relationship Id="rId{sheets + 1}" Type="{_LINKS}/styles" Target="styles.xml"/>'
        "</Relationships>"
    )


def sheet_name(name: str) -> str:
    """The name as Excel allows it for a sheet.

    `History` is Excel's own and `notes` is ours: they get a `_`.
    """
    valid = re.sub(r"^'|'$|[\[\]:*?/\\\x00-\x1f\ufffe\uffff]", "_", name) or "_"
    return valid + "_" if valid.lower() in ("history", NOTES) else valid


def number_name(name: str, number: int) -> str:
    """The name of a table's first, second, … sheet: `users`, `users (2)`.

    At most 31 UTF-16 units.
    """
    suffix = f" ({number})" if number > 1 else ""
    return cut(name, 31 - len(suffix)).removesuffix("'") + suffix


def quote(name: str) -> str:
    """The sheet's name as a reference to its cells needs it."""
    return "'" + name.replace("'", "''") + "'"


def _make_absolute(area: str) -> str:
    return re.sub("([A-Z]+)([0-9]+)", r"$\1$\2", area)


def letters(column: int) -> str:
    """The name of a column, of which 0 is `A`."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(65 + rest) + name
    return name


def cut(text: str, units: int) -> str:
    """The text's first UTF-16 units, without half a character at the end."""
    return text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", "ignore")
