"""How a caller says who it is, as OpenAPI describes it: security schemes, and scopes of operations.

https://spec.openapis.org/oas/v3.1.0#security-scheme-object
"""

from collections.abc import Iterable
from dataclasses import replace

from app.api.descriptions import Description, Schema
from app.auth.public import is_public
from app.auth.scopes import GENERAL, METRICS

PASSWORD, BASIC, BEARER = "password", "basic", "bearer"  # the names of the schemes
TOKEN_URL = "/auth/token"
ABOUT = {
    "read": "read documents",
    "create": "make documents",
    "update": "change documents",
    "delete": "delete documents",
    "export": "download documents as a file",
    "import": "import files",
    "write": "create, update and delete",
    METRICS: "read the metrics",
    "admin": "do everything, accounts and roles included",
}
GENERAL_SCOPES = {scope: ABOUT[scope] for scope in GENERAL}
PROBLEMS = (401, 403, 429)  # that any operation may answer where a caller is needed


def describe_schemes(operations: Iterable[Schema], root: str) -> Schema:
    """The schemes; the scopes are the general ones, and those that the operations name.

    `root` is the prefix that a proxy takes off.
    """
    named = {
        scope
        for operation in operations
        for requirement in operation.get("security", ())
        for scope in requirement.get(PASSWORD, ())
    }
    scopes = GENERAL_SCOPES | {scope: _describe_scope(scope) for scope in sorted(named)}
    url = f"{root}{TOKEN_URL}"
    return {
        PASSWORD: {
            "type": "oauth2",
            "description": "An access token for the name and the password of an account.",
            "flows": {"password": {"tokenUrl": url, "refreshUrl": url, "scopes": scopes}},
        },
        BASIC: {
            "type": "http",
            "scheme": "basic",
            "description": "A key's id and secret, or the name and the password of an account.",
        },
        BEARER: {
            "type": "http",
            "scheme": "bearer",
            "description": "An access token, or a key as `id.secret`.",
        },
    }


def _describe_scope(scope: str) -> str:
    """What a scope is for, as `users:read`."""
    resource, _, action = scope.rpartition(":")
    about = ABOUT.get(action, "what this server's own endpoints ask for")
    return f"{about} of {resource}" if resource else about


def require(scope: str) -> list[dict[str, list[str]]]:
    """The requirement of an operation: any of the schemes, with the scope where there is one."""
    return [{PASSWORD: [scope] if scope else []}, {BASIC: []}, {BEARER: []}]


def secure(description: Description) -> Description:
    """An operation with what it requires of the caller, and what it answers otherwise."""
    if is_public(description.path):
        return replace(description, security=())
    problems = tuple(sorted({*description.problems, *PROBLEMS}))
    return replace(description, security=require(description.scope), problems=problems)


def describe_security(described: Schema, root: str) -> None:
    """Adds the schemes to a whole description; whatever says nothing else requires a caller."""
    operations = [one for path in described["paths"].values() for one in path.values()]
    described["components"]["securitySchemes"] = describe_schemes(operations, root)
    described["security"] = require("")
