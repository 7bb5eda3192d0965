"""Endpoints of a user's own, in FastAPI's way: found in a package, described with ours."""

import json
from collections.abc import Collection
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path

from app.api.media_types import PROBLEM
from app.api.routing import Paths, first_step
from app.errors import DeclarationError
from app.resources.packages import import_modules

SCHEMAS = "#/components/schemas/"
_PROBLEM = {"$ref": f"{SCHEMAS}ProblemDetails"}
_REFUSED = f"{SCHEMAS}HTTPValidationError"  # what FastAPI would answer in place of our problems
_SOME_STEP = "%"  # no path of ours has it, so only a parameter of ours can be it

Description = dict[str, Any]


def include_routers(app: FastAPI, package: str) -> None:
    """Adds the `router` of the package and of each of its modules to the application.

    Raises `DeclarationError` for a package that isn't there, for a mistake in one of its modules,
    and for a router that is none.
    """
    known: set[int] = set()
    for module in import_modules(package, "ROUTES", "routers"):
        router = getattr(module, "router", None)
        if router is None or id(router) in known:
            continue
        if not isinstance(router, APIRouter):
            raise DeclarationError(
                f"{module.__name__}.router: must be a fastapi.APIRouter, not {router!r}."
            )
        known.add(id(router))
        app.include_router(router)


def refuse_collisions(app: FastAPI, own: Paths, reserved: Collection[str]) -> None:
    """Raises `DeclarationError` for an endpoint of a user whose path is one of ours."""
    for route in iter_route_contexts(app.routes):
        path = route.path
        if path is None:
            continue
        sample = _sample(path)
        if own.find(sample) is not None or first_step(sample) in reserved:
            endpoint = route.endpoint
            name = f"{endpoint.__module__}.{endpoint.__qualname__}" if endpoint else "A mount"
            raise DeclarationError(f"{name}: the path {path!r} is taken; choose another one.")


def _sample(path: str) -> str:
    """An address that the path serves: `/users/%` for `/users/{key}`."""
    _, form, parameters = compile_path(path)
    return form.format(**dict.fromkeys(parameters, _SOME_STEP))


def merge_description(ours: Description, theirs: Description) -> Description:
    """Our OpenAPI description with FastAPI's paths and components; ours keep their names."""
    _answer_with_problems(theirs)
    components = theirs.get("components", {})
    schemas = components.get("schemas", {})
    known = ours["components"]["schemas"]
    both = [name for name in schemas if name in known and schemas[name] != known[name]]
    for name in both:
        theirs = _rename_references(theirs, f"{SCHEMAS}{name}", f"{SCHEMAS}{name}InRoutes")
        components = theirs["components"]
        components["schemas"][f"{name}InRoutes"] = components["schemas"].pop(name)
    for kind, entries in components.items():
        ours["components"][kind] = {**entries, **ours["components"].get(kind, {})}
    ours["paths"] = {**theirs.get("paths", {}), **ours["paths"]}
    for word in ("webhooks", "servers"):
        if word in theirs:
            ours[word] = theirs[word]
    return ours


def _answer_with_problems(described: Description) -> None:
    """What FastAPI refuses (422) is a problem document here."""
    for item in described.get("paths", {}).values():
        for operation in item.values():
            refused = operation.get("responses", {}).get("422", {}) if operation else {}
            if _REFUSED in json.dumps(refused):
                refused["content"] = {PROBLEM: {"schema": _PROBLEM}}
    schemas = described.get("components", {}).get("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        if f'"{SCHEMAS}{name}"' not in json.dumps(described):
            schemas.pop(name, None)


def _rename_references(value: Any, before: str, after: str) -> Any:
    """The same with every reference to one schema turned into one to another."""
    if isinstance(value, dict):
        return {key: _rename_references(inner, before, after) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rename_references(inner, before, after) for inner in value]
    return after if value == before else value
