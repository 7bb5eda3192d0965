"""Values of our own resources that are words: shown in the reader's language, stored in English."""

from typing import Any

from markupsafe import Markup, escape

from app.api.pages import is_auth_resource
from app.pages.languages import N_, Language
from app.resources.fields import Field
from app.resources.registry import Resource

WHAT = (
    *(N_("signed in"), N_("sign-in failed"), N_("signed out"), N_("exported"), N_("imported")),
    *(N_("documents changed"), N_("documents deleted"), N_("share made"), N_("share changed")),
    *(N_("share used"), N_("share ended"), N_("key made"), N_("key changed"), N_("key ended")),
    *(N_("account made"), N_("account changed"), N_("account deleted"), N_("password changed")),
    *(N_("role made"), N_("role changed"), N_("role deleted")),
)
MEANS = (N_("token"), N_("key"), N_("password"), N_("session"), N_("share"), N_("command"))
_WORDS = frozenset((*WHAT, *MEANS))


def are_own(resource: Resource, field: Field) -> bool:
    """Whether the values of a field of this resource are such words."""
    return is_auth_resource(resource) and bool(field.choices)


def say(words: Language, value: Any) -> str:
    """The word that a value is; the text of any other."""
    return words.gettext(value) if value in _WORDS else str(value)


def write(words: Language, value: str) -> Markup:
    """The same as markup, from which a script can tell what is stored."""
    said = say(words, value)
    if said == value:
        return escape(value)
    return Markup('<data value="{}">{}</data>').format(value, said)
