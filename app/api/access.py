"""What a caller has of one resource: its view, and what reads, writes and shows by that view.

Handlers take all of it from the request, so none of them can forget who calls.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from app.query.compile import Compiler, Compilers
from app.resources.registry import Resource
from app.resources.rendering import Presenter, presenter
from app.resources.views import Action, Grants, View, Views, make_forbidden
from app.store.repository import Repository

Actions = tuple[Action, ...]
CACHE_SIZE = 1_024  # callers with different rights


@dataclass(frozen=True)
class Access:
    """One resource, as one caller has it.

    The compiler and the repository read nothing that the caller may not see; `present` takes out of
    documents what isn't shown, None where nothing is.
    """

    view: View
    compiler: Compiler
    repository: Repository
    present: Presenter | None

    def require(self, *actions: Action) -> None:
        """Raises `Forbidden` where an action is not allowed on any document."""
        for action in actions:
            if not self.view.rights.may(action):
                raise make_forbidden(self.view.whole, action)


FindAccess = Callable[[Grants, Actions], Access]  # raises `Forbidden` for what isn't allowed


class Accesses:
    """What callers have of all resources, kept by their rights for those who called last."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.resources = tuple(resources)
        self.compilers_of = lru_cache(maxsize=CACHE_SIZE)(self._compile)

    def _compile(self, grants: Grants) -> Compilers:
        return Compilers(Views(self.resources, grants))

    def keep(self, repository: Repository) -> FindAccess:
        """What gives the access of callers to the documents of a repository."""
        name = repository.resource.name

        @lru_cache(maxsize=CACHE_SIZE)
        def make(grants: Grants) -> Access:
            compilers = self.compilers_of(grants)
            compiler, limited = compilers[name], repository.limit_to(compilers)
            return Access(compiler.view, compiler, limited, presenter(compiler.resource.shape))

        @lru_cache(maxsize=CACHE_SIZE)
        def find(grants: Grants, actions: Actions) -> Access:
            access = make(grants)
            access.require(*actions)
            return access

        return find
