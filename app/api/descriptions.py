"""What a route says of itself for OpenAPI; `openapi.py` only puts these together.

A `Description` is one method of one path: its parameters, its body, its answers, its problems.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.query.compile import Compiler
from app.query.names import Lookup
from app.query.operators import MAX_LITERAL, MAX_PATTERN
from app.query.parameters import Parameter, Taker, parameters_of
from app.resources.fields import Field
from app.resources.kinds import KINDS
from app.resources.registry import Resource

Schema = dict[str, Any]


@dataclass(frozen=True)
class Model:
    """A schema that is made of a document class: what is sent, what is shown, or a patch."""

    resource: str
    form: Literal["", "Stored", "Patch"] = ""
    many: bool = False
    either: bool = False  # one, or an array of them


Content = Mapping[str, Schema | Model]  # by media type


@dataclass(frozen=True)
class Answer:
    """One answer that is no problem; `headers` are names of `HEADERS`."""

    description: str
    content: Content = dataclasses.field(default_factory=dict)
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Description:
    """One method of one path; `name` is the `operationId`, `problems` are statuses.

    `problem` names the schema of its problems, `schemas` are those that it refers to. `scope` is
    what a caller needs for it where there are accounts, and `security` how OpenAPI says so.
    """

    method: str
    path: str
    name: str
    summary: str
    answers: Mapping[int, Answer]
    problems: tuple[int, ...] = ()
    parameters: Sequence[Schema] = ()
    body: Content | None = None
    tag: str = "server"
    schemas: Mapping[str, Schema] = dataclasses.field(default_factory=dict)
    scope: str = ""
    security: Sequence[Schema] | None = None
    problem: str = "ProblemDetails"


HEADERS: dict[str, str | Schema] = {
    "X-Request-ID": "By which the server's log names this request.",
    "X-Content-Type-Options": "`nosniff`.",
    "Referrer-Policy": "`same-origin`.",
    "Server-Timing": "`app;dur=…`, the milliseconds until the answer began.",
    "Accept-Patch": "The media types of a patch.",
    "Cache-Control": "`no-store`.",
    "Allow": "The methods that are possible here.",
    "Accept-Encoding": "`identity`: a JSON body is read as it is.",
    "Content-Encoding": "`gzip`, where Accept-Encoding has it.",
    "Content-Security-Policy": "What a page may load: nothing from elsewhere.",
    "Vary": "The headers of the request on which the answer depends.",
    "ETag": "The state of the whole stored document.",
    "Location": "The address of the new document.",
    "Link": 'The pages around this one, with commas between them: `<address>; rel="next"` (absent '
    'on the last page), `rel="prev"` (absent on the first), `rel="first"` and `rel="last"`.',
    "X-Total-Count": {"type": "integer", "description": "How many documents there are."},
    "X-Count-Strategy": {
        "type": "string",
        "enum": ["exact", "estimated", "capped"],
        "description": "How they were counted; `capped`: there are at least that many.",
    },
    "X-Export-Id": "For GET /exports/{id}.",
    "Content-Disposition": "The file's name.",
    "WWW-Authenticate": 'How to say who calls: `Bearer realm="docsheet"`.',
    "Retry-After": {"type": "integer", "description": "Seconds after which to try again."},
}
EVERYWHERE = ("X-Request-ID", "X-Content-Type-Options", "Referrer-Policy", "Server-Timing")
STATUSES = {
    400: "The request can't be read, or names a foreign host.",
    401: "Nobody is known to call; `WWW-Authenticate` says what to send.",
    403: "Another site's page may not write here, or the caller may not do this.",
    404: "There is no such document.",
    405: "Not with this method; `Allow` says which ones there are.",
    409: "A unique index has the value already.",
    410: "The link has expired, or was ended.",
    412: "The document is not in the state that If-Match or If-None-Match asks for.",
    413: "The body is too large.",
    414: "The address is too long.",
    415: "The body has another media type.",
    422: "What was sent can't be accepted; `errors` says where and why.",
    429: "Too often; `Retry-After` says when to try again.",
    501: "The document is too large for If-Match on a MongoDB without transactions.",
    503: "Not at the moment: no primary, a time limit, or too much under way. A write may have "
    "happened all the same.",
    505: "HTTP/1.0 can't show that a transfer broke.",
}
OF_PROBLEMS = {  # the headers that a problem has besides
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    415: ("Accept-Patch", "Accept-Encoding"),
    429: ("Retry-After",),
    503: ("Retry-After",),
}


def value_schema(field: Field) -> Schema:
    """The schema of a value of the field in a path or a query.

    Any text where it may be anything.
    """
    if field.target is not None:
        return value_schema(field.target.key)
    return KINDS[field.kind].schema or {"type": "string"}


def describe_in_path(name: str, schema: Schema, description: str) -> Schema:
    """A step of the path."""
    return _parameter(name, "path", schema, description)


def describe_in_header(name: str, description: str) -> Schema:
    """A header of the request."""
    return _parameter(name, "header", {"type": "string"}, description)


def describe_parameter(name: str, schema: Schema, description: str) -> Schema:
    """A parameter of the query."""
    return _parameter(name, "query", schema, description)


def describe_in_query(
    compiler: Compiler, taker: Taker, options: Sequence[str] = ()
) -> list[Schema]:
    """The parameters of a list or an export, its filters last."""
    filters = compiler.names.filters(parameters_of(taker, options))
    described = of_parameters(compiler, taker, options)
    return described + [_filter(name, lookup) for name, lookup in filters.items()]


def of_parameters(compiler: Compiler, taker: Taker, options: Sequence[str] = ()) -> list[Schema]:
    """The parameters of a request that has no filters."""
    known = parameters_of(taker, options)
    return [_of_query(parameter, compiler.resource) for parameter in known.values()]


def _of_query(parameter: Parameter, resource: Resource) -> Schema:
    schema = dict(parameter.type.schema)
    default = parameter.default_of(resource.options)
    if default not in (None, "", 0):  # a client made of this sends defaults; skip=0 forbids after
        schema["default"] = default
    searched = ", ".join(resource.options.search) or "no field"
    description = parameter.description.format(search=searched)
    return _parameter(parameter.name, "query", schema, description)


def _filter(name: str, lookup: Lookup) -> Schema:
    """A filter, typed by its field."""
    takes = lookup.operator.takes
    schema = value_schema(lookup.found.field)
    if takes == "presence":
        schema = {"type": "boolean"}
    elif takes == "pattern":
        schema = {"type": "string", "maxLength": MAX_PATTERN}
    elif takes == "literal":
        schema = {"type": "string", "maxLength": MAX_LITERAL}
    elif takes == "values":
        schema = {"type": "array", "items": schema}
    description = f"`{lookup.path}` {lookup.operator.description}."
    described = _parameter(name, "query", schema, description)
    return described | ({"style": "form", "explode": True} if takes == "values" else {})


def _parameter(name: str, place: str, schema: Schema, description: str) -> Schema:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": schema,
        "description": description,
    }
