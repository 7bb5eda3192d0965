"""The screens of an import: Upload, Match, Preview, Import, Report.

Each is an address with the token of the upload, so that a reader may reload it, go back, or come
again later. What a form sends is written under the version that its page was made of: a click that
comes twice changes nothing the second time.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from app.api import requests
from app.api.access import Access
from app.api.callers import caller_of
from app.api.headers import make_file_headers
from app.api.import_runs import may_use
from app.api.multipart import FORM, Upload, new_upload, receive
from app.api.pages import path_of_pages
from app.api.router import ResourceRouter
from app.errors import BadRequest, Invalid, NotFound, RequestError
from app.pages import addresses
from app.pages.forms import read_form
from app.pages.import_plans import (
    ENCODINGS,
    check_plan,
    guess_plan,
    guess_steps,
    list_found,
    make_matching,
    read_plan,
    read_reading,
)
from app.pages.importing import Importing
from app.pages.languages import N_
from app.pages.screens import Screens
from app.pages.tables import cells_of
from app.query.parameters import MODES
from app.resources.registry import Resource
from app.settings import Settings
from app.spreadsheets.formats import FORMATS
from app.spreadsheets.reading import find_format
from app.transfers.inspections import Found
from app.transfers.kept_imports import SHEET, Kept, Reading, Steps, What
from app.transfers.keys import possible_keys

UPLOAD: Final = "upload"
MATCH: Final = "match"
PREVIEW: Final = "preview"
IMPORT: Final = "import"
REPORT: Final = "report"
NAMES = {
    UPLOAD: N_("Upload"),
    MATCH: N_("Match"),
    PREVIEW: N_("Preview"),
    IMPORT: N_("Import"),
    REPORT: N_("Report"),
}
FORM_LIMIT = 2 * 1024 * 1024  # bytes of a form with a field for each column
SHEETS = 4  # of a workbook that are tried
NAME = 200  # characters of a file's name that are kept
MOST_SELECTED = 20_000  # options of all lists to select from, before one list serves all columns


@dataclass(frozen=True)
class Step:
    """A step as the top of its screen shows it; without an address it can't be gone to."""

    name: str
    address: str | None
    is_current: bool


class Imports:
    """The handlers of the imports of all resources."""

    def __init__(self, screens: Screens, importing: Importing, settings: Settings) -> None:
        self._screens = screens
        self._importing = importing
        self._settings = settings

    # --- Upload ---

    async def choose(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/import`: the form for a file; its query says what a template has."""
        access = router.access(request, IMPORT)
        pairs = requests.pairs(request)
        if pairs:
            access.compiler.list(pairs)
        return self._show_upload(request, access, addresses.list_conditions(pairs))

    async def upload(self, request: Request, router: ResourceRouter) -> Response:
        """`POST /ui/users/import`: keeps the file, and goes on to what it is."""
        access = router.access(request, IMPORT)
        requests.refuse_parameters(request)
        try:
            requests.check_media_type(request, (FORM,))
            with new_upload() as upload:
                kept = await self._keep(request, access, upload)
        except RequestError as error:
            return self._show_upload(request, access, (), error)
        return _go(request, access, kept, MATCH)

    async def _keep(self, request: Request, access: Access, upload: Upload) -> Kept:
        limit, stall_limit = self._importing.runs.limit, self._settings.STALL_LIMIT_SECONDS
        await receive(request, upload, _take_any, limit, stall_limit)
        upload.file.flush()
        if not upload.name:
            raise BadRequest("No file was chosen.")
        format = find_format(upload.name, upload.media_type)
        local = self._screens.look(request).preferences.zone
        reading = Reading(format.names[0], timezone=local)
        reading, found = await self._look(upload, reading)
        if found.error and not _has_choice(found):
            raise BadRequest(found.error)
        name = PurePath(upload.name.replace("\\", "/")).name[:NAME]
        caller, collection = caller_of(request.scope).key, access.view.whole.name
        last = await self._importing.kept.find_last(collection, caller)
        steps = await asyncio.to_thread(guess_steps, access, reading, found, last)
        return await self._importing.kept.add(collection, caller, name, upload.file, steps)

    async def _look(self, upload: Upload, reading: Reading) -> tuple[Reading, Found]:
        """What a file is; of a workbook whose first sheet is no table, one of the next."""
        found = await self._importing.inspect(upload.file, reading)
        if not found.error:
            return reading, found
        for sheet in found.sheets[1:SHEETS]:
            other = replace(reading, sheet=sheet)
            found_there = await self._importing.inspect(upload.file, other)
            if not found_there.error:
                return other, found_there
        return reading, found

    def _show_upload(
        self,
        request: Request,
        access: Access,
        conditions: addresses.Pairs,
        error: RequestError | None = None,
    ) -> Response:
        may_export = access.view.rights.may("export") and access.view.rights.may("read")
        local = self._screens.look(request).preferences.zone
        asked = [("columns", "_id,*"), ("timezone", local), *conditions]
        return self._render(
            request,
            access,
            UPLOAD,
            None,
            "import_upload.html",
            error.status if error is not None else HTTPStatus.OK,
            error=error,
            limit=self._importing.runs.limit,
            kept_seconds=self._settings.UPLOAD_SECONDS,
            conditions=conditions,
            with_matches=addresses.with_pairs("", asked) if may_export else None,
        )

    # --- the steps of an upload ---

    async def resume(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/import/{token}`: to the step at which the import is."""
        access = router.access(request, IMPORT)
        requests.refuse_parameters(request)
        kept = await self._find(request, access)
        if kept is None:
            return self._show_gone(request, access)
        return _go(request, access, kept, _current_step(kept))

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
        if not _can_show(kept, step):
            return _go(request, access, kept, _current_step(kept))
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
            return _go(request, access, kept, _current_step(kept))
        if step == MATCH:
            return await self._match(request, access, kept, form)
        if step == PREVIEW:
            return await self._preview(request, access, kept, form)
        if step == IMPORT and kept.run_of(PREVIEW) is not None:
            return await self._start(request, access, kept, IMPORT)
        return _go(request, access, kept, _current_step(kept))

    async def _forget(self, request: Request, access: Access, kept: Kept) -> Response:
        if kept.run is None or kept.run.state != "running":
            await self._importing.kept.forget(kept)
            return _redirect(request, _address(access.view.resource))
        return _go(request, access, kept, _current_step(kept))

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
        return _go(request, access, saved or kept, MATCH)

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
        return self._render(
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
            return _go(request, access, kept, _current_step(kept))
        return await self._start(request, access, saved, PREVIEW)

    async def _start(self, request: Request, access: Access, kept: Kept, what: What) -> Response:
        try:
            await self._importing.start(request.scope, access, kept, what)
        except RequestError as error:
            if what == PREVIEW:
                return self._show_match(request, access, kept, kept.steps, error)
            return self._show_run(request, access, kept, PREVIEW, error)
        return _go(request, access, kept, what)

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
        return self._render(
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

    # --- what all screens have ---

    async def _find(self, request: Request, access: Access) -> Kept | None:
        token, caller = request.path_params["token"], caller_of(request.scope).key
        return await self._importing.kept.find(token, access.view.whole.name, caller)

    def _show_gone(self, request: Request, access: Access) -> Response:
        return self._render(
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

    def _render(
        self,
        request: Request,
        access: Access,
        step: str,
        kept: Kept | None,
        template: str,
        status: int,
        **words: Any,
    ) -> Response:
        resource = access.view.resource
        return self._screens.render(
            request,
            template,
            status,
            resource=resource,
            access=access,
            kept=kept,
            wizard=list(_list_steps(resource, step, kept)),
            name=NAMES[step],
            names=NAMES,
            base=_address(resource),
            here=f"{_address(resource)}/{quote(kept.token)}" if kept is not None else "",
            **words,
        )


def _take_any(name: str | None, media_type: str | None) -> None:
    """Any file is taken to its end: a browser shows no answer that comes before that."""


def _has_choice(found: Found) -> bool:
    """Whether a file that can't be read in one way may be readable in another."""
    return found.format == "csv" or len(found.sheets) > 1


def _require_known(step: str) -> None:
    if step not in (MATCH, PREVIEW, IMPORT, REPORT):
        raise NotFound("An import has no such step.")


def _current_step(kept: Kept) -> str:
    """The step at which an import is."""
    run = kept.run
    if run is None:
        return MATCH
    if run.what == PREVIEW:
        return PREVIEW
    return IMPORT if run.state == "running" else REPORT


def _can_show(kept: Kept, step: str) -> bool:
    if step == MATCH:
        return not kept.is_done and (kept.run is None or kept.run.state != "running")
    return step == _current_step(kept)


def _list_steps(resource: Resource, current: str, kept: Kept | None) -> list[Step]:
    base = _address(resource)
    steps: list[Step] = []
    for step, name in NAMES.items():
        address = None
        if step == UPLOAD:
            address = base
        elif kept is not None and _can_show(kept, step):
            address = f"{base}/{quote(kept.token)}/{step}"
        steps.append(Step(name, address, step == current))
    return steps


def _address(resource: Resource) -> str:
    return f"{quote(path_of_pages(resource))}/{IMPORT}"


def _go(request: Request, access: Access, kept: Kept, step: str) -> Response:
    return _redirect(request, f"{_address(access.view.resource)}/{quote(kept.token)}/{step}")


def _redirect(request: Request, address: str) -> Response:
    root = request.scope.get("root_path", "")
    return RedirectResponse(f"{root}{address}", HTTPStatus.SEE_OTHER)
