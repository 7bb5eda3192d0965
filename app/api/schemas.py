"""The JSON schemas of what we answer besides documents: problems, and reports of many writes."""

from collections.abc import Mapping

from app.api.descriptions import Schema

Properties = Mapping[str, Schema]


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _count(description: str) -> Schema:
    return {"type": "integer", "description": description}


def _anything(description: str) -> Schema:
    return {"description": description}


def _list(description: str, items: Schema) -> Schema:
    return {"type": "array", "description": description, "items": items}


def _item(title: str, properties: Properties, optional: tuple[str, ...] = ()) -> Schema:
    """An object of a list, which later versions may give more members."""
    required = [name for name in properties if name not in optional]
    return {"title": title, "type": "object", "required": required, "properties": properties}


def _report(
    title: str, properties: Properties, optional: tuple[str, ...] = (), **more: str
) -> Schema:
    """The object that an answer is, with these members and no others."""
    required = [name for name in properties if name not in optional]
    return {
        "title": title,
        **more,
        "type": "object",
        "required": required,
        "additionalProperties": False,
        "properties": properties,
    }


_FAULT = _item(
    "Fault",
    {
        "detail": _text("What would be right."),
        "pointer": _text("Where in the body, as #/profile/age."),
        "parameter": _text("Of the query, or the path."),
        "header": _text("Of the request."),
    },
    optional=("pointer", "parameter", "header"),
)
_PROBLEM: Properties = {
    "type": _text("`about:blank`, or the address of a page that explains the problem."),
    "title": _text("The status in words."),
    "status": _count("The status of the answer."),
    "detail": _text("A sentence for a person."),
    "instance": _text("The path that was asked for."),
    "errors": _list("Each field, parameter or header that is at fault.", _FAULT),
}
PROBLEM_DETAILS = _report(
    "ProblemDetails",
    _PROBLEM,
    optional=("errors",),
    description="What went wrong (RFC 9457).",
)
_DOCUMENT_ERROR = _item(
    "DocumentError", {"_id": _anything("The key."), "detail": _text("What would be right.")}
)
_AFFECTED: Properties = {
    "matched": _count("Documents that meet the conditions."),
    "changed": _count("Documents that were written."),
    "failed": _count("Documents that could not be."),
}
AFFECTED = _report(
    "Affected",
    {**_AFFECTED, "errors": _list("Why not; the first 100.", _DOCUMENT_ERROR)},
)
AFFECTED_PROBLEM = _report(
    "AffectedProblem",
    {**_PROBLEM, **_AFFECTED},
    optional=("errors", *_AFFECTED),
    description="What went wrong, and how many documents were written by then.",
)
_ROW = _count("As the spreadsheet shows it.")
_ROW_ERROR = _item(
    "RowError",
    {
        "row": _ROW,
        "sheet": _text("Where there are several."),
        "column": {"type": ["string", "null"], "description": "Its title."},
        "value": _text("What is in the cell."),
        "detail": _text("What would be right."),
    },
    optional=("sheet",),
)
_ROW_CHANGE = _item(
    "RowChange",
    {
        "row": _ROW,
        "field": _text("The dotted path."),
        "before": _anything("What is stored."),
        "after": _anything("What would be."),
    },
)
_IMPORTED: Properties = {
    "rows": _count("Rows of the file, the header not counted."),
    "inserted": _count("New documents."),
    "updated": _count("Documents that were changed."),
    "unchanged": _count("Rows that say what is stored already."),
    "failed": _count("Rows that can't be imported."),
    "changes": _list("Of a dry run: what would change; the first 100.", _ROW_CHANGE),
}
IMPORT_REPORT = _report(
    "ImportReport",
    {**_IMPORTED, "errors": _list("What is wrong, cell by cell; the first 100.", _ROW_ERROR)},
    optional=("changes",),
)
IMPORT_PROBLEM = _report(
    "ImportProblem",
    {
        **_PROBLEM,
        **_IMPORTED,
        "errors": _list(
            "What is at fault: cells of the file, or parameters and headers.",
            {"anyOf": [_ROW_ERROR, _FAULT]},
        ),
    },
    optional=("errors", *_IMPORTED),
    description="What went wrong, with the report of the import where its rows were read.",
)
