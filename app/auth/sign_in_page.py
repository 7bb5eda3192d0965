"""The screen to sign in at, for browsers: a form, a cookie, and the way out."""

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from app.api import requests
from app.api.pages import NEXT, UI, ScreenRenderer, check_next
from app.api.routing import Route
from app.auth.authenticator import refuse_foreign_page
from app.auth.forms import NOT_STORED, read_form
from app.auth.redirects import SIGN_IN
from app.auth.services import AuthServices
from app.auth.sessions import COOKIE
from app.auth.token_routes import WRONG
from app.errors import BadRequest, RequestError, TooManyRequests

SIGN_OUT = f"{UI}/sign-out"


class SignInPage:
    """The handlers of the screen."""

    def __init__(self, find_services: Callable[[], AuthServices], screens: ScreenRenderer) -> None:
        self._find_services = find_services  # there are none before the database is opened
        self._screens = screens

    def routes(self) -> list[Route]:
        """The page, and the way out."""
        return [
            Route(SIGN_IN, {"GET": self.show, "POST": self.sign_in}),
            Route(SIGN_OUT, {"POST": self.sign_out}),
        ]

    async def show(self, request: Request) -> Response:
        """`GET /ui/sign-in`: the form."""
        return self._show_form(request, _read_next(request))

    async def sign_in(self, request: Request) -> Response:
        """`POST /ui/sign-in`: a session, and on to where the reader wanted to go."""
        go_on = _read_next(request)
        refuse_foreign_page(request.scope)
        form = await read_form(request)
        name, password = form.get("username", ""), form.get("password", "")
        checks = self._find_services()
        try:
            known = await checks.sign_in.check(name, password, request.scope)
        except TooManyRequests as error:
            return self._show_form(request, go_on, name, error)
        if known is None:
            return self._show_form(request, go_on, name, BadRequest(WRONG))
        value = await checks.sessions.begin(known.id, known.mark)
        await checks.sign_in.note(known, request.scope, "session")
        response = _go(request.scope, go_on)
        _set_cookie(response, request.scope, value)
        return response

    def _show_form(
        self, request: Request, go_on: str, name: str = "", error: RequestError | None = None
    ) -> Response:
        action = f"{SIGN_IN}?{NEXT}={quote(go_on, safe='/')}"
        status, headers = HTTPStatus.OK, {}
        if error is not None:
            status, headers = HTTPStatus(error.status), error.headers
        return self._screens.render(
            request, "sign_in.html", status, headers, action=action, name=name, error=error
        )

    async def sign_out(self, request: Request) -> Response:
        """`POST /ui/sign-out`: ends the session."""
        requests.refuse_parameters(request)
        refuse_foreign_page(request.scope)
        value = request.cookies.get(COOKIE)
        if value is not None:
            await self._end(value, request.scope)
        response = _go(request.scope, SIGN_IN)
        _set_cookie(response, request.scope, "")
        return response

    async def _end(self, value: str, scope: Scope) -> None:
        """Ends the session of a cookie, if it has not ended already."""
        checks = self._find_services()
        session = await checks.sessions.find(value)
        known = await checks.accounts.get(session.account) if session else None
        await checks.sessions.end(value)
        if known is not None:
            await checks.audit.write(scope, "signed out", known.name, account=known.name)


def _read_next(request: Request) -> str:
    """Where to go on: a path of this server; raises `Invalid` for other parameters and pages."""
    requests.refuse_parameters(request, (NEXT,))
    return check_next(dict(requests.pairs(request)).get(NEXT, "/"))


def _go(scope: Scope, path: str) -> Response:
    address = f"{scope.get('root_path', '')}{path}"
    return RedirectResponse(address, HTTPStatus.SEE_OTHER, NOT_STORED)


def _set_cookie(response: Response, scope: Scope, value: str) -> None:
    """Sends the cookie, or takes it away; a browser that is closed forgets it."""
    response.set_cookie(
        COOKIE,
        value,
        max_age=None if value else 0,
        path=scope.get("root_path", "") or "/",
        secure=scope["scheme"] == "https",
        httponly=True,
        samesite="lax",
    )
