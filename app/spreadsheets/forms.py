"""A file to fill in: the columns that can be imported, and in a workbook what each takes.

Required titles are bold; choices and truth values are drop-down lists; dates, numbers and texts
have their formats (a text column keeps `007`); a note says each column's meaning, type and limits.
Filled in and sent back, it is an import.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from openpyxl import Workbook
from openpyxl.comments import Comment
from openpyxl.styles import Font
from openpyxl.worksheet.datavalidation import DataValidation
from pydantic.fields import FieldInfo

from app.resources.fields import Field, Shape
from app.resources.limits import list_limits
from app.spreadsheets.cells import guard
from app.spreadsheets.columns import Column, parse_columns
from app.spreadsheets.kinds import kind_of_cells
from app.spreadsheets.workbook import ROWS, letters, number_name, sheet_name, to_xml

LIST = 255  # characters of a drop-down list that is written in its own cell (Excel's limit)
NOTE = 1_000  # characters of a note
CHOICES = "choices"  # the hidden sheet of lists that are longer


@dataclass(frozen=True)
class Entry:
    """One column to fill in: what the model says of it."""

    column: Column
    field: Field
    required: bool
    note: str

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of its drop-down list, none where there is no such list."""
        field = self.field
        if field.many:
            return ()
        if field.kind == "bool" and not field.choices:
            return ("TRUE", "FALSE")
        return tuple(str(choice) for choice in field.choices)


def entries(shape: Shape, declared: tuple[str, ...] | None) -> list[Entry]:
    """The columns to fill in: those of an export, and a required `_id` before them."""
    columns = parse_columns(shape, declared, None, None, True)
    if is_required(shape, "_id") and all(column.path != "_id" for column in columns):
        columns = (*parse_columns(shape, None, "_id", None, True), *columns)
    return [_entry(shape, column) for column in columns]


def write_csv(form: Sequence[Entry]) -> bytes:
    """The header as CSV."""
    titles = [guard(entry.column.title) for entry in form]
    quoted = [
        f'"{title.replace(chr(34), chr(34) * 2)}"' if _is_special(title) else title
        for title in titles
    ]
    return (",".join(quoted) + "\r\n").encode()


def write_xlsx(form: Sequence[Entry], name: str) -> bytes:
    """The workbook to fill in."""
    book = Workbook()
    sheet: Any = book.active
    sheet.title = number_name(sheet_name(name), 1)
    sheet.freeze_panes = "A2"
    lists = _Lists(book)
    for position, entry in enumerate(form):
        letter = letters(position)
        cell = sheet.cell(1, position + 1, to_xml(entry.column.title))
        cell.data_type = "s"
        cell.font = Font(bold=entry.required)
        cell.comment = Comment(to_xml(entry.note[:NOTE]), "docsheet", height=120, width=300)
        dimension = sheet.column_dimensions[letter]
        dimension.width = max(12, min(40, len(entry.column.title) + 4))
        dimension.number_format = _format(entry.field)
        validation = lists.validation(entry.choices)
        if validation is not None:
            validation.add(f"{letter}2:{letter}{ROWS}")
            sheet.add_data_validation(validation)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


class _Lists:
    """Drop-down lists; long ones are cells of a hidden sheet."""

    def __init__(self, book: Workbook) -> None:
        self._book = book
        self._sheet: Any = None
        self._columns = 0

    def validation(self, choices: tuple[str, ...]) -> DataValidation | None:
        if not choices:
            return None
        inline = ",".join(choices)
        short = len(inline) <= LIST and not any(
            "," in choice or '"' in choice for choice in choices
        )
        source = f'"{inline}"' if short else self._reference(choices)
        validation = DataValidation("list", formula1=source, allow_blank=True)
        validation.showErrorMessage = True
        validation.errorTitle = "Not in the list"
        validation.error = "Choose a value of the list."
        return validation

    def _reference(self, choices: tuple[str, ...]) -> str:
        if self._sheet is None:
            self._sheet = self._book.create_sheet(CHOICES)
            self._sheet.sheet_state = "hidden"
        self._columns += 1
        for row, choice in enumerate(choices, 1):
            cell = self._sheet.cell(row, self._columns, to_xml(choice))
            cell.data_type = "s"
        letter = letters(self._columns - 1)
        return f"{CHOICES}!${letter}$1:${letter}${len(choices)}"


def _entry(shape: Shape, column: Column) -> Entry:
    found = shape.find(column.path, numbered=True)
    assert found is not None
    required = is_required(shape, column.path)
    info = next(iter(reversed(list(_infos(shape, column.path)))), None)
    return Entry(column, found.field, required, "\n".join(_sentences(found.field, info, required)))


def _sentences(field: Field, info: FieldInfo | None, required: bool) -> Iterator[str]:
    if info is not None and info.description:
        yield info.description
    kind = kind_of_cells(field.kind).meaning or field.kind.capitalize()
    if field.many:
        example = '["a","b"]' if field.kind == "text" else "[…]"
        kind = f"List as JSON, such as {example}"
    if field.choices and not field.many:
        shown = ", ".join(str(choice) for choice in field.choices[:20])
        kind = f"One of: {shown}" + (", …" if len(field.choices) > 20 else "")
    told = list_limits(info) if info is not None else ()
    limits = ", ".join(words.format(value) for words, value in told)
    yield f"{kind} ({limits})." if limits else f"{kind}."
    yield "Required." if required else "May be empty."


def is_required(shape: Shape, path: str) -> bool:
    """Whether a document can't be without the field: it and all above it are required."""
    infos = list(_infos(shape, path))
    return bool(infos) and all(info.is_required() for info in infos)


def is_required_where_it_is(shape: Shape, path: str) -> bool:
    """Whether the field is required in the model that has it, wherever that one is."""
    infos = list(_infos(shape, path))
    return len(infos) == path.count(".") + 1 and infos[-1].is_required()


def is_empty_by_default(shape: Shape, path: str) -> bool:
    """Whether the field is an empty list or object where it is not sent."""
    infos = list(_infos(shape, path))
    if len(infos) != path.count(".") + 1:
        return False
    return infos[-1].default_factory in (list, dict) or infos[-1].default in ([], {})


def _infos(shape: Shape, path: str) -> Iterator[FieldInfo]:
    """What the models say of each step of a path, as far as they are models."""
    inner: Shape | None = shape
    for name in path.split("."):
        if inner is None or name not in inner.fields:
            return
        for attribute, info in inner.model.model_fields.items():
            if (info.alias or attribute) == name:
                yield info
        inner = inner.fields[name].shape


def _format(field: Field) -> str:
    field = replace(field, kind="text") if field.many or field.choices else field
    return kind_of_cells(field.kind).format


def _is_special(title: str) -> bool:
    return any(sign in title for sign in ',"\r\n')
