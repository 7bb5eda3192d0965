"""The roles that an account may have, for the form of one."""

from collections.abc import Mapping, Sequence

from starlette.requests import Request

from app.api.access import Access
from app.api.callers import BUILT_IN_ROLES
from app.api.router import ResourceRouter
from app.errors import RequestError

ACCOUNTS, ROLES = "auth/accounts", "auth/roles"
EVERY = [("fields", "name"), ("sort", "name"), ("limit", "1000"), ("count", "none")]


class RoleNames:
    """Lists the names of roles."""

    def __init__(self, routers: Mapping[str, ResourceRouter]) -> None:
        self._roles = routers.get(ROLES)

    async def list(self, request: Request, access: Access) -> Sequence[str]:
        """The names to choose from; none where the form is no account's, or nobody knows them."""
        if self._roles is None or access.view.resource.address != ACCOUNTS:
            return ()
        try:
            roles = self._roles.access(request, "read")
            page = await roles.repository.page(roles.compiler.list(EVERY))
        except RequestError:  # a name is typed then
            return ()
        return [*BUILT_IN_ROLES, *(one["name"] for one in page.documents)]
