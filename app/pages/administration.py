"""The way to the screens of accounts, roles, keys, shares and the audit, for administrators."""

from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.callers import caller_of
from app.errors import Forbidden
from app.pages.languages import N_
from app.pages.screens import Screens

NOTES = {  # on each of them, by its address
    "auth/accounts": N_("Who may sign in, and with which role"),
    "auth/roles": N_("What accounts may do, beside admin, editor and viewer"),
    "auth/keys": N_("What programs sign in with"),
    "auth/shares": N_("Links that download a file without an account"),
    "auth/audit": N_("Who did what, when and from where"),
}


class Administration:
    """The handler of the screen."""

    def __init__(self, screens: Screens) -> None:
        self._screens = screens

    async def show(self, request: Request) -> Response:
        """`GET /ui/admin/`: what there is to administer; raises `Forbidden` for others."""
        requests.refuse_parameters(request)
        if not caller_of(request.scope).is_admin:
            raise Forbidden("This needs the scope admin.")
        return self._screens.render(request, "administration.html", notes=NOTES)
