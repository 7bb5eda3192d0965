"""The OpenAPI 3.1 description of everything that is served, made from the resources once."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema

from app.api.docs import TITLE
from app.query.compile import Compiler
from app.query.names import Asked
from app.query.operators import MAX_PATTERN
from app.query.parameters import COUNTS
from app.resources.fields import Field
from app.resources.kinds import KINDS
from app.resources.options import MAX_LIMIT
from app.resources.registry import Resource
from app.spreadsheets.format import Format
from app.spreadsheets.formats import FORMATS

Schema = dict[str, Any]
_PROBLEM: Schema = {
    "title": "ProblemDetails",
    "description": "What went wrong (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence for a person."},
        "instance": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "title": "Fault",
                "type": "object",
                "required": ["detail"],
                "properties": {
                    "detail": {"type": "string"},
                    "pointer": {
                        "type": "string",
                        "description": "Where in the body, as #/profile/age.",
                    },
                    "parameter": {"type": "string"},
                    "header": {"type": "string"},
                },
            },
        },
    },
}
_EXPORT_RECORD: Schema = {
    "title": "ExportRecord",
    "type": "object",
    "required": ["state", "documents", "rows", "bytes", "sha256", "seconds", "detail"],
    "properties": {
        "state": {"type": "string", "enum": ["running", "complete", "failed", "left"]},
        "documents": {"type": "integer"},
        "rows": {"type": "integer"},
        "bytes": {
            "type": "integer",
            "description": "Of the file, before any transfer compression.",
        },
        "sha256": {"type": ["string", "null"]},
        "seconds": {"type": "number"},
        "detail": {"type": ["string", "null"]},
    },
}
_STATUSES = {
    304: "The client has this document already.",
    400: "The request can't be read, or names a foreign host.",
    403: "Another site's page may not write here.",
    404: "There is no such document.",
    409: "A unique index has the value already.",
    412: "The document is no longer the one that If-Match names.",
    413: "The body is too large.",
    415: "The body has another media type.",
    422: "What was sent can't be accepted; `errors` says where and why.",
    503: "Not at the moment: no primary, a time limit, or too much under way.",
    505: "HTTP/1.0 can't show that a transfer broke.",
}


def describe(compilers: Iterable[Compiler], version: str) -> dict[str, Any]:
    """The whole description."""
    served = list(compilers)
    schemas: dict[str, Any] = {"ProblemDetails": _PROBLEM, "ExportRecord": _EXPORT_RECORD}
    names = _model_schemas([compiler.resource for compiler in served], schemas)
    paths: dict[str, Any] = {}
    for compiler in served:
        paths |= _paths(compiler, names[compiler.resource.name])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": version,
            "description": "MongoDB documents as a REST API and as spreadsheets.",
        },
        "paths": {**paths, **_own_paths()},
        "components": {"schemas": schemas, "headers": _HEADERS},
        "tags": [
            {"name": compiler.resource.name, "description": _doc(compiler.resource)}
            for compiler in served
        ],
    }


def _doc(resource: Resource) -> str:
    return (resource.model.__doc__ or "").strip()


class _AnythingElse(GenerateJsonSchema):
    """Takes a type of a user's own, which JSON Schema has no word for, as any value."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        """The schema that takes everything; what is wrong with a value the model's validator says."""
        return {}


def _model_schemas(resources: list[Resource], schemas: dict[str, Any]) -> dict[str, str]:
    """Adds the models' own schemas, and for each resource those of what is stored and of a patch."""
    inputs: list[Any] = [(resource.model, "validation") for resource in resources]
    references, definitions = models_json_schema(
        inputs, ref_template="#/components/schemas/{model}", schema_generator=_AnythingElse
    )
    schemas |= definitions.get("$defs", {})
    for schema in schemas.values():
        if "properties" in schema:
            schema.setdefault(
                "additionalProperties", False
            )  # an unknown field is refused, in nested models too
    names = {}
    for resource in resources:
        reference = references[(resource.model, "validation")]["$ref"].rpartition("/")[2]
        names[resource.name] = reference
        whole = schemas[reference]
        whole["properties"].pop("revision_id", None)
        schemas[f"{reference}Stored"] = _stored(reference, whole, resource)
        schemas[f"{reference}Patch"] = {
            "title": f"{reference}Patch",
            "description": "A merge patch (RFC 7396): null removes a field, objects merge, arrays replace.",
            "type": "object",
            "properties": {
                name: {"description": known.get("description", known.get("title", name))}
                for name, known in whole["properties"].items()
            },
            "additionalProperties": resource.shape.open,
        }
    return names


def _stored(reference: str, whole: Schema, resource: Resource) -> Schema:
    """A document as it is shown: any field may be missing or of another type where another program wrote it."""
    hidden = {name for name, known in resource.shape.fields.items() if known.excluded}
    properties = {name: known for name, known in whole["properties"].items() if name not in hidden}
    key = KINDS[resource.key.kind].schema or {}
    described = {
        name: {"description": known.get("title", name)}
        for name, known in properties.items()
        if name != "_id"
    }
    return {
        "title": f"{reference}Stored",
        "description": "A stored document, as it is; every field may be missing or be what another program wrote.",
        "type": "object",
        "properties": {"_id": {**key, "description": "The key."}, **described},
        "required": ["_id"],
        "additionalProperties": True,
    } if resource.key.kind in ("text", "objectid", "uuid", "int") else {
        "title": f"{reference}Stored", "type": "object", "additionalProperties": True
    }  # fmt: skip


_HEADERS: dict[str, Any] = {
    "X-Request-ID": {
        "description": "By which the server's log names this request.",
        "schema": {"type": "string"},
    },
    "Accept-Patch": {"description": "The media types of a patch.", "schema": {"type": "string"}},
    "Cache-Control": {"description": "`no-store`.", "schema": {"type": "string"}},
    "Vary": {"description": "`Accept`.", "schema": {"type": "string"}},
    "ETag": {
        "description": "The state of the whole stored document.",
        "schema": {"type": "string"},
    },
    "Location": {"description": "The new document's path.", "schema": {"type": "string"}},
    "Link": {
        "description": 'The next page: `<address>; rel="next"`.',
        "schema": {"type": "string"},
    },
    "X-Total-Count": {
        "description": "How many documents there are.",
        "schema": {"type": "integer"},
    },
    "X-Count-Strategy": {
        "description": "How they were counted.",
        "schema": {"type": "string", "enum": ["exact", "estimated", "capped"]},
    },
    "X-Export-Id": {"description": "For GET /exports/{id}.", "schema": {"type": "string"}},
    "Content-Disposition": {"description": "The file's name.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}},
}


def _paths(compiler: Compiler, reference: str) -> dict[str, Any]:
    resource = compiler.resource
    name, stored = resource.address, {"$ref": f"#/components/schemas/{reference}Stored"}
    conditions = [
        _condition(parameter, asked) for parameter, asked in compiler.names.filters().items()
    ]
    key = [
        {
            "name": "_id",
            "in": "path",
            "required": True,
            "schema": _key_schema(resource),
            "description": "The key.",
        }
    ]
    collection = {
        "get": _operation(
            resource, "list", "List documents", [*_list_parameters(resource), *conditions],
            {"200": _answer("A page of documents.", {"type": "array", "items": stored},
                            ("Link", "X-Total-Count", "X-Count-Strategy"))}, (400, 422, 503)),
    }  # fmt: skip
    item = {
        "get": _operation(resource, "read", "Read one document", [*key, _header("If-None-Match")],
                          {"200": _answer("The document.", stored, ("ETag",)), "304": _empty(_STATUSES[304], "ETag")},
                          (400, 404, 422, 503)),
    }  # fmt: skip
    if not resource.options.read_only:
        body = _body({"$ref": f"#/components/schemas/{reference}"}, "application/json")
        patch = _body(
            {"$ref": f"#/components/schemas/{reference}Patch"},
            "application/merge-patch+json",
            "application/json",
        )
        changed = {"200": _answer("The document as it is now.", stored, ("ETag",))}
        write = (400, 403, 404, 409, 412, 413, 415, 422, 503)
        collection["post"] = _operation(
            resource, "create", "Create a document", [],
            {"201": _answer("The new document.", stored, ("ETag", "Location"))},
            (400, 403, 409, 413, 415, 422, 503), body)  # fmt: skip
        item["put"] = _operation(
            resource,
            "replace",
            "Replace a document",
            [*key, _header("If-Match")],
            changed,
            write,
            body,
        )
        item["patch"] = _operation(
            resource,
            "patch",
            "Change a document",
            [*key, _header("If-Match")],
            changed,
            write,
            patch,
        )
        item["delete"] = _operation(resource, "delete", "Delete a document", [*key, _header("If-Match")],
                                    {"204": _empty("It is deleted.")},
                                    (400, 403, 404, 409, 412, 422, 503))  # fmt: skip
    exports = {
        f"/{name}/export/{word}": {"get": _export(compiler, word, found, conditions)}
        for word, found in FORMATS.items()
    }
    return {f"/{name}/": collection, f"/{name}/{{_id}}": item, **exports}


def _export(compiler: Compiler, word: str, found: Format, conditions: list[Schema]) -> Schema:
    resource = compiler.resource
    own = [
        parameter
        for parameter in _export_parameters()
        if parameter["name"] in (*found.takes, "columns", "consistency")
    ]
    shared = [
        parameter
        for parameter in _list_parameters(resource)
        if parameter["name"] in ("keyword", "sort", "skip")
    ]
    limit = _parameter(
        "limit", {"type": "integer", "minimum": 1}, "At most so many documents; all without it."
    )
    names = ("X-Export-Id", "Content-Disposition", "Cache-Control", "X-Total-Count")
    answer = {"description": "The file.", "headers": _named(names), "content": _file(found)}
    parameters = [*shared, limit, *own]
    taken = {parameter["name"] for parameter in parameters}
    filters = [
        {**one, "name": f"{one['name']}__eq"} if one["name"] in taken else one for one in conditions
    ]
    return _operation(resource, f"export_{word}", f"Download as {word.upper()}", [*parameters, *filters],
                      {"200": answer}, (400, 404, 422, 503, 505))  # fmt: skip


def _file(found: Format) -> Schema:
    """The content of a download; `application/octet-stream` is for generators of clients that know no other type."""
    media_type = found.media_type.partition(";")[0]
    if media_type == "application/json":
        documents = {"type": "array", "items": {"type": "object", "additionalProperties": True}}
        return {media_type: {"schema": documents}}
    if media_type.startswith("text/"):
        return {media_type: {"schema": {"type": "string"}}}
    octets: Schema = {"schema": {"type": "string", "format": "binary"}}
    return {media_type: octets, "application/octet-stream": octets}


def _operation(
    resource: Resource,
    word: str,
    summary: str,
    parameters: list[Schema],
    answers: dict[str, Any],
    statuses: Iterable[int],
    body: Schema | None = None,
) -> Schema:
    operation: Schema = {
        "tags": [resource.name],
        "operationId": f"{word}_{resource.name}",
        "summary": summary,
        "parameters": parameters,
        "responses": {**answers, **{str(status): _problem(status) for status in statuses}},
    }
    if body is not None:
        operation["requestBody"] = body
    return operation


def _problem(status: int) -> Schema:
    answer: Schema = {
        "description": _STATUSES[status],
        "headers": _named(()),
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
        },
    }
    if status == 503:
        answer["headers"] |= _named(("Retry-After",))
    if status == 415:
        answer["headers"] |= _named(("Accept-Patch",))
    return answer


def _empty(description: str, *headers: str) -> Schema:
    return {"description": description, "headers": _named(headers)}


def _answer(description: str, schema: Schema, headers: Iterable[str]) -> Schema:
    return {
        "description": description,
        "headers": _named(headers),
        "content": {"application/json": {"schema": schema}},
    }


def _named(headers: Iterable[str]) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-ID", *headers)}


def _body(schema: Schema, *media_types: str) -> Schema:
    return {
        "required": True,
        "content": {media_type: {"schema": schema} for media_type in media_types},
    }


def _parameter(name: str, schema: Schema, description: str) -> Schema:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "schema": schema,
        "description": description,
    }


def _header(name: str) -> Schema:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "schema": {"type": "string"},
        "description": "ETags, with commas, or *.",
    }


def _key_schema(resource: Resource) -> Schema:
    return _value_schema(resource.key)


def _list_parameters(resource: Resource) -> list[Schema]:
    searched = ", ".join(resource.options.search) or "no field"
    return [
        _parameter(
            "keyword",
            {"type": "string", "maxLength": MAX_PATTERN},
            f"A regular expression, ignoring case, over {searched}.",
        ),
        _parameter(
            "sort", {"type": "string"}, "Paths with commas, `-` for downwards: `-age,name`."
        ),
        _parameter(
            "skip",
            {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
            "Documents to leave out first.",
        ),
        _parameter(
            "limit",
            {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_LIMIT,
                "default": resource.options.limit,
            },
            "Documents on a page.",
        ),
        _parameter(
            "fields", {"type": "string"}, "Paths with commas: only these are shown, and `_id`."
        ),
        _parameter(
            "expand",
            {"type": "string"},
            "Links with commas: the documents that they lead to, in their place.",
        ),
        _parameter(
            "after", {"type": "string"}, "The token of the Link header: the page that follows."
        ),
        _parameter(
            "count", {"type": "string", "enum": list(COUNTS)}, "How to count for X-Total-Count."
        ),
    ]


def _export_parameters() -> list[Schema]:
    return [
        _parameter(
            "columns",
            {"type": "string"},
            "Paths with commas, each with a title if wanted: `name,age:Age`; `*`.",
        ),
        _parameter("unwind", {"type": "string"}, "A list whose elements become rows."),
        _parameter("bom", {"type": "boolean"}, "Begin with a byte-order mark."),
        _parameter(
            "delimiter",
            {"type": "string", "enum": [",", ";", "|", "tab"]},
            "What stands between cells.",
        ),
        _parameter(
            "formulas",
            {"type": "string", "enum": ["escape", "keep"]},
            "Whether texts that look like formulas get a `'`.",
        ),
        _parameter(
            "timezone",
            {"type": "string"},
            "An IANA time zone for date-times, such as Asia/Shanghai.",
        ),
        _parameter(
            "consistency",
            {"type": "string", "enum": ["snapshot", "none"]},
            "One picture, or whatever is there.",
        ),
    ]


def _condition(name: str, asked: Asked) -> Schema:
    """A filter parameter, typed by its field."""
    takes, path = asked.operator.takes, asked.found.path
    schema = _value_schema(asked.found.field)
    if takes == "presence":
        schema = {"type": "boolean"}
    elif takes == "pattern":
        schema = {"type": "string", "maxLength": MAX_PATTERN}
    elif takes == "values":
        schema = {"type": "array", "items": schema}
    described = _parameter(name, schema, f"`{path}` {asked.operator.description}.")
    return {**described, "style": "form", "explode": True} if takes == "values" else described


def _value_schema(field: Field) -> Schema:
    return KINDS[field.kind].schema or {"type": "string"}


def _own_paths() -> Mapping[str, Any]:
    def get(
        operation: str,
        summary: str,
        schema: Schema,
        statuses: Iterable[int],
        parameters: list[Schema] | None = None,
    ) -> Any:
        return {"get": {
            "tags": ["server"], "operationId": operation, "summary": summary, "parameters": parameters or [],
            "responses": {"200": _answer("Yes.", schema, ()), **{str(status): _problem(status) for status in statuses}},
        }}  # fmt: skip

    plain: Schema = {"type": "object"}
    export = {
        "name": "id",
        "in": "path",
        "required": True,
        "schema": {"type": "string"},
        "description": "X-Export-Id.",
    }
    home = get("home", "The resources", plain, (400, 422))
    home["get"]["responses"]["200"]["content"]["text/html"] = {"schema": {"type": "string"}}
    home["get"]["responses"]["200"]["headers"] |= _named(("Vary",))
    return {
        "/": home,
        "/exports/{id}": get(
            "read_export",
            "How an export ended",
            {"$ref": "#/components/schemas/ExportRecord"},
            (400, 404, 422, 503),
            [export],
        ),
        "/livez": get("live", "Whether the process lives", plain, (400, 422)),
        "/readyz": get(
            "ready",
            "Whether a primary accepts writes and the indexes stand",
            plain,
            (400, 422, 503),
        ),
    }
