"""Errors as pages, for readers who know no HTTP: what happened, and what to do now."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.pages.languages import N_
from app.pages.screens import Screens

TITLES = {
    400: N_("This can't be read"),
    401: N_("You are not signed in"),
    403: N_("You may not do this"),
    404: N_("There is nothing here"),
    405: N_("This is not possible here"),
    409: N_("This can't be done as things are"),
    410: N_("This is over"),
    412: N_("Somebody else has changed it"),
    413: N_("This is too large"),
    415: N_("This is of another kind than what is read here"),
    422: N_("Something in it is not right"),
    429: N_("Too many requests"),
    500: N_("Something went wrong in the server"),
    501: N_("The database can't do this"),
    503: N_("Not at the moment"),
}


class Problems:
    """Shows errors as the screens of one server."""

    def __init__(self, screens: Screens) -> None:
        self._screens = screens

    def show(self, scope: Scope, body: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
        """The page of a problem document."""
        code = body["status"]
        return self._screens.render(
            Request(scope),
            "problem.html",
            code,
            headers,
            code=code,
            title=TITLES.get(code, body["title"]),
            detail=body["detail"],
            errors=body.get("errors", ()),
            number=scope.get("state", {}).get("request_id", ""),
        )
