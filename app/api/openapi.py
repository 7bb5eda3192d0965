"""The OpenAPI 3.1 description of everything that is served, assembled from what the routes say."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from app.api.cutting import Cutting, drop_unused
from app.api.descriptions import (
    EVERYWHERE,
    HEADERS,
    OF_PROBLEMS,
    STATUSES,
    Answer,
    Content,
    Description,
    Model,
    Schema,
    value_schema,
)
from app.api.health import PROBES
from app.api.media_types import PROBLEM
from app.api.routing import Route
from app.api.schemas import PROBLEM_DETAILS
from app.errors import AddressTooLong, TooManyRequests
from app.query.compile import Compilers
from app.resources.annotations import is_stored
from app.resources.extents import extent_of
from app.resources.registry import Resource
from app.resources.views import EVERYTHING, NOTHING, View

Secure = Callable[[Description], Description]
_ABOUT = (
    "MongoDB documents as a REST API and as spreadsheets. HEAD works wherever GET does. An unknown "
    "parameter is refused, never ignored."
)


def describe(
    routes: Iterable[Route],
    compilers: Compilers,
    title: str,
    version: str,
    secure: Secure | None = None,
) -> dict[str, Any]:
    """The whole description, of routes and of the resources' models, as one caller sees them.

    `secure` adds to each operation what it requires of the caller.
    """
    views = [view for view in compilers.views.values() if view.rights != NOTHING]
    served = [view.resource for view in views]
    schemas: dict[str, Schema] = {"ProblemDetails": PROBLEM_DETAILS}
    names = _add_models(views, schemas)
    paths: dict[str, dict[str, Schema]] = {}
    for route in routes:
        for description in route.describe(compilers):
            if secure is not None:
                description = secure(description)
            operation = _operation(description, names)
            paths.setdefault(description.path, {})[description.method] = operation
            schemas |= description.schemas
    described = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [],
        "paths": paths,
        "components": {"schemas": schemas, "headers": _headers()},
        "tags": [{"name": resource.name, "description": _doc(resource)} for resource in served],
    }
    if any(view.rights != EVERYTHING for view in compilers.views.values()):
        drop_unused(described)
    return described


def describe_limit(description: Description) -> Description:
    """An operation as it is where RATE_LIMIT is set: it may be asked for too often."""
    if description.path in PROBES:
        return description
    return replace(description, problems=(*description.problems, TooManyRequests.status))


def _doc(resource: Resource) -> str:
    return (resource.model.__doc__ or "").strip()


def _headers() -> dict[str, Schema]:
    headers: dict[str, Schema] = {}
    for name, declared in HEADERS.items():
        schema = {"type": "string"} if isinstance(declared, str) else dict(declared)
        description = declared if isinstance(declared, str) else schema.pop("description")
        headers[name] = {"description": description, "schema": schema}
    return headers


def _operation(description: Description, names: Mapping[str, str]) -> Schema:
    answers = {
        str(status): _answer(answer, names) for status, answer in description.answers.items()
    }
    statuses = sorted({*description.problems, AddressTooLong.status})
    problems = {str(status): _problem(status, description.problem) for status in statuses}
    operation: Schema = {
        "tags": [description.tag],
        "operationId": description.name,
        "summary": description.summary,
        "parameters": list(description.parameters),
        "responses": answers | problems,
    }
    if description.body is not None:
        content = _content(description.body, names)
        operation["requestBody"] = {"required": True, "content": content}
    if description.security is not None:
        operation["security"] = list(description.security)
    return operation


def _answer(answer: Answer, names: Mapping[str, str]) -> Schema:
    described: Schema = {
        "description": answer.description,
        "headers": _refer_to_headers(answer.headers),
    }
    if answer.content:
        described["content"] = _content(answer.content, names)
    return described


def _problem(status: int, schema: str) -> Schema:
    return {
        "description": STATUSES[status],
        "headers": _refer_to_headers(OF_PROBLEMS.get(status, ())),
        "content": {PROBLEM: {"schema": _reference(schema)}},
    }


def _refer_to_headers(headers: Iterable[str]) -> Schema:
    names = (*EVERYWHERE, *headers)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _content(content: Content, names: Mapping[str, str]) -> Schema:
    return {
        media_type: {"schema": _schema(schema, names)} for media_type, schema in content.items()
    }


def _schema(schema: Schema | Model, names: Mapping[str, str]) -> Schema:
    if not isinstance(schema, Model):
        return schema
    reference = _reference(names[schema.resource] + schema.form)
    listed: Schema = {"type": "array", "items": reference}
    if schema.either:
        return {"oneOf": [reference, listed]}
    return listed if schema.many else reference


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


# --- models ---


class _Bodies(GenerateJsonSchema):
    """Makes the schemas of what may be sent.

    A type of a user's own, which JSON Schema has no word for, is any value.
    """

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """A model with its excluded fields, which Beanie takes out of a document's schema."""
        described = super().model_schema(schema)
        excluded = [
            info.alias or attribute
            for attribute, info in schema["cls"].model_fields.items()
            if info.exclude and is_stored(attribute, info)
        ]
        if excluded:
            fields = self.generate_inner(schema["schema"])["properties"]
            hidden = {name: {**fields[name], "writeOnly": True} for name in excluded}
            known = described["properties"] | hidden
            described["properties"] = {name: known[name] for name in fields if name in known}
        return described

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> JsonSchemaValue:
        """A duration: as ISO 8601 writes it, or its seconds."""
        return {"anyOf": [{"type": "string", "format": "duration"}, {"type": "number"}]}

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        """The schema that takes everything; the model's validator says what is wrong."""
        return {}


def _add_models(views: list[View], schemas: dict[str, Schema]) -> dict[str, str]:
    """Adds the models' own schemas, and for each resource what is shown and what a patch is.

    Gives the name of each resource's schema.
    """
    inputs: list[Any] = [(view.resource.model, "validation") for view in views]
    references, definitions = models_json_schema(
        inputs, ref_template="#/components/schemas/{model}", schema_generator=_Bodies
    )
    schemas |= definitions.get("$defs", {})
    for schema in definitions.get("$defs", {}).values():
        if "properties" in schema:  # an unknown field is refused, in nested models too
            schema.setdefault("additionalProperties", False)
    names: dict[str, str] = {}
    cutting = Cutting(schemas)
    for view in views:
        resource = view.resource
        name = references[(resource.model, "validation")]["$ref"].rpartition("/")[2]
        names[resource.name] = name
        whole = schemas[name]
        for attribute, info in resource.model.model_fields.items():
            if not is_stored(attribute, info):
                whole["properties"].pop(info.alias or attribute, None)
        schemas[f"{name}Stored"] = _describe_stored(name, whole, resource)
        shape = view.whole.shape
        rules = (view.rights.create, view.rights.update)
        cutting.cut(name, tuple(extent_of(rule, shape) for rule in rules if rule is not None))
        schemas[f"{name}Patch"] = _patch(name, schemas[name], resource)
    return names


def _patch(name: str, whole: Schema, resource: Resource) -> Schema:
    return {
        "title": f"{name}Patch",
        "description": "A merge patch (RFC 7396): null removes a field, objects merge, "
        "arrays replace.",
        "type": "object",
        "properties": {
            field: {"description": known.get("description", known.get("title", field))}
            for field, known in whole["properties"].items()
        },
        "additionalProperties": resource.shape.open,
    }


def _describe_stored(name: str, whole: Schema, resource: Resource) -> Schema:
    """A document as it is shown.

    Any field may be missing, or of another type, where another program wrote it.
    """
    title = f"{name}Stored"
    if resource.key.kind not in ("text", "objectid", "uuid", "int"):
        return {"title": title, "type": "object", "additionalProperties": True}
    key = value_schema(resource.key)
    properties: dict[str, Schema] = {"_id": {**key, "description": "The key."}}
    for field, known in whole["properties"].items():
        declared = resource.shape.fields.get(field)
        if field != "_id" and not (declared and declared.excluded):
            properties[field] = {"description": known.get("title", field)}
    return {
        "title": title,
        "description": "A stored document, as it is; every field may be missing or be what another "
        "program wrote.",
        "type": "object",
        "properties": properties,
        "required": ["_id"],
        "additionalProperties": True,
    }
