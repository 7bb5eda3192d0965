"""What people call a field or a collection: the title that the model gives it, else its name."""

from functools import lru_cache

from pydantic.fields import FieldInfo

from app.api.pages import is_auth_resource
from app.pages.languages import N_
from app.resources.annotations import find_stored_name
from app.resources.fields import Shape
from app.resources.registry import Resource

OWN_NAMES = {  # of our own resources, by their address
    "auth/accounts": N_("Accounts"),
    "auth/roles": N_("Roles"),
    "auth/keys": N_("API keys"),
    "auth/shares": N_("Shared links"),
    "auth/audit": N_("Audit"),
}
NEW = N_("New document")
OWN_NEW = {"auth/accounts": N_("New account"), "auth/roles": N_("New role")}
OWN_FIELDS = (  # of our own resources
    *(N_("_id"), N_("name"), N_("role"), N_("attributes"), N_("disabled"), N_("password")),
    *(N_("created"), N_("last_seen"), N_("account"), N_("scopes"), N_("expires"), N_("last_used")),
    *(N_("rules"), N_("address"), N_("file"), N_("at"), N_("what"), N_("means"), N_("request")),
    *(N_("target"), N_("details")),
)


class OwnTitle(str):
    """The name of a field of our own resources: a message, in the language of the reader."""


def title_of(shape: Shape, path: str) -> str:
    """The title of the field at the end of a path: pydantic's `Field(title=…)`, else its name."""
    info = find_info(shape, path)
    if "." not in path:
        return title_field(shape, path, info)
    return (info.title if info is not None else None) or path.rpartition(".")[2]


def title_field(shape: Shape, name: str, info: FieldInfo | None) -> str:
    """The same of a field of the shape itself."""
    if shape.model.__module__.startswith("app.") and name in OWN_FIELDS:
        return OwnTitle(name)
    return (info.title if info is not None else None) or name


def title_whole(shape: Shape, path: str) -> str:
    """The titles of all fields on a path: `Profile › Age`."""
    if "." not in path:
        return title_of(shape, path) if path else ""
    steps = path.split(".")
    paths = [".".join(steps[: number + 1]) for number in range(len(steps))]
    return " › ".join(title_of(shape, one) for one in paths)


def describe(shape: Shape, path: str) -> str:
    """What the model says of a field: pydantic's `Field(description=…)`, empty where nothing."""
    info = find_info(shape, path)
    return (info.description if info is not None else None) or ""


def name_of(resource: Resource) -> str:
    """What a collection is called: its model's `title`, else its address.

    What our own are called is a message, which `Screen.name_of` has in the reader's language.
    """
    if is_auth_resource(resource):
        return OWN_NAMES[resource.address]
    return resource.model.model_config.get("title") or resource.address


def find_info(shape: Shape, path: str) -> FieldInfo | None:
    """What pydantic knows of the field at the end of a path; None below a dict or an `Any`."""
    above, _, name = path.rpartition(".")
    if above:
        found = shape.find(above, numbered=True)
        inner = found.field.shape if found is not None else None
        if inner is None:
            return None
        shape = inner
    return infos_of(shape.model).get(name)


@lru_cache(maxsize=1024)
def infos_of(model: type) -> dict[str, FieldInfo]:
    """What pydantic knows of a model's fields, by the names under which they are stored."""
    fields: dict[str, FieldInfo] = model.model_fields  # type: ignore[attr-defined]
    return {find_stored_name(model, name, info): info for name, info in fields.items()}
