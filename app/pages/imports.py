"""The screens of an import after the upload of its file: Match, Preview, Import, Report.

Each is an address with the token of the upload, so that a reader may reload it, go back, or come
again later. What a form sends is written under the version that its page was made of: a click that
comes twice changes nothing the second time.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.api import requests
from app.api.access import Access
from app.api.callers import caller_of
from app.api.headers import make_file_headers
from app.api.import_runs import may_use
from app.api.router import ResourceRouter
from app.errors import Invalid, NotFound, RequestError
from app.pages import addresses
from app.pages.forms import read_form
from app.pages.import_plans import (
    ENCODINGS,
    check_plan,
    guess_plan,
    list_found,
    make_matching,
    read_plan,
    read_reading,
)
from app.pages.import_steps import (
    IMPORT,
    MATCH,
    PREVIEW,
    REPORT,
    UPLOAD,
    address_of,
    can_show,
    current_step,
    go,
    render_step,
)
from app.pages.importing import Importing
from app.pages.screens import Screens
from app.pages.tables import cells_of
from app.query.parameters import MODES
from app.settings import Settings
from app.spreadsheets.formats import FORMATS
from app.transfers.kept_imports import SHEET, Kept, Steps, What
from app.transfers.keys import possible_keys

FORM_LIMIT = 2 * 1024 * 1024  # bytes of a form with a field for each column
MOST_SELECTED = 20_000  # options of all lists to select from, before one list serves all columns


class Imports:
    """The handlers of the imports of all resources."""

    def __init__(self, screens: Screens, importing: Importing, settings: Settings) -> None:
        self._screens = screens
        self._importing = importing
        self._settings = settings

    async def resume(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/import/{token}`: to the step at which the import is."""
        access = router.access(request, IMPORT)
        requests.refuse_parameters(request)
        kept = await self._find(request, access)
        if kept is None:
            return self._show_gone(request, access)
        return go(request, access, kept, current_step(kept))

    async def show(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/import/{token}/{step}`: the screen of a step, or the one that is due."""
        access = router.access(request, IMPORT)
        requests.refuse_parameters(request)
        kept = await self._find(request, access)
        if kept is None:
            return self._show_gone(request, access)
        step = request.path_params["step"]
        if step == SHEET:
            return self._send_sheet(access, kept)
        _require_known(step)
        if not can_show(kept, step):
            return go(request, access, kept, current_step(kept))
        if step == MATCH:
            return await asyncio.to_thread(self._show_match, request, access, kept, kept.steps)
        return self._show_run(request, access, kept, step)

    async def do(self, request: Request, router: ResourceRouter) -> Response:
        """`POST /ui/users/import/{token}/{step}`: what a button of the screen before it says."""
        access = router.access(request, IMPORT)
        requests.refuse_parameters(request)
        form = await read_form(request, FORM_LIMIT)
        kept = await self._find(request, access)
        if kept is None:
            return self._show_gone(request, access)
        step = request.path_params["step"]
        if step == "forget":
            return await self._forget(request, access, kept)
        _require_known(step)
        if form.get("version") != str(kept.version) or kept.is_done:
            return go(request, access, kept, current_step(kept))
        if step == MATCH:
            return await self._match(request, access, kept, form)
        if step == PREVIEW:
            return await self._preview(request, access, kept, form)
        if step == IMPORT and kept.run_of(PREVIEW) is not None:
            return await self._start(request, access, kept, IMPORT)
        return go(request, access, kept, current_step(kept))

    async def _forget(self, request: Request, access: Access, kept: Kept) -> Response:
        if kept.run is None or kept.run.state != "running":
            await self._importing.kept.forget(kept)
            return addresses.lead_to(request, address_of(access.view.resource))
        return go(request, access, kept, current_step(kept))

    # --- Match ---

    async def _match(
        self, request: Request, access: Access, kept: Kept, form: Mapping[str, str]
    ) -> Response:
        """Reads the file in another way, and matches its columns anew."""
        before = kept.steps
        try:
            reading = read_reading(form, before)
            found = await self._importing.inspect_kept(kept, reading)
        except RequestError as error:
            return self._show_match(request, access, kept, before, error)
        plan = await asyncio.to_thread(guess_plan, access, found)
        steps = Steps(reading, found, plan)
        saved = await self._importing.kept.save(kept, steps)
        return go(request, access, saved or kept, MATCH)

    def _show_match(
        self,
        request: Request,
        access: Access,
        kept: Kept,
        steps: Steps,
        error: RequestError | None = None,
    ) -> Response:
        matching = make_matching(access)
        plan = steps.plan
        choices = matching.list_choices(plan.paths)
        columns = steps.found.columns or ()
        keys = [",".join(key) for key in possible_keys(access.view.resource)]
        return render_step(
            self._screens,
            request,
            access,
            MATCH,
            kept,
            "import_match.html",
            error.status if error is not None else HTTPStatus.OK,
            error=error,
            steps=steps,
            columns=list(zip(columns, plan.paths, strict=False)),
            choices=choices,
            has_lists=len(columns) * len(choices) <= MOST_SELECTED,
            missing=matching.list_missing(plan.paths) if columns else [],
            modes=[mode for mode in MODES if may_use(access, mode)],
            keys=keys,
            pairs=lambda words: list(zip(words, words, strict=True)),
            encodings=list(dict.fromkeys([*ENCODINGS, *list_found(steps, "encoding")])),
            takes=FORMATS[steps.reading.format].reads,
        )

    # --- Preview and Import ---

    async def _preview(
        self, request: Request, access: Access, kept: Kept, form: Mapping[str, str]
    ) -> Response:
        """Keeps what the form says of columns and rows, and begins a preview of it."""
        steps = kept.steps
        try:
            steps = read_plan(form, access, steps)
            await asyncio.to_thread(check_plan, access, steps)
            self._importing.make_import(
                access, steps.reading, steps.found, steps.plan, dry_run=True
            )
        except Invalid as error:
            return self._show_match(request, access, kept, steps, error)
        saved = await self._importing.kept.save(kept, steps)
        if saved is None:
            return go(request, access, kept, current_step(kept))
        return await self._start(request, access, saved, PREVIEW)

    async def _start(self, request: Request, access: Access, kept: Kept, what: What) -> Response:
        try:
            await self._importing.start(request.scope, access, kept, what)
        except RequestError as error:
            if what == PREVIEW:
                return self._show_match(request, access, kept, kept.steps, error)
            return self._show_run(request, access, kept, PREVIEW, error)
        return go(request, access, kept, what)

    def _show_run(
        self,
        request: Request,
        access: Access,
        kept: Kept,
        step: str,
        error: RequestError | None = None,
    ) -> Response:
        run = kept.run
        assert run is not None
        is_running = run.state == "running"
        templates = {PREVIEW: "import_preview.html", REPORT: "import_report.html"}
        template = "import_progress.html" if is_running else templates[step]
        labels: dict[str, str] = {}
        if run.result is not None:
            paths = [str(change["field"]) for change in run.result.changes]
            labels = {one.path: one.label for one in make_matching(access).list_choices(paths)}
        return render_step(
            self._screens,
            request,
            access,
            step,
            kept,
            template,
            error.status if error is not None else HTTPStatus.OK,
            error=error,
            run=run,
            result=run.result,
            plan=kept.steps.plan,
            labels=labels,
            cells=cells_of(self._screens.look(request).language.code),
        )

    # --- what all steps have ---

    async def _find(self, request: Request, access: Access) -> Kept | None:
        token, caller = request.path_params["token"], caller_of(request.scope).key
        return await self._importing.kept.find(token, access.view.whole.name, caller)

    def _show_gone(self, request: Request, access: Access) -> Response:
        return render_step(
            self._screens,
            request,
            access,
            UPLOAD,
            None,
            "import_gone.html",
            HTTPStatus.NOT_FOUND,
            kept_seconds=self._settings.UPLOAD_SECONDS,
        )

    def _send_sheet(self, access: Access, kept: Kept) -> Response:
        """The rows with what is wrong with each."""
        result = kept.run.result if kept.run is not None else None
        if result is None or not result.sheet_size:
            raise NotFound("There is no sheet to fix: no row was wrong.")
        found = FORMATS[result.sheet_format]
        name = f"{access.view.whole.name}-errors.{found.extension}"
        headers = make_file_headers(name, found.media_type)
        chunks: AsyncIterator[bytes] = self._importing.kept.files.read(
            kept.path(SHEET), result.sheet_size
        )
        headers["Content-Length"] = str(result.sheet_size)
        return StreamingResponse(chunks, 200, headers)


def _require_known(step: str) -> None:
    if step not in (MATCH, PREVIEW, IMPORT, REPORT):
        raise NotFound("An import has no such step.")
