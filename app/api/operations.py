"""What the routes of a resource say of themselves."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from app.api.descriptions import (
    Answer,
    Content,
    Description,
    Model,
    Schema,
    describe_in_header,
    describe_in_path,
    describe_in_query,
    of_parameters,
    value_schema,
)
from app.api.media_types import JSON, MERGE_PATCH, PROBLEM
from app.api.schemas import AFFECTED, AFFECTED_PROBLEM, IMPORT_PROBLEM, IMPORT_REPORT
from app.query.compile import Compiler
from app.resources.views import Action
from app.spreadsheets.format import Format
from app.spreadsheets.formats import FORMATS

_ACTIONS: dict[str, Action] = {  # by the first word of an operation's name
    "list": "read",
    "read": "read",
    "create": "create",
    "replace": "update",
    "patch": "update",
    "delete": "delete",
    "export": "export",
    "import": "import",
}
_TAGS = "ETags, with commas, or *."
_IF_MATCH = describe_in_header(
    "If-Match", f"Only if the document is in one of these states: {_TAGS}"
)
_IF_NONE_MATCH = describe_in_header(
    "If-None-Match", f"Only if it is in none of these states: {_TAGS}"
)
_CONDITIONS = (_IF_MATCH, _IF_NONE_MATCH)
_WRITE = (400, 403, 404, 405, 409, 412, 413, 415, 422, 501, 503)
_AFFECTED_REFERENCE: Schema = {"$ref": "#/components/schemas/Affected"}
_AFFECTED_SCHEMAS: dict[str, Schema] = {
    "Affected": AFFECTED,
    "AffectedProblem": AFFECTED_PROBLEM,
}
_AFFECTED_ANSWERS = {200: Answer("What was written.", {JSON: _AFFECTED_REFERENCE})}
_OCTETS: Schema = {"type": "string", "format": "binary"}


def of_list(compiler: Compiler) -> Description:
    """`GET /users/`."""
    page = Answer(
        "A page of documents.",
        {JSON: Model(compiler.resource.name, "Stored", many=True)},
        ("Link", "X-Total-Count", "X-Count-Strategy"),
    )
    return _describe(
        compiler,
        "get",
        _collection_path(compiler),
        "list",
        summary="List documents",
        answers={200: page},
        problems=(400, 422, 503),
        parameters=describe_in_query(compiler, "list"),
    )


def of_collection(compiler: Compiler) -> list[Description]:
    """`/users/`: a list; a new document, unless the resource is only read."""
    return _describe_possible(
        compiler,
        {"read": [of_list], "create": [_create], "update": [_patch_many], "delete": [_delete_many]},
    )


def of_document(compiler: Compiler) -> list[Description]:
    """`/users/{_id}`: one document; its writes, unless the resource is only read."""
    return _describe_possible(
        compiler, {"read": [_read], "update": [_replace, _patch], "delete": [_delete]}
    )


def _describe_possible(
    compiler: Compiler, described: Mapping[Action, list[Callable[[Compiler], Description]]]
) -> list[Description]:
    """What the caller may have of the operations of each action."""
    return [
        describe(compiler)
        for action, operations in described.items()
        if _is_possible(compiler, action)
        for describe in operations
    ]


def _is_possible(compiler: Compiler, action: Action) -> bool:
    """Whether a caller may do it, and the resource is not one that is only read."""
    is_read = action in ("read", "export")
    is_offered = is_read or not compiler.resource.options.read_only
    return is_offered and compiler.view.rights.may(action)


def _create(compiler: Compiler) -> Description:
    name = compiler.resource.name
    created = Answer(
        "The new document; of an array the documents in its order, without the headers.",
        {JSON: Model(name, "Stored", either=True)},
        ("ETag", "Location"),
    )
    return _describe(
        compiler,
        "post",
        _collection_path(compiler),
        "create",
        summary="Create a document, or up to 1,000 at once",
        answers={201: created},
        problems=(400, 403, 405, 409, 413, 415, 422, 503),
        body={JSON: Model(name, either=True)},
    )


def _patch_many(compiler: Compiler) -> Description:
    described = _describe(
        compiler,
        "patch",
        _collection_path(compiler),
        "patch_many",
        summary="Change every document that matches",
        answers=_AFFECTED_ANSWERS,
        problems=(400, 403, 405, 409, 412, 413, 415, 422, 503),
        parameters=describe_in_query(compiler, "many"),
        body=_patch_body(compiler),
    )
    return _with_affected(described)


def _delete_many(compiler: Compiler) -> Description:
    described = _describe(
        compiler,
        "delete",
        _collection_path(compiler),
        "delete_many",
        summary="Delete every document that matches",
        answers=_AFFECTED_ANSWERS,
        problems=(400, 403, 405, 409, 412, 422, 503),
        parameters=describe_in_query(compiler, "many"),
    )
    return _with_affected(described)


def _with_affected(description: Description) -> Description:
    """The same with the schemas of what is written to many documents, whole or in part."""
    return replace(description, problem="AffectedProblem", schemas=_AFFECTED_SCHEMAS)


def _read(compiler: Compiler) -> Description:
    shown: Content = {JSON: Model(compiler.resource.name, "Stored")}
    return _describe(
        compiler,
        "get",
        _document_path(compiler),
        "read",
        summary="Read one document",
        answers={
            200: Answer("The document.", shown, ("ETag",)),
            304: Answer("The client has this document already.", headers=("ETag",)),
        },
        problems=(400, 404, 412, 422, 503),
        parameters=[*_key_and_conditions(compiler), *of_parameters(compiler, "read")],
    )


def _replace(compiler: Compiler) -> Description:
    return _describe(
        compiler,
        "put",
        _document_path(compiler),
        "replace",
        summary="Replace a document",
        answers=_changed(compiler),
        problems=_WRITE,
        parameters=_key_and_conditions(compiler),
        body={JSON: Model(compiler.resource.name)},
    )


def _patch(compiler: Compiler) -> Description:
    return _describe(
        compiler,
        "patch",
        _document_path(compiler),
        "patch",
        summary="Change a document",
        answers=_changed(compiler),
        problems=_WRITE,
        parameters=_key_and_conditions(compiler),
        body=_patch_body(compiler),
    )


def _delete(compiler: Compiler) -> Description:
    return _describe(
        compiler,
        "delete",
        _document_path(compiler),
        "delete",
        summary="Delete a document",
        answers={204: Answer("It is deleted.")},
        problems=(400, 403, 404, 405, 409, 412, 422, 501, 503),
        parameters=_key_and_conditions(compiler),
    )


def _changed(compiler: Compiler) -> dict[int, Answer]:
    shown: Content = {JSON: Model(compiler.resource.name, "Stored")}
    return {200: Answer("The document as it is now.", shown, ("ETag",))}


def _patch_body(compiler: Compiler) -> Content:
    patch = Model(compiler.resource.name, "Patch")
    return {MERGE_PATCH: patch, JSON: patch}


def _collection_path(compiler: Compiler) -> str:
    return f"/{compiler.resource.address}/"


def _document_path(compiler: Compiler) -> str:
    return f"/{compiler.resource.address}/{{_id}}"


def _key_and_conditions(compiler: Compiler) -> list[Schema]:
    key = describe_in_path("_id", value_schema(compiler.resource.key), "The key.")
    return [key, *_CONDITIONS]


def of_reverse(target: Compiler, other: Compiler, name: str) -> list[Description]:
    """`/authors/{_id}/books`: a list of what links to a document, then its downloads together.

    Each is there where the caller may have it.
    """
    if not _is_possible(target, "read"):
        return []
    both: list[tuple[Action, Description]] = [
        ("read", of_list(other)),
        ("export", _any_export(other)),
    ]
    path = f"/{target.resource.address}/{{_id}}/{name}"
    key = describe_in_path(
        "_id", value_schema(target.resource.key), "The key of what is linked to."
    )
    word = f"of_{target.resource.name}_in_{name}".replace(".", "_")
    return [
        replace(
            described,
            path=described.path.replace(f"/{other.resource.address}", path, 1).rstrip("/"),
            name=f"{described.name}_{word}",
            summary=f"{described.summary} that link to one of {target.resource.address}",
            parameters=[key, *described.parameters],
            problems=tuple(sorted({*described.problems, 404})),
        )
        for action, described in both
        if _is_possible(other, action)
    ]


def of_import(compiler: Compiler) -> list[Description]:
    """`/users/import`: a file's documents; `/users/import/{format}`: an empty file to fill in."""
    if not _is_possible(compiler, "import"):
        return []
    path = f"/{compiler.resource.address}/import"
    readable = [found for found in dict.fromkeys(FORMATS.values()) if found.reader]
    sheets = _file(FORMATS["csv"]) | {FORMATS["xlsx"].media_type: _OCTETS}
    form: Schema = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {**_OCTETS, "description": "By its name's ending."}},
    }
    options = sorted({name for found in readable for name in found.reads})
    # The other media types of files are in the summary: generators of clients know none of them.
    body: Content = {"multipart/form-data": form, JSON: _file(FORMATS["json"])[JSON]}
    named = ", ".join(found.media_type.partition(";")[0] for found in readable)
    report = {JSON: {"$ref": "#/components/schemas/ImportReport"}, **sheets}
    refused = {PROBLEM: {"$ref": "#/components/schemas/ImportProblem"}, **sheets}
    headers = ("Cache-Control", "Content-Disposition")
    imported = _describe(
        compiler,
        "post",
        path,
        "import",
        summary=f"Import a file: the part `file` of a form, or the body as {named}",
        answers={
            200: Answer("What was done; as CSV or XLSX the rows that are wrong.", report, headers),
            422: Answer("Nothing was written; as CSV or XLSX all rows.", refused, headers),
        },
        problems=(400, 403, 405, 409, 413, 415, 503),
        parameters=of_parameters(compiler, "import", options),
        body=body,
    )
    names = {"type": "string", "enum": ["csv", "xlsx", "excel"]}
    empty = _describe(
        compiler,
        "get",
        f"{path}/{{format}}",
        "import_form",
        summary="An empty file to fill in",
        answers={200: Answer("The file.", sheets, ("Content-Disposition", "Cache-Control"))},
        problems=(400, 404, 422),
        parameters=[describe_in_path("format", names, "The format.")],
    )
    schemas = {"ImportReport": IMPORT_REPORT, "ImportProblem": IMPORT_PROBLEM}
    return [replace(imported, problem="ImportProblem", schemas=schemas), empty]


def _any_export(compiler: Compiler) -> Description:
    """The downloads in all formats as one, with the parameters of them all."""
    every = [_export(compiler, word, found) for word, found in FORMATS.items()]
    parameters = {one["name"]: one for described in every for one in described.parameters}
    content: dict[str, Schema | Model] = {}
    for described in every:
        content |= described.answers[200].content
    words = describe_in_path("format", {"type": "string", "enum": list(FORMATS)}, "The format.")
    return replace(
        every[0],
        path=f"/{compiler.resource.address}/export/{{format}}",
        name=f"export_{compiler.resource.name}",
        summary="Download",
        answers={200: replace(every[0].answers[200], content=content)},
        parameters=[words, *parameters.values()],
    )


def of_exports(compiler: Compiler) -> list[Description]:
    """`/users/export/csv` and so on: a download in each format, under each of its names."""
    if not _is_possible(compiler, "export"):
        return []
    return [_export(compiler, word, found) for word, found in FORMATS.items()]


def _export(compiler: Compiler, word: str, found: Format) -> Description:
    headers = (
        "X-Export-Id",
        "Content-Disposition",
        "Cache-Control",
        "Content-Encoding",
        "Vary",
        "X-Total-Count",
        "X-Count-Strategy",
    )
    return _describe(
        compiler,
        "get",
        f"/{compiler.resource.address}/export/{word}",
        f"export_{word}",
        summary=f"Download as {word.upper()}",
        answers={200: Answer("The file.", _file(found), headers)},
        problems=(400, 404, 422, 503, 505),
        parameters=describe_in_query(compiler, "export", sorted(found.takes)),
    )


def _file(found: Format) -> dict[str, Schema | Model]:
    """The content of a download.

    `application/octet-stream` is for generators of clients that know no other type.
    """
    media_type = found.media_type.partition(";")[0]
    if media_type == JSON:
        documents = {"type": "array", "items": {"type": "object", "additionalProperties": True}}
        return {media_type: documents}
    if media_type.startswith("text/"):
        return {media_type: {"type": "string"}}
    return {media_type: _OCTETS, "application/octet-stream": _OCTETS}


def _describe(
    compiler: Compiler,
    method: str,
    path: str,
    word: str,
    *,
    summary: str,
    answers: Mapping[int, Answer],
    problems: tuple[int, ...],
    parameters: list[Schema] | None = None,
    body: Content | None = None,
) -> Description:
    name = compiler.resource.name
    action = _ACTIONS[word.partition("_")[0]]
    return Description(
        method,
        path,
        f"{word}_{name}",
        summary,
        answers,
        problems,
        parameters or [],
        body,
        name,
        scope=f"{compiler.resource.address}:{action}",
    )
