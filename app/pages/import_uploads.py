"""The first screen of an import: the form for a file, and the file that is kept."""

import asyncio
from dataclasses import replace
from http import HTTPStatus
from pathlib import PurePath

from starlette.requests import Request
from starlette.responses import Response

from app.api import requests
from app.api.access import Access
from app.api.callers import caller_of
from app.api.multipart import FORM, Upload, new_upload, receive
from app.api.router import ResourceRouter
from app.errors import BadRequest, RequestError
from app.pages import addresses
from app.pages.import_plans import guess_steps
from app.pages.import_steps import IMPORT, MATCH, UPLOAD, go, render_step
from app.pages.importing import Importing
from app.pages.screens import Screens
from app.settings import Settings
from app.spreadsheets.reading import find_format
from app.transfers.inspections import Found
from app.transfers.kept_imports import Kept, Reading

SHEETS = 4  # of a workbook that are tried
NAME = 200  # characters of a file's name that are kept


class ImportUploads:
    """The handlers of the first screen, of all resources."""

    def __init__(self, screens: Screens, importing: Importing, settings: Settings) -> None:
        self._screens = screens
        self._importing = importing
        self._settings = settings

    async def show(self, request: Request, router: ResourceRouter) -> Response:
        """`GET /ui/users/import`: the form for a file; its query says what a template has."""
        access = router.access(request, IMPORT)
        pairs = requests.pairs(request)
        if pairs:
            access.compiler.list(pairs)
        return self._show(request, access, addresses.list_conditions(pairs))

    async def upload(self, request: Request, router: ResourceRouter) -> Response:
        """`POST /ui/users/import`: keeps the file, and goes on to what it is."""
        access = router.access(request, IMPORT)
        requests.refuse_parameters(request)
        try:
            requests.check_media_type(request, (FORM,))
            with new_upload() as upload:
                kept = await self._keep(request, access, upload)
        except RequestError as error:
            return self._show(request, access, (), error)
        return go(request, access, kept, MATCH)

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

    def _show(
        self,
        request: Request,
        access: Access,
        conditions: addresses.Pairs,
        error: RequestError | None = None,
    ) -> Response:
        may_export = access.view.rights.may("export") and access.view.rights.may("read")
        local = self._screens.look(request).preferences.zone
        asked = [("columns", "_id,*"), ("timezone", local), *conditions]
        return render_step(
            self._screens,
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


def _take_any(name: str | None, media_type: str | None) -> None:
    """Any file is taken to its end: a browser shows no answer that comes before that."""


def _has_choice(found: Found) -> bool:
    """Whether a file that can't be read in one way may be readable in another."""
    return found.format == "csv" or len(found.sheets) > 1
