"""Who calls: the plain data that authentication puts into the ASGI scope, and every handler obeys.

`scope["caller"]` is a `Caller`. Where accounts are off it is `EVERYONE`.
"""

from dataclasses import dataclass
from typing import Any, Literal

from starlette.types import Scope

from app.resources.views import ALL, Grants

Means = Literal["off", "none", "token", "key", "password", "session", "share"]
ADMIN = "admin"  # the scope that holds all others
BUILT_IN_ROLES = ("admin", "editor", "viewer")  # roles that are always there, and no documents


@dataclass(frozen=True)
class Caller:
    """Who calls, by what means, and what that may do.

    `name` and `id` are the account's, empty where accounts are off. `scopes` is what this token,
    key or session may do at most; `rights` are the account's, cut to the scopes already, so that
    whoever reads or writes looks at them alone. `asked` are the scopes that its token or key is
    for, None where it is for all that the account has, now and later. `is_full` says that it has
    all that the account has now.
    """

    name: str = ""
    id: Any = None
    scopes: frozenset[str] = frozenset((ADMIN,))
    rights: Grants = ALL
    means: Means = "off"
    asked: frozenset[str] | None = None
    is_full: bool = True

    @property
    def is_admin(self) -> bool:
        """Whether everything is allowed."""
        return ADMIN in self.scopes

    @property
    def key(self) -> str:
        """What names the account in records, whatever it is called later; empty for none."""
        return "" if self.id is None else str(self.id)

    def has(self, scope: str) -> bool:
        """Whether a scope is among the caller's, or `admin`, which holds it."""
        return scope in self.scopes or self.is_admin


EVERYONE = Caller()
NOBODY = Caller(scopes=frozenset(), rights=Grants(), means="none")  # on paths that are open


def caller_of(scope: Scope) -> Caller:
    """Who makes this request; a `KeyError` where nobody has said it, so that nothing is open."""
    caller: Caller = scope["caller"]
    return caller
